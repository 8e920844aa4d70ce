#!/usr/bin/python3
"""Tables of which a part is used, from train to predict: csv_columns_test.py TRAINER

An id for each row, notes, a station that groups rows, words for missing values; the columns in another order afterwards."""
import csv
import json
import math
import os
import random
import sys
import tempfile

try:
    import h5py
except ImportError as missing:
    print(f"skipped: {missing}; Debian's python3-h5py has it")
    sys.exit(77)

sys.dont_write_bytecode = True
from program import check, finish, read_csv, run  # noqa: E402

NAMES = ["id", "note", "station", "width", "color", "price", "kind"]


USE = ["--inputs", "color, width", "--target-columns", "price"]


def rows_of(count, seed):
    draw = random.Random(seed)
    rows = []
    for i in range(count):
        width, color, station = draw.gauss(0, 1), draw.choice(["red", "blue"]), f"station {draw.randrange(20)}"
        price = 100 + 20 * width + (30 if color == "red" else 0)
        rows.append({"id": f"row-{seed}-{i}", "note": f"{i},5", "station": station, "width": repr(width), "color": color,
                     "price": repr(price), "kind": "dear" if price > 115 else "cheap"})
    return rows


def write(name, rows, columns=tuple(NAMES)):
    with open(name, "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(columns)
        out.writerows([[row[column] for column in columns] for row in rows])


def lines_of(text):
    return dict(line.split(" ", 1) for line in text.splitlines())


def check_regression(rows):
    train = ["--data", "table.csv", "--inputs", "color, width", "--target-columns", "price", "--model", "dense(outputs)", "--lr", "0.05",
             "--epochs", 15, "--quiet"]
    other = list(reversed(NAMES))
    write("other.csv", rows[:80], other)
    write("test.csv", rows_of(60, 7), other)
    run("train", *train, "--validation", "groups(station, 0.2)", "--test", "test.csv", "--out", "price", ranks=2)
    run("train", *train, "--validation", "groups(3, 0.2)", "--test", "test.csv", "--out", "again")
    weights = [json.load(open(f"{name}/result.json"))["weights"] for name in ("price", "again")]
    check(weights[0] == weights[1], "the same by the column's number, on another number of ranks")
    with h5py.File("price/best.h5") as file:
        encoding = file["model"].attrs["encoding"]
    check(encoding == 'csv of 7 named columns: 5 "color" in "blue" "red", 4 "width" number; values: 6 "price"', encoding)
    found = lines_of(run("evaluate", "price", "--data", "other.csv", "--split", "train", "--validation", "0"))
    check(found["target_0"] == "price" and float(found["r2_0"]) > 0.99, f"evaluate: {found}")
    run("predict", "price", "--data", "other.csv", "--out", "other_out.csv")
    run("predict", "price", "--data", "table.csv", "--out", "table_out.csv")
    (header, some), (_, all_rows) = read_csv("other_out.csv"), read_csv("table_out.csv")
    check(header == ["row", "price"], f"header {header}")
    check(some == all_rows[:80], "another order of the columns gives other predictions")
    # Whole stations validate: a model of none of the stations' columns has no such name in its inputs.
    write("bare.csv", rows[:80], ["width", "color"])
    line = run("evaluate", "price", "--data", "bare.csv", "--split", "train", code=2)
    check("groups(station)" in line and "--validation 0" in line, line)
    line = run("train", "--data", "table.csv", "--inputs", "colour, width", "--out", "wrong", code=2)
    check("did you mean color" in line, line)
    line = run("train", *train, "--test", "./table.csv", "--out", "wrong", code=2)
    check("--test ./table.csv" in line and "table.csv of --data" in line, line)


def check_classes(rows):
    for i in range(0, 100, 10):
        rows[i]["width"] = ["NA", "NULL", "", "None"][i // 10 % 4]
    write("holes.csv", rows)
    use = ["--data", "holes.csv", "--inputs", "width,color"]
    line = run("train", *use, "--out", "holes", code=3)
    check("line 2, column 4 ('width')" in line and "'NA'" in line, line)
    run("train", *use, "--missing", "drop", "--model", "dense(outputs)", "--epochs", 3, "--quiet", "--out", "holes")
    found = lines_of(run("evaluate", "holes", "--data", "holes.csv"))  # --missing as in training, and all rows
    check(found["split"].startswith("all "), f"evaluate: {found}")
    check(found["rows"] == "390" and found["class_0"] == "cheap" and found["class_1"] == "dear", f"evaluate: {found}")


def check_missing(rows):
    """evaluate and predict take what lacks a value as training did, and an error names what works."""
    for i in range(3, 100, 10):
        rows[i]["color"] = ""
    write("gaps.csv", rows)
    use = ["--data", "gaps.csv", "--inputs", "width,color", "--model", "dense(outputs)", "--epochs", 1, "--quiet"]
    found = lines_of(run("data", "describe", *use[1:4], "--missing", "mean", threads=None))
    widths = [float(row["width"]) for row in rows if row["width"] not in ("NA", "NULL", "", "None")]
    words = found["input_0"].split()
    check(words[0::2] == ["min", "mean", "max", "missing"] + ["width"], f"describe: {words}")
    for word, figure in zip(words[1:7:2], (min(widths), sum(widths) / len(widths), max(widths))):
        check(abs(float(word) - figure) < 1e-4, f"describe: {words}")
    check(words[7] == "10" and found["input_1"].endswith("missing 10 color = blue"), f"describe: {found}")
    check("nan" not in found["inputs_mean"] and found["inputs_missing"] == "30 values", f"describe: {found}")
    run("train", *use, "--missing", "mean", "--out", "filled")
    run("train", *use, "--missing", "drop", "--out", "dropped")
    run("train", "--data", "table.csv", *use[2:], "--out", "strict")
    check(lines_of(run("evaluate", "filled", "--data", "gaps.csv"))["rows"] == "400", "evaluate: filled")
    check(lines_of(run("evaluate", "dropped", "--data", "gaps.csv"))["rows"] == "380", "evaluate: dropped")
    run("predict", "filled", "--data", "gaps.csv", "--out", "filled.csv")
    for name in ("dropped", "strict"):
        line = run("predict", name, "--data", "gaps.csv", "--out", f"{name}.csv", code=3)
        check("line 2, column 4 ('width')" in line and "say --missing mean" in line and "drop" not in line, line)
        run("predict", name, "--data", "gaps.csv", "--out", f"{name}.csv", "--missing", "mean")
        check(len(read_csv(f"{name}.csv")[1]) == 400 and "nan" not in open(f"{name}.csv").read(), f"{name}: predictions")


def check_files(rows):
    """The files that validate are named; rows in memory are not read, whatever copying them takes."""
    for i in range(8):
        write(f"part-{i}.csv", rows[50 * i:50 * i + 50])
    for share, words in (("0.1", "validation: 1 file: part-"), ("0.8", "part-")):
        out = run("train", "--data", "part-*.csv", *USE, "--model", "dense(outputs)", "--epochs", 2, "--validation", f"files({share})",
                  "--out", f"files{share}", ranks=2)
        line = next((line for line in out.splitlines() if line.startswith("validation: ")), "none")
        check(words in line and line.count(".csv") == (1 if share == "0.1" else 5) and line.endswith("more") == (share == "0.8"), line)
        check("note: reading" not in out, f"advice on reading rows that are in memory: {out}")


def check_logarithms():
    """Prices over four orders of magnitude: what evaluate says is said of original units, like predictions."""
    draw = random.Random(3)
    rows = [{"a": repr(a), "b": repr(b), "price": repr(math.exp(2 * a + b + draw.gauss(0, 0.1)))}
            for a, b in ((draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(600))]
    write("prices.csv", rows, ("a", "b", "price"))
    train = ["--target-columns", "price", "--scale-targets", "log", "--model", "dense(outputs)", "--lr", "0.03", "--epochs", 30,
             "--metrics", "rmse", "--quiet"]
    run("train", "--data", "prices.csv", *train, "--out", "log", ranks=2)
    check("try --scale-targets log" in run("data", "describe", "prices.csv", threads=None), "describe: no advice on decades")
    check("--scale-targets" not in run("data", "describe", "table.csv", *USE, threads=None), "describe: needless advice")
    with h5py.File("log/best.h5") as file:
        scaling = file["scaling"]
        check(scaling.attrs["targets"] == "log" and abs(scaling["target_deviation"][0] - 5 ** 0.5) < 0.2, "what the checkpoint stores")
    use = ["--data", "prices.csv", "--split", "train", "--validation", "0"]
    run("predict", "log", "--data", "prices.csv", "--out", "log_out.csv", ranks=2)
    found = [float(row[1]) for row in read_csv("log_out.csv")[1]]
    true = [float(row["price"]) for row in rows]
    check(min(found) > 0 and max(abs(math.log(f / t)) for f, t in zip(found, true)) < 0.5, "predictions in original units")
    mean = sum(true) / len(true)
    squares = sum((f - t) ** 2 for f, t in zip(found, true))
    expected = {"rmse_0": (squares / len(true)) ** 0.5, "mae_0": sum(abs(f - t) for f, t in zip(found, true)) / len(true),
                "r2_0": 1 - squares / sum((t - mean) ** 2 for t in true)}
    one, two = (lines_of(run("evaluate", *models, *use, ranks=2)) for models in (["log"], ["log", "log"]))
    for name, value in expected.items():
        for figures in (one, two):  # alone, and as an ensemble of equals
            check(abs(float(figures[name]) - value) < 1e-5 * (abs(value) + 1), f"{name} {figures[name]}, expected {value}")
    # A target without a logarithm, wherever it is; it is named before the first step, or when it is met.
    bad = [dict(row) for row in rows[:300]]
    bad[299]["price"] = "-4.5"
    write("bad.csv", bad, ("a", "b", "price"))
    for line in (run("train", "--data", "bad.csv", *train, "--validation", "0", "--out", "no", code=3, ranks=2),
                 run("train", "--data", "bad.csv", *train, "--validation", "tail(0.1)", "--out", "no", code=3, ranks=2),
                 run("train", "--data", "prices.csv", *train, "--test", "bad.csv", "--out", "no", code=3, ranks=2),
                 run("evaluate", "log", "--data", "bad.csv", "--split", "train", "--validation", "0", code=3, ranks=2)):
        check("trainer: error: --scale-targets log: bad.csv: line 301 has the target -4.5 (price)" in line, line)
    run("predict", "log", "--data", "bad.csv", "--out", "bad_out.csv")


with tempfile.TemporaryDirectory(prefix="trainer-columns-") as folder:
    os.chdir(folder)
    table = rows_of(400, 1)
    write("table.csv", table)
    check_regression(table)
    check_files(table)
    check_classes(table)
    check_missing(table)
    check_logarithms()
    sys.exit(finish())
