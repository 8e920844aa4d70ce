#!/usr/bin/python3
"""Predictions of real models, written by real ranks, against numpy in double precision: predict_test.py TRAINER FAIL_CALL_LIBRARY

Classification, regression with scaled targets and an autoencoder, as HDF5 and CSV; ensembles; samples with dropout at work; the
same bytes for any number of ranks and threads; and what is left when the file cannot be written or the program is killed."""
import gzip
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

sys.dont_write_bytecode = True
from program import ENVIRONMENT, LIMIT, TRAINER, bytes_of, check, finish, read_csv, read_h5, run, small_disk  # noqa: E402
from numpy_model import Reference, near  # noqa: E402

LIBRARY = os.path.abspath(sys.argv[2])
ROWS, FEATURES = 1000, 6


def write_idx(path, array):
    kind = {np.dtype(np.uint8): 8, np.dtype(np.float32): 13}[array.dtype]
    with gzip.open(path, "wb", 1) as file:
        file.write(struct.pack(">BBBB", 0, 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape))
        file.write(array.astype(array.dtype.newbyteorder(">")).tobytes())


def make_data():
    """Rows in IDX folders: classes (bytes), values (floats), and both without their labels."""
    random = np.random.default_rng(3)
    weights = random.normal(size=(FEATURES, 4))
    for name in ("classes", "values", "bare_classes", "bare_values"):
        os.mkdir(name)
    pixels = random.integers(0, 256, (ROWS, FEATURES)).astype(np.uint8)
    labels = ((pixels - 128.0) @ weights).argmax(1).astype(np.uint8)
    numbers = (random.normal(size=(ROWS, FEATURES)) * [1, 10, 0.1, 3, 1, 1] + [0, 100, 0, 5, 0, -3]).astype(np.float32)
    values = np.stack([numbers[:, 0] * 300 + 5000, np.sin(numbers[:, 1]) * 0.01, numbers[:, 3] ** 2], 1).astype(np.float32)
    for folder, inputs in (("classes", pixels), ("values", numbers)):
        for place in (folder, "bare_" + folder):
            write_idx(f"{place}/train-images-idx2-ubyte.gz", inputs)
    write_idx("classes/train-labels-idx1-ubyte.gz", labels)
    write_idx("values/train-labels-idx2-ubyte.gz", values)
    return {"classes": (pixels, labels), "values": (numbers, values)}


def train(out, data, model, *options):
    if data == "values" and "--task" not in options:
        options = (*options, "--task", "regression")
    run("train", "--data", data, "--model", model, "--out", out, "--epochs", 3, "--batch-size", 64, "--quiet", *options)


def check_against_numpy(data):
    """Each kind of model, from data with targets and without, as HDF5 and as CSV."""
    cases = [("classification", "classes", "dense(16) batch_norm relu dropout(0.2) dense(outputs)", []),
             ("regression", "values", "dense(24) tanh batch_norm dense(outputs)", []),
             ("autoencoder", "values", "dense(4) tanh dense(outputs)", ["--task", "autoencoder"])]
    for name, source, model, options in cases:
        train(name, source, model, *options)
        expected, bound, z, z_bound = Reference(f"{name}/best.h5").run(data[source][0])
        out = run("predict", name, "--data", source, "--out", f"{name}.h5")
        check(out == f"rows {ROWS}\noutputs {expected.shape[1]}\nout {name}.h5\n", f"{name}: says {out}")
        sets, attributes = read_h5(f"{name}.h5")
        check(attributes["task"] == name and attributes["format"] == "trainer predictions", f"{name}: attributes")
        predictions = sets["predictions"]
        check(predictions.dtype == np.float32 and predictions.shape == expected.shape, f"{name}: type or shape")
        near(predictions, expected, bound, name)
        check(np.ptp(expected, axis=0).min() > 100 * bound.max() or name != "classification", f"{name}: a test of nothing")
        run("predict", f"{name}/best.h5", "--data", "bare_" + source, "--out", f"{name}_bare.h5")
        bare, _ = read_h5(f"{name}_bare.h5")
        check(bare["predictions"].tobytes() == predictions.tobytes(), f"{name}: differs without targets")
        run("predict", name, "--data", source, "--out", f"{name}.csv", threads=2)
        header, rows = read_csv(f"{name}.csv")
        first = 1
        if name == "classification":
            first = 2
            check(sorted(sets) == ["classes", "predictions", "probabilities"], f"{name}: {sorted(sets)}")
            check(sets["probabilities"].tobytes() == predictions.tobytes(), "probabilities differ")
            classes = sets["classes"]
            gap = np.take_along_axis(z, z.argmax(1)[:, None], 1)[:, 0] - z[np.arange(ROWS), classes]
            check(classes.dtype == np.int64 and bool((gap <= 2 * z_bound.max(1)).all()), "classes are no arg max")
            check(header == ["row", "class"] + [f"p_{k}" for k in range(4)], f"header {header}")
            check([int(row[1]) for row in rows] == list(classes), "classes of CSV and HDF5 differ")
        else:
            check(sorted(sets) == ["predictions"], f"{name}: {sorted(sets)}")
            check(header == ["row"] + [f"target_{k}" for k in range(expected.shape[1])], f"header {header}")
        check([int(row[0]) for row in rows] == list(range(ROWS)), f"{name}: rows of the CSV file")
        numbers = np.array([row[first:] for row in rows]).astype(np.float32)
        check(numbers.tobytes() == predictions.tobytes(), f"{name}: CSV and HDF5 differ")


