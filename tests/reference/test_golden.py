"""The reference against rows worked out by hand: `python3 -m unittest` in this folder."""

import json
import math
import tempfile
import unittest
import zipfile
from pathlib import Path

import agg_trades
import archive
import klines

GOLDEN = Path(__file__).parent / "golden"
# Columns that follow from rounded hourly sums; all others are exact.
FIRST_DERIVED = "cvd_qty"


class Golden(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.zip = Path(folder.name) / "BTCUSDT-2024-01.zip"

    def pack(self, text):
        with zipfile.ZipFile(self.zip, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("BTCUSDT-2024-01.csv", text)

    def test_the_trades_worked_out_by_hand_come_out(self):
        self.pack((GOLDEN / "trades.csv").read_text())
        expected = json.loads((GOLDEN / "expected.json").read_text())

        minutes, hours, quality = agg_trades.aggregate(self.zip, "um", "BTCUSDT", "2024-01")

        self.assertEqual(minutes, expected["minutes"])
        self.assertEqual(len(hours), 1)
        self.assertEqual(list(hours[0]), list(expected["hours"][0]))
        is_derived = False
        for name, wanted in expected["hours"][0].items():
            is_derived |= name == FIRST_DERIVED
            if is_derived:
                self.assertTrue(math.isclose(hours[0][name], wanted, rel_tol=1e-12), name)
            else:
                self.assertEqual(hours[0][name], wanted, name)
        self.assertEqual({**quality, "verdict": archive.verdict(self.zip)}, expected["quality"])

    def test_the_order_of_the_rows_changes_nothing(self):
        header, *rows = (GOLDEN / "trades.csv").read_text().splitlines()
        rows.remove("102,40000.1,0.025,504,504,1704067259999,true")  # which of two counts depends on the order
        self.pack("\n".join(rows))
        forward = agg_trades.aggregate(self.zip, "um", "BTCUSDT", "2024-01")
        self.pack("\n".join([header, *reversed(rows), ""]))

        backward = agg_trades.aggregate(self.zip, "um", "BTCUSDT", "2024-01")

        self.assertEqual(forward[:2], backward[:2])
        self.assertNotEqual(forward[2]["unordered"], backward[2]["unordered"])

    def test_contracts_are_quotes_and_their_base_is_rounded_half_even(self):
        # 10 USD / 64000 = 0.00015625 exactly; 10 / 3 is rounded; 10 / 800000000 = 0.0000000125, a tie to the even 1.
        text = "1,64000.0,1,1,1,1704067200000,false\n2,3,1,2,2,1704067200000,true\n3,800000000,1,3,3,1704067260000,true\n"
        self.pack(text)

        minutes, _, _ = agg_trades.aggregate(self.zip, "cm", "ETHUSD_PERP", "2024-01")

        self.assertEqual(minutes[0]["quote_volume"], 20.0)
        self.assertEqual(minutes[0]["taker_buy_qty"], 0.00015625)
        self.assertEqual(minutes[0]["taker_sell_qty"], 3.33333333)
        self.assertEqual(minutes[1]["base_volume"], 0.00000001)

    def test_a_row_that_does_not_parse_makes_the_archive_corrupt(self):
        good = "1,2.0,3.0,1,1,1704067200000,true\n"
        for bad in ["1,2.0,3.0,1,1,17040672000,true", "2,nan,3.0,1,1,1704067200000,true", "2,1", "2,1,1,1,1,1704067200000,yes"]:
            self.pack(good + bad)
            with self.assertRaises(archive.Corrupt, msg=bad):
                agg_trades.aggregate(self.zip, "um", "BTCUSDT", "2024-01")

    def test_of_two_klines_with_one_open_time_the_last_counts(self):
        bar = "{},1.0,{},0.5,1.5,10,{},15.5,7,4,6.5,0\n"
        start = 1704067200000
        self.pack(
            bar.format(start + 60_000, "3.0", start + 119_999)
            + bar.format(start, "2.0", start + 59_999)
            + bar.format(start, "4.0", start + 59_999)
        )

        lines, hours, quality = klines.aggregate(self.zip, "um", "BTCUSDT", "2024-01", "1m")

        self.assertEqual([line["high"] for line in lines], [4.0, 3.0])
        self.assertEqual(lines[0]["close_time"], 1704067259999000)
        self.assertEqual(len(hours), 1)
        self.assertEqual((hours[0]["high"], hours[0]["volume"], hours[0]["trades"]), (4.0, 20.0, 14))
        self.assertEqual(hours[0]["close_time"], 1704070799999000)
        self.assertEqual((quality["duplicates"], quality["contradictions"], quality["unordered"]), (0, 1, 2))
        self.assertEqual(quality["missing_minutes"], 44_638)

    def test_microseconds_end_an_hour_one_microsecond_early(self):
        self.pack("1735689600000000,1,1,1,1,1,1735689659999999,1,1,1,1,0")

        _, hours, _ = klines.aggregate(self.zip, "spot", "BTCUSDT", "2025-01", "1m")

        self.assertEqual(hours[0]["close_time"], 1735693199999999)


if __name__ == "__main__":
    unittest.main()
