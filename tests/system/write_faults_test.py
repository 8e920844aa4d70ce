#!/usr/bin/python3
"""Promise 5 under attack: every system call with which a run writes its files fails once, or is the last before a kill. After each,
a good checkpoint is there, and `resume` ends with the bits of the undisturbed run.

    write_faults_test.py TRAINER FAIL_CALL_LIBRARY [--all] [--only TEXT] [--together 2] [--keep]

One process without mpirun, and a library in front of the C library (tests/faults/fail_call.c). First the calls are recorded; then each
of them meets the faults. By default: a kill before it, EIO, and one of the other kinds in turn; with --all, all kinds."""
import argparse
import concurrent.futures
import os
import shutil
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "faults"))
from real_job import Outcome, Run, Tally, Workshop, read_text  # noqa: E402

JOB = ["--data", "generate:blobs(rows=200, features=5, classes=3, noise=3, seed=4)", "--validation", "40 rows", "--batch-size", "32",
       "--shards", "4", "--evaluate-every", "2 steps", "--checkpoint-every", "2 steps", "--keep", "2", "--schedule", "one_cycle",
       "--log-steps", "--model", "dense(8) batch_norm relu dropout(0.2) dense(outputs)", "--optimizer", "adam", "--max-steps", "6",
       "--threads", "1", "--quiet"]
LAST_STEP = 6
LIMIT = 60.0  # a run of these takes a fifth of a second: longer is a hang

# What the final rule demands of an error between the first and the last checkpoint: training goes on, with one warning in log.txt
# that names file and reason, and ends with 0. While False, ending with 3 and one error line is taken as well.
MUST_GO_ON = False

EVERYWHERE = ["KILL_BEFORE", "EIO"]
IN_TURN = ["ENOSPC", "KILL_AFTER", "STAY", "EDQUOT", "SHORT", "STAY 40"]
REASONS = {"EIO": "Input/output error", "ENOSPC": "No space left on device", "EDQUOT": "Disk quota exceeded",
           "STAY": "No space left on device", "STAY 40": "No space left on device"}


class Call:
    """One recorded call: `what` is the key that finds it again in any run of the same kind."""

    def __init__(self, line):
        number, self.what = line.rstrip("\n").split(" ", 1)
        self.number = int(number)
        self.name, self.path, _ = self.what.split(" ")

    def is_of_a_checkpoint(self):
        """Whether the checkpoint (or its CSV rows, or the best model) is not safe when this call fails."""
        return (self.name in ("open", "write", "fsync", "close", "rename") and
                (".tmp-" in self.path or self.path == "best.h5" or self.path.startswith("checkpoints/step-"))) or (
                    self.name in ("write", "fsync") and self.path.endswith(".csv"))


class Scenario:
    """A way to write a run: what stands in the folder before, and the command that goes on from there."""

    def __init__(self, name, arguments, before=None):
        self.name = name
        self.arguments = arguments
        self.before = before  # a run folder to begin with, or None
        self.calls = []
        self.first_kept = 0   # from this call on a checkpoint is there
        self.last_begins = 0  # from this call on the last checkpoint is being written

    def record(self, test):
        room = test.workshop.room("record-" + self.name.replace(" ", "-"))
        log = os.path.join(room.path, "calls.txt")
        self.put(room)
        job = room.start_alone(self.arguments, LD_PRELOAD=test.library, FAIL_UNDER="run", FAIL_LOG=log)
        if job.wait(LIMIT) != 0:
            raise RuntimeError(f"recording {self.name}: {job.output()}")
        self.calls = [call for call in map(Call, read_text(log).splitlines()) if not call.name.startswith("MPI_")]
        renames = [call for call in self.calls if call.name == "rename" and "checkpoints/step-" in call.path]
        self.first_kept = 0 if self.before else renames[0].number + 1
        self.last_begins = renames[-2].number + 1 if len(renames) > 1 else 0
        room.close()

    def put(self, room):
        if self.before:
            shutil.copytree(self.before, os.path.join(room.path, "run"))


