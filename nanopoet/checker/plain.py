"""Results as plain data: what an answer gives, written down so that nothing in it can act.

The process in which an answer runs is the answer's. What comes from there is read as data alone:
numbers, texts, lists, dictionaries, tensors, each exactly of the type it says. A subclass with
methods of its own, a tensor that lies about its shape, a pickle: none of them gets through.
Whatever else an answer gives comes through as its type's name and the way it is shown.

This file and `runner` are all of the program that an answer's process holds.
"""

import base64
import dataclasses
import json
import math
from collections import namedtuple
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch

LIMIT = 64 * 2**20  # characters of one message
SHOWN = 200  # characters of what is not plain data
DEPTH = 40


class NotPlainError(ValueError):
    """A message that holds no data, or too much of it."""


class Opaque:
    """Stands for something that is not plain data: its type's name, and how it is shown."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def __repr__(self) -> str:
        return self.shown


# --- Writing -------------------------------------------------------------------------------------


def text_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def pack(value: Any, depth: int = DEPTH) -> Any:
    """A value as what JSON can write: numbers, texts, None, and lists that begin with a kind."""
    if depth == 0:
        return ["?", "list", "lists in lists without end"]
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, torch.Tensor):
        return pack_tensor(value)
    if kind is np.ndarray and value.dtype.kind in "biuf":
        return ["array", value.dtype.str, list(value.shape), text_of(value.tobytes())]
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return ["number", value.dtype.str, [], text_of(value.tobytes())]
    if isinstance(value, torch.dtype):
        return ["dtype", str(value).removeprefix("torch.")]
    return pack_several(value, depth - 1)


def pack_tensor(value: torch.Tensor) -> Any:
    plain = value.detach()
    if plain.layout != torch.strided or plain.is_complex() or plain.is_quantized:
        return opaque(value)
    raw = plain.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    name = str(plain.dtype).removeprefix("torch.")
    return ["tensor", name, list(plain.shape), text_of(raw), bool(value.requires_grad)]


def pack_several(value: Any, depth: int) -> Any:
    """Lists, tuples, sets, dictionaries, and records with named fields."""
    fields = getattr(value, "_fields", None)
    if isinstance(value, tuple) and isinstance(fields, tuple):
        return ["record", type(value).__name__, list(fields), [pack(item, depth) for item in value]]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        items = [pack(getattr(value, name), depth) for name in names]
        return ["record", type(value).__name__, names, items]
    for kind, sequence in SEQUENCES.items():
        if isinstance(value, sequence):
            return [kind, [pack(item, depth) for item in value]]
    if isinstance(value, Mapping):
        return ["dict", [[pack(key, depth), pack(item, depth)] for key, item in value.items()]]
    for beneath in (int, float, str):  # of a subclass, what it is beneath
        if isinstance(value, beneath):
            return beneath(value)
    return opaque(value)


SEQUENCES: dict[str, Any] = {
    "size": torch.Size,
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}


def opaque(value: Any) -> Any:
    try:
        shown = repr(value)[:SHOWN]
    except Exception as error:
        shown = f"{type(value).__name__}, which cannot be shown ({type(error).__name__})"
    return ["?", type(value).__name__, shown]


def encode(value: Any) -> bytes:
    """One line of ASCII. Raises `NotPlainError` for what is too large."""
    text = json.dumps(pack(value)).encode("ascii")
    if len(text) > LIMIT:
        raise NotPlainError(f"a result of {len(text):,} characters, more than {LIMIT:,}")
    return text


# --- Reading -------------------------------------------------------------------------------------


def refuse(what: object) -> NotPlainError:
    return NotPlainError(f"not plain data: {str(what)[:SHOWN]}")


def numbers(dtype: np.dtype, shape: Any, text: Any) -> np.ndarray:
    """An array of just as many numbers as its shape says."""
    if not (isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)):
        raise refuse(shape)
    raw = base64.b64decode(text, validate=True)
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise refuse(f"{len(raw)} bytes for the shape {shape}")
    return np.frombuffer(raw, dtype).reshape(shape).copy()


def numpy_type(name: Any) -> np.dtype:
    found = np.dtype(name) if isinstance(name, str) else np.dtype(object)
    if found.kind not in "biuf":
        raise refuse(name)
    return found


def torch_type(name: Any) -> torch.dtype:
    found = getattr(torch, name, None) if isinstance(name, str) else None
    if not isinstance(found, torch.dtype):
        raise refuse(name)
    return found


def read_tensor(name: Any, shape: Any, text: Any, wants_grad: Any) -> torch.Tensor:
    dtype = torch_type(name)
    size = [*shape, dtype.itemsize] if isinstance(shape, list) else shape
    raw = torch.from_numpy(numbers(np.dtype(np.uint8), size, text))
    tensor = raw.reshape(-1).view(dtype).reshape(shape)
    return tensor.requires_grad_(wants_grad is True and tensor.is_floating_point())


def read_record(name: Any, fields: Any, items: Any) -> Any:
    """A record of the same name and fields, with no methods but a tuple's."""
    if not (isinstance(fields, list) and isinstance(items, list) and len(fields) == len(items)):
        raise refuse(name)
    return record_type(str(name), tuple(map(str, fields)))(*map(unpack, items))


@lru_cache(maxsize=100)
def record_type(name: str, fields: tuple[str, ...]) -> Callable[..., Any]:
    """To make a type takes longer than all else about a record: a thousand logs are of one."""
    return namedtuple(name, fields, rename=True)


def unpack(data: Any) -> Any:
    """The value that `pack` has written down."""
    if not isinstance(data, list):
        if data is None or type(data) in (bool, int, float, str):
            return data
        raise refuse(type(data))
    kind, *rest = data or [None]
    if kind in SEQUENCES and len(rest) == 1 and isinstance(rest[0], list):
        return SEQUENCES[kind](map(unpack, rest[0]))
    if reader := READERS.get(kind if isinstance(kind, str) else ""):
        return reader(*rest)
    raise refuse(kind)


READERS: dict[str, Any] = {
    "dict": lambda pairs: {unpack(key): unpack(item) for key, item in pairs},
    "array": lambda name, shape, text: numbers(numpy_type(name), shape, text),
    "number": lambda name, shape, text: numbers(numpy_type(name), [], text)[()],
    "tensor": read_tensor,
    "dtype": torch_type,
    "record": read_record,
    "?": lambda name, shown: type(str(name), (Opaque,), {})(str(shown)[:SHOWN]),
}


def decode(line: bytes) -> Any:
    """What `encode` has written. Raises `NotPlainError` for anything else."""
    try:
        return unpack(json.loads(line))
    except NotPlainError:
        raise
    except (ValueError, TypeError, RecursionError, MemoryError, AttributeError) as error:
        raise refuse(error) from error
