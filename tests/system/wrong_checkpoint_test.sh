#!/usr/bin/env bash
# Checkpoints that are whole, with a right digest, and wrong: `resume` says what is wrong and where, or goes back to the
# checkpoint before; it never crashes, hangs or goes on from such a state. The cases stand in
# tests/checkpoint/wrong_with_python.py; of those that the reader refuses by itself, some are resumed.
# Usage: wrong_checkpoint_test.sh TRAINER RESEAL        TRAINER_TEST_FULL=1: all cases
reseal=$(readlink -f "$2")
maker=$(readlink -f "$(dirname "$0")/../checkpoint/wrong_with_python.py")
source "$(dirname "$0")/common.sh"
"$python" -c 'import h5py' 2> /dev/null || { echo "skipped: no h5py for $python"; exit 0; }

options=(--data "generate:blobs(rows=90, features=5, classes=3, noise=3, seed=4)" --validation "20 rows" --batch-size 24 --shards 3
         --evaluate-every "1 steps" --checkpoint-every "1 steps" --keep 100 --log-steps --model "dense(4) batch_norm relu dense(outputs)" --quiet)
reference=$(on 1 1 "${options[@]}" --epochs 2 --out whole | digest_of)
[ -n "$reference" ] || fail "the undisturbed run gave no digest"

# The run as it stood after step 4: `older` holds the checkpoint of step 3, too.
newest=step-00000004.h5
cp -r whole older
find older/checkpoints -name '*.h5' | sort | tail -n +6 | xargs rm
best=$(h5dump -a /progress/best_step "older/checkpoints/$newest" | sed -n 's/.*(0): \([0-9]*\).*/\1/p')
cp "whole/checkpoints/$(printf 'step-%08d.h5' "$best")" older/best.h5
best=$(h5dump -a /progress/best_step older/checkpoints/step-00000003.h5 | sed -n 's/.*(0): \([0-9]*\).*/\1/p')
cp "whole/checkpoints/$(printf 'step-%08d.h5' "$best")" "older/$(printf '.best-%08d.h5' "$best")"
cp -r older alone
find alone/checkpoints -name '*.h5' ! -name "$newest" -delete
for run in older alone; do
  cp -r $run good
  found=$(on 1 1 resume good --quiet | digest_of)
  [ "$found" = "$reference" ] || fail "the run that is to be spoiled ends with $found, not $reference"
  rm -r good
done
mkdir cases
"$python" "$maker" "older/checkpoints/$newest" "$reseal" cases

# resume_with RUN RANKS CASE: sets code, out.txt and err.txt.
resume_with() {
  rm -rf spoiled
  cp -r "$1" spoiled
  cp "cases/$3.h5" "spoiled/checkpoints/$newest"
  code=0
  timeout 60 mpirun -np "$2" "$trainer" resume spoiled --quiet > out.txt 2> err.txt || code=$?
  case $code in
    0 | 2 | 3 | 4 | 5) ;;
    *) fail "$3 on $2 ranks: ended with $code: $(head -n 3 err.txt)" ;;
  esac
  local lines
  lines=$(grep -c '^trainer: error:' err.txt || true)
  [ "$lines" = "$([ $code = 0 ] && echo 0 || echo 1)" ] || fail "$3 on $2 ranks: ended with $code and $lines error lines: $(head -n 3 err.txt)"
  ! grep -q "HDF5-DIAG" err.txt || fail "$3: HDF5 printed its own errors"
}

# What the reader refuses by itself.
while IFS=$'\t' read -r name who message; do
  [ "$who" = file ] || continue
  code=0
  "$trainer" inspect "cases/$name.h5" --verify > out.txt 2> err.txt || code=$?
  [ "$code" = 3 ] || fail "inspect $name: ended with $code, not 3"
  grep '^trainer: error:' err.txt | grep -qF -- "$message" || fail "inspect $name: no '$message' in: $(cat err.txt)"
done < cases/cases.txt

# What continues the run refuses, too, or passes over.
count=0 open=''
while IFS=$'\t' read -r -u 3 name who message; do
  count=$((count + 1))
  [ "$who" != file ] || [ $((count % 10)) = 0 ] || [ -n "${TRAINER_TEST_FULL:-}" ] || continue
  if [ "$who" = nobody ]; then
    resume_with alone $((1 + count % 2 * 2)) "$name"
    open+="  $name: exit code $code$([ "$code" != 0 ] || [ "$(digest_of < out.txt)" = "$reference" ] || echo ', other weights')"$'\n'
    continue
  fi
  resume_with alone 3 "$name"
  { [ "$code" = 3 ] || [ "$code" = 4 ]; } || fail "$name, alone: ended with $code, not 3"
  grep '^trainer: error:' err.txt | grep -qF -- "$message" || fail "$name, alone: no '$message' in: $(grep '^trainer: error:' err.txt)"
  grep '^trainer: error:' err.txt | grep -qF -- "$newest" || fail "$name, alone: the file is not named: $(grep '^trainer: error:' err.txt)"
  resume_with older 1 "$name"
  if [ "$code" = 0 ]; then
    grep 'passed over' spoiled/log.txt | grep -qF -- "$message" || fail "$name: not said to be passed over: $(tail -n 3 spoiled/log.txt)"
    [ "$(digest_of < out.txt)" = "$reference" ] || fail "$name: passed over, and the end is $(digest_of < out.txt), not $reference"
  else
    [[ $name =~ ^other-(fingerprint|arithmetic)$ ]] || fail "$name stops the resume though an older checkpoint is good: $(grep '^trainer: error:' err.txt)"
  fi
done 3< cases/cases.txt  # mpirun reads standard input
[ "$count" -gt 100 ] || fail "only $count cases"
echo "these are not refused:"
echo "$open"
finish