def check_same_bytes():
    """More rows than a window, an ensemble, samples: the same file whoever computes it."""
    spec = "generate:blobs(rows=70001, features=3, classes=3, noise=3)"
    small = "generate:blobs(rows=2000, features=3, classes=3, noise=3)"
    for seed in (1, 2):
        train(f"blobs{seed}", small, "dense(8) batch_norm relu dropout(0.3) dense(outputs)", "--seed", seed)
    for name, data, options in (("large", spec, []), ("many", small, ["blobs2", "--samples", 3, "--seed", 9])):
        for ending in ("h5", "csv"):
            whole = None
            for ranks, threads in ((0, 1), (1, 2), (2, 1), (3, 2)):
                out = f"{name}.{ending}"
                run("predict", "blobs1", *options, "--data", data, "--out", out, ranks=ranks, threads=threads)
                whole = whole or bytes_of(out)
                check(bytes_of(out) == whole, f"{out}: {ranks} ranks of {threads} threads write other bytes")
    large, _ = read_h5("large.h5")
    _, rows = read_csv("large.csv")
    check(len(rows) == 70001 == len(large["classes"]) and int(rows[-1][0]) == 70000, "rows of two windows")
    numbers = np.array([row[2:] for row in rows]).astype(np.float32)
    check(numbers.tobytes() == large["predictions"].tobytes(), "CSV and HDF5 of two windows differ")


def figures(text):
    return {line.split()[0]: float(line.split()[1]) for line in text.splitlines()
            if len(line.split()) == 2 and not line.startswith(("class_", "target_"))}


def check_ensembles(data):
    pixels, labels = data["classes"]
    train("second", "classes", "dense(5) tanh dense(outputs)", "--scale", "global", "--seed", 7)
    members = []
    for model in ("classification", "second"):
        run("predict", model, "--data", "classes", "--out", "one.h5")
        members.append(read_h5("one.h5")[0]["predictions"].astype(np.float64))
    members = np.stack(members)
    run("predict", "classification", "second", "--data", "bare_classes", "--out", "both.h5")
    sets, attributes = read_h5("both.h5")
    check(list(attributes["models"]) == ["classification/best.h5", "second/best.h5"], "the members' names")
    near(sets["predictions"], members.mean(0), 2.0**-23 * members.mean(0), "mean of an ensemble")
    near(sets["deviation"], members.std(0), 2.0**-22 * (members.std(0) + 1e-9), "deviation of an ensemble")
    check(bool((sets["classes"] == sets["predictions"].argmax(1)).all()), "classes of an ensemble")
    run("predict", "classification", "second", "--data", "bare_classes", "--out", "both.csv")
    header, _ = read_csv("both.csv")
    check(header[-4:] == [f"sd_{k}" for k in range(4)], f"header {header}")

    p = members.mean(0)
    lines = [run("evaluate", "classification", "second", "--data", "classes", "--split", "train", "--validation", "0",
                 ranks=ranks) for ranks in (0, 2)]
    check(lines[0] == lines[1], "evaluation of an ensemble depends on ranks")
    found = figures(lines[0])
    check(found["models"] == 2, "models are not counted")
    check(abs(found["loss"] + np.log(p[np.arange(ROWS), labels]).mean()) < 1e-6, "loss of an ensemble")
    check(abs(found["accuracy"] - (p.argmax(1) == labels).mean()) < 1.5 / ROWS, "accuracy of an ensemble")

    # Each with a scaling of its own: values are averaged in original units.
    numbers, values = data["values"]
    train("unscaled", "values", "dense(8) tanh dense(outputs)", "--scale-targets", "none", "--scale", "global")
    members = np.stack([Reference(f"{model}/best.h5").run(numbers)[0] for model in ("regression", "unscaled")])
    run("predict", "regression", "unscaled", "--data", "bare_values", "--out", "values.h5")
    sets, _ = read_h5("values.h5")
    near(sets["predictions"], members.mean(0), 1e-5 * np.abs(members).max(0), "mean in original units")
    found = figures(run("evaluate", "regression", "unscaled", "--data", "values", "--split", "train", "--validation", "0"))
    error = members.mean(0) - values
    rmse = np.sqrt((error**2).mean(0))
    check(abs(found["rmse"] - rmse.mean()) < 1e-5 * rmse.mean(), "rmse of an ensemble")
    deviation = Reference("regression/best.h5").scaling["target_deviation"]
    loss = ((error / deviation) ** 2).mean()
    check(abs(found["loss"] - loss) < 1e-5 * loss, "loss of an ensemble in the first model's scaling")
    line = run("predict", "classification", "regression", "--data", "classes", "--out", "no.h5", code=3)
    check("must agree" in line, line)


