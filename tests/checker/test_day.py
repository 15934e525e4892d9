"""Moments of a learner's day: what is said when something goes wrong, and what is kept."""

import io
import itertools
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from rich.console import Console

from nanopoet.checker import runner, serving
from nanopoet.checker.difference import Difference, compare_values, show_call
from nanopoet.checker.misconceptions import misconceptions
from nanopoet.checker.progress import Memory, show_hint, show_progress
from nanopoet.checker.show import show_verdict
from nanopoet.checker.source import SOLUTIONS, answer_code
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import find_tasks, load_tasks
from nanopoet.checker.verdict import Verdict
from nanopoet.checker.watch import watch

MASK = "import torch\n\n\ndef causal_mask(T):\n    return torch.ones(T, T).tril().bool()\n"
WRONG = MASK.replace("tril", "triu")

pytestmark = pytest.mark.usefixtures("one_sandbox")


@pytest.fixture
def exercises(tmp_path, monkeypatch):
    """A learner's folder with four files, and a memory of its own."""
    folder = tmp_path / "exercises"
    folder.mkdir()
    for module in ("welcome", "tokenizer", "attention", "loss"):
        (folder / f"{module}.py").write_text(stub_file(module), encoding="utf-8")
    monkeypatch.setenv("NANOPOET_EXERCISES", str(folder))
    monkeypatch.setenv("NANOPOET_MEMORY", str(tmp_path / "memory"))
    return folder


def add(exercises, module, text):
    """An answer at the end of a file: the last definition counts."""
    path = exercises / f"{module}.py"
    path.write_text(path.read_text("utf-8") + "\n\n" + text, encoding="utf-8")


# --- What is said


def test_a_small_call_is_shown_as_it_would_be_written_and_a_large_one_by_its_shapes(
    nanopoet, exercises
):
    add(exercises, "tokenizer", "def merge(ids, pair, new_id):\n    return (0,)\n")
    assert "  given      merge((1, 2, 3), (1, 2), 999)" in nanopoet("check", "merge").out
    call = show_call("f", (torch.zeros(2, 3, 8), np.zeros(99)), {"n": 2, "g": lambda x: x})
    assert call == "f(a tensor of 2 × 3 × 8, an array of 99, n=2, g=a function)"
    long = show_call("f", tuple([1.5] * 6 for _ in range(9)), {})
    assert long == f"f({', '.join(['a list of 6'] * 9)})"


def test_the_line_of_an_error_is_shown_and_its_trace_begins_in_the_answer(nanopoet, exercises):
    add(exercises, "attention", "def causal_mask(T):\n    return torch.ones(T, T).trill()\n")
    out = nanopoet("check", "causal_mask", "-v").out
    assert "  code       return torch.ones(T, T).trill()" in out
    assert "  given      causal_mask(4)" in out
    trace = out[out.index("traceback") :]
    assert trace.count("File ") == 1
    assert "attention.py" in trace


@pytest.mark.parametrize("call", ["input()", "breakpoint()"])
def test_whoever_waits_for_the_keyboard_hears_that_there_is_none(nanopoet, exercises, call):
    add(exercises, "attention", f"def causal_mask(T):\n    {call}\n    return T\n")
    out = nanopoet("check", "causal_mask").out
    assert "waits for the keyboard" in out
    assert "check with -v" in out


def test_a_syntax_error_is_shown_once_with_its_place(nanopoet, exercises):
    add(exercises, "attention", "def causal_mask(T):\n    return torch.ones(T, T).tril( > 0\n")
    done = nanopoet("check", "attention")
    assert done.out.count("syntax error: ") == 1
    assert done.out.count("the same syntax error") == len(find_tasks(["attention"])) - 1
    line, mark = done.out[done.out.index("  code ") :].splitlines()[:2]
    assert line.strip().endswith("return torch.ones(T, T).tril( > 0")
    assert line[mark.index("^")] == ">"


def test_an_untouched_bug_hunt_does_not_give_its_bug_away(nanopoet, exercises):
    (bug,) = [t for t in find_tasks(["attention"]) if t.kind == "bug"]
    assert "looks like the bug that is to be found" in nanopoet("check", bug.name).out
    add(exercises, "attention", "# a remark\n")
    assert "looks like the bug that is to be found" in nanopoet("check", bug.name).out
    stub = answer_code(stub_file("attention"), bug.function)
    add(exercises, "attention", stub.replace("def ", "x = 1\n\n\ndef ", 1).replace("scores", "s"))
    out = nanopoet("check", bug.name).out
    assert "looks like" in out
    assert "to be found" not in out


def test_no_untouched_bug_hunt_names_its_bug(nanopoet, exercises):
    bugs = [task for task in load_tasks().values() if task.kind == "bug"]
    for task in bugs:
        (exercises / task.file).write_text(stub_file(task.module), encoding="utf-8")
    out = " ".join(nanopoet("check", *(task.name for task in bugs)).out.split())
    assert out.count("looks like the bug that is to be found") == len(bugs)
    for task in bugs:
        for known in misconceptions(task.module)[task.name]:
            assert " ".join(known.why.split()) not in out, known


