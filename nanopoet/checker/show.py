"""What a verdict looks like in a terminal: what, where, expected and got, why, what next."""

import shlex
import textwrap
from pathlib import Path

from rich.console import Console
from rich.text import Text

from nanopoet.checker.progress import COLOURS, MARKS
from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.verdict import Verdict
from nanopoet.files import printable
from nanopoet.paths import is_own

LABEL = 13  # columns, with the space around
STUCK = 3  # failures in a row, after which a hint is offered


def show_verdict(
    verdict: Verdict,
    console: Console,
    root: Path,
    verbose: bool = False,
    failures: int = 0,
    alone: bool = True,
    known: bool = False,
) -> None:
    """A line for what passes; for the rest about a dozen, fewer than fit a small screen.

    `failures`: how many there were in a row; `alone`: whether nothing else is shown beside it;
    `known`: whether its file's syntax error has been shown already.
    """
    width = max(console.width - LABEL - 1, 24)

    def row(label: str, text: str, style: str = "", as_it_is: bool = False) -> None:
        if not text:
            return
        lines = text.strip("\n").split("\n")
        if not as_it_is:
            lines = [part for line in lines for part in wrapped(line, width)]
        body = ("\n" + " " * LABEL).join(lines)
        console.print(Text(f"  {label:{LABEL - 2}}").append(body, style=style), soft_wrap=True)

    head = Text(f"{MARKS[verdict.status]} {verdict.task}", style=f"bold {COLOURS[verdict.status]}")
    if verdict.status == "pass":
        console.print(head.append(f"  {verdict.seconds:.1f} s", style="not bold dim"))
        row("printed", verdict.printed if verbose else "", "dim", as_it_is=True)
        row("compare", way_to_compare(verdict, root) if alone else "", "dim", as_it_is=True)
        return
    if known:
        console.print(head.append("  the same syntax error", style="default not bold"))
        return
    beside = len(verdict.task) + 4 + len(verdict.symptom) <= console.width
    console.print(head.append(f"  {verdict.symptom}" if beside else "", style="default not bold"))
    row("", "" if beside else verdict.symptom)
    place = f"{verdict.file}:{verdict.line}" if verdict.line else verdict.file
    row("in", place, f"dim link file://{verdict.file}", as_it_is=True)
    row("code", verdict.code, as_it_is=True)
    row("given", verdict.given)
    row("expected", verdict.expected)
    row("got", verdict.got)
    row("why", verdict.why)
    if verdict.helper:
        row("first", f"{verdict.helper}, on which this builds, fails its own check: mend it first")
    if verdict.misconception:
        row("looks like", f"{verdict.misconception}. {verdict.explanation}")
    more = {"traceback": verdict.trace, "printed": verdict.printed}
    for label, text in more.items():
        row(label, text if verbose else "", "dim", as_it_is=True)
    row("next", what_next(verdict, root, failures), "dim", as_it_is=True)
    if not verbose and any(more.values()):
        row("-v adds", " and ".join(label for label, text in more.items() if text), "dim")


def wrapped(line: str, width: int) -> list[str]:
    """A line in pieces that fit; a word that does not, such as a path, stays whole."""
    pieces = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    return pieces or [line]


def what_next(verdict: Verdict, root: Path, failures: int) -> str:
    """The commands that help now."""
    task = verdict.helper or verdict.task
    again = f"nanopoet check {task}{of_folder(root, '--root')}"
    if verdict.status in ("fail", "error") and not verdict.helper:
        again += f" --seed {verdict.seed}"
    stuck = f"  ({failures} failures in a row)" if failures >= STUCK else ""
    return f"nanopoet hint {task}{stuck}\n{again}"


def way_to_compare(verdict: Verdict, root: Path) -> str:
    """The command that shows another way to write it, if there is one."""
    if load_tasks()[verdict.task].kind == "given":
        return ""
    return f"nanopoet compare {verdict.task}{of_folder(root, '--submission')}"


def of_folder(root: Path, option: str) -> str:
    """An option that names a folder, where it is not the learner's own."""
    return "" if is_own(root) else printable(f" {option} {shlex.quote(str(root))}")
