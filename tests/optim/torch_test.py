#!/usr/bin/env python3
"""Optimizers and schedules against PyTorch: torch_test.py PATH/optim_driver

Fifty steps of each optimizer with given gradients. torch.optim in float64 is the truth; the tolerance for each
parameter and step is a running bound on the roundings of the same formula in float32 (Wilkinson). Schedules are
compared as doubles. Exits with 77 (skipped) where torch is absent.
"""

import subprocess
import sys

try:
    import numpy as np
    import torch
    from torch.optim import lr_scheduler
except ImportError as missing:
    print(f"skipped: {missing.name} is not installed (Debian: python3-torch); nothing was compared")
    sys.exit(77)

torch.set_num_threads(1)
COUNT, STEPS = 200, 50
SMALLEST = 2.0**-126  # values of the state below it become zero


class Bounded:
    """Doubles with a bound on the error of the same computation in float32."""

    def __init__(self, value, error=None):
        self.value = np.asarray(value, dtype=np.float64)
        self.error = 2.0**-24 * np.abs(self.value) if error is None else error

    @staticmethod
    def exactly(value):
        return Bounded(value, np.zeros_like(value, dtype=np.float64))

    def _rounded(value, error):
        return Bounded(value, error + 2.0**-24 * (np.abs(value) + error) + SMALLEST)

    def __add__(self, other):
        return Bounded._rounded(self.value + other.value, self.error + other.error)

    def __sub__(self, other):
        return Bounded._rounded(self.value - other.value, self.error + other.error)

    def __mul__(self, other):
        error = np.abs(self.value) * other.error + np.abs(other.value) * self.error + self.error * other.error
        return Bounded._rounded(self.value * other.value, error)

    def __truediv__(self, other):  # by what is positive, its error included
        quotient = self.value / other.value
        error = (self.error + np.abs(quotient) * other.error) / (other.value - other.error)
        return Bounded._rounded(quotient, error)

    def sqrt(self):
        low = np.sqrt(np.maximum(self.value - self.error, 0))
        return Bounded._rounded(np.sqrt(self.value), np.sqrt(self.value + self.error) - low)


def zeros():
    return Bounded.exactly(np.zeros(COUNT))


def const(value):
    return Bounded(value)


def sgd(momentum, nesterov):
    def change(state, g, w, rate, step):
        state["v"] = const(momentum) * state.get("v", zeros()) + g
        return const(rate) * (g + const(momentum) * state["v"] if nesterov else state["v"])

    return change


def adagrad(epsilon):
    def change(state, g, w, rate, step):
        state["s"] = state.get("s", zeros()) + g * g
        return const(rate) * (g / (state["s"].sqrt() + const(epsilon)))

    return change


def rmsprop(beta, epsilon):
    def change(state, g, w, rate, step):
        state["v"] = const(beta) * state.get("v", zeros()) + const(1 - beta) * (g * g)
        return const(rate) * (g / (state["v"].sqrt() + const(epsilon)))

    return change


def adamw(beta1, beta2, epsilon, decay):
    def change(state, g, w, rate, step):
        state["m"] = const(beta1) * state.get("m", zeros()) + const(1 - beta1) * g
        state["v"] = const(beta2) * state.get("v", zeros()) + const(1 - beta2) * (g * g)
        m = state["m"] / const(1 - beta1**step)
        v = state["v"] / const(1 - beta2**step)
        moved = const(rate) * (m / (v.sqrt() + const(epsilon)))
        return moved + const(rate * decay) * w if decay else moved

    return change


OPTIMIZERS = [
    ("sgd", sgd(0, False), lambda p: torch.optim.SGD(p, 0.1), 0.1),
    ("sgd(0.9)", sgd(0.9, False), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), 0.1),
    ("sgd(0.9, true)", sgd(0.9, True), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True), 0.1),
    ("adagrad", adagrad(1e-8), lambda p: torch.optim.Adagrad(p, 0.01, eps=1e-8), 0.01),
    ("rmsprop", rmsprop(0.99, 1e-8), lambda p: torch.optim.RMSprop(p, 0.01), 0.01),
    ("rmsprop(0.9, 1e-3)", rmsprop(0.9, 1e-3), lambda p: torch.optim.RMSprop(p, 0.01, 0.9, 1e-3), 0.01),
    ("adam", adamw(0.9, 0.999, 1e-8, 0), lambda p: torch.optim.Adam(p, 0.001), 0.001),
    ("adam(0.5, 0.9, 1e-3)", adamw(0.5, 0.9, 1e-3, 0), lambda p: torch.optim.Adam(p, 0.001, (0.5, 0.9), 1e-3), 0.001),
    ("adamw", adamw(0.9, 0.999, 1e-8, 0.01), lambda p: torch.optim.AdamW(p, 0.001), 0.001),
    (
        "adamw(0.8, 0.95, weight_decay=1)",
        adamw(0.8, 0.95, 1e-8, 1),
        lambda p: torch.optim.AdamW(p, 0.01, (0.8, 0.95), weight_decay=1),
        0.01,
    ),
]


