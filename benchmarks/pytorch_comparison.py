#!/usr/bin/env python3
"""Training speed beside PyTorch: the same nets, batches and optimizer on the same processors, in one run.

Usage: pytorch_comparison.py TRAINER [--nets wide,default,small] [--rounds 5] [--processors 2]

For each net: our program on N ranks x 1 thread and on 1 rank x N threads; PyTorch as one process of N threads with
each BLAS that is installed, and with DistributedDataParallel over gloo on N processes. The candidates take turns,
round after round; the median of the rounds counts, its spread (greatest less least, over the median) is told. PyTorch
is given its data as tensors in memory, shuffled by one randperm an epoch: what a loader costs is not counted against
it. Needs Debian's python3-torch and libopenblas0-pthread.
"""
import csv
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

NETS = {  # hidden layers, batch norm, rows of a step, steps that are timed in a round
    "wide": ([1024, 1024, 1024], True, 2048, 12),
    "default": ([512, 512], False, 256, 150),
    "small": ([128], False, 32, 1500),
}
INPUTS, CLASSES, ROWS = 784, 10, 16384


def option(name, default):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


# ---- PyTorch, in a process of its own: prints samples a second


def worker(net, threads, ranks):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    hidden, norm, batch, steps = NETS[net]
    layers, width = [], INPUTS
    for units in hidden:
        layers += [nn.Linear(width, units)] + ([nn.BatchNorm1d(units)] if norm else []) + [nn.ReLU()]
        width = units
    model = nn.Sequential(*layers, nn.Linear(width, CLASSES))
    rank = 0
    if ranks > 1:
        import torch.distributed as dist

        rank = int(os.environ["RANK"])
        dist.init_process_group("gloo", rank=rank, world_size=ranks)
        model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, foreach=True)
    loss = nn.CrossEntropyLoss()
    x, y = torch.randn(ROWS // ranks, INPUTS), torch.randint(0, CLASSES, (ROWS // ranks,))
    mine = batch // ranks

    def run(count):
        order, place = torch.randperm(len(x)), 0
        for _ in range(count):
            if place + mine > len(x):
                order, place = torch.randperm(len(x)), 0
            rows = order[place:place + mine]
            place += mine
            optimizer.zero_grad(set_to_none=True)
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()

    run(max(3, steps // 5))
    begin = time.perf_counter()
    run(steps)
    seconds = time.perf_counter() - begin
    if rank == 0:
        print(json.dumps(batch * steps / seconds))


def torch_speed(net, threads, ranks, preload=None):
    words = [sys.executable, os.path.abspath(__file__), "--worker", net, str(threads), str(ranks)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MASTER_ADDR="127.0.0.1", MASTER_PORT="29511")
    if preload:
        environment["LD_PRELOAD"] = preload
    jobs = [subprocess.Popen(words, env=dict(environment, RANK=str(rank)), stdout=subprocess.PIPE, text=True) for rank in range(ranks)]
    outputs = [job.communicate()[0] for job in jobs]
    if any(job.returncode for job in jobs):
        raise RuntimeError(f"PyTorch failed: {' '.join(words)}")
    return json.loads(outputs[0])


# ---- ours


def our_speed(trainer, net, ranks, threads):
    hidden, norm, batch, steps = NETS[net]
    model = " ".join(f"dense({units}){' batch_norm' if norm else ''} relu" for units in hidden) + " dense(outputs)"
    with tempfile.TemporaryDirectory() as folder:
        words = ["mpirun", "--oversubscribe", "--bind-to", "core" if ranks > 1 else "none", "-np", str(ranks), trainer, "--data",
                 f"generate:blobs(rows={ROWS}, features={INPUTS}, classes={CLASSES})", "--validation", "0", "--scale", "none", "--model", model,
                 "--optimizer", "adam", "--batch-size", str(batch), "--max-steps", str(steps + max(3, steps // 5)), "--evaluate-every",
                 f"{max(3, steps // 5)} steps", "--checkpoint-every", "1000000 steps", "--threads", str(threads), "--quiet", "--out",
                 folder + "/run"]
        environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
        with open(folder + "/run/timing.csv", newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) > 0]
    # Seconds of training steps between evaluations; the first ones are not counted, as with PyTorch.
    return batch * (int(rows[-1]["step"]) - int(rows[0]["step"])) / sum(float(row["samples_per_second"]) ** -1 * batch * (
        int(row["step"]) - int(before["step"])) for before, row in zip(rows, rows[1:]))


def main():
    trainer, processors, rounds = os.path.abspath(sys.argv[1]), int(option("--processors", 2)), int(option("--rounds", 5))
    blas = {"as installed": None}
    for path in sorted(glob.glob("/usr/lib/x86_64-linux-gnu/*/libblas.so.3")):
        blas[os.path.basename(os.path.dirname(path))] = path
    if not any(fast in name for name in blas for fast in ("openblas", "blis", "mkl")):
        sys.exit("pytorch_comparison: only the reference BLAS is installed, on which PyTorch is some fifty times slower: nothing to compare "
                 "with; install libopenblas0-pthread")
    for net in option("--nets", ",".join(NETS)).split(","):
        hidden, norm, batch, _ = NETS[net]
        candidates = {f"ours, {processors} ranks x 1 thread": lambda: our_speed(trainer, net, processors, 1),
                      f"ours, 1 rank x {processors} threads": lambda: our_speed(trainer, net, 1, processors)}
        for name, path in blas.items():
            candidates[f"PyTorch, {processors} threads, BLAS {name}"] = lambda path=path: torch_speed(net, processors, 1, path)
        candidates[f"PyTorch DDP, {processors} processes"] = lambda: torch_speed(net, 1, processors)
        speeds = {name: [] for name in candidates}
        for _ in range(rounds):
            for name, measure in candidates.items():
                speeds[name].append(measure())
        median = {name: statistics.median(values) for name, values in speeds.items()}
        ours = max(value for name, value in median.items() if name.startswith("ours"))
        print(f"\n{INPUTS}-{'-'.join(map(str, hidden))}-{CLASSES}{', batch norm' if norm else ''}, batch {batch}, Adam")
        for name, value in median.items():
            spread = (max(speeds[name]) - min(speeds[name])) / value
            ratio = "" if name.startswith("ours") else f"   ours is {ours / value:.2f} times as fast"
            print(f"  {name:42} {value:9.0f} samples/s   spread {100 * spread:3.0f} %{ratio}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--worker":
        worker(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
