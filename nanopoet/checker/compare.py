"""`nanopoet compare`: what there was to write, what was written, and our way, side by side.

Our way is shown with an answer that passes, and to whoever asks for it.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text
from tqdm import tqdm

from nanopoet import paths
from nanopoet.backup import rewrite_and_tell
from nanopoet.checker.check import judge_task, new_seed
from nanopoet.checker.compare_page import comparison_page
from nanopoet.checker.compare_text import show_comparison
from nanopoet.checker.comparison import (
    UNTOUCHED,
    Comparison,
    add_answer,
    add_solution,
    begin_comparison,
    summary,
)
from nanopoet.checker.sandbox import Sandbox
from nanopoet.checker.tasks import Task, TaskError, find_tasks, load_tasks, modules
from nanopoet.files import ensure_writable


def folder_of(submission: Path | None) -> Path | None:
    """The folder of a submission, or else of the learner's own exercises, if there is one.

    Raises `TaskError` for a submission that is no folder, or holds no file of exercises.
    """
    if submission is None:
        try:
            return paths.exercises() if paths.exercises().is_dir() else None
        except paths.ProjectError:
            return None
    folder = Path(os.path.realpath(submission))
    if not folder.is_dir():
        raise TaskError(f"{submission} is not a folder with exercises")
    names = [f"{module}.py" for module in modules()]
    if not any(os.path.lexists(folder / name) for name in names):
        below = [inner for name in names for inner in sorted(folder.glob(f"*/{name}"))]
        tip = f"; {below[0].parent} does" if below else ""
        raise TaskError(f"{submission} holds none of {', '.join(names)}{tip}")
    return folder


def compare_tasks(
    tasks: Sequence[Task], root: Path | None, solutions: bool, seed: int
) -> Iterator[Comparison]:
    """Look at some tasks in order. What nobody has touched is not judged."""
    with Sandbox() as sandbox:
        for task in tasks:
            found = begin_comparison(task)
            if root:
                add_answer(found, root)
                if found.remark != UNTOUCHED and not found.verdict:
                    found.verdict = judge_task(task, root, seed, sandbox)
            if solutions or found.passed or task.kind == "given":
                add_solution(found)
            yield found


def compare_command(
    names: list[str],
    everything: bool,
    submission: Path | None,
    html: Path | None,
    solutions: bool,
    seed: int | None,
) -> None:
    """Compare what was asked for, in the terminal or in a page."""
    if bool(names) == everything:
        raise TaskError("name a task, a file of exercises or a chapter; or all, with --all")
    tasks = find_tasks(names) if names else list(load_tasks().values())
    root = folder_of(submission)
    if html:
        ensure_writable(html)  # now, not when all has been judged
    seed = new_seed() if seed is None else seed
    console = Console()
    comparisons = []
    with tqdm(total=len(tasks), disable=None if len(tasks) > 1 else True, leave=False) as bar:
        for found in compare_tasks(tasks, root, solutions, seed):
            comparisons.append(found)
            bar.update()
            bar.clear()
            if not html and (names or found.worth_showing):
                show_comparison(found, console, root)
            elif not html and not found.untouched:  # a file that cannot be shown
                console.print(Text(f"✗ {found.task.name}  {found.remark}"), soft_wrap=True)
    if len(comparisons) > 1 and root:
        console.print(f"{summary(comparisons)}; seed {seed}", highlight=False)
    if html:
        rewrite_and_tell(html, comparison_page(comparisons, root, seed))
