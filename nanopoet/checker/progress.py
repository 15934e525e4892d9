"""What a learner has done so far: `hint`, `progress`, and the memory behind `check`.

The memory is one small JSON file beside the exercises' folder. It says which version of which
answer passed which task: an edit elsewhere in the file takes no mark away. Losing it loses nothing
but marks: `nanopoet check --all` brings them back.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nanopoet import paths
from nanopoet.checker.source import SourceError, answer_code, read_source
from nanopoet.checker.tasks import WHAT_TO_DO, Task, load_tasks
from nanopoet.checker.verdict import Verdict
from nanopoet.files import printable, write_atomically

MARKS = {"pass": "✓", "fail": "✗", "error": "✗", "timeout": "✗", "todo": "·"}
COLOURS = {"pass": "green", "fail": "red", "error": "red", "timeout": "red", "todo": "yellow"}


class Memory:
    """Results by task and version of its answer, failures in a row, and hints read."""

    def __init__(self, root: Path | None = None) -> None:
        own = paths.exercises() if root is None else root
        self.root = Path(os.path.realpath(own))
        # Another folder than the learner's own has a memory of its own.
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        of_another = "" if root is None else f"-{digest}"
        self.path = paths.memory() / f"progress{of_another}.json"
        self.complained = False
        self.read()

    def read(self) -> None:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            self.results = {
                task: {"version": result["version"], "status": result["status"]}
                for task, result in content["results"].items()
            }
            self.hints = {task: int(shown) for task, shown in content["hints"].items()}
            failures = content.get("failures", {}).items()
            self.failures = {task: int(times) for task, times in failures}
        except OSError:  # none yet, or none that can be kept, which `save` will say
            self.results, self.hints, self.failures = {}, {}, {}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.results, self.hints, self.failures = {}, {}, {}
            self.complain(
                f"{self.path} is damaged ({type(error).__name__}): marks begin anew; "
                "nanopoet check --all brings them back"
            )

    def complain(self, what: str) -> None:
        """A mark is not worth more than one line."""
        if not self.complained:
            print(f"warning: {what}", file=sys.stderr)
        self.complained = True

    def version(self, task: Task) -> str:
        """A fingerprint of an answer as it is now, with all that it uses in its file."""
        try:
            source = read_source(self.root / task.file)
        except SourceError:
            return ""
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            source = answer_code(source, task.function).encode()  # what is no Python: as it is
        return hashlib.sha256(source).hexdigest()[:16]

    def status(self, task: Task) -> str:
        """pass, fail, todo … of the file as it is now; nothing if it was not checked since."""
        result = self.results.get(task.name, {})
        return result.get("status", "") if result.get("version") == self.version(task) else ""

    def note(self, task: Task, verdict: Verdict, version: str) -> None:
        """Keep a verdict. `hint` and other checks write here, too: theirs is read first."""
        self.read()
        self.results[task.name] = {"version": version, "status": verdict.status}
        failed = verdict.status in ("fail", "error", "timeout")
        self.failures[task.name] = failed * (self.failures.get(task.name, 0) + 1)
        self.save()

    def note_hint(self, task: Task, shown: int) -> None:
        self.read()
        self.hints[task.name] = shown
        self.save()

    def save(self) -> None:
        """Write it down; where that cannot be done, say so."""
        content = {"results": self.results, "hints": self.hints, "failures": self.failures}
        try:
            write_atomically(self.path, json.dumps(content, indent=1))
        except OSError as error:
            self.complain(
                f"{self.path} cannot be written ({error.strerror or error}), so this is not "
                "remembered: set NANOPOET_MEMORY to a folder that can"
            )


def next_tasks(memory: Memory, tasks: Iterable[Task] | None = None) -> Iterable[Task]:
    """Those of some tasks, or of all, that are not known to pass, in order."""
    tasks = load_tasks().values() if tasks is None else tasks
    return (task for task in tasks if memory.status(task) != "pass")


def show_hint(task: Task, everything: bool, console: Console) -> None:
    """The next hint of a task; after the third, all three again."""
    memory = Memory()
    shown = 3 if everything else min(memory.hints.get(task.name, 0) + 1, 3)
    console.print(f"[bold]{task.name}[/bold]  {task.title}, about {task.minutes} min")
    rows = Table.grid(padding=(0, 1))
    for number, hint in enumerate(task.hints[:shown], 1):
        rows.add_row(f"  {number}", Text(hint))
    console.print(rows)
    if shown < 3:
        console.print(f"  the next one: nanopoet hint {task.name}", style="dim", highlight=False)
    memory.note_hint(task, shown)


def show_progress(
    console: Console, tasks: Sequence[Task] | None = None, root: Path | None = None
) -> None:
    """Chapters and their tasks, or some of them, with what is known of each."""
    memory = Memory(root)
    tasks = list(load_tasks().values()) if tasks is None else tasks
    for chapter in sorted({task.chapter for task in tasks}):
        members = [task for task in tasks if task.chapter == chapter]
        done = sum(memory.status(task) == "pass" for task in members)
        bar = "█" * done + "░" * (len(members) - done)
        console.print(f"\n[bold]chapter {chapter:02d}[/bold]  {bar}  {done} of {len(members)}")
        rows = Table.grid(padding=(0, 1))
        for task in members:
            status = memory.status(task)
            known = task.name in memory.results
            mark = MARKS.get(status, "?" if known else " ")
            note = "" if task.kind == "write" else f", {WHAT_TO_DO[task.kind].lower()}"
            note += "  edited since it was checked" if known and not status else ""
            rows.add_row(
                f"  [{COLOURS.get(status, 'dim')}]{mark}[/]",
                task.name,
                f"{task.title}, {task.minutes} min[dim]{note}[/dim]",
            )
        console.print(rows)
    done = sum(memory.status(task) == "pass" for task in tasks)
    console.print(f"\n{done} of {len(tasks)} tasks pass", highlight=False)
    upcoming = next(iter(next_tasks(memory, tasks)), None)
    if upcoming:
        where = f" --root {root}" if root else ""
        console.print(printable(f"next: nanopoet check {upcoming.name}{where}"), highlight=False)
