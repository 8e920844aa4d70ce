#!/usr/bin/python3
"""Studies through the program: study_test.py TRAINER [--kills N]

The critical batch size of a noisy quadratic against its closed form. The same results for any number of groups and ranks, killed at
random and gone on with; what is said of goals that are not reached, trials that diverge, and options that fit nothing."""
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

sys.dont_write_bytecode = True
from program import ENVIRONMENT, LIMIT, TRAINER, bytes_of, check, failures, finish, process_of, run, small_disk  # noqa: E402

KILLS = int(sys.argv[sys.argv.index("--kills") + 1]) if "--kills" in sys.argv else 6
TIMES = {"goal_seconds", "seconds", "compute", "communicate", "wait", "read"}
BLOBS = ("--data", "generate:blobs(rows=3000,features=8,classes=4,noise=4)", "--model", "16", "--optimizer", "sgd", "--log-every", 1)
SMALL = ("study", "batch", *BLOBS, "--batch-sizes", "16..128", "--goal", "val_loss<=0.5", "--points", 5, "--finalists", 1, "--seeds", 2,
         "--budget", "6 epochs", "--evaluate-every", "2 steps", "--tune=lr=log(1e-2,1)")


def trials(folder):
    """The rows of trials.csv without times."""
    with open(f"{folder}/trials.csv", newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def summary(folder):
    with open(f"{folder}/summary.json") as file:
        return json.load(file)


def same(one, other, what):
    check(trials(one) == trials(other), f"{what}: trials.csv differs")
    check(bytes_of(f"{one}/curves.csv") == bytes_of(f"{other}/curves.csv"), f"{what}: curves.csv differs")


def check_groups():
    run(*SMALL, "--out", "alone", ranks=1)
    check(len(trials("alone")) >= 4 * 7, "too few trials")
    for ranks, per_trial in ((2, 1), (4, 1), (4, 2), (3, 2), (3, 3)):
        folder = f"groups-{ranks}-{per_trial}"
        run(*SMALL, "--out", folder, "--ranks-per-trial", per_trial, ranks=ranks)
        same("alone", folder, f"{ranks} ranks, {per_trial} a trial")
    with h5py.File("alone/study.h5") as file:
        check(file["trials/goal_step"].shape[0] == len(trials("alone")), "study.h5: trials")
        check(set(np.unique(file["curves/trial"])) == set(range(len(trials("alone")))), "study.h5: curves")
        for name in ("goal_step", "goal_resolution", "goal_seconds", "best_val_loss", "seconds", "compute", "communicate", "wait", "read"):
            with open("alone/trials.csv", newline="") as rows:
                expected = [float(row[name] or "nan") for row in csv.DictReader(rows)]
            check(np.array_equal(file[f"trials/{name}"][...], expected, equal_nan=True), f"study.h5: trials/{name}")
        check(file.attrs["critical_batch"].shape == (3,), "study.h5: the critical batch size")
    for name in ("config.ini", "status", "report.html", "figures/steps_to_goal.svg", "figures/steps_to_goal.csv", "figures/curves.pdf"):
        check(os.path.exists(f"alone/{name}"), f"{name} is missing")
    page = bytes_of("alone/report.html").decode()
    for words in ("Batch size and the goal", "The search", "Curves", "Settings", "critical batch size"):
        check(words in page, f"the page lacks {words}")
    results = page[page.index(">Results</h2>"):page.index(">Batch size and the goal</h2>")]
    check("<pre>" not in results and results.count("<tr>") == 10 and "<th>steps to goal</th>" in results, "the table of results")
    check("http" not in page.replace("http://www.w3.org", ""), "the page loads something")
    check("(?)</td>" not in page or "(?): the interval is too wide" in page, "(?) is not explained")
    with open("alone/figures/steps_to_goal.csv", newline="") as file:
        drawn = [row for row in csv.DictReader(file) if row["series"].startswith("measured")]
    for row in drawn:
        known = summary("alone")[f"batch_{row['batch size [rows]']}"]["steps"]
        ends = [known["low"], known["high"]]
        check([float(row[name] or "nan") for name in ("low", "high")] == ends or ends == [None, None], f"ends of an interval: {row}, {known}")
    check(len(drawn) == 4, "the values of a figure")
    first = bytes_of("alone/report.html")
    os.remove("alone/report.html")
    run("report", "alone", threads=None)
    check(bytes_of("alone/report.html") == first, "report writes another page than the study")


def start(folder, ranks):
    words = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks), TRAINER, *map(str, SMALL), "--out", folder, "--resume",
             "--threads", "1"]
    return subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def check_kills():
    """Killed at random moments, on any number of ranks, it ends as if nothing had happened."""
    moments = random.Random(7)
    started = time.monotonic()
    run(*SMALL, "--out", "timed", ranks=2)
    whole = time.monotonic() - started
    kills = 0
    for attempt in range(200):
        job = start("killed", moments.choice((1, 2, 3)))
        if kills < KILLS:
            time.sleep(moments.uniform(0.2, 0.8) * whole)
            if job.poll() is None:
                # The ranks first: what survives its launcher would go on writing.
                subprocess.run(["pkill", "-KILL", "-s", str(job.pid)], check=False)
                kills += 1
        out, _ = job.communicate(timeout=LIMIT)
        if job.returncode == 0 and kills >= KILLS:
            break
        if job.returncode == 0:  # done before it could be killed: once more from the start
            same("alone", "killed", f"after {kills} kills")
            shutil.rmtree("killed")
    check(kills >= KILLS, f"only {kills} kills")
    check(job.returncode == 0, f"the study does not end: {out}")
    same("alone", "killed", f"{kills} kills")


