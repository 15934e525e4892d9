"""`nanopoet check`, `hint`, `progress`, `reset`: a learner's day."""

import io
import json
import locale
import os
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from nanopoet.checker.progress import Memory
from nanopoet.checker.report import draw_images, junit_report
from nanopoet.checker.source import SOLUTIONS
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import find_tasks, load_tasks, modules
from nanopoet.checker.verdict import Verdict
from nanopoet.checker.watch import watch

RIGHT = "import torch\n\n\ndef causal_mask(T):\n    return torch.ones(T, T).tril().bool()\n"
WRONG = RIGHT.replace("tril", "triu")


@pytest.fixture
def exercises(tmp_path, monkeypatch):
    """A learner's folder with two files, and a memory of its own."""
    folder = tmp_path / "exercises"
    folder.mkdir()
    for module in ("welcome", "attention"):
        (folder / f"{module}.py").write_text(stub_file(module), encoding="utf-8")
    monkeypatch.setenv("NANOPOET_EXERCISES", str(folder))
    monkeypatch.setenv("NANOPOET_MEMORY", str(tmp_path / "memory"))
    return folder


pytestmark = pytest.mark.usefixtures("one_sandbox")


def answer(exercises, text):
    """Put an answer in the place of a stub, as an editor would: the last definition counts."""
    path = exercises / "attention.py"
    path.write_text(stub_file("attention") + "\n\n" + text, encoding="utf-8")


def test_a_stub_is_todo_and_says_what_to_do(nanopoet, exercises):
    done = nanopoet("check", "attention.causal_mask")
    assert done.code == 1
    assert "attention.causal_mask  is not written yet" in done.out
    assert "nanopoet hint attention.causal_mask" in done.out
    assert "attention.py:" in done.out


def test_a_wrong_answer_gets_at_most_twelve_lines_with_all_that_matters(nanopoet, exercises):
    answer(exercises, WRONG)
    done = nanopoet("check", "causal_mask", "--seed", 5)
    assert done.code == 1
    assert len(done.out.splitlines()) <= 12
    for part in ("expected", "got", "why", "looks like", "next", "--seed 5"):
        assert part in done.out
    assert "\x1b" not in done.out  # plain when it is no terminal
    assert (
        nanopoet("check", "causal_mask", "--seed", 5).out.splitlines()[:5]
        == (done.out.splitlines()[:5])
    )


def test_a_right_answer_passes_whatever_the_seed(nanopoet, exercises):
    answer(exercises, RIGHT)
    for seed in range(3):
        done = nanopoet("check", "attention.causal_mask", "--seed", seed)
        assert (done.code, "✓ attention.causal_mask" in done.out) == (0, True)


def test_without_a_name_it_is_the_next_unsolved_task(nanopoet, exercises):
    first = nanopoet("check")
    names = list(load_tasks())
    assert f"✓ {names[0]}" in first.out
    assert f"· {names[1]}" in first.out or f"✗ {names[1]}" in first.out
    second = nanopoet("check")
    assert names[0] not in second.out


def test_an_edited_file_is_checked_again(nanopoet, exercises):
    answer(exercises, RIGHT)
    nanopoet("check", "attention.causal_mask")
    (task,) = find_tasks(["attention.causal_mask"])
    assert Memory().status(task) == "pass"
    answer(exercises, WRONG)
    assert Memory().status(task) == ""
    assert "edited since it was checked" in nanopoet("progress").out


def test_names_modules_and_chapters(nanopoet, exercises):
    done = nanopoet("check", "attention")
    tasks = [task.name for task in find_tasks(["attention"])]
    assert all(name in done.out for name in tasks)
    assert f"of {len(tasks)} pass" in done.out
    assert find_tasks(["2"]) == find_tasks(["02"]) == find_tasks(["attention"])
    wrong = nanopoet("check", "atention.causal_mask")
    assert wrong.code == 1
    assert "'atention.causal_mask'" in wrong.err
    assert "attention.causal_mask" in wrong.err


