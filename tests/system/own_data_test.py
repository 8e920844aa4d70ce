#!/usr/bin/python3
"""Users' own data, from their files to predictions: own_data_test.py TRAINER

A file by h5py and a table by pandas' hand, against numpy in double precision; many small files with rows on the last axis;
the same bits resident and streamed, at any scale, and after a kill in mid-epoch; how well the rows of streamed data are shuffled;
original units; rare classes."""
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

try:
    import h5py
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}; Debian's python3-h5py has it")
    sys.exit(77)

sys.dont_write_bytecode = True
from program import ENVIRONMENT, LIMIT, TRAINER, bytes_of, check, finish, read_csv, read_h5, run  # noqa: E402
from numpy_model import Reference, near  # noqa: E402

LAYOUTS = ((1, 1), (1, 2), (2, 1), (3, 2))  # ranks, threads


def figures(text):
    return {line.split()[0]: float(line.split()[1]) for line in text.splitlines()
            if len(line.split()) == 2 and not line.startswith(("class_", "target_"))}


def digest(line):
    found = re.search(r"weights ([0-9a-f]{32})", line)
    check(found is not None, f"no digest in {line}")
    return found and found[1]


def train(out, *options, **how):
    return digest(run("train", "--out", out, "--quiet", *options, **how))


def check_classes(name, raw, labels, names):
    """predictions.h5 and .csv of the model `name` and evaluate's figures against numpy, from the inputs as they reach the net."""
    model = Reference(f"{name}/best.h5")
    check([str(text) for text in model.attributes["class_names"]] == names, f"{name}: names {model.attributes['class_names']}")
    expected, bound, z, z_bound = model.run(raw)
    sets, _ = read_h5(f"{name}_out.h5")
    near(sets["predictions"], expected, bound, name)
    check(np.ptp(expected, axis=0).min() > 100 * bound.max(), f"{name}: a test of nothing")
    gap = z.max(1) - z[np.arange(len(z)), sets["classes"]]
    check(bool((gap <= 2 * z_bound.max(1)).all()), f"{name}: classes are no arg max")
    header, rows = read_csv(f"{name}_out.csv")
    check(header == ["row", "class"] + [f"p_{text}" for text in names], f"{name}: header {header}")
    check([row[1] for row in rows] == [names[k] for k in sets["classes"]], f"{name}: classes of the CSV file")
    return {"loss": -np.log(expected[np.arange(len(labels)), labels]).mean(), "accuracy": (expected.argmax(1) == labels).mean()}


def evaluate_and_predict(name, data, rows):
    for ending, ranks in (("h5", 2), ("csv", 0)):
        run("predict", name, "--data", data, "--out", f"{name}_out.{ending}", ranks=ranks)
    found = figures(run("evaluate", name, "--data", data, "--split", "train", "--validation", "0", ranks=2))
    check(found["rows"] == rows, f"{name}: evaluated on {found['rows']} rows")
    return found


def compare(name, found, expected):
    for figure, value in expected.items():
        check(abs(found[figure] - value) < 1e-5 * (1 + abs(value)), f"{name}: {figure} {found[figure]}, numpy has {value}")


def check_h5py_file():
    """float64 inputs in gzip chunks, classes as text."""
    random = np.random.default_rng(1)
    x = random.normal(size=(1500, 4, 3)) * 10.0 ** np.arange(-2, 2)[:, None] + 7
    names = ["gamma", "electron", "pion zéro"]
    labels = ((x.reshape(len(x), -1) - 7) / np.repeat(10.0 ** np.arange(-2, 2), 3) @ random.normal(size=(12, 3))).argmax(1)
    with h5py.File("events.h5", "w") as file:
        file.create_dataset("run/cells", data=x, chunks=(100, 4, 3), compression="gzip", shuffle=True)
        file.create_dataset("run/kind", data=[names[k] for k in labels], dtype=h5py.string_dtype())
    train("events", "--data", "events.h5", "--inputs", "run/cells", "--targets", "run/kind", "--model",
          "dense(20) batch_norm relu dense(outputs)", "--epochs", 3, "--batch-size", 64)
    found = evaluate_and_predict("events", "events.h5", len(x))  # the checkpoint says where inputs and targets lie
    order = sorted(names, key=lambda name: name.encode())
    raw = x.reshape(len(x), -1).astype(np.float32)
    compare("events", found, check_classes("events", raw, np.array([order.index(names[k]) for k in labels]), order))
    with h5py.File("bare.h5", "w") as file:
        file["run/cells"] = x[:700]
    run("predict", "events", "--data", "bare.h5", "--out", "bare_out.h5")
    bare, whole = (read_h5(path)[0]["predictions"] for path in ("bare_out.h5", "events_out.h5"))
    check(bare.tobytes() == whole[:700].tobytes(), "events: differs without targets")


