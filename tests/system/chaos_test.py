#!/usr/bin/python3
"""Promises 2, 5 and 6 under attack: a run that is hit again and again by random events, at random moments, and resumed each time
on another number of ranks and threads, ends as the run that nothing happened to. Nothing hangs, no newest checkpoint is bad.

    chaos_test.py TRAINER [--events 200] [--seed 1] [--together 2] [--keep]

The draws follow from the seed; the moments are the machine's, so a failing trial is told with everything that happened in it."""
import argparse
import os
import random
import signal
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "faults"))
from real_job import LIMIT_GONE, LIMIT_RUN, Outcome, Run, Tally, Workshop, stat_fields  # noqa: E402

# Evaluation and checkpoints of different rhythm, many of both: about a third of the time goes into writing them.
JOB = ["--data", "generate:blobs(rows=4060, features=16, classes=4, noise=3, seed=4)", "--validation", "60 rows",
       "--batch-size", "64", "--shards", "8", "--evaluate-every", "9 steps", "--checkpoint-every", "5 steps", "--keep", "2",
       "--schedule", "one_cycle", "--log-steps", "--model", "dense(48) batch_norm relu dropout(0.2) dense(outputs)",
       "--optimizer", "adam", "--epochs", "14"]
STALL_SECONDS = 2

# What happens to a job: (name, who, signal, weight).
EVENTS = [
    ("KILL a rank", "rank", signal.SIGKILL, 3), ("KILL rank 0", "rank 0", signal.SIGKILL, 3),
    ("KILL mpirun", "mpirun", signal.SIGKILL, 3), ("TERM mpirun", "mpirun", signal.SIGTERM, 1.5),
    ("INT mpirun", "mpirun", signal.SIGINT, 1), ("HUP mpirun", "mpirun", signal.SIGHUP, 1),
    ("USR1 mpirun", "mpirun", signal.SIGUSR1, 2), ("USR2 mpirun", "mpirun", signal.SIGUSR2, 1),
    ("TERM a rank", "rank", signal.SIGTERM, 1), ("USR1 a rank", "rank", signal.SIGUSR1, 1),
    ("STOP a rank", "rank", signal.SIGSTOP, 2)]
# When: in the start, as soon as a file is being written, or anywhere.
MOMENTS = [("start", 0.2), ("writing", 0.45), ("anywhere", 0.35)]

# A rank outlives a killed mpirun for a moment, and with it the lock on the run. False while a resume at that moment is refused
# at once instead of after a short wait.
REFUSAL_IS_FAILURE = False


class Failure(Exception):
    pass


