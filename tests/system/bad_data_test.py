#!/usr/bin/python3
"""Users' data as an attacker or a tired colleague would make them: bad_data_test.py TRAINER [WORD]

On 1 and on 3 ranks each: the exit code of the kind, one line `trainer: error:` that names the place, no rank left behind, no
checkpoint of a run that did not begin, and whole checkpoints of one that did. With WORD: only the cases whose name holds it."""
import gzip
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

TRAINER = os.path.abspath(sys.argv[1])
WORD = sys.argv[2] if len(sys.argv) > 2 else ""
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive",
                   OMPI_MCA_btl_vader_single_copy_mechanism="none")
MPIRUN = ["mpirun", "--oversubscribe", "--bind-to", "none"]
LIMIT = 120  # seconds; a call takes one
WORK = tempfile.mkdtemp(prefix="trainer-test.")
RUN = os.path.join(WORK, "new-run")
failures, checks = [], 0


def check(good, what):
    global checks
    checks += 1
    if not good:
        failures.append(what)
        print("FAILED:", what, file=sys.stderr)


def ranks_left():
    """Processes of this test's runs: their command lines hold its folder."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{number}/cmdline", "rb").read().split(b"\0")
        except OSError:
            continue
        if words[0] == TRAINER.encode() and any(WORK.encode() in word for word in words[1:]):
            found.append(int(number))
    return found


def no_rank_left(what):
    for _ in range(100):
        if not ranks_left():
            return
        time.sleep(0.1)
    check(False, f"{what}: ranks are left: {ranks_left()}")
    for number in ranks_left():
        os.kill(number, signal.SIGKILL)


def check_error(what, code, pattern, returned, errors):
    check(returned == code, f"{what}: exit code {returned}, not {code}: {errors[-2000:]}")
    lines = errors.splitlines()
    places = [i for i, line in enumerate(lines) if line.startswith("trainer: error: ")]
    check(len(places) == 1, f"{what}: {len(places)} lines of error: {errors[-2000:]}")
    if places:
        told = "\n".join(lines[places[0]:places[0] + 3])
        check(re.search(pattern, told), f"{what}: no /{pattern}/ in {told}")
        check(len(lines[places[0]]) < 600 and lines[places[0]].isprintable(), f"{what}: no line for people: {told}")
    no_rank_left(what)


def bare_run(what):
    check(not os.path.isdir(f"{RUN}/checkpoints") or not os.listdir(f"{RUN}/checkpoints"), f"{what}: a checkpoint was left behind")
    shutil.rmtree(RUN, ignore_errors=True)


def words_of(data, *options):
    return [TRAINER, "train", "--data", data, "--out", RUN, "--quiet", "--epochs", "1", "--batch-size", "10", "--model",
            "dense(outputs)", "--threads", "1", *options]


def call(words):
    """A call; one that does not end counts as ended with code 124."""
    job = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, errors = job.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        job.terminate()
        output, errors = job.communicate()
        return subprocess.CompletedProcess(words, 124, output, errors)
    return subprocess.CompletedProcess(words, job.returncode, output, errors)


def expect(code, pattern, name, words, rank_counts=(1, 3), start=()):
    if WORD not in name:
        return
    for ranks in rank_counts:
        what = f"{name} [{ranks}]"
        done = call([*start, *(MPIRUN + ["-np", str(ranks)] if ranks > 1 else []), *words])
        check_error(what, code, pattern, done.returncode, done.stderr)
        bare_run(what)
    print(f"ok: {code} for {name}", flush=True)


def h5(name, **arrays):
    with h5py.File(name, "w") as file:
        for key, array in arrays.items():
            file[key.replace("__", "/")] = array


def text(name, content):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "w") as file:
        file.write(content)


def patched(name, before, after):
    content = open(name, "rb").read()
    assert before in content
    open(name, "wb").write(content.replace(before, after))


random = np.random.default_rng(5)
X, Y = random.normal(size=(60, 4)).astype("f4"), np.arange(60) % 3


def with_value(row, column, value):
    changed = X.astype("f8")
    changed[row, column] = value
    return changed


def shapes_and_values():
    expect(3, "one value", "wrong rank", words_of("wrong.h5", "--inputs", "scalar", "--targets", "y"))
    expect(3, "59", "other number of rows", words_of("wrong.h5", "--inputs", "x", "--targets", "short"))
    expect(3, "no values|no rows", "no rows", words_of("wrong.h5", "--inputs", "no_rows", "--targets", "y"))
    expect(3, "no values", "no columns", words_of("wrong.h5", "--inputs", "no_columns", "--targets", "y"))
    for value in ("nan", "inf", "huge"):
        expect(3, "wrong.h5.*row 47", f"{value} in HDF5",
               words_of("wrong.h5", "--inputs", value, "--targets", "y", "--task", "classification"))
    expect(3, "wrong.h5.*row 31", "nan in targets", words_of("wrong.h5", "--inputs", "x", "--targets", "bad_values", "--task", "regression"))
    expect(3, "row 50.*-1", "negative label",
           words_of("wrong.h5", "--inputs", "x", "--targets", "negative", "--task", "classification"))
    expect(3, "row 2.*column 1|column 1.*row 2", "nan in IDX", words_of("nan-idx"))


def csv_files():
    expect(3, r"ragged\.csv.*(line|:)\s*4", "ragged CSV", words_of("ragged.csv"))
    expect(3, r"nan\.csv.*(line|:)\s*3", "missing value in CSV", words_of("nan.csv"))
    expect(3, r"inf\.csv.*(line|:)\s*3", "infinite value in CSV", words_of("inf.csv"))
    expect(3, "empty.csv", "empty CSV", words_of("empty.csv"))
    expect(3, "header.csv", "CSV of a header alone", words_of("header.csv"))
    expect(3, "one.csv|column", "CSV of targets alone", words_of("one.csv"))
    expect(3, "quote.csv", "CSV with an open quote", words_of("quote.csv"))
    expect(3, "binary.csv", "CSV of zeros", words_of("binary.csv"))


def files():
    expect(3, "truncated.h5", "truncated HDF5", words_of("truncated.h5"))
    expect(3, "empty.h5", "empty HDF5", words_of("empty.h5"))
    expect(3, "text.h5.*HDF5", "no HDF5", words_of("text.h5"))
    expect(3, "claims", "sizes that overflow", words_of("overflow.h5"))
    expect(3, "claims", "enormous sizes", words_of("enormous.h5"))
    expect(3, "huge-idx|train-images", "enormous IDX", words_of("huge-idx"))
    expect(3, "truncated", "truncated gz", words_of("cut-idx"))
    expect(2, "loop.h5|--inputs", "groups in groups", words_of("loop.h5"))
    expect(3, "soft links", "a link to itself", words_of("loop.h5", "--inputs", "round", "--targets", "g/x"))
    expect(3, "lzf", "missing filter", words_of("wrong.h5", "--inputs", "lzf", "--targets", "y"))
    expect(3, "mixed", "a folder of mixed files", words_of("mixed"))
    expect(3, r"no-\*", "a glob without match", words_of("no-*.h5"))
    expect(3, "gone.h5", "a list with a missing file", words_of("some.list"))
    expect(3, "empty.list", "an empty list", words_of("empty.list"))
    expect(3, "2 files.*1|1 files.*2|names", "targets of other files",
           words_of("good-*.h5", "--inputs", "x", "--targets", "y", "--targets-data", "good-1.h5"))
    expect(3, "60.*59|59.*60", "targets of other rows",
           words_of("good-1.h5", "--inputs", "x", "--targets", "short", "--targets-data", "wrong.h5"))
    expect(3, "good-1.h5.*odd.h5|odd.h5", "files that do not fit", words_of("odd.list", "--inputs", "x", "--targets", "y"))
    expect(2, "axis 1", "a slice out of range", words_of("good-1.h5", "--inputs", "x[:,0:9]", "--targets", "y"))
    expect(2, r"\^", "a slice that is none", words_of("good-1.h5", "--inputs", "x[:,a]", "--targets", "y"))
    for axis in ("2", "-3", "0,0", "99999999999999999999", "x"):
        expect(2, "row-axis", f"row axis {axis}", words_of("good-1.h5", "--inputs", "x", "--targets", "y", "--row-axis=" + axis))
    expect(3, "follow-links", "virtual data set", words_of("links.h5", "--inputs", "virtual", "--targets", "y"))
    expect(3, "follow-links", "external link", words_of("links.h5", "--inputs", "external", "--targets", "y"))
    expect(3, "follow-links", "external storage", words_of("links.h5", "--inputs", "outside", "--targets", "y"))
    expect(3, "nowhere", "link to nowhere", words_of("links.h5", "--inputs", "nowhere", "--targets", "y", "--follow-links"))


def models():
    """Data that do not fit the model."""
    if WORD not in "a model's labels and columns":
        return
    model = os.path.join(WORK, "model")
    done = subprocess.run([*MPIRUN, "-np", "1", *[word.replace(RUN, model) for word in words_of("good-1.h5")]], env=ENVIRONMENT,
                          capture_output=True, text=True, timeout=LIMIT)
    check(done.returncode == 0, f"the model: {done.stderr}")
    common = ["--threads", "1", "--inputs", "x", "--targets"]
    expect(3, "many.h5", "a model's labels: too many", [TRAINER, "evaluate", model, "--data", "many.h5", *common, "y", "--split", "train"])
    expect(3, "-1", "a model's labels: negative",
           [TRAINER, "evaluate", model, "--data", "many.h5", *common, "negative", "--split", "train"])
    wide = [TRAINER, "evaluate", model, "--data", "many.h5", "--threads", "1", "--inputs", "wide", "--targets", "y", "--split", "train"]
    expect(3, "[45].*[45]", "a model's columns: too many", wide)
    out = os.path.join(WORK, "predicted.h5")
    expect(3, "[45].*[45]", "a model's columns: too many, predict",
           [TRAINER, "predict", model, "--data", "many.h5", "--threads", "1", "--inputs", "wide", "--out", out])
    check(not os.path.exists(out), "a file of predictions was left behind")


def unlike_hosts():
    """What only one rank sees, as on a node without the mount or with another copy."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        print("skipped: files that differ between hosts (unshare -m is not allowed here)")
        return
    cases = [("missing on a rank", "mount -t tmpfs none host", "rank 2|differ|not see"),
             ("other rows on a rank", "mount --bind host/longer.h5 host/data.h5", "."),
             ("CSV missing on a rank", "mount -t tmpfs none host", "rank 2|differ|not see"),
             ("other CSV on a rank", "mount --bind host/other.csv host/data.csv", ".")]
    for name, mount, pattern in cases:
        if WORD not in name:
            continue
        words = words_of("host/data.csv" if "CSV" in name else "host/data.h5")
        job = [*MPIRUN, "-np", "2", *words, ":", "-np", "1", "unshare", "-m", "sh", "-c", mount + '; exec "$@"', "sh", *words]
        done = call(job)
        check(done.returncode in (3, 4), f"{name}: code {done.returncode}: {done.stderr}")
        check_error(name, done.returncode, pattern, done.returncode, done.stderr)
        bare_run(name)
        print(f"ok: {done.returncode} for {name}", flush=True)


