"""`nanopoet grade`: a class judged, kept, gone on with, put together, and shown."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from html.parser import HTMLParser
from typing import ClassVar
from xml.etree import ElementTree

import pytest

from nanopoet.checker import grade as grade_module
from nanopoet.checker import grading
from nanopoet.checker.sandbox import SECONDS, Sandbox
from nanopoet.checker.similarity import Class
from nanopoet.checker.source import SOLUTIONS
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.verdict import NOT_JUDGED, Verdict

WELCOME, MASK = "welcome.first_line", "attention.causal_mask"
HOSTILE = [
    "=cmd|' C calc'!A0",
    'quo"te, comma',
    "two\nlines",
    "诗 <b>bold<b>",
    "-x",
    "@y",
    "z\udcff",
]


class Fake:
    """What judges by what an answer says of itself: a comment with a status."""

    judged = 0
    interrupt_after = None
    lock = threading.Lock()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def interrupt(self):
        return True

    def judge(self, task, root, seed):
        with Fake.lock:
            Fake.judged += 1
            if Fake.judged == Fake.interrupt_after:
                raise KeyboardInterrupt
        source = (root / load_tasks()[task].file).read_text("utf-8")
        assert not (root.stat().st_mode | (root / load_tasks()[task].file).stat().st_mode) & 0o222
        status = source.partition("# says ")[2].split()[:1] or ["pass"]
        verdict = Verdict(task, status[0], seed=seed, seconds=Fake.judged / 100)
        verdict.checks = {"first": True, "second": status[0] == "pass"}
        if status[0] == "fail":
            verdict.symptom, verdict.got = f"differs | in {root}/x.py", "`<script>`"
            verdict.misconception, verdict.explanation = "too early", "You <b>look</b> ahead."
        if status[0] == "error":
            verdict.symptom, verdict.checks = "NameError: <x>", {}
        return verdict


@pytest.fixture
def judging(monkeypatch):
    monkeypatch.setattr(grading, "Sandbox", Fake)
    monkeypatch.setattr(Fake, "judged", 0)
    return Fake


@pytest.fixture
def answers(tmp_path):
    """A folder of submissions, and a way to add one."""
    folder = tmp_path / "class"
    folder.mkdir()

    def add(name, status="pass", modules=("attention",)):
        (folder / name).mkdir()
        for module in modules:
            source = (SOLUTIONS / f"{module}.py").read_text("utf-8")
            (folder / name / f"{module}.py").write_text(f"# says {status}\n{source}", "utf-8")

    add.folder = folder
    return add


@pytest.fixture
def grade(nanopoet, answers, tmp_path, judging):
    def run(*args, out="out"):
        return nanopoet("grade", answers.folder, "--out", tmp_path / out, *args)

    return run


def rows(out):
    text = (out / "grades.csv").read_bytes().decode("utf-8-sig")
    return {row["submission"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}


def files(out):
    """What does not depend on when it was made, nor on how fast."""
    found = [out / "grades.csv", out / "run.json", *(out / "feedback").iterdir()]
    return {path.name: path.read_bytes() for path in found}


# --- Grades --------------------------------------------------------------------------------------


def test_points_are_shares_of_checks(grade, answers, tmp_path):
    answers("ada"), answers("bo", "fail"), answers("cy", "error"), answers("di", modules=())
    answers("ed", "todo")
    done = grade()
    assert (done.code, done.err) == (0, "")
    assert "di: holds no file of exercises" in done.out
    found = rows(tmp_path / "out")
    tasks = sum(task.module == "attention" for task in load_tasks().values())
    assert [found[name]["points"] for name in found] == [
        f"{tasks}",
        f"{tasks / 2:g}",
        "0",
        "0",
        "0",
    ]
    assert [found[name][MASK] for name in found] == ["1", "0.5", "0", "0", "0"]
    assert found["bo"] | {"pass": "0", "fail": f"{tasks}", "not written": "0"} == found["bo"]
    assert found["di"]["not handed in"] == str(len(load_tasks()))
    assert "late" not in found["ada"]


def test_nothing_is_judged_that_is_missing_or_untouched(grade, answers, judging, tmp_path):
    answers("ada", modules=())
    (answers.folder / "bo").mkdir()
    (answers.folder / "bo" / "attention.py").write_text(stub_file("attention"), "utf-8")
    assert grade().code == 0
    assert judging.judged == 0
    assert {row["points"] for row in rows(tmp_path / "out").values()} == {"0"}


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_again_to_the_byte(grade, answers, tmp_path, workers):
    for name in HOSTILE:
        answers(name, "fail")
    assert grade(out="one").code == grade("--workers", workers, out="two").code == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_hostile_names_are_text_everywhere(grade, answers, tmp_path):
    for name in HOSTILE:
        answers(name, "fail")
    grade()
    out = tmp_path / "out"
    names = [name.replace("\n", "\\n").replace("\udcff", r"\udcff") for name in sorted(HOSTILE)]
    assert list(rows(out)) == ["'" * (name[0] in "=-@") + name for name in names]
    assert (out / "grades.csv").read_bytes().startswith(b'\xef\xbb\xbf"submission",')
    suites = ElementTree.parse(out / "junit.xml").getroot()
    assert [suite.get("name") for suite in suites] == names
    page = (out / "report.html").read_text("utf-8")
    assert "<b>" not in page
    assert "诗 &lt;b&gt;bold&lt;b&gt;" in page
    assert len(list((out / "feedback").iterdir())) == len(HOSTILE)


def test_feedback_says_the_verdicts_in_words(grade, answers, tmp_path):
    answers("ada", "fail"), answers("bo_1", "pass")
    grade("--seed", 7)
    said = (tmp_path / "out" / "feedback" / "ada.md").read_text("utf-8")
    assert f"### {MASK}\n\n- verdict: ✗ fails\n- says: differs \\| in x.py\n" in said
    assert "- got: `` `<script>` ``\n" in said
    assert "- looks like: too early. You \\<b\\>look\\</b\\> ahead.\n- checks: 1 of 2" in said
    assert "--seed 7" in said
    bo = (tmp_path / "out" / "feedback" / "bo_1.md").read_text("utf-8")
    assert bo.startswith("# bo\\_1\n")
    assert "✓ passes: attention.average\\_before" in bo
    assert "###" not in bo


@pytest.mark.parametrize(("due", "late"), [("2001-09-08", "late"), ("2001-09-10", "in time")])
def test_late_is_said_and_nothing_more(grade, answers, tmp_path, due, late):
    answers("ada")
    os.utime(answers.folder / "ada" / "attention.py", (1e9, 1e9))  # 2001-09-09
    grade("--due", due)
    row = rows(tmp_path / "out")["ada"]
    assert (row["late"], row[MASK]) == (late, "1")


def test_weights(grade, answers, tmp_path):
    answers("ada")
    weights = tmp_path / "points.toml"
    weights.write_text(
        f'[tasks]\n"{MASK}" = 4\nattention.rotate = 0\n[chapters]\n2 = 0.5\n1 = 0\n', "utf-8"
    )
    grade("--weights", weights)
    row = rows(tmp_path / "out")["ada"]
    assert (row[MASK], row["attention.rotate"], row["attention.attention"]) == ("2", "0", "0.5")
    chapters = [task.chapter for task in load_tasks().values() if task.kind != "given"]
    assert float(row["of"]) == len(chapters) - chapters.count(1) - chapters.count(2) / 2 + 1


# --- Gone on with, and put together --------------------------------------------------------------


def test_what_was_interrupted_is_gone_on_with(grade, answers, judging, tmp_path, monkeypatch):
    for name in ("ada", "bo", "cy"):
        answers(name, "fail")
    whole = grade(out="whole")
    each = judging.judged // 3
    monkeypatch.setattr(judging, "judged", 0)
    monkeypatch.setattr(judging, "interrupt_after", 2 * each - 1)
    done = grade("--workers", 1)
    assert (whole.code, done.code) == (0, 130)
    assert "1 of 3 submissions are graded: the same command with --resume goes on" in done.out
    out = tmp_path / "out"
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["ada.json"]
    monkeypatch.setattr(judging, "judged", 0)
    monkeypatch.setattr(judging, "interrupt_after", None)
    assert grade("--workers", 1, "--resume").code == 0
    assert judging.judged == 2 * each
    assert files(out) == files(tmp_path / "whole")


def test_a_machine_that_is_full_gives_no_grades(grade, answers, judging, tmp_path, monkeypatch):
    answers("ada")
    full = Verdict(MASK, "error", f"{NOT_JUDGED}: no process could be started; try again")
    monkeypatch.setattr(judging, "judge", lambda *_: full)
    done = grade()
    assert done.code == 1
    assert "try again, with --resume" in done.err
    assert not list((tmp_path / "out").rglob("*.*"))


def test_what_has_changed_is_judged_again(grade, answers, judging, tmp_path, monkeypatch):
    for name in ("ada", "bo", "cy"):
        answers(name)
    grade()
    each = judging.judged // 3

    def again(*args):
        monkeypatch.setattr(judging, "judged", 0)
        assert grade("--resume", *args).code == 0
        return judging.judged / each

    assert again() == 0
    (answers.folder / "ada" / "attention.py").write_text("# says error\nx", "utf-8")
    (tmp_path / "out" / "submissions" / "bo.json").write_text('{"half', "utf-8")
    assert again() == 2
    assert rows(tmp_path / "out")["ada"]["points"] == "0"
    assert again("--seed", 1) == 3
    monkeypatch.setattr(grading, "key_of", lambda *_: "another program")
    assert again("--seed", 1) == 3


def test_shards_make_the_whole(grade, nanopoet, answers, tmp_path):
    for name in ("ada", "bo", "cy", "=di"):
        answers(name, "fail")
    grade(out="whole")
    shards = [tmp_path / f"shard{number}" for number in (1, 2, 3)]
    for number, shard in enumerate(shards, 1):
        assert grade("--shard", f"{number}/3", out=shard.name).code == 0
    assert [list(rows(shard)) for shard in shards] == [["'=di", "cy"], ["ada"], ["bo"]]
    done = nanopoet("grade", "--merge", *shards, "--out", tmp_path / "all")
    assert (done.code, done.err) == (0, "")
    assert files(tmp_path / "all") == files(tmp_path / "whole")


def test_what_does_not_belong_together_is_not_merged(grade, nanopoet, answers, tmp_path):
    answers("ada")
    grade(out="one"), grade("--seed", 1, out="two")
    (tmp_path / "none").mkdir()
    for other, said in (("two", "another seed"), ("none", "no finished grades")):
        done = nanopoet(
            "grade", "--merge", tmp_path / "one", tmp_path / other, "--out", tmp_path / "all"
        )
        assert done.code == 1
        assert said in done.err
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--shard", "3/2"], "--shard 3/2: it is 1/3"),
        (["--shard", "2/2"], "there are not so many submissions"),
        (["--due", "soon"], "--due soon: it is like 2026-11-30"),
        (["--weights", "none.toml"], "No such file"),
        (["--weights", "bad.toml"], "is not TOML"),
        (["--weights", "unknown.toml"], "there is no task 'attention.mask'"),
        (["--weights", "module.toml"], "'attention' is not the whole name"),
        (["--weights", "negative.toml"], "points are 0 or more"),
        (["--weights", "text.toml"], "is not a number"),
        (["--weights", "chapter.toml"], "there is no chapter '77'"),
        (["--weights", "table.toml"], "['grades'] not"),
        (["--merge", "--resume"], "--merge goes with finished grades"),
        (["another"], "name one folder"),
        (["--out", "../class/grades"], "name a folder outside"),
        (["--out", "bad.toml"], "is a file"),
    ],
)
def test_bad_input_is_an_error_and_leaves_nothing(grade, answers, tmp_path, args, said):
    answers("ada")
    for name, text in {
        "bad": "[tasks",
        "unknown": '[tasks]\n"attention.mask" = 1',
        "module": "[tasks]\nattention = 1",
        "negative": f'[tasks]\n"{MASK}" = -1',
        "text": f'[tasks]\n"{MASK}" = "1"',
        "chapter": "[chapters]\n77 = 1",
        "table": "[grades]\n1 = 1",
    }.items():
        (tmp_path / "here" / f"{name}.toml").write_text(text, "utf-8")
    done = grade(*args)
    assert done.code == 1
    assert said in done.err
    assert done.err.count("\n") == 1
    assert not list(tmp_path.rglob("grades*"))
    assert not (tmp_path / "out").exists()


def test_without_a_box_that_is_said(grade, answers, monkeypatch):
    answers("ada")
    assert "your rights" not in grade().out
    monkeypatch.setattr(grade_module, "unboxed", lambda: "there is no bubblewrap")
    said = "answers run with your rights, and see your files: there is no bubblewrap"
    assert said in grade("--resume").out


@pytest.fixture(autouse=True)
def a_box(monkeypatch):
    """What is said does not depend on the machine."""
    monkeypatch.setattr(grade_module, "unboxed", lambda: "")


def test_an_empty_class_is_an_error(grade, tmp_path):
    done = grade()
    assert done.code == 1
    assert "holds no submissions" in done.err
    assert not (tmp_path / "out").exists()


def test_grades_are_not_written_over(grade, answers, tmp_path):
    answers("ada")
    grade()
    done = grade("--seed", 3)
    assert done.code == 1
    assert "holds grades: --resume" in done.err
    assert "--seed 0" in (tmp_path / "out" / "feedback" / "ada.md").read_text("utf-8")


# --- The page ------------------------------------------------------------------------------------


class Page(HTMLParser):
    """How a page is built."""

    VOID = ("meta", "br")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links, self.ids = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        assert not {"src", "onclick", "onload"} & set(found)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def count(self, name):
        return sum(tag == name for tag, _ in self.tags)


@pytest.fixture
def page(grade, answers, tmp_path):
    answers("ada"), answers("bo <i>", "fail"), answers("cy", "error"), answers("di", "fail")
    grade()
    return (tmp_path / "out" / "report.html").read_text("utf-8")


def test_the_page_is_one_file_with_landmarks_and_real_tables(page):
    found = Page(page)
    for tag in ("h1", "header", "main", "nav"):
        assert found.count(tag) == 1
    assert found.count("table") == found.count("caption") == found.count("thead") == 4
    assert all(a.get("scope") in ("col", "row") for tag, a in found.tags if tag == "th")
    assert found.count("script") == found.count("i") == found.count("link") == 0
    assert all(link.removeprefix("#") in found.ids for link in found.links)
    regions = [a for _, a in found.tags if a.get("role") == "region"]
    assert [a["tabindex"] for a in regions] == ["0"] * 4
    assert "default-src 'none'" in page


def test_the_page_says_what_a_class_did(page):
    flat = page.replace(' class="n"', "")
    assert f'<th scope="row">{MASK}<br>' in flat
    row = flat.partition(f"{MASK}<br>")[2].partition("</tr>")[0]
    assert "25 %" in row  # one of four passes
    assert "<td>0.50</td><td>1</td><td>2</td><td>1</td><td>0</td><td>0</td><td>4</td>" in row
    known = flat.partition('id="misconceptions"')[2].partition("</section>")[0]
    assert f"<td>2 of 4</td><td>{MASK}</td><td>You &lt;b&gt;look&lt;/b&gt; ahead.</td>" in known
    assert "bo &lt;i&gt;<br>di</details>" in known
    errors = flat.partition('id="errors"')[2].partition("</section>")[0]
    assert f"NameError: &lt;x&gt;</th><td>1 of 4</td><td>{MASK}</td>" in errors


def test_a_class_without_mistakes_has_a_page(grade, answers, tmp_path):
    answers("ada", modules=("welcome",))
    grade()
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "No answer looks like a known mistake" in page
    assert "No answer raises an error" in page


# --- A real class --------------------------------------------------------------------------------


def test_a_real_class(nanopoet, tmp_path):
    folder = tmp_path / "class"
    (folder / "ada").mkdir(parents=True)
    (folder / "ada" / "welcome.py").write_text(
        (SOLUTIONS / "welcome.py").read_text("utf-8"), "utf-8"
    )
    with zipfile.ZipFile(folder / "诗.zip", "w") as archive:
        archive.writestr(
            "exercises/attention.py",
            stub_file("attention")
            + "\n\ndef causal_mask(T):\n    return torch.ones(T, T, dtype=torch.bool).triu()\n",
        )
    cells = ["# exercises/welcome.py\nimport os\n", "def first_line():\r\n    os._exit(0)\r\n"]
    notebook = {"cells": [{"cell_type": "code", "source": cell} for cell in cells]}
    (folder / "mine.ipynb").write_text(json.dumps(notebook), "utf-8")
    done = nanopoet("grade", folder, "--out", tmp_path / "out", "--workers", 2)
    assert (done.code, done.err) == (0, "")
    found = rows(tmp_path / "out")
    assert list(found) == ["ada", "mine.ipynb", "诗.zip"]
    assert [row["pass"] for row in found.values()] == ["1", "0", "0"]
    assert [row["fail"] for row in found.values()] == ["0", "1", "1"]
    said = (tmp_path / "out" / "feedback" / "诗.zip.md").read_text("utf-8")
    assert "found in exercises: attention.py" in said
    assert f"### {MASK}" in said
    assert "looks like" in said
    said = (tmp_path / "out" / "feedback" / "mine.ipynb.md").read_text("utf-8")
    assert "ended the process before it was judged" in said


# --- Answers that are alike ----------------------------------------------------------------------

OWN = """
def rotate(x, positions, base=10_000.0):
    half = x.shape[-1] // 2
    total = []
    for place in range(half):
        if place % 3 == 2 and place > 4:
            total.append(x[place] * base ** place)
    return torch.stack(total)[::-1].flip(0) - positions.sum() * 7
