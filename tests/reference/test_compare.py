"""compare.py finds every kind of difference. Needs pyarrow; without it these tests are skipped and say so."""

import copy
import json
import tempfile
import unittest
from pathlib import Path

try:
    import pyarrow as pa
    import pyarrow.parquet as pq

    import compare
except ModuleNotFoundError as error:
    if error.name != "pyarrow":
        raise
    pa = None

import reference

GOLDEN = Path(__file__).parent / "golden"


@unittest.skipIf(pa is None, "pyarrow is not installed, so compare.py is not tested")
class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.parquet = f"{folder.name}/2024-01.parquet"
        lines = json.loads((GOLDEN / "expected.json").read_text())
        self.reference = {
            "minutes": reference.columns(lines["minutes"]),
            "hours": reference.columns(lines["hours"]),
            "quality": lines["quality"],
        }

    def write(self, table, change=lambda columns: None):
        columns = {}
        for name, cells in copy.deepcopy(self.reference[table]).items():
            if name == "symbol":
                columns[name] = pa.array(cells).dictionary_encode()
            elif name in ("minute", "first_ts", "last_ts"):
                columns[name] = pa.array(cells, pa.timestamp("us", "UTC"))
            else:
                columns[name] = pa.array([float.fromhex(c) if isinstance(c, str) else c for c in cells])
        change(columns)
        footer = {"tapemill.quality": json.dumps(self.reference["quality"])}
        pq.write_table(pa.table(columns).replace_schema_metadata(footer), self.parquet)

    def found(self):
        return list(compare.differences(self.parquet, self.reference, None))

    def test_equal_tables_have_no_differences(self):
        for table in ("minutes", "hours"):
            self.write(table)
            self.assertEqual(self.found(), [])

    def test_one_bit_of_a_sum_is_a_difference(self):
        self.write("hours", lambda columns: columns.update(base_volume=pa.array([3.485])))

        (line,) = self.found()

        self.assertIn("base_volume, row 0: found 3.485 ", line)
        self.assertIn("expected 3.4850000000000003", line)

    def test_one_bit_of_a_derived_value_is_none_and_more_is_one(self):
        nearly, off = -0.585 * (1 + 2e-16), -0.585 * (1 + 2e-12)
        self.write("hours", lambda columns: columns.update(cvd_qty=pa.array([nearly])))
        self.assertEqual(self.found(), [])

        self.write("hours", lambda columns: columns.update(cvd_qty=pa.array([off])))

        self.assertEqual(len(self.found()), 1)

    def test_nulls_types_columns_and_quality_are_compared(self):
        def spoil(columns):
            columns["vwap"] = pa.array([None], pa.float64())
            columns["trade_count"] = pa.array([5.0])
            del columns["price_low"]

        self.write("hours", spoil)
        self.reference["quality"]["rows"] += 1

        told = "\n".join(self.found())

        for what in ("vwap, row 0", "trade_count, row 0", "columns:", "quality rows"):
            self.assertIn(what, told)


if __name__ == "__main__":
    unittest.main()
