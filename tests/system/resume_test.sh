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

# The newest checkpoint is damaged, and best.h5 with it: the one before is taken, and the end is the same.
cp -r job damaged
newest=$(ls damaged/checkpoints/*.h5 | tail -n 1)
printf '\x55' | dd of="$newest" bs=1 seek=4000 conv=notrunc status=none
rm damaged/best.h5 damaged/metrics.csv damaged/timing.csv  # the figures stand in the checkpoint, too
found=$(on 3 1 resume damaged | tee damaged.txt | digest_of)
[ "$found" = "$reference" ] || fail "resumed past a damaged checkpoint: $found, not $reference"
cmp -s damaged/metrics.csv job/metrics.csv || fail "metrics.csv was not made again"
grep -q 'passed over' damaged/log.txt || fail "the damaged checkpoint was not named"
cmp -s damaged/best.h5 job/best.h5 || [ "$(on 1 1 evaluate damaged --data "generate:blobs(rows=260, features=9, classes=4, noise=3, seed=4)" --split train)" = \
  "$(on 1 1 evaluate job --data "generate:blobs(rows=260, features=9, classes=4, noise=3, seed=4)" --split train)" ] || fail "another best.h5 after the damage"

# A refused resume changes no status; a run that stopped early stays stopped; --isa of the run is kept.
before=$(cat job/status)
on 1 1 resume job --data "generate:blobs(rows=261, features=9, classes=4, noise=3, seed=4)" > out.txt 2>&1 && fail "other data were taken"
[ "$before" = "$(cat job/status)" ] || fail "a refused resume changed the status to $(cat job/status)"
cp -r job edited
sed -i 's/^seed = 1/seed = 2/' edited/config.ini
on 1 1 resume edited --epochs 5 > out.txt 2>&1 && fail "an edited config.ini was taken"
grep -q -- '--seed is fixed' out.txt || fail "an edited config.ini: $(grep trainer: out.txt)"
# What has changed is told, refused, and allowed when asked for.
other="generate:blobs(rows=260, features=9, classes=4, noise=3, seed=5)"
cp -r job changed
on 1 1 resume changed --data "$other" --epochs 5 > out.txt 2>&1 && fail "other data were taken"
grep -q 'accept-change data' out.txt || fail "other data: $(grep trainer: out.txt)"
on 1 1 resume changed --data "$other" --epochs 5 --accept-change data > out.txt 2>&1 || fail "--accept-change data: $(cat out.txt)"
grep -q 'warning: .*fingerprint' changed/log.txt || fail "the changed data were not told"
on 1 1 resume changed --data "generate:blobs(rows=300, features=9, classes=4, noise=3, seed=5)" --epochs 6 --accept-change data > out.txt 2>&1 ||
  fail "--accept-change data with more rows: $(cat out.txt)"

# Errors of values are told in the units of the scaling that the run began with, on other data, too.
teacher="generate:teacher(rows=260, features=6, outputs=2, seed=2)" noisy="generate:teacher(rows=260, features=6, outputs=2, noise=9, seed=2)"
on 1 1 --data "$teacher" --validation "60 rows" --batch-size 48 --shards 5 --model "dense(5) tanh dense(outputs)" --epochs 1 --metrics rmse --quiet \
  --out units > /dev/null
on 2 1 resume units --data "$noisy" --epochs 2 --accept-change data > out.txt 2>&1 || fail "--accept-change data of values: $(cat out.txt)"
rmse=$(sed -n 's/^rmse //p' <(on 1 1 evaluate "$(ls units/checkpoints/*.h5 | tail -n 1)" --data "$noisy" --split validation))
tail -n 1 units/metrics.csv | grep -q ",$rmse," || fail "evaluate finds rmse $rmse, the run $(tail -n 1 units/metrics.csv)"

# Without its best model a run goes on only when that is said; a lost best.h5 stops no run under way.
cp -r job lost
best=$(h5dump -a /progress/best_step "$(ls lost/checkpoints/*.h5 | tail -n 1)" | sed -n 's/.*(0): \([0-9]*\).*/\1/p')
find lost/checkpoints -name '*.h5' | sort | head -n -1 | xargs rm  # an older one whose best model is there would do
rm -f lost/best.h5 lost/.best-*.h5
[ ! -e "lost/checkpoints/$(printf 'step-%08d.h5' "$best")" ] || fail "the last step is the best: the next check checks nothing"
cp -r lost lost2
on 1 1 resume lost --epochs 5 > out.txt 2>&1 && fail "a run went on without its best model"
grep -q 'accept-change best' out.txt || fail "a lost best.h5: $(grep trainer: out.txt)"
on 1 1 resume lost2 --epochs 5 --accept-change best > out.txt 2>&1 || fail "--accept-change best: $(cat out.txt)"
[ -s lost2/best.h5 ] || fail "--accept-change best: no best.h5 afterwards"

# A best.h5 that cannot be written is no fault of the checkpoint: resume ends, and all stays as it was.
cp -r job unwritable
rm unwritable/best.h5
mkdir unwritable/best.h5
newest=$(ls unwritable/checkpoints/*.h5 | tail -n 1)
printf '\x55' | dd of="$newest" bs=1 seek=4000 conv=notrunc status=none
before=$(ls unwritable/checkpoints)
code=0
on 2 1 resume unwritable > out.txt 2>&1 || code=$?
[ "$code" = 3 ] && grep -q 'unwritable/best.h5: ' out.txt || fail "best.h5 cannot be written: exit code $code, $(grep trainer: out.txt)"
[ "$before" = "$(ls unwritable/checkpoints)" ] || fail "best.h5 cannot be written: the checkpoints became $(ls unwritable/checkpoints)"
rmdir unwritable/best.h5
found=$(on 2 1 resume unwritable | digest_of)
[ "$found" = "$reference" ] || fail "resumed when best.h5 could be written again: $found, not $reference"

cp -r job elsewhere
code=0
ONEDNN_MAX_CPU_ISA=SSE41 on 2 1 resume elsewhere --epochs 5 > out.txt 2>&1 || code=$?
[ "$code" = 4 ] && grep -q 'accept-change arithmetic' out.txt || fail "other arithmetic: exit code $code, $(grep trainer: out.txt)"
ONEDNN_MAX_CPU_ISA=SSE41 on 2 1 resume elsewhere --epochs 5 --accept-change arithmetic > out.txt 2>&1 || fail "--accept-change arithmetic: $(cat out.txt)"
on 1 1 resume elsewhere --accept-change weather > out.txt 2>&1 && fail "--accept-change takes any word"

# Two jobs on one run: the second is refused, the first goes on.
mpirun -np 2 "$trainer" "${options[@]}" --epochs 4000 --out shared > shared.txt 2>&1 & pid=$!
for _ in $(seq 100); do [ -s shared/best.h5 ] && break; sleep 0.1; done
code=0
on 1 1 resume shared > out.txt 2>&1 || code=$?
[ "$code" = 2 ] && grep -q 'in use by another job' out.txt || fail "a second job on a run ended with $code: $(cat out.txt)"
kill -0 $pid || fail "the first job did not survive the second"
kill -9 $pid  # its ranks outlive it by a moment: resume waits for them
wait $pid 2> /dev/null || true
on 1 1 resume shared --max-steps 1 > out.txt 2>&1 || fail "resume right after a killed mpirun: $(cat out.txt)"

# evaluate takes the rows that the run validated with.
val=$(sed -n 's/^accuracy //p' <(on 2 1 evaluate job --data "generate:blobs(rows=260, features=9, classes=4, noise=3, seed=4)" --split validation))
grep -q ",$val,0," job/metrics.csv || fail "evaluate finds another validation accuracy than the run: $val"
early=("${options[@]}" --out early --epochs 40 --early-stopping "val_loss(patience=2)" --lr 0.05 --isa AVX2)
one=$(on 2 1 "${early[@]}" | digest_of)
grep -q 'early stopping' early/status || fail "no early stopping: $(cat early/status)"
two=$(on 1 1 resume early --epochs 80 | digest_of)
[ -n "$one" ] && [ "$one" = "$two" ] || fail "a run that stopped early went on: $one, then $two"

# Likewise by one of --metrics, cut in the middle and gone on with.
metric=("${options[@]}" --metrics "top(2) f1 auc" --out metric --epochs 40 --early-stopping "val_f1(patience=3)" --lr 0.05)
one=$(on 2 1 "${metric[@]}" | digest_of)
grep -q 'early stopping: val_f1' metric/status || fail "no early stopping by val_f1: $(cat metric/status)"
cp -r metric metric-cut
for later in $(ls metric-cut/checkpoints/*.h5 | tail -n 2); do rm "$later"; done
two=$(on 3 2 resume metric-cut | digest_of)
[ -n "$one" ] && [ "$one" = "$two" ] || fail "early stopping by val_f1 resumed: $one, then $two"
cmp -s metric/metrics.csv metric-cut/metrics.csv || fail "metrics.csv differs after resuming a run with --metrics"
cmp -s metric/confusion.csv metric-cut/confusion.csv || fail "confusion.csv differs after resuming"
on 1 1 resume metric --metrics f1 > out.txt 2>&1 && fail "other --metrics were taken"

# A goal ends the run; without it the run goes on, to the end of the run that had none.
on 1 1 "${options[@]}" --out goal --epochs 4 --goal "train_loss<=100" > /dev/null
grep -q 'goal' goal/status || fail "the goal was not noticed: $(cat goal/status)"
found=$(on 2 1 resume goal --goal "train_loss<=0" | digest_of)
[ "$found" = "$reference" ] || fail "past its goal the run ends with $found, not $reference"

# Augmented rows are drawn by epoch and sample alone: a denoising autoencoder, stopped within an epoch.
blobs="generate:blobs(rows=260, features=9, classes=4, noise=3, seed=4)"
denoise=(--data "$blobs" --task autoencoder --augment "noise(0.3) mixup(0.5)" --validation "60 rows" --batch-size 48 --shards 5
         --model "dense(5) tanh dense(outputs)" --epochs 3 --quiet)
whole_digest=$(on 2 1 "${denoise[@]}" --out denoise | digest_of)
on 1 2 "${denoise[@]}" --max-steps 8 --out denoise-cut > /dev/null
found=$(on 3 1 resume denoise-cut --max-steps 15 | digest_of)
[ -n "$whole_digest" ] && [ "$found" = "$whole_digest" ] || fail "an autoencoder resumed within an epoch: $found, not $whole_digest"
cmp -s <(tail -n 1 denoise/metrics.csv) <(tail -n 1 denoise-cut/metrics.csv) || fail "metrics.csv of the autoencoder differs"
loss=$(sed -n 's/^loss //p' <(on 2 1 evaluate denoise/checkpoints/step-00000015.h5 --data "$blobs" --split validation))
tail -n 1 denoise/metrics.csv | grep -q ",$loss,0," || fail "evaluate gives the autoencoder another loss: $loss"

# SIGUSR1 saves and stops with 75.
mpirun -np 2 "$trainer" "${options[@]}" --epochs 4000 --out stopped > stopped.txt 2>&1 & pid=$!
for _ in $(seq 100); do [ -s stopped/status ] && break; sleep 0.1; done
sleep 1
kill -USR1 $pid
code=0
wait $pid || code=$?
[ "$code" = 75 ] || fail "SIGUSR1 to mpirun ended with $code"
grep -q '^stopped exit=75' stopped/status || fail "status after SIGUSR1: $(cat stopped/status)"
# What is kept beside the model: the average of the weights, exact statistics, the noise scale, the log of gradients.
beside=(--data "generate:blobs(rows=260, features=9, classes=4, noise=3, seed=4)" --batch-size 48 --shards 5 --evaluate-every "3 steps" --average 0.9
        --log-gradients --max-norm 1 --class-weights balanced --quiet
        --model "dense(20) batch_norm relu dropout(0.2) dense(outputs)")
exact=("${beside[@]}" --population-statistics exact)
reference=$(on 2 1 "${exact[@]}" --max-steps 66 --out beside | digest_of)
on 3 1 "${exact[@]}" --max-steps 33 --out beside-cut > /dev/null
found=$(on 1 2 resume beside-cut --max-steps 66 --quiet | digest_of)
[ "$found" = "$reference" ] || fail "with an average: $found, not $reference"
for file in metrics.csv gradients.csv; do cmp "beside/$file" "beside-cut/$file" || fail "with an average: another $file"; done
content_of() { h5dump -g "$1" "$2/checkpoints/step-00000066.h5" | tail -n +2 | sed '/ATTRIBUTE "horizon"/,/^      }/d'; }  # the plan was another
for group in /average /model /progress; do
  [ "$(content_of "$group" beside)" = "$(content_of "$group" beside-cut)" ] || fail "with an average: another $group"
done
[ "$(h5dump -g /model beside/best.h5 | tail -n +2 | md5sum)" = "$(h5dump -g /model beside-cut/best.h5 | tail -n +2 | md5sum)" ] ||
  fail "with an average: another best model"
# The average in a checkpoint is what was evaluated (the weights of its own are not), but for the statistics.
on 2 1 "${beside[@]}" --max-steps 33 --out averaged > /dev/null
loss=$(sed -n 's/^loss //p' <(on 1 1 evaluate averaged/checkpoints/step-00000033.h5 --data "generate:blobs(rows=260, features=9, classes=4, noise=3, seed=4)" \
  --split validation))
tail -n 1 averaged/metrics.csv | grep -q ",$loss," || fail "evaluate of a checkpoint with an average gives the loss $loss"
cut -d, -f6 beside/gradients.csv | grep -q '[1-9]' || fail "gradients.csv holds no update ratios"
awk -F, 'END { exit $NF == "nan" }' beside/metrics.csv || fail "no noise scale after 66 steps"

finish
