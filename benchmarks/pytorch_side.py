"""The PyTorch side of pytorch_comparison.py and time_to_accuracy.py: one dense net trained in processes of their own, which wait for
commands (`losses` of the first steps, `steps` to time, `curve` of a whole training), so that what is measured in turn is warm; and the
search for the settings that are fastest on this machine.

A setting says which BLAS stands behind the matrix products (Debian's PyTorch takes the system's), as which processor OpenBLAS sees this one
(its release 0.3.21 does not know the newest and then does without AVX-512), how threads wait, how many there are, and how PyTorch is asked:
`foreach` and `fused` Adam, the net as TorchScript or compiled, oneDNN's layout for the linear layers, bf16 by autocast.
"""
import dataclasses
import glob
import json
import math
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

try:
    import h5py
    import numpy as np
except ImportError as absent:
    sys.exit(f"{os.path.basename(sys.argv[0])}: {absent}; Debian has python3-torch, python3-h5py and python3-numpy, for /usr/bin/python3")

VERIFIED_STEPS = 12
ANSWER_SECONDS = 600  # of a process that hangs
HOPELESS = 3  # times as slow as the best so far: not looked at any longer


@dataclasses.dataclass(frozen=True)
class Net:
    hidden: tuple
    batch_norm: bool
    batch: int
    inputs: int = 784
    classes: int = 10

    def text(self, statistics=""):
        norm = f" batch_norm{statistics}" if self.batch_norm else ""
        return " ".join(f"dense({units}){norm} relu" for units in self.hidden) + " dense(outputs)"

    def __str__(self):
        return f"{self.inputs}-{'-'.join(map(str, self.hidden))}-{self.classes}{', batch norm' if self.batch_norm else ''}, batch {self.batch}, Adam"

    def tensors(self):
        """Paths of checkpoints, in PyTorch's order of parameters: (path, shape)."""
        found, place, width = [], 0, self.inputs
        for units in self.hidden:
            found += [(f"{place:02d}_dense/weight", (units, width)), (f"{place:02d}_dense/bias", (units,))]
            if self.batch_norm:
                found += [(f"{place + 1:02d}_batch_norm/scale", (units,)), (f"{place + 1:02d}_batch_norm/shift", (units,))]
            place, width = place + (3 if self.batch_norm else 2), units
        return found + [(f"{place:02d}_dense/weight", (self.classes, width)), (f"{place:02d}_dense/bias", (self.classes,))]

    def first_weights(self, seed):
        """He's normal for the weights, as both sides would draw them, 0 for biases, 1 and 0 for batch norm."""
        random = np.random.default_rng(seed)
        values = {}
        for path, shape in self.tensors():
            if len(shape) == 2:
                values[path] = (random.standard_normal(shape) * math.sqrt(2 / shape[1])).astype("f4")
            else:
                values[path] = np.full(shape, 1 if path.endswith("scale") else 0, "f4")
        return values


def write_start(net, seed, path):
    """The first weights as a file for --init."""
    with h5py.File(path, "w") as file:
        for name, value in net.first_weights(seed).items():
            file["model/" + name] = value
            if name.endswith("batch_norm/shift"):
                folder = "model/" + name.rsplit("/", 1)[0]
                file[folder + "/running_mean"], file[folder + "/running_variance"] = np.zeros_like(value), np.ones_like(value)


def write_idx(path, array, kind, code):
    with open(path, "wb") as file:
        file.write(struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape))
        file.write(array.astype(kind).tobytes())


def write_rows(folder, rows, net):
    """Rows about a centre for each class, as IDX files that both sides read."""
    random = np.random.default_rng(1)
    y = random.integers(0, net.classes, rows)
    x = (0.3 * random.standard_normal((net.classes, net.inputs)))[y] + random.standard_normal((rows, net.inputs))
    os.makedirs(folder, exist_ok=True)
    write_idx(os.path.join(folder, "train-images-idx2-float"), x, ">f4", 0x0D)
    write_idx(os.path.join(folder, "train-labels-idx1-ubyte"), y, "u1", 0x08)


