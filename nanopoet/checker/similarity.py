"""Which answers of a class are alike, beyond what the task, and most of the class, share.

An answer is a sequence of tokens without names, comments, docstrings and layout. What counts is how
many runs of tokens two submissions share, each by how rare it is in the class. It is no verdict: a
short function can be written in few ways, and two learners may have had the same book.
"""

import ast
import io
import keyword
import math
import tokenize
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations

from nanopoet.checker.comparison import NO_PYTHON, Piece, own_parts, piece, stub_source
from nanopoet.checker.pieces import Statement
from nanopoet.checker.source import Node
from nanopoet.checker.tasks import Task, load_tasks

RUN = 10  # tokens that count as one finding
COMMON = 30  # what more submissions share than this says nothing of two of them
PAIRS = 50  # are kept


@dataclass
class Pair:
    """Two submissions and what they share, task by task; the more, and the rarer, the more."""

    names: tuple[str, str]
    by_task: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        return sum(self.by_task.values())


# --- From an answer to runs of tokens ------------------------------------------------------------


def tokens(code: str) -> Iterator[str]:
    """A statement without the names somebody has chosen; what follows a dot is a library's.

    >>> " ".join(tokens("scores = q @ k.transpose(1, 2)"))
    'n = n @ n . transpose ( 1 , 2 )'
    """
    before = ""
    try:
        for kind, text, *_ in tokenize.generate_tokens(io.StringIO(code.strip()).readline):
            if kind == tokenize.NAME and not keyword.iskeyword(text) and before != ".":
                text = "n"
            if kind not in (tokenize.NEWLINE, tokenize.NL, tokenize.ENDMARKER, tokenize.INDENT):
                yield text
            before = text
    except (tokenize.TokenError, SyntaxError):  # half of a statement
        return


def normal(found: Piece) -> Piece:
    """Statements as they are compared here: the code without names, the lines as written."""
    return [
        Statement(" ".join(["    " * depth_of(s.code), *tokens(s.code)]), s.lines) for s in found
    ]


def depth_of(code: str) -> int:
    return (len(code) - len(code.lstrip(" "))) // 4


def answer_of(source: bytes, task: Task) -> Piece:
    """What somebody has written for a task; nothing if it is no Python."""
    try:
        return piece(source, own_parts(source, task)[1])
    except NO_PYTHON:
        return []


def runs(found: Piece) -> set[int]:
    """All runs of tokens of an answer, its first line aside: the task gives that."""
    said = [token for statement in found[1:] for token in (*tokens(statement.code), ";")]
    return {hash(tuple(said[i : i + RUN])) for i in range(len(said) - RUN + 1)}


@cache
def given_runs(module: str) -> frozenset[int]:
    """What was handed out."""
    source = stub_source(module)
    parts = [part for part in ast.parse(source).body if isinstance(part, Node)]
    return frozenset(run for part in parts for run in runs(piece(source, [part])))


# --- The class -----------------------------------------------------------------------------------


class Class:
    """The runs of tokens of all answers of a class; they take a few bytes each."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.answers: dict[str, dict[int, array]] = defaultdict(dict)  # by task and submission

    def add(self, name: str, sources: Mapping[str, bytes]) -> None:
        number = len(self.names)
        self.names.append(name)
        for task in load_tasks().values():
            if task.module in sources and task.kind != "given":
                found = runs(answer_of(sources[task.module], task)) - given_runs(task.module)
                if found:
                    self.answers[task.name][number] = array("q", found)

    def pairs(self) -> list[Pair]:
        """Pairs that share something, the most alike first."""
        shared: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
        for task, answers in self.answers.items():
            for (one, other), weight in alike(answers).items():
                shared[one, other][task] = weight
        pairs = [
            Pair((self.names[one], self.names[other]), weights)
            for (one, other), weights in shared.items()
        ]
        return sorted(pairs, key=lambda pair: (-round(pair.total, 6), pair.names))[:PAIRS]


def alike(answers: Mapping[int, Sequence[int]]) -> dict[tuple[int, int], float]:
    """By pair: the weights of the runs that both have. What all have weighs next to nothing."""
    holders: dict[int, list[int]] = defaultdict(list)
    for number, found in answers.items():
        for run in found:
            holders[run].append(number)
    # Many runs are held by the same few: they are counted together.
    groups = Counter(tuple(who) for who in holders.values() if 1 < len(who) <= COMMON)
    weights: dict[tuple[int, int], float] = defaultdict(float)
    for who, count in sorted(groups.items()):
        weight = count * math.log((len(answers) + 1) / len(who))
        for pair in combinations(who, 2):
            weights[pair] += weight
    return weights
