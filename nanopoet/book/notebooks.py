"""`nanopoet dev notebooks`: run the chapters again and write down what they say now.

Outputs are committed, and `pytest --nbval` compares them with a fresh run. After a change that is
meant, this command rewrites them, and names every compared cell whose output is another.
"""

import ast
import math
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from nanopoet.book.quiz import load_quiz, quiz_markdown
from nanopoet.checker.tasks import Task, TaskError, load_tasks, task_markdown
from nanopoet.files import write_atomically
from nanopoet.paths import CHAPTERS

UNCOMPARED = "nbval-ignore-output"
QUIZ = "quiz"
TASK = "task"
REFERENCE = "reference"  # holds the code of the module
ANSWER = "answer"  # of a task: folded, so that a reader may write first
FOLDS = ("source_hidden", "outputs_hidden")  # Jupyter's, kept as they were set
TAGS = {UNCOMPARED, QUIZ, TASK, REFERENCE, ANSWER}
# What nbval does not compare, and what changes though nothing has changed.
PIXELS = ("image/png", "image/jpeg")


class NotebookError(ValueError):
    """A notebook that is not written over."""


def chapter_paths(folder: Path = CHAPTERS) -> list[Path]:
    """All chapters, in order."""
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def code_cells(notebook: NotebookNode) -> Iterator[NotebookNode]:
    return (cell for cell in notebook.cells if cell.cell_type == "code")


def compared_outputs(cell: NotebookNode) -> list[Any]:
    """What nbval compares of a cell: texts and tables, not pixels, counts or tracebacks."""
    if UNCOMPARED in tags(cell):
        return []
    outputs = []
    for output in cell.outputs:
        data = {kind: text for kind, text in output.get("data", {}).items() if kind not in PIXELS}
        outputs.append((output.output_type, output.get("name"), output.get("text"), data))
    return outputs


def changes(before: NotebookNode, after: NotebookNode) -> list[str]:
    """The compared cells of a fresh run that say something else, each with its first line."""
    found = []
    for number, (old, new) in enumerate(
        zip(code_cells(before), code_cells(after), strict=True), start=1
    ):
        if compared_outputs(old) != compared_outputs(new):
            found.append(f"In [{number}]: {new.source.splitlines()[0] if new.source else ''}")
    return found


def tidy(notebook: NotebookNode) -> None:
    """Leave out what differs from run to run and from machine to machine."""
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number}"
        folded = {key: True for key in FOLDS if cell.metadata.get("jupyter", {}).get(key)}
        if ANSWER in tags(cell):
            folded["source_hidden"] = True
        kept = {"tags": tags(cell), "jupyter": folded}
        cell.metadata = NotebookNode({key: value for key, value in kept.items() if value})
    nbformat.validate(notebook)


def fill_quiz(notebook: NotebookNode, chapter: str) -> None:
    """The quiz as it stands in the data file."""
    questions = load_quiz().get(chapter, [])
    for cell in notebook.cells:
        if QUIZ in tags(cell) and questions:
            cell.source = quiz_markdown(questions)


TIMES = re.compile(
    r"Reading: about (\d+) minutes\. Running: about (\d+) seconds\. Tasks: about (\d+) minutes\."
)
WORDS, LINES = 180, 25  # of prose and of code, that are read in a minute


def minutes_to_read(notebook: NotebookNode) -> int:
    """How long a chapter takes to read, to five minutes: its words and its lines of code."""
    words = sum(len(c.source.split()) for c in notebook.cells if c.cell_type == "markdown")
    lines = sum(len(list(filter(str.strip, c.source.split("\n")))) for c in code_cells(notebook))
    return 5 * round((words / WORDS + lines / LINES) / 5)


def minutes_of_tasks(chapter: int) -> int:
    """How long the tasks of a chapter take, by the manifest."""
    return sum(task.minutes for task in load_tasks().values() if task.chapter == chapter)


def fill_times(notebook: NotebookNode, chapter: int, seconds: float) -> None:
    """What a reader needs to know before they begin; `seconds` are those that a run has taken."""
    told = (
        f"Reading: about {minutes_to_read(notebook)} minutes. Running: about "
        f"{5 * math.ceil(seconds / 5)} seconds. Tasks: about {minutes_of_tasks(chapter)} minutes."
    )
    first = notebook.cells[0]
    first.source = TIMES.sub(told, first.source)


