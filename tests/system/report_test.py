#!/usr/bin/python3
"""The page that `trainer report` makes of real runs: report_test.py TRAINER

Every section with its pictures in three formats and the numbers behind them, of one run and of several; nothing is loaded from
anywhere; runs that were killed, files that are damaged or hostile, no gnuplot, no run."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

import h5py
import numpy as np

sys.dont_write_bytecode = True
from program import ENVIRONMENT, TRAINER, bytes_of, check, finish, read_csv, run  # noqa: E402

LEFT_OUT = "Not in this report"
SECTIONS = ["Summary", "Loss", "Metrics", "Learning rate", "Steps", "Gradient health", "Noise scale", "Time", "Confusion matrix",
            "Worst-classified samples", "First-layer weights", "Decision surface", "Loss landscape", "Settings", "Environment"]
HAS_GNUPLOT = shutil.which("gnuplot") is not None


def report(*arguments, code=0, path=None, **options):
    """`trainer report`, in a surrounding in which MPI could not start."""
    environment = dict(ENVIRONMENT, OMPI_MCA_btl="nothing", OMPI_MCA_pml="nothing", **({"PATH": path} if path else {}))
    done = subprocess.run([TRAINER, "report", *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=120)
    check(done.returncode == code, f"report {arguments}: code {done.returncode}, expected {code}: {done.stderr}")
    if code == 0:
        check(done.stderr == "", f"report {arguments}: {done.stderr}")
        check(("note: " in done.stdout) == (not HAS_GNUPLOT or path is not None), f"report {arguments}: {done.stdout}")
    else:
        check(done.stderr.startswith("trainer: error: ") and done.stderr.count("\n") == 1, f"report {arguments}: {done.stderr}")
    return done.stdout + done.stderr


class Page:
    """A page as a browser takes it: every element checked for what it would load."""

    def __init__(self, path):
        self.folder = os.path.dirname(os.path.abspath(path))
        text = bytes_of(path).decode("utf-8")
        check(text.startswith("<!DOCTYPE html>\n"), f"{path}: no doctype")
        self.root = xml.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
        self.text = " ".join(self.root.itertext())
        self.sections = [element.text for element in self.root.iter("h2")]
        self.images = {element.get("alt"): element.get("src") for element in self.root.iter("img")}
        self.links = [element.get("href") for element in self.root.iter("a")]
        known = {element.get("id") for element in self.root.iter()}
        for element in self.root.iter():
            check(element.tag in {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "nav", "ul", "li", "a", "p", "div",
                                  "table", "tr", "th", "td", "pre", "details", "summary", "figure", "figcaption", "img"}, f"<{element.tag}>")
            check(set(element.attrib) <= {"lang", "charset", "name", "content", "id", "href", "class", "src", "alt"}, str(element.attrib))
            check(element.get("src", "data:image/svg+xml;base64,").startswith("data:image/svg+xml;base64,"), "an image from elsewhere")
        for link in self.links:
            here = link[1:] in known if link.startswith("#") else os.path.isfile(os.path.join(self.folder, link))
            check(here, f"{path}: a link to {link}")
        style = "".join(element.text for element in self.root.iter("style"))
        check("url(" not in style and "@import" not in style, "the style loads something")
        tables = list(self.root.iter("table"))
        self.left_out = [row[0].text for row in tables[-1]] if self.sections[-1] == LEFT_OUT else []
        expected = [name for name in SECTIONS if name not in self.left_out] + ([LEFT_OUT] if self.left_out else [])
        check(self.sections == expected, f"{path}: sections {self.sections}, left out {self.left_out}")

    def cells(self):
        return [[cell.text or "" for cell in row] for row in self.root.iter("tr")]


def check_pictures(folder, stems):
    """Of each stem the numbers, and where there is gnuplot the picture in three formats."""
    expected = {f"{stem}.{kind}" for stem in stems for kind in (("csv", "svg", "png", "pdf") if HAS_GNUPLOT else ("csv",))}
    check(set(os.listdir(folder)) == expected, f"{folder}: {set(os.listdir(folder)) ^ expected}")
    for stem in stems if HAS_GNUPLOT else []:
        xml.parse(f"{folder}/{stem}.svg")
        check(bytes_of(f"{folder}/{stem}.png").startswith(b"\x89PNG"), f"{stem}.png")
        check(bytes_of(f"{folder}/{stem}.pdf").startswith(b"%PDF-") and b"%%EOF" in bytes_of(f"{folder}/{stem}.pdf"), f"{stem}.pdf")


def series_of(path):
    """series -> its x and y, as text."""
    series = {}
    for row in read_csv(path)[1]:
        series.setdefault(row[0], []).append((row[1], row[2]))
    return series


def column(path, name):
    header, rows = read_csv(path)
    return [row[header.index(name)] for row in rows]


def write_pictures(folder, images):
    """What training leaves behind for the report's pictures."""
    random = np.random.default_rng(5)
    with h5py.File(f"{folder}/surface.h5", "w") as file:
        file["x"], file["y"] = np.linspace(-2, 2, 21), np.linspace(-1, 1, 11)
        file["output"] = random.normal(size=(11, 21, 1)).astype("f4")
        file["points"], file["classes"] = random.normal(size=(50, 2)), np.arange(50) % 2
    with open(f"{folder}/landscape.csv", "w") as file:
        file.write("alpha,beta,loss\n" + "".join(f"{a / 4},{b / 4},{1 + a * a + 2 * b * b}\n" for a in range(-4, 5) for b in range(-2, 4)))
    with h5py.File(f"{folder}/examples.h5", "w") as file:
        file["inputs"] = random.uniform(0, 255, (6, 784 if images else 2)).astype("f4")
        if images:
            file["inputs"].attrs["shape"] = [28, 28]
        file["row"], file["target"], file["predicted"] = np.arange(6) * 7, np.arange(6) % 2, np.arange(1, 7) % 2
        file["probability"], file["loss"] = np.linspace(0.01, 0.3, 6).astype("f4"), np.arange(6).astype("f4")


