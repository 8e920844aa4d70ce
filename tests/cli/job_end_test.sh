#!/usr/bin/env bash
# job_end_test.sh PROGRAM MPIRUN RANKS: how a job of so many ranks ends.
set -u
program=$1 ranks=$3
run=("$2" --allow-run-as-root --oversubscribe --bind-to none -np "$ranks" "$program")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0

# check WHAT CODE PATTERN [RECORDED]: exit code, and one line `trainer: error: PATTERN` in the whole output (none for an empty pattern)
check() {
  local what=$1 code=$2 pattern=$3 recorded=${4:-}
  SECONDS=0
  timeout 30 "${run[@]}" "$what" >"$folder/out" 2>"$folder/err"
  local found=$?
  local lines
  lines=$(grep -c '^trainer: error: ' "$folder/err")
  local wanted=$([ -n "$pattern" ] && echo 1 || echo 0)
  local ok=1
  [ "$found" -eq "$code" ] || { echo "$what: exit code $found, expected $code"; ok=0; }
  [ "$lines" -eq "$wanted" ] || { echo "$what: $lines lines of error, expected $wanted"; ok=0; }
  [ -z "$pattern" ] || grep -Eq "^trainer: error: $pattern" "$folder/err" || { echo "$what: no line like $pattern"; ok=0; }
  [ -z "$recorded" ] || grep -Eq "^recorded $recorded" "$folder/out" || { echo "$what: not recorded as $recorded"; ok=0; }
  [ "$SECONDS" -le 15 ] || { echo "$what: took $SECONDS s"; ok=0; }
  if [ $ok -eq 0 ]; then
    failures=$((failures + 1))
    cat "$folder/out" "$folder/err"
  fi
}

last=$((ranks - 1))
place=$([ "$ranks" -gt 1 ] && echo "rank $last on [^ ]+: " || echo "")

check ok 0 ""
# another code than 0 is no error in itself
check stop 75 ""
check agreed:numeric 5 "${place}the loss is not finite\$" "5: "
check agreed:usage 2 "$place--model: unknown layer\$" "2: "
grep -q '^  \^$' "$folder/err" || { echo "the caret is gone"; failures=$((failures + 1)); }
check alone:numeric 5 "${place}the loss is not finite\$" "5: "
check alone:foreign 1 "${place}internal error: a surprise\$" "1: "
check alone:memory 1 "${place}out of memory\$"
check alone:nonsense 1 "${place}internal error of an unknown kind\$"
check early 2 "--model: unknown layer\$"
[ "$ranks" -eq 1 ] || check early-one 2 "rank 1 on [^ ]+: --model: unknown layer\$"

[ "$failures" -eq 0 ] || { echo "$failures failures"; exit 1; }
echo "all ends as they should be"
