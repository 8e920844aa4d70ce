#!/usr/bin/env bash
# One command from a fresh clone to passed tests: installs what is missing, builds with warnings as errors, runs every test, then
# the unit and 2-rank tests once more under AddressSanitizer and UndefinedBehaviorSanitizer, and the format check.
# tests/run.sh quick: the release build and its tests only.
set -euo pipefail
cd "$(dirname "$0")/.."
# One test more than processors: some mostly wait.
export CTEST_PARALLEL_LEVEL=${CTEST_PARALLEL_LEVEL:-$(($(nproc) + 1))} CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
if [ "$(id -u)" -eq 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
# What was compiled before, in any clone, is not compiled again.
export CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

say() { echo "tests: $*"; }
build() {  # PRESET options...
  local preset=$1
  shift
  say "building $preset"
  cmake --preset "$preset" -DTRAINER_WARNINGS_AS_ERRORS=ON "$@" > /dev/null
  cmake --build --preset "$preset" | { grep -v '^\[' || true; }
}

launch/setup.sh --tests
build release -DTRAINER_BUILD_TESTS=ON -DTRAINER_BUILD_BENCHMARKS=ON
say "running all tests"
ctest --test-dir build/release --output-on-failure
[ "${1:-}" = quick ] && exit 0

build sanitize
say "running the unit and 2-rank tests under the sanitizers"
# The libraries that we do not build leak a little at exit; what is ours is looked for.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
ctest --test-dir build/sanitize --output-on-failure -LE 'system|many-ranks'

if command -v clang-format > /dev/null; then
  say "checking the format"
  git ls-files '*.h' '*.cpp' | xargs clang-format --dry-run --Werror
fi
say "everything passed"
