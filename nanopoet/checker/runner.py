"""The process in which answers run. It holds no reference, no expected value, no judgement.

It starts once, loads PyTorch, and forks for each answer: so each answer begins in the same clean
state. `nanopoet.checker.box` starts it, inside a box where there are boxes; the process that judges
talks to each fork through a socket (`nanopoet.checker.door`). This file, `plain` and
`messages` are all of the program that is here, and they import nothing else of it.
"""

import builtins
import contextlib
import faulthandler
import functools
import importlib
import importlib.abc
import importlib.machinery
import io
import json
import linecache
import math
import os
import pickle
import random
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from nanopoet.checker.messages import receive, send
from nanopoet.checker.plain import NotPlainError, encode
from nanopoet.checker.processes import PDEATHSIG, SUBREAPER, end_all, prctl

OUTPUT = 2**20  # bytes that may be printed, or written to any other file
# What may be asked: to use the answer, its last calls, what it has changed, to print no more.
USE, CALLS, STATE, QUIET = b"u", b"c", b"s", b"q"
TRACE = 4000  # characters of a traceback are kept, the last ones
FRAMES = 8
OWN_ROOTS = ("nanopoet", "nanopoet_ref", "solutions", "checks", "tests")

Answer = Callable[..., Any]


# --- What an answer does -------------------------------------------------------------------------


class Unpacking(pickle.Unpickler):
    """Reads what was shipped; functions that remember their results are made once."""

    def __init__(self, file: io.BytesIO, kept: dict[int, Any]) -> None:
        super().__init__(file)
        self.kept = kept

    def persistent_load(self, told: Any) -> Any:
        number, function = told
        if number not in self.kept:
            self.kept[number] = functools.cache(function) if function else {}
        return self.kept[number]


def words_of(error: BaseException) -> str:
    """What an error says. One of the answer's own making may fail at that, too."""
    try:
        return str(error)
    except Exception:
        return "an error that cannot be shown"


def told_of(error: BaseException, file: str = "") -> dict[str, Any]:
    """An error as plain data; of its traceback the end, from the first line of `file` on."""
    shown = traceback.TracebackException.from_exception(error)
    stack = [frame for frame in shown.stack if frame.filename != __file__]
    own = [i for i, frame in enumerate(stack) if frame.filename == file]
    stack = stack[own[0] if own else 0 :]
    shown.stack = traceback.StackSummary.from_list(stack[-FRAMES:])
    try:
        trace = "".join(shown.format())[-TRACE:]
    except Exception:
        trace = ""
    return {
        "kinds": [kind.__name__ for kind in type(error).__mro__],
        "said": words_of(error)[-TRACE:],
        "trace": trace,
        "frames": [[frame.filename, frame.lineno or 0, frame.line or ""] for frame in stack],
    }


class Room:
    """An answer, and what is done with it."""

    def __init__(self, answer: Answer, file: str = "", look: Callable[[], object] = int) -> None:
        self.answer, self.file, self.look = answer, file, look
        self.kept: dict[int, Any] = {}
        self.noted: list[Any] = []

    def called(self, *args: Any, **kwargs: Any) -> Any:
        """The answer, with its first calls noted."""
        if len(self.noted) < 2:
            self.noted.append((args, kwargs))
        return self.answer(*args, **kwargs)

    def reply(self, message: bytes) -> bytes:
        """What the shipped function makes of the answer, or what was raised."""
        self.noted = []
        try:
            use = Unpacking(io.BytesIO(message), self.kept).load()
            # A class is more than its calls.
            value = use(self.answer if isinstance(self.answer, type) else self.called)
            self.look()
            return encode({"value": value})
        except NotPlainError as error:
            return encode({"error": told_of(MemoryError(str(error)), self.file)})
        except BaseException as error:
            self.look()
            if type(error).__name__ == "Difference":  # the check's own, found on the way
                fields = ("symptom", "expected", "got", "why")
                return encode({"difference": [str(getattr(error, name)) for name in fields]})
            return encode({"error": told_of(error, self.file)})

    def calls(self) -> bytes:
        """The first calls when it was asked last; none where they are too large to be told."""
        try:
            return encode([(list(args), kwargs) for args, kwargs in self.noted])
        except NotPlainError:
            return encode([])


# --- What an answer must not change --------------------------------------------------------------

WATCHED = (
    builtins,
    math,
    random,
    np,
    torch,
    torch.nn,
    torch.nn.functional,
    torch.Tensor,
    torch.nn.Module,
    torch.autograd,
    torch.optim,
)


