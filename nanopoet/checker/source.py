"""A learner's file as Python reads it: bytes in UTF-8, and lines that end where Python ends them.

Text is not cut into lines here: `str.splitlines` also ends them at form feeds and at U+2028, where
Python does not. `bytes.splitlines` and `ast.parse` of bytes count alike.
"""

import ast
import io
import os
import tokenize
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from nanopoet.checker.tasks import Task, TaskError
from nanopoet.paths import shipped

LARGEST = 2**20  # bytes; what is larger was not written by hand
SOLUTIONS = shipped("solutions")


class SourceError(ValueError):
    """A file that cannot be read as Python's source code, in one sentence."""


def read_source(path: Path) -> bytes:
    """The bytes of a file with exercises, as they are; a byte order mark is let pass.

    Raises `SourceError`: not there, not a file, not readable, too large, not in UTF-8.
    """
    try:
        if not os.path.lexists(path):
            raise SourceError(f"there is no {path}")
        if not path.exists():
            raise SourceError(f"{path} is a link to nowhere: {os.readlink(path)}")
        if not path.is_file():
            raise SourceError(f"{path} is {'a folder' if path.is_dir() else 'a device'}, no file")
        if (size := path.stat().st_size) > LARGEST:
            raise SourceError(
                f"{path} has {size:,} bytes, more than the {LARGEST:,} of an exercise"
            )
        source = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    try:
        source.decode("utf-8")
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    except UnicodeDecodeError as error:
        line = len(source[: error.start + 1].splitlines())
        raise SourceError(
            f"{path}:{line} is not UTF-8: save the file with the encoding UTF-8 in your editor"
        ) from error
    except SyntaxError as error:
        raise SourceError(f"{path}: {error.msg}: remove that line, UTF-8 needs none") from error
    if encoding not in ("utf-8", "utf-8-sig"):
        raise SourceError(
            f"{path} says that it is in {encoding}, and is in UTF-8: remove the line that says so"
        )
    return source


def line_of(path: Path, name: str) -> int:
    """The line where the last function or class of that name begins; 0 if there is none."""
    try:
        body = ast.parse(read_source(path)).body
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return 0
    nodes = (node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef))
    return max((node.lineno for node in nodes if node.name == name), default=0)


Node = ast.FunctionDef | ast.ClassDef


@lru_cache
def parsed(source: str | bytes) -> ast.Module:
    """The tree of a file, to be read and not changed: hundreds of answers are cut from one."""
    return ast.parse(source)


def find_node(source: str | bytes, name: str, within: ast.AST | None = None) -> Node | None:
    """The last function or class of that name at the top of a file, or of a class."""
    body = (within or parsed(source)).body  # type: ignore[attr-defined]
    found = [n for n in body if isinstance(n, Node) and n.name == name]
    return found[-1] if found else None


def names_used(node: ast.AST) -> set[str]:
    """All names that stand in a piece of code."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def names_given(node: ast.stmt) -> set[str]:
    """The names that a statement at the top of a file gives to something."""
    if isinstance(node, Node):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def nodes_used(body: list[ast.stmt], name: str, without: Collection[str] = ()) -> list[ast.stmt]:
    """A function or class with everything at the top of its file that it uses, in order.

    `without`: names that are not looked up.
    """
    wanted, used = {name}, set[int]()
    while True:  # what is used uses other things in its turn
        found = {i for i, node in enumerate(body) if names_given(node) & wanted} - used
        if not found:
            return [body[i] for i in sorted(used)]
        used |= found
        wanted = wanted.union(*(names_used(body[i]) for i in found)).difference(without)


def answer_code(source: str | bytes, name: str) -> str:
    """A function or class with everything at the top of its file that it uses, as bare code.

    Comments, layout and whatever else the file holds make no difference.

    >>> answer_code("def f(): return g()  # one; def h(): pass", "f")
    'def f():\\n    return g()'
    """
    return "\n".join(map(ast.unparse, nodes_used(ast.parse(source).body, name)))


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
