#!/usr/bin/python3
"""The commands of data on real files, by real ranks: data_command_test.py TRAINER FAIL_CALL_LIBRARY

What convert writes, against what was put in; the same bytes for any number of ranks; training on the copy against training on the
original; what is left when the file cannot be written or the program is killed; what describe says, against numpy."""
import functools
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
import program  # noqa: E402
from program import ENVIRONMENT, LIMIT, TRAINER, bytes_of, check, finish, small_disk  # noqa: E402

LIBRARY = os.path.abspath(sys.argv[2])
SMALL = ("--memory-limit", "16M")  # portions of 1 MiB: every rank has some
run = functools.partial(program.run, threads=None)  # commands of data have none


def write_idx(path, array):
    kind = {np.dtype(np.uint8): 8, np.dtype(np.float32): 13}[array.dtype]
    with gzip.open(path, "wb", 1) as file:
        file.write(struct.pack(">BBBB", 0, 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape))
        file.write(array.astype(array.dtype.newbyteorder(">")).tobytes())


def make_data():
    random = np.random.default_rng(5)
    data = {"pixels": random.integers(0, 256, (700, 4, 3)).astype(np.uint8), "labels": random.integers(0, 5, 700).astype(np.uint8)}
    os.mkdir("idx")
    for name, rows in (("train", slice(0, 600)), ("t10k", slice(600, 700))):
        write_idx(f"idx/{name}-images-idx3-ubyte.gz", data["pixels"][rows])
        write_idx(f"idx/{name}-labels-idx1-ubyte.gz", data["labels"][rows])
    data["numbers"] = random.normal(size=(100000, 10)).astype(np.float32)
    data["values"] = (data["numbers"][:, :2] * [100, 0.5]).astype(np.float32)
    with h5py.File("values.h5", "w") as file:  # in compressed chunks, and by names that nobody knows
        file.create_dataset("T", data=data["numbers"][:, :4], chunks=(9000, 4), compression="gzip", compression_opts=1)
        file.create_dataset("Q", data=data["numbers"][:, 4:].astype(np.float64))
        file["Z"] = data["values"]
    data["words"] = np.array(["zeta", "alpha", "mid", "größe"])[random.integers(0, 4, 50000)]
    with open("words.csv", "w", encoding="utf-8") as file:
        file.write("a,colour,b,label\n")
        for i in range(50000):
            file.write(f"{data['numbers'][i, 0]},{'red' if i % 3 else 'blue'},{data['numbers'][i, 1]},{data['words'][i]}\n")
    return data


VALUES = ("values.h5", "--inputs", "T, Q", "--targets", "Z")


def convert(what, *options, out="out.h5", ranks=(0, 1, 2, 3)):
    """Converts on all these ranks; the same bytes; returns the data sets."""
    whole = None
    for n in ranks:
        text = run("data", "convert", what, "--out", out, *SMALL, *options, ranks=n)
        check(text.splitlines()[-1] == f"out {out}", f"{what}: {text}")
        whole = whole or bytes_of(out)
        check(bytes_of(out) == whole, f"{what}: {n} ranks write other bytes")
        os.remove(out)
    with open(out, "wb") as file:
        file.write(whole)
    with h5py.File(out, "r") as file:
        return {name: file[name][()] for name in file}


