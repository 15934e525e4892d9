"""What a check is made of: an answer beside the reference, on inputs that both see.

A check is a function of a `Trial`, registered with `@check` in tests/exercises/. It asks the same
of the answer and of the reference (`same`, `compare`) and states what must hold (`require`,
`for_all`). A known wrong answer is registered with `@misconception` in tests/misconceptions/. When
an answer fails, the check runs again on each of them: if one fails with the same results, the
verdict names it.
"""

import copy
import importlib.util
import math
import random
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import hypothesis
import numpy as np
import torch
from torch import Tensor

from nanopoet.tasks import load_tasks
from nanopoet.verdict import ROOT, Verdict

Answer = Callable[..., Any]


@dataclass(frozen=True)
class Check:
    """How a task is checked, and what a right answer does."""

    task: str
    run: Callable[["Trial"], None]
    reference: Answer


@dataclass(frozen=True)
class Misconception:
    """A wrong answer that people do give, with its name and one or two sentences about it."""

    task: str
    name: str
    explanation: str
    answer: Answer
    stub: bool  # the bug that the learner is given to find


CHECKS: dict[str, Check] = {}
MISCONCEPTIONS: dict[str, list[Misconception]] = {}


def check(task: str, reference: Answer) -> Callable[[Callable[["Trial"], None]], Any]:
    """Register a check: `@check("attention.causal_mask", reference=causal_mask)`."""

    def register(run: Callable[["Trial"], None]) -> Callable[["Trial"], None]:
        if task in CHECKS:
            raise ValueError(f"{task} has two checks")
        CHECKS[task] = Check(task, run, reference)
        return run

    return register


def misconception(
    task: str, name: str, explanation: str, stub: bool = False
) -> Callable[[Answer], Answer]:
    """Register a wrong answer; with `stub` it is also what the exercise begins with."""

    def register(answer: Answer) -> Answer:
        known = MISCONCEPTIONS.setdefault(task, [])
        known.append(Misconception(task, name, explanation, answer, stub))
        return answer

    return register


def load_checks(module: str) -> None:
    """Import the checks and the misconceptions of a module such as "attention", once."""
    for folder in ("exercises", "misconceptions"):
        name = f"tests.{folder}.{module}"
        if name in sys.modules:
            continue
        # By path: a package of another project may be called "tests", too.
        path = ROOT / "tests" / folder / f"{module}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec
        assert spec.loader
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


# --- Comparing --------------------------------------------------------------------------------


@dataclass(eq=False)
class Difference(Exception):  # noqa: N818 (not an error of the program)
    """The first thing that is not as expected."""

    symptom: str
    expected: str = ""
    got: str = ""
    why: str = ""
    images: tuple[list, list] | None = None  # expected and got, when they are matrices


def shorten(value: object, limit: int = 70) -> str:
    """A value on one short line."""
    if isinstance(value, np.generic):
        value = value.item()
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def numbers(row: np.ndarray) -> str:
    """A few numbers in a row, as in 0.61 0.27 0.12."""
    if row.dtype.kind in "biu":
        cells = [str(int(value)) for value in row[:12]]
    else:
        cells = [f"{value:.4g}" for value in row[:8]]
    return " ".join(cells) + (" …" if len(row) > len(cells) else "")


def kind_of(dtype: np.dtype) -> str:
    return {"b": "booleans", "i": "integers", "u": "integers", "f": "floats"}.get(
        dtype.kind, str(dtype)
    )