def test_json_and_junit(nanopoet, exercises, tmp_path):
    answer(exercises, WRONG)
    report, junit = tmp_path / "rows.json", tmp_path / "rows.xml"
    names = ("welcome.first_line", "attention.causal_mask")
    nanopoet("check", *names, "--json", report, "--junit", junit, "--seed", 7)
    passed, failed = json.loads(report.read_text("utf-8"))
    assert list(failed) == [
        "task",
        "chapter",
        "status",
        "message",
        "misconception",
        "checks",
        "seconds",
        "seed",
        "share",
    ]
    assert (passed["status"], failed["status"], failed["seed"]) == ("pass", "fail", 7)
    assert failed["misconception"]
    assert (passed["checks"], passed["share"]) == ({"first line": True}, 1.0)
    assert (set(failed["checks"].values()), failed["share"]) == ({False}, 0.0)
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert len(suite.findall("testcase")) == 2
    assert suite.find("testcase/failure") is not None
    done = nanopoet("check", *names, "--json", "-", "--seed", 7)
    assert [row["status"] for row in json.loads(done.out)] == ["pass", "fail"]


def test_a_report_makes_its_folder_and_a_failed_one_leaves_nothing(nanopoet, exercises, tmp_path):
    report = tmp_path / "reports" / "ci" / "rows.xml"
    assert nanopoet("check", "welcome", "--junit", report).code == 0
    assert report.is_file()
    before = sorted(tmp_path.rglob("*"))
    done = nanopoet("check", "welcome", "--json", report.parent)
    assert (done.code, str(report.parent) in done.err.replace("\n", "")) == (1, True)
    assert sorted(tmp_path.rglob("*")) == before


UNPRINTABLE = "\\ud83d \\x00 \\x1b[31m \\ufffe \\r \\x9b1m"


@pytest.mark.parametrize(
    "body",
    [
        f'raise ValueError("bad {UNPRINTABLE}")',
        f'return "bad {UNPRINTABLE}"',
        f'raise type("bad {UNPRINTABLE}".replace("\\0", ""), (Exception,), {{}})',
        f'import sys; sys.stdout.buffer.write("bad {UNPRINTABLE}".encode("utf-8", "replace"))',
        f"class Odd:\n        def __repr__(self): return 'bad {UNPRINTABLE}'\n    return Odd()",
        "class Odd:\n        def __repr__(self): raise ValueError('bad')\n    return Odd()",
        "class Odd(Exception):\n        def __str__(self): raise Odd('bad')\n    raise Odd",
        'raise ValueError("bad " * 2**20)',
    ],
)
def test_reports_parse_and_the_terminal_obeys_nobody_whatever_an_answer_says(
    nanopoet, exercises, tmp_path, body
):
    (exercises / "welcome.py").write_text(f"def first_line():\n    {body}\n")
    rows, suite = tmp_path / "rows.json", tmp_path / "rows.xml"
    done = nanopoet("check", "welcome", "causal_mask", "-v", "--json", rows, "--junit", suite)
    first, _ = json.loads(rows.read_text("utf-8"))
    assert first["status"] in ("fail", "error")
    assert len(ElementTree.parse(suite).getroot()) == 2
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\ud800-\udfff]", done.out)
    assert "bad" in done.out or "Odd" in done.out


def test_a_report_says_that_it_is_utf_8_whatever_the_locale_is(monkeypatch):
    monkeypatch.setattr(locale, "getpreferredencoding", lambda *_: "gbk")
    monkeypatch.setattr(locale, "getencoding", lambda: "gbk")
    report = junit_report([Verdict("welcome.first_line", "fail", "春")])
    assert report.startswith("<?xml version='1.0' encoding='utf-8'?>")
    assert "春" in report


@pytest.mark.parametrize("option", ["--json", "--junit", "--picture"])
@pytest.mark.parametrize("place", ["file/x.out", "folder", "n" * 300, "/dev/null"])
def test_what_cannot_be_written_is_found_out_before_anything_is_judged(
    nanopoet, exercises, tmp_path, monkeypatch, option, place
):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("nanopoet.checker.check.Sandbox", lambda: pytest.fail("it is judged"))
    said = nanopoet("check", "--all", option, tmp_path / place).error
    assert place in said
    assert Path("/dev/null").is_char_device()


