#!/usr/bin/env bash
# What a signal does to a job under real mpirun: who gets it, what is saved, how it ends, and that the resumed run ends as if
# there had been none. Usage: signals_test.sh TRAINER
launcher=$(readlink -f "$(dirname "$0")/../../launch/mpirun.sh")
source "$(dirname "$0")/common.sh"
set -m # background jobs in process groups of their own: else bash starts them deaf to SIGINT

# No checkpoint between the first step and the last unless somebody asks for one; steps.csv tells which step was the last.
options=(--data "generate:blobs(rows=8060, features=32, classes=4, noise=3, seed=4)" --validation "60 rows" --batch-size 256 --shards 4
         --evaluate-every "100 steps" --checkpoint-every "1000000 steps" --schedule one_cycle --log-steps
         --model "dense(128) batch_norm relu dropout(0.2) dense(outputs)" --optimizer adam --quiet)
steps=(--max-steps 4000)
on 2 1 train "${options[@]}" "${steps[@]}" --out whole > whole.txt
reference=$(digest_of < whole.txt)
[ -n "$reference" ] || fail "the undisturbed run gave no digest"

# start RUN COMMAND: in the background as $job, with the options in $more, too.
start() {
  run=$1
  shift
  "$1" -np 2 "$trainer" train "${options[@]}" --threads 1 --out "$run" "${more[@]}" > "$run.txt" 2>&1 &
  job=$!
}
more=("${steps[@]}")
# Trains: the second evaluation has been logged.
until_training() {
  for _ in $(seq 3000); do
    [ "$(grep -c '^epoch' "$run/log.txt" 2> /dev/null)" -ge 2 ] 2> /dev/null && return
    sleep 0.02
  done
  fail "$run did not begin to train: $(cat "$run.txt")"
}
# ended CODE...: the job's exit code is one of these.
ended() {
  code=0
  wait "$job" || code=$?
  for wanted in "$@"; do [ "$code" = "$wanted" ] && return; done
  fail "$run ended with $code, not $*: $(tail -n 60 "$run.txt")"
}
newest() { basename "$(ls "$run"/checkpoints/*.h5 | tail -n 1)"; }
# The run stopped with a checkpoint of exactly the last step, which is good.
saved_at_the_end() {
  local step
  step=$(sed -n '$s/,.*//p' "$run/steps.csv")
  grep -q "^stopped exit=75 step=$step checkpoint=checkpoints/$(printf 'step-%08d.h5' "$step") reason=$1" "$run/status" ||
    fail "$run, last step $step: $(cat "$run/status")"
  [ "$(newest)" = "$(printf 'step-%08d.h5' "$step")" ] || fail "$run, last step $step: the newest checkpoint is $(newest)"
  intact
}
intact() { "$trainer" inspect "$run/checkpoints/$(newest)" --verify > out.txt 2>&1 || fail "$run: $(cat out.txt)"; }
# resumed RANKS THREADS: to the end of the undisturbed run.
resumed() {
  local found
  found=$(on "$1" "$2" resume "$run" --quiet | digest_of)
  [ "$found" = "$reference" ] || fail "$run, resumed on $1 x $2: $found, not $reference"
  cmp -s "$run/metrics.csv" whole/metrics.csv || fail "$run: metrics.csv differs after the resume"
}
a_rank() {  # 0 or 1: the process of this rank
  local child
  for child in $(cat "/proc/$job"/task/*/children); do
    tr '\0' '\n' < "/proc/$child/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$1" && echo "$child" && return
  done
}

# To mpirun: SIGUSR1 saves and stops, SIGUSR2 saves and goes on.
start usr1 mpirun; until_training; kill -USR1 "$job"; ended 75; saved_at_the_end "stopped on request"; resumed 3 1
start usr2 mpirun; until_training; kill -USR2 "$job"
for _ in $(seq 500); do [ "$(ls usr2/checkpoints/step-*.h5 | wc -l)" -ge 2 ] && break; sleep 0.02; done
in_between=$(newest)
[ "$in_between" != step-00000000.h5 ] && [ "$in_between" != step-00004000.h5 ] || fail "SIGUSR2 made no checkpoint: $in_between"
cp "usr2/checkpoints/$in_between" kept.h5
ended 0
"$trainer" inspect kept.h5 --verify > /dev/null || fail "the checkpoint made at SIGUSR2 is bad"
[ "$(digest_of < usr2.txt)" = "$reference" ] || fail "after SIGUSR2 the run ends otherwise: $(cat usr2.txt)"
cmp -s usr2/metrics.csv whole/metrics.csv || fail "after SIGUSR2 metrics.csv differs"
echo "SIGUSR1 and SIGUSR2 to mpirun: passed"

# To one rank: all stop.
for number in TERM INT HUP USR1; do
  rank=$((${rank:-0} == 0)) # in turn
  start "rank-$number" mpirun; until_training; kill "-$number" "$(a_rank "$rank")"; ended 75; saved_at_the_end "stopped on request"
done
resumed 5 1
echo "signals to a rank: passed"

# Through launch/mpirun.sh: the ends that schedulers and keyboards make are requests to save.
more=(--max-steps 10000000) # the script lets mpirun live for some seconds first
for number in TERM INT HUP; do
  start "script-$number" "$launcher"; until_training; kill "-$number" "$job"; ended 75; saved_at_the_end "stopped on request"
done
start script-thrice "$launcher"; until_training
kill -TERM "$job"; kill -HUP "$job"; sleep 0.05; kill -TERM "$job" 2> /dev/null || true
ended 75; saved_at_the_end "stopped on request"
# Sent while mpirun starts the ranks: stops them all the same. SIGUSR2 saves and goes on.
start script-early "$launcher"; sleep 0.2; kill -TERM "$job"; ended 75; saved_at_the_end "stopped on request"
start script-usr2 "$launcher"; until_training; kill -USR2 "$job"
for _ in $(seq 500); do [ "$(newest)" != step-00000000.h5 ] && break; sleep 0.02; done
[ "$(newest)" != step-00000000.h5 ] || fail "launch/mpirun.sh: SIGUSR2 made no checkpoint"
kill -INT "$job"; ended 75; saved_at_the_end "stopped on request"
more=("${steps[@]}")
# Exit codes come through.
code=0; "$launcher" -np 2 "$trainer" resume usr1 > out.txt 2>&1 || code=$?
[ "$code" = 0 ] && [ "$(digest_of < out.txt)" = "$reference" ] || fail "launch/mpirun.sh: a finished run gives $code"
code=0; "$launcher" -np 2 "$trainer" --no-such-option > out.txt 2>&1 || code=$?
[ "$code" = 2 ] || fail "launch/mpirun.sh: a wrong option gives $code"
# An mpirun that stays behind when its ranks are gone is ended.
start script-alone "$launcher"; until_training
stuck=$(pgrep -P "$job" -x mpirun)
kill -STOP "$stuck"
kill -KILL $(cat "/proc/$stuck"/task/*/children)
ended 137
grep -q "nobody left" script-alone.txt || fail "an mpirun that stayed behind: $(cat script-alone.txt)"
echo "signals to launch/mpirun.sh: passed"

# To mpirun itself: it waits so many seconds, sends SIGTERM to the ranks, waits as long again, kills them and returns 1. Given time they
# save and stop.
more=(--max-steps 10000000)
for number in TERM INT HUP; do
  OMPI_MCA_odls_base_sigkill_timeout=3 start "long-$number" mpirun
  until_training; kill "-$number" "$job"; ended 1; saved_at_the_end "stopped on request"
done
more=("${steps[@]}")
# The usual second: best effort, nothing damaged.
start short mpirun; until_training; kill -TERM "$job"; ended 1; intact; resumed 2 1
echo "signals to mpirun, with and without a longer time to die: passed"

# The time limit.
more=(--time-limit "3 s" --time-margin "2 s" --max-steps 10000000)
start limit mpirun; ended 75; saved_at_the_end "time limit"
more=("${steps[@]}")
echo "--time-limit: passed"
finish
