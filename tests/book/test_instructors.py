"""The page for instructors: its table is that of the manifest, its commands run in its order."""

import csv
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest
import yaml

from nanopoet.book.notebooks import TIMES
from nanopoet.checker.source import SOLUTIONS, answer_lines
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import load_tasks
from nanopoet.paths import CHAPTERS, ROOT
from tests.conftest import copy_of_the_course

PAGE = (CHAPTERS / "instructors.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COLUMNS = ("write", "bug", "test", "predict")
PER_WEEK = 4
NOTEBOOKS = sorted(CHAPTERS.glob("[0-9][0-9]_*.ipynb"))


# --- The plan ------------------------------------------------------------------------------------


def hours(chapter: int) -> float:
    reading, _, tasks = times(chapter)
    return round((reading + tasks) / 30) / 2


def times(chapter: int) -> tuple[int, ...]:
    """Minutes to read, seconds to run, minutes of tasks, as the top of a chapter says."""
    notebook = nbformat.read(NOTEBOOKS[chapter], as_version=4)
    return tuple(map(int, TIMES.search(notebook.cells[0].source).groups()))


def plan() -> str:
    """The rows of the table."""
    rows = []
    for number, path in enumerate(NOTEBOOKS):
        reading, running, tasks = times(number)
        kinds = Counter(task.kind for task in load_tasks().values() if task.chapter == number)
        cells = [reading, running, *(kinds[kind] for kind in COLUMNS), tasks, f"{hours(number):g}"]
        title = path.stem.replace("_", " ")
        rows.append(f"| [{title}]({path.name}) | {' | '.join(map(str, cells))} |")
    sums = [sum(t.kind == kind for t in load_tasks().values()) for kind in COLUMNS]
    whole = sum(map(hours, range(len(NOTEBOOKS))))
    rows.append(f"| all | | | {' | '.join(map(str, sums))} | | {whole:g} |")
    return "\n".join(rows)


def test_the_plan_is_that_of_the_manifest_and_the_chapters():
    assert plan() in PAGE, f"the table has to be:\n{plan()}"
    whole, half = (sum(map(hours, range(n))) for n in (len(NOTEBOOKS), 6))
    assert f"the whole course is {-(-whole // PER_WEEK):.0f} weeks" in PAGE
    assert f"in {half:g} hours" in PAGE


# --- The commands --------------------------------------------------------------------------------


def begun() -> str:
    """A file of exercises with three answers in it."""
    text, solved = stub_file("attention"), (SOLUTIONS / "attention.py").read_text("utf-8")
    for name in ("attention.causal_mask", "attention.attention", "attention.rotate"):
        first, last = answer_lines(solved, load_tasks()[name])
        answer = "\n".join(solved.split("\n")[first:last])
        text = text.replace(f'    raise NotImplementedError("{name}")', answer)
    return text


def graded(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """A clone with a class of two in it."""
    folder = copy_of_the_course(tmp_path_factory.mktemp("instructors") / "course")
    for name, source in (("ada", begun()), ("bo, jr", begun().replace(".tril()", ".triu()"))):
        (folder / "class" / name).mkdir(parents=True)
        (folder / "class" / name / "attention.py").write_text(source, "utf-8")
    (folder / "bin").mkdir()
    program = folder / "bin" / "nanopoet"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nanopoet "$@"\n', "utf-8")
    program.chmod(0o755)
    return folder


def run(course: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-e", "-c", code],
        cwd=course,
        env=os.environ
        | {
            "PYTHONPATH": str(course),
            "PATH": f"{course / 'bin'}:{os.environ['PATH']}",
            "NANOPOET_MEMORY": str(course / "memory"),
            "COLUMNS": "80",
        },
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def test_the_commands_run_in_the_order_of_the_page_and_print_what_it_shows(course):
    shown = [*BLOCKS[1:], ("", "")]
    for (kind, code), (next_kind, output) in zip(BLOCKS, shown, strict=True):
        if kind != "sh":
            continue
        done = run(course, code)
        lines = output.splitlines() if next_kind == "text" else []
        failing = any(line.startswith("✗") for line in lines)
        assert done.returncode == failing, f"{code}\n{done.stdout}\n{done.stderr}"
        for line in lines:
            assert line in done.stdout, f"{code}\n{done.stdout}"
    assert len(list((course / "handout").glob("*.py"))) == len(list(SOLUTIONS.glob("*.py")))
    first, merged = (graded(course / out / "grades.csv") for out in ("grades", "whole"))
    assert [row["submission"] for row in first] == ["ada", "bo, jr"]
    assert [row["points"] for row in first] == [row["points"] for row in merged] == ["3", "1"]
    assert {"late", "in time"} & {row["late"] for row in first}
    named = re.search(r"\| nbgrader \|.*?\n\n", PAGE, re.DOTALL)[0]
    for column in ("submission", "points", "of", "late"):
        assert f"`{column}`" in named
        assert column in first[0]
    assert "ada · bo, jr" in (course / "grades" / "similar.html").read_text("utf-8")
    assert (course / "ada.html").is_file()


def test_what_stands_on_the_page_is_there():
    kinds = Counter(kind for kind, _ in BLOCKS)
    assert kinds == {"sh": 13, "yaml": 1, "text": 3}
    assert len(PAGE.splitlines()) <= 250
    for path in re.findall(r"`((?:docs|tests|chapters)/[\w./]+)`", PAGE):
        assert (ROOT / path).is_file(), path


def test_the_step_for_classroom_asks_for_one_task():
    (step,) = yaml.safe_load(next(code for kind, code in BLOCKS if kind == "yaml"))
    program, command, task, *options = shlex.split(step["with"]["command"])
    assert (program, command) == ("nanopoet", "check")
    assert task == step["with"]["test-name"]
    assert task in load_tasks()
    assert options == ["--root", "exercises"]


def test_what_a_room_needs_is_what_the_project_says():
    build = re.search(r'requires = \["(.*?)"\]', (ROOT / "pyproject.toml").read_text("utf-8"))[1]
    assert f"--constraint constraints.txt '{build}' '.[dev]'" in PAGE