class Trial:
    def __init__(self, test, number):
        self.test = test
        self.number = number
        self.random = random.Random(f"{test.seed}/{number}")
        self.room = test.workshop.room(f"{number}")
        self.run = Run(os.path.join(self.room.path, "run"))
        self.history = []
        self.job = None
        self.began_at_step = -1
        self.pid, self.target = None, "nobody"

    def say(self, text):
        self.history.append(text)

    # ---- one start of the program

    def arguments(self, threads, stall):
        first = self.run.newest_step() < 0
        if first or self.random.random() < 0.3:
            words = ["train", "--resume", *JOB, "--out", "run"]
        else:
            words = ["resume", "run"]
        if stall and self.test.has_watchdog:
            words += ["--stall-timeout", str(STALL_SECONDS)]
        return [*words, "--threads", str(threads), "--quiet"]

    def start(self, stall=False, least_ranks=1):
        ranks, threads = self.random.randint(least_ranks, 5), self.random.randint(1, 2)
        words = self.arguments(threads, stall)
        self.began_at_step = self.run.newest_step()
        # Open MPI's seconds before SIGTERM and again before SIGKILL: 1 as it comes, mostly 0, which is harsher, and faster.
        patience = self.random.choices([0, 1], [3, 1])[0]
        self.job = self.room.start(ranks, words, OMPI_MCA_odls_base_sigkill_timeout=str(patience))
        self.say(f"{'train --resume' if words[0] == 'train' else 'resume'} on {ranks} x {threads} from step {self.began_at_step}"
                 f"{', mpirun kills after 1 s' if patience else ''}")

    def finish(self):
        """A start that nothing happens to must end as the undisturbed run."""
        code = self.job.wait()
        if code is None:
            self.hang("did not end")
        self.say(f"ended with {code}")
        if code != 0:
            raise Failure(f"exit code {code}, not 0: {self.job.output()[-2000:]}")
        wrong = self.test.reference.differences(self.run, self.job.digest())
        if wrong:
            raise Failure("; ".join(wrong))

    def hang(self, what):
        self.test.tally.add("hangs")
        stacks = self.job.describe_processes()
        self.job.kill_all()
        raise Failure(f"HANG: {what}\n{stacks}")

    def is_open_mpis_own(self):
        """Two ends that no rank can do anything about, counted apart: mpirun alone is left and deadlocks in its own end; or a rank was
        stopped in MPI_Finalize when all others had left, and mpirun waits for it."""
        left = [pid for pid in self.job.look() if (stat_fields(pid) or "Z")[0] != "Z" and pid != self.job.pid]
        if not left:
            self.test.tally.add("mpirun alone did not end")
            return True
        if len(left) == 1 and stat_fields(left[0])[0] == "T":
            self.test.tally.add("stopped when all others had left")
            return True
        return False

    # ---- one event

    def draw_event(self):
        events = [event for event in EVENTS if event[2] != signal.SIGSTOP or self.test.has_watchdog]
        event = self.random.choices(events, [event[3] for event in events])[0]
        moment = self.random.choices([m[0] for m in MOMENTS], [m[1] for m in MOMENTS])[0]
        return event, moment

    def until(self, happened, pause):
        """Waits for something outside to be true. False when the job ended before."""
        begin = time.monotonic()
        while not happened():
            if self.job.ended():
                return False
            if time.monotonic() - begin > LIMIT_RUN:
                self.hang("makes no progress")
            time.sleep(pause)
        return True

    def wait_for(self, moment, who):
        """True when the moment has come while the job was running. The target is known by then: nothing is lost in looking for it."""
        if moment == "start":
            time.sleep(self.random.uniform(0, 0.8))
            self.find_target(who)
            return not self.job.ended()
        now = max(0, self.began_at_step)
        left = self.test.reference.last_step - now  # mostly a short way, so that a trial sees many events; sometimes the very end
        target = now + (1 - 0.02 * self.random.random() if self.random.random() < 0.1 else self.random.random() ** 3) * left
        if not self.until(lambda: self.run.newest_step() >= target, 0.002):
            return False
        self.find_target(who)
        if moment == "anywhere":
            time.sleep(self.random.uniform(0, 0.03))
            return not self.job.ended()
        folder, prefix = self.random.choice([(self.run.checkpoints, ".tmp-step"), (self.run.checkpoints, ".tmp-step"),
                                             (self.run.path, ".tmp-best"), (self.run.path, "status.new")])

        def is_writing():
            return any(name.startswith(prefix) for name in os.listdir(folder))

        found = self.until(is_writing, 0.0003)
        if found and self.random.random() < 0.5:
            time.sleep(self.random.uniform(0, 0.004))
        return found and not self.job.ended()

    def find_target(self, who):
        """The process to hit and its name. Ranks appear a moment after mpirun."""
        self.job.look()
        self.pid, self.target = self.job.pid, "mpirun"
        begin = time.monotonic()
        while who != "mpirun" and not self.job.ended():
            ranks = self.job.ranks()
            if ranks and (who != "rank 0" or 0 in ranks):
                rank = 0 if who == "rank 0" else self.random.choice(sorted(ranks))
                self.pid, self.target = ranks[rank], f"rank {rank}"
                return
            if time.monotonic() - begin > LIMIT_RUN:
                self.hang("starts no ranks")
            time.sleep(0.001)

    def hit(self, event, moment):
        """True when the event struck a running job that then came to its end; None when the job goes on."""
        name, _, number, _ = event
        if self.job.ended() or not self.job.kill(self.pid, number):
            return False
        step, target = self.run.newest_step(), self.target
        self.test.tally.add("events")
        self.test.tally.add(f"event {name}")
        self.test.tally.add(f"moment {moment}")
        self.say(f"{signal.Signals(number).name} to {target} ({moment}, step {step})")
        training = step > self.began_at_step and self.began_at_step >= -1 and step > 0
        if number == signal.SIGUSR2 and training:
            return None
        self.see_the_end(event, target, training)
        return True

    def see_the_end(self, event, target, training):
        name, _, number, _ = event
        limit = LIMIT_GONE
        if number == signal.SIGSTOP:
            limit += STALL_SECONDS
        if name == "KILL mpirun" and self.random.random() < 0.5:
            self.resume_at_once()
            return
        # In its start mpirun may take a signal that it should pass on and have nobody yet to pass it to: training goes on.
        may_go_on = not training and number in (signal.SIGUSR1, signal.SIGUSR2)
        if may_go_on:
            limit = LIMIT_RUN
        seconds = self.job.wait_gone(limit)
        if seconds is None and self.is_open_mpis_own():
            self.job.kill_all()
            self.say("only what Open MPI cannot see was left")
            return
        if seconds is None:
            self.hang(f"not gone {limit:.0f} s after {name}")
        code = self.job.popen.returncode
        self.say(f"gone after {seconds:.2f} s, exit code {code}")
        if not may_go_on:
            self.test.tally.largest("longest", (seconds, name))
        self.test.tally.add(f"code {name} -> {code}")
        self.check_folder()
        self.check_code(number, target, training, code)

    def resume_at_once(self):
        """An impatient scheduler: the next start while ranks of the killed job may still be alive."""
        old = self.job
        self.start()
        self.say("(at once)")
        new = self.job
        if old.wait_gone(LIMIT_GONE) is None:
            new.kill_all()
            self.job = old
            self.hang("not gone 10 s after KILL mpirun, beside a new start")
        code = new.wait()
        if code is None:
            self.hang("did not end beside the old job")
        self.say(f"ended with {code}")
        refused = code == 2 and "in use by another job" in new.output()
        if refused:
            self.test.tally.add("refused at once")
        if code != 0 and (REFUSAL_IS_FAILURE or not refused):
            raise Failure(f"a start right after KILL mpirun ended with {code}: {new.output()[-2000:]}")
        self.check_folder()

    def check_folder(self):
        if any(name.startswith(".tmp-step") for name in self.run.temporary_files()):
            self.test.tally.add("inside a checkpoint")
        wrong = self.run.bad_files(self.test.workshop)
        if wrong:
            self.test.tally.add("unreadable")
            raise Failure("; ".join(wrong))

    def check_code(self, number, target, training, code):
        status = self.run.status()
        self.say(f"status {status}")
        if code == 0:
            if status is None or status[0] != "finished":
                raise Failure(f"exit code 0 and RUN/status {status}")
            return
        wants_75 = number == signal.SIGUSR1 or (number == signal.SIGTERM and target != "mpirun")
        over = status is not None and status[0] == "finished"  # it came in the last moments of mpirun or of the rank
        if wants_75 and training and code != 75 and not over:
            raise Failure(f"exit code {code}, not 75: {self.job.output()[-2000:]}")
        if code == 75 and (status is None or status[:2] != ("stopped", 75) or status[2] != self.run.newest_step()):
            raise Failure(f"exit code 75, RUN/status {status}, newest checkpoint {self.run.newest_step()}")
        if number == signal.SIGSTOP and training:
            lines = self.job.error_lines()
            if code != 4 or len(lines) != 1 or target not in lines[0]:
                raise Failure(f"a stopped {target}: exit code {code}, not 4, or not one line that names it: {lines}")

    # ---- all of it

    def go(self):
        for _ in range(self.random.randint(5, 12)):
            event, moment = self.draw_event()
            stall = event[2] == signal.SIGSTOP
            self.start(stall, 2 if stall else 1)
            if not self.wait_for(moment, event[1]):
                break
            hit = self.hit(event, moment)
            while hit is None:  # it was asked to save and go on: another one
                event, moment = self.draw_event()
                if event[2] == signal.SIGSTOP:
                    continue  # this start has no short time-out
                hit = self.wait_for(moment, event[1]) and self.hit(event, moment)
            if not hit:
                break
            self.test.tally.add("resumes")
        else:
            self.start()
        if self.job.ended():
            self.job.wait_gone(LIMIT_GONE)
        self.finish()
        left = self.run.temporary_files()
        if left:
            self.test.tally.add("left-over files at the end", len(left))
        self.say("as the undisturbed run")