def check_content(data):
    sets = convert("idx")
    check(sorted(sets) == ["x_test", "x_train", "y_test", "y_train"], f"idx: {sorted(sets)}")
    check(sets["x_train"].dtype == np.uint8 and np.array_equal(sets["x_train"], data["pixels"][:600]), "idx: pixels")
    check(np.array_equal(sets["x_test"], data["pixels"][600:]), "idx: pixels of the test")
    check(np.array_equal(sets["y_train"], data["labels"][:600]) and np.array_equal(sets["y_test"], data["labels"][600:]), "idx: labels")
    check(sorted(convert("idx", "--test", "none", ranks=(2,))) == ["inputs", "targets"], "--test none")
    check(sorted(convert("idx", "--task", "autoencoder", "--test", "none", ranks=(2,))) == ["inputs"], "an autoencoder's targets")

    sets = convert(*VALUES)
    check(sets["inputs"].dtype == np.float32 and np.array_equal(sets["inputs"], data["numbers"]), "hdf5: inputs")
    check(sets["targets"].dtype == np.float32 and np.array_equal(sets["targets"], data["values"]), "hdf5: targets")

    sets = convert("words.csv")
    check(sets["targets"].dtype.kind in "SO" and [text.decode() for text in sets["targets"]] == list(data["words"]), "csv: the names of the classes")
    check(sets["inputs"].shape == (50000, 4) and np.array_equal(sets["inputs"][:, 0], data["numbers"][:50000, 0]), "csv: numbers")
    check(np.array_equal(sets["inputs"][:, 1:3].argmax(1), np.arange(50000) % 3 > 0), "csv: categories")

    run("data", "generate", "blobs(rows=100000, features=8, classes=3, seed=4)", "--out", "made.h5", ranks=3)
    sets = convert("generate:blobs(rows=100000, features=8, classes=3, seed=4)", ranks=(2,))
    with h5py.File("made.h5", "r") as file:
        check(all(np.array_equal(file[name][()], sets[name]) for name in ("inputs", "targets")), "generate is not convert")
    check(np.array_equal(sets["targets"], np.arange(100000) % 3), "generate: classes")

    text = run("data", "convert", *VALUES, "--out", "out.h5", *SMALL, "--log-every", 1e-9)
    check("row 100000/100000  " in text, f"no lines of progress: {text}")
    for what, options, task in (("generate:teacher(rows=9, classes=1001)", (), "classification"), ("idx", ("--task", "autoencoder"), "autoencoder"),
                                ("idx", ("--task", "regression"), "regression"), ("words.csv", (), "")):
        text = run("data", "convert", what, *options, "--out", "out.h5")
        check(("use --data out.h5" + (f" --task {task}" if task else "")) in text.splitlines(), f"{what}: {text}")


def digest(what, *options):
    text = run("train", "--data", what, "--model", "dense(7) tanh dense(outputs)", "--max-steps", 30, "--quiet", "--threads", 1, "--seed", 9,
               *options)
    return text.split("weights ")[1].split()[0]


def check_digests():
    for what, options in (("idx", ()), ("words.csv", ()), (VALUES[0], VALUES[1:]), ("generate:teacher(rows=5000)", ()),
                          ("generate:plane(rows=3000, noise=0.1)", ())):
        convert(what, *options, ranks=(2,), out="copy.h5")
        found = []
        for shuffle in ("rows", "none"):
            here = [digest(what, *options, "--shuffle", shuffle), digest("copy.h5", "--shuffle", shuffle)]
            check(here[0] == here[1], f"{what}: training on the copy gives other weights (--shuffle {shuffle})")
            found.append(here[0])
        check(found[0] != found[1], "two orders give the same weights")


def check_refusals(data):
    os.mkdir("empty")
    with h5py.File("bad.h5", "w") as file:
        numbers = data["numbers"].copy()
        numbers[99999, 3] = np.nan
        file["x"], file["y"] = numbers, data["values"]
    for words, code, pattern in ((["idx", "--out", "empty/y.csv"], 2, "ends in .h5 or .hdf5"),
                                 (["none", "--out", "empty/y.h5"], 3, "does not exist"),
                                 (["idx", "--out", "empty/none/y.h5"], 3, "empty/none/y.h5"),
                                 ([*VALUES, "--out", "values.h5"], 2, "is one of the files of the data"),
                                 (["./val*.h5", *VALUES[1:], "--out", "values.h5"], 2, "is one of the files of the data"),
                                 (["bad.h5", "--out", "empty/y.h5", *SMALL], 3, "row 99999"),
                                 (["idx", "--out", "empty/y.h5", "--memory-limit", "1K"], 3, "cannot be read in parts"),
                                 (["generate:xor", "--out", "empty/y.h5", "--inputs", "x"], 2, "--inputs")):
        for ranks in (0, 3):
            line = run("data", "convert", *words, ranks=ranks, code=code)
            check(pattern in line, f"{words}: {line}")
    check(not os.listdir("empty"), f"a refused conversion leaves {os.listdir('empty')}")


