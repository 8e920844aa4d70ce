#!/usr/bin/python3
"""Whole training runs against a double-precision reference: reference_test.py TRAINER

Small nets, trained by the program as a user starts it and by numpy in double precision from the same starting weights:
every step, with penalties, clipping, max-norm, weights of classes and rows, scaling of the rate, the average of the
weights, exact statistics of the population, gradients.csv and the noise scale. Batch, stochastic and mini-batch
gradient descent; one rank and two.
"""

import csv
import gzip
import os
import struct
import subprocess
import sys
import tempfile

import h5py
import numpy as np

TRAINER = sys.argv[1]
ROWS, SIDE, CLASSES = 50, 3, 3
FEATURES = SIDE * SIDE
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def write_idx(path, array):
    with gzip.open(path, "wb") as file:
        file.write(struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape))
        file.write(array.astype(np.uint8).tobytes())


def make_data(folder, rows=ROWS):
    os.mkdir(folder)
    random = np.random.default_rng(14)
    inputs = random.integers(0, 256, (rows, SIDE, SIDE))
    labels = ((inputs.reshape(rows, FEATURES) - 128) @ random.normal(size=(FEATURES, CLASSES))).argmax(1)
    assert np.bincount(labels, minlength=CLASSES).min() > 3 and np.ptp(np.bincount(labels)) > 3, "classes must differ in size"
    write_idx(f"{folder}/train-images-idx3-ubyte.gz", inputs)
    write_idx(f"{folder}/train-labels-idx1-ubyte.gz", labels)
    weights = random.uniform(0.2, 3, rows).astype(np.float32)
    with h5py.File(f"{folder}/weights.h5", "w") as file:
        file["w"] = weights
    return inputs.reshape(rows, FEATURES) / 255.0, labels, weights.astype(float)


def step_of(name, w, g, state, rate, step, decayed):
    """What an optimizer subtracts from a tensor, as its paper has it (optim/optimizer.h names them)."""
    if name == "sgd":
        state["v"] = 0.9 * state.get("v", 0) + g
        return rate * state["v"]
    if name == "lars":
        decay = 0.01 * decayed
        norms = np.sqrt((w**2).sum()), np.sqrt((g**2).sum())
        ratio = 0.05 * norms[0] / (norms[1] + 0.01 * norms[0]) if decayed and min(norms) > 0 else 1
        state["v"] = 0.9 * state.get("v", 0) + rate * ratio * (g + decay * w)
        return state["v"]
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["s"] = 0.999 * state.get("s", 0) + 0.001 * g**2
    epsilon = 1e-6 if name == "lamb" else 1e-8
    d = state["m"] / (1 - 0.9**step) / (np.sqrt(state["s"] / (1 - 0.999**step)) + epsilon)
    if name == "adamw":
        return rate * (d + 0.01 * decayed * w)
    d = d + 0.01 * decayed * w
    norms = np.sqrt((w**2).sum()), np.sqrt((d**2).sum())
    return rate * d * (norms[0] / norms[1] if decayed and min(norms) > 0 else 1)


