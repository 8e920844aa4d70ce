#!/usr/bin/env python3
"""Random networks over all layers and losses, trained by the program and by PyTorch from the same start.

Usage: torch_test.py TRAINER. Exit code 77 (skipped) where torch, numpy or h5py is absent.

The data go to the program as IDX files of 32-bit floats, the first weights as an HDF5 file written by h5py (--init);
both train for 50 steps of sgd on the same batches. The reference is PyTorch in double precision. How far single
precision may be from it is measured, not guessed: PyTorch itself, in single precision, on the same data and, to have
other rounding errors, with the columns of all data and weights in other orders.
"""
import csv
import os
import random
import struct
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
    import torch
    from torch.nn import functional as F
except ImportError as error:
    print(f"skipped: {error}; Debian has python3-torch, python3-h5py and python3-numpy")
    sys.exit(77)

STEPS, ROWS, BATCH, INPUTS = 50, 90, 32, 6  # the last batch of an epoch is smaller
RUNS, FACTOR = 4, 8  # a few runs do not show the largest possible error
EPSILON = 2.0**-23

ACTIVATIONS = {
    "relu": F.relu,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.01),
    "leaky_relu(0.3)": lambda x: F.leaky_relu(x, 0.3),
    "elu": F.elu,
    "elu(alpha=0.5)": lambda x: F.elu(x, 0.5),
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softmax": lambda x: torch.softmax(x, 1),
    "dropout(0)": lambda x: x,
    "noise(0)": lambda x: x,
}

# (text, form of the targets, outputs, output activations that it may be given)
LOSSES = [
    ("softmax_cross_entropy", "classes", 4, ["", "softmax"]),
    ("softmax_cross_entropy(label_smoothing=0.1)", "classes", 4, [""]),
    ("softmax_cross_entropy(label_smoothing=0.2)", "distributions", 3, [""]),
    ("binary_cross_entropy", "classes", 1, ["", "sigmoid"]),
    ("binary_cross_entropy(outputs=sum)", "classes", 4, ["sigmoid"]),
    ("mse", "values", 3, ["", "tanh"]),
    ("half_squared_error", "classes", 4, ["sigmoid"]),
    ("mae(outputs=sum)", "values", 3, [""]),
    ("huber(delta=0.5)", "values", 3, [""]),
    ("kl_divergence", "distributions", 3, ["", "softmax"]),
]


class Network:
    """One drawn network: its text for the program, and the same computation in PyTorch."""

    def __init__(self, draw, queue):
        self.draw, self.queue = draw, queue
        self.parameters = {}  # path -> first value, 32-bit
        self.statistics = {}

    def add_dense(self, path, inputs, outputs, bias=True):
        scale = self.draw.uniform(0.7, 1.2) / np.sqrt(inputs)
        self.parameters[path + "/weight"] = self.normal((outputs, inputs), scale)
        if bias:
            self.parameters[path + "/bias"] = self.normal((outputs,), 0.2)

    def normal(self, shape, deviation, mean=0.0):
        values = [self.draw.gauss(mean, deviation) for _ in range(int(np.prod(shape)))]
        return np.array(values, "f4").reshape(shape)

    def build(self, text, width, prefix=""):
        """Layers as (kind, path, ...) with their weights drawn; `text`: a list of words and nested lists."""
        layers = []
        flat = []
        for item in text:  # repeat is written out
            flat += item[2] * item[1] if isinstance(item, tuple) and item[0] == "repeat" else [item]
        for number, item in enumerate(flat):
            name = item[0] if isinstance(item, tuple) else item.split("(")[0]
            path = f"{prefix}{number:02d}_{name}"
            if name == "dense":
                outputs, bias = item[1], item[2]
                self.add_dense(path, width, outputs, bias)
                layers.append(("dense", path, bias))
                width = outputs
            elif name == "residual":
                body, out = self.build(item[1], width, path + "/")
                if out != width:
                    self.add_dense(path + "/projection", width, out, False)
                layers.append(("residual", path, body, out != width))
                width = out
            elif name in ("batch_norm", "layer_norm"):
                self.parameters[path + "/scale"] = self.normal((width,), 0.2, 1.0)
                self.parameters[path + "/shift"] = self.normal((width,), 0.2)
                if name == "batch_norm":
                    self.statistics[path + "/running_mean"] = np.zeros(width, "f4")
                    self.statistics[path + "/running_variance"] = np.ones(width, "f4")
                layers.append((name, path))
            else:
                layers.append(("activation", ACTIVATIONS[item]))
        return layers, width

    def next_layers(self, count, depth):
        return [self.next_layer(depth) for _ in range(count)]

    def next_layer(self, depth):
        if not self.queue:
            self.queue += list(ACTIVATIONS) + ["batch_norm", "layer_norm", "residual", "residual", "repeat", "batch_norm"]
            self.draw.shuffle(self.queue)
        word = self.queue.pop()
        if word == "residual":
            return ("residual", [self.dense(), self.next_layer(depth + 1), self.dense()]) if depth < 3 else self.dense()
        if word == "repeat":
            return ("repeat", 2, [self.dense(), self.next_layer(depth + 1)]) if depth < 3 else self.dense()
        return word

    def dense(self, outputs=None):
        return ("dense", outputs or self.draw.choice([3, 5, 8, 17]), self.draw.random() < 0.8)


