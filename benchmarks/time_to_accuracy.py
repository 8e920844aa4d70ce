#!/usr/bin/python3
"""Seconds of training to 88.33 % and to 90 % of Fashion-MNIST's test rows, beside PyTorch with the same net and settings, in one run.

Usage: time_to_accuracy.py TRAINER [--seeds 10] [--epochs 12] [--data FOLDER] [--processors 2] [--bf16] [--quick]

784-512-512-10 with batch norm, all 60,000 training rows, batch 512, Adam, one cycle of the rate up to 4e-3 over the epochs; both sides start from the
same weights for each seed and evaluate after every 30 steps; evaluations are not counted (ours are seconds of steps as timing.csv has them: drawing the order of rows, about 1 %, is
not in them). The first losses are verified to be the same, as in
pytorch_comparison.py, and PyTorch has the fastest f32 setting (with --bf16: of all settings) that this machine shows for this net as one process. For each
seed ours (N ranks x 1 thread, 1 rank x N threads) and PyTorch take turns. Seconds are medians over the seeds that get there; how many do is
told. What is measured is when the curve first reaches the line: the test rows choose nothing else. --quick: one setting, two seeds, two epochs, lower lines.
"""
import csv
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # no folder of it beside the sources
import pytorch_side as side  # noqa: E402

NET = side.Net((512, 512), True, 512)
RATE, EVERY = 4e-3, 30


def option(name, default):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def our_curve(trainer, data, seed, epochs, ranks, threads, options):
    """As Worker.curve: (step, seconds of training steps, accuracy)."""
    with tempfile.TemporaryDirectory() as folder:
        side.write_start(NET, seed, folder + "/start.h5")
        side.run_ours([*side.mpirun(ranks), trainer, "--data", data, "--validation", "test", "--test", "none", "--model", NET.text(), "--loss",
                       "softmax_cross_entropy", "--optimizer", "adam", "--lr", str(RATE), "--schedule", "one_cycle", "--init",
                       folder + "/start.h5", "--batch-size", str(NET.batch), "--epochs", str(epochs), "--evaluate-every", f"{EVERY} steps",
                       "--checkpoint-every", "1000 epochs", "--seed", str(seed), "--threads", str(threads), "--quiet", "--out",
                       folder + "/run", *options])
        def table(name):
            with open(f"{folder}/run/{name}", newline="") as file:
                return list(csv.DictReader(file))
        metrics, timing = table("metrics.csv"), table("timing.csv")
    seconds, found, before = 0.0, [], 0
    for row, times in zip(metrics, timing, strict=True):
        assert row["step"] == times["step"]
        if int(row["step"]) > 0:
            seconds += (int(row["samples"]) - before) / float(times["samples_per_second"])
            found.append((int(row["step"]), seconds, float(row["val_accuracy"])))
        before = int(row["samples"])
    return found


def reach(curve, line):
    return next(((step, seconds) for step, seconds, accuracy in curve if accuracy >= line), None)


def find_data():
    for folder in (option("--data", None), os.path.join(os.environ.get("TRAINER_DATA", "/nowhere"), "fashion-mnist"),
                   os.path.join(os.path.dirname(os.path.abspath(__file__)), "../datasets/fashion-mnist"), "/usr/share/datasets/fashion-mnist"):
        if folder and os.path.isdir(folder):
            return os.path.abspath(folder)
    sys.exit("time_to_accuracy: Fashion-MNIST is not there: launch/setup.sh installs it; or say --data FOLDER")


def main():
    trainer, processors, quick = os.path.abspath(sys.argv[1]), int(option("--processors", 2)), "--quick" in sys.argv
    seeds, epochs = int(option("--seeds", 2 if quick else 10)), int(option("--epochs", 2 if quick else 12))
    lines, data = (0.80, 0.85) if quick else (0.8833, 0.90), find_data()
    print(f"{NET}, one cycle to {RATE}, {epochs} epochs, {seeds} seeds", flush=True)
    losses = side.Losses(trainer, NET, data)
    if quick:
        setting = side.blas_settings(processors)[-2]
    else:
        settings = side.choose(NET, data, losses, processors, 100, lambda line: print(line, flush=True), distributed=False)
        setting = settings["PyTorch"]
        if "--bf16" in sys.argv and "PyTorch bf16" in settings:
            setting = settings["PyTorch bf16"]
    layouts = [(processors, 1), (1, processors)] if processors > 1 else [(1, 1)]
    options = ("--precision", "bf16") if "--bf16" in sys.argv else ()
    torch = side.Torch(NET, setting, data)
    try:
        print(f"  {setting}: its first losses differ from ours by {losses.verify(torch):.1e}", flush=True)
        torch.ask("steps", count=100)
        curves = {}
        for seed in range(1, seeds + 1):
            for ranks, threads in layouts:
                curves.setdefault(f"ours, {ranks} x {threads}", []).append(our_curve(trainer, data, seed, epochs, ranks, threads, options))
            curves.setdefault("PyTorch", []).append(torch.ask("curve", seed=seed, epochs=epochs, rate=RATE, every=EVERY))
            for name, found in curves.items():
                reached = "   ".join(f"{100 * line:.2f} %: " + ("%d steps, %.2f s" % at if (at := reach(found[-1], line)) else "not reached")
                                     for line in lines)
                print(f"  seed {seed}  {name:12} {reached}   at the end {100 * found[-1][-1][2]:.2f} % after {found[-1][-1][1]:.2f} s", flush=True)
    finally:
        torch.end()
    print("medians over the seeds (spread: greatest less least, over the median):")
    for line in [*lines, None]:
        medians = {}
        for name, found in curves.items():
            seconds = [at[1] for curve in found if (at := (reach(curve, line) if line else curve[-1]))]
            what = f"{100 * line:.2f} %" if line else "the end"
            if not seconds:
                print(f"  {what:8} {name:12} reached by no seed")
                continue
            medians[name], spread = side.summary(seconds)
            print(f"  {what:8} {name:12} {medians[name]:6.2f} s   spread {100 * spread:3.0f} %   {len(seconds)} of {len(found)} seeds")
        for name, value in medians.items():
            if name != "PyTorch" and "PyTorch" in medians:
                print(f"  {what:8} {name} takes {value / medians['PyTorch']:.2f} of PyTorch's time")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main()