class Watch:
    """Notices what an answer changes that is not its own, and puts it back: all here relies on it.

    It uses nothing that an answer can have replaced.
    """

    put = staticmethod(setattr)

    def __init__(self) -> None:
        self.spaces = [(space, dict(vars(space))) for space in WATCHED]
        self.changed = ""  # the first thing, in words

    def look(self) -> None:
        for space, names in self.spaces:
            now = space.__dict__
            for name, value in names.items():
                # torch._dynamo, which torch.vmap loads, wraps torch.manual_seed.
                if now.get(name) is value or name.startswith("__") or name == "manual_seed":
                    continue
                self.put(space, name, value)
                self.changed = self.changed or f"replaces {space.__name__}.{name}"
        if torch.get_default_dtype() != torch.float32:
            self.changed = f"changes the default dtype to {torch.get_default_dtype()}"
            torch.set_default_dtype(torch.float32)
        if not torch.is_grad_enabled():
            self.changed = "switches gradients off for everybody: use `with torch.no_grad():`"
            torch.set_grad_enabled(True)


# --- Loading an answer ---------------------------------------------------------------------------


class AnswersOnly(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the learner's files from what was sent, and nothing of the course."""

    def __init__(self, files: dict[str, list[str]]) -> None:
        self.files = files  # by module: where it stands, and its text

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        root, _, module = name.partition(".")
        if root in OWN_ROOTS:
            raise ImportError(f"{name} cannot be imported here: a check is about your own code")
        if root != "exercises" or (module and module not in self.files):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=not module)

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        name = module.__name__.partition(".")[2]
        if not name:
            return
        path, text = self.files[name]
        module.__file__ = path
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
        exec(compile(text, path, "exec"), module.__dict__)


def load_answer(request: dict[str, Any]) -> Answer:
    """The learner's function or class, from the files that were sent and nowhere else."""
    for name in list(sys.modules):
        if name.partition(".")[0] in OWN_ROOTS:
            del sys.modules[name]
    sys.meta_path.insert(0, AnswersOnly(request["files"]))
    random.seed(request["seed"])
    np.random.seed(request["seed"])
    torch.manual_seed(request["seed"])
    module = importlib.import_module(f"exercises.{request['module']}")
    if not hasattr(module, request["function"]):
        raise AttributeError(
            f"exercises/{request['module']}.py has no {request['function']}; "
            f"`nanopoet reset {request['task']}` brings it back"
        )
    return getattr(module, request["function"])


# --- One answer, with limits ---------------------------------------------------------------------


def limit_memory(more: int, for_good: bool = False) -> None:
    """Let this process take so many bytes more than it has; where it is not Linux, do nothing."""
    if sys.platform == "linux":
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        most = pages * resource.getpagesize() + more
        highest = resource.getrlimit(resource.RLIMIT_AS)[1]
        if highest != resource.RLIM_INFINITY:
            most = min(most, highest)
        resource.setrlimit(resource.RLIMIT_AS, (most, most if for_good else highest))


def limit(request: dict[str, Any]) -> None:
    """Bound what this process may take of the machine."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a full file is an OSError, not a death
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT, OUTPUT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A last resort where nobody is left to end this process.
    seconds = math.ceil(request["seconds"] + 30) * (os.cpu_count() or 1)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    limit_memory(request["memory"], for_good=True)
    torch.set_num_threads(1)


def serve_answer(request: dict[str, Any], talk: socket.socket, output: int, running: int) -> None:
    """Load one answer, and do with it what is asked until nobody asks. Never returns."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for stream, target in ((0, nothing), (1, output), (2, output)):
        os.dup2(target, stream)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    faulthandler.register(signal.SIGUSR1, file=running, all_threads=False)
    limit(request)
    watch, file = Watch(), request["files"][request["module"]][0]
    try:
        room = Room(load_answer(request), file, watch.look)
        watch.look()
        send(talk, encode({"value": watch.changed}))
    except BaseException as error:
        watch.look()
        told = told_of(error, file)
        if isinstance(error, SyntaxError):
            told |= {"line": error.lineno or 0, "code": marked(error), "message": error.msg}
        send(talk, encode({"error": told}))
        os._exit(0)
    this = os.getpid()
    while True:
        try:
            message = receive(talk)
        except EOFError:
            os._exit(0)
        kind, rest = message[:1], message[1:]
        began = time.process_time()
        if kind == USE:
            reply = room.reply(rest)
        elif kind == CALLS:
            reply = room.calls()
        else:
            sys.stdout.flush()
            reply = encode({"value": watch.changed})
        if kind == QUIET:
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        if os.getpid() != this:  # the answer has forked: one reply is enough
            os._exit(70)
        send(talk, struct.pack("<d", time.process_time() - began) + reply)