def test_a_report_that_fails_at_the_end_costs_neither_the_other_nor_the_verdict(
    nanopoet, exercises, tmp_path
):
    target = tmp_path / "gone" / "rows.json"

    def remove_the_folder(*_):
        target.parent.rmdir()
        target.parent.touch()  # while answers are judged, it becomes a file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nanopoet.checker.check.show_verdict", remove_the_folder)
        junit = tmp_path / "rows.xml"
        done = nanopoet("check", "welcome", "--json", target, "--junit", junit)
    assert f"{target} is not written" in done.error
    assert len(ElementTree.parse(junit).getroot()) == 1


def test_a_seed_that_no_generator_takes_is_refused(nanopoet, exercises):
    assert nanopoet("check", "welcome", "--seed", 2**32 - 1).code == 0
    assert nanopoet("check", "welcome", "--seed", 2**32).code == 2


def test_a_folder_that_is_not_there_is_named(nanopoet, monkeypatch, tmp_path):
    monkeypatch.setenv("NANOPOET_EXERCISES", str(tmp_path / "nowhere"))
    done = nanopoet("check")
    assert (done.code, str(tmp_path / "nowhere") in done.err.replace("\n", "")) == (1, True)


def test_another_folder_has_a_memory_of_its_own(nanopoet, exercises, tmp_path):
    done = nanopoet("check", "attention.causal_mask", "--root", SOLUTIONS)
    assert done.code == 0
    assert not (tmp_path / "memory" / "progress.json").exists()
    assert "✓ attention.causal_mask" in nanopoet("progress", "2", "--root", SOLUTIONS).out
    assert "✓" not in nanopoet("progress", "2").out
    assert "✓ attention" not in nanopoet("progress", "2", "--root", exercises).out
    assert f"--root {SOLUTIONS}" in nanopoet("progress", "2", "--root", SOLUTIONS).out
    missing = nanopoet("check", "attention", "--root", tmp_path / "nobody")
    assert (missing.code, "is not a folder" in missing.err) == (1, True)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no names but in UTF-8")
def test_names_of_folders_may_be_any_bytes(nanopoet, exercises, tmp_path):
    odd = tmp_path / os.fsdecode("作业\x1b".encode("gbk"))
    shutil.copytree(exercises, odd)
    (odd / "welcome.py").write_text("def first_line():\n    return 1 / 0\n")
    rows, suite = odd / "rows.json", odd / "rows.xml"
    arguments = ("--root", odd, "--json", rows, "--junit", suite)
    done = nanopoet("check", "welcome", "tokenizer.build_vocab", "-v", *arguments)
    assert (done.code, done.err) == (1, "")
    assert "ZeroDivisionError" in done.out
    assert "\\udcd7" in done.out
    assert "\x1b" not in done.out
    assert len(json.loads(rows.read_text("utf-8"))) == len(ElementTree.parse(suite).getroot()) == 2
    assert "\\udcd7" in nanopoet("check", "--root", odd / "none").error


@pytest.mark.parametrize("option", ["--root", "--json"])
def test_a_link_that_leads_to_itself_is_named(nanopoet, exercises, tmp_path, option):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "loop" in nanopoet("check", "welcome", option, loop / "inside").error


def test_a_line_is_counted_as_python_counts_it(nanopoet, exercises):
    """Not by form feeds, U+0085 or U+2028."""
    text = '"""\x0c\x1c\x85\u2028\u2029"""\r\nA = 1\r\r\x0cdef first_line():\n    return 1\n'
    (exercises / "welcome.py").write_bytes(text.encode())
    assert "welcome.py:4\n" in nanopoet("check", "welcome").out
    (exercises / "welcome.py").write_bytes(text.replace("return 1", "return 1 / 0").encode())
    assert "welcome.py:5\n" in nanopoet("check", "welcome").out


def test_a_picture_of_expected_and_got(nanopoet, exercises, tmp_path):
    answer(exercises, WRONG)
    path = tmp_path / "mask.png"
    done = nanopoet("check", "attention.causal_mask", "--picture", path)
    assert str(path) in done.out.replace("\n", "")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert not draw_images(Verdict("attention.causal_mask", "fail"), tmp_path / "none.png")