def check_faults():
    """Every system call on the file fails once, or is the last before a kill: the old file stays, or the new one is there, whole."""
    target = "empty/y.h5"

    def faulty(log="", at="", how=""):
        environment = dict(ENVIRONMENT, LD_PRELOAD=LIBRARY, FAIL_UNDER="empty", FAIL_LOG=log, FAIL_AT=at, FAIL_HOW=how)
        return subprocess.run([TRAINER, "data", "convert", "idx", "--out", target], env=environment, capture_output=True, text=True,
                              timeout=LIMIT)

    check(faulty(log="calls").returncode == 0, "with the library in front")
    whole = bytes_of(target)
    with open("calls") as file:
        calls = [line.rstrip("\n").split(" ", 1)[1] for line in file]
    renamed = next(i for i, call in enumerate(calls) if call.startswith("rename "))
    for kind in ("open", "pwrite", "fsync", "close"):
        check(any(call.startswith(kind + " ") for call in calls[:renamed]), f"no {kind} among {calls}")
    for number, call in enumerate(calls):
        if call.startswith(("unlink ", "close . ", "MPI_", "posix_fallocate", "fallocate")):
            continue  # of what is not there; after all is done; where the system need not take the space
        for how in ("ENOSPC", "KILL_BEFORE"):
            with open(target, "w") as file:
                file.write("old")
            done = faulty(at=call, how=how)
            what = f"{how} at {call}"
            if how == "ENOSPC":
                lines = [line for line in done.stderr.splitlines() if line.startswith("trainer: error: ")]
                check(done.returncode == 3 and len(lines) == 1, f"{what}: code {done.returncode}: {done.stderr}")
                check(os.listdir("empty") == ["y.h5"], f"{what}: leaves {os.listdir('empty')}")
            else:
                check(done.returncode != 0, f"{what}: code 0")
            check(bytes_of(target) == (b"old" if number <= renamed else whole), f"{what}: another file is there")
    for name in os.listdir("empty"):
        os.remove(f"empty/{name}")


def check_full_disk():
    """A small file system, where one may be mounted: exit code 3, one line, nothing left; all ranks end."""
    with small_disk() as disk:
        if disk is None:
            return
        for ranks in (0, 2):
            line = run("data", "convert", *VALUES, "--out", "disk/y.h5", *SMALL, ranks=ranks, code=3)
            check("No space left on device; free some space" in line, line)
            check(not os.listdir("disk"), f"left on the full disk: {os.listdir('disk')}")


def check_kill():
    """Killed while it writes: nothing at the final name; the next call writes it."""
    os.mkdir("killed")
    words = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", "2", TRAINER, "data", "generate",
             "teacher(rows=3000000, features=50, hidden=200)", "--out", "killed/y.h5"]
    job = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + LIMIT
    while not os.path.exists("killed/.tmp-y.h5") and time.monotonic() < end:
        time.sleep(0.01)
    check(job.poll() is None, "was done before it was killed")
    job.terminate()
    check(job.wait() != 0, "a killed job returns 0")
    check("y.h5" not in os.listdir("killed"), "there is a file after the kill")
    run("data", "generate", "blobs(rows=10)", "--out", "killed/y.h5", ranks=2)
    check(os.listdir("killed") == ["y.h5"], f"after the next call: {os.listdir('killed')}")


def described(*words, code=0):
    text = run("data", "describe", *words, code=code, everything=True)
    lines = dict(line.split(" ", 1) for line in text.splitlines() if not line.startswith("advice: "))
    return lines, [line for line in text.splitlines() if line.startswith("advice: ")]


