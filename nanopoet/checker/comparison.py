"""What is known of one task for `nanopoet compare`: stub, answer, solution, and the verdict."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from nanopoet.checker.misconceptions import Misconception
from nanopoet.checker.pieces import (
    Row,
    Statement,
    alone,
    one_side,
    side_by_side,
    signature_problems,
    statements,
)
from nanopoet.checker.source import (
    SOLUTIONS,
    Node,
    SourceError,
    find_node,
    names_given,
    nodes_used,
    read_source,
)
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import Task, load_tasks
from nanopoet.checker.trial import MISCONCEPTIONS
from nanopoet.checker.verdict import Verdict
from nanopoet.files import printable

NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)  # what parsing may raise
UNTOUCHED = "not touched yet"
Piece = list[Statement]


@dataclass(frozen=True)
class Block:
    """One piece of code, or two side by side, under their titles."""

    titles: tuple[str, ...]
    rows: list[Row]


@dataclass
class Comparison:
    """A task, what there is to see of it, and what is said about that."""

    task: Task
    contract: str
    stub: Piece
    answer: Piece | None = None
    solution: Piece | None = None  # None: it is not to be shown
    remark: str = ""  # why there is no answer
    signature: list[str] = field(default_factory=list)  # how the answer's differs
    verdict: Verdict | None = None

    @property
    def passed(self) -> bool:
        return self.verdict is not None and self.verdict.status == "pass"

    @property
    def untouched(self) -> bool:
        """Whether there is nothing to judge yet."""
        return self.verdict is None or self.verdict.status == "todo"

    @property
    def worth_showing(self) -> bool:
        """Whether there is more to see than the stub."""
        return self.answer is not None or self.solution is not None

    @cached_property
    def blocks(self) -> list[Block]:
        """What stands where: two pieces that can differ stand side by side."""
        pieces = {"stub": self.stub, "answer": self.answer, "solution": self.solution}
        there = {title: piece for title, piece in pieces.items() if piece is not None}
        pair = list(there)[-2:]
        if len(there) == 1 or (pair[0] == "stub" and self.task.kind != "bug"):
            return [Block((title,), alone(piece)) for title, piece in there.items()]
        beside = Block(tuple(pair), side_by_side(*(there[title] for title in pair)))
        if len(there) == 2:
            return [beside]
        stub = alone(self.stub)
        if self.task.kind == "bug":
            stub = one_side(side_by_side(self.stub, there["solution"]), 0)
        return [Block(("stub",), stub), beside]

    @property
    def notes(self) -> list[tuple[str, str]]:
        """What is said about the code, by label."""
        said = [("answer", self.remark)] if self.remark else []
        if self.answer is not None:
            problems = self.signature or ["as in the stub: names, order and defaults"]
            said += [("signature", problem) for problem in problems]
        if self.solution is None:
            said.append(("solution", "shown when the answer passes; --solution shows it now"))
        elif self.answer is not None:
            said.append(("solution", self.difference))
        return said

    @property
    def difference(self) -> str:
        """How much of an answer is not as in the solution, in words."""
        count = sum(row.differs for row in self.blocks[-1].rows)
        if not count:
            return "the same as the answer, once both are formatted"
        differs = f"differs from the answer in {count} place{'s' * (count > 1)}, marked ≠"
        return f"{differs}. Both pass." if self.passed else f"{differs}. Not all need be wrong."

    @property
    def explanation(self) -> list[tuple[str, str]]:
        """What is said beside the solution: which bug was hidden, and the hints."""
        if self.solution is None:
            return []
        hidden = [("the bug", f"{known.name}. {known.why}") for known in bugs(self.task)]
        return hidden + [(f"hint {number}", hint) for number, hint in enumerate(self.task.hints, 1)]


def bugs(task: Task) -> list[Misconception]:
    """The misconception that a bug hunt begins with; none for other tasks."""
    return [known for known in MISCONCEPTIONS[task.name] if known.stub]


def summary(comparisons: Sequence[Comparison]) -> str:
    """How many there are of each kind."""
    passed = sum(found.passed for found in comparisons)
    untouched = sum(found.untouched for found in comparisons)
    rest = len(comparisons) - passed - untouched
    return f"{passed} of {len(comparisons)} pass, {rest} fail, {untouched} not written yet"


# --- Reading -------------------------------------------------------------------------------------


def parts_of(source: bytes, task: Task) -> tuple[Node | None, list[ast.stmt]]:
    """The function or class of a task, and with it whatever else it uses in its file, other tasks
    aside. The last definition of a name counts."""
    body = ast.parse(source).body
    node = find_node(source, task.function)
    others = {other.function for other in load_tasks().values() if other.module == task.module}
    used = nodes_used(body, task.function, without=others)
    kept = [part for part in used if task.function not in names_given(part)]
    last = [part for part in used if task.function in names_given(part)][-1:]
    return node, sorted(kept + last, key=lambda part: part.lineno)


def own_parts(source: bytes, task: Task) -> tuple[Node | None, list[ast.stmt]]:
    """The same without what stood there when the file was handed out."""
    node, used = parts_of(source, task)
    return node, [
        part
        for part in used
        if task.function in names_given(part) or ast.dump(part) not in handed_out(task.module)
    ]


def piece(source: bytes, parts: list[ast.stmt]) -> Piece:
    """Some statements at the top of a file, as they are shown and compared."""
    rows = [row.decode() for row in source.removeprefix(b"\xef\xbb\xbf").splitlines()]
    found: Piece = []
    for part in parts:
        first, *rest = statements(part, rows)
        between = ("",) * bool(found) + first.lines
        found += [Statement(first.code, between), *rest]
    return found


@cache
def stub_source(module: str) -> bytes:
    return stub_file(module).encode()


@cache
def handed_out(module: str) -> frozenset[str]:
    """All that stands at the top of a file of exercises as a learner gets it."""
    return frozenset(ast.dump(part) for part in ast.parse(stub_source(module)).body)


def begin_comparison(task: Task) -> Comparison:
    """The stub alone, with its contract."""
    source = stub_source(task.module)
    node, _ = parts_of(source, task)
    assert node is not None
    method = find_node(source, task.method, within=node) if task.method else None
    said = [ast.get_docstring(part) or "" for part in (node, method) if part]
    return Comparison(task, "\n\n".join(said), piece(source, [node]))


def add_solution(comparison: Comparison) -> None:
    """Our way of doing it."""
    task = comparison.task
    source = read_source(SOLUTIONS / task.file)
    node, _ = parts_of(source, task)
    assert node is not None
    comparison.solution = piece(source, [node])


def add_answer(comparison: Comparison, root: Path) -> None:
    """What stands in a learner's file, or why it is not shown."""
    task = comparison.task
    wanted = find_node(stub_source(task.module), task.function)
    assert wanted is not None
    try:
        source = read_source(root / task.file)
        node, own = own_parts(source, task)
        answer = piece(source, own)
        comparison.signature = signature_problems(wanted, node or own[-1]) if own else []
    except SourceError as error:
        comparison.remark = printable(str(error).replace(f"{root}/", ""))
        comparison.verdict = Verdict(task.name, "error", comparison.remark, file=task.file)
        return
    except NO_PYTHON as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        comparison.remark = printable(f"{task.file}{line} is not Python: {reason(error)}")
        return
    if not own:
        comparison.remark = f"{task.file} defines no {task.function}"
    elif task.kind != "given" and codes(answer) == codes(comparison.stub):
        comparison.remark = UNTOUCHED
    else:
        comparison.answer = answer


def codes(found: Piece) -> list[str]:
    return [statement.code for statement in found]


def reason(error: BaseException) -> str:
    """Why a file could not be read as Python."""
    if isinstance(error, RecursionError | MemoryError):
        return "it is nested too deeply"
    return error.msg if isinstance(error, SyntaxError) else str(error)
