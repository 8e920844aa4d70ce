#!/usr/bin/env bash
# Promise 1: the same bits for every number of ranks and threads. Usage: same_bits_test.sh TRAINER
source "$(dirname "$0")/common.sh"

# Global batch norm, dropout, a residual block with projection; 203 training rows in batches of 90 over 7 shards: uneven
# shards, an uneven last batch of 23 rows; every row differs.
small="generate:blobs(rows=300, features=11, classes=5, noise=3, seed=4)"
rich="dense(33) batch_norm relu dropout(0.2) residual(dense(17) batch_norm tanh dense(24)) relu dense(outputs)"
wide="dense(128) batch_norm relu dropout(0.1) dense(192) relu dense(outputs)"
common=(--evaluate-every "2 steps" --l2 1e-4 --clip-norm 1 --log-steps --quiet)

check_grid() {  # NAME RANKS THREADS extra options...
  local name=$1 all_ranks=$2 all_threads=$3 reference="" ranks threads found run
  shift 3
  for ranks in $all_ranks; do
    for threads in $all_threads; do
      run="$name-$ranks-$threads"
      found=$(on "$ranks" "$threads" "${common[@]}" --schedule "${schedule:-one_cycle}" --validation "${validation:-97 rows}" "$@" --out "$run" | digest_of)
      if [ -z "$reference" ]; then
        reference=$found
        cp -r "$run" "$name-reference"
        [ -n "$found" ] || fail "$name: no digest"
        continue
      fi
      [ "$found" = "$reference" ] || fail "$name: $ranks ranks x $threads threads give $found, not $reference"
      cmp -s "$run/metrics.csv" "$name-reference/metrics.csv" || fail "$name: metrics.csv differs on $ranks x $threads"
      if [ -e "$name-reference/confusion.csv" ]; then
        cmp -s "$run/confusion.csv" "$name-reference/confusion.csv" || fail "$name: confusion.csv differs on $ranks x $threads"
      fi
      diff -q <(cut -d, -f1-4 "$run/steps.csv") <(cut -d, -f1-4 "$name-reference/steps.csv") > /dev/null ||
        fail "$name: steps.csv differs on $ranks x $threads"
      [ ! -e "$run/gradients.csv" ] || cmp -s "$run/gradients.csv" "$name-reference/gradients.csv" ||
        fail "$name: gradients.csv differs on $ranks x $threads"
      [ "$(h5_digest "$run")" = "$(h5_digest "$name-reference")" ] || fail "$name: the last checkpoint differs on $ranks x $threads"
      rm -r "$run"
    done
  done
  echo "$name: $reference on ranks {$all_ranks} x threads {$all_threads}"
}
# Everything of the last checkpoint but when and how it was written.
h5_digest() {
  local file
  file=$(ls "$1"/checkpoints/*.h5 | tail -n 1)
  for group in $(h5ls "$file" | sed -n "s/^\(average\) .*/\/\1/p") /model /optimizer /progress /scaling /history; do h5dump -g "$group" "$file" | tail -n +2; done | md5sum
}

# Products in bf16, where the processor has it: other bits than in f32, the same for any ranks x threads, resumed too; and all ranks end
# alike where one has no bf16.
check_bf16() {
  local of=(train --data "$small" --precision bf16) run=(--model "$rich" --batch-size 90 --shards 7 --validation "97 rows" --quiet) whole parts
  if ! on 1 1 "${of[@]}" --epochs 1 --out bf16-probe > probe.txt 2>&1; then
    grep -q "take --precision f32" probe.txt || fail "--precision bf16: $(cat probe.txt)"
    echo "bf16: skipped: $(cat probe.txt)"
    return
  fi
  schedule=constant check_grid bf16 "1 2 3 5" "1 2" "${rich_uneven[@]}" --precision bf16 --population-statistics exact
  whole=$(on 1 2 "${of[@]}" "${run[@]}" --epochs 4 --out bf16-whole | digest_of)
  [ "$(on 1 1 train --data "$small" "${run[@]}" --epochs 4 --out bf16-f32 | digest_of)" != "$whole" ] || fail "bf16 has the bits of f32"
  on 2 1 "${of[@]}" "${run[@]}" --epochs 2 --out bf16-parts > /dev/null
  parts=$(on 3 1 resume bf16-parts --epochs 4 --quiet | digest_of)
  [ "$parts" = "$whole" ] || fail "bf16: resumed to $parts, not $whole"
  h5dump -a /precision bf16-parts/best.h5 | grep -q '"bf16"' || fail "best.h5 does not say bf16"
  if on 1 1 resume bf16-parts --epochs 5 --precision f32 > /dev/null 2>&1; then fail "a run in bf16 went on in f32"; fi
  if mpirun -np 1 "$trainer" "${of[@]}" --out bf16-no : -np 1 env ONEDNN_MAX_CPU_ISA=AVX2 "$trainer" "${of[@]}" --out bf16-no > no.txt 2>&1; then
    fail "one rank computed in bf16, the other did not"
  fi
  [ "$(grep -c 'rank 1 on .*: --precision bf16: .*take --precision f32' no.txt)" = 1 ] || fail "one rank without bf16: $(cat no.txt)"
}

# 300 small pictures of 5 classes.
"$python" - << 'PYTHON'
import os, struct, numpy as np
rng, labels = np.random.default_rng(3), np.arange(300) % 5
images = rng.integers(0, 120, (300, 9, 7)) + 120 * (np.arange(63).reshape(9, 7) % 5 == labels[:, None, None])
os.mkdir("pictures")
for name, array in {"images-idx3": images, "labels-idx1": labels}.items():
    with open(f"pictures/train-{name}-ubyte", "wb") as file:
        file.write(struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(">%dI" % array.ndim, *array.shape))
        file.write(array.astype("u1").tobytes())
PYTHON
everything="rotate(20) shift(1) flip scale(0.1) elastic(6, 2) erase(3) noise(0.1) mixup(0.4)"
pictures=(--data pictures --batch-size 90 --shards 7 --model "$rich")

uneven=(--data "$small" --batch-size 90 --shards 7 --epochs 6 --early-stopping "val_loss(patience=4)")
rich_uneven=("${uneven[@]}" --model "$rich")
blocked=(--data "$small" --model "$wide" --batch-size 100 --shards 8 --epochs 2)  # blocked weights; a last batch of 3 rows
if [ -n "${TRAINER_TEST_QUICK:-}" ]; then
  check_grid grid "1 2 3" "1 2" "${rich_uneven[@]}"
  check_grid augment "1 3" "1 2" "${pictures[@]}" --epochs 2 --augment "$everything"
  check_bf16
  finish
  exit
fi
check_grid grid "1 2 3 4 5 7" "1 2 3" "${rich_uneven[@]}"
check_grid more-ranks-than-shards "1 5" "1 2" --data "$small" --model "$rich" --batch-size 90 --shards 3 --epochs 3
check_grid full-batch "1 2 3" "1 2" --data "$small" --model "$rich" --batch-size full --shards 4 --epochs 4
check_grid shard-statistics "1 3 4" "1 2" --data "$small" --batch-size 90 --shards 7 --epochs 3 \
  --model "dense(33) batch_norm(statistics=shard) relu dense(outputs)"
check_grid wide "1 2 3" "1 2" "${blocked[@]}"
check_grid regression "1 4" "1 2" --data "generate:teacher(rows=301, features=16, outputs=3, seed=2)" \
  --model "dense(40) sigmoid dense(outputs)" --batch-size 90 --shards 7 --epochs 3
validation="1000 rows" check_grid metrics "1 2 3 5" "1 2" --data "generate:blobs(rows=1300, features=11, classes=5, noise=3, seed=4)" \
  --model "$rich" --batch-size 90 --shards 7 --epochs 4 --metrics "top(2) precision recall f1 balanced_accuracy auc" \
  --early-stopping "val_auc(patience=4)"
validation="1000 rows" check_grid metrics-of-values "1 2 3 5" "1 2" --data "generate:teacher(rows=1301, features=16, outputs=3, seed=2)" \
  --model "dense(40) sigmoid dense(outputs)" --batch-size 90 --shards 7 --epochs 3 --metrics "r2 rmse mae" --early-stopping "val_rmse(patience=4)"
schedule="plateau(patience=1, factor=0.5)" check_grid lamb "1 2 3 5" "1 2" "${uneven[@]}" --optimizer "lamb" --loss "kl_divergence" \
  --model "dense(33) layer_norm gelu noise(0.1) dense(20) silu dense(outputs)"
check_grid lars "1 2 4" "1 2" "${rich_uneven[@]}" --optimizer "lars" --lr 1
schedule="step(2 epochs, 0.5)" check_grid adamw "1 3" "1 2" "${rich_uneven[@]}" --optimizer "adamw(weight_decay=0.1)"
check_grid beside "1 2 3 7" "1 2" "${uneven[@]}" --model "$rich" --average 0.9 --population-statistics exact --max-norm 1 --class-weights 1,2,3,1,1 \
  --log-gradients
check_grid augment "1 2 3 5" "1 2" "${pictures[@]}" --epochs 3 --augment "$everything"
check_grid autoencoder "1 2 3" "1 2" --data pictures --task autoencoder --batch-size 90 --shards 7 --epochs 3 \
  --model "dense(20) relu dense(outputs) sigmoid" --loss mse --augment "shift(1) erase(3) noise(0.2) mixup(1)"
check_bf16
export ONEDNN_MAX_CPU_ISA=AVX2
check_grid avx2 "1 2 3 4 5 7" "1 2 3" "${rich_uneven[@]}"
check_grid avx2-wide "1 2 3" "1 2" "${blocked[@]}"
finish