class ChaosTest:
    def __init__(self, workshop, events, seed):
        self.workshop = workshop
        self.events = events
        self.seed = seed
        self.tally = Tally()
        self.failures = []
        self.has_watchdog = workshop.knows("--stall-timeout")
        self.reference = None
        self.next_number = 0
        self.lock = threading.Lock()

    def make_reference(self):
        room = self.workshop.room("reference")
        begin = time.monotonic()
        job = room.start(2, ["train", *JOB, "--out", "run", "--threads", "1", "--quiet"])
        code = job.wait()
        if code != 0 or not job.digest():
            raise Failure(f"the undisturbed run ended with {code}: {job.output()}")
        run = Run(os.path.join(room.path, "run"))
        self.reference = Outcome(run, job.digest())
        print(f"undisturbed on 2 x 1: {self.reference.last_step} steps in {time.monotonic() - begin:.1f} s, "
              f"weights {self.reference.digest}", flush=True)
        room.close()

    def wants_more(self):
        return self.tally.get("events") < self.events and len(self.failures) < 5

    def work(self):
        while True:
            with self.lock:
                if not self.wants_more():
                    return
                self.next_number += 1
                number = self.next_number
            trial = Trial(self, number)
            problem = None
            try:
                trial.go()
            except Failure as failure:
                problem = str(failure)
            except Exception:  # a defect of the test itself must not be mistaken for a pass
                problem = traceback.format_exc()
            with self.lock:
                self.tally.add("trials")
                if problem:
                    self.failures.append(number)
                    print(f"FAILED: seed {self.seed}, trial {number}\n    " + "\n    ".join(trial.history) + f"\n  {problem}", flush=True)
                else:
                    print(f"trial {number}: {len([h for h in trial.history if h.startswith('SIG')])} events, "
                          f"{self.tally.get('events')} in all", flush=True)
            if problem and trial.job:
                trial.job.kill_all()
            if not problem:
                trial.room.close()

    def report(self, seconds):
        get = self.tally.get
        print("\nevents by kind, with the exit codes of mpirun")
        for name, _, _, _ in EVENTS:
            codes = {key.split("-> ")[1]: n for key, n in self.tally.numbers.items() if key.startswith(f"code {name} ->")}
            shown = ", ".join(f"{code}: {codes[code]}" for code in sorted(codes))
            print(f"  {name:<14}{get('event ' + name):>6}   {shown}")
        if not self.has_watchdog:
            print("  (this program has no --stall-timeout: no SIGSTOP)")
        print("events by moment: " + ", ".join(f"{name} {get('moment ' + name)}" for name, _ in MOMENTS))
        for label, number in [("trials", get("trials")), ("events", get("events")), ("resumes", get("resumes")),
                              ("ended in the middle of a checkpoint", get("inside a checkpoint")),
                              ("starts refused beside a dying job", get("refused at once")),
                              ("left-over files after the end", get("left-over files at the end")),
                              ("mpirun alone did not end", get("mpirun alone did not end")),
                              ("stopped when all others had left", get("stopped when all others had left")),
                              ("hangs", get("hangs")), ("unreadable newest checkpoints", get("unreadable")),
                              ("trials that failed", len(self.failures))]:
            print(f"  {label:<38}{number:>6}")
        longest, event = get("longest") or (0, "nothing")
        print(f"  longest time until every process was gone {longest:.2f} s (after {event})\n  seconds in all {seconds:.0f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trainer")
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--together", type=int, default=2, help="trials side by side")
    parser.add_argument("--keep", action="store_true", help="leave the folders of the runs")
    options = parser.parse_args()
    begin = time.monotonic()
    with Workshop(options.trainer, options.keep) as workshop:
        test = ChaosTest(workshop, options.events, options.seed)
        test.make_reference()
        workers = [threading.Thread(target=test.work) for _ in range(options.together)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        test.report(time.monotonic() - begin)
        if test.failures:
            print(f"FAILED: seed {options.seed}, trials {test.failures}")
            return 1
    print("all checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
