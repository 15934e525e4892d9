"""What a wrong result has to do with the right one, where nobody has named the mistake before."""

from typing import Any

import numpy as np

Relation = tuple[str, str]  # a name, and a sentence that explains it


def close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=1e-9, equal_nan=True))


def find_relation(expected: Any, got: Any) -> Relation | None:
    """How `got` comes from `expected`, if in a simple way: texts, lists, arrays or numbers.

    >>> find_relation([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    ('a factor', 'Every number is 2 times what is expected.')
    >>> find_relation(["a", "b", "c"], ["a", "b"])
    ('the last is missing', 'In this example only the last item is missing.')
    >>> find_relation([1, 5], [3, 4])
    """
    if isinstance(expected, str) and isinstance(got, str):
        return _list_relation(list(expected), list(got))
    if isinstance(expected, list | tuple):
        if not (isinstance(got, list | tuple) and is_plain(expected) and is_plain(got)):
            return None
        if found := _list_relation(list(expected), list(got)):
            return found
    try:
        want, have = np.asarray(expected), np.asarray(got)
    except (ValueError, TypeError):  # rows of different lengths
        return None
    if want.dtype.kind not in "biuf" or have.dtype.kind not in "biuf":
        return None
    if want.shape != have.shape:
        return _shape_relation(want, have)
    if want.size == 1 and want.dtype.kind in "biu":
        return None  # a count that is one too small may come from anything
    if close(want, have):  # a lack of precision is no relation
        return None
    if want.dtype == bool:
        if want.size > 1 and (want != have).all():
            return "True and False exchanged", "Each is the opposite of what it should be."
        return None
    with np.errstate(all="ignore"):  # numbers without end may stand in a wrong result
        return _number_relation(want.astype(float), have.astype(float)) or _place_relation(
            want, have
        )


def is_plain(value: Any) -> bool:
    """Whether a value is made of numbers, texts, lists and tuples alone: `==` then is one bool."""
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return isinstance(value, int | float | str | None)


def axis_name(axis: int, ndim: int) -> str:
    return "the last axis" if axis == ndim - 1 else f"axis {axis}"


def _list_relation(want: list, have: list) -> Relation | None:
    if len(want) < 2 or not have:
        return None
    if have == want[:-1]:
        return "the last is missing", "In this example only the last item is missing."
    if have == want[1:]:
        return "the first is missing", "In this example only the first item is missing."
    if have[:-1] == want:
        return "one too many at the end", "In this example one more item follows."
    if have[1:] == want:
        return "one too many in front", "In this example one more item stands in front."
    if have == want[::-1]:
        return "back to front", "Everything is there, in reverse order."
    if len(want) > 2 and sorted(map(repr, have)) == sorted(map(repr, want)):
        return "another order", "Everything is there, but not where it should be."
    return None


def _shape_relation(want: np.ndarray, have: np.ndarray) -> Relation | None:
    for axis in range(want.ndim):
        for at, edge in ((0, "first"), (-1, "last")):
            if want.shape[axis] > 1 and close(have, np.delete(want, at, axis)):
                name = axis_name(axis, want.ndim)
                return f"the {edge} is missing", f"Along {name}, the {edge} place is missing."
    if want.size != have.size or want.size < 2:
        return None
    if want.ndim >= 2 and close(have, want.swapaxes(-1, -2)):
        return "rows and columns exchanged", "The result is right but for its last two axes: swap."
    if close(have.ravel(), want.ravel()):
        return "another shape", "All numbers are there and in order; only the axes are others."
    return None


def _number_relation(want: np.ndarray, have: np.ndarray) -> Relation | None:
    """One rule from each number to the other: a sign, a factor, a constant."""
    finite = np.isfinite(want)
    if not finite.any() or (finite != np.isfinite(have)).any():
        return None
    want, have = want[finite], have[finite]
    largest = np.abs(want).argmax()
    factor = have[largest] / want[largest] if want[largest] else 0.0
    several = np.unique(want).size > 1
    if factor == -1 and close(have, -want):
        return "the other sign", "Every number has the right size and the wrong sign."
    if factor and several and close(have, factor * want):
        return "a factor", f"Every number is {factor:.4g} times what is expected."
    more = have[0] - want[0]
    whole = float(more).is_integer() and abs(more) == 1
    if (several or whole) and close(have, want + more):
        size = "large" if more > 0 else "small"
        subject = "Every number" if have.size > 1 else "The number"
        return "a constant more or less", f"{subject} is {abs(more):.4g} too {size}."
    if np.unique(want).size > 2 and close(have, np.full_like(have, have[0])):
        return "always the same", f"All numbers are {have[0]:.4g}, whatever they should be."
    return None


def _place_relation(want: np.ndarray, have: np.ndarray) -> Relation | None:
    """The right numbers in the wrong places, or wrong ones at an edge only."""
    several = np.unique(want).size > 1
    wrong = ~np.isclose(have, want, rtol=1e-4, atol=1e-9, equal_nan=True)
    if several and want.ndim >= 2 and close(have, want.swapaxes(-1, -2)):
        return "rows and columns exchanged", "The result is right but for its last two axes: swap."
    for axis in reversed(range(want.ndim)):
        name = axis_name(axis, want.ndim)
        if several and close(have, np.flip(want, axis)):
            return "back to front", f"Along {name}, everything stands in reverse order."
        if want.shape[axis] < 3:
            continue
        for step, side in ((1, "late"), (-1, "early")):
            inner = [slice(None)] * want.ndim
            inner[axis] = slice(1, None) if step == 1 else slice(None, -1)
            if several and close(have[tuple(inner)], np.roll(want, step, axis)[tuple(inner)]):
                return "one place off", f"Along {name}, everything stands one place too {side}."
        for at, edge in ((0, "first"), (-1, "last")):
            if not np.delete(wrong, at, axis).any():
                return f"the {edge} alone", f"Here all is right but the {edge} place along {name}."
    if several and close(np.sort(have, axis=None), np.sort(want, axis=None)):
        return "another order", "All numbers are there, but not where they should be."
    return None
