"""What a check is made of: an answer beside the reference, on inputs that both see.

A check is a function of a `Trial`, registered with `@check` in checks/. It asks the same of the
answer and of the reference (`same`, `compare`) and states what must hold (`require`,
`for_all`). Known wrong answers stand beside it in checks/NAME.toml.
"""

import copy
import importlib.util
import random
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import numpy as np
import torch
from torch import Tensor

from nanopoet.checker.difference import Difference, compare_values, item_of, shorten
from nanopoet.checker.door import Answer, AnswerError, Door, Rehearsal, Use
from nanopoet.checker.misconceptions import Misconception, misconceptions
from nanopoet.paths import shipped

Call = tuple[tuple[Any, ...], dict[str, Any]]  # what an answer was called with


Check = Callable[["Trial"], None]


@dataclass
class Checked:
    """How a task is checked: what a right answer does, and its checks by name."""

    reference: Answer
    checks: dict[str, Check] = field(default_factory=dict)


CHECKS: dict[str, Checked] = {}
MISCONCEPTIONS: dict[str, list[Misconception]] = {}


def check(task: str, reference: Answer | None = None) -> Callable[[Check], Check]:
    """Register a check: `@check("attention.causal_mask", reference=causal_mask)`.

    A task may have several, for one aspect each; the first brings the reference. In reports a check
    is called as its function is, in words.
    """

    def register(run: Check) -> Check:
        if (reference is None) == (task not in CHECKS):
            raise ValueError(f"{task}: the first check, and no other, brings the reference")
        if reference is not None:
            CHECKS[task] = Checked(reference)
        CHECKS[task].checks[run.__name__.replace("_", " ")] = run
        return run

    return register


def load_checks(module: str) -> None:
    """The checks and the misconceptions of a module such as "attention", read once."""
    name, path = f"checks.{module}", shipped("checks") / f"{module}.py"
    if name in sys.modules:
        return
    # By its path: another project may have a package "checks", too.
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    MISCONCEPTIONS.update(misconceptions(module))


def rehearse(task: str, answer: Answer) -> Rehearsal:
    """The door to an answer that runs here: one that is known, and not hostile."""
    return Rehearsal(answer, CHECKS[task].reference)


# --- Trials -----------------------------------------------------------------------------------


def tensors_in(value: Any) -> list[Tensor]:
    """All floating tensors of a nested result, in order."""
    if isinstance(value, Tensor):
        return [value] if value.is_floating_point() else []
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


def copied(value: Any) -> Any:
    """A copy of an argument that shares nothing with it; a tensor keeps its wish for gradients."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(copied, value))
    if isinstance(value, list | tuple):
        return type(value)(map(copied, value))
    return copy.deepcopy(value)


def gradients(result: Any, inputs: list[Tensor]) -> list[Tensor]:
    """Gradients of a fixed mixture of all results, by each input (0 where there is none)."""
    mixture = sum(
        (tensor * torch.arange(1.0, tensor.numel() + 1, dtype=tensor.dtype).cos().view_as(tensor))
        .nan_to_num(neginf=0.0, posinf=0.0)
        .sum()
        for tensor in tensors_in(result)
        if tensor.requires_grad
    )
    if not isinstance(mixture, Tensor):
        return [torch.zeros_like(tensor) for tensor in inputs]
    found = torch.autograd.grad(mixture, inputs, allow_unused=True)
    return [
        torch.zeros_like(tensor) if grad is None else grad
        for tensor, grad in zip(inputs, found, strict=True)
    ]


AFTERWARDS = "the input afterwards"
KEPT = Tensor | np.ndarray | list | dict  # arguments that could be written into


@dataclass
class Outcome:
    """What an answer did at one comparison, and whether it was right."""

    right: bool
    result: Any
    place: tuple[str, int] = ("", 0)  # the check, and the number of the comparison in it


class Draws:
    """Random inputs, all drawn from `seed`: what goes to an answer's process of a trial."""

    def __init__(self, seed: int, collecting: bool = False) -> None:
        self.seed, self.collecting = seed, collecting
        self.generator = torch.Generator().manual_seed(seed)
        self.random = random.Random(seed)

    def randn(self, *shape: int, grad: bool = False, dtype: torch.dtype = torch.float64) -> Tensor:
        """Normal numbers; with `grad`, gradients by them are compared, too."""
        numbers = torch.randn(shape, generator=self.generator, dtype=dtype)
        return numbers.requires_grad_(grad)

    def randint(self, high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=self.generator)