def make_runs():
    common = ["--log-steps", "--log-gradients", "--quiet"]
    run("train", "--data", "fashion-mnist", "--model", "dense(20) relu dense(outputs)", "--max-steps", 120, "--evaluate-every", "30 steps",
        "--validation-rows", 500, "--metrics", "f1", "--l2", 1e-4, "--out", "images", *common, ranks=2)
    run("train", "--data", "generate:circle(rows=1000)", "--model", "8-8", "--epochs", 3, "--out", "circle", *common)
    write_pictures("images", True)
    write_pictures("circle", False)


def files_of(folder):
    return {path: bytes_of(path) for path in glob.glob(f"{folder}/**", recursive=True, include_hidden=True) if os.path.isfile(path)}


def check_one_run():
    before = files_of("images")
    check(report("images").startswith("report images/report.html\n"), "does not name the page")
    after = files_of("images")
    check(all(after.get(path) == content for path, content in before.items()), "the report changed the run")
    stems = ["loss", "penalty", "accuracy", "f1", "learning_rate", "step_loss", "step_gradient_norm", "gradient_norm", "update_ratio",
             "mean_delta", "dead_share", "noise_scale", "time", "confusion", "worst_samples", "first_weights", "surface", "landscape"]
    check_pictures("images/figures", stems)
    page = Page("images/report.html")
    check(len(page.images) == (len(stems) if HAS_GNUPLOT else 0), f"{len(page.images)} pictures")
    check(sum(link.endswith(".csv") for link in page.links) == len(stems), "links to the numbers")
    check(["weights", column_of_result("images", "weights")] in page.cells(), "no digest")
    with open("images/log.txt") as log:
        check(log.read().splitlines()[-1] in page.text, "no done line")
    for name in ("config.ini", "environment.txt"):
        check(bytes_of(f"images/{name}").decode() in page.text, f"no {name}")
    check("not there" not in page.text and "There is no" not in page.text, "something is missing")
    check_numbers()


def column_of_result(folder, name):
    return re.search(f'"{name}": "?([^",\n]*)', bytes_of(f"{folder}/result.json").decode()).group(1)


