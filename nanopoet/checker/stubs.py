"""Exercises from solutions and the manifest: `nanopoet exercises`, `nanopoet dev stubs`.

An exercise is its solution without the answer, so signatures, docstrings and given code cannot
differ. A bug hunt begins with the bug: the misconception that is marked `stub`. An exercise that
somebody has worked on is not lost: a copy is kept, as by `nanopoet reset`.
"""

import ast
import textwrap
from pathlib import Path

from nanopoet.backup import rewrite_and_tell
from nanopoet.checker.source import SOLUTIONS, answer_lines
from nanopoet.checker.tasks import Task, TaskError, load_tasks, modules
from nanopoet.checker.trial import MISCONCEPTIONS, load_checks
from nanopoet.files import write_atomically
from nanopoet.paths import ROOT, exercises, is_clone, refuse_other_clone


def stub_body(task: Task, indent: str) -> list[str]:
    """What stands in the place of the answer."""
    if task.kind != "bug":
        return [f"{indent}# TODO: your code", f'{indent}raise NotImplementedError("{task.name}")']
    (bug,) = (known for known in MISCONCEPTIONS[task.name] if known.stub)
    return textwrap.indent(textwrap.dedent(bug.lines), indent).split("\n")


def stub_file(module: str) -> str:
    """A whole file of exercises, from its solutions."""
    load_checks(module)
    source = (SOLUTIONS / f"{module}.py").read_text(encoding="utf-8")
    lines = source.split("\n")  # as Python counts them; `splitlines` knows other ends of lines
    tasks = [task for task in load_tasks().values() if task.module == module]
    open_tasks = [task for task in tasks if task.kind != "given"]
    for task in sorted(open_tasks, key=lambda task: answer_lines(source, task), reverse=True):
        first, last = answer_lines(source, task)
        line = lines[first]
        indent = line[: len(line) - len(line.lstrip())] or "    "
        lines[first:last] = stub_body(task, indent)
    header = ast.parse(source).body[0]
    title = f"""\"\"\"Chapter {tasks[0].chapter:02d} · your answers.

Check them: nanopoet check {module}. Try them: the lines after >>> are examples, which
`python -m doctest exercises/{module}.py` runs; print() shows what you want to see.
\"\"\""""
    lines[: header.end_lineno] = [title]
    return "\n".join(lines)


def write_exercises(folder: Path) -> list[Path]:
    """Write a learner's folder; what is there already stays as it is. Returns the new files."""
    if folder.exists() and not folder.is_dir():
        raise TaskError(f"{folder} is a file: name a folder, which may be new")
    new = [path for m in modules() if not (path := folder / f"{m}.py").exists()]
    for path in new:
        write_atomically(path, stub_file(path.stem))
    return new


def exercises_command(folder: Path) -> None:
    """`nanopoet exercises DIR`: write the files, and say how to go on."""
    new = write_exercises(folder)
    print(f"{len(new)} files of exercises are new in {folder}; {len(modules()) - len(new)} stay")
    again = f"nanopoet check welcome --root {folder}"
    print(f"Next: {again}" if is_clone(ROOT) else f"Next: cd {folder}; nanopoet check")


def write_stubs() -> None:
    """Write all stubs; a file that holds something else, such as answers, is kept as a backup."""
    refuse_other_clone("NANOPOET_EXERCISES")
    stubs = {exercises() / f"{module}.py": stub_file(module) for module in modules()}
    for path, stub in stubs.items():
        rewrite_and_tell(path, stub)
