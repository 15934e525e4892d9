"""`python -m nanopoet.checker.stubs`: write exercises/ from solutions/ and the manifest.

An exercise is its solution without the answer, so signatures, docstrings and given code cannot
differ. A bug hunt begins with the bug: the misconception that is marked `stub`. An exercise that
somebody has worked on is not lost: a copy is kept, as by `nanopoet reset`.
"""

import ast
import inspect
import sys
import textwrap

from nanopoet.checker.tasks import Task, TaskError, load_tasks, modules
from nanopoet.checker.trial import MISCONCEPTIONS, load_checks
from nanopoet.paths import ROOT, announce_other_clone, exercises, refuse_other_clone

SOLUTIONS = ROOT / "solutions"

Node = ast.FunctionDef | ast.ClassDef


def find_node(source: str | bytes, name: str, within: ast.AST | None = None) -> Node | None:
    """The last function or class of that name at the top of a file, or of a class."""
    body = (within or ast.parse(source)).body  # type: ignore[attr-defined]
    found = [n for n in body if isinstance(n, Node) and n.name == name]
    return found[-1] if found else None


def lines_of(node: Node) -> tuple[int, int]:
    """Where a function or class stands, with its decorators: lines first … last - 1, from 0."""
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return first - 1, node.end_lineno or node.lineno


def answer_lines(source: str, task: Task) -> tuple[int, int]:
    """Where in a file the answer stands: the body after the docstring."""
    node = find_node(source, task.function)
    if node is not None and task.method:
        node = find_node(source, task.method, within=node)
    if node is None:
        raise TaskError(f"{task.file} has no {task.function} {task.method}".rstrip())
    first = node.body[0]
    if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
        raise TaskError(f"{task.name} has no docstring: its contract belongs there")
    return first.end_lineno or first.lineno, node.end_lineno or node.lineno


def stub_body(task: Task, indent: str) -> list[str]:
    """What stands in the place of the answer."""
    if task.kind != "bug":
        return [f"{indent}# TODO: your code", f'{indent}raise NotImplementedError("{task.name}")']
    (bug,) = (known for known in MISCONCEPTIONS[task.name] if known.stub)
    source = textwrap.dedent(inspect.getsource(bug.answer))
    (node,) = ast.parse(source).body
    if isinstance(node, ast.ClassDef):
        node = next(n for n in node.body if isinstance(n, Node) and n.name == task.method)
    assert isinstance(node, ast.FunctionDef)
    body = node.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    lines = source.split("\n")[body[0].lineno - 1 : node.end_lineno]
    return textwrap.indent(textwrap.dedent("\n".join(lines)), indent).split("\n")


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


def main() -> int:
    """Write all stubs; a file that holds something else, such as answers, is kept as a backup."""
    from nanopoet.checker.backup import rewrite_and_tell

    announce_other_clone()
    try:
        refuse_other_clone("NANOPOET_EXERCISES")
        stubs = {exercises() / f"{module}.py": stub_file(module) for module in modules()}
        for path, stub in stubs.items():
            rewrite_and_tell(path, stub)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
