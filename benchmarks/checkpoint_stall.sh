#!/usr/bin/env bash
# What checkpoints cost: the same training of a net of 10 million parameters with none and with one every few seconds, in turn,
# and the time from start to the first step after a resume.
#   benchmarks/checkpoint_stall.sh TRAINER [REPETITIONS] [SECONDS between checkpoints] [STEPS a run]
set -euo pipefail
trainer=$(readlink -f "$1")
repetitions=${2:-3} every=${3:-10} steps=${4:-200}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d "${TMPDIR:-/tmp}/trainer-checkpoint.XXXXXX")
trap 'rm -rf "$work"' EXIT
job=(--data "generate:blobs(rows=40000, features=784, classes=10, seed=1)" --model "2048-2048-2048" --batch-size 1024 --max-steps "$steps"
     --evaluate-every "1000000 steps" --validation 0 --quiet --threads 1)
value() { sed -n "s/.*\"$2\": \([0-9.e+-]*\).*/\1/p" "$1/result.json"; }

run() {  # NAME LENGTH
  mpirun -np 2 --bind-to core "$trainer" "${job[@]}" --checkpoint-every "$2" --out "$work/$1" > /dev/null
  echo "$(value "$work/$1" training_seconds) $(value "$work/$1" checkpoint_seconds) $(value "$work/$1" checkpoints)"
}

echo "run seconds_without seconds_with saves stood_still_s per_save_s at_one_a_minute"
for i in $(seq "$repetitions"); do
  read -r without _ _ <<< "$(run "none$i" "1000000 steps")"
  read -r with still saves <<< "$(run "some$i" "$every s")"
  # The first and the last save are made before and after the steps; those between slow the steps down as well.
  awk -v n="$i" -v a="$without" -v b="$with" -v s="$still" -v k="$saves" 'BEGIN {
    per = (k > 2) ? (b - a) / (k - 2) + s / k : 0
    printf "%d %.2f %.2f %d %.3f %.3f %.2f%%\n", n, a, b, k, s, per, 100 * per / 60 }'
  [ "$i" = "$repetitions" ] || rm -r "$work/none$i" "$work/some$i"
done
mpirun -np 2 --bind-to core "$trainer" resume "$work/some$repetitions" --max-steps $((steps + 2)) --quiet --threads 1 > /dev/null
grep 'first step' "$work/some$repetitions/log.txt"
ls -l --block-size=M "$work/some$repetitions/best.h5" "$work/some$repetitions"/checkpoints | awk '{print $5, $NF}'