def encoded(text, rows):
    """The inputs that the encoding in a checkpoint makes of the fields of a table."""
    quoted = r'"((?:[^"\\]|\\x[0-9a-f]{2})*)"'
    columns = []
    inputs = text.split(" columns:", 1)[1]
    for match in re.finditer(rf' (\d+) {quoted} (number|in(?: {quoted})+)', inputs):
        place = int(match[1]) - 1
        fields = [row[place] for row in rows]
        if match[3] == "number":
            columns.append(np.array(fields, dtype=np.float64))
        else:
            for category in re.findall(quoted, match[3]):
                category = re.sub(r"\\x(..)", lambda found: chr(int(found[1], 16)), category)
                columns.append(np.array([float(field == category) for field in fields]))
    return np.stack(columns, 1).astype(np.float32)


def check_table():
    """As DataFrame.to_csv writes it: an index without a name, a header, texts quoted where they must be."""
    random = np.random.default_rng(2)
    rows = 1200
    colors = ["blue", "red, dark", 'so called "green"', "übergrau"]
    color = random.integers(0, len(colors), rows)
    width, count = random.normal(120, 30, rows), random.integers(-5, 60, rows)
    score = (width - 120) / 30 + (color - 1.5) + count / 20 + random.normal(0, 0.3, rows)
    names = ["high", "low", "mid, or so"]
    labels = np.where(score > 2, 0, np.where(score < 0.5, 1, 2))
    order = random.permutation(rows)  # an index that says nothing
    table = [[str(order[i]), repr(float(width[i])), colors[color[i]], str(count[i]), names[labels[i]]] for i in range(rows)]
    with open("table.csv", "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerows([["", "width", "color", "count", "kind"], *table])
    train("table", "--data", "table.csv", "--target-columns", "kind", "--model", "dense(16) relu dense(outputs)", "--epochs", 15,
          "--batch-size", 64, "--lr", "1e-2")
    with h5py.File("table/best.h5", "r") as file:
        encoding, scaling = file["model"].attrs["encoding"], {name: value[...] for name, value in file["scaling"].items()}
    raw = encoded(encoding, table)
    check(raw.shape[1] == 6 and raw[:, -5:-1].sum() == rows, f"table: encoded as {encoding}")
    # Scaled by the mean and deviation of the 1,080 training rows, which cannot be far from those of all.
    check(np.abs(scaling["mean"] - raw.mean(0)).max() < 0.1 * raw.std(0).max(), f"table: means {scaling['mean']}")
    found = evaluate_and_predict("table", "table.csv", rows)
    compare("table", found, check_classes("table", raw, labels, names))
    check(found["accuracy"] > 0.8, f"table: accuracy {found['accuracy']}")

    # Other rows, without the target and in which a category does not occur, are encoded alike.
    few = [row for row in table[:300] if row[2] != colors[1]]
    with open("few.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["", "width", "color", "count"], *[row[:4] for row in few]])
    run("predict", "table", "--data", "few.csv", "--out", "few.h5")
    expected, bound, _, _ = Reference("table/best.h5").run(encoded(encoding, few))
    near(read_h5("few.h5")[0]["predictions"], expected, bound, "table: other rows")


def check_many_files():
    """A miniature of ClimSim: 1,000 files of inputs and as many of targets, several variables each, rows on the last axis."""
    random = np.random.default_rng(3)
    count, rows = 1000, 48
    t, q, ps = random.normal(size=(count, 20, rows)), random.random((count, 8, rows)), random.normal(1000, 30, (count, rows))
    for folder in ("climate", "climate/in", "climate/out"):
        os.mkdir(folder)
    tend = np.tanh(t[:, :5] + q[:, :5])
    rain = q.sum(1) + (ps - 1000) / 30
    for i in range(count):
        with h5py.File(f"climate/in/in.{i:04d}.nc", "w") as file:
            file["state_t"], file["state_q"], file["state_ps"] = t[i], q[i].astype(np.float32), ps[i]
        with h5py.File(f"climate/out/out.{i:04d}.nc", "w") as file:
            file["ptend_t"], file["rain"] = tend[i], rain[i].astype(np.float32)
    where = ["--data", "climate/in/in.*.nc", "--targets-data", "climate/out/out.*.nc", "--row-axis", "-1", "--inputs",
             "state_t, state_q[0:6], state_ps", "--targets", "ptend_t, rain"]
    how = [*where, "--model", "dense(32) tanh dense(outputs)", "--batch-size", 512, "--epochs", 2, "--shuffle", "chunks(1)"]
    whole = train("climate_model", *how, "--memory-limit", "1G", ranks=2)
    check(train("climate_streamed", *how, "--memory-limit", "7M", ranks=3) == whole, "climate: streamed rows give other weights")
    check(is_streamed("climate_streamed") and not is_streamed("climate_model"), "climate: resident and streamed are mixed up")
    run("predict", "climate_model", "--data", "climate/in/in.*.nc", "--out", "climate.h5", ranks=2)
    raw = np.concatenate([t, q[:, :6], ps[:, None]], 1).transpose(0, 2, 1).reshape(count * rows, 27).astype(np.float32)
    y = np.concatenate([tend, rain[:, None]], 1).transpose(0, 2, 1).reshape(count * rows, 6).astype(np.float32)
    expected, bound, _, _ = Reference("climate_model/best.h5").run(raw)
    near(read_h5("climate.h5")[0]["predictions"], expected, bound, "climate")
    found = figures(run("evaluate", "climate_model", *where[:4], "--split", "train", "--validation", "0"))
    compare("climate", found, {"rows": count * rows, "rmse": np.sqrt(((expected - y) ** 2).mean(0)).mean()})
    check(found["r2"] > 0.7, f"climate: r2 {found['r2']}")


def is_streamed(name):
    with open(f"{name}/log.txt") as file:
        return "the rows stay in their files" in file.read()


def check_same_bits():
    """33 MB of rows under limits above and below; any ranks and threads; killed in mid-epoch."""
    random = np.random.default_rng(4)
    x = random.normal(size=(32000, 256)).astype(np.float32)
    with h5py.File("wide.h5", "w") as file:
        file.create_dataset("x", data=x, chunks=(600, 256))
        file["y"] = np.tanh(x @ random.normal(size=(256, 2)) / 16)
    wide = ["--data", "wide.h5", "--model", "dense(16) batch_norm relu dropout(0.1) dense(outputs)", "--validation", "3000 rows",
            "--batch-size", 1000, "--shards", 5, "--evaluate-every", "11 steps", "--checkpoint-every", "4 steps", "--epochs", 3]
    steps = 29  # an epoch
    below, above = ("--memory-limit", "40M"), ("--memory-limit", "1G")
    for shuffle in ("chunks(3)", "none"):
        runs = {}
        # Every layout streamed, in memory one and another.
        for ranks, threads in LAYOUTS if shuffle != "none" else ((1, 2), (2, 1)):
            for limit in (below, above) if (ranks, threads) in ((1, 2), (3, 2)) else (below,):
                name = f"wide_{shuffle[:4]}_{ranks}_{threads}_{limit[1]}"
                runs[name] = train(name, *wide, *limit, "--shuffle", shuffle, ranks=ranks, threads=threads)
                check(is_streamed(name) == (limit is below), f"{name}: resident and streamed are mixed up")
        check(len(set(runs.values())) == 1, f"{shuffle}: {runs}")
        check(len({bytes_of(f"{name}/metrics.csv") for name in runs}) == 1, f"{shuffle}: metrics.csv differs")
    whole = train("whole", *wide, *above, "--shuffle", "chunks(3)")
    check(whole != runs[name], "the order of the rows changes nothing: a test of nothing")
    job = subprocess.Popen([TRAINER, "train", *map(str, wide), *below, "--shuffle", "chunks(3)", "--out", "killed", "--threads", "1",
                            "--quiet"], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    end = time.monotonic() + LIMIT
    while newest("killed") < steps + 4 and time.monotonic() < end and job.poll() is None:
        time.sleep(0.002)
    job.send_signal(signal.SIGKILL)
    check(job.wait() == -signal.SIGKILL, "the run was done before it was killed")
    at = newest("killed")
    check(at % steps != 0 and at < 3 * steps, f"killed after step {at}, not in mid-epoch")
    for ranks, limit in ((3, below), (2, above)):
        shutil.copytree("killed", f"resumed{ranks}")
        line = run("resume", f"resumed{ranks}", "--quiet", *limit, ranks=ranks)
        check(digest(line) == whole, f"killed after step {at}, resumed on {ranks} ranks: {line}")


def newest(name):
    folder = f"{name}/checkpoints"
    found = [re.fullmatch(r"step-(\d+)\.h5", file) for file in (os.listdir(folder) if os.path.isdir(folder) else [])]
    return max((int(match[1]) for match in found if match), default=0)


def final_loss(name):
    with open(f"{name}/metrics.csv", newline="") as file:
        return float(list(csv.DictReader(file))[-1]["val_loss"])


def check_shuffle():
    """Rows sorted by class, in 32 blocks of a MiB: windows of 16 blocks end where a full permutation does, windows of one do not."""
    random = np.random.default_rng(5)
    rows, features, classes = 32 * 1024, 256, 4
    labels = np.sort(np.arange(rows) % classes)
    centres = random.normal(size=(classes, features)) * 0.2
    with h5py.File("sorted.h5", "w") as file:
        file["x"] = (centres[labels] + random.normal(size=(rows, features))).astype(np.float32)
        file["y"] = labels.astype(np.int64)
    losses = {}
    for shuffle in ("rows", "chunks(16)", "chunks(1)"):
        for seed in (1, 2, 3):
            name = f"sorted_{shuffle}_{seed}"
            train(name, "--data", "sorted.h5", "--shuffle", shuffle, "--seed", seed, "--model", "dense(outputs)", "--epochs", 4,
                  "--batch-size", 256, "--lr", "2e-3", "--validation", "4000 rows")
            losses.setdefault(shuffle, []).append(final_loss(name))
    mean = {shuffle: np.mean(values) for shuffle, values in losses.items()}
    # Of the difference of two means of three seeds; a constant rate, so that the last window shows in the loss.
    error = np.sqrt((np.var(losses["rows"], ddof=1) + np.var(losses["chunks(16)"], ddof=1)) / 3)
    print(f"final validation loss: {mean}, standard error {error:.5f}")
    check(abs(mean["chunks(16)"] - mean["rows"]) <= 3 * error, f"windows of 16 blocks are no full shuffle: {losses}")
    check(mean["chunks(1)"] - mean["rows"] > 10 * error, f"windows of one block are as good: a test of nothing: {losses}")


def check_original_units():
    """A known function, whose targets are far from 0 and of very different sizes."""
    random = np.random.default_rng(6)
    x = random.uniform(-2, 2, (6000, 3))
    y = np.stack([5000 + 300 * np.sin(x[:, 0]) + 100 * x[:, 1] * x[:, 2], 1e-3 * x[:, 0] ** 2], 1)
    with h5py.File("units.h5", "w") as file:
        file["x"], file["y"] = x, y
    train("units", "--data", "units.h5", "--model", "dense(64) tanh dense(outputs)", "--epochs", 40, "--batch-size", 64, "--lr", "5e-3",
          "--schedule", "cosine(0.01)")
    found = figures(run("evaluate", "units", "--data", "units.h5", "--split", "validation"))
    check(found["rows"] == 600 and found["r2"] >= 0.99, f"units: {found}")
    run("predict", "units", "--data", "units.h5", "--out", "units.csv")
    values = np.array([row[1:] for row in read_csv("units.csv")[1]], dtype=np.float64)
    r2 = 1 - ((values - y) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0)
    check(r2.min() >= 0.99, f"units: R2 {r2} by numpy")


def check_rare_class():
    """4 % of the rows are of class 1, among the others: weights find them."""
    random = np.random.default_rng(7)
    labels = (np.arange(5000) % 25 == 0).astype(np.int64)
    with h5py.File("rare.h5", "w") as file:
        file["x"], file["y"] = random.normal(size=(5000, 5)) + 0.8 * labels[:, None], labels
    found = {}
    for weights in ("none", "balanced"):
        train(weights, "--data", "rare.h5", "--model", "dense(8) relu dense(outputs)", "--epochs", 10, "--batch-size", 100, "--class-weights",
              weights, "--metrics", "balanced_accuracy", "--early-stopping", "val_balanced_accuracy(patience=20)")
        lines = run("evaluate", weights, "--data", "rare.h5", "--split", "train", "--validation", "0", "--metrics", "balanced_accuracy")
        found[weights] = figures(lines)["balanced_accuracy"]
    check(found["balanced"] > 0.75 and found["balanced"] > found["none"] + 0.1, f"rare class: balanced accuracy {found}")


def main():
    folder = tempfile.mkdtemp(prefix="trainer-own-data-")
    try:
        os.chdir(folder)
        wanted = sys.argv[2:]  # parts by name; all without
        for part in (check_h5py_file, check_table, check_many_files, check_same_bits, check_shuffle, check_original_units, check_rare_class):
            if wanted and part.__name__ not in wanted:
                continue
            start = time.monotonic()
            part()
            print(f"{part.__name__}: {time.monotonic() - start:.1f} s", flush=True)
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
