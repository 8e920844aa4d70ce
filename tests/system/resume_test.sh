#!/usr/bin/env bash
# Promise 2: a run that was stopped and resumed, anywhere and on any ranks x threads, ends with the bits of the run that
# was not. Usage: resume_test.sh TRAINER
source "$(dirname "$0")/common.sh"

options=(--data "generate:blobs(rows=260, features=9, classes=4, noise=3, seed=4)" --validation "60 rows" --batch-size 48 --shards 5
         --evaluate-every "3 steps" --checkpoint-every "1 steps" --keep 100 --schedule one_cycle --log-steps
         --model "dense(20) batch_norm relu dropout(0.2) dense(outputs)" --optimizer "adam" --quiet)

whole=$(on 2 1 "${options[@]}" --epochs 4 --out whole)
reference=$(echo "$whole" | digest_of)
[ -n "$reference" ] || fail "the undisturbed run gave no digest"
steps=$(ls whole/checkpoints | wc -l)
echo "undisturbed: $reference, $steps checkpoints"

# After every step: the run as it stood when that checkpoint was the newest, on another N x threads.
layouts=("1 1" "3 1" "2 2" "1 2" "5 1" "4 2" "7 1")
i=0
for file in whole/checkpoints/*.h5; do
  name=$(basename "$file" .h5)
  [ "$name" = "$(basename "$(ls whole/checkpoints/*.h5 | tail -n 1)" .h5)" ] && continue
  run=cut-$name
  cp -r whole "$run"
  for later in "$run"/checkpoints/*.h5; do [[ "$(basename "$later")" > "$name.h5" ]] && rm "$later"; done
  # best.h5 of that moment: the model of the checkpoint that was the best then.
  best=$(h5dump -a /progress/best_step "$file" | sed -n 's/.*(0): \([0-9]*\).*/\1/p')
  cp "whole/checkpoints/$(printf 'step-%08d.h5' "$best")" "$run/best.h5"
  read -r ranks threads <<< "${layouts[$((i % ${#layouts[@]}))]}"
  i=$((i + 1))
  found=$(on "$ranks" "$threads" resume "$run" --quiet | digest_of)
  [ "$found" = "$reference" ] || fail "resumed after $name on $ranks x $threads: $found, not $reference"
  cmp -s "$run/metrics.csv" whole/metrics.csv || fail "metrics.csv differs after resuming at $name"
  diff -q <(cut -d, -f1-4 "$run/steps.csv") <(cut -d, -f1-4 whole/steps.csv) > /dev/null || fail "steps.csv differs after $name"
  rm -r "$run"
done
echo "resumed after each of $i checkpoints"

# A finished run prints its done line again.
again=$(on 2 1 resume whole)
[ "$(echo "$again" | grep '^done:')" = "$(echo "$whole" | grep '^done:')" ] || fail "resume of a finished run says: $again"

# More epochs go on from the end; train --resume starts and continues.
on 1 1 resume whole --epochs 5 --quiet > /dev/null
[ "$(sed -n '$s/,.*//p' whole/metrics.csv)" = 5 ] || fail "raised --epochs did not go on to epoch 5"
first=$(on 2 1 train --resume "${options[@]}" --epochs 4 --out job | digest_of)
second=$(on 3 1 train --resume "${options[@]}" --epochs 4 --out job | digest_of)
[ "$first" = "$reference" ] && [ "$second" = "$reference" ] || fail "train --resume: $first, then $second"
# Another setting that decides bits is refused.
if on 1 1 train --resume "${options[@]}" --epochs 4 --l2 0.1 --out job > out.txt 2>&1; then fail "other settings were taken"; fi

# SIGUSR1 saves and stops with 75.
mpirun -np 2 "$trainer" "${options[@]}" --epochs 4000 --out stopped > stopped.txt 2>&1 & pid=$!
for _ in $(seq 100); do [ -s stopped/status ] && break; sleep 0.1; done
sleep 1
kill -USR1 $pid
code=0
wait $pid || code=$?
[ "$code" = 75 ] || fail "SIGUSR1 to mpirun ended with $code"
grep -q '^stopped exit=75' stopped/status || fail "status after SIGUSR1: $(cat stopped/status)"
finish