"""
COPY = '''
def rotate(x, positions, base=10_000.0):
    """Mine."""
    h = x.shape[-1] // 2  # half

    found = [
    ]
    for p in range(h):
        # look
        if p % 3 == 2 and p > 4:
            found.append(x[p] * base**p)
    return torch.stack(found)[::-1].flip(0) - positions.sum() * 7
'''
OTHER = """
def rotate(x, positions, base=10_000.0):
    half = x.shape[-1] // 2
    angle = positions[..., None] * base ** (-torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * angle.cos() - b * angle.sin(), b), dim=-1)
"""


def handed_in(code):
    return {"attention": (stub_file("attention") + code).encode()}


def pairs_of(*codes):
    found = Class()
    for number, code in enumerate(codes):
        found.add(f"s{number}", handed_in(code))
    return found.pairs()


def test_a_copy_with_other_names_is_found():
    first, *others = pairs_of(OWN, OTHER, COPY)
    assert (first.names, set(first.by_task)) == (("s0", "s2"), {"attention.rotate"})
    assert all(first.total > 20 * other.total for other in others)  # they share one line


def test_what_was_handed_out_or_is_no_python_is_like_nothing():
    assert pairs_of("", "", "def rotate(", "def rotate(") == []


def test_what_few_have_weighs_more_than_what_many_have():
    rare = OWN.replace("% 3 == 2", "% 5 == 2")
    assert pairs_of(rare, *[OWN] * 5, rare)[0].names == ("s0", "s6")


def test_pairs_are_shown_side_by_side(grade, answers, tmp_path):
    for name, code in (("ada <i>", OWN), ("bo", OTHER), ("cy", COPY)):
        answers(name, modules=())
        (answers.folder / name / "attention.py").write_bytes(handed_in(code)["attention"])
    assert grade("--similar").code == 0
    page = (tmp_path / "out" / "similar.html").read_text("utf-8")
    found = Page(page)
    assert found.count("i") == found.count("script") == 0
    assert found.count("h1") == found.count("main") == 1
    assert page.count("ada &lt;i&gt; · cy") == 2  # in the table, and above the code
    assert "This is no verdict" in page
    shown = page.partition('<article id="pair-1">')[2].partition("</article>")[0]
    assert shown.count('<tr class="same">') == 7
    assert '<tr class="differs">' not in shown
    assert "# look" in shown
    assert grade("--similar", "--shard", "1/2", out="half").code == 1


def test_ctrl_c_ends_an_answer_that_runs(nanopoet, tmp_path, monkeypatch):
    class Interrupted(Sandbox):
        made: ClassVar[list] = []

        def judge(self, task, root, seed):
            self.made.append((self, self.process or self.start(), time.monotonic()))
            os.kill(os.getpid(), signal.SIGINT)
            return super().judge(task, root, seed)

    monkeypatch.setattr(grading, "Sandbox", Interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job behind & ignores it
    (tmp_path / "class" / "ada").mkdir(parents=True)
    source = "def first_line():\n    while True:\n        pass\n"
    (tmp_path / "class" / "ada" / "welcome.py").write_text(source, "utf-8")
    done = nanopoet("grade", tmp_path / "class", "--out", tmp_path / "out")
    signal.signal(signal.SIGINT, before)
    assert done.code == 130
    assert "0 of 1 submissions are graded" in done.out
    ((sandbox, process, began),) = Interrupted.made
    assert (sandbox.process, process.poll() is None) == (None, False)
    assert time.monotonic() - began < SECONDS  # it did not take its time
    assert not list((tmp_path / "out").iterdir())


def test_a_class_goes_on_after_kill_9(nanopoet, tmp_path):
    for number in range(3):
        (tmp_path / "class" / f"s{number}").mkdir(parents=True)
        source = f'def first_line():\n    return "床前明月光"[:{number}]\n'
        (tmp_path / "class" / f"s{number}" / "welcome.py").write_text(source, "utf-8")
    command = "grade", tmp_path / "class", "--workers", "1", "--out"
    kept = tmp_path / "killed" / "submissions"
    process = subprocess.Popen([sys.executable, "-m", "nanopoet", *command, tmp_path / "killed"])
    while not list(kept.glob("*.json")):
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.02)
    process.kill()
    process.wait()
    assert 0 < len(list(kept.glob("*.json"))) < 3
    assert nanopoet(*command, tmp_path / "killed", "--resume").code == 0
    assert nanopoet(*command, tmp_path / "whole").code == 0
    killed, whole = ((tmp_path / name / "grades.csv").read_bytes() for name in ("killed", "whole"))
    assert killed == whole
    assert killed.count(b"\r\n") == 4