def test_a_helper_that_fails_comes_first(nanopoet, exercises):
    solution = (SOLUTIONS / "attention.py").read_text("utf-8")
    (exercises / "attention.py").write_text(solution + "\n\n" + WRONG, "utf-8")
    out = nanopoet("check", "attention.attention").out
    assert "attention.causal_mask, on which this builds, fails its own check" in out
    assert "nanopoet check attention.causal_mask" in out


def test_of_a_chain_that_fails_the_deepest_comes_first_without_a_guess(nanopoet, exercises):
    solution = (SOLUTIONS / "loss.py").read_text("utf-8")
    wrong = "def log_softmax(logits):\n    return logits.softmax(-1)\n"
    (exercises / "loss.py").write_text(f"{solution}\n\n{wrong}", "utf-8")
    out = nanopoet("check", "loss.cross_entropy").out
    assert "loss.log_softmax, on which this builds, fails its own check" in out
    assert "looks like" not in out


def test_after_three_failures_in_a_row_a_hint_is_offered(nanopoet, exercises):
    add(exercises, "attention", WRONG)
    said = [nanopoet("check", "causal_mask").out for _ in range(3)]
    assert ["failures in a row" in out for out in said] == [False, False, True]
    add(exercises, "attention", MASK)
    assert nanopoet("check", "causal_mask").code == 0
    add(exercises, "attention", WRONG)
    assert "failures in a row" not in nanopoet("check", "causal_mask").out


def test_after_a_pass_another_way_to_write_it_is_pointed_to(nanopoet, exercises):
    add(exercises, "attention", MASK)
    out = nanopoet("check", "causal_mask").out
    assert "compare    nanopoet compare attention.causal_mask\n" in out
    assert "compare" not in nanopoet("check", "causal_mask", "welcome").out


@pytest.mark.parametrize("width", [60, 80])
def test_every_line_fits_the_terminal_but_commands_and_paths(width):
    verdict = Verdict(
        "attention.looks_ahead",
        "fail",
        "the verdict on a function that looks at the next two characters differs",
        given="looks_ahead(a function)",
        expected="True " * 30,
        got="False " * 30,
        why="a row that moves when a later column is changed has looked at it " * 2,
        misconception="compare the weights",
        explanation="You change the future, but compare weights. " * 3,
        file="/a/very/long/path/that/no/terminal/of/sixty/columns/can/hold/attention.py",
        line=7,
    )
    console = Console(width=width, file=io.StringIO())
    show_verdict(verdict, console, SOLUTIONS)
    lines = console.file.getvalue().splitlines()
    free = [line for line in lines if not line.startswith("  in ") and "nanopoet" not in line]
    assert len(free) > 10
    assert max(map(len, free)) <= width


@pytest.mark.parametrize("width", [60, 80])
def test_lists_and_hints_fit_the_terminal(exercises, width):
    console = Console(width=width, file=io.StringIO())
    show_progress(console)
    show_hint(find_tasks(["multi_head"])[0], True, console)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert not [line for line in lines if line and line[0].isalpha() and ", " in line[:9]]
    indented = [line for line in lines if line.startswith("    ")]
    assert len(indented) > 90


class FullBox:
    """A box in which there is no room for another process."""

    def tell(self, request, fds):
        return {"child": 0, "status": None, "left": 0}


def test_a_machine_that_is_full_is_said_in_one_line():
    request = {"task": "welcome.first_line", "root": str(SOLUTIONS), "seed": 0, "seconds": 1}
    verdict = serving.serve_one(request, FullBox(), forks=True)
    assert verdict.status == "error"
    assert "no process could be started (no room for another process)" in verdict.symptom


def test_a_process_for_an_answer_is_tried_again_on_a_machine_that_is_full(monkeypatch):
    tried = []

    def fork():
        tried.append(1)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(runner.os, "fork", fork)
    monkeypatch.setattr(runner.time, "sleep", tried.append)
    assert runner.start_answer({}, [], "", forks=True) == 0
    assert tried == [1, 0.1, 1, 0.5, 1]


# --- Numbers


def test_two_numbers_are_never_shown_as_the_same():
    for expected, got in (
        (1.00000001, 1.0),
        (np.array([1.0, 2.0 + 1e-12]), np.array([1.0, 2.0])),
        ([0.1234567891], [0.1234567892]),
    ):
        with pytest.raises(Difference) as raised:
            compare_values("it", expected, got, rtol=0, atol=1e-15)
        assert raised.value.expected != raised.value.got


def test_the_rounding_of_float32_is_no_difference_and_a_wrong_digit_is():
    logits = torch.randn(400, 50, generator=torch.Generator().manual_seed(0)) * 8
    targets = logits.argmax(-1, keepdim=True)  # sure predictions: tiny losses
    right = -logits.log_softmax(-1).gather(-1, targets)
    other = logits.logsumexp(-1, keepdim=True) - logits.gather(-1, targets)
    assert not torch.equal(right, other)
    compare_values("the losses", right, other, rtol=1e-5, atol=1e-7)
    with pytest.raises(Difference):
        compare_values("the losses", right, other + 1e-4, rtol=1e-5, atol=1e-7)
    with pytest.raises(Difference):  # float64 knows better
        compare_values("the losses", right.double(), other.double(), rtol=1e-5, atol=1e-7)


