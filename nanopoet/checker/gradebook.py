"""What `nanopoet grade` leaves of a class: a table for a spreadsheet, JUnit, and words for each."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from nanopoet.checker.check import FAILED
from nanopoet.checker.compare_page import AS_WRITTEN, said_of, verdict_rows
from nanopoet.checker.graded import MISSING, Graded, read_graded
from nanopoet.checker.report import as_xml, junit_suite
from nanopoet.checker.tasks import Task, load_tasks

# What begins so is a formula to a spreadsheet; some read the wide signs, too.
FORMULA = tuple("=+-@\t\r＝＋－＠")
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|!&~])")


@dataclass(frozen=True)
class Gradebook:
    """A class, read from the disk one submission after the other."""

    folder: Path  # with a JSON file for each submission
    files: list[str]
    weights: dict[str, float]
    due: float | None = None

    def __iter__(self) -> Iterator[Graded]:
        return (read_graded(self.folder / f"{name}.json") for name in self.files)

    @property
    def total(self) -> float:
        return sum(self.weights.values())

    def of_chapter(self, chapter: int) -> float:
        tasks = load_tasks().values()
        return sum(self.weights[task.name] for task in tasks if task.chapter == chapter)

    def late(self, graded: Graded) -> bool:
        return self.due is not None and graded.newest > self.due


def number(value: float) -> str:
    """Points as people write them.

    >>> number(2.0), number(2 / 3)
    ('2', '0.67')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".")


# --- A spreadsheet -------------------------------------------------------------------------------


def cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula.

    >>> cell('=HYPERLINK("x")'), cell("ada")
    ('\\'=HYPERLINK("x")', 'ada')
    """
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text


def csv_row(book: Gradebook, graded: Graded) -> list[str]:
    points = graded.points(book.weights)
    late = [] if book.due is None else ["late" if book.late(graded) else "in time"]
    counts = [graded.counts(*kind) for kind in (["pass"], FAILED, ["todo"], [MISSING])]
    tasks = load_tasks().values()
    return [
        cell(graded.title),
        number(points),
        number(book.total),
        number(100 * points / book.total) if book.total else "",
        *late,
        *map(str, counts),
        cell("; ".join(graded.remarks)),
        *(number(book.weights[task.name] * graded.share(task)) for task in tasks),
    ]


def csv_table(book: Gradebook) -> str:
    """A row for each submission. Nothing in it depends on when, or how fast, it was made."""
    table = io.StringIO()
    writer = csv.writer(table, quoting=csv.QUOTE_ALL)
    late = [] if book.due is None else ["late"]
    heads = ["submission", "points", "of", "percent", *late, "pass", "fail", "not written"]
    writer.writerow([*heads, "not handed in", "remarks", *load_tasks()])
    writer.writerows(csv_row(book, graded) for graded in book)
    return f"\ufeff{table.getvalue()}"


def junit_class(book: Gradebook) -> str:
    """A suite of JUnit for each submission."""
    suites = ElementTree.Element("testsuites", name="nanopoet grade")
    suites.extend(junit_suite(list(g.verdicts.values()), g.title) for g in book)
    return as_xml(suites)


# --- Words ---------------------------------------------------------------------------------------


def prose(text: str) -> str:
    """A text of anybody's as a line of Markdown that looks like it."""
    return MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """The same as code, whatever quotes are in it."""
    text = " ".join(text.split())
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def on_task(graded: Graded, task: Task) -> list[str]:
    """What the check says of a task that does not pass."""
    verdict = graded.verdicts[task.name]
    lines = [f"### {task.name}", ""]
    for label, value in verdict_rows(verdict, task.file):
        shown = code(value) if label in AS_WRITTEN else prose(value)
        lines.append(f"- {label}: {shown}")
    if len(verdict.checks) > 1:
        lines.append(f"- checks: {sum(verdict.checks.values())} of {len(verdict.checks)} hold")
    return [*lines, ""]


def feedback(book: Gradebook, graded: Graded) -> str:
    """Verdicts in words, for whoever handed them in; no solution."""
    passed, failed = graded.counts("pass"), graded.counts(*FAILED)
    points = f"{number(graded.points(book.weights))} of {number(book.total)} points"
    lines = [
        f"# {prose(graded.title)}",
        "",
        f"{points}; {passed} of {len(load_tasks())} tasks pass, {failed} fail.",
        f"`nanopoet check TASK --seed {graded.seed}` repeats a check.",
        "",
    ]
    if book.late(graded):
        lines += ["Late: a file was modified after the day it was due.", ""]
    if graded.remarks:
        lines += ["How it was handed in:", "", *(f"- {prose(r)}" for r in graded.remarks), ""]
    for chapter, group in groupby(load_tasks().values(), key=lambda task: task.chapter):
        tasks = [task for task in group if task.name in graded.verdicts]
        if not tasks:
            continue
        worth = number(book.of_chapter(chapter))
        got = number(graded.points(book.weights, chapter))
        lines += [f"## Chapter {chapter:02d}: {got} of {worth} points", ""]
        for status in ("pass", "todo"):
            named = [task.name for task in tasks if graded.status(task) == status]
            if named:
                lines += [f"{said_of(status)}: {', '.join(map(prose, named))}", ""]
        for task in tasks:
            if graded.status(task) in FAILED:
                lines += on_task(graded, task)
    return "\n".join(lines).rstrip() + "\n"