def draws_from(seed: int, collecting: bool, torch_state: Tensor, state: Any) -> Draws:
    """Draws that go on where others are."""
    draws = Draws(seed, collecting)
    draws.generator.set_state(torch_state)
    draws.random.setstate(state)
    return draws


class Trial(Draws):
    """One answer on one set of inputs, all drawn from `seed`.

    `collecting` goes on after a difference, to see what else the answer does; for that, a few
    examples of each property are enough. `on_outcome` is told of every outcome. `name` is that of
    the check.
    """

    def __init__(
        self,
        door: Door,
        reference: Answer,
        seed: int,
        collecting: bool = False,
        on_outcome: Callable[[Outcome], None] | None = None,
        expected: dict[tuple, dict[str, Any]] | None = None,
        name: str = "",
    ) -> None:
        super().__init__(seed, collecting)
        self.door, self.reference = door, reference
        self.on_outcome = on_outcome
        self.expected = {} if expected is None else expected  # by place
        self.name = name
        self.call: Call | None = None  # what the answer was called with, where this is known
        self.compared = False  # the last thing was a comparison by `compare`
        self.outcomes: list[Outcome] = []

    def __reduce__(self) -> Any:
        """What draws goes to an answer's process; the reference and what is expected do not."""
        state = self.generator.get_state(), self.random.getstate()
        return draws_from, (self.seed, self.collecting, *state)

    def ask(self, use: Use) -> Any:
        """What `use` makes of the answer, as plain data, with nothing to compare it with."""
        self.call, self.compared = None, False
        return self.door.ask(use)

    def last_call(self) -> Call | None:
        """The one call of the answer that went wrong, if it was one."""
        if self.compared and len(calls := self.door.calls()) == 1:
            args, kwargs = calls[0]
            return tuple(args), kwargs
        return self.call

    @property
    def place(self) -> tuple[str, int]:
        """Where the next comparison stands."""
        return self.name, len(self.outcomes)

    def note(self, difference: Difference | None, result: Any) -> None:
        """Keep one outcome; a wrong one ends the check, unless all are collected."""
        self.outcomes.append(Outcome(difference is None, result, self.place))
        if self.on_outcome:
            self.on_outcome(self.outcomes[-1])
        if difference is not None and not self.collecting:
            raise difference

    def same(
        self,
        *args: Any,
        why: str,
        name: str = "the result",
        parts: tuple[str, ...] = (),
        rtol: float = 1e-5,
        atol: float = 1e-7,
        **kwargs: Any,
    ) -> Any:
        """The answer must give for these arguments what the reference gives, gradients included.

        Both get copies, and must leave them as they are. A result of several things may name its
        `parts`. Returns what the answer gave.
        """

        def use(function: Answer) -> Any:
            given, named = copied(args), copied(kwargs)
            result = function(*given, **named)
            leaves = [t for t in tensors_in([given, named]) if t.requires_grad]
            found = {name: result, AFTERWARDS: [a for a in given if isinstance(a, KEPT)]}
            if leaves:
                found["the gradient"] = gradients(result, leaves)
            return found

        self.call, self.compared = (args, kwargs), False
        try:
            return self._compare(use, why, rtol, atol)[name]
        except Difference as difference:
            for i, part in enumerate(parts):
                difference.symptom = difference.symptom.replace(item_of(name, i), part)
            raise

    def compare(
        self,
        use: Callable[[Answer], Any],
        why: str,
        name: str = "the result",
        rtol: float = 1e-5,
        atol: float = 1e-7,
    ) -> Any:
        """What `use` makes of the answer must equal what it makes of the reference."""
        self.call, self.compared = None, True
        return self._compare(lambda function: {name: use(function)}, why, rtol, atol)[name]

    def equals(self, got: Any, expected: Any, why: str, name: str) -> None:
        """What was made of the answer's results must be `expected`."""
        self.call, self.compared = None, False
        self.expected[self.place] = {name: expected}
        self._judge({name: got}, why, 1e-5, 1e-7)

    def _compare(
        self, use: Callable[[Answer], dict[str, Any]], why: str, rtol: float, atol: float
    ) -> dict[str, Any]:
        if self.place not in self.expected:
            self.expected[self.place] = use(self.reference)
        try:
            got = self.door.ask(use)
        except (AnswerError, Difference) as error:
            if not self.collecting:
                raise
            expected = self.expected[self.place]
            self.note(Difference(str(error)), error)
            return expected
        return self._judge(got, why, rtol, atol)

    def _judge(self, got: dict[str, Any], why: str, rtol: float, atol: float) -> dict[str, Any]:
        """Hold a result against what is expected at this place."""
        try:
            for name, value in self.expected[self.place].items():
                compare_values(name, value, got[name], rtol, atol)
        except Difference as difference:
            difference.why = why
            if AFTERWARDS in difference.symptom:  # or an item of it, however deep
                difference.symptom = "writes into what it was given"
                difference.why = "whoever calls still needs it: make a new one, leave the old one"
            self.note(difference, got)
        else:
            self.note(None, got)
        return got

    def predicts(self, whys: Mapping[str, str], exact: Collection[str]) -> None:
        """Compare predicted numbers one after the other: the first wrong one is to be explained.

        Those not in `exact` may be off by a thousandth. What is expected is not shown: it is to be
        worked out, and not copied.
        """
        self.compare(
            lambda f: set(f()),
            why=f"{len(whys)} numbers, under these names",
            name="the set of names in the dictionary",
        )
        for key, why in whys.items():

            def number(answer: Answer, key: str = key) -> Any:
                return answer()[key]

            near = {"rtol": 0.0, "atol": 1e-6} if key in exact else {"rtol": 1e-3}
            try:
                self.compare(number, why=why, name=f'"{key}"', **near)
            except Difference as difference:
                difference.expected = "another number"
                raise
            if not self.outcomes[-1].right:
                return

    def refuses(self, *args: Any, why: str, error: type[Exception] = ValueError, **kw: Any) -> None:
        """The answer must raise `error` for these arguments."""
        self.call, self.compared = (args, kw), False
        try:
            result = self.door.ask(lambda function: function(*copied(args), **copied(kw)))
        except AnswerError as raised:
            name = raised.kinds[0]
            if error.__name__ in raised.kinds:
                self.note(None, error())
            elif name == "NotImplementedError":
                raise
            else:
                got = f"{name}: {raised}"
                self.note(Difference(f"raises {name}", error.__name__, got, why), raised)
        else:
            wrong = Difference("raises no error", error.__name__, shorten(result), why)
            self.note(wrong, None)

    def require(
        self, holds: bool, symptom: str, why: str, expected: str = "", got: str = ""
    ) -> None:
        """Something that must hold of the answer's results; `symptom` says what is wrong."""
        self.call, self.compared = None, False
        holds = bool(holds)
        self.note(None if holds else Difference(symptom, expected, got, why), holds)

    def for_all(self, examples: int = 25, **strategies: Any) -> Callable[[Callable], None]:
        """Run a property at once, on many inputs by hypothesis; the smallest failure is shown."""

        def run(held: Callable[..., None]) -> None:
            settings = hypothesis.settings(
                max_examples=min(examples, 6) if self.collecting else examples,
                deadline=None,
                database=None,
                phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
                suppress_health_check=list(hypothesis.HealthCheck),
                report_multiple_bugs=False,
                print_blob=False,
            )
            with_inputs = hypothesis.given(**strategies)(held)
            hypothesis.seed(self.seed)(settings(with_inputs))()

        return run
