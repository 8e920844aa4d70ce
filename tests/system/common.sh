# Shared by the system tests: real ranks, real files. Sourced with the program as $1; works in a folder of its own.
set -euo pipefail
trainer=$(readlink -f "$1")
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
work=$(mktemp -d "${TMPDIR:-/tmp}/trainer-test.XXXXXX")
cd "$work"
# The processes of this test that still run (but for this shell): those that work in its folder, whatever became of their parents.
still_running() { find /proc -maxdepth 2 -name cwd -lname "$work*" 2> /dev/null | sed 's,/proc/\([0-9]*\)/cwd,\1,' | grep -vx "$$\|$BASHPID" || true; }
ranks_left() { local pid; for pid in $(still_running); do grep -qz "^$trainer$" "/proc/$pid/cmdline" 2> /dev/null && return; done; return 1; }
trap 'kill -KILL $(still_running) 2> /dev/null || true; rm -rf "$work"' EXIT

python=/usr/bin/python3  # Debian's, which has h5py
failures=0
fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}
finish() {
  if [ "$failures" -gt 0 ]; then
    echo "$failures check(s) failed" >&2
    exit 1
  fi
  echo "all checks passed"
}
# on RANKS THREADS arguments...: one run; its output goes to standard output.
on() {
  local ranks=$1 threads=$2
  shift 2
  mpirun -np "$ranks" "$trainer" "$@" --threads "$threads"
}
digest_of() { sed -n 's/.*weights \([0-9a-f]\{32\}\).*/\1/p' | tail -n 1; }