def check_numbers():
    """The CSV files behind the pictures hold the run's own numbers, to the last digit."""
    for name in ("loss", "accuracy", "f1"):
        series = series_of(f"images/figures/{name}.csv")
        for label, prefix in (("validation rows", "val_"), ("training rows", "train_")):
            if prefix + name not in read_csv("images/metrics.csv")[0]:
                continue
            expected = list(zip(column("images/metrics.csv", "epoch"), column("images/metrics.csv", prefix + name)))
            check(series[label] == expected, f"{prefix}{name}: {series[label]}")
    steps = list(zip(column("images/steps.csv", "step"), column("images/steps.csv", "loss")))
    check(list(series_of("images/figures/step_loss.csv").values()) == [steps] and len(steps) == 120, "step_loss.csv")
    gradients = [(row[0], row[2]) for row in read_csv("images/gradients.csv")[1] if row[1] == "00_dense"]
    check(series_of("images/figures/gradient_norm.csv")["00_dense"] == gradients, "gradient_norm.csv")
    header, rows = read_csv("images/confusion.csv")
    counts = [row[3] for row in read_csv("images/figures/confusion.csv")[1]]
    check(counts == [cell for row in rows for cell in row[1:]] and len(counts) == 100, "confusion.csv")
    times = read_csv("images/figures/time.csv")[1]
    ends = np.array([[float(row[2]), float(row[3])] for row in times])
    expected = np.array([[float(column("images/timing.csv", kind)[i]) for i in range(1, 5)] for kind in ("compute", "communicate", "wait", "read")])
    check(np.allclose(ends[:, 0] - ends[:, 1], expected.ravel(), atol=1e-12), "time.csv")
    with h5py.File("images/best.h5") as file:
        weights = file["model/00_dense/weight"][...]
    drawn = np.array([float(row[5]) for row in read_csv("images/figures/first_weights.csv")[1]], "f4").reshape(-1, 784)
    check(drawn.tobytes() == weights[:20].tobytes(), "first_weights.csv")
    with h5py.File("images/examples.h5") as file:
        inputs = file["inputs"][...]
    worst = np.array([float(row[5]) for row in read_csv("images/figures/worst_samples.csv")[1]], "f4").reshape(-1, 784)
    check(worst.tobytes() == inputs[::-1].tobytes(), "worst_samples.csv")  # by their loss
    with h5py.File("images/surface.h5") as file:
        output = file["output"][...].ravel()
    surface = [row for row in read_csv("images/figures/surface.csv")[1] if row[0] == "grid"]
    check(np.array([float(row[-1]) for row in surface], "f4").tobytes() == output.tobytes(), "surface.csv")
    loss = {(float(row[1]), float(row[2])): float(row[-1]) for row in read_csv("images/figures/landscape.csv")[1] if row[0] == "grid"}
    check(len(loss) == 54 and loss[(0.75, -0.5)] == 1 + 9 + 2 * 4, "landscape.csv")


def check_several_runs():
    """Curves laid over each other; in a folder of their own."""
    os.makedirs("figures")
    check(report("images", "circle").startswith("report report.html\n"), "names no page")
    check(os.listdir("figures") == [], "a folder of the user's was taken")
    page = Page("report.html")
    check(set(series_of("report-figures/loss.csv")) == {f"{name}, {rows}" for name in ("images", "circle")
                                                         for rows in ("training rows", "validation rows")}, "loss of two runs")
    check({row[1] for row in read_csv("report-figures/time.csv")[1]} == {"images", "circle"}, "time of two runs")
    for stem in ("confusion-1", "confusion-2", "gradient_norm-1", "surface-2"):
        check(os.path.exists(f"report-figures/{stem}.csv"), stem)
    check(["", "images", "circle"] in page.cells(), "no summary of both")
    differing = {row[0]: row[1:] for row in page.cells()}
    check(differing["model"] == ["dense(20) relu dense(outputs)", "8-8"] and "optimizer" not in differing, "settings that differ")
    # Two folders of one name are told apart.
    shutil.copytree("circle", "other/circle")
    report("circle", "other/circle", "--out", "pages/both.html")
    check({name.split(",")[0] for name in series_of("pages/both-figures/loss.csv")} == {"circle", "other/circle"}, "names")
    Page("pages/both.html")
    for name in ("digits-net-2026-01-01-1200", "digits-net-2026-02-01-1300"):
        shutil.copytree("circle", f"long/{name}")
    report(*sorted(glob.glob("long/*")), "--out", "long.html")
    check({name.split(",")[0] for name in series_of("long-figures/loss.csv")} == {"01-01-1200", "02-01-1300"}, "long names")


def check_ranks():
    out = run("report", "circle", ranks=3, threads=None)
    check(out == "report circle/report.html\n" or not HAS_GNUPLOT, f"on three ranks: {out}")


def remade(name, change):
    """The page of a copy of the run `circle` with something changed."""
    shutil.rmtree("copy", ignore_errors=True)
    shutil.copytree("circle", "copy", ignore=shutil.ignore_patterns("report.html", "figures"))
    change("copy")
    report("copy")
    return Page("copy/report.html")