class Net:
    """A sequence of dense, relu, tanh and batch_norm, then softmax cross entropy. All in double."""

    def __init__(self, layers, model):
        self.layers, self.values, self.statistics = layers, {}, {}
        for i, kind in enumerate(layers):
            path = f"{i:02d}_{kind}"
            if path in model:
                for name, values in model[path].items():
                    where = self.statistics if name.startswith("running") else self.values
                    where[f"{path}/{name}"] = np.array(values, dtype=np.float64)

    def forward(self, x, training=True):
        self.kept, self.given = [], {}
        for i, kind in enumerate(self.layers):
            path = f"{i:02d}_{kind}"
            self.kept.append(x)
            if kind == "dense":
                x = x @ self.values[path + "/weight"].T + self.values[path + "/bias"]
            elif kind == "relu":
                x = np.maximum(x, 0)
            elif kind == "tanh":
                x = np.tanh(x)
            elif kind == "batch_norm":
                mean, variance = x.mean(0), x.var(0)
                if not training:
                    mean, variance = self.statistics[path + "/running_mean"], self.statistics[path + "/running_variance"]
                self.given[path] = (x.mean(0), ((x - x.mean(0)) ** 2).sum(0), len(x))
                normal = (x - mean) / np.sqrt(variance + 1e-5)
                self.kept[-1] = (normal, np.sqrt(variance + 1e-5))
                x = normal * self.values[path + "/scale"] + self.values[path + "/shift"]
        z = x - x.max(1, keepdims=True)
        self.probabilities = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        return self.probabilities

    def backward(self, labels, weights):
        """Gradients of the sum over rows; by path also the deltas of dense layers' outputs."""
        d = self.probabilities.copy()
        d[np.arange(len(labels)), labels] -= 1
        d *= weights[:, None]
        gradients, deltas = {}, {}
        for i in reversed(range(len(self.layers))):
            kind, x = self.layers[i], self.kept[i]
            path = f"{i:02d}_{kind}"
            if kind == "dense":
                deltas[path] = d
                gradients[path + "/weight"] = d.T @ x
                gradients[path + "/bias"] = d.sum(0)
                d = d @ self.values[path + "/weight"]
            elif kind == "relu":
                d = d * (x > 0)
            elif kind == "tanh":
                d = d * (1 - np.tanh(x) ** 2)
            elif kind == "batch_norm":
                normal, deviation = x
                gradients[path + "/shift"] = d.sum(0)
                gradients[path + "/scale"] = (d * normal).sum(0)
                d = self.values[path + "/scale"] / deviation * (d - d.mean(0) - normal * (d * normal).mean(0))
        return gradients, deltas