HEADING = re.compile(r"\n(?=#{2,3} )")


def in_sections(notebook: NotebookNode) -> list[tuple[str, list[NotebookNode]]]:
    """The cells without those of tasks, by the heading above them; each heading begins a cell."""
    sections: list[tuple[str, list[NotebookNode]]] = [("", [])]
    for cell in notebook.cells:
        if TASK in tags(cell):
            continue
        pieces = HEADING.split(cell.source) if cell.cell_type == "markdown" else [cell.source]
        for piece in pieces:
            heading = re.match(r"#{2,3} (.*)", piece) if cell.cell_type == "markdown" else None
            if heading:
                sections.append((heading[1].strip(), []))
            alone = len(pieces) == 1
            part = cell if alone else new_markdown_cell(piece.strip(), metadata=cell.metadata)
            sections[-1][1].append(part)
    return sections


def answered_in(cell: NotebookNode, tasks: Sequence[Task]) -> list[Task]:
    """Those of some tasks whose answer a cell holds, under the name that is asked for."""
    if cell.cell_type != "code":
        return []
    given = {getattr(node, "name", "") for node in ast.parse(cell.source).body}
    return [task for task in tasks if task.kind == "write" and task.function in given]


def place_tasks(notebook: NotebookNode, chapter: int) -> None:
    """Each task of the manifest in the section that teaches its idea: above the cell that holds its
    answer, which is folded; or, where there is none, at the end.

    A cell that gives an answer away under another name is tagged "answer" by hand; what is to be
    written in its section then stands above it. Raises `TaskError` for a section that is not there.
    """
    tasks = [task for task in load_tasks().values() if task.chapter == chapter]
    waiting = tasks
    placed: list[NotebookNode] = []
    for heading, cells in in_sections(notebook):
        section = [task for task in waiting if heading and task.after == heading]
        waiting = [task for task in waiting if task not in section]
        for cell in cells:
            answered = answered_in(cell, tasks)
            if answered and ANSWER not in tags(cell):
                cell.metadata["tags"] = [*tags(cell), ANSWER]
            if ANSWER in tags(cell) and not answered:
                answered = [task for task in section if task.kind == "write"]
            if found := [task for task in section if task in answered]:
                # And with them those that come before them: what they build on.
                end = section.index(found[-1]) + 1
                source = task_markdown(section[:end], folded=True)
                placed.append(new_markdown_cell(source, metadata={"tags": [TASK]}))
                section = section[end:]
            placed.append(cell)
        if section:
            placed.append(new_markdown_cell(task_markdown(section), metadata={"tags": [TASK]}))
    if waiting:
        raise TaskError(f"chapter {chapter} has no section {waiting[0].after!r}")
    notebook.cells = placed


def refresh(path: Path) -> tuple[list[str], float]:
    """Run a notebook top to bottom in its folder and write it; changed cells, and seconds.

    Raises `CellExecutionError` if a cell fails: the file then stays as it was. Raises
    `NotebookError` if somebody has saved another one meanwhile: then that stays.
    """
    read = path.read_bytes()
    notebook = nbformat.reads(read.decode("utf-8"), as_version=4)
    before = nbformat.from_dict(nbformat.reads(read.decode("utf-8"), as_version=4))
    fill_quiz(notebook, path.stem[3:])
    place_tasks(notebook, int(path.stem[:2]))
    began = time.perf_counter()
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    seconds = time.perf_counter() - began
    fill_times(notebook, int(path.stem[:2]), seconds)
    tidy(notebook)
    if path.read_bytes() != read:
        raise NotebookError("It was edited while it ran: run it again.")
    write_atomically(path, nbformat.writes(notebook) + "\n")
    return changes(before, notebook), seconds


def refresh_all(paths: Sequence[Path]) -> int:
    """Run some chapters again, or all; the exit code, 1 if one fails and stays as it was."""
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise NotebookError(f"no such notebook: {', '.join(missing)}")
    for path in paths or chapter_paths():
        try:
            changed, seconds = refresh(path.resolve())
        except (CellExecutionError, NotebookError) as error:
            print(f"error: {path.name} stays as it was. {error}", file=sys.stderr)
            return 1
        print(f"{path.name}: {seconds:.0f} s, {len(changed)} compared cells changed", flush=True)
        for line in changed:
            print(f"  {line}")
    return 0
