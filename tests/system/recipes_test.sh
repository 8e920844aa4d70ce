#!/usr/bin/env bash
# Every recipe of launch/recipes passes the check of options, files and model that --dry-run makes, and says how it is run.
# Usage: recipes_test.sh TRAINER
top=$(readlink -f "$(dirname "$0")/../..")
source "$(dirname "$0")/common.sh"
ln -s "$top/launch" "$top/datasets" .  # recipes name files by their place in the project

recipes=0
for recipe in launch/recipes/*.ini; do
  recipes=$((recipes + 1))
  code=0
  output=$("$trainer" --config "$recipe" --dry-run --out dry 2>&1 < /dev/null) || code=$?
  [ "$code" -eq 0 ] || fail "$recipe: exit code $code: $(grep '^trainer:' <<< "$output")"
  grep -q '^parameters[: ]*[1-9]' <<< "$output" || fail "$recipe: --dry-run shows no model"
  grep -q -- "--config $recipe" "$recipe" || fail "$recipe: its comment has no command with --config $recipe"
  grep -q "$(basename "$recipe")" launch/recipes/README.md || fail "$recipe: not in launch/recipes/README.md"
done
[ "$recipes" -ge 10 ] || fail "$recipes recipes only"
echo "$recipes recipes"
finish
