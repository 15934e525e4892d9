"""Comparing what an answer gives with what was expected, and saying the first difference in words.

Results may be tensors, arrays, numbers, texts, and lists, tuples, dictionaries and sets of them. A
right result in another form is right: a tuple for a list, a tensor of one number for a number.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor

from nanopoet.checker.plain import SHOWN, Opaque

SMALL = 12  # numbers of a tensor that are shown, each
LINE = 100  # characters of a call


@dataclass(eq=False)
class Difference(Exception):  # noqa: N818 (not an error of the program)
    """The first thing that is not as expected."""

    symptom: str
    expected: str = ""
    got: str = ""
    why: str = ""
    images: tuple[list, list] | None = None  # expected and got, when they are matrices
    values: tuple[Any, Any] | None = None  # both as they are

    def __str__(self) -> str:
        return self.symptom


def item_of(where: str, key: object) -> str:
    """A place in a nested result, in words.

    >>> item_of("the list of ids", 0), item_of(item_of("the run", "loss"), 2)
    ('item 0 of the list of ids', "item 2 of 'loss' of the run")
    """
    return f"item {key} of {where}" if isinstance(key, int) else f"{shorten(key)} of {where}"


def shorten(value: object, limit: int = 70, digits: int = 6) -> str:
    """A value on one short line."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int) and value.bit_length() > 10_000:  # Python writes out no such number
        return f"a whole number of about {value.bit_length() * 3 // 10:,} digits"
    text = f"{value:.{digits}g}" if isinstance(value, float) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def show_argument(value: Any, limit: int = 48, small: int = SMALL) -> str:
    """An argument as one would write it, if it is small; else what it is, and how large.

    >>> import torch
    >>> show_argument([1, 2]), show_argument(torch.ones(2, 3)), show_argument(torch.ones(9, 9))
    ('[1, 2]', 'tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])', 'a tensor of 9 × 9')
    """
    if isinstance(value, Tensor | np.ndarray):
        kind = "tensor" if isinstance(value, Tensor) else "array"
        if math.prod(value.shape) > small:
            article = "a" if kind == "tensor" else "an"
            return f"{article} {kind} of {' × '.join(map(str, value.shape))}"
        return f"{kind}({shorten(value.tolist(), limit)})"
    if isinstance(value, str | int | float | None):
        return shorten(value, limit)
    if isinstance(value, list | tuple | dict | set):
        text = shorten(value, 10**6)
        # Tensors inside, or a long list: its length says more than its beginning.
        if len(text) <= limit and "tensor(" not in text and " object at " not in text:
            return text
        return f"a {type(value).__name__} of {len(value)}"
    name = getattr(value, "__name__", type(value).__name__)
    return "a function" if name == "<lambda>" else name