def shards_of(batch, shards):
    return [range(s * batch // shards, (s + 1) * batch // shards) for s in range(shards)]


def noise_parts(net, x, labels, weights, shards):
    """tr(Sigma) and |G|^2, estimated from shards; without batch norm shards are independent."""
    rows, squares_per_row, count = len(labels), 0.0, 0
    for shard in shards_of(rows, shards):
        if len(shard) == 0:
            continue
        part = list(shard)
        net.forward(x[part])
        gradients, _ = net.backward(labels[part], weights[part])
        squares_per_row += sum((g**2).sum() for g in gradients.values()) / len(part)
        count += 1
    net.forward(x)
    gradients, _ = net.backward(labels, weights)
    square = sum(((g / rows) ** 2).sum() for g in gradients.values())
    trace = (squares_per_row - rows * square) / (count - 1)
    return trace, square - trace / rows


def parts_of(rows, batch):
    """Even parts of at most a batch or 256 rows."""
    count = -(-rows // max(batch, 256))
    return [slice(p * rows // count, (p + 1) * rows // count) for p in range(count)]


def evaluated_model(case, net, average, x, batch):
    """What --average and --population-statistics make of the net."""
    model = Net(case["layers"], {})
    source = average if case["average"] else {**net.values, **net.statistics}
    model.values = {k: source[k] for k in net.values}
    model.statistics = {k: source[k] for k in net.statistics}
    if not case["exact"]:
        return model
    population = {}
    for part in parts_of(len(x), batch):
        model.forward(x[part])
        for path, (mean, m2, n) in model.given.items():
            if path in population:
                old, old_m2, old_n = population[path]
                mean, m2, n = ((old * old_n + mean * n) / (old_n + n),
                               old_m2 + m2 + (mean - old) ** 2 * old_n * n / (old_n + n), old_n + n)
            population[path] = (mean, m2, n)
    for path, (mean, m2, n) in population.items():
        model.statistics[path + "/running_mean"], model.statistics[path + "/running_variance"] = mean, m2 / (n - 1)
    return model


def train(case, data, model):
    """The reference; returns what the run's files should say."""
    training = ROWS - case["tail"]
    held_out = data[0][training:], data[1][training:]
    x, labels, row_weights = (column[:training] for column in data)
    counts = np.bincount(labels, minlength=CLASSES)
    class_weights = {"none": np.ones(CLASSES), "balanced": training / (CLASSES * counts)}.get(case["class_weights"])
    if class_weights is None:
        class_weights = np.array([float(c) for c in case["class_weights"].split(",")])
    weights = class_weights[labels] * (row_weights if case["sample_weights"] else 1.0)
    net = Net(case["layers"], model)
    batch = training if case["batch"] == "full" else case["batch"]
    rate = case["lr"] * (batch / 10 if case["lr_scaling"] == "linear" else 1)
    states = {k: {} for k in net.values}
    average = {k: np.zeros_like(v) for k, v in {**net.values, **net.statistics}.items()}
    noise, step, log, metrics = [0.0, 0.0], 0, [], []
    models = {}
    steps_per_epoch = -(-training // batch)
    for _ in range(case["epochs"]):
        loss_sum = 0.0
        for place in range(0, training, batch):
            step += 1
            rows = slice(place, min(place + batch, training))
            bx, bl, bw = x[rows], labels[rows], weights[rows]
            if step % 32 == 0 and case["shards"] > 1:
                parts = noise_parts(net, bx, bl, bw, case["shards"])
                noise = [n + 0.05 * (p - n) for n, p in zip(noise, parts)]
            p = net.forward(bx)
            loss_sum += -(bw * np.log(p[np.arange(len(bl)), bl])).sum()
            sums, deltas = net.backward(bl, bw)
            gradients = {k: g / len(bl) for k, g in sums.items()}
            dead = {f"{i:02d}_relu": np.mean((net.kept[i] <= 0).all(0))
                    for i, kind in enumerate(case["layers"]) if kind == "relu"}
            for path, (mean, m2, n) in net.given.items():
                if n > 1:
                    for name, value in (("running_mean", mean), ("running_variance", m2 / (n - 1))):
                        net.statistics[f"{path}/{name}"] *= 0.9
                        net.statistics[f"{path}/{name}"] += 0.1 * value
            decayed = {k: k.endswith("weight") or case["scope"] == "all" for k in gradients}
            total = {k: g + (case["l1"] * np.sign(net.values[k]) + case["l2"] * net.values[k]) * decayed[k]
                     for k, g in gradients.items()}
            norm = np.sqrt(sum((g**2).sum() for g in total.values()))
            factor = case["clip"] / norm if 0 < case["clip"] < norm else 1.0
            before = {k: v.copy() for k, v in net.values.items()}
            for k, g in total.items():
                name = case["optimizer"].split("(")[0]
                net.values[k] -= step_of(name, net.values[k], factor * g, states[k], rate, step, decayed[k])
                if case["max_norm"] and k.endswith("weight"):
                    norms = np.sqrt((net.values[k] ** 2).sum(1, keepdims=True))
                    net.values[k] *= np.where(norms > case["max_norm"], case["max_norm"] / norms, 1)
            if case["average"]:
                share = (1 - case["average"]) / (1 - case["average"] ** step)
                for k, v in {**net.values, **net.statistics}.items():
                    average[k] += share * (v - average[k])
            if step & (step - 1) == 0 or step % steps_per_epoch == 0:
                for k in gradients:
                    path, name = k.split("/")
                    if name in ("weight", "scale"):
                        change = np.sqrt(((net.values[k] - before[k]) ** 2).sum())
                        size = np.sqrt((net.values[k] ** 2).sum())
                        delta = np.abs(deltas[path]).mean() if path in deltas else None
                        log.append((step, path, np.sqrt((gradients[k] ** 2).sum()), delta, size, change / size, None))
                log += [(step, path, None, None, None, None, share) for path, share in dead.items()]
        evaluated = evaluated_model(case, net, average, x, batch)
        val_loss = np.nan
        if case["tail"]:
            q = evaluated.forward(held_out[0], training=False)
            val_loss = -np.log(q[np.arange(len(q)), held_out[1]]).mean()
        metrics.append((loss_sum / training, noise[0] / noise[1] if noise[1] > 0 else np.nan, val_loss))
        models[step] = {k: v.copy() for k, v in {**evaluated.values, **evaluated.statistics}.items()}
    return {"values": {**net.values, **net.statistics}, "evaluated": models, "log": log, "metrics": metrics, "noise": noise}


def model_of(path):
    found = {}
    with h5py.File(path) as file:
        for layer, group in file["model"].items():
            found[layer] = {name: group[name][...] for name in group}
    return found


def near(found, wanted, what, tolerance, least=1e-3):
    found, wanted = np.asarray(found, dtype=float), np.asarray(wanted, dtype=float)
    error = np.abs(found - wanted).max() / max(np.abs(wanted).max(), least)
    assert error <= tolerance, f"{what}: differs by {error:.1e} of its size\nfound {found}\nwanted {wanted}"


def check(name, case, ranks, folder, data):
    out = f"{folder}/{name}-{ranks}"
    last = max(i for i, kind in enumerate(case["layers"]) if kind == "dense")
    widths = iter(case["widths"])
    model = " ".join(kind if kind != "dense" else "dense(outputs)" if i == last else f"dense({next(widths)})"
                     for i, kind in enumerate(case["layers"]))
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks), TRAINER, "--data", f"{folder}/data",
               "--model", model,
               "--validation", f"tail({case['tail'] / ROWS})" if case["tail"] else "0", "--shuffle", "none",
               "--optimizer", case["optimizer"], "--penalty-scope", case["scope"], "--lr", str(case["lr"]),
               "--batch", str(case["batch"]), "--shards", str(case["shards"]), "--epochs", str(case["epochs"]), "--l1", str(case["l1"]),
               "--l2", str(case["l2"]), "--clip-norm", str(case["clip"]), "--max-norm", str(case["max_norm"]), "--average", str(case["average"]),
               "--class-weights", case["class_weights"], "--lr-scaling", case["lr_scaling"], "--reference-batch", "10",
               "--population-statistics", "exact" if case["exact"] else "running", "--log-gradients", "--keep", "100",
               "--threads", "1", "--quiet", "--out", out]
    if case["sample_weights"]:
        command += ["--sample-weights", f"{folder}/data/weights.h5:w"]
    subprocess.run(command, check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    wanted = train(case, data, model_of(f"{out}/checkpoints/step-00000000.h5"))
    training = ROWS - case["tail"]
    steps = case["epochs"] * -(-training // (training if case["batch"] == "full" else case["batch"]))
    # Float32 sums and a few hundred steps of a smooth map; a wrong formula is off by percents.
    tolerance = 2e-4
    with h5py.File(f"{out}/best.h5") as best:
        best_step = int(best["progress"].attrs["step"])
    assert best_step > steps // 2, f"{name}: best at step {best_step}; choose other settings"
    for file, values in ((f"checkpoints/step-{steps:08d}.h5", wanted["values"]), ("best.h5", wanted["evaluated"][best_step])):
        found = model_of(f"{out}/{file}")
        for path, value in values.items():
            layer, tensor = path.split("/")
            # Biases before a batch norm stay 0 but for roundings.
            near(found[layer][tensor], value, f"{name}, {file}, {path}", tolerance, least=0.1)
    with open(f"{out}/metrics.csv") as file:
        rows = list(csv.DictReader(file))[1:]
    near([float(r["train_loss"]) for r in rows], [m[0] for m in wanted["metrics"]], f"{name}, train_loss", tolerance)
    if case["tail"]:
        near([float(r["val_loss"]) for r in rows], [m[2] for m in wanted["metrics"]], f"{name}, val_loss", tolerance)
    if case["shards"] > 1 and "batch_norm" not in case["layers"] and steps >= 32:
        found = [float(r["noise_scale"]) for r in rows]
        expected = [m[1] for m in wanted["metrics"]]
        assert np.array_equal(np.isnan(found), np.isnan(expected)), (found, expected)
        near(np.nan_to_num(found), np.nan_to_num(expected), f"{name}, noise_scale", 50 * tolerance)
        with h5py.File(f"{out}/checkpoints/step-{steps:08d}.h5") as file:
            attributes = file["progress"].attrs
            found = [attributes["noise_trace"], attributes["noise_square"]]
        for part, value, expected in zip(("trace", "square"), found, wanted["noise"]):
            assert abs(value - expected) <= 1e-3 * abs(wanted["noise"][0]), f"{name}, noise {part}: {value}, not {expected}"
    with open(f"{out}/gradients.csv") as file:
        found = {(int(r["step"]), r["layer"]): r for r in csv.DictReader(file)}
    assert len(found) == len(wanted["log"]), f"{name}: gradients.csv has {len(found)} rows, not {len(wanted['log'])}"
    columns = ("gradient_norm", "mean_delta", "weight_norm", "update_ratio", "dead_share")
    for step, layer, *values in wanted["log"]:
        for column, value in zip(columns, values):
            text = found[step, layer][column]
            assert (text == "") == (value is None), f"{name}, gradients.csv, {step} {layer} {column}: {text!r}, not {value}"
            if value is not None:
                near(float(text), value, f"{name}, gradients.csv, step {step}, {layer}, {column}", 50 * tolerance)


def check_population(ranks, folder, x):
    """Exact statistics are those without dropout and noise: of the very weights in best.h5."""
    out = f"{folder}/population-{ranks}"
    subprocess.run(["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks), TRAINER, "--data", f"{folder}/larger", "--model",
                    "noise(0.5) dense(8) batch_norm relu dropout(0.5) dense(8) batch_norm(statistics=shard) dense(outputs)", "--validation", "0",
                    "--shuffle", "none", "--batch", "16", "--shards", "3", "--epochs", "2", "--population-statistics", "exact", "--threads", "1",
                    "--quiet", "--out", out], check=True, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    found = model_of(f"{out}/best.h5")
    first = found["01_dense"], found["02_batch_norm"]
    second = found["05_dense"], found["06_batch_norm"]
    given = [], []
    for part in parts_of(len(x), 16):
        h = x[part] @ first[0]["weight"].T + first[0]["bias"]
        given[0].append(h)
        h = (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5) * first[1]["scale"] + first[1]["shift"]
        given[1].append(np.maximum(h, 0) @ second[0]["weight"].T + second[0]["bias"])
    for values, norm in zip(given, (first[1], second[1])):
        values = np.concatenate(values)
        near(norm["running_mean"], values.mean(0), "population, mean", 2e-4)
        near(norm["running_variance"], values.var(0, ddof=1), "population, variance", 2e-4)


PLAIN = dict(layers=["dense", "relu", "dense", "tanh", "dense"], widths=[8, 8], tail=0, optimizer="sgd(momentum=0.9)", scope="weights",
             batch=10, shards=4, epochs=8, lr=0.05, l1=0, l2=0, clip=0, max_norm=0,
             average=0, class_weights="none", sample_weights=False, lr_scaling="none", exact=False)
NORMED = dict(PLAIN, layers=["dense", "batch_norm", "relu", "dense"])
CASES = {
    "mini-batch": PLAIN,
    "stochastic": dict(PLAIN, batch=1, shards=1, epochs=4, lr=0.01),
    "batch": dict(PLAIN, batch="full", epochs=40),
    "penalties": dict(PLAIN, l1=1e-3, l2=1e-2),
    "clipped": dict(PLAIN, clip=0.05, lr=0.2),
    "max-norm": dict(PLAIN, max_norm=1.1),
    "max-norm-in-panels": dict(PLAIN, widths=[16, 128], max_norm=0.7),  # weights [128, 16] are stored in two panels
    "adamw": dict(PLAIN, optimizer="adamw", lr=0.01, l2=1e-3, clip=1, scope="all"),
    "lamb": dict(PLAIN, optimizer="lamb", lr=0.005, clip=1, l1=1e-4, widths=[16, 128]),
    "lars": dict(PLAIN, optimizer="lars(weight_decay=0.01, trust=0.05)", lr=0.1, l2=1e-3, clip=2),
    "balanced": dict(PLAIN, class_weights="balanced"),
    "listed-and-rows": dict(PLAIN, class_weights="0.5,2,1", sample_weights=True),
    "scaled": dict(PLAIN, lr_scaling="linear", batch=20, lr=0.02),
    "average": dict(PLAIN, average=0.9),
    "statistics": dict(NORMED, exact=True),
    "average-of-statistics": dict(NORMED, average=0.9, batch=20),
    "everything": dict(NORMED, exact=True, tail=10, average=0.95, l1=1e-4, l2=1e-3, clip=1, max_norm=1.5, class_weights="balanced",
                       sample_weights=True, lr_scaling="linear", batch=16),
}

with tempfile.TemporaryDirectory() as folder:
    data = make_data(f"{folder}/data")
    for name, case in CASES.items():
        for ranks in (1, 2):
            check(name, case, ranks, folder, data)
        print(f"{name}: as the reference, on 1 and 2 ranks", flush=True)
    inputs, _, _ = make_data(f"{folder}/larger", 600)
    for ranks in (1, 2):
        check_population(ranks, folder, inputs)
    print("statistics without dropout and noise: as the reference, on 1 and 2 ranks", flush=True)
