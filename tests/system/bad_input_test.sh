#!/usr/bin/env bash
# What is wrong ends the job on every rank with the right exit code and one line that says what to do, and leaves nothing behind.
# Usage: bad_input_test.sh TRAINER
source "$(dirname "$0")/common.sh"
export TRAINER_DATA=$work/data
mkdir -p data good

# A small data set of IDX files: 60 rows of 4 x 3 bytes, 3 classes.
"$python" - << 'PYTHON'
import gzip, struct
def images(rows): return struct.pack(">HBBIII", 0, 8, 3, rows, 4, 3) + bytes((7 * i) % 256 for i in range(rows * 12))
def labels(rows): return struct.pack(">HBBI", 0, 8, 1, rows) + bytes(i % 3 for i in range(rows))
open("good/train-images-idx3-ubyte", "wb").write(images(60))
open("good/train-labels-idx1-ubyte", "wb").write(labels(60))
import os
def variant(name, image_bytes, label_bytes, gz=False):
    os.mkdir(name)
    end = ".gz" if gz else ""
    open(f"{name}/train-images-idx3-ubyte{end}", "wb").write(image_bytes)
    open(f"{name}/train-labels-idx1-ubyte{end}", "wb").write(label_bytes)
zipped = gzip.compress(images(60))
variant("truncated-gz", zipped[: len(zipped) // 2], gzip.compress(labels(60)), gz=True)
variant("wrong-magic", b"\x12\x34" + images(60)[2:], labels(60))
variant("counts", images(60), labels(59))
variant("short", images(60)[:-5], labels(60))
variant("huge", struct.pack(">HBBIII", 0, 8, 3, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), labels(60))
variant("empty", images(0), labels(0))
PYTHON

# expect CODE PATTERN arguments...: the job ends with CODE within 20 s, with one line `trainer: error:` on standard error that
# matches PATTERN, no run folder of its own and no rank left. Run without mpirun and on 3 ranks.
expect() {
  local code=$1 pattern=$2 ranks found
  shift 2
  for ranks in 1 3; do
    found=0
    start=(mpirun -np "$ranks")
    [ "$ranks" -gt 1 ] || start=()
    timeout 20 "${start[@]}" "$trainer" "$@" > out.txt 2> err.txt || found=$?
    [ "$found" = "$code" ] || fail "[$ranks ranks] $*: exit code $found, not $code: $(grep trainer: err.txt | head -n 2)"
    [ "$(grep -c '^trainer: error:' err.txt)" = 1 ] || fail "[$ranks ranks] $*: $(grep -c '^trainer: error:' err.txt) error lines"
    grep -A3 '^trainer: error:' err.txt | grep -Eq -- "$pattern" || fail "[$ranks ranks] $*: no /$pattern/ in: $(grep -A3 '^trainer: error:' err.txt)"
    [ ! -e new-run ] || { [ -z "$(ls new-run/checkpoints 2> /dev/null)" ] || fail "$*: a checkpoint was left behind"; rm -rf new-run; }
    ! ranks_left || { sleep 1; ! ranks_left || fail "$*: a rank is left"; }
  done
  echo "ok: $code for $*"
}
bare=(--data good --quiet --epochs 1 --batch-size 10)
good=("${bare[@]}" --out new-run)

# The textbook's options.
"$python" - << 'PYTHON'
import h5py, numpy
with h5py.File("weights.h5", "w") as file:
    file["good"], file["short"], file["words"] = numpy.ones(60), numpy.ones(59), numpy.array([b"a"] * 60)
    file["negative"], file["unknown"] = numpy.full(60, -1.0), numpy.full(60, numpy.nan)
open("no.h5", "w").write("no HDF5")
PYTHON
expect 2 'unknown|did you mean' "${good[@]}" --augment "shft(1)"
expect 2 'shift' "${good[@]}" --augment "shift(-1)"
expect 2 'mixup' "${good[@]}" --augment "mixup(0.2)" --class-weights balanced
expect 2 'classes' "${good[@]}" --class-weights 1,2
expect 2 'x.* is no factor' "${good[@]}" --class-weights 1,x,2
expect 2 'are no classes' "${good[@]}" --task regression --class-weights balanced
expect 2 'FILE.h5:PATH' "${good[@]}" --sample-weights weights
expect 3 'missing.h5' "${good[@]}" --sample-weights missing.h5:w
expect 3 'no.h5' "${good[@]}" --sample-weights no.h5:w
expect 3 'nothing' "${good[@]}" --sample-weights weights.h5:nothing
expect 3 '59 values on 1 axes for 60 rows' "${good[@]}" --sample-weights weights.h5:short
expect 3 'words' "${good[@]}" --sample-weights weights.h5:words
expect 3 'row 0 has the factor -1' "${good[@]}" --sample-weights weights.h5:negative
expect 3 'row 0 has the factor nan' "${good[@]}" --sample-weights weights.h5:unknown
expect 3 'of all .* are 0' "${good[@]}" --class-weights 0,0,0
expect 3 'has the target .*take another --loss' "${good[@]}" --task autoencoder --scale none --loss binary_cross_entropy
expect 2 'average' "${good[@]}" --average 1
expect 2 'average' "${good[@]}" --average -0.1
expect 2 'population-statistics' "${good[@]}" --population-statistics some
expect 2 'max-norm' "${good[@]}" --max-norm -1
expect 2 'square-root|sqrt' "${good[@]}" --optimizer sgd --lr-scaling sqrt
expect 2 'reference-batch' "${good[@]}" --lr-scaling linear --reference-batch 0
expect 2 'r2' "${good[@]}" --metrics r2
expect 2 'f1' "${good[@]}" --early-stopping "val_f1(patience=2)"
expect 2 'scale-targets' "${good[@]}" --task autoencoder --scale-targets feature

# Options.
expect 2 'nonsense' "${good[@]}" --nonsense 3
expect 2 'did you mean --epochs' --data good --out new-run --epoch 1
expect 2 'batch-size' --data good --out new-run --batch-s 10
expect 2 'batch' --data good --out new-run --batch 0
expect 2 'batch' --data good --out new-run --batch -5
expect 2 'validation' "${good[@]}" --validation 1
expect 2 'validation' "${good[@]}" --validation -0.1
expect 2 'lr' "${good[@]}" --lr nan
expect 2 'stray' "${good[@]}" stray
expect 2 'precision' "${good[@]}" --precision bf17
expect 2 'take --precision f32' "${good[@]}" --isa AVX2 --precision bf16

# Texts, with a caret under the place.
expect 2 '\^' "${good[@]}" --model "dense(8) rleu dense(outputs)"
expect 2 'did you mean relu' "${good[@]}" --model "dense(8) rleu dense(outputs)"
expect 2 '\^' "${good[@]}" --model "dense(8 relu dense(outputs)"
expect 2 'outputs' "${good[@]}" --model "dense(8) relu dense(7)"
expect 2 'relu' "${good[@]}" --model "dense(8) dense(outputs) relu"
expect 2 'metric' "${good[@]}" --early-stopping "val_lost(patience=3)"
expect 2 'goal' "${good[@]}" --goal "val_accuracy=0.9"
expect 2 'momentum' "${good[@]}" --optimizer "sgd(momentum=2)"
expect 2 'schedule' "${good[@]}" --schedule "cosinus"

# Files.
expect 3 'truncated' --data truncated-gz --out new-run
expect 3 'magic|IDX' --data wrong-magic --out new-run
expect 3 '59' --data counts --out new-run
expect 3 'short|train-images' --data short --out new-run
expect 3 'huge' --data huge --out new-run
expect 3 'empty|no rows|0 rows' --data empty --out new-run
expect 3 'not-there' --data not-there --out new-run
expect 3 'dataset-fashion-mnist|mnist' --data mnist --out new-run
expect 3 'start.h5' "${good[@]}" --init start.h5

# Placeholders of studies.
varies=(study search --data good --batch-size 10 --out new-run --dry-run --vary "lr=log(1e-3,1e-1) hidden=list(4,8)")
expect 2 '--model dense.*: .zz has no value.*single quotes' "${varies[@]}" --model 'dense($hidden) relu dense($zz) dense(outputs)'
expect 2 'hidden" is to be varied.*single quotes' "${varies[@]}" --model 'dense(8) relu dense(outputs)'

# The run folder.
on 1 1 "${bare[@]}" --out taken > /dev/null
before=$(md5sum taken/checkpoints/* taken/metrics.csv)
expect 2 'taken' --data good --out taken
[ "$before" = "$(md5sum taken/checkpoints/* taken/metrics.csv)" ] || fail "the existing run was changed"
expect 3 'good/train-images' --data good --out good/train-images-idx3-ubyte/run
expect 3 'no-run' resume no-run
expect 3 'read-only|/proc' --data good --out /proc/run

# Checkpoints.
expect 3 'not-there' evaluate not-there.h5 --data good
head -c 3000 taken/best.h5 > cut.h5
expect 3 'cut.h5' evaluate cut.h5 --data good --split train
cp taken/best.h5 flipped.h5
printf '\x55' | dd of=flipped.h5 bs=1 seek=2000 conv=notrunc status=none
expect 3 'flipped.h5' evaluate flipped.h5 --data good --split train

# A file that one rank alone cannot see, as on a node without the mount.
if unshare -m true 2> /dev/null; then
  code=0
  timeout 20 mpirun -np 1 "$trainer" "${good[@]}" : -np 1 unshare -m sh -c 'mount -t tmpfs none "$1"; shift; exec "$@"' sh "$work/good" "$trainer" \
    "${good[@]}" > out.txt 2> err.txt || code=$?
  [ "$code" = 3 ] || fail "a file missing on one rank: exit code $code: $(cat err.txt)"
  [ "$(grep -c '^trainer: error:' err.txt)" = 1 ] || fail "a file missing on one rank: $(grep trainer: err.txt)"
  grep '^trainer: error:' err.txt | grep -q 'rank 1' || fail "a file missing on one rank: the rank is not named: $(grep trainer: err.txt)"
  rm -rf new-run
  echo "ok: a file missing on rank 1 alone"
else
  echo "skipped: a file missing on one rank (unshare -m is not allowed here)"
fi

# A loss that is not finite: exit 5 on all, and the checkpoint before it is good.
code=0
on 2 1 --data good --out diverges --quiet --model "dense(8) dense(outputs)" --loss mse --optimizer sgd --lr 1e30 --batch-size 20 --epochs 50 > out.txt 2> err.txt || code=$?
[ "$code" = 5 ] || fail "a diverging run ended with $code: $(cat err.txt)"
grep -q '^trainer: error:.*step' err.txt || fail "a diverging run: $(cat err.txt)"
for file in diverges/checkpoints/*.h5; do "$trainer" inspect "$file" --verify > /dev/null || fail "$file is not good"; done
grep -q '^failed exit=5' diverges/status || fail "status of a diverging run: $(cat diverges/status)"
echo "ok: a diverging run"

# Ranks that were started with different commands.
code=0
timeout 20 mpirun -np 1 "$trainer" "${bare[@]}" --out mixed : -np 1 "$trainer" evaluate taken --data good > out.txt 2> err.txt || code=$?
[ "$code" = 4 ] || fail "two commands in one job ended with $code: $(cat err.txt)"

# A dry run leaves nothing and needs no MPI.
"$trainer" "${good[@]}" --dry-run > out.txt || fail "the dry run failed"
grep -q 'steps per epoch' out.txt || fail "the dry run says: $(cat out.txt)"
[ ! -e new-run ] || fail "the dry run made a folder"

# A redirected log holds no control characters.
mpirun -np 2 "$trainer" --data good --out logged --epochs 3 --batch-size 10 > log.txt 2>&1
grep -qP '[\x00-\x08\x0b-\x1f]' log.txt && fail "control characters in a redirected log"
finish
