#!/usr/bin/env bash
# program_test.sh PROGRAM MPIRUN: what the program says without MPI, and how it answers bad command lines.
set -u
program=$1
mpirun=("$2" --allow-run-as-root --oversubscribe --bind-to none)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
failures=0
complain() { echo "$*"; cat "$folder/out" "$folder/err"; failures=$((failures + 1)); }

# says CODE PATTERN COMMAND...: exit code; standard output holds the pattern, standard error nothing
says() {
  local code=$1 pattern=$2
  shift 2
  timeout 30 "$@" >"$folder/out" 2>"$folder/err"
  local found=$?
  [ "$found" -eq "$code" ] || complain "$*: exit code $found, expected $code"
  [ "$(grep -c -- "$pattern" "$folder/out")" -eq 1 ] || complain "$*: not once: $pattern"
  [ ! -s "$folder/err" ] || complain "$*: something on standard error"
}

# refuses CODE PATTERN ARGUMENTS...: alone and on three ranks: exit code, one line on standard error, nothing on standard output
refuses() {
  local code=$1 pattern=$2
  shift 2
  timeout 30 "$program" "$@" >"$folder/out" 2>"$folder/err"
  local found=$?
  [ "$found" -eq "$code" ] || complain "$*: exit code $found, expected $code"
  grep -q -- "^trainer: error: .*$pattern" "$folder/err" || complain "$*: no line like $pattern"
  [ ! -s "$folder/out" ] || complain "$*: something on standard output"
  SECONDS=0
  timeout 30 "${mpirun[@]}" -np 3 "$program" "$@" >"$folder/out" 2>"$folder/err"
  found=$?
  [ "$found" -eq "$code" ] || complain "3 ranks: $*: exit code $found, expected $code"
  [ "$(grep -c '^trainer: error: ' "$folder/err")" -eq 1 ] || complain "3 ranks: $*: not one line of error"
  grep -q -- "^trainer: error: .*$pattern" "$folder/err" || complain "3 ranks: $*: no line like $pattern"
  [ "$SECONDS" -le 10 ] || complain "3 ranks: $*: took $SECONDS s"
}

says 0 'trainer inspect FILE.h5' "$program" --help
says 0 'trainer resume \[RUN\] \[options\]$' "$program" resume --help
says 0 '^trainer [0-9]' "$program" --version
says 0 '^trainer [0-9]' "${mpirun[@]}" -np 3 "$program" --version
says 0 '^oneDNN [0-9]' "$program" --version

"$program" --help >/dev/full 2>"$folder/err"
[ $? -eq 3 ] || complain "a full disk behind standard output was not seen"

refuses 2 'did you mean --epochs' --epoch 3
refuses 2 'did you mean --batch-size' --batch-s 5
refuses 2 '"0" is not a whole number of rows' --batch-size 0
refuses 2 'model: .*never closed' --model 'dense(10'
refuses 2 'did you mean train' trian
refuses 2 'one argument too many' train stray --epochs 3
refuses 2 'is not a finite number from 0 on' --l1 -1
refuses 3 'no-such-file.ini' --config no-such-file.ini
refuses 3 'no-such.h5' inspect no-such.h5

# A file that one rank alone cannot read: that rank speaks.
timeout 30 "${mpirun[@]}" -np 1 "$program" --version : -np 1 "$program" --config gone.ini >"$folder/out" 2>"$folder/err"
[ $? -eq 3 ] || complain "rank 1 alone: the wrong exit code"
grep -q '^trainer: error: rank 1 on [^ ]*: cannot read gone.ini' "$folder/err" || complain "rank 1 alone: no line"

[ -z "$(find "$folder" -mindepth 1 ! -name out ! -name err)" ] || complain "something was left behind"
[ "$failures" -eq 0 ] || { echo "$failures failures"; exit 1; }
echo "all as it should be"
