#!/usr/bin/env bash
# The textbook's 2-2-2 network, worked by hand, through the program itself: one row, one step, given starting weights.
# Usage: by_hand_test.sh TRAINER
source "$(dirname "$0")/common.sh"

"$python" - << 'PYTHON'
import struct, h5py, numpy as np
def idx(name, array):  # big-endian 32-bit floats
    with open(name, "wb") as file:
        file.write(struct.pack(">HBB", 0, 0x0D, array.ndim) + struct.pack(">%dI" % array.ndim, *array.shape))
        file.write(array.astype(">f4").tobytes())
import os
os.mkdir("one-row")
idx("one-row/train-images-idx2-float", np.array([[0.1, 0.5]]))
idx("one-row/train-labels-idx2-float", np.array([[0.05, 0.95]]))
w = np.arange(1, 9) / 10  # w1 ... w8
with h5py.File("start.h5", "w") as file:
    file["model/00_dense/weight"] = np.array([[w[0], w[2]], [w[1], w[3]]], "f4")
    file["model/00_dense/bias"] = np.array([0.25, 0.25], "f4")
    file["model/02_dense/weight"] = np.array([[w[4], w[5]], [w[6], w[7]]], "f4")
    file["model/02_dense/bias"] = np.array([0.35, 0.35], "f4")
PYTHON

options=(--data one-row --task regression --scale none --scale-targets none --validation 0 --shuffle none --batch-size 1
         --model "dense(2) sigmoid dense(2) sigmoid" --loss half_squared_error --optimizer sgd --lr 0.6 --init start.h5 --log-steps --quiet)
on 1 1 "${options[@]}" --max-steps 1 --out one > /dev/null
on 2 1 "${options[@]}" --max-steps 100 --checkpoint-every "100 steps" --evaluate-every "100 steps" --out hundred > /dev/null

"$python" - << 'PYTHON' || fail "the program disagrees with the calculation by hand"
import glob, h5py, csv
tolerance = 1.5e-5  # the printed sources truncate
def near(found, wanted, what):
    assert abs(found - wanted) <= tolerance, f"{what}: {found}, not {wanted}"
with h5py.File("one/checkpoints/step-00000001.h5") as file:
    a, b = file["model/00_dense/weight"][...], file["model/02_dense/weight"][...]
found = [a[0][0], a[1][0], a[0][1], a[1][1], b[0][0], b[0][1], b[1][0], b[1][1]]
wanted = [0.0993352, 0.1991959, 0.2966758, 0.3959793, 0.4518781, 0.5507336, 0.7105639, 0.8108152]
for i, (f, w) in enumerate(zip(found, wanted)):
    near(f, w, f"w{i + 1}")
losses = [float(row["loss"]) for row in csv.DictReader(open("hundred/steps.csv"))]  # before step 1, 2, ...
for step, error in {0: 0.2490895, 1: 0.229214, 2: 0.208866, 10: 0.080853}.items():
    near(losses[step], error, f"E after {step} steps")
print("by hand: weights after one step and errors after 0, 1, 2 and 10 steps agree")
PYTHON
finish
