#!/usr/bin/env bash
# Every line of the table from the words of lecture notes to options runs, and quickly.
# Usage: lecture_notes_test.sh TRAINER
table=$(readlink -f "$(dirname "$0")/../../launch/recipes/lecture-notes.tsv")
source "$(dirname "$0")/common.sh"

lines=0
while IFS=$'\t' read -r term text <&3; do
  eval "options=($text)"
  lines=$((lines + 1))
  code=0
  output=$("$trainer" "${options[@]}" --threads 1 --quiet --out "run-$lines" 2>&1 < /dev/null) || code=$?
  [ "$code" -eq 0 ] || fail "$term: exit code $code: $(grep "^trainer:" <<< "$output")"
  grep -q '^done: step [1-9]' <<< "$output" || fail "$term: no done: line"
  rm -rf "run-$lines"
done 3< <(tail -n +2 "$table")
[ "$lines" -ge 60 ] || fail "$table has $lines lines only"
echo "$lines lines"
finish