def drive(words, numbers):
    text = "\n".join(str(float(x)) for x in numbers)
    done = subprocess.run([sys.argv[1], *map(str, words)], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"optim_driver {words}: {done.stderr}")
    return done.stdout.split()


def draw(generator, shape):
    """Magnitudes from 1e-6 to 100 and a few of 1e10, both signs, one in eight zero."""
    values = 10.0 ** generator.uniform(-6, 2, shape) * generator.choice([-1, 1], shape)
    values[generator.uniform(size=shape) < 0.125] = 0
    values[generator.uniform(size=shape) < 0.01] *= 1e8
    return values.astype(np.float32).astype(np.float64)


def check_optimizer(text, change, make, rate, seed):
    generator = np.random.default_rng(seed)
    start, gradients = draw(generator, COUNT), draw(generator, (STEPS, COUNT))
    numbers = np.concatenate([start, gradients.ravel()])
    found = np.array(drive(["update", text, rate, COUNT, STEPS], numbers), dtype=np.float32).astype(np.float64)
    parameter = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = make([parameter])
    bounded, state, worst = Bounded.exactly(start), {}, 0.0
    for step, (g, ours) in enumerate(zip(gradients, found.reshape(STEPS, COUNT)), 1):
        parameter.grad = torch.tensor(g)
        optimizer.step()
        bounded = bounded - change(state, Bounded.exactly(g), bounded, rate, step)
        truth = parameter.detach().numpy()
        # The two forms of the formula in double differ by the same roundings, 2^29 times smaller.
        if not np.all(np.abs(bounded.value - truth) <= 4 * 2.0**-29 * bounded.error):
            sys.exit(f"{text}, step {step}: the formula that gives the tolerance is not torch's")
        if not np.all(np.abs(ours - truth) <= bounded.error):
            at = int(np.argmax(np.abs(ours - truth) - bounded.error))
            sys.exit(
                f"{text}, step {step}, parameter {at}: {ours[at]}, torch has {truth[at]}, "
                f"tolerance {bounded.error[at]}"
            )
        worst = max(worst, np.max(np.abs(ours - truth) / np.maximum(bounded.error, SMALLEST)))
    print(f"{text}: {STEPS} steps of {COUNT} parameters agree; the largest difference is {worst:.2f} of its bound")


EPOCH, HORIZON = 10, 60
SCHEDULES = [
    ("step(2 epochs, 0.3)", lambda o: lr_scheduler.StepLR(o, 2 * EPOCH, 0.3)),
    ("exponential(0.9, 1 step)", lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
    ("exponential(0.9)", lambda o: lr_scheduler.ExponentialLR(o, 0.9 ** (1 / EPOCH))),
    ("linear(0.2)", lambda o: lr_scheduler.LinearLR(o, 1, 0.2, HORIZON)),
    ("cosine", lambda o: lr_scheduler.CosineAnnealingLR(o, HORIZON)),
    ("one_cycle", lambda o: lr_scheduler.OneCycleLR(o, 0.5, HORIZON, div_factor=25, final_div_factor=400)),
]


def torch_optimizer():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.5)


def compare_rates(text, words, expected):
    found = np.array(words, dtype=np.float64)
    if not np.allclose(found, expected, rtol=1e-12, atol=1e-15):
        at = int(np.argmax(np.abs(found - expected)))
        sys.exit(f"{text}, step {at + 1}: {found[at]}, torch has {expected[at]}")
    print(f"{text}: {len(found)} rates agree")


def check_schedule(text, make):
    optimizer = torch_optimizer()
    scheduler, expected = make(optimizer), []
    for _ in range(HORIZON):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < HORIZON:
            scheduler.step()
    compare_rates(text, drive(["rates", text, 0.5, HORIZON, EPOCH, HORIZON], []), np.array(expected))


def check_plateau():
    """Our patience n is torch's n - 1."""
    values = np.round(np.random.default_rng(5).uniform(0, 3, 200) + np.linspace(3, 0, 200), 2)
    optimizer = torch_optimizer()
    scheduler = lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.8, patience=3, threshold=0.1, threshold_mode="abs", min_lr=0.5 * 0.01, eps=0
    )
    expected = []
    for value in values:
        expected.append(optimizer.param_groups[0]["lr"])
        scheduler.step(value)
    text = "plateau(4, 0.8, min_delta=0.1, min=0.01)"
    found = drive(["rates", text, 0.5, 0, 1, len(values)], values)
    if len(set(expected)) < 10:
        sys.exit("the series has too few reductions to say anything")
    compare_rates(text, found, np.array(expected))


for seed, optimizer_case in enumerate(OPTIMIZERS):
    check_optimizer(*optimizer_case, seed)
for schedule_case in SCHEDULES:
    check_schedule(*schedule_case)
check_plateau()