def marked(error: SyntaxError) -> str:
    """The line of a syntax error, and a mark under the place."""
    line = (error.text or "").rstrip()
    indent = len(line) - len(line.lstrip())
    return f"{line.strip()}\n{' ' * max((error.offset or 1) - 1 - indent, 0)}^" if line else ""


# --- From answer to answer -----------------------------------------------------------------------

READY = "ready"


class CompilerOnDemand(types.ModuleType):
    """Stands in for torch._dynamo, which takes longer to load than most checks take.

    Every torch optimizer loads it, only to ask that a function be left as it is. Whoever asks for
    more gets the real one.
    """

    def disable(self, function: Any, *_: object, **__: object) -> Any:
        return function

    def graph_break(self) -> None:
        """Nothing is being compiled, so there is nothing to break off."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # __path__: one of its parts is imported
            raise AttributeError(name)
        sys.modules.pop(self.__name__, None)
        return getattr(importlib.import_module(self.__name__), name)


def start_answer(request: dict[str, Any], fds: list[int], scratch: str, forks: bool) -> int:
    """A process for one answer. Returns its number; 0 if there was no room for it."""
    for wait in (0.1, 0.5, None):  # a machine that is full now may not be in a moment
        try:
            child = os.fork() if forks else 0
            break
        except OSError:
            if wait is None:
                return 0
            time.sleep(wait)
    if child == 0:
        try:
            if forks:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.setsid()
                prctl(PDEATHSIG, signal.SIGKILL)
                for fd in set(range(3, 100)) - set(fds):  # what is for whoever started it
                    with contextlib.suppress(OSError):
                        os.close(fd)
            os.chdir(scratch)
            serve_answer(request, socket.socket(fileno=fds[0]), fds[1], fds[2])
        finally:
            os._exit(70)
    return child


def has_ended(child: int) -> int | None:
    """How a child has ended by itself; None if it has not."""
    finished, raw = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(raw) if finished else None


def main(control: socket.socket, forks: bool, places: list[str]) -> None:
    """Start, look at, and end processes for answers, as it is told. Never returns.

    Of `places` that belong to answers alone it says what they have left there.
    """
    prctl(SUBREAPER, 1)
    sys.modules["torch._dynamo"] = CompilerOnDemand("torch._dynamo")
    send(control, READY.encode())
    child, scratch, talk = 0, "", None

    def hang_up(*_: object) -> None:
        """What an answer has started may hold its socket open: when it has gone, nobody talks."""
        with contextlib.suppress(OSError):  # ended already, or hung up
            ended = os.WEXITED | os.WNOHANG | os.WNOWAIT  # to look, and leave it to be waited for
            if child and talk and os.waitid(os.P_PID, child, ended):
                talk.shutdown(socket.SHUT_RDWR)

    if forks:
        signal.signal(signal.SIGCHLD, hang_up)
    while True:
        try:  # one byte, to carry them; programs that an answer starts do not inherit them
            _, fds, *_ = socket.recv_fds(control, 1, 3, socket.MSG_CMSG_CLOEXEC)
            request = json.loads(receive(control))
        except (EOFError, OSError):  # nobody asks any more
            end_all(child, running=False)
            os._exit(0)
        status = None
        if request["do"] == "start":
            scratch = tempfile.mkdtemp()
            if not forks:
                send(control, json.dumps({"child": 0, "status": None, "left": 0}).encode())
            child = start_answer(request, fds, scratch, forks)
            talk = socket.socket(fileno=os.dup(fds[0]))
            hang_up()  # it may have gone already
        elif request["do"] == "where":  # let it write down where it is
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGUSR1)
                time.sleep(0.05)  # it takes a moment, and nobody can wait for it to be done
        else:
            status = has_ended(child)
            end_all(child, running=status is None)
            child, talk = 0, None
            shutil.rmtree(scratch, ignore_errors=True)
        for fd in fds:
            os.close(fd)
        left = [name for place in places for name in os.listdir(place)]
        told = {"child": child, "status": status, "left": len(left)}
        send(control, json.dumps(told).encode())


if __name__ == "__main__":
    number, how, *places = sys.argv[1:]
    main(socket.socket(fileno=int(number)), how == "forks", places)
