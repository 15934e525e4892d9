"""`nanopoet dev stubs`: write exercises/ from solutions/ and the manifest.

An exercise is its solution without the answer, so signatures, docstrings and given code cannot
differ. A bug hunt begins with the bug: the misconception that is marked `stub`. An exercise that
somebody has worked on is not lost: a copy is kept, as by `nanopoet reset`.
"""

import ast
import textwrap

from nanopoet.backup import rewrite_and_tell
from nanopoet.checker.source import SOLUTIONS, answer_lines
from nanopoet.checker.tasks import Task, load_tasks, modules
from nanopoet.checker.trial import MISCONCEPTIONS, load_checks
from nanopoet.paths import exercises, refuse_other_clone


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
    title = (
        f'"""Chapter {tasks[0].chapter:02d} · your answers. Check them: nanopoet check {module}."""'
    )
    lines[: header.end_lineno] = [title]
    return "\n".join(lines)


def write_stubs() -> None:
    """Write all stubs; a file that holds something else, such as answers, is kept as a backup."""
    refuse_other_clone("NANOPOET_EXERCISES")
    stubs = {exercises() / f"{module}.py": stub_file(module) for module in modules()}
    for path, stub in stubs.items():
        rewrite_and_tell(path, stub)
