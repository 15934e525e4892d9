"""Does a chapter give its tasks away? What stands above a task, unfolded, must not solve it."""

import ast
import contextlib
import io
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
import torch

from nanopoet.book.notebooks import ANSWER, TASK, chapter_paths, tags
from nanopoet.checker.judge import judge
from nanopoet.checker.misconceptions import solution
from nanopoet.checker.tasks import Task, load_tasks
from nanopoet.checker.trial import load_checks

Function = tuple[str, str]  # its name, and its source


def above_each_task(path) -> Iterator[tuple[Task, list[Function], list[ast.stmt]]]:
    """Each task that is to be written, with the functions above it that one can read, and all
    imports of the chapter so far."""
    functions: list[Function] = []
    imports: list[ast.stmt] = []
    tasks = [task for task in load_tasks().values() if task.kind == "write"]
    for cell in nbformat.read(path, as_version=4).cells:
        if TASK in tags(cell):
            for task in tasks:
                if f"`nanopoet check {task.name}`" in cell.source:
                    yield task, list(functions), list(imports)
        if cell.cell_type != "code":
            continue
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports.append(node)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef) and ANSWER not in tags(cell):
                functions.append((node.name, ast.unparse(node)))


def solves(task: Task, function: Function, imports: list[ast.stmt]) -> bool:
    """Whether a function, pasted in the place of the answer, passes the check."""
    name, source = function
    space: dict[str, Any] = dict(solution(task.module)[1])
    for node in imports:
        with contextlib.suppress(ImportError):
            exec(ast.unparse(node), space)
    try:
        exec(source, space)
        with contextlib.redirect_stdout(io.StringIO()):
            return judge(task.name, space[name], seed=1).status == "pass"
    except Exception:
        return False  # of another shape: it needs what stands around it


@pytest.mark.parametrize("path", chapter_paths(), ids=lambda path: path.stem)
def test_nothing_above_a_task_can_be_pasted_as_its_answer(path):
    torch.set_num_threads(1)
    tried = 0
    for task, functions, imports in above_each_task(path):
        load_checks(task.module)
        for function in functions:
            tried += 1
            assert not solves(task, function, imports), (task.name, function[0])
    assert tried >= 1


def test_a_pasted_answer_would_be_found():
    load_checks("attention")
    task = load_tasks()["attention.causal_mask"]
    right = "def other_name(T):\n    return torch.ones(T, T).tril() > 0"
    assert solves(task, ("other_name", right), [])
    assert not solves(task, ("other_name", right.replace("tril", "triu")), [])