def read_idx(path):
    import gzip
    with (gzip.open(path) if path.endswith(".gz") else open(path, "rb")) as file:
        _, code, axes = struct.unpack(">HBB", file.read(4))
        shape = struct.unpack(f">{axes}I", file.read(4 * axes))
        return np.frombuffer(file.read(), {0x08: "u1", 0x0D: ">f4"}[code]).reshape(shape)


def read_split(folder, split):
    """Rows and classes; bytes become numbers from 0 to 1 as with `--scale unit`."""
    def find(what):
        paths = [path for path in glob.glob(os.path.join(folder, f"{split}-{what}-idx*"))]
        if not paths:
            raise FileNotFoundError(f"{folder}: no {split}-{what}-idx*")
        return read_idx(sorted(paths)[0])
    x, y = find("images"), find("labels")
    x = x.reshape(len(x), -1)
    return (x.astype("f4") / np.float32(255) if x.dtype == np.uint8 else x.astype("f4")), y.astype("i8")


def one_cycle(step, steps, rate, start=0.04, final=0.0001, peak=0.3):
    """Of steps counted from 1, as `trainer --schedule one_cycle` and as PyTorch's OneCycleLR (cosine)."""
    def cosine(begin, end, share):
        return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2
    top = peak * steps
    if steps == 1:
        return rate
    if step <= top:
        return rate * cosine(start, 1, (step - 1) / max(1e-9, top - 1))
    return rate * cosine(1, final, (step - max(1, top)) / (steps - max(1, top)))


# ---- settings


@dataclasses.dataclass(frozen=True)
class Setting:
    threads: int
    ranks: int = 1
    blas: str = ""  # a libblas.so.3; empty: the system's
    core: str = ""  # for OPENBLAS_CORETYPE or BLIS_ARCH_TYPE
    wait: str = ""  # for OMP_WAIT_POLICY
    how: tuple = ()  # of bf16, compile, foreach, fused, onednn, script

    def __str__(self):
        parts = [f"DDP, {self.ranks} processes" if self.ranks > 1 else f"{self.threads} thread{'s' if self.threads > 1 else ''}",
                 os.path.basename(os.path.dirname(self.blas)) if self.blas else "", self.core, self.wait, " ".join(self.how)]
        return "PyTorch, " + ", ".join(part for part in parts if part)

    def environment(self):
        count = str(self.threads)
        found = dict(os.environ, OMP_NUM_THREADS=count, OPENBLAS_NUM_THREADS=count, BLIS_NUM_THREADS=count, MKL_NUM_THREADS=count)
        core = "BLIS_ARCH_TYPE" if "blis" in self.blas else "OPENBLAS_CORETYPE"
        for name, value in (("LD_PRELOAD", self.blas), (core, self.core), ("OMP_WAIT_POLICY", self.wait)):
            if value:
                found[name] = value
        return found


def processor_flags():
    with open("/proc/cpuinfo") as file:
        return next((line.split() for line in file if line.startswith("flags")), [])


def blas_settings(threads):
    """Each BLAS that is installed, as each processor that this one is, with both ways to wait. The reference BLAS is some fifty times slower
    and left out where there is another."""
    flags = processor_flags()
    wide, bf16 = "avx512f" in flags, "avx512_bf16" in flags
    cores = {"openblas": ["", *["SkylakeX"] * wide, *["Cooperlake"] * bf16], "blis": ["", *["skx"] * wide]}
    paths = [path for path in sorted(glob.glob("/usr/lib/*/*/libblas.so.3"))
             if any(fast in path for fast in ("openblas", "blis", "mkl"))]
    return [Setting(threads, blas=path, core=core, wait=wait) for path in paths or [""]
            for core in next((found for name, found in cores.items() if name in path), [""])
            for wait in ("passive", "")]


def ways():
    """Without bf16 where the processor would only emulate it: five times as slow as f32 where it was tried."""
    import torch
    plain = [(), ("foreach",), ("script",), ("foreach", "script"), ("onednn",), ("bf16",), ("bf16", "foreach"), ("bf16", "script")]
    has_bf16 = any(flag.startswith(("avx512_bf16", "amx_bf16")) for flag in processor_flags())
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2] if part.isdigit())
    if version >= (2, 4):
        plain += [("fused",), ("fused", "script"), ("bf16", "fused")]
    if version >= (2, 1):
        plain += [("compile",), ("bf16", "compile"), ("compile", "fused"), ("bf16", "compile", "fused")][:2 if version < (2, 4) else 4]
    return [way for way in plain if has_bf16 or "bf16" not in way]