def text_of(items):
    words = []
    for item in items:
        if isinstance(item, str):
            words.append(item)
        elif item[0] == "dense":
            words.append(f"dense({item[1]})" if item[2] else f"dense({item[1]}, bias=false)")
        elif item[0] == "residual":
            words.append(f"residual({text_of(item[1])})")
        else:
            words.append(f"repeat({item[1]}, {text_of(item[2])})")
    return " ".join(words)


def forward(layers, x, p, statistics, permutation):
    for layer in layers:
        kind = layer[0]
        if kind == "activation":
            x = layer[1](x)
        elif kind == "dense":
            order = permutation(x.shape[1])  # the same sum in another order
            x = F.linear(x[:, order], p[layer[1] + "/weight"][:, order], p[layer[1] + "/bias"] if layer[2] else None)
        elif kind == "layer_norm":
            x = F.layer_norm(x, (x.shape[1],), p[layer[1] + "/scale"], p[layer[1] + "/shift"], 1e-5)
        elif kind == "batch_norm":
            x = F.batch_norm(x, statistics[layer[1] + "/running_mean"], statistics[layer[1] + "/running_variance"],
                             p[layer[1] + "/scale"], p[layer[1] + "/shift"], True, 0.1, 1e-5)
        else:
            shortcut = F.linear(x, p[layer[1] + "/projection/weight"]) if layer[3] else x
            x = forward(layer[2], x, p, statistics, permutation) + shortcut
    return x


def loss_of(text, z, targets):
    """The mean over rows. Our smoothing e is PyTorch's e (K - 1) / K: each other class gets e / (K - 1)."""
    name, outputs = text.split("(")[0], z.shape[1]
    argument = float(text.split("=")[1].rstrip(")")) if "label_smoothing=" in text or "delta=" in text else 0.0
    if name == "softmax_cross_entropy":
        return F.cross_entropy(z, targets, label_smoothing=argument * outputs / (outputs - 1))
    if targets.dim() == 1:  # classes
        targets = (F.one_hot(targets, outputs) if outputs > 1 else targets[:, None]).to(z.dtype)
    if name == "kl_divergence":
        return F.kl_div(torch.log_softmax(z, 1), targets, reduction="batchmean")
    if name == "half_squared_error":
        return ((z - targets) ** 2).sum() / 2 / len(z)
    function = {
        "binary_cross_entropy": F.binary_cross_entropy_with_logits,
        "mse": F.mse_loss,
        "mae": F.l1_loss,
        "huber": lambda a, b: F.huber_loss(a, b, delta=argument),
    }[name]
    return function(z, targets) * (outputs if "outputs=sum" in text else 1)


def train(net, layers, loss, x, targets, rate, momentum, dtype, seed):
    """All parameters and statistics after the last step, and the losses before each step."""
    generator = np.random.RandomState(seed)
    permutation = (lambda width: torch.from_numpy(generator.permutation(width))) if seed else (lambda width: torch.arange(width))
    p = {path: torch.tensor(value, dtype=dtype, requires_grad=True) for path, value in net.parameters.items()}
    statistics = {path: torch.tensor(value, dtype=dtype) for path, value in net.statistics.items()}
    optimizer = torch.optim.SGD(p.values(), lr=rate, momentum=momentum)
    x = torch.tensor(x, dtype=dtype)
    targets = torch.tensor(targets, dtype=torch.int64 if targets.ndim == 1 else dtype)
    losses, begin = [], 0
    for _ in range(STEPS):
        rows = torch.arange(begin, min(begin + BATCH, ROWS))
        begin = (begin + BATCH) % ROWS if begin + BATCH < ROWS else 0
        if seed:
            rows = rows[torch.from_numpy(generator.permutation(len(rows)))]
        optimizer.zero_grad()
        value = loss_of(loss, forward(layers, x[rows], p, statistics, permutation), targets[rows])
        value.backward()
        optimizer.step()
        losses.append(float(value))
    values = {path: value.detach().double().numpy() for path, value in {**p, **statistics}.items()}
    return values, np.array(losses)


def write_idx(name, array, kind, code):
    with open(name, "wb") as file:
        file.write(struct.pack(">HBB", 0, code, array.ndim) + struct.pack(">%dI" % array.ndim, *array.shape))
        file.write(array.astype(kind).tobytes())


def draw_data(draw, form, outputs):
    x = np.array([[draw.gauss(0, 1) for _ in range(INPUTS)] for _ in range(ROWS)], "f4")
    if form == "classes":
        return x, np.array([i if i < max(2, outputs) else draw.randrange(max(2, outputs)) for i in range(ROWS)])
    values = np.array([[draw.gauss(0, 1) for _ in range(outputs)] for _ in range(ROWS)], "f8")
    if form == "distributions":
        values = np.exp(values)
        values[::5, 0] = 0  # 0 ln 0 is 0
        values /= values.sum(1, keepdims=True)
    return x, values.astype("f4")