def show_call(function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """A call as one would write it, large arguments described.

    >>> show_call("merge", [(5, 6, 3), (5, 6), 999], {})
    'merge((5, 6, 3), (5, 6), 999)'
    """
    text = ""
    for limit, small in ((48, SMALL), (16, 0)):  # what does not fit on a line is described
        shown = [show_argument(arg, limit, small) for arg in args]
        shown += [f"{k}={show_argument(v, limit, small)}" for k, v in kwargs.items()]
        text = f"{function}({', '.join(shown)})"
        if len(text) <= LINE:
            break
    return text


def numbers(row: np.ndarray, digits: int = 4) -> str:
    """A few numbers in a row, as in 0.61 0.27 0.12."""
    if row.dtype.kind in "biu":
        cells = [str(int(value)) for value in row[:12]]
    else:
        cells = [f"{value:.{digits}g}" for value in row[:8]]
    return " ".join(cells) + (" …" if len(row) > len(cells) else "")


def told_apart(show: Callable[[Any, int], str], want: Any, have: Any) -> tuple[str, str]:
    """Both, with as many digits as it takes to see that they are not the same."""
    for digits in (4, 6, 9, 17):
        shown = show(want, digits), show(have, digits)
        if shown[0] != shown[1]:
            break
    return shown


def kind_of(dtype: np.dtype) -> str:
    return {"b": "booleans", "i": "integers", "u": "integers", "f": "floats"}.get(
        dtype.kind, str(dtype)
    )


def as_array(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach()
        return (value.double() if value.is_floating_point() else value).cpu().numpy()
    return np.asarray(value)


def differs(where: str, expected: Any, got: Any) -> Difference:
    shown = told_apart(lambda value, digits: shorten(value, digits=digits), expected, got)
    return Difference(f"{where} differs", *shown, values=(expected, got))


def of_another_type(where: str, expected: str, got: Any) -> Difference:
    return Difference(f"{where} is of type {type(got).__name__}", expected, shorten(got))


def rounding_of(want: np.ndarray) -> float:
    """What float32 may lose where large numbers are subtracted: 16 of its smallest steps.

    logsumexp − logit of a sure prediction is such a difference: its last digits are rounding.
    """
    finite = np.abs(want[np.isfinite(want)])
    return 16 * float(np.finfo(np.float32).eps) * max(1.0, finite.max(initial=0.0))


def compare_arrays(where: str, expected: Any, got: Any, rtol: float, atol: float) -> None:
    """Type, shape, dtype, NaN, then values."""
    if isinstance(expected, Tensor) and not isinstance(got, Tensor):
        raise of_another_type(where, "a torch.Tensor", got)
    try:
        want, have = as_array(expected), as_array(got)
    except (ValueError, TypeError) as error:
        raise Difference(f"{where} is not an array", shorten(expected), shorten(got)) from error
    if have.shape != want.shape:
        shapes = str(want.shape), str(have.shape)
        raise Difference(f"{where} has the wrong shape", *shapes, values=(want, have))
    kinds = kind_of(want.dtype), kind_of(have.dtype)
    if kinds[0] != kinds[1] and want.size:
        raise Difference(f"{where} holds {kinds[1]}", *kinds)
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
            raise Difference(
                f"{where} came out as NaN", numbers(want.ravel()), numbers(have.ravel())
            )
        if str(expected.dtype).endswith("float32"):
            atol = max(atol, rounding_of(want))
        wrong = ~np.isclose(have, want, rtol=rtol, atol=atol, equal_nan=True)
    else:
        wrong = have != want
    if wrong.any():
        raise first_wrong_row(where, want, have, wrong)


def first_wrong_row(
    where: str, want: np.ndarray, have: np.ndarray, wrong: np.ndarray
) -> Difference:
    """The row with the first wrong number, and the matrix around it as two images."""
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
    rows = told_apart(numbers, want_row, have_row)
    return Difference(f"{where} differs{row_name}", *rows, images=images, values=(want, have))


def compare_booleans(where: str, expected: Any, got: Any, rtol: float, atol: float) -> None:
    if isinstance(got, np.bool_) or (isinstance(got, Tensor) and got.numel() == 1):
        got = got.item()
    if not isinstance(got, bool):
        raise of_another_type(where, str(expected), got)
    if got != expected:
        raise differs(where, expected, got)


def compare_numbers(where: str, expected: Any, got: Any, rtol: float, atol: float) -> None:
    if isinstance(got, Tensor) and got.numel() == 1:
        got = got.item()
    if isinstance(got, bool) or not isinstance(got, Real):
        raise of_another_type(where, shorten(expected), got)
    try:
        have, want = float(got), float(expected)
    except OverflowError as error:  # a whole number that no float can hold
        if got != expected:
            raise differs(where, expected, got) from error
        return
    if math.isnan(have) and not math.isnan(want):
        raise Difference(f"{where} is NaN", shorten(expected), shorten(got))
    if not are_close(have, want, rtol, atol):
        raise differs(where, expected, got)


def are_close(have: float, want: float, rtol: float, atol: float) -> bool:
    """As `np.isclose` says, which is made for arrays, and slow for one number.

    >>> are_close(1.001, 1.0, rtol=0.01, atol=0.0), are_close(5.0, math.inf, rtol=0.01, atol=0.0)
    (True, False)
    """
    if have == want or (math.isnan(have) and math.isnan(want)):
        return True
    return math.isfinite(want) and abs(have - want) <= atol + rtol * abs(want)


def same_atom(expected: Any, got: Any) -> bool:
    """Whether both are the same number or text: most parts are, and need no place nor words."""
    return type(expected) is type(got) and type(expected) in ATOMS and bool(expected == got)


def compare_mappings(where: str, expected: Any, got: Any, rtol: float, atol: float) -> None:
    if not isinstance(got, Mapping):
        raise of_another_type(where, "a dictionary", got)
    for key in expected:
        if key not in got:
            raise Difference(f"{where} lacks {shorten(key)}", shorten(expected), shorten(got))
        if not same_atom(expected[key], got[key]):
            compare_parts(item_of(where, key), expected[key], got[key], rtol, atol)
    for key in got:
        if key not in expected:
            symptom = f"{where} has {shorten(key)} too much"
            raise Difference(symptom, shorten(expected), shorten(got))


def compare_sets(where: str, expected: Any, got: Any, rtol: float, atol: float) -> None:
    if not isinstance(got, set | frozenset) or got != expected:
        raise Difference(f"{where} differs", shorten(sorted(expected)), shorten(got))


def compare_rows(where: str, expected: Any, got: Any, rtol: float, atol: float) -> None:
    """Lists and tuples, one for the other; of numbers, an array will do."""
    numbers_only = all(isinstance(item, int | float) for item in expected)
    if isinstance(got, np.ndarray | Tensor) and numbers_only:
        got = got.tolist()
    if not isinstance(got, list | tuple):
        raise of_another_type(where, f"a {type(expected).__name__} of {len(expected)}", got)
    if len(got) != len(expected):
        symptom = f"{where} has length {len(got)}, not {len(expected)}"
        raise Difference(symptom, shorten(expected), shorten(got), values=(expected, got))
    names = getattr(expected, "_fields", None)
    for i, (want, have) in enumerate(zip(expected, got, strict=True)):
        if same_atom(want, have):
            continue
        place = f"{where}.{names[i]}" if names else item_of(where, i)
        try:
            compare_parts(place, want, have, rtol, atol)
        except Difference as difference:
            if len(difference.expected) < 12 and isinstance(want, int | str):
                difference.expected, difference.got = shorten(expected), shorten(got)
            if isinstance(want, int | float | str):  # the whole list tells more
                difference.values = expected, got
            raise


def compare_shown(where: str, expected: Opaque, got: Any, rtol: float, atol: float) -> None:
    """What is not plain data, by its type and the way it is shown."""
    if type(got).__name__ != type(expected).__name__ or shown(got) != shown(expected):
        raise differs(where, expected, got)


def shown(value: object) -> str:
    """As much of it as comes through the door; an address in it is another each time."""
    return re.sub(r"0x[0-9a-f]+", "…", repr(value)[:SHOWN])


def compare_values(where: str, expected: Any, got: Any, rtol: float, atol: float) -> None:
    """Raise the first `Difference` between two results of any kind."""
    if got is None and expected is not None:
        raise Difference(f"{where} is None: is a `return` missing?", shorten(expected), "None")
    compare_parts(where, expected, got, rtol, atol)


def compare_parts(where: str, expected: Any, got: Any, rtol: float, atol: float) -> None:
    """The same for a part of a result, by its kind."""
    for kind, compare in COMPARISONS.items():
        if isinstance(expected, kind):
            compare(where, expected, got, rtol, atol)
            return
    if isinstance(got, Tensor | np.ndarray) or got != expected:
        raise differs(where, expected, got)


ATOMS = (bool, int, float, str)
COMPARISONS: dict[Any, Callable[[str, Any, Any, float, float], None]] = {
    Tensor | np.ndarray: compare_arrays,
    bool | np.bool_: compare_booleans,
    int | float | np.number: compare_numbers,
    Mapping: compare_mappings,
    set | frozenset: compare_sets,
    list | tuple: compare_rows,
    Opaque: compare_shown,
}
