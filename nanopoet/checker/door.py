"""The door between a check and an answer: code goes in, plain data comes out.

A check runs where the reference is. What it wants to have done with an answer, a function of that
answer, is shipped to the process in which the answer runs, with all that the function uses, and
nothing else. What comes back is read as plain data (`nanopoet.checker.plain`): a result, or what
was raised. No expected value goes in, and no judgement comes out.

`Rehearsal` is the same door within one process, for answers that are not hostile: known wrong ones.
"""

import functools
import io
import marshal
import pickle
import socket
import struct
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import cloudpickle
import numpy as np
import torch
from cloudpickle.cloudpickle import _extract_code_globals as find_globals
from cloudpickle.cloudpickle import _function_setstate as set_function
from cloudpickle.cloudpickle import _make_function as make_function
from torch import Tensor, nn

from nanopoet.checker.difference import Difference
from nanopoet.checker.messages import receive, send
from nanopoet.checker.plain import LIMIT, NotPlainError, decode
from nanopoet.checker.runner import CALLS, QUIET, STATE, USE, Room, told_of

Answer = Callable[..., Any]
Use = Callable[[Answer], Any]
OWN = ("nanopoet", "nanopoet_ref", "checks")  # travel with what uses them: they are not there


@dataclass(eq=False)
class AnswerError(Exception):
    """What an answer has raised."""

    kinds: list[str]  # the names of its type and of the types above it
    said: str
    trace: str = ""
    frames: list[tuple[str, int, str]] = field(default_factory=list)  # file, line, code
    more: dict[str, Any] = field(default_factory=dict)  # of a syntax error: its place

    def __str__(self) -> str:
        return self.said


class Door(Protocol):
    """Whoever can have something done with an answer."""

    computing: float  # seconds that another process has computed for this

    def ask(self, use: Use) -> Any:
        """What `use` makes of the answer, as plain data.

        Raises `AnswerError`, or the `Difference` that `use` has raised.
        """

    def calls(self) -> list[tuple[tuple, dict]]:
        """The first calls of the answer when it was asked last."""


# --- What goes in --------------------------------------------------------------------------------


def tensor_from(numbers: np.ndarray, dtype: torch.dtype, wants_grad: bool) -> Tensor:
    shape = numbers.shape[:-1]
    tensor = torch.from_numpy(numbers.copy()).reshape(-1).view(dtype).reshape(shape)
    return tensor.requires_grad_(wants_grad)


def parameter_from(tensor: Tensor, wants_grad: bool) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=wants_grad)


class Notes(dict):
    """What a check remembers of answers. It stays where it is: an answer's process has its own."""


@functools.cache
def globals_of(code: types.CodeType) -> tuple[str, ...]:
    """The names that code takes from its module, looked for once."""
    return tuple(find_globals(code))


def cached_property_of(function: Callable, name: str) -> functools.cached_property:
    made = functools.cached_property(function)
    made.__set_name__(object, name)
    return made


class Shipping(cloudpickle.Pickler):
    """Writes a function with all that it uses; never the reference, and no module of ours whole."""

    def __init__(self, file: io.BytesIO, secret: object, kept: dict[int, Any]) -> None:
        super().__init__(file)
        self.secret, self.kept = secret, kept

    def persistent_id(self, thing: Any) -> Any:
        """What remembers something goes on remembering there, and begins with nothing."""
        if isinstance(thing, functools._lru_cache_wrapper | Notes):
            self.kept[id(thing)] = thing  # kept, so that its number is nobody else's
            return id(thing), getattr(thing, "__wrapped__", None)
        return None

    def _dynamic_function_reduce(self, function: types.FunctionType) -> Any:
        """As cloudpickle does it, without annotations, which would bring with them what they name,
        and without a search of all modules for each function."""
        found = {key: function.__globals__.get(key, self) for key in globals_of(function.__code__)}
        slots: dict[str, Any] = {
            "__name__": function.__name__,
            "__qualname__": function.__qualname__,
            "__module__": function.__module__,
            "__doc__": None,
            "__annotations__": {},
            "__defaults__": function.__defaults__,
            "__kwdefaults__": function.__kwdefaults__,
            "__closure__": function.__closure__,
            "__globals__": {key: value for key, value in found.items() if value is not self},
            "_cloudpickle_submodules": [],
        }
        made = self._function_getnewargs(function)
        return make_function, made, (dict(vars(function)), slots), None, None, set_function

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, types.CodeType):
            return marshal.loads, (marshal.dumps(thing),)  # with the file that it stands in
        if isinstance(thing, functools.cached_property):  # it holds a lock
            return cached_property_of, (thing.func, thing.attrname)
        if thing is self.secret:
            raise pickle.PicklingError("the reference would go to where the answer is")
        if isinstance(thing, types.ModuleType) and thing.__name__.partition(".")[0] in OWN:
            raise pickle.PicklingError(f"the module {thing.__name__} would go with a check: name")
        if type(thing) is nn.Parameter:
            return parameter_from, (thing.detach(), thing.requires_grad)
        if type(thing) is Tensor and thing.layout == torch.strided and thing.is_leaf:
            plain = thing.detach().cpu().contiguous()
            numbers = plain.reshape(-1).view(torch.uint8).reshape(*plain.shape, plain.itemsize)
            return tensor_from, (numbers.numpy(), thing.dtype, thing.requires_grad)
        return super().reducer_override(thing)


