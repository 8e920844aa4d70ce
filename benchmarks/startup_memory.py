#!/usr/bin/python3
"""Seconds from mpirun to the first step, and the memory of each rank against 8 + 8/N bytes a parameter.

Usage: startup_memory.py TRAINER [--repetitions 10] [--ranks 1,2,4] [--start-ranks 1,2] [--hidden 2048,2048,2048] [--steps 60] [--quick]

Start: the default job (Fashion-MNIST where it is installed, else made-up rows of the same shape) and a job of 64 made-up rows, stopped after their first step.
"from outside": from the start of mpirun until log.txt holds the line of the first step, looked at every 2 ms; "of the process": what that line
says, from the start of the process; "mpirun true": what mpirun takes to run nothing on as many ranks. Medians; spread: greatest less least, over the median.

Memory: 784-2048-2048-2048-10 with Adam (10.0 million parameters; values and gradients, 8 bytes, on each rank; two moments, 8 bytes, shared by the ranks)
and batch 64, so that rows and activations are small. Looked at from outside: VmHWM, the most that the process ever held, the last of some
looks, 50 a second; and VmRSS in the steps, the median of the looks between the file of the first step and the last step. What the same job takes with a
net of two units (libraries, MPI, rows) is taken off. Rank 0 is told apart: it writes the checkpoints, from a copy. More ranks than processors are
allowed here: only memory is looked at. "of the promise" divides by (8 + 8/N) bytes a parameter + 8 bytes (value and gradient) for
each output of the hidden layers and each row of the rank.
"""
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

INPUTS, CLASSES, BATCH = 784, 10, 64


def option(name, default):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def numbers(text):
    return [int(word) for word in text.split(",")]


ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
FIRST_STEP = re.compile(r"the first step of this process ended ([\d.e+-]+) s after its start")


def mpirun(ranks):
    processors = len(os.sched_getaffinity(0))
    return ["mpirun", "--oversubscribe", "--bind-to", "core" if 1 < ranks <= processors else "none", "-np", str(ranks)]


def start(words, out):
    """mpirun; what it prints goes to `out`."""
    return subprocess.Popen(words, env=ENVIRONMENT, stdout=out, stderr=subprocess.STDOUT)


def end(job, out, words):
    if job.wait():
        out.seek(0)
        sys.exit(f"{' '.join(words)}\n{out.read()}")


def first_step(folder):
    try:
        with open(folder + "/log.txt") as file:
            found = FIRST_STEP.search(file.read())
            return float(found[1]) if found else None
    except OSError:
        return None


def summary(values):
    middle = statistics.median(values)
    return f"{middle:7.3f} s   spread {100 * (max(values) - min(values)) / middle:3.0f} %"


def start_times(trainer, ranks, job):
    """(from outside, of the process, mpirun true)."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as out:
        begin = time.perf_counter()
        subprocess.run([*mpirun(ranks), "true"], env=ENVIRONMENT, check=True)
        nothing = time.perf_counter() - begin
        threads = max(1, len(os.sched_getaffinity(0)) // ranks)
        words = [*mpirun(ranks), trainer, *job, "--max-steps", "1", "--evaluate-every", "1 steps", "--validation-rows", "1", "--threads", str(threads),
                 "--quiet", "--out", folder + "/run"]
        begin = time.perf_counter()
        running = start(words, out)
        while (inside := first_step(folder + "/run")) is None and running.poll() is None:
            time.sleep(0.002)
        outside = time.perf_counter() - begin
        end(running, out, words)
        inside = inside if inside is not None else first_step(folder + "/run")
    return outside, inside, nothing


def look(pid):
    """(VmHWM, VmRSS) in bytes."""
    with open(f"/proc/{pid}/status") as file:
        found = dict(re.findall(r"^(VmHWM|VmRSS):\s+(\d+) kB", file.read(), re.MULTILINE))
    return int(found["VmHWM"]) * 1024, int(found["VmRSS"]) * 1024


def ranks_below(job, program):
    """Process ids of the job's ranks: children of mpirun that run the program."""
    with open(f"/proc/{job}/task/{job}/children") as file:
        return [int(pid) for pid in file.read().split() if os.path.realpath(f"/proc/{pid}/exe") == program]


def rank_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return int(next(word[21:] for word in file.read().split(b"\0") if word.startswith(b"OMPI_COMM_WORLD_RANK=")))


