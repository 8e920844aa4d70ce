#!/usr/bin/env bash
# What `trainer doctor` says of real ranks, folders and data: exit code, findings, and that the line it advises is a cure.
# Usage: doctor_test.sh TRAINER
source "$(dirname "$0")/common.sh"
unset OMPI_MCA_hwloc_base_binding_policy OMPI_MCA_rmaps_base_oversubscribe  # mpirun's own binding is what is looked at
unset OMP_NUM_THREADS OMP_PROC_BIND OMP_PLACES
data=(--data "generate:blobs(rows=1000, features=8, classes=3)" --model 16)
cpus=$(nproc)
allowed=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)

# says CODE PATTERN command...: ends with CODE within 30 s, prints PATTERN (an empty one: no advice and no problem), leaves nothing.
says() {
  local code=$1 pattern=$2 found=0 before after
  shift 2
  before=$(find . -mindepth 1 ! -name out.txt ! -name err.txt | sort)
  timeout 30 "$@" > out.txt 2> err.txt || found=$?
  after=$(find . -mindepth 1 ! -name out.txt ! -name err.txt | sort)
  [ "$found" = "$code" ] || fail "$*: exit code $found, not $code: $(cat out.txt err.txt)"
  if [ -n "$pattern" ]; then
    grep -Eq -- "$pattern" out.txt err.txt || fail "$*: no /$pattern/ in: $(cat out.txt err.txt)"
  else
    grep -q '^doctor: problems 0, advice 0$' out.txt || fail "$*: findings where all is well: $(cat out.txt)"
  fi
  [ "$before" = "$after" ] || fail "$*: left behind: $after"
  echo "ok: $code for $*"
}
# Alone, and on as many bound ranks as there are cores.
says 0 '' "$trainer" doctor
says 0 '' "$trainer" doctor "${data[@]}"
grep -q '^ok  *data  *generate:blobs: 1000 rows of 8 inputs' out.txt || fail "the data are not named: $(cat out.txt)"
grep -q "^[^ ]*  *0  *$cpus  *$allowed  *no " out.txt || fail "the table does not name the processors: $(cat out.txt)"

# Oversubscribed: 3 ranks with the threads of all.
says 0 'advice  *placement  *ranks 0-2 on .* have [0-9]+ threads in all and share' \
  mpirun --oversubscribe --bind-to none -np 3 "$trainer" doctor "${data[@]}" --threads "$cpus"
[ "$(grep -c '^doctor: problems' out.txt)" = 1 ] || fail "more than one rank speaks: $(cat out.txt)"

if [ "$cpus" -ge 2 ]; then
  # The classic: a team on one core. The line that is advised is a cure, and its ranks and threads are what it says.
  says 0 'rank 0 on .* has 4 threads and may run on 1 processor .*1 more rank' mpirun -np 2 --bind-to core "$trainer" doctor --threads 4
  # Two ranks on one core, the other idle.
  says 0 'ranks 0-1 on .* are bound to the same cores and have 2 threads on 1 processor' \
    mpirun -np 2 --cpu-set "${allowed%%[-,]*}" --bind-to core "$trainer" doctor "${data[@]}" --threads 1
  # One rank, bound to one core as mpirun does by itself.
  says 0 'the 1 rank on .* was bound to 1 processor .* idle' mpirun -np 1 "$trainer" doctor
  for job in "-np 2 --bind-to core --threads 4" "-np 1 --bind-to core --threads 1" "-np 9 --oversubscribe --bind-to none --threads 3"; do
    # shellcheck disable=SC2086
    mpirun ${job% --threads*} "$trainer" doctor --threads "${job##* }" > out.txt 2> err.txt || fail "doctor with $job: $(cat out.txt err.txt)"
    line=$(sed -n 's/.*-> use `\(mpirun[^`]*\)`.*/\1/p' out.txt | head -n 1)
    [ -n "$line" ] || fail "no line is advised for $job: $(cat out.txt)"
    read -ra words <<< "${line/trainer .../$trainer doctor}"
    says 0 '' "${words[@]}"
  done
  # OpenMP's binding ties the first thread to one processor: no reason to see one processor only.
  says 0 '' env OMP_PROC_BIND=true "$trainer" doctor
  says 0 "rank 0 on .* has $((cpus + 1)) threads and may run on $cpus processors" env OMP_PROC_BIND=close "$trainer" doctor --threads $((cpus + 1))
  says 0 'OMP_PROC_BIND=true puts the threads of each of ranks 0-1' mpirun --bind-to none -np 2 -x OMP_PROC_BIND=true "$trainer" doctor
else
  echo "skipped: binding (one processor only)"
fi

# Started as single processes.
says 4 'SLURM_NTASKS says 4: .*`mpirun -np 4 trainer \.\.\.`.*`srun --mpi=pmix -n 4 trainer' env SLURM_NTASKS=4 "$trainer" doctor
says 4 'PMI_SIZE says 3' env PMI_SIZE=3 "$trainer" doctor
says 0 'started by mpirun' env SLURM_NTASKS=4 mpirun -np 1 "$trainer" doctor

