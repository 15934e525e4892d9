"""`nanopoet check`: judge a learner's tasks, say what is wrong, and why."""

import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text
from tqdm import tqdm

from nanopoet.checker.progress import COLOURS, MARKS, Memory, next_tasks
from nanopoet.checker.report import print_picture, write_reports
from nanopoet.checker.sandbox import Sandbox
from nanopoet.checker.tasks import Task, TaskError, find_tasks, load_tasks
from nanopoet.checker.verdict import Verdict
from nanopoet.files import check_picture_path, ensure_writable, printable
from nanopoet.paths import exercises


def new_seed() -> int:
    """Other inputs each time: an answer cannot be fitted to them."""
    return secrets.randbelow(10**6)


def print_verdict(verdict: Verdict, console: Console, root: Path, verbose: bool = False) -> None:
    """At most twelve lines: what, where, expected and got, why, what it looks like, what next."""

    def row(label: str, text: str, style: str = "") -> None:
        if text:
            lines = text.strip().replace("\n", "\n" + 13 * " ")
            console.print(Text(f"  {label:11}").append(lines, style=style), soft_wrap=True)

    head = Text(f"{MARKS[verdict.status]} {verdict.task}", style=f"bold {COLOURS[verdict.status]}")
    if verdict.status == "pass":
        console.print(head.append(f"  {verdict.seconds:.1f} s", style="not bold dim"))
        row("printed", verdict.printed if verbose else "", "dim")
        return
    console.print(head.append(f"  {verdict.symptom}", style="default not bold"), soft_wrap=True)
    place = f"{verdict.file}:{verdict.line}" if verdict.line else verdict.file
    row("in", place, f"dim link file://{verdict.file}")
    row("given", verdict.given)
    row("expected", verdict.expected)
    row("got", verdict.got)
    row("why", verdict.why)
    if verdict.misconception:
        row("looks like", f"{verdict.misconception}. {verdict.explanation}")
    more = {"traceback": verdict.trace, "printed": verdict.printed}
    for label, text in more.items():
        row(label, text if verbose else "", "dim")
    again = f"nanopoet check {verdict.task}"
    if root != exercises():
        again += printable(f" --root {root}")
    if verdict.status in ("fail", "error"):
        again += f" --seed {verdict.seed}"
    if not verbose and any(more.values()):
        again += f" · -v adds: {' and '.join(label for label, text in more.items() if text)}"
    row("next", f"nanopoet hint {verdict.task} · {again}", "dim")


def check_tasks(
    tasks: Iterable[Task],
    root: Path,
    seed: int,
    sandbox: Sandbox,
    memory: Memory | None = None,
) -> Iterator[Verdict]:
    """Judge some tasks in order; their results are remembered."""
    for task in tasks:
        version = memory.version(task) if memory else ""
        verdict = sandbox.judge(task.name, root, seed)
        if memory:
            memory.note(task, verdict, version)
        yield verdict


def check_command(
    names: list[str],
    everything: bool,
    root: Path | None,
    seed: int | None,
    as_json: str | None,
    junit: Path | None,
    picture: Path | None,
    verbose: bool,
) -> int:
    """Check what was asked for; returns the exit code, 0 only if all of it passes."""
    folder = Path(os.path.realpath(root or exercises()))
    if not folder.is_dir():
        raise TaskError(f"{folder} is not a folder with exercises")
    if picture:
        check_picture_path(picture)
    for target in (as_json if as_json != "-" else None, junit, picture):
        if target:
            ensure_writable(Path(target))  # now, not when all has been judged
    seed = new_seed() if seed is None else seed
    # JSON on standard output stands alone.
    console = Console(stderr=as_json == "-")
    memory = Memory() if folder == exercises() else None
    one_by_one = not names and not everything
    if one_by_one:
        tasks = list(next_tasks(memory) if memory else load_tasks().values())
    else:
        tasks = find_tasks(names) if names else list(load_tasks().values())
    verdicts: list[Verdict] = []
    with (
        Sandbox() as sandbox,
        tqdm(total=len(tasks), disable=True if one_by_one else None, leave=False) as bar,
    ):
        for verdict in check_tasks(tasks, folder, seed, sandbox, memory):
            verdicts.append(verdict)
            bar.update()
            if everything and verdict.status == "todo":
                continue  # listed in the last line
            bar.clear()
            print_verdict(verdict, console, folder, verbose)
            if picture:
                print_picture(verdict, picture, console)
            if one_by_one and verdict.status != "pass":
                break
    passed = sum(verdict.status == "pass" for verdict in verdicts)
    if one_by_one and passed == len(tasks):
        console.print("all tasks pass: nanopoet train --mine trains a poet with them")
    elif len(verdicts) > 1 and not one_by_one:
        todo = sum(verdict.status == "todo" for verdict in verdicts)
        rest = len(verdicts) - passed - todo
        console.print(
            f"{passed} of {len(verdicts)} pass, {rest} fail, {todo} not written yet; seed {seed}",
            highlight=False,
        )
    write_reports(verdicts, as_json, junit)
    return 0 if passed == len(verdicts) else 1