def run_program(trainer, folder, net, model, loss, x, targets, form, rate, momentum):
    data, start, out = (os.path.join(folder, name) for name in ("data", "start.h5", "run"))
    os.mkdir(data)
    write_idx(os.path.join(data, "train-images-idx2-float"), x, ">f4", 0x0D)
    if form == "classes":
        write_idx(os.path.join(data, "train-labels-idx1-ubyte"), targets, "u1", 0x08)
    else:
        write_idx(os.path.join(data, "train-labels-idx2-float"), targets, ">f4", 0x0D)
    with h5py.File(start, "w") as file:
        for path, value in {**net.parameters, **net.statistics}.items():
            file["model/" + path] = value
    command = [trainer, "train", "--data", data, "--task", "classification" if form == "classes" else "regression",
               "--scale", "none", "--validation", "0", "--shuffle", "none", "--batch-size", str(BATCH),
               "--shards", "3", "--model", model, "--loss", loss, "--optimizer", f"sgd(momentum={momentum})",
               "--lr", repr(rate), "--init", start, "--max-steps", str(STEPS), "--checkpoint-every", f"{STEPS} steps",
               "--evaluate-every", f"{STEPS} steps", "--log-steps", "--quiet", "--threads", "1", "--out", out]
    if form != "classes":
        command += ["--scale-targets", "none"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"FAILED: {' '.join(command)}\n{done.stderr}")
    with h5py.File(os.path.join(out, "checkpoints", f"step-{STEPS:08d}.h5")) as file:
        values = {path: file["model/" + path][...].astype("f8") for path in {**net.parameters, **net.statistics}}
    with open(os.path.join(out, "steps.csv")) as file:
        losses = np.array([float(row["loss"]) for row in csv.DictReader(file)])
    return values, losses


def compare(number, trainer, draw, queue, folder):
    loss, form, outputs, endings = LOSSES[number]
    net = Network(draw, queue)
    items = [net.dense()] + net.next_layers(5, 0) + [net.dense(outputs)]
    model_items = items + [ending for ending in [draw.choice(endings)] if ending]
    model = text_of(model_items)
    layers, _ = net.build(items, INPUTS)
    if model_items[-1] in ("tanh",) or (model_items[-1] == "sigmoid" and not loss.startswith("binary")):
        layers.append(("activation", ACTIVATIONS[model_items[-1]]))  # not one that the loss computes itself
    x, targets = draw_data(draw, form, outputs)
    rate, momentum = draw.choice([0.02, 0.1]), draw.choice([0, 0.5])

    exact, exact_losses = train(net, layers, loss, x, targets, rate, momentum, torch.float64, 0)
    bound = {path: 0.0 for path in exact}
    loss_bound = np.zeros(STEPS)
    for seed in range(RUNS):
        values, losses = train(net, layers, loss, x, targets, rate, momentum, torch.float32, seed)
        loss_bound = np.maximum(loss_bound, np.abs(losses - exact_losses))
        for path in bound:
            bound[path] = max(bound[path], np.abs(values[path] - exact[path]).max())
    found, found_losses = run_program(trainer, folder, net, model, loss, x, targets, form, rate, momentum)

    worst, failures = 0.0, []
    for path in exact:
        tolerance = FACTOR * max(bound[path], EPSILON * np.abs(exact[path]).max())
        difference = np.abs(found[path] - exact[path]).max()
        moved = np.abs(exact[path] - {**net.parameters, **net.statistics}[path]).max()
        worst = max(worst, difference / tolerance)
        if not difference <= tolerance:
            failures.append(f"{path}: {difference:.3g} away, tolerance {tolerance:.3g}, moved by {moved:.3g}")
    # A step's error is as large as that of any step before it: errors of single steps may be small by chance.
    tolerances = FACTOR * np.maximum(np.maximum.accumulate(loss_bound), EPSILON * np.abs(exact_losses).max())
    differences = np.abs(found_losses - exact_losses)
    worst = max(worst, (differences / tolerances).max())
    for step in np.flatnonzero(~(differences <= tolerances))[:1]:
        failures.append(f"loss before step {step + 1}: {found_losses[step]!r} instead of {exact_losses[step]!r}")
    moved = max(np.abs(exact[path] - net.parameters[path]).max() for path in net.parameters)
    if not moved > 1000 * max(bound.values()):
        failures.append(f"the comparison shows nothing: parameters moved by {moved:.3g}, bound {max(bound.values()):.3g}")
    print(f"{number}: {model} | {loss}, {form}: loss {exact_losses[0]:.4f} -> {exact_losses[-1]:.4f}, "
          f"largest difference {worst:.2f} of its tolerance")
    for failure in failures:
        print("  FAILED:", failure)
    return not failures


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: torch_test.py TRAINER")
    torch.set_num_threads(1)
    draw, queue = random.Random(int(os.environ.get("TORCH_TEST_SEED", "1"))), []
    good = True
    for number in range(len(LOSSES)):
        with tempfile.TemporaryDirectory(prefix="trainer-torch.") as folder:
            good = compare(number, os.path.abspath(sys.argv[1]), draw, queue, folder) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