def test_a_picture_that_cannot_be_drawn_costs_no_verdict(
    nanopoet, exercises, tmp_path, monkeypatch
):
    answer(exercises, WRONG)
    bare = tmp_path / "mask"
    assert nanopoet("check", "causal_mask", "--picture", bare).err == ""
    assert bare.read_bytes().startswith(b"\x89PNG")
    before = bare.read_bytes()
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *_, **__: 1 / 0)
    rows = tmp_path / "rows.json"
    names = ("causal_mask", "welcome.first_line")
    done = nanopoet("check", *names, "--picture", bare, "--json", rows)
    assert (done.code, done.err) == (1, "")
    assert "picture    not drawn" in done.out
    assert "✓ welcome.first_line" in done.out
    assert len(json.loads(rows.read_text("utf-8"))) == 2
    assert bare.read_bytes() == before
    assert "no format" in nanopoet("check", "--picture", tmp_path / "a.poem").error


def test_v_shows_the_traceback_of_an_error(nanopoet, exercises):
    answer(exercises, "def causal_mask(T):\n    return unknown_name\n")
    short = nanopoet("check", "causal_mask")
    assert "NameError" in short.out
    assert "Traceback" not in short.out
    long = nanopoet("check", "causal_mask", "-v")
    assert "Traceback" in long.out
    assert "return unknown_name" in long.out


def test_v_shows_what_was_printed(nanopoet, exercises):
    answer(exercises, WRONG.replace("return", 'print("size", T)\n    return'))
    short = nanopoet("check", "causal_mask")
    assert "size " not in short.out
    assert "  -v adds    printed" in short.out
    assert len(short.out.splitlines()) <= 12
    assert "  printed    size " in nanopoet("check", "causal_mask", "-v").out
    answer(exercises, RIGHT.replace("return", 'print("size", T)\n    return'))
    assert "  printed    size " in nanopoet("check", "causal_mask", "-v").out


def test_hints_come_one_at_a_time(nanopoet, exercises):
    (task,) = find_tasks(["attention.attention"])
    for shown in (1, 2, 3, 3):
        text = " ".join(nanopoet("hint", task.name).out.split())
        for number, words in enumerate(task.hints, 1):
            assert (" ".join(words.split()) in text) == (number <= shown)
    assert "3 " in nanopoet("hint", "causal_mask", "--all").out


def test_without_a_name_the_hint_is_for_the_next_unsolved_task(nanopoet, exercises):
    nanopoet("check", "welcome")
    assert nanopoet("hint").out.startswith(list(load_tasks())[1])


def test_two_commands_at_once_keep_what_the_other_noted(nanopoet, exercises):
    watching = Memory()
    (task,) = find_tasks(["attention.attention"])
    nanopoet("hint", task.name)
    watching.note(task, Verdict(task.name, "fail"), watching.version(task))
    assert (Memory().hints[task.name], Memory().status(task)) == (1, "fail")


def test_progress_lists_every_task_and_the_next_one(nanopoet, exercises):
    nanopoet("check", "welcome")
    out = nanopoet("progress").out
    assert all(name in out for name in load_tasks())
    assert f"1 of {len(load_tasks())} tasks pass" in out
    assert "✓ welcome.first_line" in out
    assert f"next: nanopoet check {list(load_tasks())[1]}" in out


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "[]",
        "{",
        '{"results": 3}',
        '{"results": {"welcome.first_line": 3}, "hints": {}}',
        '{"results": {}, "hints": {"welcome.first_line": "two"}}',
    ],
)
def test_a_lost_or_damaged_memory_harms_nothing(nanopoet, exercises, tmp_path, damage):
    nanopoet("check", "welcome")
    (tmp_path / "memory" / "progress.json").write_text(damage)
    assert nanopoet("progress").code == 0
    assert nanopoet("hint", "welcome").code == 0
    assert nanopoet("check", "welcome").code == 0
    assert "✓ welcome.first_line" in nanopoet("progress").out


