#!/usr/bin/python3
"""Training speed beside PyTorch: the same nets, batches and optimizer on the same processors, in one run.

Usage: pytorch_comparison.py TRAINER [--nets wide,default,small] [--rounds 10] [--processors 2] [--quick]

For each net, PyTorch's settings are searched first (pytorch_side.py): its best as one process and as DistributedDataParallel over gloo, in f32
and in bf16. Before a setting is timed it is verified: from the same first weights, on the same rows in the same order, the losses of its
first 12 steps are ours to 1 % (10 % in bf16; of losses below 0.1, to 1 % of 0.1). Then these and our program on N ranks x 1 thread, 1 rank x N threads and 1 x 1 take turns, round
after round. The median of the rounds counts, its spread (greatest less least, over the median) is told; the ratios are of medians.

PyTorch has its data as tensors in memory, shuffled by one randperm an epoch; its processes stay alive between rounds, so that they are warm.
Ours is started anew in each round, and as many steps go before those that count, which are timed by the clock on the wall, with all that happens in them.
--quick: two settings, two rounds of few steps, to see that everything runs. Needs Debian's python3-torch, python3-h5py, libopenblas0-pthread and better also
libopenblas0-openmp and libblis4-pthread: each BLAS that is installed is tried. With another PyTorch: its interpreter before this file's name.
"""
import csv
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # no folder of it beside the sources
import pytorch_side as side  # noqa: E402

NETS = {  # and the steps that are timed in a round
    "wide": (side.Net((1024, 1024, 1024), True, 2048), 20),
    "default": (side.Net((512, 512), False, 256), 300),
    "small": (side.Net((128,), False, 32), 1000),
}
ROWS = 16384


def option(name, default):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def our_seconds(trainer, net, data, steps, ranks, threads, options):
    """Of a step, by the clock on the wall, in the second half of twice as many: between two rows of timing.csv."""
    with tempfile.TemporaryDirectory() as folder:
        side.run_ours([*side.mpirun(ranks), trainer, "--data", data, "--task", "classification", "--validation", "0", "--test", "none",
                       "--model", net.text(), "--loss", "softmax_cross_entropy", "--optimizer", "adam", "--batch-size", str(net.batch),
                       "--max-steps", str(2 * steps), "--evaluate-every", f"{steps} steps", "--checkpoint-every", "1000000 steps",
                       "--threads", str(threads), "--quiet", "--out", folder + "/run", *options])
        with open(folder + "/run/timing.csv", newline="") as file:
            seconds = {int(row["step"]): float(row["seconds"]) for row in csv.DictReader(file)}
    return (seconds[2 * steps] - seconds[steps]) / steps


def compare(trainer, name, processors, rounds, quick):
    net, steps = NETS[name]
    if quick:
        steps = steps // 10 + 2
    print(f"\n{net}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = folder + "/rows"
        side.write_rows(data, ROWS, net)
        scale = ("--scale", "none")
        losses = side.Losses(trainer, net, data, scale)
        if quick:
            settings = {"PyTorch": side.blas_settings(processors)[-2], "PyTorch DDP": side.Setting(1, processors)}
        else:
            settings = side.choose(net, data, losses, processors, steps, lambda line: print(line, flush=True))
        layouts = dict.fromkeys([(processors, 1), (1, processors), (1, 1)])  # 32 rows are one shard: one thread's work
        candidates = {}
        bf16 = side.knows_bf16(trainer)
        if bf16:
            print(f"  our losses in bf16 differ from those in f32 by {losses.verify_our_bf16():.1e}")
        for precision in ("", " bf16") if bf16 else ("",):
            for ranks, threads in layouts:
                words = (*scale, "--precision", "bf16") if precision else scale
                candidates[f"ours{precision}, {ranks} x {threads}"] = (
                    lambda ranks=ranks, threads=threads, words=words: our_seconds(trainer, net, data, steps, ranks, threads, words))
        torches = {}
        try:
            for kind, setting in settings.items():
                torches[kind] = side.Torch(net, setting, data)
                losses.verify(torches[kind])
                torches[kind].ask("steps", count=max(3, steps // 5))
                candidates[kind] = lambda torch=torches[kind]: torch.ask("steps", count=steps) / steps
            speeds = {kind: [] for kind in candidates}
            for _ in range(rounds):
                for kind, measure in candidates.items():
                    speeds[kind].append(net.batch / measure())
        finally:
            for torch in torches.values():
                torch.end()
    table = {kind: side.summary(values) for kind, values in speeds.items()}
    print(f"  {rounds} rounds in turn:")
    for kind, (median, spread) in table.items():
        ratios = ""
        if not kind.startswith("ours"):
            for precision in ("ours,", "ours bf16,"):
                best = max((value for other, (value, _) in table.items() if other.startswith(precision)), default=None)
                if best:
                    ratios += f"   {precision[:-1]} is {best / median:.2f} times as fast"
        print(f"  {kind:20} {median:9.0f} samples/s   spread {100 * spread:3.0f} %{ratios}", flush=True)
        if kind in settings:
            print(f"    {settings[kind]}")


def main():
    trainer, processors, quick = os.path.abspath(sys.argv[1]), int(option("--processors", 2)), "--quick" in sys.argv
    if not side.blas_settings(1)[0].blas and "--any-blas" not in sys.argv:
        sys.exit("pytorch_comparison: only the reference BLAS is installed, on which Debian's PyTorch is some fifty times slower: nothing to "
                 "compare with; install libopenblas0-pthread (or say --any-blas, for a PyTorch that brings its own)")
    for name in option("--nets", ",".join(NETS)).split(","):
        compare(trainer, name, processors, int(option("--rounds", 2 if quick else 10)), quick)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main()
