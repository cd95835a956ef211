"""Questions about files of the forecaster, answered without it; each prints JSON.

  same A.parquet B.parquet ROW    of the forecasts from rows before ROW, and of those after, how many are the same in both files
  raw A.parquet TARGET OUT.f64    writes the forecasts of a target as raw numbers, rows × horizon
  rows A.parquet                  times of the rows, in 100 ms from the first time that is asked for by the generator
  baselines RAW.f64 SETTINGS      mean squared errors of the baselines over the test part, by horizon; SETTINGS as forecast_torch.py has them
  drawing A.svg                   how many lines an SVG has, and its words
"""

import json
import sys
import xml.etree.ElementTree

import numpy
import pyarrow.parquet


def table(path: str):
    return pyarrow.parquet.read_table(path)


def places(rows) -> numpy.ndarray:
    times = rows.column("timestamp").cast("int64").to_numpy()
    return (times - 1_700_000_000_000) // 100


def same(left: str, right: str, row: str) -> dict:
    left, right, row = table(left), table(right), int(row)
    assert left.schema == right.schema
    assert left.column("timestamp") == right.column("timestamp")
    values = [numpy.stack([column.to_numpy() for column in rows.columns[1:]], axis=1) for rows in (left, right)]
    equal, before = (values[0] == values[1]).all(axis=1), places(left) < row
    return {
        "before": int(before.sum()),
        "same_before": int(equal[before].sum()),
        "after": int((~before).sum()),
        "same_after": int(equal[~before].sum()),
    }


def raw(path: str, target: str, out: str) -> dict:
    rows = table(path)
    names = [name for name in rows.column_names if name.startswith(target + "_")]
    numpy.stack([rows.column(name).to_numpy() for name in names], axis=1).astype("<f8").tofile(out)
    return {"columns": rows.column_names, "types": [str(kind) for kind in rows.schema.types]}


def baselines(path: str, settings: str) -> dict:
    told = json.loads(settings)
    rows = numpy.fromfile(path, "<f8").reshape(-1, told["features"])
    count, length, horizon, target = len(rows), told["input"], told["horizon"], told["target"]
    validation, test = round(count * told["validation"]), round(count * told["test"])
    train = count - validation - test - 2 * told["embargo"]
    scaled = (rows - rows[:train].mean(0)) / rows[:train].std(0)

    def windows(start: int, end: int):
        starts = range(start, end - length - horizon + 1)
        into = numpy.stack([numpy.append(scaled[at : at + length].ravel(), 1.0) for at in starts])
        ahead = numpy.stack([scaled[at + length : at + length + horizon, target] for at in starts])
        return into, ahead, numpy.array([scaled[at + length - 1, target] for at in starts])

    into, ahead, _ = windows(0, train)
    penalty = 1e-6 * len(into) * numpy.eye(into.shape[1])
    coefficients = numpy.linalg.solve(into.T @ into + penalty, into.T @ ahead)
    into, ahead, last = windows(count - test, count)
    unit = rows[:train, target].std() ** 2
    return {
        "windows": len(into),
        "last_value": (((ahead - last[:, None]) ** 2).mean(0) * unit).tolist(),
        "linear": (((ahead - into @ coefficients) ** 2).mean(0) * unit).tolist(),
        "up": ((ahead > last[:, None]).sum(0) / (ahead != last[:, None]).sum(0)).tolist(),
    }


def drawing(path: str) -> dict:
    root = xml.etree.ElementTree.parse(path).getroot()
    name = "{http://www.w3.org/2000/svg}"
    curves = [path for path in root.iter(name + "path") if "L" in path.get("d")]
    return {"curves": len(curves), "words": [text.text for text in root.iter(name + "text")]}


ANSWERS = {"same": same, "raw": raw, "baselines": baselines, "drawing": drawing}
ANSWERS["rows"] = lambda path: {"rows": places(table(path)).tolist()}
print(json.dumps(ANSWERS[sys.argv[1]](*sys.argv[2:])))