def as_array(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach()
        return (value.double() if value.is_floating_point() else value).cpu().numpy()
    return np.asarray(value)


def compare_arrays(where: str, expected: Any, got: Any, rtol: float, atol: float) -> None:
    """Raise the first `Difference` of two arrays: type, shape, dtype, NaN, then values."""
    if isinstance(expected, Tensor) and not isinstance(got, Tensor):
        raise Difference(f"{where} is of type {type(got).__name__}", "a torch.Tensor", shorten(got))
    try:
        want, have = as_array(expected), as_array(got)
    except (ValueError, TypeError) as error:
        raise Difference(f"{where} is not an array", shorten(expected), shorten(got)) from error
    if have.shape != want.shape:
        raise Difference(f"{where} has the wrong shape", str(want.shape), str(have.shape))
    if kind_of(want.dtype) != kind_of(have.dtype) and want.size:
        raise Difference(
            f"{where} holds {kind_of(have.dtype)}", kind_of(want.dtype), kind_of(have.dtype)
        )
    if isinstance(expected, Tensor) and expected.is_floating_point():
        if expected.dtype != got.dtype:
            raise Difference(f"{where} has another precision", str(expected.dtype), str(got.dtype))
        if expected.requires_grad and not got.requires_grad:
            raise Difference(
                f"{where} is cut off from the gradient",
                "a tensor that remembers how it was computed",
                "requires_grad=False",
            )
    if want.dtype.kind == "f":
        if np.isnan(have).any() and not np.isnan(want).any():
            raise Difference(f"{where} contains NaN", numbers(want.ravel()), numbers(have.ravel()))
        wrong = ~np.isclose(have, want, rtol=rtol, atol=atol, equal_nan=True)
    else:
        wrong = have != want
    if wrong.any():
        index: tuple[Any, ...] = tuple(int(i) for i in np.argwhere(wrong)[0])
        images = None
        if want.ndim >= 2 and 1 < want.shape[-1] <= 64 and 1 < want.shape[-2] <= 64:
            matrix = (*index[:-2], slice(None), slice(None))
            images = (want[matrix].astype(float).tolist(), have[matrix].astype(float).tolist())
        if want.ndim == 0:
            row_name, want_row, have_row = "", want.reshape(1), have.reshape(1)
        else:
            row_name = f", row {', '.join(map(str, index[:-1]))}" if want.ndim > 1 else ""
            start = max(index[-1] - 3, 0) if want.shape[-1] > 8 else 0
            row_name += f", from place {start} on" if start else ""
            want_row, have_row = want[index[:-1]][start:], have[index[:-1]][start:]
        raise Difference(
            f"{where} differs{row_name}", numbers(want_row), numbers(have_row), images=images
        )


def compare_values(where: str, expected: Any, got: Any, rtol: float, atol: float) -> None:
    """Raise the first `Difference` between two results of any kind."""
    if got is None and expected is not None:
        raise Difference(f"{where} is None: is a `return` missing?", shorten(expected), "None")
    if isinstance(expected, Tensor | np.ndarray):
        compare_arrays(where, expected, got, rtol, atol)
    elif isinstance(expected, bool | np.bool_ | str | bytes | None):
        if isinstance(expected, bool | np.bool_):
            if isinstance(got, np.bool_) or (isinstance(got, Tensor) and got.numel() == 1):
                got = got.item()
            if not isinstance(got, bool):
                raise Difference(
                    f"{where} is of type {type(got).__name__}", str(expected), shorten(got)
                )
        if got != expected:
            raise Difference(f"{where} differs", shorten(expected), shorten(got))
    elif isinstance(expected, int | float | np.number):
        if isinstance(got, Tensor) and got.numel() == 1:
            got = got.item()
        if isinstance(got, bool) or not isinstance(got, int | float | np.number):
            raise Difference(
                f"{where} is of type {type(got).__name__}", shorten(expected), shorten(got)
            )
        if math.isnan(got) and not math.isnan(expected):
            raise Difference(f"{where} is NaN", shorten(expected), shorten(got))
        if not np.isclose(float(got), float(expected), rtol=rtol, atol=atol, equal_nan=True):
            raise Difference(f"{where} differs", shorten(expected), shorten(got))
    elif isinstance(expected, Mapping):
        if not isinstance(got, Mapping):
            raise Difference(
                f"{where} is of type {type(got).__name__}", "a dictionary", shorten(got)
            )
        for key in expected:
            if key not in got:
                raise Difference(f"{where} lacks {shorten(key)}", shorten(expected), shorten(got))
            compare_values(f"{where}[{shorten(key)}]", expected[key], got[key], rtol, atol)
        if more := [key for key in got if key not in expected]:
            raise Difference(
                f"{where} has {shorten(more[0])} too much", shorten(expected), shorten(got)
            )
    elif isinstance(expected, set | frozenset):
        if not isinstance(got, set | frozenset) or got != expected:
            raise Difference(f"{where} differs", shorten(sorted(expected)), shorten(got))
    elif isinstance(expected, list | tuple):
        numbers_only = all(isinstance(item, int | float) for item in expected)
        if isinstance(got, np.ndarray | Tensor) and numbers_only:
            got = got.tolist()
        if not isinstance(got, list | tuple):
            raise Difference(
                f"{where} is of type {type(got).__name__}",
                f"a {type(expected).__name__} of {len(expected)}",
                shorten(got),
            )
        if len(got) != len(expected):
            raise Difference(
                f"{where} has {len(got)} items, not {len(expected)}",
                shorten(expected),
                shorten(got),
            )
        names = getattr(expected, "_fields", None)
        for i, (want, have) in enumerate(zip(expected, got, strict=True)):
            place = f"{where}.{names[i]}" if names else f"{where}[{i}]"
            try:
                compare_values(place, want, have, rtol, atol)
            except Difference as difference:
                if len(difference.expected) < 12 and isinstance(want, int | str):
                    difference.expected, difference.got = shorten(expected), shorten(got)
                raise
    elif got != expected:
        raise Difference(f"{where} differs", shorten(expected), shorten(got))


def equal_outcomes(a: Any, b: Any) -> bool:
    """Whether two answers did the same: gave equal results, or failed alike."""
    if isinstance(a, Exception) or isinstance(b, Exception):
        return type(a) is type(b)
    try:
        compare_values("", a, b, rtol=1e-4, atol=1e-6)
    except Difference:
        return False
    return True


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


@dataclass
class Trial:
    """One answer on one set of inputs, all drawn from `seed`.

    `collecting` goes on after a difference, to see what else the answer does.
    """

    answer: Answer
    reference: Answer
    seed: int
    collecting: bool = False
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)
        self.random = random.Random(self.seed)

    def randn(self, *shape: int, grad: bool = False, dtype: torch.dtype = torch.float64) -> Tensor:
        """Normal numbers; with `grad`, gradients by them are compared, too."""
        numbers = torch.randn(shape, generator=self.generator, dtype=dtype)
        return numbers.requires_grad_(grad)

    def randint(self, high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=self.generator)

    def _note(self, difference: Difference | None, result: Any) -> None:
        self.outcomes.append(Outcome(difference is None, result))
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

        try:
            return self._compare(use, why, rtol, atol)[name]
        except Difference as difference:
            for i, part in enumerate(parts):
                difference.symptom = difference.symptom.replace(f"{name}[{i}]", part)
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
        return self._compare(lambda function: {name: use(function)}, why, rtol, atol)[name]

    def _compare(
        self, use: Callable[[Answer], dict[str, Any]], why: str, rtol: float, atol: float
    ) -> dict[str, Any]:
        expected = use(self.reference)
        try:
            got = use(self.answer)
        except Exception as error:
            if not self.collecting:
                raise
            self._note(Difference(str(error)), error)
            return expected
        try:
            for name, value in expected.items():
                compare_values(name, value, got[name], rtol, atol)
        except Difference as difference:
            difference.why = why
            if difference.symptom.startswith(AFTERWARDS):
                difference.symptom = "writes into what it was given"
                difference.why = "whoever calls still needs it: make a new one, leave the old one"
            self._note(difference, got)
        else:
            self._note(None, got)
        return got

    def refuses(self, *args: Any, why: str, error: type[Exception] = ValueError, **kw: Any) -> None:
        """The answer must raise `error` for these arguments."""
        try:
            result = self.answer(*copied(args), **copied(kw))
        except error as raised:
            self._note(None, type(raised)())
        except NotImplementedError:
            raise
        except Exception as raised:
            name = type(raised).__name__
            wrong = Difference(f"raises {name}", error.__name__, f"{name}: {raised}", why)
            self._note(wrong, raised)
        else:
            wrong = Difference("raises no error", error.__name__, shorten(result), why)
            self._note(wrong, None)

    def require(
        self, holds: bool, symptom: str, why: str, expected: str = "", got: str = ""
    ) -> None:
        """Something that must hold of the answer's results; `symptom` says what is wrong."""
        holds = bool(holds)
        self._note(None if holds else Difference(symptom, expected, got, why), holds)

    def for_all(self, examples: int = 25, **strategies: Any) -> Callable[[Callable], None]:
        """Run a property at once, on many inputs by hypothesis; the smallest failure is shown."""

        def run(held: Callable[..., None]) -> None:
            settings = hypothesis.settings(
                max_examples=examples,
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


def collect(task: str, answer: Answer, seed: int) -> list[Outcome]:
    """All outcomes of an answer, right and wrong ones, as far as its check can go."""
    known = CHECKS[task]
    trial = Trial(answer, known.reference, seed, collecting=True)
    try:
        known.run(trial)
    except Exception as error:
        trial.outcomes.append(Outcome(False, error))
    return trial.outcomes


@lru_cache(maxsize=64)
def collect_known(task: str, name: str, seed: int) -> list[Outcome]:
    """The outcomes of a misconception, kept for the next one that asks."""
    known = next(known for known in MISCONCEPTIONS[task] if known.name == name)
    return collect(task, known.answer, seed)


def recognize(task: str, answer: Answer, seed: int) -> Misconception | None:
    """The misconception that goes wrong as this answer does.

    Of all comparisons that either gets wrong, half or more must have the same result in both.
    """
    ours, best, best_share = collect(task, answer, seed), None, 0.5
    for known in MISCONCEPTIONS.get(task, []):
        theirs = collect_known(task, known.name, seed)
        pairs = list(zip(ours, theirs, strict=False))
        wrong = [(a.result, b.result) for a, b in pairs if not (a.right and b.right)]
        alike = sum(equal_outcomes(a, b) for a, b in wrong)
        share = alike / max(len(wrong) + abs(len(ours) - len(theirs)), 1)
        if alike and (share > best_share or (share == best_share and best is None)):
            best, best_share = known, share
    return best


# --- Verdicts ---------------------------------------------------------------------------------


def judge(task: str, answer: Answer, seed: int, file: str = "", named: bool = True) -> Verdict:
    """Run a task's check on an answer, here and now; `nanopoet.sandbox` does it in safety.

    With `named`, a wrong answer is compared with the known misconceptions.
    """
    verdict = Verdict(task, "pass", seed=seed, file=file)
    known = CHECKS[task]
    trial = Trial(answer, known.reference, seed)
    try:
        known.run(trial)
        if not trial.outcomes:
            raise RuntimeError(f"the check of {task} compared nothing")
    except Difference as difference:
        verdict.status, verdict.symptom = "fail", difference.symptom
        verdict.expected, verdict.got = difference.expected, difference.got
        verdict.why, verdict.images = difference.why, difference.images
        if load_tasks()[task].kind == "predict":
            verdict.expected, verdict.images = "", None  # it is for the learner to find
        found = recognize(task, answer, seed) if named else None
    except Exception as error:
        if isinstance(error, NotImplementedError) and str(error) in load_tasks():
            verdict.status, verdict.symptom = "todo", "is not written yet"
            if str(error) != task:
                verdict.symptom = f"needs {error}, which is not written yet"
            return verdict
        verdict.status, verdict.symptom = "error", in_words(error)
        verdict.trace = traceback.format_exc(limit=-8)
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        verdict.line = (frames[-1].lineno or 0) if frames else 0
        found = recognize(task, answer, seed) if named else None
    else:
        return verdict
    if found:
        verdict.misconception, verdict.explanation = found.name, found.explanation
        if verdict.status == "error":
            verdict.status = "fail"
    return verdict


def in_words(error: BaseException) -> str:
    """An error on one line, and what it comes from where that is not plain."""
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "asks for more memory than a check allows: is a size wrong?"
    if isinstance(error, RecursionError):
        return "calls itself without end (RecursionError)"
    if isinstance(error, SystemExit):
        return "ends the program (SystemExit); a function returns instead"
    return shorten_text(f"{type(error).__name__}: {error}".rstrip(": "))


def shorten_text(text: str, limit: int = 200) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
