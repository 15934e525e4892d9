"""Code as a list of statements: each as it was written, to be shown, and formatted, to be compared.

Spaces, quotes, brackets, line breaks, comments, docstrings and annotations make no difference.
"""

import ast
import copy
import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from nanopoet.checker.source import Node, lines_of
from nanopoet.files import printable

# They let a line be read in another order than Python reads it.
DIRECTIONS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
BLOCKS = ("body", "handlers", "cases", "orelse", "finalbody")
WORDS = {"orelse": "else", "finalbody": "finally"}  # blocks that have a line but no node


@dataclass(frozen=True)
class Statement:
    """A statement, without those inside it."""

    code: str  # formatted, in the depth where it stands
    lines: tuple[str, ...] = ()  # as written, with the comments above


@dataclass(frozen=True)
class Row:
    """What stands side by side, one entry for each side, and whether it differs."""

    differs: bool
    sides: tuple[tuple[str, ...], ...]


def shown(line: str) -> str:
    """A line of code that a terminal and a page can show, and that looks as Python reads it."""
    line = DIRECTIONS.sub(lambda found: f"\\u{ord(found[0]):04x}", line.expandtabs(4))
    return printable(line).rstrip()


# --- From source to statements -------------------------------------------------------------------


def begin(node: ast.AST) -> int:
    """The first line of a statement, a handler or a case."""
    if isinstance(node, Node):
        return lines_of(node)[0] + 1
    return node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno  # type: ignore[attr-defined]


def end(node: ast.AST) -> int:
    return end(node.body[-1]) if isinstance(node, ast.match_case) else node.end_lineno  # type: ignore[attr-defined]


def is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def header(node: ast.AST) -> str:
    """A statement without those inside it, formatted; a function without its annotations."""
    bare = copy.copy(node)
    for name in BLOCKS:
        if isinstance(getattr(bare, name, None), list):
            setattr(bare, name, [])
    if isinstance(bare, ast.FunctionDef | ast.AsyncFunctionDef):
        bare.args, bare.returns = copy.deepcopy(bare.args), None
        for part in ast.walk(bare.args):
            if isinstance(part, ast.arg):
                part.annotation = None
    return ast.unparse(bare).strip()


def walk(
    nodes: Sequence[ast.AST], rows: list[str], depth: int = 0
) -> Iterator[tuple[str, int, int]]:
    """(formatted, first line, last line) of all statements; docstrings have no code, and an `elif`
    is an `else` without lines of its own."""
    for node in nodes:
        blocks = {name: getattr(node, name, None) for name in BLOCKS}
        inner = {name: block for name, block in blocks.items() if isinstance(block, list) and block}
        last = begin(next(iter(inner.values()))[0]) - 1 if inner else end(node)
        while inner and last > begin(node) and rows[last - 1].strip()[:1] in ("", "#"):
            last -= 1  # a comment belongs to what it stands above
        code = "" if is_docstring(node) else "    " * depth + header(node)
        yield code, begin(node), max(last, begin(node))
        done = last
        for name, block in inner.items():
            if word := WORDS.get(name):
                places = range(begin(block[0]), done, -1)
                line = next((n for n in places if rows[n - 1].lstrip().startswith(word)), done)
                yield "    " * depth + f"{word}:", line, line if line > done else line - 1
            yield from walk(block, rows, depth + 1)
            done = end(block[-1])


def statements(node: ast.AST, rows: list[str]) -> list[Statement]:
    """A statement at the top of a file whose lines are `rows`, and all those inside it."""
    parts = list(walk([node], rows))
    begun = [first for _, first, last in parts if last >= first]
    found, done, after_docstring = [], begin(node) - 1, False
    for number, (code, first, last) in enumerate(parts):
        # What shares a line with something else is shown as it is compared, with its `else`.
        alone = begun.count(first) == 1 and first > done
        if last < first:
            written = code.split("\n") if begun.count(parts[number + 1][1]) > 1 else []
        else:
            written = rows[done:last] if alone else code.split("\n")
        lines = [shown(row) for row in written]
        while after_docstring and lines and not lines[0]:
            lines.pop(0)
        if code:
            found.append(Statement(code, tuple(lines)))
        done, after_docstring = max(done, last), not code
    return found