@functools.cache
def register() -> None:
    """Let cloudpickle write our own modules' functions whole, and not by their names."""
    for name in OWN:
        if name not in sys.modules:
            sys.modules[name] = types.ModuleType(name)
        cloudpickle.register_pickle_by_value(sys.modules[name])


def ship(use: Use, secret: object, kept: dict[int, Any]) -> bytes:
    """A function as bytes, for the process in which an answer runs."""
    register()
    file = io.BytesIO()
    Shipping(file, secret, kept).dump(use)
    return file.getvalue()


# --- Doors ---------------------------------------------------------------------------------------


def came_out(line: bytes) -> Any:
    """The result in a reply. Raises what the answer has raised."""
    match decode(line):
        case {"value": value}:
            return value
        case {"difference": [*words]}:
            symptom, expected, got, why = map(str, words)
            raise Difference(symptom, expected, got, why)
        case {
            "error": {"kinds": [*kinds], "said": said, "trace": trace, "frames": [*frames]} as told
        }:
            where = [(str(file), int(line), str(code)) for file, line, code in frames]
            raise AnswerError([*map(str, kinds)], str(said), str(trace), where, told)
    raise NotPlainError("a reply of another form")


class Rehearsal:
    """The door to an answer in this process: the same way in and out, and no protection."""

    computing = 0.0

    def __init__(self, answer: Answer, secret: object) -> None:
        self.room, self.secret, self.kept = Room(answer), secret, dict[int, Any]()

    def ask(self, use: Use) -> Any:
        return came_out(self.room.reply(ship(use, self.secret, self.kept)))

    def calls(self) -> list[tuple[tuple, dict]]:
        return decode(self.room.calls())


class NoDoor:
    """A known answer, used where it is, as fast as can be: its results are only looked at."""

    computing = 0.0

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def ask(self, use: Use) -> Any:
        try:
            return use(self.answer)
        except Difference:
            raise
        except Exception as error:
            told = told_of(error)
            raise AnswerError(told["kinds"], told["said"]) from error

    def calls(self) -> list[tuple[tuple, dict]]:
        return []


class Line:
    """The door to an answer in another process: messages over a socket, one reply to each."""

    def __init__(self, talk: socket.socket, secret: object) -> None:
        self.talk, self.secret, self.kept = talk, secret, dict[int, Any]()
        self.computing = 0.0  # seconds that the other process has computed for this

    def request(self, kind: bytes, message: bytes = b"") -> bytes:
        send(self.talk, kind + message)
        reply = receive(self.talk, LIMIT + 8)
        (seconds,) = struct.unpack("<d", reply[:8].ljust(8, b"\0"))
        self.computing += seconds if 0 < seconds < 1000 else 0
        return reply[8:]

    def ask(self, use: Use) -> Any:
        return came_out(self.request(USE, ship(use, self.secret, self.kept)))

    def calls(self) -> list[tuple[tuple, dict]]:
        return decode(self.request(CALLS))

    def loaded(self) -> str:
        """Wait until the answer is there; what it has changed that is not its own, or nothing."""
        return str(came_out(receive(self.talk, LIMIT)))

    def changed(self) -> str:
        """What it has changed by now."""
        return str(came_out(self.request(STATE)))

    def silence(self) -> None:
        """From now on nothing that the answer prints is kept."""
        self.request(QUIET)
