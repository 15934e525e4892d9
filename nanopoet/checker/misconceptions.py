"""Known wrong answers (checks/NAME.toml), written as changes of the solution.

    [causal_mask."upper triangle"]
    change = [".tril()", ".triu()"]
    why = "Your rows see what comes after them. A poem is written forwards."

`change` lists pairs: what stands in the solution's answer, exactly once, and what takes its place.
Where the thinking is another one, `body` is the whole answer, below signature and docstring, or
`code` the whole function or class. `wrap` names what is done to the result (`WRAPS`): most tasks
can lose their gradients, say. `stub` marks the bug that a bug hunt begins with. A `prelude` at the
top of a file holds functions that several of its answers use.
"""

import textwrap
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from nanopoet.checker.source import SOLUTIONS, answer_lines, find_node, lines_of
from nanopoet.checker.tasks import Task, load_tasks
from nanopoet.paths import shipped

Answer = Callable[..., Any]
FOLDER = shipped("checks")
KEYS = ("change", "body", "code", "wrap", "why", "stub")


class MisconceptionError(ValueError):
    """An entry that does not fit its solution, with the place."""


def apply_changes(text: str, change: list[str] | tuple[str, ...]) -> str:
    """Replace pairs one after the other; what is to be replaced must stand there exactly once.

    >>> apply_changes("return mask.tril()", [".tril()", ".triu()"])
    'return mask.triu()'

    Raises:
        MisconceptionError: a part stands nowhere or more than once, or has no partner.
    """
    if len(change) % 2:
        raise MisconceptionError(f"{len(change)} parts are no pairs")
    for old, new in zip(change[::2], change[1::2], strict=True):
        if (times := text.count(old)) != 1:
            raise MisconceptionError(f"{old!r} stands there {times} times, not once")
        text = text.replace(old, new)
    return text


# --- What can be done to the result of any answer ------------------------------------------------


def each_tensor(change: Callable[[Tensor], Any]) -> Callable[[Answer], Answer]:
    """A wrap that changes every tensor of a result, in tuples, lists and dicts, too."""

    def on(value: Any) -> Any:
        if isinstance(value, Tensor):
            return change(value)
        if isinstance(value, Mapping):
            return {key: on(item) for key, item in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(on, value))
        if isinstance(value, list | tuple):
            return type(value)(map(on, value))
        return value

    def wrap(answer: Answer) -> Answer:
        return lambda *args, **options: on(answer(*args, **options))

    return wrap


WRAPS: dict[str, Callable[[Answer], Answer]] = {
    "no_grad": torch.no_grad(),
    "float32": each_tensor(lambda x: x.float() if x.is_floating_point() else x),
    "float64": each_tensor(lambda x: x.double() if x.is_floating_point() else x),
    "to_list": each_tensor(lambda x: x.tolist()),
    "rounded": each_tensor(lambda x: x.round(decimals=2) if x.is_floating_point() else x),
    "negated": each_tensor(lambda x: -x),
    "no_return": lambda answer: lambda *args, **options: [answer(*args, **options), None][1],
}


# --- Solutions, and answers made of them ---------------------------------------------------------


@cache
def solution(module: str) -> tuple[str, dict[str, Any]]:
    """The source of a file of solutions, and what stands in it when it has run."""
    path = SOLUTIONS / f"{module}.py"
    source = path.read_text(encoding="utf-8")
    made = ModuleType(f"solution_of_{module}")
    exec(compile(source, str(path), "exec"), made.__dict__)
    return source, made.__dict__


@dataclass(frozen=True)
class Misconception:
    """A wrong answer that people do give, with its name and one or two sentences about it."""

    task: Task
    name: str
    why: str
    change: tuple[str, ...] = ()
    body: str = ""
    code: str = ""
    wrap: str = ""
    stub: bool = False
    prelude: Mapping[str, Any] = field(default_factory=dict, repr=False)  # what stood there, run

    def __post_init__(self) -> None:
        ways = [bool(self.change), bool(self.body), bool(self.code)]
        if sum(ways) > 1 or not (any(ways) or self.wrap):
            raise MisconceptionError(f"{self}: one of change, body, code; or wrap")
        if self.wrap and self.wrap not in WRAPS:
            raise MisconceptionError(f"{self}: wrap is one of {', '.join(WRAPS)}")

    def __str__(self) -> str:
        return f'{self.task.module}.toml, [{self.task.function}."{self.name}"]'

    @cached_property
    def lines(self) -> str:
        """What stands in the place of the answer, indented as there."""
        source, _ = solution(self.task.module)
        first, last = answer_lines(source, self.task)
        right = source.split("\n")[first:last]
        if self.body:
            begin = next(filter(str.strip, right))  # a blank line may stand before it
            indent = " " * (len(begin) - len(begin.lstrip()))
            return textwrap.indent(textwrap.dedent(self.body).strip("\n"), indent)
        try:
            return apply_changes("\n".join(right), self.change)
        except MisconceptionError as error:
            raise MisconceptionError(f"{self}: {error}") from error

    @cached_property
    def source(self) -> str:
        """The whole function or class, with the wrong answer in it."""
        if self.code:
            return self.code
        source, _ = solution(self.task.module)
        rows = source.split("\n")
        first, last = answer_lines(source, self.task)
        node = find_node(source, self.task.function)
        assert node is not None
        start, end = lines_of(node)
        return "\n".join([*rows[start:first], self.lines, *rows[last:end]])

    @cached_property
    def answer(self) -> Answer:
        """The wrong answer as a function or class that can be run."""
        _, around = solution(self.task.module)
        space = {**around, **self.prelude}
        try:
            exec(compile(self.source, f"<{self}>", "exec"), space)
        except SyntaxError as error:
            raise MisconceptionError(f"{self}: {error}") from error
        return wrapped(space[self.task.function], self.task, self.wrap)


def wrapped(answer: Any, task: Task, wrap: str) -> Answer:
    """An answer, or the method of it that is the task, wrapped."""
    if not wrap:
        return answer
    if not task.method:
        return WRAPS[wrap](answer)
    method = WRAPS[wrap](getattr(answer, task.method))
    return type(answer.__name__, (answer,), {task.method: method})


@cache
def misconceptions(module: str, folder: Path = FOLDER) -> dict[str, list[Misconception]]:
    """The known wrong answers of a file, by task. They are built when they are first asked for.

    Raises:
        MisconceptionError: an entry names no task, or has a key that there is not.
    """
    path = folder / f"{module}.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    # Run now, where the reference can still be imported: where answers are judged it cannot.
    prelude = dict(solution(module)[1])
    exec(compile(table.pop("prelude", ""), f"<prelude of {path.name}>", "exec"), prelude)
    found: dict[str, list[Misconception]] = {}
    for function, entries in table.items():
        task = load_tasks().get(f"{module}.{function}")
        if task is None:
            raise MisconceptionError(f"{path.name}: there is no task {module}.{function}")
        group = found.setdefault(task.name, [])
        for name, entry in entries.items():
            if unknown := set(entry) - set(KEYS):
                raise MisconceptionError(f'{path.name}, [{function}."{name}"]: {unknown} is no key')
            fields = entry | {"change": tuple(entry.get("change", ()))}
            group.append(Misconception(task, name, **fields, prelude=prelude))
    return found