class FaultsTest:
    def __init__(self, workshop, library, only):
        self.workshop = workshop
        self.library = os.path.realpath(library)
        self.only = only
        self.tally = Tally()
        self.failures = []
        self.reference = None
        self.cut_off = None

    def make_reference(self):
        room = self.workshop.room("reference")
        job = room.start_alone(["train", *JOB, "--out", "run"])
        if job.wait(LIMIT) != 0:
            raise RuntimeError(f"the undisturbed run: {job.output()}")
        self.reference = Outcome(Run(os.path.join(room.path, "run")), job.digest())
        # A run that died between best.h5 and the checkpoint that speaks of it: its resume has the most to put right.
        room = self.workshop.room("cut-off")
        job = room.start_alone(["train", *JOB, "--out", "run"], LD_PRELOAD=self.library, FAIL_UNDER="run",
                               FAIL_AT="rename checkpoints/step-00000004.h5 1", FAIL_HOW="KILL_BEFORE")
        if job.wait(LIMIT) != -9:
            raise RuntimeError(f"the run that is cut off: {job.output()}")
        self.cut_off = os.path.join(room.path, "run")

    def scenarios(self):
        return [Scenario("train", ["train", *JOB, "--out", "run"]), Scenario("resume", ["resume", "run", "--quiet"], self.cut_off)]

    def cases(self, scenario, all_kinds):
        turn = 0
        for call in scenario.calls:
            kinds = list(EVERYWHERE)
            fitting = [kind for kind in IN_TURN if kind != "SHORT" or call.name == "write"]
            if all_kinds:
                kinds += fitting
            else:
                kinds.append("SHORT" if call.name == "write" and turn % 2 else fitting[turn % len(fitting)])
                turn += 1
            for kind in kinds:
                if self.only in f"{scenario.name}: {kind} at {call.what}":
                    yield scenario, call, kind

    def attack(self, scenario, call, kind):
        """What is wrong after this fault, as a list."""
        number = next(self.workshop.counter)
        room = self.workshop.room(f"case{number}")
        scenario.put(room)
        run = Run(os.path.join(room.path, "run"))
        log = os.path.join(room.path, "hit.txt")
        how, _, span = kind.partition(" ")
        more = {"FAIL_FOR": span} if span else {}
        job = room.start_alone(scenario.arguments, LD_PRELOAD=self.library, FAIL_UNDER="run", FAIL_LOG=log, FAIL_AT=call.what,
                               FAIL_HOW=how, **more)
        code = job.wait(LIMIT)
        if code is None:
            stacks = job.describe_processes()
            job.kill_all()
            return [f"HANG\n{stacks}"]
        wrong = []
        if not read_text(log):
            wrong.append("the call was not made: the run does not do the same calls each time")
        wrong += self.wrong_end(scenario, call, kind, code, job, run)
        wrong += run.bad_files(self.workshop)
        if call.number >= scenario.first_kept and not run.steps():
            wrong.append("no checkpoint is left")
        if wrong:
            return wrong
        words = ["resume", "run", "--quiet"] if run.steps() else ["train", "--resume", *JOB, "--out", "run"]
        job = room.start_alone(words)
        code = job.wait(LIMIT)
        if code != 0:
            job.kill_all()
            return [f"the resume after it ended with {code}: {job.output()[-1500:]}"]
        wrong = self.reference.differences(run, job.digest())
        left = [name for name in run.temporary_files() if name.startswith(".tmp-step")]
        if left:
            wrong.append(f"left over after the resume: {left}")
        if run.temporary_files():
            self.tally.add("left-over files after the resume")
        if not wrong:
            room.close()
        return wrong

    def wrong_end(self, scenario, call, kind, code, job, run):
        if kind.startswith("KILL"):
            return [] if code == -9 else [f"exit code {code} after a kill: {job.output()[-1500:]}"]
        errors = job.error_lines()
        in_between = scenario.first_kept <= call.number < scenario.last_begins
        if code == 0:
            self.tally.add("went on")
            wrong = [] if not errors else [f"exit code 0 and an error line: {errors}"]
            if kind == "SHORT" or not call.is_of_a_checkpoint() or not MUST_GO_ON:
                return wrong
            warnings = [line for line in read_text(run.file("log.txt")).splitlines() if "warning" in line]
            name = os.path.basename(call.path).removeprefix(".tmp-")
            if not any(name in line and REASONS[kind] in line for line in warnings):
                wrong.append(f"no warning that names {name} and \"{REASONS[kind]}\": {warnings}")
            return wrong
        if code != 3 or len(errors) != 1:
            return [f"exit code {code} with {len(errors)} error lines: {job.output()[-1500:]}"]
        self.tally.add("ended with 3")
        if kind == "SHORT":
            return [f"a short write ended the run: {errors}"]
        if MUST_GO_ON and in_between and kind != "STAY":
            return [f"ended with 3 instead of going on: {errors}"]
        return []

    def one(self, case):
        scenario, call, kind = case
        try:
            wrong = self.attack(scenario, call, kind)
        except Exception:  # a defect of the test itself must not be mistaken for a pass
            wrong = [traceback.format_exc()]
        self.tally.add("faults")
        self.tally.add(f"kind {kind}")
        if wrong:
            self.failures.append(f"{scenario.name}: {kind} at {call.what} (call {call.number})")
            print(f"FAILED: {self.failures[-1]}\n    " + "\n    ".join(wrong), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trainer")
    parser.add_argument("library")
    parser.add_argument("--all", action="store_true", help="every kind at every call")
    parser.add_argument("--only", default="", help="only the cases whose description holds this text")
    parser.add_argument("--together", type=int, default=2)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    begin = time.monotonic()
    with Workshop(options.trainer, options.keep, in_memory=True) as workshop:
        test = FaultsTest(workshop, options.library, options.only)
        test.make_reference()
        cases = []
        for scenario in test.scenarios():
            scenario.record(test)
            found = list(test.cases(scenario, options.all))
            print(f"{scenario.name}: {len(scenario.calls)} calls, a checkpoint is there from call {scenario.first_kept} on, the last one "
                  f"from call {scenario.last_begins} on; {len(found)} faults", flush=True)
            cases += found
        with concurrent.futures.ThreadPoolExecutor(options.together) as pool:
            list(pool.map(test.one, cases))
        kinds = ", ".join(f"{name[5:]} {number}" for name, number in sorted(test.tally.numbers.items()) if name.startswith("kind "))
        print(f"{test.tally.get('faults')} faults ({kinds})\n  after an error: went on {test.tally.get('went on')}, ended with 3 "
              f"{test.tally.get('ended with 3')}\n  runs with left-over files after the resume {test.tally.get('left-over files after the resume')}\n"
              f"  failures {len(test.failures)}\n  seconds in all {time.monotonic() - begin:.0f}")
        if test.failures:
            print("FAILED:\n  " + "\n  ".join(test.failures))
            return 1
    print("all checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
