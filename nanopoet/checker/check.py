"""`nanopoet check`: judge a learner's tasks, say what is wrong, and why."""

import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from tqdm import tqdm

from nanopoet.checker.progress import Memory, next_tasks
from nanopoet.checker.report import print_picture, write_reports
from nanopoet.checker.sandbox import Sandbox
from nanopoet.checker.show import show_verdict
from nanopoet.checker.tasks import Task, TaskError, find_tasks, load_tasks
from nanopoet.checker.verdict import SYNTAX, Verdict
from nanopoet.files import check_picture_path, ensure_writable
from nanopoet.paths import exercises, is_own


def new_seed() -> int:
    """Other inputs each time: an answer cannot be fitted to them."""
    return secrets.randbelow(10**6)


FAILED = ("fail", "error", "timeout")


def judge_task(task: Task, root: Path, seed: int, sandbox: Sandbox) -> Verdict:
    """The verdict on a task; on one that fails, with the task to mend first, if there is one.

    A guess at the mistake is made only where it is this task's own.
    """
    verdict = sandbox.judge(task.name, root, seed)
    if verdict.status in FAILED:
        verdict.helper = failing_helper(task, root, seed, sandbox)
    if verdict.helper:
        verdict.misconception = verdict.explanation = ""
    return verdict


def failing_helper(task: Task, root: Path, seed: int, sandbox: Sandbox) -> str:
    """The first task that this one builds on and that fails its own check; of a chain of such
    tasks, the deepest."""
    for name in task.needs:
        if sandbox.judge(name, root, seed).status in FAILED:
            return failing_helper(load_tasks()[name], root, seed, sandbox) or name
    return ""


def check_tasks(
    tasks: Iterable[Task],
    root: Path,
    seed: int,
    sandbox: Sandbox,
    memory: Memory,
) -> Iterator[Verdict]:
    """Judge some tasks in order; their results are remembered."""
    for task in tasks:
        version = memory.version(task)
        verdict = judge_task(task, root, seed, sandbox)
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
    only_next: bool = False,
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
    memory = Memory(None if is_own(folder) else folder)
    tasks = find_tasks(names) if names else list(load_tasks().values())
    one_by_one = only_next or (not names and not everything)
    if one_by_one:
        tasks = list(next_tasks(memory, tasks))
    broken = set[str]()  # files that cannot be read as Python, which is said once
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
            failures = memory.failures.get(verdict.task, 0)
            known = verdict.symptom.startswith(SYNTAX) and verdict.file in broken
            broken |= {verdict.file} if verdict.symptom.startswith(SYNTAX) else set()
            alone = one_by_one or len(tasks) == 1
            show_verdict(verdict, console, folder, verbose, failures, alone, known)
            if picture:
                print_picture(verdict, picture, console)
            if one_by_one and verdict.status != "pass":
                break
    passed = sum(verdict.status == "pass" for verdict in verdicts)
    if one_by_one and passed == len(tasks):
        what = "these" if names else "tasks"
        console.print(f"all {what} pass: nanopoet train --mine trains a poet with them")
    elif len(verdicts) > 1 and not one_by_one:
        todo = sum(verdict.status == "todo" for verdict in verdicts)
        rest = len(verdicts) - passed - todo
        console.print(
            f"{passed} of {len(verdicts)} pass, {rest} fail, {todo} not written yet; seed {seed}",
            highlight=False,
        )
    write_reports(verdicts, as_json, junit)
    return 0 if passed == len(verdicts) else 1