def check_samples():
    """Dropout before a linear layer: the expectation of the samples is the plain output."""
    train("drops", "values", "dense(32) relu dropout(0.3) dense(outputs)")
    run("predict", "drops", "--data", "values", "--out", "plain.h5")
    plain = read_h5("plain.h5")[0]["predictions"].astype(np.float64)
    n = 400
    run("predict", "drops", "--data", "values", "--out", "sampled.h5", "--samples", n, "--seed", 5, threads=2)
    sets, attributes = read_h5("sampled.h5")
    check(attributes["samples"] == n and attributes["seed"] == 5, "samples and seed are not told")
    mean, deviation = sets["predictions"].astype(np.float64), sets["deviation"].astype(np.float64)
    check(bool((deviation > 0).all()), "a deviation is 0")
    off = np.abs(mean - plain) / (deviation / np.sqrt(n))
    check(off.max() < 7 and off.mean() > 0.3, f"samples are {off.max()} deviations off, {off.mean()} on average")
    for seed, same in ((5, True), (6, False)):
        run("predict", "drops", "--data", "values", "--out", "again.h5", "--samples", n, "--seed", seed, ranks=2)
        check((bytes_of("again.h5") == bytes_of("sampled.h5")) == same, f"samples of seed {seed}")
    line = run("predict", "regression", "--data", "values", "--out", "no.h5", "--samples", 5, code=2)
    check("needs a model with dropout" in line, line)


def nothing_in(folder, kept=()):
    return sorted(os.listdir(folder)) == sorted(kept)


def check_refusals(data):
    os.mkdir("empty")
    for words, code, pattern in (
            (["classification", "--out", "empty/y.txt"], 2, "ends in .h5, .hdf5 or .csv"),
            (["classification", "--out", "empty/none/y.h5"], 3, "empty/none/y.h5"),
            (["classification", "--out", "empty/none/y.csv"], 3, "empty/none/y.csv"),
            (["classification", "--out", "empty/y.h5", "--split", "test"], 2, "no test split"),
            (["none", "--out", "empty/y.h5"], 3, "none"),
            (["classification/best.h5", "--out", "classification/best.h5"], 2, "is the model itself"),
            (["classification", "--out", "empty/y.h5", "--missing", "drop"], 2, "--missing drop")):
        for ranks in (0, 2):
            line = run("predict", *words, "--data", "classes", ranks=ranks, code=code)
            check(pattern in line, f"{words}: {line}")
    line = run("predict", "blobs1", "--data", "classes", "--out", "empty/y.h5", code=3)
    check("input columns" in line, line)
    check(nothing_in("empty"), "a refused prediction leaves a file")
    if os.geteuid() != 0:
        os.chmod("empty", 0o500)
        check("make the folder writable" in run("predict", "classification", "--data", "classes", "--out", "empty/y.h5", code=3),
              "a folder that cannot be written to")
        os.chmod("empty", 0o700)


