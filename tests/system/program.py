"""The program as a user calls it, for tests in Python whose first argument is its path: calls, checks, files that it wrote."""
import contextlib
import csv
import os
import subprocess
import sys

import h5py

TRAINER = os.path.abspath(sys.argv[1])
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive",
                   OMPI_MCA_btl_vader_single_copy_mechanism="none")
LIMIT = 300  # seconds; a call takes one
failures = []


def check(good, what):
    if not good:
        failures.append(what)
        print("FAILED:", what, file=sys.stderr)


def run(*arguments, ranks=0, threads=1, code=0, everything=False, **options):
    """One call; ranks 0: without mpirun; threads None: not said. Returns standard output, or the line of the error (or both)."""
    start = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np", str(ranks)] if ranks else []
    words = start + [TRAINER, *map(str, arguments)] + (["--threads", str(threads)] if threads else [])
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=LIMIT, **options)
    check(done.returncode == code, f"{' '.join(words)}: code {done.returncode}, expected {code}: {done.stderr}")
    if code == 0:
        return done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("trainer: error: ")]
    check(len(lines) == 1, f"{' '.join(words)}: {len(lines)} lines of error: {done.stderr}")
    return done.stdout + "\n".join(lines) if everything else "\n".join(lines)


def read_h5(path):
    with h5py.File(path, "r") as file:
        return {name: file[name][...] for name in file}, dict(file.attrs)


def read_csv(path):
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    return rows[0], rows[1:]


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read()


def process_of(job, rank):
    """Of a rank of a job."""
    for process in subprocess.run(["pgrep", "-P", str(job.pid)], capture_output=True, text=True).stdout.split():
        if f"OMPI_COMM_WORLD_RANK={rank}".encode() in bytes_of(f"/proc/{process}/environ").split(b"\0"):
            return int(process)
    raise LookupError(f"no rank {rank} below {job.pid}")


@contextlib.contextmanager
def small_disk():
    """The folder disk/ on a file system of 64 KiB; nothing (None) where none may be mounted, which is said."""
    os.mkdir("disk")
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", "disk"],
                                                   capture_output=True).returncode == 0
    if not mounted:
        print("a full file system: left out, nothing can be mounted here")
    try:
        yield "disk" if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "disk"], check=True)


def finish():
    """The last line and the exit code."""
    print(f"{len(failures)} check(s) failed" if failures else "all checks passed")
    return 1 if failures else 0