def unreadable():
    """Without the right to read: as root, by a user who has none."""
    os.chmod("secret.h5", 0)
    os.chmod("secret.csv", 0)
    user = []
    if os.geteuid() == 0:
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chmod(WORK, 0o755)
        if subprocess.run([*user, TRAINER, "--version"], capture_output=True).returncode != 0:
            print("skipped: files without the right to read (another user cannot start the program)")
            return
    os.makedirs("home", exist_ok=True)
    os.chmod("home", 0o777)
    start = ["env", f"HOME={WORK}/home", f"TMPDIR={WORK}/home", *user] if user else []
    if call([*start, *MPIRUN, "-np", "1", "true"]).returncode != 0:
        print("skipped: files without the right to read (another user cannot start mpirun)")
        return
    for name in ("secret.h5", "secret.csv"):
        words = [word.replace(RUN, f"{WORK}/home/run") for word in words_of(name)]
        expect(3, name + ".*(ermission|read)", f"unreadable {name}", words, start=start)


def change_while_read():
    """Rows that stay in their files: another writer comes while the job trains."""
    rows, columns = 120_000, 64

    def fresh():
        x = random.normal(size=(rows, columns)).astype("f4")
        with h5py.File("large.h5", "w") as file:
            file["x"], file["y"] = x, np.arange(rows) % 3
        with h5py.File("chunked.h5", "w") as file:
            file.create_dataset("x", data=x, chunks=(2000, columns), compression="gzip", compression_opts=1)
            file["y"] = np.arange(rows) % 3
        np.savetxt("large.csv", np.column_stack([x[:30_000, :32], np.arange(30_000) % 3]), fmt="%.6g", delimiter=",")

    def truncate(name):
        os.truncate(name, os.path.getsize(name) // 3)

    def overwrite(name):
        with open(name, "r+b") as file:
            file.write(b"\xff" * os.path.getsize(name))

    for name in ("large.h5", "chunked.h5", "large.csv"):
        for change in (truncate, overwrite):
            for ranks in (1, 3):
                what = f"{name} while read: {change.__name__} [{ranks}]"
                if WORD not in what:
                    continue
                fresh()
                limit, window = ("5M", "chunks(1)") if name.endswith("csv") else ("24M", "chunks(2)")
                words = words_of(name)
                words[words.index("--epochs") + 1] = "1000"
                words[words.index("--batch-size") + 1] = "64"
                words += ["--memory-limit", limit, "--checkpoint-every", "100 steps", "--evaluate-every", "2000 steps", "--shuffle",
                          window, "--validation", "0", "--task", "classification"]
                job = subprocess.Popen([*MPIRUN, "-np", str(ranks), *words], env=ENVIRONMENT, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
                end = time.time() + LIMIT
                folder = f"{RUN}/checkpoints"
                while job.poll() is None and time.time() < end:
                    if os.path.isdir(folder) and any(not n.endswith("00000000.h5") and n.endswith(".h5") for n in os.listdir(folder)):
                        break
                    time.sleep(0.05)
                if job.poll() is not None:
                    check(False, f"{what}: ended before the change: {job.communicate()[1]}")
                    shutil.rmtree(RUN, ignore_errors=True)
                    continue
                change(name)
                try:
                    _, errors = job.communicate(timeout=60)
                except subprocess.TimeoutExpired:
                    stuck = f"status {open(f'{RUN}/status').read()}, ranks {ranks_left()}"
                    job.terminate()
                    check(False, f"{what}: goes on: {stuck}: {job.communicate()[1][-1000:]}")
                    no_rank_left(what)
                    shutil.rmtree(RUN, ignore_errors=True)
                    continue
                check_error(what, 3, name.replace(".", r"\."), job.returncode, errors)
                saved = [os.path.join(folder, n) for n in os.listdir(folder)]
                check(saved, f"{what}: no checkpoint")
                for path in saved:
                    good = subprocess.run([TRAINER, "inspect", path, "--verify"], env=ENVIRONMENT, capture_output=True, text=True)
                    check(good.returncode == 0 and not path.endswith(".tmp"), f"{what}: {path}: {good.stderr}")
                status = open(f"{RUN}/status").read()
                # A rank other than the first that ends the job writes no status: the first is gone before it could.
                by_first = ranks == 1 or "trainer: error: rank 0 " in errors
                check(status.startswith("failed exit=3") or not by_first, f"{what}: status {status}")
                shutil.rmtree(RUN, ignore_errors=True)
                print(f"ok: 3 for {what}", flush=True)


def make_files():
    lzf = {"data": X, "compression": "lzf", "chunks": (20, 4)}
    h5("wrong.h5", x=X, y=Y, scalar=3.0, short=Y[:59], no_rows=np.zeros((0, 4)), no_columns=np.zeros((60, 0)),
       nan=with_value(47, 2, np.nan), inf=with_value(47, 2, np.inf), huge=with_value(47, 2, 1e300),
       bad_values=np.where(np.arange(60) == 31, np.nan, 0.5), negative=np.where(np.arange(60) == 50, -1, Y))
    with h5py.File("wrong.h5", "a") as file:
        file.create_dataset("lzf", **lzf)
    for name in ("good-1.h5", "good-2.h5", "secret.h5"):
        h5(name, x=X, y=Y)
    h5("odd.h5", x=X[:, :3], y=Y)
    text("odd.list", "good-1.h5\nodd.h5\n")
    text("some.list", "good-1.h5\ngone.h5\n")
    text("empty.list", "\n\n")
    h5("many.h5", x=X, y=np.arange(60) % 5, negative=np.where(np.arange(60) == 50, -1, Y), wide=np.ones((60, 5)))
    with h5py.File("loop.h5", "w") as file:
        file["g/x"] = X
        file["g/again"], file["g/root"], file["round"] = file["g"], file["/"], h5py.SoftLink("/round")
    with h5py.File("links.h5", "w") as file:
        layout = h5py.VirtualLayout(shape=X.shape, dtype="f4")
        layout[:] = h5py.VirtualSource("good-1.h5", "x", shape=X.shape)
        file.create_virtual_dataset("virtual", layout)
        file["external"], file["nowhere"] = h5py.ExternalLink("good-1.h5", "/x"), h5py.ExternalLink("nowhere.h5", "/x")
        file.create_dataset("outside", shape=X.shape, dtype="f4", external=[(os.path.abspath("outside.raw"), 0, X.nbytes)])
        file["outside"][:], file["y"] = X, Y
    for name, sizes in (("enormous.h5", (2**40, 4)), ("overflow.h5", (2**62, 2**61))):
        h5(name, x=X, y=Y)
        patched(name, struct.pack("<QQ", 60, 4), struct.pack("<QQ", *sizes))
    content = open("good-1.h5", "rb").read()
    open("truncated.h5", "wb").write(content[:len(content) // 2])
    open("empty.h5", "wb").close()
    text("text.h5", "this is no HDF5 file\n" * 50)

    text("ragged.csv", "a,b,y\n1,2,0\n3,4,1\n5,6\n7,8,1\n")
    text("nan.csv", "a,b,y\n1,2,0\n3,,1\n5,6,1\n")
    text("inf.csv", "a,b,y\n1,2,0\n3,inf,1\n5,6,1\n")
    text("empty.csv", "")
    text("header.csv", "a,b,y\n")
    text("one.csv", "y\n" + "0\n1\n" * 20)
    text("quote.csv", 'a,b,y\n1,"2,0\n3,4,1\n')
    open("binary.csv", "wb").write(bytes(1000))
    text("secret.csv", "a,b,y\n" + "1,2,0\n3,4,1\n" * 20)
    text("mixed/a.csv", "a,b,y\n1,2,0\n")
    shutil.copy("good-1.h5", "mixed/b.h5")

    def idx(folder, images, labels, end=""):
        os.makedirs(folder)
        open(f"{folder}/train-images-idx2-ubyte{end}", "wb").write(images)
        open(f"{folder}/train-labels-idx1-ubyte{end}", "wb").write(labels)

    labels = struct.pack(">HBBI", 0, 8, 1, 60) + bytes(Y.astype("u1"))
    idx("nan-idx", struct.pack(">HBBII", 0, 13, 2, 60, 4) + with_value(2, 1, np.nan).astype(">f4").tobytes(), labels)
    idx("huge-idx", struct.pack(">HBBIII", 0, 8, 3, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF), labels)
    zipped = gzip.compress(struct.pack(">HBBII", 0, 8, 2, 60, 4) + random.integers(0, 256, 240, dtype="u1").tobytes())
    idx("cut-idx", zipped[:len(zipped) // 2], gzip.compress(labels), ".gz")

    os.mkdir("host")
    h5("host/data.h5", x=X, y=Y)
    h5("host/other.h5", x=with_value(47, 2, 7.0).astype("f4"), y=Y)
    h5("host/longer.h5", x=np.concatenate([X, X]), y=np.concatenate([Y, Y]))
    rows = [",".join(map(str, [*x, y])) for x, y in zip(X.round(3), Y)]
    text("host/data.csv", "\n".join(rows) + "\n")
    rows[30] = rows[29]
    text("host/other.csv", "\n".join(rows) + "\n")


def main():
    os.chdir(WORK)
    try:
        make_files()
        for part in (shapes_and_values, csv_files, files, models, unlike_hosts, unreadable, change_while_read):
            part()
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
    print(f"{checks} checks, {len(failures)} failed")
    sys.exit(1 if failures else 0)


main()