# Options, data, folders.
says 2 'problem  *options .*9 wide, but the data needs 3' "$trainer" doctor --data "generate:blobs(rows=100)" --model "dense(8) relu dense(9)"
says 2 'no option of .trainer doctor.' "$trainer" doctor --nonsense
says 2 'one argument too many' "$trainer" doctor stray
says 3 'problem  *data .*not-there' "$trainer" doctor --data not-there
says 3 'problem  *folder .*cannot write into /proc' "$trainer" doctor --out /proc/run
touch file
says 3 'problem  *folder .*file is no folder' "$trainer" doctor --out file/run
says 0 '' "$trainer" doctor --out new/deep/run
mkdir locked
says 0 '' "$trainer" doctor --out locked

# File systems that cannot do what a run needs: the calls are replaced.
if command -v cc > /dev/null; then
  mkdir broken
  lacking() { echo "#include <errno.h>"$'\n'"$2" > broken/"$1.c" && cc -shared -fPIC -o broken/"$1.so" broken/"$1.c"; }
  lacking locks 'int flock(int file, int how) { (void)file; (void)how; errno = ENOLCK; return -1; }'
  lacking blind 'int flock(int file, int how) { (void)file; (void)how; return 0; }'
  lacking rename 'int rename(const char* from, const char* to) { (void)from; (void)to; errno = EPERM; return -1; }'
  lacking sync 'int fsync(int file) { (void)file; errno = EIO; return -1; }'
  says 0 'advice  *folder  *locks \(flock\) do not work .*No locks available' env LD_PRELOAD="$work/broken/locks.so" "$trainer" doctor
  says 0 'advice  *folder  *locks \(flock\) have no effect' env LD_PRELOAD="$work/broken/blind.so" "$trainer" doctor
  says 3 'problem  *folder  *cannot rename .*not permitted' env LD_PRELOAD="$work/broken/rename.so" "$trainer" doctor
  says 0 'advice  *folder  *fsync of the folder' env LD_PRELOAD="$work/broken/sync.so" "$trainer" doctor
else
  echo "skipped: file systems without locks, rename and fsync (no C compiler)"
fi

if unshare -m true 2> /dev/null; then
  mkdir place good
  # A folder that cannot be written, one that is small, one that other ranks do not see.
  says 3 'problem  *folder .*cannot write into .*/place: Read-only' \
    unshare -m sh -c 'mount -t tmpfs -o ro none "$1"; shift; exec "$@"' sh "$work/place" "$trainer" doctor --out place/run
  small='mount -t tmpfs -o size=1m none "$1"; shift; exec "$@"'
  says 3 'problem  *folder .*1024 KiB are free; 4 checkpoints .* need' \
    unshare -m sh -c "$small" sh "$work/place" "$trainer" doctor --data "generate:blobs(rows=1000, features=8, classes=3)" --model 256-256 --out place/run
  says 0 '' unshare -m sh -c "$small" sh "$work/place" "$trainer" doctor "${data[@]}" --out place/run
  full='mount -t tmpfs -o size=64k none "$1"; head -c 65536 /dev/zero > "$1"/x 2> /dev/null; shift; exec "$@"'
  says 3 'problem  *folder .*No space left' unshare -m sh -c "$full" sh "$work/place" "$trainer" doctor --out place/run
  hidden='mount -t tmpfs none "$1"; shift; exec "$@"'
  says 0 'advice  *folder .*rank 1 on .* does not see what rank 0 writes to .*/place' \
    mpirun --oversubscribe --bind-to none -np 1 "$trainer" doctor --threads 1 --out place/run : -np 1 unshare -m sh -c "$hidden" sh "$work/place" \
    "$trainer" doctor --threads 1 --out place/run
  # A file that one rank alone cannot see.
  "$python" - << 'PYTHON'
import struct
open("good/train-images-idx3-ubyte", "wb").write(struct.pack(">HBBIII", 0, 8, 3, 60, 4, 3) + bytes(i % 256 for i in range(720)))
open("good/train-labels-idx1-ubyte", "wb").write(struct.pack(">HBBI", 0, 8, 1, 60) + bytes(i % 3 for i in range(60)))
PYTHON
  bare=(doctor --data good --model 8 --batch-size 10 --threads 1)
  says 0 'ok  *data  *good: 60 rows' mpirun --oversubscribe --bind-to none -np 3 "$trainer" "${bare[@]}"
  says 3 'problem  *data  *rank 1 on ' mpirun --oversubscribe --bind-to none -np 1 "$trainer" "${bare[@]}" : -np 1 unshare -m sh -c "$hidden" sh \
    "$work/good" "$trainer" "${bare[@]}"
  # A limit on the time of the processors, as a container has.
  if [ -e /sys/fs/cgroup/cpu/cpu.cfs_quota_us ]; then
    says 0 'container .* may use 0.5 processors. time' unshare -m sh -c 'echo 50000 > quota.txt; mount --bind quota.txt /sys/fs/cgroup/cpu/cpu.cfs_quota_us &&
      rm -f quota.txt; exec "$@"' sh "$trainer" doctor
  elif [ -e /sys/fs/cgroup/cpu.max ]; then
    says 0 'container .* may use 0.5 processors. time' unshare -m sh -c 'echo 50000 100000 > quota.txt; mount --bind quota.txt /sys/fs/cgroup/cpu.max &&
      rm -f quota.txt; exec "$@"' sh "$trainer" doctor
  else
    echo "skipped: a limit on the time of the processors (no such control group here)"
  fi
else
  echo "skipped: folders and data that one rank does not see (unshare -m is not allowed here)"
fi
finish