def test_a_place_is_said_in_words(nanopoet, exercises):
    add(exercises, "tokenizer", "def encode(text, stoi, unk):\n    return [99] * len(text)\n")
    out = nanopoet("check", "tokenizer.encode").out
    assert "tokenizer.encode  item 0 of the list of ids differs" in out
    for label, expected, got, symptom in (
        ("an error: got [3]", 1, 2, "an error: got [3] differs"),
        (
            "the sets",
            {"a b": [0, [[1, 2, 3]]]},
            {"a b": [0, [[1, 2]]]},
            "item 0 of item 1 of 'a b' of the sets has length 2, not 3",
        ),
    ):
        with pytest.raises(Difference) as raised:
            compare_values(label, expected, got, rtol=0, atol=0)
        assert raised.value.symptom == symptom


# --- What is kept


def test_an_edit_elsewhere_takes_no_mark_away(nanopoet, exercises):
    add(exercises, "attention", MASK)
    assert nanopoet("check", "causal_mask").code == 0
    (task,) = find_tasks(["causal_mask"])
    add(exercises, "attention", "def merge_heads(x):\n    return x\n\n\n# a remark\n")
    assert Memory().status(task) == "pass"
    add(exercises, "attention", MASK.replace(".bool()", " > 0"))
    assert Memory().status(task) == ""


def test_a_change_of_what_an_answer_calls_counts_as_one_of_its_own(exercises):
    (task,) = find_tasks(["causal_mask"])
    add(exercises, "attention", "ZERO = 0\n\n\ndef lower(x):\n    return x.tril() > ZERO\n")
    add(exercises, "attention", "def causal_mask(T):\n    return lower(torch.ones(T, T))\n")
    before = Memory().version(task)
    add(exercises, "attention", "def upper(x):\n    return x\n")
    assert Memory().version(task) == before
    add(exercises, "attention", "ZERO = 1\n")
    assert Memory().version(task) != before


def test_a_damaged_memory_is_said_once(nanopoet, exercises, tmp_path):
    nanopoet("check", "welcome")
    path = tmp_path / "memory" / "progress.json"
    path.write_text("{")
    said = nanopoet("progress").err
    assert said.count("progress.json is damaged") == 1
    assert "check --all brings them back" in said
    assert nanopoet("check", "welcome").code == 0
    assert nanopoet("progress").err == ""


# --- Which tasks


def test_files_and_the_next_of_some(nanopoet, exercises):
    out = nanopoet("check", "exercises/attention.py", "--next").out
    first = find_tasks(["attention"])[0]
    assert first.name in out
    assert out.count("✗") + out.count("·  ") <= 2
    assert find_tasks(["exercises/attention.py"]) == find_tasks(["attention"])
    assert nanopoet("check", "2", "--next", "--root", SOLUTIONS).code == 0


def test_progress_of_one_chapter_names_what_there_is_to_do(nanopoet, exercises):
    out = nanopoet("progress", "2").out
    members = find_tasks(["2"])
    assert f"0 of {len(members)} tasks pass" in out
    assert "chapter 03" not in out
    assert f"next: nanopoet check {members[0].name}" in out
    for task in load_tasks().values():
        if task.kind == "bug":
            (line,) = [x for x in nanopoet("progress").out.splitlines() if f" {task.name} " in x]
            assert "find the bug" in line


def test_python_m_nanopoet_is_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "nanopoet", "--version"], capture_output=True, encoding="utf-8"
    )
    other = subprocess.run(
        [sys.executable, "-m", "nanopoet.cli", "--version"], capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, done.stdout) == (other.returncode, other.stdout)


# --- Watching


def test_q_ends_an_endless_loop_at_once(exercises, one_sandbox):
    add(exercises, "attention", "def causal_mask(T):\n    while True:\n        pass\n")
    pressed = itertools.chain(["", "", "", "q"], itertools.repeat(""))
    out = io.StringIO()
    done = threading.Thread(
        target=watch,
        args=(["causal_mask"], Console(file=out), lambda seconds: next(pressed), one_sandbox),
    )
    done.start()
    done.join(5)
    assert not done.is_alive()
    assert out.getvalue() == ""
    (task,) = find_tasks(["causal_mask"])
    assert Memory().results.get(task.name) is None  # an answer that was not judged has no verdict


def test_the_keys_are_said_after_each_of_them(exercises, one_sandbox):
    keys = iter("hlcrnq")
    out = io.StringIO()

    def press(seconds):
        return next(keys) if seconds == 0 else ""

    watch(["attention"], Console(width=120, file=out), press, one_sandbox, seconds=0)
    text = out.getvalue()
    assert text.count("r rerun") == 6  # after three verdicts, and after h, l and c
    assert text.count("is not written yet") == 3  # the first, again for r, the next for n