# ---- the worker: one process of PyTorch


class Worker:
    def __init__(self, net, setting, rank, folder):
        import torch

        self.torch, self.net, self.how, self.rank, self.ranks, self.folder = torch, net, setting.how, rank, setting.ranks, folder
        if self.ranks > 1:  # as `mpirun --bind-to core`
            processors = sorted(os.sched_getaffinity(0))
            share = max(1, len(processors) // self.ranks)
            os.sched_setaffinity(0, processors[rank * share % len(processors):][:share])
            import torch.distributed
            torch.distributed.init_process_group("gloo", rank=rank, world_size=self.ranks)
        torch.set_num_threads(setting.threads)
        torch.set_flush_denormal(True)
        self.data = {}

    def begin(self, seed):
        torch, nn, net = self.torch, self.torch.nn, self.net
        onednn = "onednn" in self.how

        class Linear(nn.Linear):
            def forward(self, x):
                return nn.functional.linear(x.to_mkldnn(), self.weight, self.bias).to_dense() if onednn else super().forward(x)

        layers, width = [], net.inputs
        for units in net.hidden:
            layers += [(Linear if onednn else nn.Linear)(width, units)] + ([nn.BatchNorm1d(units)] if net.batch_norm else []) + [nn.ReLU()]
            width = units
        model = nn.Sequential(*layers, (Linear if onednn else nn.Linear)(width, net.classes))
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), net.first_weights(seed).values(), strict=True):
                parameter.copy_(torch.from_numpy(value))
        self.bare = model
        if "script" in self.how:
            model = torch.jit.script(model)
        if "compile" in self.how:
            model = torch.compile(model)
        if self.ranks > 1:
            model = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
        self.model, self.loss = model, nn.CrossEntropyLoss()
        words = {word: True for word in ("foreach", "fused") if word in self.how}
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **words)
        torch.manual_seed(seed)

    def rows(self, split="train"):
        if split not in self.data:
            self.data[split] = tuple(map(self.torch.from_numpy, read_split(self.folder, split)))
        return self.data[split]

    def step(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        if "bf16" in self.how:
            with self.torch.autocast("cpu", self.torch.bfloat16):
                out = self.model(x)
            loss = self.loss(out.float(), y)
        else:
            loss = self.loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def mine(self, count):
        """This rank's part of so many rows."""
        return count * self.rank // self.ranks, count * (self.rank + 1) // self.ranks

    def losses(self, count):
        """Of the first steps on the rows as they lie, the average over the whole batch."""
        self.begin(seed=1)
        (x, y), found = self.rows(), []
        for number in range(count):
            first, last = (number * self.net.batch + place for place in self.mine(self.net.batch))
            loss = self.step(x[first:last], y[first:last]).detach().clone()
            if self.ranks > 1:
                self.torch.distributed.all_reduce(loss)
            found.append(loss.item() / self.ranks)
        return found

    def steps(self, count):
        """Seconds for so many steps on rows in a random order; a permutation is drawn once an epoch. Nothing is counted of the time
        before: the net was trained for `losses`."""
        (x, y), batch = self.rows(), self.net.batch
        first, last = self.mine(batch)
        order, place = self.torch.randperm(len(x)), 0
        if self.ranks > 1:
            self.torch.distributed.barrier()
        begin = time.perf_counter()
        for _ in range(count):
            if place + batch > len(x):
                order, place = self.torch.randperm(len(x)), 0
            rows = order[place + first:place + last]
            place += batch
            self.step(x[rows], y[rows])
        return time.perf_counter() - begin

    def curve(self, seed, epochs, rate, every):
        """A whole training with one cycle of the rate: (step, seconds of training, share of the test rows that is right) at each
        evaluation. Evaluations are not in the seconds."""
        self.begin(seed)
        torch = self.torch
        (x, y), (test_x, test_y) = self.rows(), self.rows("t10k")
        steps_of_epoch = -(-len(x) // self.net.batch)
        total, seconds, found = epochs * steps_of_epoch, 0.0, []
        begin = time.perf_counter()
        for step in range(1, total + 1):
            place = (step - 1) % steps_of_epoch * self.net.batch
            if place == 0:
                order = torch.randperm(len(x))
            for group in self.optimizer.param_groups:
                group["lr"] = one_cycle(step, total, rate)
            first, last = self.mine(min(self.net.batch, len(x) - place))
            rows = order[place + first:place + last]
            self.step(x[rows], y[rows])
            if step % every == 0 or step == total:
                seconds += time.perf_counter() - begin
                self.bare.eval()
                with torch.no_grad():
                    right = sum((self.bare(test_x[k:k + 2000]).argmax(1) == test_y[k:k + 2000]).sum().item()
                                for k in range(0, len(test_x), 2000))
                self.bare.train()
                found.append((step, seconds, right / len(test_x)))
                begin = time.perf_counter()
        return found

    def serve(self):
        for line in sys.stdin:
            name, arguments = json.loads(line)
            print(json.dumps(getattr(self, name)(**arguments)), flush=True)


def serve():
    net, setting, rank, folder = json.loads(sys.argv[1])
    net["hidden"], setting["how"] = tuple(net["hidden"]), tuple(setting["how"])
    Worker(Net(**net), Setting(**setting), rank, folder).serve()


class Torch:
    """A net in the processes of a setting; rank 0's answer counts."""

    def __init__(self, net, setting, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        environment = dict(setting.environment(), MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        self.setting, self.errors = setting, tempfile.TemporaryFile("w+")
        self.jobs = [subprocess.Popen([sys.executable, os.path.abspath(__file__), json.dumps([dataclasses.asdict(net), dataclasses.asdict(setting),
                                                                                            rank, folder])], env=environment,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True)
                     for rank in range(setting.ranks)]

    def ask(self, name, **arguments):
        limit = threading.Timer(ANSWER_SECONDS, lambda: [job.kill() for job in self.jobs])
        limit.start()
        try:
            for job in self.jobs:
                job.stdin.write(json.dumps([name, arguments]) + "\n")
                job.stdin.flush()
            answers = [job.stdout.readline() for job in self.jobs]
        except BrokenPipeError:
            answers = [""]
        finally:
            limit.cancel()
        if not all(answers):
            self.errors.seek(0)
            lines = [line for line in self.errors.read().splitlines() if line.strip()]
            raise RuntimeError(lines[-1] if lines else f"ended without a word, or gave no answer within {ANSWER_SECONDS} s")
        return json.loads(answers[0])

    def end(self):
        for job in self.jobs:
            job.kill()
            job.communicate()
        self.errors.close()


# ---- ours, for the same losses


def mpirun(ranks):
    return ["mpirun", "--oversubscribe", "--bind-to", "core" if ranks > 1 else "none", "-np", str(ranks)]


def environment():
    return dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def run_ours(words):
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}\n{done.stderr.strip()}")
    return done.stdout


def knows_bf16(trainer):
    """Whether this build, on this processor, trains with --precision bf16."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([trainer, "--data", "generate:blobs(rows=64, features=4, classes=2)", "--model", "8", "--precision", "bf16",
                               "--batch-size", "32", "--max-steps", "1", "--quiet", "--threads", "1", "--out", folder + "/run"],
                              env=environment(), capture_output=True).returncode == 0


def our_losses(trainer, net, data, count, options=(), norm=""):
    """Of the first steps from the same weights on the same rows, one rank."""
    import csv
    with tempfile.TemporaryDirectory() as folder:
        write_start(net, 1, folder + "/start.h5")
        run_ours([trainer, "--data", data, "--task", "classification", "--validation", "0", "--test", "none", "--shuffle", "none",
                  "--model", net.text(norm), "--loss", "softmax_cross_entropy", "--optimizer", "adam", "--lr", "0.001", "--init",
                  folder + "/start.h5", "--batch-size", str(net.batch), "--max-steps", str(count), "--evaluate-every", f"{count} steps",
                  "--checkpoint-every", "1000000 steps", "--log-steps", "--quiet", "--threads", "1", "--out", folder + "/run", *options])
        with open(folder + "/run/steps.csv", newline="") as file:
            return [float(row["loss"]) for row in csv.DictReader(file)]


class Losses:
    """What PyTorch's losses of the first steps must be. DDP normalises each process's rows on their own: that is our
    batch_norm(statistics=shard) with a shard for each process."""

    def __init__(self, trainer, net, data, options=()):
        self.arguments, self.options, self.known = (trainer, net, data, VERIFIED_STEPS), tuple(options), {}
        self.net = net

    def of(self, ranks):
        apart = ranks > 1 and self.net.batch_norm
        if apart not in self.known:
            more = ("--shards", str(ranks)) if apart else ()
            self.known[apart] = our_losses(*self.arguments, (*self.options, *more), "(statistics=shard)" if apart else "")
        return self.known[apart]

    def verify(self, torch):
        """The largest relative difference; an exception where it is more than rounding explains."""
        return self.require_same(torch.ask("losses", count=VERIFIED_STEPS), torch.setting.ranks, "bf16" in torch.setting.how)

    def verify_our_bf16(self):
        trainer, net, data, count = self.arguments
        return self.require_same(our_losses(trainer, net, data, count, (*self.options, "--precision", "bf16")), 1, True)

    def require_same(self, losses, ranks, bf16):
        ours = self.of(ranks)
        worst = max(abs(a - b) / max(abs(b), 0.1) for a, b in zip(losses, ours, strict=True))
        if not worst <= (0.1 if bf16 else 0.01):
            raise RuntimeError(f"another training: losses {losses} against our {ours}")
        return worst


# ---- the search


def choose(net, folder, losses, processors, steps, say, distributed=True):
    """The fastest settings, as running processes: of one process in f32 and in bf16 and of DDP likewise; by kind. Everything that is
    tried is verified and shown."""
    tried = {}

    def attempt(setting):
        if setting in tried:
            return
        torch = Torch(net, setting, folder)
        try:
            worst = losses.verify(torch)
            most, count, seconds = max(2, steps // 2), 2, 0.0
            while seconds < 0.3 and count < most:
                count = min(most, 3 * count)
                seconds = torch.ask("steps", count=count)
            seconds /= count
            if net.batch / seconds > max(tried.values(), default=0) / HOPELESS:
                count = max(2, min(most, round(1 / seconds)))
                seconds = min(torch.ask("steps", count=count) for _ in range(2)) / count
            tried[setting] = net.batch / seconds
            say(f"    {str(setting):78} {tried[setting]:9.0f} samples/s   losses differ by {worst:.1e}")
        except RuntimeError as error:
            tried[setting] = 0
            say(f"    {str(setting):78} does not run: {str(error)[:150]}")
        finally:
            torch.end()

    def best(kind):
        fitting = {setting: speed for setting, speed in tried.items() if kind(setting) and speed > 0}
        return max(fitting, key=fitting.get) if fitting else None

    say("  settings of PyTorch that were tried, the faster of two runs each:")
    for setting in blas_settings(processors):
        attempt(setting)
    base = best(lambda setting: True)
    if base is None:
        raise RuntimeError("no setting of PyTorch runs")
    for threads in sorted({processors, 1}, reverse=True):
        for how in ways():
            attempt(dataclasses.replace(base, threads=threads, how=how))
    if distributed and processors > 1:
        # The BLAS that one thread likes best is not that of many.
        for how in [way for way in ((), ("foreach",), ("onednn",), ("bf16",), ("bf16", "foreach"), ("fused",)) if way in ways()]:
            for wait in ("", "passive"):
                attempt(dataclasses.replace(base, threads=1, ranks=processors, how=how, wait=wait))
    found = {}
    for ranks, name in ((1, "PyTorch"), (processors, "PyTorch DDP")):
        for low in (False, True):
            setting = best(lambda s: s.ranks == ranks and ("bf16" in s.how) == low) if ranks == 1 or (distributed and processors > 1) else None
            if setting:
                found[name + (" bf16" if low else "")] = setting
    return found


def summary(values):
    """Median, and greatest less least over the median."""
    middle = statistics.median(values)
    return middle, (max(values) - min(values)) / middle


if __name__ == "__main__":
    serve()