@pytest.mark.parametrize("place", ["file/memory", "folder"])
def test_a_memory_that_cannot_be_written_costs_a_line_and_nothing_else(
    nanopoet, exercises, tmp_path, monkeypatch, one_sandbox, place
):
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "progress.json").mkdir(parents=True)
    monkeypatch.setenv("NANOPOET_MEMORY", str(tmp_path / place))
    answer(exercises, RIGHT)
    done = nanopoet("check", "attention.causal_mask", "welcome")
    assert done.code == 0
    assert "✓ attention.causal_mask" in done.out
    assert "2 of 2 pass" in done.out
    assert done.err.startswith("warning: ")
    assert "(None)" not in done.err
    assert done.err.count("\n") == 1
    hinted = nanopoet("hint", "causal_mask")
    assert (hinted.code, "Who may look at whom" in hinted.out) == (0, True)
    assert hinted.err.startswith("warning: ")
    shown = nanopoet("progress")
    assert (shown.code, shown.err, "0 of " in shown.out) == (0, "", True)
    console = Console(width=120, file=io.StringIO())
    watch(["attention.causal_mask"], console, lambda s: "q" if s > 0.1 else "", one_sandbox)
    assert console.file.getvalue().count("✓ attention.causal_mask") == 1


def test_reset_restores_the_stub_and_keeps_a_backup(nanopoet, exercises, tmp_path):
    path = exercises / "attention.py"
    before = path.read_text("utf-8")
    path.write_text(
        before.replace('raise NotImplementedError("attention.causal_mask")', "return 1")
    )
    assert path.read_text("utf-8") != before
    edited = path.read_text("utf-8")
    done = nanopoet("reset", "attention.causal_mask")
    assert done.code == 0
    assert path.read_text("utf-8") == before
    (backup,) = (tmp_path / "memory" / "backup").iterdir()
    assert backup.read_text("utf-8") == edited
    assert str(backup) in done.out.replace("\n", "")


def test_reset_leaves_the_other_answers_alone(nanopoet, exercises):
    answer(exercises, RIGHT + "\n\nHELPER = 1\n")
    nanopoet("reset", "attention.attention")
    text = (exercises / "attention.py").read_text("utf-8")
    assert RIGHT in text
    assert "HELPER = 1" in text
    nanopoet("reset", "attention.causal_mask")
    assert RIGHT not in (exercises / "attention.py").read_text("utf-8")


def test_reset_of_a_file_that_is_not_python_names_the_line_and_a_way_out(nanopoet, exercises):
    path = exercises / "attention.py"
    path.write_text("def causal_mask(:\n")
    done = nanopoet("reset", "attention.causal_mask")
    assert done.code == 1
    assert "attention.py:1" in done.err
    assert path.read_text() == "def causal_mask(:\n"
    assert nanopoet("reset", "attention").code == 0
    assert path.read_text("utf-8") == stub_file("attention")
    path.unlink()
    assert nanopoet("reset", "attention.causal_mask").code == 0
    assert path.read_text("utf-8") == stub_file("attention")


def test_checking_writes_nothing_into_the_exercises(nanopoet, exercises):
    before = {p: p.stat().st_mtime_ns for p in exercises.rglob("*")}
    nanopoet("check", "attention")
    assert {p: p.stat().st_mtime_ns for p in exercises.rglob("*")} == before


def test_watch_checks_again_at_every_save_and_obeys_its_keys(exercises, one_sandbox):
    console = Console(width=120, file=io.StringIO())
    asked = []

    def press(seconds):
        """Nothing, a save, h, l, n, a save that solves it; nothing while an answer is judged."""
        if seconds:
            return ""
        asked.append(seconds)
        step = len(asked)
        if step == 2:
            answer(exercises, WRONG)
        if step == 6:
            answer(exercises, RIGHT)
        return {3: "h", 4: "l", 5: "n"}.get(step, "")

    watch(["attention.causal_mask"], console, press, one_sandbox, seconds=0)
    text = console.file.getvalue()
    assert text.count("attention.causal_mask  is not written yet") == 1
    assert "✗ attention.causal_mask" in text
    assert "looks like" in text
    assert "Who may look at whom" in text  # the hint, and the list
    assert "tasks pass" in text
    assert "✓ attention.causal_mask" in text
    assert "all of these pass" in text
    assert text.index("is not written yet") < text.index("✗ ") < text.index("✓ attention")


def test_q_ends_watching(exercises, one_sandbox):
    watch([], Console(file=io.StringIO()), lambda seconds: "q", one_sandbox)


def test_watch_takes_no_other_options(nanopoet, exercises):
    assert nanopoet("check", "--watch", "--all").code == 1
    assert nanopoet("check", "attention", "--all").code == 1


def test_every_module_has_its_files():
    assert {f"{module}.py" for module in modules()} == {p.name for p in SOLUTIONS.glob("*.py")}