def check_half_written():
    """As a run looks while it runs, or after it was killed."""
    def killed(folder):
        for name in ("result.json", "best.h5", "confusion.csv", "surface.h5", "examples.h5", "landscape.csv"):
            os.remove(f"{folder}/{name}")
        with open(f"{folder}/status", "w") as file:
            file.write("running exit=0 step=4 checkpoint=checkpoints/step-00000004.h5 reason=\n")
        for name in ("metrics.csv", "timing.csv", "steps.csv", "gradients.csv"):
            lines = bytes_of(f"{folder}/{name}").decode().splitlines(keepends=True)
            with open(f"{folder}/{name}", "w") as file:
                file.write("".join(lines[:4]) + lines[4][:len(lines[4]) // 2])
    page = remade("killed", killed)
    check("running, or killed, after step 4" in page.text, "does not say that it runs")
    check(len(series_of("copy/figures/loss.csv")["validation rows"]) == 3, "rows of a half-written file")
    check("trainer report RUN --loss-landscape" in page.text and "confusion.csv" in page.text, "does not say what is missing")
    check({"Loss landscape", "Confusion matrix"} <= set(page.left_out), f"sections with nothing: {page.left_out}")
    check("Left out" not in page.text, "a half line is no error")

    def constant(folder):
        with open(f"{folder}/steps.csv", "w") as file:
            file.write("step,loss,lr,grad_norm\n" + "".join(f"{step},0.5,0.001,1.7\n" for step in range(1, 3334)))
    remade("constant", constant)
    rates = {rate for _, rate in series_of("copy/figures/learning_rate.csv")[""]}
    check(rates == {"0.001"}, f"a constant rate is drawn as {rates}")
    if HAS_GNUPLOT:
        svg = xml.fromstring(bytes_of("copy/figures/learning_rate.svg"))
        numbers = {"".join(element.itertext()).strip() for element in svg.iter("{http://www.w3.org/2000/svg}text")}
        check(len({number for number in numbers if number.startswith("0.00")}) > 2, f"a constant rate has the tics {numbers}")

    def begun(folder):
        for name in os.listdir(folder):
            if name not in ("status", "config.ini", "log.txt", "environment.txt", "checkpoints"):
                os.remove(f"{folder}/{name}")
    page = remade("begun", begun)
    for words in ("--log-steps", "--log-gradients", "no evaluation", "no times"):
        check(words in page.text, f"a run that has just begun: not {words}")
    check(not os.path.exists("copy/figures"), "a folder for no pictures")


def check_many_steps():
    """More steps than a picture can show: means of shares, with their least and greatest values."""
    def many(folder):
        with open(f"{folder}/steps.csv", "w") as file:
            file.write("step,loss,lr,grad_norm\n" + "".join(f"{i + 1},{i % 20},0.1,{'nan' if i < 40 else 1}\n" for i in range(5000)))
    page = remade("many", many)
    rows = read_csv("copy/figures/step_loss.csv")[1]
    check(len(rows) == 250 and all(row[2:] == ["9.5", "0", "19"] for row in rows), f"{len(rows)} shares, {rows[0]}")
    check(float(rows[0][1]) == 10.5 and float(rows[-1][1]) == 4990.5, "steps of the shares")
    check("means over" in page.text, "does not say that these are means")


def check_damaged():
    """Files that are broken are named, and the rest is shown."""
    def put(name, content):
        def change(folder):
            with open(f"{folder}/{name}", "wb") as file:
                file.write(content)
        return change

    def h5(name, data_set, value, attribute=None):
        def change(folder):
            with h5py.File(f"{folder}/{name}", "r+") as file:
                if attribute:
                    file[data_set].attrs[attribute] = value
                else:
                    del file[data_set]
                    if value is not None:
                        file[data_set] = value
        return change
    half = bytes_of("circle/best.h5")[:5000]
    cases = [("best.h5", put("best.h5", half)), ("best.h5", put("best.h5", b"")), ("status", put("status", b"\xff\x00")),
             ("examples.h5", put("examples.h5", b"no HDF5")), ("examples.h5", h5("examples.h5", "inputs", np.zeros((3, 2), "f4"))),
             ("examples.h5", h5("examples.h5", "loss", None)), ("examples.h5", h5("examples.h5", "target", np.zeros(6, "f4"))),
             ("surface.h5", h5("surface.h5", "x", np.zeros(21))), ("surface.h5", h5("surface.h5", "y", np.arange(3.))),
             ("surface.h5", h5("surface.h5", "output", np.zeros((11, 21), "f4"))), ("surface.h5", h5("surface.h5", "classes", np.arange(7))),
             ("landscape.csv", put("landscape.csv", b"alpha,beta\n1,2\n")), ("landscape.csv", put("landscape.csv", b"alpha,beta,loss\n1,x,2\n")),
             ("landscape.csv", put("landscape.csv", b"alpha,beta,loss\n" + b"".join(b"%d,%d,1\n" % (i, i) for i in range(3000)))),
             ("confusion.csv", put("confusion.csv", b"\0" * 5_000_000)), ("metrics.csv", put("metrics.csv", b"x" * 9_000_000))]
    for name, change in cases:
        page = remade(name, change)
        check(f"Left out: " in page.text and name in page.text.split("Left out: ")[1][:200], f"{name}: not named")
    # Odd values are shown as well as they can be.
    odd = [put("metrics.csv", b"epoch,step,samples,lr,train_loss,val_loss,penalty,noise_scale\n" + b"nan,,-1,inf,-inf,1e308,x,-5\n" * 3),
           put("metrics.csv", b"step,step,train_,val_\n1,2,3,4\n"), put("metrics.csv", b"epoch,train_a-b,val_a b,val_time,train_penalty\n1,2,3,4,5\n"), put("timing.csv", b"epoch,step\n0,0\n1,1\n"),
           put("timing.csv", b"epoch,compute,communicate,wait,read\n0,0,0,0,0\nnan,1,inf,-1,0\n"), put("gradients.csv", b"layer\na\n"),
           put("steps.csv", b"step,loss,lr,grad_norm\n5,1,1,1\n"), put("confusion.csv", b"true,a\nx,1\ny,2\n"),
           put("confusion.csv", b"true,<b>`touch gotcha`,'$(touch gotcha)\n\"<script>alert(1)</script>\",-1,nan\ny,2,1e300\n"),
           h5("examples.h5", "predicted", np.full(6, -9)), h5("examples.h5", "inputs", [2**62, 4], "shape"), h5("examples.h5", "inputs", [0, 2], "shape"),
           h5("examples.h5", "inputs", [1, 2], "shape"), h5("examples.h5", "inputs", np.full((6, 64), np.nan, "f4")),
           h5("surface.h5", "output", np.full((11, 21, 3), np.nan, "f4")), h5("surface.h5", "classes", np.full(50, -2**62)),
           h5("surface.h5", "points", np.full((50, 2), np.inf)), h5("surface.h5", "points", None),
           put("result.json", b'{\n  "a": 1,\n  "b\n"'), put("log.txt", b"done: \xff\xfe<b>\n"), put("config.ini", b"\xff\0<script>\n")]
    for number, change in enumerate(odd):
        remade(f"odd {number}", change)
    check(not glob.glob("**/gotcha", recursive=True), "a label was run as a command")


def check_without_gnuplot():
    shutil.rmtree("circle/figures")
    os.makedirs("empty_path", exist_ok=True)
    out = report("circle", path=os.path.abspath("empty_path"))
    check("gnuplot is not installed" in out and "circle/figures/*.csv" in out, f"without gnuplot: {out}")
    page = Page("circle/report.html")
    check(not page.images and "the picture was not drawn" in page.text, "without gnuplot: pictures")
    check({name.split(".")[-1] for name in os.listdir("circle/figures")} == {"csv"}, "without gnuplot: files")


def check_refused():
    os.makedirs("nothing")
    check("holds no run" in report("nothing", code=3), "an empty folder")
    check(os.listdir("nothing") == [], "something was written into an empty folder")
    check("there is no folder nowhere" in report("nowhere", code=3), "no folder")
    check("there is no folder runs/latest" in report(code=3), "no runs/latest")
    check("is a file" in report("circle/best.h5", code=3), "a file")
    check("holds no run" in report("circle", "nothing", code=3), "one of two")
    check("ends in .html" in report("circle", "--out", "page.pdf", code=2), "a page that is none")
    check("no option" in report("circle", "--epochs", 3, code=2), "an option of train")
    check("1 to 64 runs" in report(*["circle"] * 65, code=2), "too many runs")
    check("in-the-way" in report("circle", "--out", "circle/status/in-the-way.html", code=3), "a page that cannot be written")


def main():
    folder = tempfile.mkdtemp()
    try:
        os.chdir(folder)
        make_runs()
        check_one_run()
        check_several_runs()
        check_ranks()
        check_half_written()
        check_many_steps()
        check_damaged()
        check_without_gnuplot()
        check_refused()
    finally:
        os.chdir("/")
        shutil.rmtree(folder)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
