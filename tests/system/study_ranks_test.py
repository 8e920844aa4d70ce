#!/usr/bin/python3
"""How fast on how many ranks: study_ranks_test.py TRAINER

The files, columns and sections of studies on 1, 2 and 3 ranks; what is measured adds up, what is predicted follows from the model that is
told; the same bits on every number of ranks; the time to the goal of a batch study; bad options; a study that goes on, that is stopped, that is cut
short. No figure is compared with a time."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

sys.dont_write_bytecode = True
from program import ENVIRONMENT, TRAINER, bytes_of, check, finish, process_of, read_csv, run  # noqa: E402

COLUMNS = ("kind,ranks,batch,shards,steps,seconds_per_step,samples_per_second,efficiency,compute,communicate,wait,read,bytes,spread,predicted,"
           "messages,hosts,threads,crowded,weights").split(",")
SMALL = ["--data", "generate:blobs(rows=2000, features=20)", "--model", "dense(24) batch_norm relu dense(outputs)", "--batch-size", 256, "--weak", 64,
         "--steps", 20]
HAS_GNUPLOT = shutil.which("gnuplot") is not None


def without(*names):
    """SMALL but for some options."""
    return [word for i, word in enumerate(SMALL) if word not in names and SMALL[i - 1] not in names]


def study(*arguments, **options):
    return run("study", "ranks", *arguments, **options)


def rows_of(folder):
    header, rows = read_csv(f"{folder}/trials.csv")
    check(header == COLUMNS, f"{folder}: columns {header}")
    numbers = [{name: cell if name in ("kind", "weights") else float(cell or "nan") for name, cell in zip(header, row)} for row in rows]
    return numbers


def points(folder):
    return {(one["kind"], int(one["ranks"])): one for one in rows_of(folder)}


def near(a, b):
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1e-12)


def check_files(folder, stems):
    check(bytes_of(f"{folder}/status").startswith(b"finished exit=0"), f"{folder}: {bytes_of(f'{folder}/status')}")
    kinds = ("csv", "svg", "png", "pdf") if HAS_GNUPLOT else ("csv",)
    expected = {f"{stem}.{kind}" for stem in stems for kind in kinds}
    check(set(os.listdir(f"{folder}/figures")) == expected, f"{folder}: {set(os.listdir(f'{folder}/figures')) ^ expected}")
    page = bytes_of(f"{folder}/report.html").decode()
    check("<script" not in page and 'src="http' not in page, f"{folder}: the page loads something")
    sections = ["Results", "Throughput", "Where the time goes", "Model and prediction", "Settings", "Environment"]
    for section in sections + (["Time to the goal"] if "time_to_goal" in stems else []):
        check(f">{section}</h2>" in page, f"{folder}: no section {section}")
    with h5py.File(f"{folder}/study.h5") as file:
        found = rows_of(folder)
        check([int(n) for n in file["points/ranks"]] == [point["ranks"] for point in found], f"{folder}: study.h5")
        check([file["points"].attrs["kinds"][int(k)] for k in file["points/kind"]] == [point["kind"] for point in found], f"{folder}: kinds")


def check_measured(folder, counts, shards):
    found = points(folder)
    for kind in ("strong", "weak"):
        check([n for k, n in found if k == kind and not found[k, n]["predicted"]] == counts, f"{folder}: {kind} {list(found)}")
        one = found[kind, 1]
        check(one["efficiency"] == 1 and one["bytes"] == 0 and one["messages"] == 0, f"{folder}: {kind} on one rank: {one}")
        for n in counts:
            point = found[kind, n]
            check(point["batch"] == (256 if kind == "strong" else 64 * n), f"{folder}: {point}")
            check(point["shards"] == (shards if kind == "strong" else 2 * n), f"{folder}: {point}")
            check(point["steps"] == 20 and point["hosts"] == 1 and point["threads"] == 1 and point["spread"] >= 0, f"{folder}: {point}")
            parts = point["compute"] + point["communicate"] + point["wait"] + point["read"]
            check(near(parts, point["seconds_per_step"]) and point["compute"] > 0, f"{folder}: the parts do not add up: {point}")
            check(near(point["samples_per_second"], point["batch"] / point["seconds_per_step"]), f"{folder}: {point}")
            check(near(point["efficiency"], point["samples_per_second"] / n / one["samples_per_second"]), f"{folder}: {point}")
            if n > 1:
                check(point["bytes"] > 0 and point["communicate"] > 0, f"{folder}: nothing was sent: {point}")
    digests = {found["strong", n]["weights"] for n in counts}
    check(len(digests) == 1 and len(digests.pop()) == 32, f"{folder}: the weights differ: {found}")
    return found


def check_predicted(folder, counts):
    """The model that summary.json tells gives the predictions."""
    found, summary = points(folder), json.loads(bytes_of(f"{folder}/summary.json"))
    model = summary["model"]
    check(min(model[name] for name in ("seconds_fixed", "seconds_per_row", "seconds_per_message", "seconds_per_byte")) >= 0, f"{folder}: {model}")
    check(model["tells_messages_from_bytes"] == (counts[-1] > 2), f"{folder}: {model}")
    for kind in ("strong", "weak"):
        beyond = [counts[-1] * 2 ** i for i in range(1, 5)]
        check([n for k, n in found if k == kind and found[k, n]["predicted"]] == beyond, f"{folder}: {list(found)}")
        for n in beyond:
            point = found[kind, n]
            check((point["batch"], point["shards"]) == ((256, 4) if kind == "strong" else (64 * n, 2 * n)), f"{folder}: {point}")
            share = -(-int(point["shards"]) // n)  # shards of the rank that has most
            busy = model["seconds_fixed"] + model["seconds_per_row"] * point["batch"] * share / point["shards"]
            talk = model["seconds_per_message"] * point["messages"] + model["seconds_per_byte"] * point["bytes"]
            check(near(point["compute"], busy) and near(point["communicate"], talk) and near(point["seconds_per_step"], busy + talk), f"{folder}: {point}")
            check(np.isnan(point["wait"]) and np.isnan(point["spread"]) and point["weights"] == "", f"{folder}: measured? {point}")
            check(near(summary[f"{kind}_{n}"]["seconds_per_step"], point["seconds_per_step"]) and summary[f"{kind}_{n}"]["predicted"], f"{folder}: json")
    # What the exchange is thought to send is what it sends, but for the gaps between tensors.
    two = found["strong", 2]
    floats = found["strong", counts[-1] * 2]["bytes"] * counts[-1] * 2 / (counts[-1] * 2 - 1) / 4
    pieces = 1 + min(two["shards"], counts[-1] * 2) / (counts[-1] * 2)
    check(abs(two["bytes"] / (4 * floats / pieces) - 1) < 0.01, f"{folder}: {two['bytes']} bytes, {4 * floats / pieces} expected")


STEMS = ["throughput_strong", "throughput_weak", "efficiency", "time_strong", "time_weak"]


def check_one_rank():
    out = study(*SMALL, "--out", "one", ranks=1)
    check("no model is fitted" in out and out.splitlines()[-1] == "done: study one, 2 points, 1 rank(s)", out)
    check(len(points("one")) == 2 and "model" not in json.loads(bytes_of("one/summary.json")), "one rank: a prediction")
    check_measured("one", [1], 4)
    check_files("one", STEMS)


def check_two_ranks():
    out = study(*SMALL, "--out", "two", ranks=2)
    check(sum(line.startswith("round ") for line in out.splitlines()) == 5 * 4, out)
    for words in ("same bits on every number of ranks", "Nothing is predicted: that takes 3 numbers of ranks, and 2 were", "messages cannot be told from bytes"):
        check(words in out, f"two ranks: not {words}: {out}")
    check_measured("two", [1, 2], 4)
    check(not any(point["predicted"] for point in rows_of("two")), "a prediction from two numbers of ranks")
    check("no prediction" in study(*SMALL, "--dry-run", ranks=2), "dry run on two ranks")
    check_files("two", STEMS + ["communicate"])


def check_three_ranks():
    """Of the same configuration the bits are those of two ranks; and with the steps to a goal."""
    os.makedirs("batches")
    with h5py.File("batches/study.h5", "w") as file:
        file["batches/batch"] = np.array([32, 4096])
        file["batches/steps"] = np.array([1000., 999.])
        file.attrs["model"] = "8-8"
    out = study(*SMALL, "--out", "three", "--batch-study", "batches", ranks=3)
    check("no network was measured" in out and "4 shards; more than 4 ranks have nothing to compute, so 48 can be no faster" in out, out)
    check("is another" not in out and "the batch study trained another --model (8-8)" in out, out)
    found = check_measured("three", [1, 2, 3], 4)
    check(found["strong", 3]["weights"] == points("two")["strong", 1]["weights"], "three ranks: other weights than two")
    check_predicted("three", [1, 2, 3])
    check_files("three", STEMS + ["communicate", "time_to_goal", "batch_to_goal"])
    ends = [(point["batch"], point["ranks"], point["shards"]) for point in rows_of("three") if point["kind"] == "batch"]
    check(ends == [(32, 1, 1), (32, 3, 1), (1800, 1, 8), (1800, 3, 8)], f"the ends of the batch study: {ends}")
    goal = {n: point for (kind, n), point in points("three").items() if kind == "goal"}
    check(list(goal) == [1, 2, 3, 6, 12, 24, 48] and all(point["predicted"] for point in goal.values()), f"goal: {goal}")
    check(goal[1]["batch"] == 32 and goal[1]["steps"] == 1000 and goal[1]["efficiency"] == 1, f"a hundred times the rows for no gain: {goal[1]}")
    for n, point in goal.items():
        check(near(point["efficiency"], 1000 * goal[1]["seconds_per_step"] / (n * point["steps"] * point["seconds_per_step"])), f"goal: {point}")
    check("batch study" in out and ("more do not pay" in out or "all of these ranks pay" in out), out)


def check_a_real_batch_study():
    run("study", "batch", *SMALL[:4], "--batch-sizes", "32,128", "--tune", "none", "--seeds", 1, "--goal", "train_accuracy>=0.3", "--budget", "4 epochs",
        "--out", "real", ranks=2)
    study(*SMALL, "--out", "with-real", "--batch-study", "real", ranks=3)
    steps = {int(row["batch"]): int(float(row["steps"])) for (kind, _), row in points("with-real").items() if kind == "goal"}
    with h5py.File("real/study.h5") as file:
        known = dict(zip((int(b) for b in file["batches/batch"]), (int(s) for s in file["batches/steps"])))
    check(steps and all(known.get(batch) == count for batch, count in steps.items()), f"steps to the goal: {steps}, {known}")


def check_report():
    """The page again, from the folder alone, without MPI; of a study that is cut short, too."""
    before = bytes_of("three/report.html")
    environment = dict(ENVIRONMENT, OMPI_MCA_btl="nothing", OMPI_MCA_pml="nothing")

    def report(folder, code=0):
        done = subprocess.run([TRAINER, "report", folder], env=environment, capture_output=True, text=True, timeout=120)
        check(done.returncode == code, f"report {folder}: code {done.returncode}: {done.stderr}")
        return done.stdout + done.stderr
    report("three")
    check(bytes_of("three/report.html") == before, "the report is not the one that the study wrote")
    shutil.copytree("two", "short")
    lines = bytes_of("two/trials.csv").splitlines(keepends=True)

    def write(content):
        with open("short/trials.csv", "wb") as file:
            file.write(content)
    write(b"".join(lines[:4]) + lines[4][:30])
    report("short")
    write(lines[0])
    check("no point that is measured yet" in report("short", 3), "a study without a point")
    write(lines[0] + lines[1].replace(b"strong", b"stringy"))
    check("row 1 is no point" in report("short", 3), "a point that is none")
    write(lines[0] + lines[1].replace(b",256,4,20,", b",256,4,x20,"))
    check('row 1, column steps: "x20"' in report("short", 3), "a number that is none")
    line = lines[2].split(b",")
    line[7] = b"1.5"
    write(lines[0] + lines[1] + b",".join(line))
    report("short")
    check("an efficiency above 1 (1.5 on 2 ranks)" in bytes_of("short/report.html").decode(), "more than ideal")
    write(lines[0] + lines[1].replace(b",256,4,", b",256,0,"))
    check("row 1 is no point" in report("short", 3), "no shards")
    write(b"kind,ranks\nstrong,1\n")
    report("short", 3)


def check_refused():
    check('--steps: "5" is not a whole number from 10' in study(*SMALL[:-1], 5, "--out", "none", code=2, ranks=2), "too few steps")
    check("--weak: \"0\"" in study("--weak", 0, "--out", "none", code=2), "no rows")
    check("needs --out" in study(*SMALL, code=2), "no folder")
    check("holds a study or a run already" in study(*SMALL, "--out", "two", code=2, ranks=2), "a folder that is there")
    check("was begun with" in study(*SMALL[:-1], 30, "--out", "two", "--resume", code=2, ranks=2), "other settings")
    check("no-study" in study(*SMALL, "--out", "none", "--batch-study", "no-study", code=3, ranks=2), "no batch study")
    check("holds no steps to a goal" in study(*SMALL, "--out", "none", "--batch-study", "two", code=3, ranks=2), "a study of ranks")
    check("--model" in study(*without("--model"), "--model", "dense(", "--out", "none", code=2, ranks=2), "a bad model")
    check("the loss is nan" in study(*SMALL, "--optimizer", "sgd", "--lr", 1e38, "--out", "infinite", code=5, ranks=3), "it diverges")
    check(bytes_of("infinite/status").startswith(b"failed exit=5"), "status of a study that diverged")
    check(not os.path.exists("none"), "a folder of nothing")


def check_dry_run():
    out = study(*SMALL, "--dry-run", ranks=3)
    check(out.count("dry run") == 1 and out.count("strong") == 3 and "up to 48 ranks" in out, out)
    out = study(*without("--batch-size"), "--dry-run", "--batch-size", 32)
    check("strong  1 rank(s)  batch 32  1 shard(s)\nweak  1 rank(s)  batch 64  2 shard(s)\n" in out, out)


def check_notes():
    out = study(*without("--batch-size", "--weak"), "--batch-size", 32, "--weak", 1000, "--out", "notes", ranks=2)
    check("1 shard(s), and more ranks than that have nothing to compute" in out and "weak scaling ends before 2 rank(s)" in out, out)
    check([key for key, point in points("notes").items() if not point["predicted"]] == [("strong", 1), ("strong", 2), ("weak", 1)], "notes")
    processors = len(os.sched_getaffinity(0))
    out = study(*SMALL, "--out", "crowd", ranks=2, threads=processors)
    check("these figures mean nothing" in out, out)
    check([point["crowded"] for point in points("crowd").values() if not point["predicted"]] == [0, 1, 0, 1], "crowded")


def check_resume():
    check(study(*SMALL, "--out", "one", "--resume", "--quiet") == "done: study one, 2 points, 1 rank(s)\n", "--quiet prints more than the last line")
    out = study(*SMALL, "--out", "two", "--resume", ranks=2)
    check("measured anew" in out, out)
    check_measured("two", [1, 2], 4)


def check_files_of_rows():
    """Rows that stay in their files: each number of ranks opens them for itself."""
    run("data", "generate", "blobs(rows=40000, features=100)", "--out", "rows.h5", threads=None)
    where = ["--data", "rows.h5", *SMALL[2:], "--shuffle", "chunks(2)"]
    study(*where, "--out", "resident", ranks=2)
    study(*where, "--memory-limit", "8M", "--out", "streamed", ranks=2)
    check(points("streamed")["strong", 1]["weights"] == points("resident")["strong", 2]["weights"], "rows of files: other weights")
    check_measured("streamed", [1, 2], 4)


def check_stop():
    """SIGUSR1 to the second rank alone: what is measured is kept, and the code says that it was stopped."""
    words = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", "2", TRAINER, "study", "ranks", *map(str, SMALL[:-1]), "2000", "--threads", "1",
             "--out", "stopped"]
    with open("stopped.txt", "w") as out:
        process = subprocess.Popen(words, env=ENVIRONMENT, stdout=out, stderr=subprocess.STDOUT)
        end = time.time() + 120
        while time.time() < end and b"round 1/5  weak  2" not in bytes_of("stopped.txt"):
            time.sleep(0.02)
        os.kill(process_of(process, 1), signal.SIGUSR1)
        code = process.wait(timeout=120)
    check(code == 75, f"stopped: code {code}: {bytes_of('stopped.txt')}")
    check(bytes_of("stopped/status").startswith(b"stopped exit=75"), "status of a stopped study")
    check(len([1 for point in points("stopped").values() if not point["predicted"]]) == 4, "points of a stopped study")
    reason = "after 4 of 4 points"
    check(reason in bytes_of("stopped/status").decode() and reason in bytes_of("stopped/report.html").decode(), "what a stopped study knows")
    before = bytes_of("stopped/report.html")
    run("report", "stopped", threads=None)
    check("Not complete" in before.decode() and bytes_of("stopped/report.html") == before, "report of a stopped study")
    os.remove("stopped/status")  # of one that is killed in the first round the points stand, too
    with open("stopped/status", "w") as file:
        file.write("running exit=0 step=0\n")
    run("report", "stopped", threads=None)
    check("was killed" in bytes_of("stopped/report.html").decode(), "report of a killed study")


def main():
    folder = tempfile.mkdtemp()
    try:
        os.chdir(folder)
        check_one_rank()
        check_two_ranks()
        check_three_ranks()
        check_a_real_batch_study()
        check_report()
        check_refused()
        check_dry_run()
        check_notes()
        check_resume()
        check_files_of_rows()
        check_stop()
    finally:
        os.chdir("/")
        shutil.rmtree(folder)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
