#!/usr/bin/env bash
# mpirun for job scripts: turns the signals with which schedulers end a job (SIGTERM, SIGINT, SIGHUP) into SIGUSR1, at which
# trainer saves a checkpoint and stops with exit code 75. mpirun itself would give the ranks one second and then kill them.
#
#   launch/mpirun.sh -np 4 trainer train --resume --out runs/long ...
#
# All arguments go to mpirun; the exit code is mpirun's. In a Slurm script: `#SBATCH --signal=B:TERM@120 --requeue` and
# `exec launch/mpirun.sh ...`, so that the signal reaches this script.
#
# To edit: SIGKILL_TIMEOUT below (or OMPI_MCA_odls_base_sigkill_timeout in the environment), for when a signal reaches mpirun itself
# all the same. Open MPI 4.1 then waits so many seconds before it sends SIGTERM to the ranks, and as long again before it kills them;
# and it waits both whenever a job ends with another code than 0. So: as long as a checkpoint needs to be written, not more.
set -u
SIGKILL_TIMEOUT=3

export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-$SIGKILL_TIMEOUT}

mpirun_process= messenger=
find_mpirun() {
  mpirun_process=${mpirun_process:-${!:-}}
  [ -n "$mpirun_process" ] || exit 143 # nothing is started yet
}
# Once: an mpirun that is just ending would die of a second one. Not in its first seconds: it has nobody yet to pass a signal to.
save_and_stop() {
  [ -z "$messenger" ] || return
  find_mpirun
  (while [ "$SECONDS" -lt 3 ]; do sleep 0.1; done; kill -USR1 "$mpirun_process") > /dev/null 2>&1 &
  messenger=$!
}
save_and_go_on() {
  find_mpirun
  kill -USR2 "$mpirun_process" 2> /dev/null
}
trap save_and_stop TERM INT HUP USR1
trap save_and_go_on USR2

# In the background, because bash runs a trap only while it waits; in a session of its own, so that what is sent to the whole process
# group (a key, some schedulers) reaches this script alone.
setsid mpirun "$@" < /dev/null &
mpirun_process=$!

# Open MPI 4.1's mpirun can stay behind for ever when a rank dies while the job starts (its PMIx server waits for a lock that was
# freed). Where it has had children and then none that lives for IDLE_LIMIT seconds, it is ended.
IDLE_LIMIT=20
has_children() {
  local child state
  for child in $(cat /proc/"$mpirun_process"/task/*/children 2> /dev/null); do
    read -r _ _ state _ 2> /dev/null < "/proc/$child/stat" && [ "$state" != Z ] && return
  done
  return 1
}
watch_mpirun() {
  trap '' TERM INT HUP USR1 USR2
  local pause=0.1 seen=false idle=0
  while sleep "$pause" 2> /dev/null && [ -d "/proc/$mpirun_process" ]; do
    if has_children; then
      seen=true pause=1 idle=0
    elif $seen && [ $((idle += 1)) -ge "$IDLE_LIMIT" ]; then
      echo "launch/mpirun.sh: mpirun has nobody left to wait for and does not end: killed" >&2
      kill -KILL "$mpirun_process"
    fi
  done
}
watch_mpirun > /dev/null &
watch=$!

# A wait that a signal ends returns at once, with a code that is not mpirun's (and at two signals in a row even after both traps have
# run): mpirun has ended when it is gone. Then its code is asked for once more; bash gives it once only, and 127 afterwards.
code=127
while kill -0 "$mpirun_process" 2> /dev/null; do
  wait "$mpirun_process"
  code=$?
done
trap '' TERM INT HUP USR1 USR2
wait "$mpirun_process"
result=$?
[ "$result" -eq 127 ] || code=$result
kill -KILL "$watch" 2> /dev/null
if [ -n "$messenger" ]; then kill "$messenger" 2> /dev/null; fi
exit "$code"