def check_faults():
    """Every system call on the file fails once, or is the last before a kill: the old file stays, or the new one is there, whole."""
    words = ["predict", "regression", "--data", "values", "--out"]
    for name in ("y.h5", "y.csv"):
        target = f"empty/{name}"

        def faulty(log="", at="", how="", **options):
            environment = dict(ENVIRONMENT, LD_PRELOAD=LIBRARY, FAIL_UNDER="empty", FAIL_LOG=log, FAIL_AT=at, FAIL_HOW=how)
            return subprocess.run([TRAINER, *words, target, "--threads", "1"], env=environment, capture_output=True, text=True,
                                  timeout=LIMIT)

        check(faulty(log="calls").returncode == 0, f"{name}: with the library in front")
        whole = bytes_of(target)
        with open("calls") as file:
            calls = [line.rstrip("\n").split(" ", 1)[1] for line in file]
        os.remove("calls")
        renamed = next(i for i, call in enumerate(calls) if call.startswith("rename "))
        for kind in ("open", "write" if name == "y.csv" else "pwrite", "fsync", "close"):
            check(any(call.startswith(kind + " ") for call in calls[:renamed]), f"{name}: no {kind} among {calls}")
        for number, call in enumerate(calls):
            if call.startswith(("unlink ", "close . ", "MPI_")):
                continue  # of what is not there; after all is done
            for how in ("ENOSPC", "KILL_BEFORE"):
                with open(target, "w") as file:
                    file.write("old")
                done = faulty(at=call, how=how)
                what = f"{name}: {how} at {call}"
                if how == "ENOSPC":
                    lines = [line for line in done.stderr.splitlines() if line.startswith("trainer: error: ")]
                    check(done.returncode == 3 and len(lines) == 1, f"{what}: code {done.returncode}: {done.stderr}")
                    check(name in lines[0] and "No space left on device; free some space" in lines[0], f"{what}: {lines}")
                    check(nothing_in("empty", [name]), f"{what}: leaves {os.listdir('empty')}")
                else:
                    check(done.returncode != 0, f"{what}: code 0")
                    check(set(os.listdir("empty")) <= {name, f".tmp-{name}"}, f"{what}: leaves {os.listdir('empty')}")
                check(bytes_of(target) == (b"old" if number <= renamed else whole), f"{what}: another file is there")
        os.remove(target)
        if os.path.exists(f"empty/.tmp-{name}"):
            os.remove(f"empty/.tmp-{name}")


def check_full_disk():
    """A small file system, where one may be mounted: exit code 3, one line, nothing left; all ranks end."""
    with small_disk() as disk:
        if disk is None:
            return
        for ranks in (0, 2):
            for name in ("y.h5", "y.csv"):
                line = run("predict", "blobs1", "--data", "generate:blobs(rows=20000, features=3, classes=3)", "--out",
                           f"disk/{name}", ranks=ranks, code=3)
                check("No space left on device; free some space" in line, line)
                check(nothing_in("disk"), f"{name}: something is left on the full disk")


def check_kill():
    """Killed while it writes: nothing at the final name; the next call writes it."""
    os.mkdir("killed")
    words = ["predict", "blobs1", "--data", "generate:blobs(rows=150000, features=3, classes=3)", "--out"]
    for name in ("y.h5", "y.csv"):
        job = subprocess.Popen([TRAINER, *words, f"killed/{name}", "--samples", "1000", "--threads", "1"], env=ENVIRONMENT,
                               stdout=subprocess.DEVNULL)
        end = time.monotonic() + LIMIT
        while not os.path.exists(f"killed/.tmp-{name}") and time.monotonic() < end:
            time.sleep(0.01)
        check(job.poll() is None, f"{name}: was done before it was killed")
        job.kill()
        job.wait()
        check(nothing_in("killed", [f".tmp-{name}"]), f"after the kill: {os.listdir('killed')}")
        run(*words, f"killed/{name}")
        check(nothing_in("killed", [name]), f"after the next call: {os.listdir('killed')}")
        os.remove(f"killed/{name}")


def main():
    folder = tempfile.mkdtemp(prefix="trainer-predict-")
    try:
        os.chdir(folder)
        data = make_data()
        check_against_numpy(data)
        check_same_bytes()
        check_ensembles(data)
        check_samples()
        check_refusals(data)
        check_faults()
        check_full_disk()
        check_kill()
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    return finish()


sys.exit(main())