def spread(targets, batch=256):
    """The definition, for the order of the rows; targets: [rows, columns]."""
    targets = targets.astype(np.float64)
    whole = targets[: len(targets) // batch * batch].reshape(-1, batch, targets.shape[1])
    return whole.mean(1).var(0, ddof=1).sum() * batch / targets.var(0, ddof=1).sum()


def measured(lines, name="shuffle_spread"):
    return float(lines[name].split()[0])


def check_descriptions(data):
    lines, advice = described("idx", "--shuffle", "none")
    counts = np.bincount(data["labels"][:600])
    check(lines["rows"] == "600" and lines["test_rows"] == "100" and lines["row"] == "4 x 3 uint8", f"idx: {lines}")
    check(lines["targets"] == "5 classes" and [int(lines[f"class_{c}"]) for c in range(5)] == list(counts), f"idx: {lines}")
    pixels = data["pixels"][:600]
    check([float(lines[f"inputs_{name}"]) for name in ("min", "max")] == [pixels.min(), pixels.max()], "idx: least and greatest")
    check(abs(float(lines["inputs_mean"]) - pixels.mean()) < 1e-3, "idx: mean")
    check(abs(measured(lines) - spread(np.eye(5)[data["labels"][:600]])) < 0.006, f"idx: {lines['shuffle_spread']}")
    check(lines["trouble"] == "none" and not advice, f"idx: {advice}")

    lines, advice = described(*VALUES, "--shuffle", "none")
    check(lines["targets"] == "2 columns" and lines["task"].startswith("regression (from the data"), f"hdf5: {lines}")
    z = data["values"]
    words = lines["target_1"].split()
    check(words[::2] == ["min", "mean", "max"], f"hdf5: {words}")
    near = [abs(float(word) - figure) < 2e-6 * abs(z[:, 1]).max() for word, figure in zip(words[1::2], (z[:, 1].min(), z[:, 1].mean(), z[:, 1].max()))]
    check(all(near), f"hdf5: {words}")
    check(abs(measured(lines) - spread(z)) < 0.006, f"hdf5: {lines['shuffle_spread']}")
    check(0.7 < measured(lines, "shuffle_spread_rows") < 1.3, f"hdf5: {lines}")

    # Rows sorted by class, large enough for blocks: what the orders are for.
    order = np.sort(data["labels"][np.arange(100000) % 700], kind="stable")
    wide = np.repeat(data["numbers"], 6, axis=1)
    wide[:, 7] = 3
    with h5py.File("sorted.h5", "w") as file:
        file.create_dataset("x", data=wide, chunks=(2000, 60), compression="gzip", compression_opts=1)
        file["y"] = order
    expected = spread(np.eye(5)[order])
    for shuffle, low, high in (("none", expected - 0.006, expected + 0.006), ("rows", 0.7, 1.3), ("chunks(1)", 150, 300), ("chunks(4)", 20, 150)):
        lines, advice = described("sorted.h5", "--shuffle", shuffle)
        check(low < measured(lines) < high, f"sorted, {shuffle}: {lines['shuffle_spread']}, expected {low} to {high}")
        check(any("batches are not alike" in line for line in advice) == (shuffle != "rows"), f"sorted, {shuffle}: {advice}")
    check(expected > 200, f"sorted rows are spread by {expected}")
    check(lines["constant_columns"] == "1 (columns 7)", lines["constant_columns"])
    check(lines["pieces"].split()[0] == "50", lines["pieces"])

    # How it is stored, and what to do.
    with h5py.File("stored.h5", "w") as file:
        file.create_dataset("x", data=wide, chunks=(100000, 30), compression="gzip", compression_opts=1)
        file["y"] = np.where(np.arange(100000) % 100 == 0, 1, 0)
    lines, advice = described("stored.h5")
    check(lines["stored"].startswith("/x 100000 x 60, in chunks of 100000 x 30, ") and lines["stored"].endswith("compressed"), lines["stored"])
    check("cut its rows: 2 of them" in advice[0], f"stored: {advice}")
    check(any("trainer data convert stored.h5 --out" in line for line in advice), f"stored: {advice}")
    check(any("--class-weights balanced" in line for line in advice), f"stored: {advice}")

    lines, advice = described("words.csv")
    check(lines["targets"] == "4 classes" and lines["class_0"].endswith(" alpha"), f"csv: {lines}")
    check(lines["columns"] == "4" and "a header" in lines["origin"], f"csv: {lines}")
    lines, _ = described("generate:plane(rows=2000)")
    check(lines["rows"] == "2000" and lines["targets"] == "1 columns", f"generate: {lines}")
    lines, _ = described("idx", "--task", "autoencoder")
    check(lines["task"] == "autoencoder (--task)" and "shuffle_spread" not in lines, f"autoencoder: {lines}")

    # The error that training would meet is the error of describe.
    lines, _ = described("bad.h5", code=3)
    line = run("train", "--data", "bad.h5", "--validation", 0, "--model", "dense(outputs)", "--out", "bad", code=3)
    check("trainer: error: " + lines["trouble"] in line, f"bad.h5: {lines['trouble']} and {line}")
    lines, _ = described("sorted.h5", "--shuffle", "rows", "--memory-limit", "16M", code=3)
    line = run("train", "--data", "sorted.h5", "--shuffle", "rows", "--memory-limit", "16M", "--out", "bad", code=2)
    check("trainer: error: " + lines["trouble"] in line, f"sorted.h5: {lines['trouble']} and {line}")
    enough = lines["trouble"].split("say --memory-limit ")[1].split()[0]
    check(described("sorted.h5", "--shuffle", "rows", "--memory-limit", enough)[0]["trouble"] == "none", f"{enough} is not enough")
    line = run("data", "describe", "none.h5", code=3)
    check("does not exist" in line, line)
    check("--shuffle" in run("data", "describe", "idx", "--shuffle", "some", code=2), "a bad order")


def main():
    folder = tempfile.mkdtemp(prefix="trainer-data-")
    try:
        os.chdir(folder)
        data = make_data()
        check_content(data)
        check_digests()
        check_refusals(data)
        check_descriptions(data)
        check_faults()
        check_full_disk()
        check_kill()
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    return finish()


sys.exit(main())