def memory(trainer, ranks, hidden, steps):
    """By rank: (the most, in the steps)."""
    most, looks, ranks_of = {}, {}, {}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as out:
        words = [*mpirun(ranks), trainer, "--data", f"generate:blobs(rows=640, features={INPUTS}, classes={CLASSES})", "--validation", "0", "--scale",
                 "none", "--model", " ".join(f"dense({units}) relu" for units in hidden) + " dense(outputs)", "--optimizer", "adam", "--batch-size",
                 str(BATCH), "--shards", str(max(ranks, 1)), "--max-steps", str(steps), "--evaluate-every", f"{steps} steps", "--checkpoint-every",
                 "1000000 steps", "--log-steps", "--threads", "1", "--quiet", "--out", folder + "/run"]
        running = start(words, out)
        while running.poll() is None:
            stepping = first_step(folder + "/run") is not None
            begun = os.path.exists(folder + "/run/checkpoints/step-00000000.h5") and stepping
            over = os.path.exists(folder + "/run/result.json") or os.path.exists(f"{folder}/run/checkpoints/step-{steps:08d}.h5")
            try:
                for pid in ranks_below(running.pid, trainer):
                    ranks_of.setdefault(pid, rank_of(pid))
                    high, now = look(pid)
                    most[pid] = max(most.get(pid, 0), high)
                    if begun and not over:
                        looks.setdefault(pid, []).append(now)
            except (OSError, KeyError, StopIteration):
                pass  # it has just ended, or just begun
            time.sleep(0.02)
        end(running, out, words)
    if len(most) < ranks or any(len(looks.get(pid, [])) < 3 for pid in most):
        sys.exit(f"startup_memory: too few looks at the {ranks} ranks within {steps} steps: give more --steps")
    return [(most[pid], statistics.median(looks[pid])) for pid in sorted(most, key=ranks_of.get)]


def main():
    trainer, quick = os.path.realpath(sys.argv[1]), "--quick" in sys.argv
    repetitions = int(option("--repetitions", 2 if quick else 10))
    fashion = any(map(os.path.isdir, (os.path.join(os.environ.get("TRAINER_DATA", "/nowhere"), "fashion-mnist"), "datasets/fashion-mnist",
                                      "/usr/share/datasets/fashion-mnist")))
    large = ["--data", "fashion-mnist"] if fashion else ["--data", "generate:blobs(rows=60000, features=784, classes=10)"]
    small = ["--data", "generate:blobs(rows=64, features=4, classes=2)", "--model", "8", "--batch-size", "32"]
    print(f"start to the first step, {repetitions} repetitions in turn", flush=True)
    cases = [(name, job, ranks) for name, job in ((large[1], large), ("64 rows", small)) for ranks in numbers(option("--start-ranks", "1,2"))]
    times = {(name, ranks): [] for name, _, ranks in cases}
    for _ in range(repetitions):
        for name, job, ranks in cases:
            times[name, ranks].append(start_times(trainer, ranks, job))
    for (name, ranks), found in times.items():
        outside, inside, nothing = zip(*found)
        print(f"  {name:14} {ranks} rank(s)   from outside {summary(outside)}   of the process {summary(inside)}   mpirun true {summary(nothing)}")

    hidden, steps = numbers(option("--hidden", "512" if quick else "2048,2048,2048")), int(option("--steps", 400 if quick else 60))
    widths = [INPUTS, *hidden, CLASSES]
    parameters = sum(inputs * units + units for inputs, units in zip(widths, widths[1:]))
    print(f"memory of each rank, {'-'.join(map(str, widths))}, {parameters} parameters, batch {BATCH}, Adam, 1 thread a rank; MiB, bytes a parameter", flush=True)
    for ranks in numbers(option("--ranks", "1,2,4")):
        base, full = memory(trainer, ranks, [2], 20 * steps + 2000), memory(trainer, ranks, hidden, steps)
        activations = 8 * sum(hidden) * BATCH / ranks
        promise = (8 + 8 / ranks) * parameters + activations
        print(f"  {ranks} rank(s): 8 + 8/{ranks} = {8 + 8 / ranks:.2f} bytes a parameter, with activations {promise / 2**20:.0f} MiB")
        rows = [("rank 0", full[0], base[0])]
        if ranks > 1:
            rows.append(("the largest other", *max(zip(full[1:], base[1:]), key=lambda pair: pair[0][0] - pair[1][0])))
        for name, (high, now), (base_high, base_now) in rows:
            for what, value, low in (("in the steps", now, base_now), ("the most ever", high, base_high)):
                print(f"    {name:18} {what:14} {value / 2**20:7.0f} MiB, of these {low / 2**20:4.0f} with a net of 2 units: {(value - low) / parameters:6.2f} bytes a "
                      f"parameter, {(value - low) / promise:5.2f} of the promise", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main()
