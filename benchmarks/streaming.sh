#!/usr/bin/env bash
# Rows from their file against the same rows in memory: samples/s of training steps, peak memory, the digest of the weights.
#   benchmarks/streaming.sh TRAINER [ROWS] [STEPS] [LIMIT] [SHUFFLE]
# Makes an HDF5 file of ROWS x (256 inputs + 4 targets) float32 in $TMPDIR (6 million rows: 6.2 GB), deleted at the end, and trains
# 256-512-512-4 on it for STEPS steps of 1,024 rows: streamed with --memory-limit LIMIT and, where the node's memory allows, resident;
# on 1 rank x 2 threads and on 2 ranks x 1 thread. Peak memory is the proportional set size (Pss) of all ranks, looked at from
# outside five times a second.
set -euo pipefail
trainer=$(readlink -f "$1")
rows=${2:-6000000} steps=${3:-1500} limit=${4:-1G} shuffle=${5:-chunks}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d "${TMPDIR:-/tmp}/trainer-streaming.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
cd "$work"

/usr/bin/python3 - "$rows" << 'PYTHON'
import os, sys
import h5py, numpy as np
rows, inputs, outputs, block = int(sys.argv[1]), 256, 4, 1 << 16
room, needed = os.statvfs("."), rows * (inputs + outputs) * 4 * 1.02
if room.f_bavail * room.f_frsize < needed:
    sys.exit(f"{os.getcwd()}: {needed / 1e9:.1f} GB are needed; set TMPDIR")
random = np.random.default_rng(1)
weights = random.normal(size=(inputs, outputs)).astype(np.float32) / np.sqrt(inputs)
with h5py.File("rows.h5", "w") as file:
    x = file.create_dataset("inputs", (rows, inputs), "f4", chunks=(min(rows, 1024), inputs))
    y = file.create_dataset("targets", (rows, outputs), "f4", chunks=(min(rows, 1024), outputs))
    for first in range(0, rows, block):
        some = random.standard_normal((min(block, rows - first), inputs), np.float32)
        x[first:first + block] = some
        y[first:first + block] = np.tanh(some @ weights)
PYTHON
ls -l --block-size=MB rows.h5 | awk '{print "rows.h5:", $5}'

cat > watch.py << 'PYTHON'
"""watch.py COMMAND...: runs it; its output, then a line `peak BYTES processor SECONDS`: of all its descendants
together."""
import os, resource, subprocess, sys, time

def parents():
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                found[int(name)] = int(file.read().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            pass  # it has ended
    return found

def pss(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            if file.read().strip() != "trainer":
                return 0  # mpirun
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0

job, peak = subprocess.Popen(sys.argv[1:]), 0
while job.poll() is None:
    start, above = time.monotonic(), parents()
    below, new = set(), {job.pid}
    while new:
        below |= new
        new = {pid for pid, parent in above.items() if parent in new}
    peak = max(peak, sum(map(pss, below)))
    # Looking at gigabytes of pages takes time of its own.
    time.sleep(max(0.2, 20 * (time.monotonic() - start)))
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("peak", peak, "processor", used.ru_utime + used.ru_stime)
sys.exit(job.returncode)
PYTHON

run() {  # NAME RANKS THREADS LIMIT
  /usr/bin/python3 watch.py mpirun -np "$2" --bind-to none "$trainer" --data rows.h5 --model 512-512 --batch-size 1024 --max-steps "$steps" \
    --validation "20000 rows" --validation-rows 2000 --evaluate-every "$steps steps" --checkpoint-every "$((steps + 1)) steps" \
    --shuffle "$shuffle" --memory-limit "$4" --threads "$3" --out "$1" --quiet > "$1.txt" || { cat "$1.txt" >&2; exit 1; }
  /usr/bin/python3 - "$@" << 'PYTHON'
import csv, re, sys
name, ranks, threads, limit = sys.argv[1:]
with open(f"{name}/timing.csv") as file:
    last = list(csv.DictReader(file))[-1]
with open(f"{name}.txt") as file:
    text = file.read()
peak, processor = map(float, re.search(r"peak (\d+) processor ([\d.]+)", text).groups())
parts = {key: float(last[key]) for key in ("compute", "communicate", "wait", "read")}
print(f"{name} {ranks} x {threads} {limit} {float(last['samples_per_second']):.0f} {peak / 2**20:.0f} "
      f"{100 * parts['read'] / (sum(parts.values()) or 1):.1f} {processor:.0f} {re.search(r'weights ([0-9a-f]+)', text)[1]}", flush=True)
PYTHON
}
available=$(awk '/^MemAvailable/ {printf "%.0f", $2 * 1024}' /proc/meminfo)
whole=$((rows * 1040))  # what the rows take in memory
resident=$((whole / 10 * 15))
echo "name ranks x threads memory_limit samples_per_second peak_MiB read_percent processor_seconds weights"
for layout in "1 2" "2 1"; do
  read -r ranks threads <<< "$layout"
  run "streamed$ranks" "$ranks" "$threads" "$limit"
  if [ "$available" -gt $((whole + 3 * 1024 ** 3)) ]; then
    run "resident$ranks" "$ranks" "$threads" "$resident"
  else
    echo "resident: left out, $whole bytes of rows are too much for the memory of this node"
  fi
done | tee table.txt
awk -v limit="$limit" '
  /^(streamed|resident)[12] / && NF == 10 { speed[$1] = $6; if (!($10 in digests)) { digests[$10]; ++different } 
    if ($1 ~ /^streamed/) memory[$1] = $7 }
  END {
    scale = limit ~ /G/ ? 1024 : 1; most = int(limit * scale)
    for (r = 1; r <= 2; ++r) {
      if (("resident" r) in speed) printf "%d rank(s): streamed / resident %.3f\n", r, speed["streamed" r] / speed["resident" r]
      printf "%d rank(s): peak %d MiB, limit %d MiB: %s\n", r, memory["streamed" r], most, memory["streamed" r] <= most ? "within" : "ABOVE"
    }
    print different == 1 ? "weights equal" : "WEIGHTS DIFFER"
    exit different != 1 }' table.txt
