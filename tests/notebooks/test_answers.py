"""Does a chapter give its tasks away? What stands above a task, unfolded, must not solve it."""

import ast
import contextlib
import difflib
import io
import keyword
import textwrap
import tokenize
from collections.abc import Iterator
from typing import Any, NamedTuple

import nbformat
import pytest
import torch

from nanopoet.book.notebooks import ANSWER, TASK, chapter_paths, tags
from nanopoet.checker.misconceptions import solution
from nanopoet.checker.source import answer_lines
from nanopoet.checker.tasks import Task, load_tasks
from nanopoet.checker.trial import load_checks
from tests.checker.rehearsed import judge

Function = tuple[str, str]  # its name, and its source
each_module = pytest.mark.parametrize(  # chapter 00 has none, and no task to write
    "path", chapter_paths()[1:], ids=lambda path: path.stem
)


class Above(NamedTuple):
    """What a reader of a chapter has seen when a task comes."""

    functions: list[Function]  # that are not folded
    cells: list[str]  # that are not folded
    imports: list[ast.stmt]


def above_each_task(path) -> Iterator[tuple[Task, Above]]:
    """Each task that is to be written, with what stands above it."""
    functions: list[Function] = []
    cells: list[str] = []
    imports: list[ast.stmt] = []
    tasks = [task for task in load_tasks().values() if task.kind == "write"]
    for cell in nbformat.read(path, as_version=4).cells:
        if TASK in tags(cell):
            for task in tasks:
                if f"`nanopoet check {task.name}`" in cell.source:
                    yield task, Above(list(functions), list(cells), list(imports))
        if cell.cell_type != "code":
            continue
        if ANSWER not in tags(cell):
            cells.append(cell.source)
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
    except Exception:
        return False  # of another shape: it needs what stands around it
    with contextlib.redirect_stdout(io.StringIO()):
        return judge(task.name, space[name], seed=1).status == "pass"


@each_module
def test_nothing_above_a_task_can_be_pasted_as_its_answer(path):
    torch.set_num_threads(1)
    tried = 0
    for task, above in above_each_task(path):
        load_checks(task.module)
        for function in above.functions:
            tried += 1
            assert not solves(task, function, above.imports), (task.name, function[0])
    assert tried >= 1


def test_a_pasted_answer_would_be_found():
    load_checks("attention")
    task = load_tasks()["attention.causal_mask"]
    right = "def other_name(T):\n    return torch.ones(T, T).tril() > 0"
    assert solves(task, ("other_name", right), [])
    assert not solves(task, ("other_name", right.replace("tril", "triu")), [])


# --- Copies in other words

RUN = 6  # tokens in a row that are the same in both
SHARE = 0.6  # of an answer that may stand above it, in such runs
SHORT = 20  # tokens: so short an answer is like many lines


def tokens(source: str) -> list[str]:
    """Code as a list of tokens; names of one's own are all alike, those after a dot are not."""
    found: list[str] = []
    last = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            own = not keyword.iskeyword(token.string) and last != "."
            found.append("name" if own else token.string)
        elif token.type in (tokenize.OP, tokenize.NUMBER):
            found.append(token.string)
        elif token.type == tokenize.STRING:
            found.append("text")
        else:
            continue
        last = token.string
    return found


def answer_of(task: Task) -> list[str]:
    """The tokens of a solution, below its docstring."""
    source, _ = solution(task.module)
    first, last = answer_lines(source, task)
    return tokens(textwrap.dedent("\n".join(source.split("\n")[first:last])))


def given_away(answer: list[str], cell: list[str]) -> float:
    """How much of an answer stands in a cell, in runs."""
    blocks = difflib.SequenceMatcher(None, answer, cell, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= RUN) / len(answer)


@each_module
def test_no_cell_above_a_task_holds_most_of_its_answer(path):
    compared = 0
    for task, above in above_each_task(path):
        answer = answer_of(task)
        for cell in above.cells:
            if len(answer) > SHORT:
                compared += 1
                assert given_away(answer, tokens(cell)) < SHARE, f"{task.name}:\n{cell}"
    assert compared >= 1


def test_a_copy_in_other_words_would_be_found():
    answer = tokens("mask = torch.ones(T, T).tril()\nreturn scores.masked_fill(mask == 0, -1e9)")
    copy = tokens("m = torch.ones(8, 8).tril()\ns = s.masked_fill(m == 0, -1e9)\nprint(s)")
    assert given_away(answer, copy) > SHARE
    assert given_away(answer, tokens("mask = torch.eye(T)\nprint(mask.sum(), T)")) < 0.3
