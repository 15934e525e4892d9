"""What a learner has done so far: `hint`, `progress`, `reset`, and the memory behind `check`.

The memory is one small JSON file beside the exercises' folder. It says which version of which file
passed which task. Losing it loses nothing but marks: `nanopoet check --all` brings them back.
"""

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from nanopoet import paths
from nanopoet.files import write_atomically
from nanopoet.tasks import Task, TaskError, load_tasks
from nanopoet.verdict import Verdict

MARKS = {"pass": "✓", "fail": "✗", "error": "✗", "timeout": "✗", "todo": "·"}
COLOURS = {"pass": "green", "fail": "red", "error": "red", "timeout": "red", "todo": "yellow"}


class Memory:
    """Results by task and version of its file, and how many hints were read."""

    def __init__(self) -> None:
        self.root = paths.exercises()
        self.path = paths.memory() / "progress.json"
        self.read()

    def read(self) -> None:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            self.results = {
                task: {"version": result["version"], "status": result["status"]}
                for task, result in content["results"].items()
            }
            self.hints = {task: int(shown) for task, shown in content["hints"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.results, self.hints = {}, {}  # none yet, or damaged: begin anew

    def version(self, task: Task) -> str:
        """A fingerprint of a task's file as it is now."""
        try:
            return hashlib.sha256((self.root / task.file).read_bytes()).hexdigest()[:16]
        except OSError:
            return ""

    def status(self, task: Task) -> str:
        """pass, fail, todo … of the file as it is now; nothing if it was not checked since."""
        result = self.results.get(task.name, {})
        return result.get("status", "") if result.get("version") == self.version(task) else ""

    def note(self, task: Task, verdict: Verdict, version: str) -> None:
        """Keep a verdict. `hint` and other checks write here, too: theirs is read first."""
        self.read()
        self.results[task.name] = {"version": version, "status": verdict.status}
        self.save()

    def note_hint(self, task: Task, shown: int) -> None:
        self.read()
        self.hints[task.name] = shown
        self.save()

    def save(self) -> None:
        content = {"results": self.results, "hints": self.hints}
        write_atomically(self.path, json.dumps(content, indent=1))


def next_tasks(memory: Memory) -> Iterable[Task]:
    """All tasks that are not known to pass, in order."""
    return (task for task in load_tasks().values() if memory.status(task) != "pass")


def show_hint(task: Task, everything: bool, console: Console) -> None:
    """The next hint of a task; after the third, all three again."""
    memory = Memory()
    shown = 3 if everything else min(memory.hints.get(task.name, 0) + 1, 3)
    console.print(f"[bold]{task.name}[/bold]  {task.title}, about {task.minutes} min")
    for number, hint in enumerate(task.hints[:shown], 1):
        console.print(f"  {number}  {hint}", markup=False, highlight=False)
    if shown < 3:
        console.print(f"  the next one: nanopoet hint {task.name}", style="dim", highlight=False)
    memory.note_hint(task, shown)


def show_progress(console: Console) -> None:
    """Chapters and their tasks, with what is known of each."""
    memory, tasks = Memory(), load_tasks()
    for chapter in sorted({task.chapter for task in tasks.values()}):
        members = [task for task in tasks.values() if task.chapter == chapter]
        done = sum(memory.status(task) == "pass" for task in members)
        bar = "█" * done + "░" * (len(members) - done)
        console.print(f"\n[bold]chapter {chapter:02d}[/bold]  {bar}  {done} of {len(members)}")
        for task in members:
            status = memory.status(task)
            known = task.name in memory.results
            mark = MARKS.get(status, "?" if known else " ")
            note = "  edited since it was checked" if known and not status else ""
            console.print(
                f"  [{COLOURS.get(status, 'dim')}]{mark}[/] {task.name:36} {task.title}, "
                f"{task.minutes} min[dim]{note}[/dim]",
                highlight=False,
            )
    done = sum(memory.status(task) == "pass" for task in tasks.values())
    console.print(f"\n{done} of {len(tasks)} tasks pass", highlight=False)
    upcoming = next(iter(next_tasks(memory)), None)
    if upcoming:
        console.print(f"next: nanopoet check {upcoming.name}", highlight=False)


def reset_task(task: Task) -> Path:
    """Put the stub of a task back into its file; returns the backup of what was there.

    Raises `TaskError` when the file cannot be read as Python: then only the whole file can be
    brought back, and the error says how.
    """
    from nanopoet.stubs import find_node, lines_of, stub_file

    path = paths.exercises() / task.file
    stub = stub_file(task.module)
    fresh = find_node(stub, task.function)
    assert fresh is not None
    first, last = lines_of(fresh)
    lines = stub.splitlines()[first:last]
    try:
        source = path.read_text(encoding="utf-8")
        old = find_node(source, task.function)
    except FileNotFoundError:
        write_atomically(path, stub)
        return path
    except SyntaxError as error:
        raise TaskError(
            f"{path}:{error.lineno} is not Python ({error.msg}): mend that line, or bring the "
            f"whole file back: nanopoet reset {task.module}"
        ) from error
    backup = back_up(path, source)
    rows = source.splitlines()
    if old is None:
        rows += ["", "", *lines]
    else:
        start, end = lines_of(old)
        rows[start:end] = lines
    write_atomically(path, "\n".join(rows) + "\n")
    return backup


def reset_file(module: str) -> Path:
    """Bring a whole file of exercises back; returns the backup of what was there."""
    from nanopoet.stubs import stub_file

    path = paths.exercises() / f"{module}.py"
    backup = back_up(path, path.read_text(encoding="utf-8")) if path.is_file() else path
    write_atomically(path, stub_file(module))
    return backup


def back_up(path: Path, source: str) -> Path:
    """Keep a copy under .nanopoet/backup, with the time in its name."""
    folder = paths.memory() / "backup"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    backup = folder / f"{path.stem}-{stamp}.py"
    number = 1
    while backup.exists():
        number += 1
        backup = folder / f"{path.stem}-{stamp}-{number}.py"
    write_atomically(backup, source)
    return backup


def as_row(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a row of a report."""
    fields = asdict(verdict)
    chapter = load_tasks()[verdict.task].chapter
    message = "; ".join(
        text
        for text in (
            verdict.symptom,
            f"expected {verdict.expected}" if verdict.expected else "",
            f"got {verdict.got}" if verdict.got else "",
        )
        if text
    )
    kept = ("misconception", "seconds", "seed")
    row = {"task": verdict.task, "chapter": chapter, "status": verdict.status, "message": message}
    return row | {key: fields[key] for key in kept}