# --- Side by side --------------------------------------------------------------------------------


def alone(piece: Sequence[Statement]) -> list[Row]:
    """One piece of code with nothing beside it."""
    return [Row(False, (statement.lines,)) for statement in piece]


def side_by_side(left: Sequence[Statement], right: Sequence[Statement]) -> list[Row]:
    """Two pieces of code: what is the same in a row each, and what differs in one."""
    mine, ours = ([statement.code for statement in piece] for piece in (left, right))
    found = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, mine, ours, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs = zip(left[a:b], right[c:d], strict=True)
            found += [Row(False, (one.lines, other.lines)) for one, other in pairs]
        else:
            sides = (left[a:b], right[c:d])
            found.append(Row(True, tuple(sum((s.lines for s in side), ()) for side in sides)))
    return [row for row in found if any(row.sides)]


def one_side(rows: Sequence[Row], side: int) -> list[Row]:
    """A column of what stands side by side."""
    return [Row(row.differs, (row.sides[side],)) for row in rows if row.sides[side]]


# --- Signatures ----------------------------------------------------------------------------------


def parameters(arguments: ast.arguments) -> dict[str, tuple[str, str]]:
    """By name, in order: of which kind it is, and its default."""
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + arguments.defaults
    kinds = {
        "positional only": zip(arguments.posonlyargs, defaults, strict=False),
        "": zip(arguments.args, defaults[len(arguments.posonlyargs) :], strict=True),
        "*": [(arguments.vararg, None)],
        "keyword only": zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        "**": [(arguments.kwarg, None)],
    }
    return {
        part.arg: (kind, ast.unparse(default) if default else "")
        for kind, parts in kinds.items()
        for part, default in parts
        if part
    }


def function_problems(wanted: ast.arguments, got: ast.arguments) -> list[str]:
    """How the parameters of a function differ from those of its stub, a sentence each."""
    right, own = parameters(wanted), parameters(got)
    found = []
    if right.keys() == own.keys() and list(right) != list(own):
        found.append(f"the order is ({', '.join(own)}); in the stub ({', '.join(right)})")
    lacking = [name for name in right if name not in own]
    new = [name for name in own if name not in right]
    for old, other in zip_longest(lacking, new):
        if old and other:
            found.append(f"`{old}` of the stub is called `{other}`")
        else:
            found.append(f"`{old}` of the stub is missing" if old else f"`{other}` is new")
    for name in right.keys() & own.keys():
        (kind, default), (own_kind, own_default) = right[name], own[name]
        if kind != own_kind:
            found.append(f"`{name}` is {own_kind or 'plain'}; in the stub {kind or 'plain'}")
        if default != own_default:
            said = f"has the default {own_default}" if own_default else "has no default"
            found.append(f"`{name}` {said}; in the stub {default or 'it has none'}")
    return found


def signature_problems(stub: ast.AST, answer: ast.AST) -> list[str]:
    """How a function, or the methods of a class, can be called otherwise than in the stub."""
    if isinstance(stub, ast.ClassDef) and isinstance(answer, ast.ClassDef):
        own = {node.name: node for node in answer.body if isinstance(node, ast.FunctionDef)}
        found = []
        for node in stub.body:
            if isinstance(node, ast.FunctionDef):
                if node.name not in own:
                    found.append(f"there is no method `{node.name}`")
                    continue
                problems = function_problems(node.args, own[node.name].args)
                found += [f"{node.name}: {problem}" for problem in problems]
        return found
    if isinstance(stub, ast.FunctionDef) and isinstance(answer, ast.FunctionDef):
        return function_problems(stub.args, answer.args)
    kinds = {ast.FunctionDef: "a function", ast.ClassDef: "a class"}
    said = kinds.get(type(answer), "neither a function nor a class")
    return [f"it is {said}; in the stub {kinds[type(stub)]}"]
