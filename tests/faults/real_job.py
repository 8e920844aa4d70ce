"""Real jobs of the program, as the attacks on them need them: started under mpirun (or alone), watched from outside by /proc and
by the files of the run folder, and cleaned up after. Debian's /usr/bin/python3 with h5py; nothing else.

Processes are found by a mark in their environment, never by name: other people's jobs run on this machine too."""
import ctypes
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import h5py

LIMIT_GONE = 10.0  # seconds within which every process of a job that was hit must be gone
LIMIT_RUN = 300.0  # no undisturbed run of these tests takes so long: a hang
MARK = "TRAINER_TEST_JOB"
STATUS = re.compile(r"^(running|finished|stopped|failed) exit=(\d+) step=(-?\d+)(?: checkpoint=(\S+))?(?: reason=(.*))?\n$")
DIGEST = re.compile(r"^done: step \d+, .*weights ([0-9a-f]{32})$", re.M)
OLD_LEFTOVER = re.compile(r"^\.tmp-|\.new$")


def adopt_orphans():
    """Ranks that outlive mpirun become children of this process, not of init: then they can be reaped here."""
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def read_bytes(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def read_text(path):
    return read_bytes(path).decode(errors="replace")


def stat_fields(pid):
    """(state, parent, threads) of a process, or None."""
    text = read_text(f"/proc/{pid}/stat")
    if not text:
        return None
    fields = text[text.rindex(")") + 2:].split()
    return fields[0], int(fields[1]), int(fields[17])


def is_alive(pid):
    fields = stat_fields(pid)
    # A zombie with threads is a process whose threads are still in the kernel, perhaps with files open.
    return fields is not None and (fields[0] not in "ZX" or fields[2] > 1)


def environment_of(pid):
    entries = read_bytes(f"/proc/{pid}/environ").split(b"\0")
    return dict(entry.decode(errors="replace").partition("=")[::2] for entry in entries if entry)


def all_processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


class Workshop:
    """Folders of a test's own: runs, Open MPI's session files (a short path: sockets), its shared memory. Gone at the end."""

    def __init__(self, trainer, keep=False, in_memory=False):
        """in_memory: the runs stand in /dev/shm if there is one, where fsync costs nothing."""
        self.trainer = os.path.realpath(trainer)
        self.keep = keep
        place = "/dev/shm" if in_memory and os.access("/dev/shm", os.W_OK) else os.environ.get("TMPDIR", "/tmp")
        self.folder = tempfile.mkdtemp(prefix="tc.", dir=place)
        try:
            self.shared = tempfile.mkdtemp(prefix="trainer-test.", dir="/dev/shm")
        except OSError:
            self.shared = tempfile.mkdtemp(prefix="shm.", dir=self.folder)
        self.counter = itertools.count(1)
        adopt_orphans()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.shared, ignore_errors=True)
        if self.keep:
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def room(self, name):
        """A sub-folder for one trial."""
        path = os.path.join(self.folder, name)
        os.makedirs(path)
        return Room(self, path)

    def call(self, *arguments, **options):
        """The program without MPI (inspect, --help): (exit code, all output)."""
        done = subprocess.run([self.trainer, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60, check=False, **options)
        return done.returncode, done.stdout

    def knows(self, option):
        return option in self.call("train", "--help")[1]


class Room:
    """Where one trial happens. Its jobs share a folder for temporary files, which is emptied with it."""

    def __init__(self, workshop, path):
        self.workshop = workshop
        self.path = path
        self.temporary = os.path.join(path, "t")
        os.makedirs(self.temporary)
        self.shared = tempfile.mkdtemp(dir=workshop.shared)

    def close(self):
        shutil.rmtree(self.shared, ignore_errors=True)
        if not self.workshop.keep:
            shutil.rmtree(self.path, ignore_errors=True)

    def environment(self, mark, more):
        environment = dict(os.environ)
        environment.update({
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_btl_vader_single_copy_mechanism": "none", "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_MCA_btl_vader_backing_directory": self.shared,
            "OMPI_MCA_osc_sm_backing_directory": self.shared, "TMPDIR": self.temporary, MARK: mark})
        environment.update(more)
        return environment

    def start(self, ranks, arguments, **more):
        """mpirun in the background. `more` joins the environment."""
        return Job(self, ["mpirun", "-np", str(ranks), self.workshop.trainer, *arguments], more)

    def start_alone(self, arguments, **more):
        """One process without mpirun: a job of one rank that starts in a tenth of a second."""
        alone = {"OMPI_MCA_ess_singleton_isolated": "1", "OMPI_MCA_btl": "self", "OMPI_MCA_pml": "ob1",
                 "OMP_WAIT_POLICY": "passive"}
        return Job(self, [self.workshop.trainer, *arguments], {**alone, **more})


class Job:
    """A started command and every process that came of it."""

    def __init__(self, room, command, more):
        number = next(room.workshop.counter)
        self.command = command
        self.mark = f"{os.getpid()}.{number}"
        self.output_path = os.path.join(room.path, f"out{number}.txt")
        with open(self.output_path, "wb") as out:
            self.popen = subprocess.Popen(command, cwd=room.path, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          env=room.environment(self.mark, more), start_new_session=True)
        self.pid = self.popen.pid
        self.known = {self.pid}

    def output(self):
        return read_text(self.output_path)

    def error_lines(self):
        return re.findall(r"^trainer: error: .*$", self.output(), re.M)

    def digest(self):
        found = DIGEST.findall(self.output())
        return found[-1] if found else None

    def ended(self):
        return self.popen.poll() is not None

    def look(self):
        """Finds the job's processes: all with its mark. Those that are alive."""
        mark = f"{MARK}={self.mark}".encode()
        for pid in all_processes():
            if pid not in self.known and mark in read_bytes(f"/proc/{pid}/environ").split(b"\0"):
                self.known.add(pid)
        self.popen.poll()
        return [pid for pid in sorted(self.known) if is_alive(pid)]

    def ranks(self):
        """The pids of the ranks, by rank: mpirun's children that carry a rank. Children that have not yet become the
        program have none."""
        found = {}
        for pid in all_processes():
            fields = stat_fields(pid)
            if fields is None or fields[1] != self.pid:
                continue
            self.known.add(pid)
            rank = environment_of(pid).get("OMPI_COMM_WORLD_RANK")
            if rank is not None:
                found[int(rank)] = pid
        return found

    def kill(self, which, number):
        try:
            os.kill(which, number)
            return True
        except ProcessLookupError:
            return False

    def wait(self, limit=LIMIT_RUN):
        """Exit code of the command once every process is gone; None when that takes longer than `limit`."""
        return None if self.wait_gone(limit) is None else self.popen.returncode

    def wait_gone(self, limit):
        """Seconds until every process is gone, None when some are still there after `limit`."""
        begin = time.monotonic()
        quiet = 0
        while True:
            if any(is_alive(pid) for pid in self.known) and self.popen.poll() is None:
                quiet, here = 0, True
            else:
                here = bool(self.look())
                quiet = 0 if here else quiet + 1
            passed = time.monotonic() - begin
            if quiet >= 2:  # once could be the instant in which a process becomes another program
                self.reap()
                return passed
            if passed > limit:
                return None
            time.sleep(0.01 if here else 0.002)

    def reap(self):
        self.popen.wait()
        for pid in self.known - {self.pid}:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass

    def describe_processes(self):
        """Who is still there, and where: their stacks if gdb is installed."""
        lines = []
        for pid in self.look():
            name = read_bytes(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace")
            rank = environment_of(pid).get("OMPI_COMM_WORLD_RANK", "-")
            lines.append(f"  process {pid} rank {rank} state {(stat_fields(pid) or '?')[0]}: {name}")
            if shutil.which("gdb"):
                try:
                    stacks = subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt"], timeout=60,
                                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
                    lines += ["    " + line for line in stacks.splitlines() if line.startswith(("#", "Thread"))]
                except subprocess.TimeoutExpired:
                    lines.append("    (gdb took too long)")
        return "\n".join(lines)

    def kill_all(self):
        for _ in range(50):
            alive = self.look()
            if not alive:
                break
            for pid in alive:
                self.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        self.reap()


class Run:
    """A run folder, seen from outside."""

    def __init__(self, path):
        self.path = path
        self.checkpoints = os.path.join(path, "checkpoints")

    def file(self, name):
        return os.path.join(self.path, name)

    def steps(self):
        try:
            names = os.listdir(self.checkpoints)
        except OSError:
            return []
        return sorted(int(name[5:-3]) for name in names if re.fullmatch(r"step-\d{8,}\.h5", name))

    def newest_step(self):
        steps = self.steps()
        return steps[-1] if steps else -1

    def checkpoint(self, step):
        return os.path.join(self.checkpoints, f"step-{step:08d}.h5")

    def temporary_files(self):
        found = []
        for folder in (self.path, self.checkpoints):
            try:
                found += [name for name in os.listdir(folder) if OLD_LEFTOVER.search(name)]
            except OSError:
                pass
        return found

    def status(self):
        """(state, exit code, step, checkpoint, reason); None when there is no status file. ValueError for nonsense."""
        if not os.path.exists(self.file("status")):
            return None
        text = read_text(self.file("status"))
        found = STATUS.match(text)
        if not found:
            raise ValueError(f"RUN/status makes no sense: {text!r}")
        return found[1], int(found[2]), int(found[3]), found[4], found[5] or ""

    def best_weights(self):
        with h5py.File(self.file("best.h5"), "r", locking=False) as file:
            weights = file.attrs["weights"]
            return weights.decode() if isinstance(weights, bytes) else str(weights)

    def bad_files(self, workshop):
        """What is wrong with what the folder lists: the newest checkpoint, best.h5, the checkpoint of RUN/status."""
        wrong = []
        files = {self.checkpoint(self.newest_step())} if self.steps() else set()
        if os.path.exists(self.file("best.h5")):
            files.add(self.file("best.h5"))
        try:
            status = self.status()
            if status and status[3]:
                files.add(self.file(status[3]))
        except ValueError as error:
            wrong.append(str(error))
        for path in sorted(files):
            code, text = workshop.call("inspect", path, "--verify")
            if code != 0:
                wrong.append(f"{os.path.relpath(path, self.path)} cannot be read: {text.strip()}")
        return wrong


class Outcome:
    """What the undisturbed run ended with, to compare with."""

    def __init__(self, run, digest):
        self.digest = digest
        self.metrics = read_bytes(run.file("metrics.csv"))
        self.steps = self.columns(run.file("steps.csv"))
        self.best = run.best_weights()
        self.last_step = run.newest_step()

    @staticmethod
    def columns(path):
        """step,loss,lr,grad_norm: what does not depend on the number of ranks."""
        return [line.split(",")[:4] for line in read_text(path).splitlines()]

    def differences(self, run, digest):
        found = []
        if digest != self.digest:
            found.append(f"weights {digest}, not {self.digest}")
        if read_bytes(run.file("metrics.csv")) != self.metrics:
            found.append("metrics.csv differs")
        steps = self.columns(run.file("steps.csv"))
        if steps != self.steps:
            where = next((i for i, (a, b) in enumerate(zip(steps, self.steps)) if a != b), min(len(steps), len(self.steps)))
            found.append(f"steps.csv differs from line {where + 1} ({len(steps)} lines, not {len(self.steps)})")
        try:
            best = run.best_weights()
        except (OSError, KeyError) as error:
            best = f"unreadable: {error}"
        if best != self.best:
            found.append(f"best.h5 has weights {best}, not {self.best}")
        status = run.status()
        if status is None or status[:3] != ("finished", 0, self.last_step):
            found.append(f"RUN/status says {status}")
        if f'"weights": "{self.digest}"' not in read_text(run.file("result.json")):
            found.append("result.json is missing or has other weights")
        return found


class Tally:
    """Numbers by name, shared by threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.numbers = {}

    def add(self, name, number=1):
        with self.lock:
            self.numbers[name] = self.numbers.get(name, 0) + number

    def largest(self, name, number):
        with self.lock:
            self.numbers[name] = max(self.numbers.get(name, number), number)

    def get(self, name):
        with self.lock:
            return self.numbers.get(name, 0)