def check_stop():
    """SIGUSR1 to mpirun: 75, and on from there."""
    job = start("stopped", 2)
    while not os.path.exists("stopped/trials.csv") or bytes_of("stopped/trials.csv").count(b"\n") < 4:
        time.sleep(0.01)
    job.send_signal(signal.SIGUSR1)
    out, _ = job.communicate(timeout=LIMIT)
    check(job.returncode == 75 and "stopped: stopped on request" in out, f"stop: {job.returncode} {out}")
    check(bytes_of("stopped/status").startswith(b"stopped exit=75"), "stop: status")
    half = len(trials("stopped"))
    check(0 < half < len(trials("alone")), f"stop: {half} trials")
    run("report", "stopped", threads=None)
    page = bytes_of("stopped/report.html").decode()
    check("Not complete" in page and " or more" in page, "report of a study that is not complete")
    out = run(*SMALL, "--out", "stopped", "--resume", ranks=2)
    check(f"{half} done before" in out, f"resume: {out}")
    same("alone", "stopped", "stopped and gone on with")


def check_stop_of_one():
    """SIGUSR1 to one rank that has nothing to do: left over, or the second of a group that waits for the other's work."""
    # One trial, which would take minutes.
    words = ["study", "batch", *BLOBS, "--batch-sizes", "16", "--goal", "val_loss<=1e-9", "--seeds", "1", "--finalists", "1", "--budget", "5 min",
             "--evaluate-every", "10 epochs", "--tune=none", "--ranks-per-trial", "2", "--threads", "1", "--out", "idle", "--resume"]
    for ranks, rank in ((3, 2), (4, 3)):
        job = subprocess.Popen(["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks), TRAINER, *map(str, words)], env=ENVIRONMENT,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in job.stdout:
            if line.startswith("study: "):
                break
        os.kill(process_of(job, rank), signal.SIGUSR1)
        out, _ = job.communicate(timeout=LIMIT)
        check(job.returncode == 75 and "stopped: stopped on request after 0 of 1 trials" in out, f"rank {rank} of {ranks}: {job.returncode} {out}")
        check(bytes_of("idle/status").startswith(b"stopped exit=75 step=0 reason=stopped on request after 0 of 1 trials"), "status of a stopped study")


def change(path, line, old, new):
    """`old` to `new` in a line (from 1) of a file; `new` None: the line goes."""
    lines = bytes_of(path).decode().split("\n")
    check(old in lines[line - 1], f"{path}: no {old!r} in {lines[line - 1]!r}")
    lines[line - 1:line] = [] if new is None else [lines[line - 1].replace(old, new, 1)]
    with open(path, "w") as file:
        file.write("\n".join(lines))


def check_damage():
    """A line that nobody can read is told, not taken for something else; a trial without its curves is done again."""
    def damaged(words, file, *change_to, call=("report", "damaged")):
        shutil.rmtree("damaged", ignore_errors=True)
        shutil.copytree("alone", "damaged")
        change(f"damaged/{file}", *change_to)
        line = run(*call, threads=None, code=3)
        check(all(one in line for one in (f"damaged/{file}", words, "trial is done again")), f"{change_to}: {call[0]}: {line}")

    row = trials("alone")[3]
    damaged('line 5, column batch: "16x"', "trials.csv", 5, ",16,", ",16x,", call=(*SMALL, "--out", "damaged", "--resume"))
    check(bytes_of("damaged/status").startswith(b"failed exit=3 step=0 reason=damaged/trials.csv: line 5"), "status of a damaged study")
    damaged('line 5, column outcome: "gaol"', "trials.csv", 5, row["outcome"], "gaol")
    damaged(f'line 5, column steps: "-{row["steps"]}"', "trials.csv", 5, f"{row['outcome']},", f"{row['outcome']},-")
    damaged("line 5 has", "trials.csv", 5, f",{row['outcome']}", "")
    damaged("before", "trials.csv", 5, row["trial"], trials("alone")[2]["trial"])
    damaged('line 7, column samples: "O', "curves.csv", 7, ",", ",0,0,O,val_loss,1\n,")
    damaged('line 7, column value: ""', "curves.csv", 7, bytes_of("alone/curves.csv").decode().split("\n")[6].split(",")[-1], "")
    # As it says: the line is deleted, and that trial alone is done again.
    shutil.copytree("alone", "mended")
    change("mended/trials.csv", 5, row["trial"], None)
    with open("mended/trials.csv", "ab") as file:
        file.write(b"b16-p09,16,9,se")  # and a last one that was cut short
    out = run(*SMALL, "--out", "mended", "--resume")
    check(out.count("\ntrial ") == 1 and f"  {row['trial']}  " in out, f"one trial is done again: {out}")
    same("alone", "mended", "a line was deleted")
    # Curves that are missing: of one trial from its middle on, then of all.
    lines = [line for line in bytes_of("mended/curves.csv").splitlines(keepends=True) if not line.startswith(row["trial"].encode() + b",")]
    with open("mended/curves.csv", "wb") as file:
        file.write(b"".join(lines))
    out = run(*SMALL, "--out", "mended", "--resume")
    check("lacks the curves of 1 trial(s)" in out and out.count("\ntrial ") == 1, f"curves of one trial: {out}")
    same("alone", "mended", "curves of one trial were missing")
    os.remove("mended/curves.csv")
    run("report", "mended", threads=None)
    check(f"lacks the curves of {len(trials('alone'))} trial(s)" in run(*SMALL, "--out", "mended", "--resume"), "no curves")
    same("alone", "mended", "no curves were there")


def check_full_disk():
    """It ends with a message, and status says so although the disk has no room for another file."""
    with small_disk() as disk:
        if disk is None:
            return
        for ranks in (0, 2):
            line = run(*SMALL, "--out", f"disk/{ranks}", ranks=ranks, code=3, everything=True)
            status = bytes_of(f"disk/{ranks}/status").decode()
            check("No space left on device" in line and status.startswith("failed exit=3") and "No space left on device" in status, f"full: {status}, {line}")
            shutil.rmtree(f"disk/{ranks}")


def expected_steps(batch, rates, spectrum, start, noise, goal):
    """Steps of gradient descent, at each of the rates, until the expected excess loss 1/2 sum_k h_k m_k of a linear regression with
    normal inputs of covariance diag(h) is at most `goal`; nan: never. The second moments m_k of the weights' errors, summed over the
    outputs, follow m' = (1 - rate h)^2 m + rate^2 / batch (h^2 m + h sum_j h_j m_j + noise h), which the fourth moments of the normal
    distribution give (Isserlis 1918); noise: the variance of the targets' noise, summed over the outputs."""
    m = np.tile(start, (len(rates), 1))
    rate, steps, open_ = rates[:, None], np.full(len(rates), np.nan), np.ones(len(rates), bool)
    for step in range(3000):
        energy = (spectrum * m).sum(1)
        steps[open_ & (energy / 2 <= goal)] = step
        open_ &= (energy / 2 > goal) & (energy < 1e6)
        if not open_.any():
            break
        m = (1 - rate * spectrum) ** 2 * m + rate**2 / batch * (spectrum**2 * m + spectrum * energy[:, None] + noise * spectrum)
        m *= open_[:, None]
    return steps


def critical_batch(batches, steps):
    """log S against log(a + c / B), least squares: c / a."""
    batches, steps = np.array(batches, float), np.array(steps, float)
    a, c = steps.min() / 2, steps[0] * batches[0] / 2
    for _ in range(100):  # Gauss and Newton
        model = a + c / batches
        jacobian = np.stack([a / model, c / batches / model], 1)
        change = np.clip(np.linalg.lstsq(jacobian, np.log(steps) - np.log(model), rcond=None)[0], -1, 1)
        a, c = a * np.exp(change[0]), c * np.exp(change[1])
    return c / a


def check_quadratic():
    """A noisy quadratic: the study finds the critical batch size that the closed form of the expected loss has.

    The loss counts as much in every direction, and the outputs are many: then a single run hardly strays from the expectation. (It
    would reach the goal before it, by chance: with 42 weights in place of 10,752 a tenth sooner.)"""
    generator = np.random.default_rng(1)
    outputs, noise, goal = 256, 3.0, 0.1
    spectrum = np.repeat(2.0 ** -np.arange(7), 6)
    start = 2 / (spectrum * len(spectrum))  # the loss begins at 1
    target = generator.standard_normal((len(spectrum), outputs))
    target *= np.sqrt(start / (target**2).sum(1))[:, None]
    x = generator.standard_normal((49152, len(spectrum))) * np.sqrt(spectrum)
    y = x @ target + np.sqrt(noise / outputs) * generator.standard_normal((len(x), outputs))
    v = np.diag(np.sqrt(len(spectrum) * spectrum))  # with just this covariance, and no noise: the loss is the excess
    for name, rows, values in (("quadratic.h5", x, y), ("excess.h5", v, v @ target)):
        with h5py.File(name, "w") as file:
            file["x"], file["y"] = rows.astype("f4"), values.astype("f4")
    run("study", "batch", "--data", "quadratic.h5", "--validation", "excess.h5", "--model", "dense(outputs, bias=false, init=zeros)", "--loss",
        "half_squared_error", "--scale", "none", "--scale-targets", "none", "--task", "regression", "--optimizer", "sgd", "--batch-sizes",
        "8..2048", "--goal", f"val_loss<={goal}", "--points", 16, "--seeds", 3, "--budget", "3000 steps", "--evaluate-every", "1 steps",
        "--tune=lr=log(0.02,1.6)", "--out", "quadratic", ranks=2)
    found = summary("quadratic")["critical_batch"]
    batches, rates = [2**i for i in range(3, 12)], np.geomspace(0.01, 2, 200)
    truth = critical_batch(batches, [np.nanmin(expected_steps(batch, rates, spectrum, start, noise, goal)) for batch in batches])
    print(f"noisy quadratic: critical batch size {truth:.1f} in closed form, found {found['value']:.1f} ({found['low']:.1f} to {found['high']:.1f})")
    check(found["low"] <= truth <= found["high"], f"noisy quadratic: {truth} is not in {found}")
    check(found["high"] < 1.3 * found["low"], f"noisy quadratic: the interval says nothing: {found}")
    for batch in batches:
        scale = summary("quadratic")[f"batch_{batch}"]["noise_scale"]["value"]
        check(scale is None or 0.4 * truth < scale < 2.5 * truth, f"noise scale at batch size {batch}: {scale}")


def check_search():
    search = ("study", "search", *BLOBS, "--batch-size", 64, "--budget", "2 epochs", "--points", 8, "--seeds", 2)
    run(*search[:5], "dense($hidden) relu dense(outputs)", *search[6:], "--vary", "lr=log(0.01,1) hidden=list(4,16) momentum=linear(0,0.9)", "--out",
        "search", ranks=2)
    rows = trials("search")
    check({row["hidden"] for row in rows} == {"4", "16"}, "search: hidden")
    check(len({row["momentum"] for row in rows}) >= 8, "search: momentum")
    check("best" in summary("search")["search"], "search: no best")
    run(*search, "--vary", "lr=list(0.01,0.1,1)", "--goal", "val_accuracy>=0.5", "--evaluate-every", "0.1 epochs", "--out", "grid", ranks=2)
    check(len(trials("grid")) == 3 + 2 * 2, "grid: trials")
    check("best_val_accuracy" in trials("grid")[0], "a goal's metric is not what the best is told by")
    out = run(*search, "--vary", "lr=list(0.01,0.1,1) momentum=list(0,0.3,0.6,0.9)", "--out", "dry", "--dry-run", "--ranks-per-trial", 2, ranks=2)
    check("8 of the 12 combinations" in out and "8 trials to begin with" in out, f"a grid larger than --points: {out}")
    run(*SMALL[:-1], "--tune=none", "--lr", 0.1, "--lr-scaling", "linear", "--reference-batch", 16, "--out", "rule", ranks=2)
    check(len(trials("rule")) == 4 * 2, "none: trials")
    run(*SMALL, "--stop-early", "halving", "--out", "halved", ranks=2)
    check(sum(int(row["samples"]) for row in trials("halved")) < sum(int(row["samples"]) for row in trials("alone")), "halving saves nothing")


def check_half_done():
    """All trials of the batch sizes that were begun are done: the page says all the same that the study is not at its end."""
    shutil.copytree("alone", "half")
    lines = bytes_of("half/trials.csv").splitlines(keepends=True)
    with open("half/trials.csv", "wb") as file:
        file.write(b"".join(line for line in lines if line.startswith((b"trial,", b"b16-"))))
    with open("half/status", "w") as file:
        file.write("stopped exit=75 step=9 reason=time limit after 9 of 40 trials\n")
    run("report", "half", threads=None)
    check("Not complete (time limit after 9 of 40 trials)" in bytes_of("half/report.html").decode(), "a report on half a study")
    # Two seeds far from each other: the ends of their interval are told as they are.
    with open("half/trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, steps in zip([row for row in rows if row["stage"] == "measure"], (10, 1000), strict=True):
        row["goal_step"], row["goal_samples"] = steps, 16 * steps
    with open("half/trials.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    run("report", "half", threads=None)
    with open("half/figures/steps_to_goal.csv", newline="") as file:
        row = next(csv.DictReader(file))
    reach = 12.7062 * np.log(100) / 2  # Student's t of two values
    check(all(abs(np.log(float(row[end]) / 100) / reach - sign) < 1e-3 for end, sign in (("low", -1), ("high", 1))), f"a wide interval: {row}")
    page = bytes_of("half/report.html").decode()
    check("100 (?)</td>" in page and "(?): the interval is too wide" in page, "(?) is not explained")
    check(os.path.exists("half/figures/steps_to_goal.svg") == os.path.exists("alone/figures/steps_to_goal.svg"), "the picture of a wide interval")


def check_settings():
    """A study that has begun and no more; a config.ini that no study wrote."""
    shutil.copytree("alone", "begun")
    os.remove("begun/trials.csv")
    check("no trial that is done yet" in run("report", "begun", threads=None, code=3), "report of a study that has begun")
    for content, report, resume, words in ((b"", 3, 3, "holds no options"), (b"\0\1\2 = \0", 3, 3, "damaged"), (b"nonsense", 2, 3, "damaged"),
                                           (b"epochs = 3\n", 3, 2, "was begun with")):
        with open("begun/config.ini", "wb") as file:
            file.write(content)
        check("begun/config.ini" in run("report", "begun", threads=None, code=report), f"report: {content}")
        line = run(*SMALL, "--out", "begun", "--resume", code=resume)
        check(words in line and "\0" not in line, f"{content}: {line}")


def check_refusals():
    def refused(words, *change, code=2, ranks=0, out="refused"):
        line = run(*SMALL, *change, "--out", out, code=code, ranks=ranks)
        check(words in line, f"{change}: {words!r} is not in {line!r}")
        check(out == "alone" or not os.path.exists(f"{out}/trials.csv"), f"{change}: a study was begun")

    base = SMALL[:-1]

    def without(name):
        at = SMALL.index(name)
        return SMALL[:at] + SMALL[at + 2:]

    line = run(*base, "--tune=nothing=log(1,2)", "--out", "refused", code=2)
    check("nothing" in line and "$nothing" in line, line)
    line = run(*base, "--tune=validation=list(0.1,0.2)", "--out", "refused", code=2)
    check("cannot be varied" in line, line)
    line = run(*base, "--tune=lr=log(1e-2,1)", "--lr-scaling", "linear", "--out", "refused", code=2)
    check("--lr-scaling linear" in line, line)
    line = run(*base, "--tune=lr=log(1e-2,1) optimizer=list(sgd,nosuch)", "--out", "refused", code=2)
    check("unknown optimizer" in line, f"a value of a list beside a range: {line}")
    line = run(*base, "--tune=lr=log(0,1)", "--out", "refused", code=2)
    check("--tune" in line, line)
    line = run(*without("--goal"), "--goal", "val_los<=1", "--out", "refused", code=2)
    check("val_los" in line, line)
    line = run(*without("--batch-sizes"), "--batch-sizes", "16,99999", "--out", "refused", code=2)
    check("training rows" in line, line)
    refused("--ranks-per-trial 3", "--ranks-per-trial", 3, ranks=2)
    line = run("study", "search", *BLOBS, "--out", "refused", code=2)
    check("--vary" in line, line)
    check("--out" in run(*SMALL, code=2), "no folder")
    check("--resume" in run(*SMALL, "--out", "alone", code=2), "a study is overwritten")
    line = run(*without("--points"), "--points", 6, "--out", "alone", "--resume", code=2)
    check("points" in line, f"resume with other settings: {line}")
    os.makedirs("empty", exist_ok=True)
    run("report", "empty", threads=None, code=3)
    check("alone is a study" in run("report", "alone", "grid", "--out", "both.html", threads=None, code=2), "two studies in a report")
    check("alone is a study" in run("report", "alone", "--loss-landscape", code=2), "a landscape of a study")
    check_half_done()
    check_settings()
    os.makedirs("other")
    with open("other/notes.txt", "w") as file:
        file.write("mine")
    refused("the folder other is not empty: it holds notes.txt", out="other")
    check(os.listdir("other") == ["notes.txt"], "a refused folder is changed")
    line = run("study", "search", *BLOBS[:3], "$steps", *BLOBS[4:], "--vary", "steps=list(4,8)", "--out", "refused", code=2, ranks=2)
    check("the variable steps is called as a column" in line and not os.path.exists("refused"), f"a variable like a column: {line}")
    check(not os.path.exists("refused/trials.csv"), "a refused study left trials")
    # Options that count for nothing, and losses that are compared with each other.
    refused('give --budget "50 steps"', "--max-steps", 50)
    check("note: --lr 0.5 is not used: --tune varies it" in run(*SMALL, "--lr", 0.5, "--dry-run"), "a rate that is not used")
    check("is not used" not in run(*base, "--tune=none", "--lr", 0.5, "--dry-run"), "a rate that is used")
    search = ("study", "search", *BLOBS, "--vary", "loss=list(softmax_cross_entropy,mse) lr=log(0.01,1)", "--points", 3, "--dry-run")
    check("compared by val_loss" in run(*search) and "compared by val_loss" in run(*search, "--goal", "val_loss<=0.1"), "losses that are compared")
    check("compared by" not in run(*search, "--early-stopping", "val_accuracy(patience=5)", "--goal", "val_accuracy>=0.9"), "accuracies that are compared")
    # A goal that is never reached, and rates at which all trials diverge, are results.
    out = run(*without("--goal"), "--goal", "val_loss<=1e-9", "--out", "never")
    check("0 of 2 seeds reached the goal" in out, f"never: {out}")
    check("critical_batch" not in summary("never"), "never: a fit")
    out = run(*base, "--tune=lr=log(1e6,1e7)", "--out", "diverged")
    check({row["outcome"] for row in trials("diverged")} == {"diverged"}, "diverged: outcomes")
    check("diverged or failed" in out, f"diverged: {out}")
    out = run(*without("--goal"), "--goal", "val_accuracy>=0", "--out", "at-once")
    check("untrained model" in out, f"a goal that is met before the first step: {out}")
    other = [word.replace("noise=4", "noise=3") if isinstance(word, str) else word for word in SMALL]
    check("other data" in run(*other, "--out", "alone", "--resume", code=3), "other data at resume")
    check(run(*SMALL, "--out", "alone", "--resume", "--quiet").startswith("done: study"), "--quiet prints more than the last line")
    check("trials to begin with" in run(*SMALL, "--out", "dry", "--dry-run") and not os.path.exists("dry"), "dry run")


def main():
    folder = tempfile.mkdtemp(prefix="trainer-study-")
    try:
        os.chdir(folder)
        for part in (check_groups, check_damage, check_full_disk, check_stop, check_stop_of_one, check_kills, check_search, check_refusals,
                     check_quadratic):
            started = time.monotonic()
            part()
            print(f"{part.__name__}: {time.monotonic() - started:.1f} s", flush=True)
    finally:
        os.chdir("/")
        if failures and "--keep" in sys.argv:
            print(folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return finish()


sys.exit(main())
