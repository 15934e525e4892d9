"""Judge an answer in the process that `nanopoet.checker.serving` has made for it alone.

Around an answer: time, memory and output are limited; the reference, the solutions and the checks
cannot be imported; what it prints is no part of the verdict; what it changes in PyTorch, NumPy or
Python is noticed. The verdict is written to a file that only the judging process knows.
"""

import builtins
import contextlib
import faulthandler
import importlib
import json
import math
import os
import random
import resource
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nanopoet.checker.judge import current_trace, in_words, judge
from nanopoet.checker.recognition import name_misconception
from nanopoet.checker.source import SourceError, answer_code, line_of, read_source
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import Task, load_tasks
from nanopoet.checker.trial import load_checks
from nanopoet.checker.verdict import LOADING, SYNTAX, Verdict, output_of, running_of

OUTPUT = 2**16  # bytes that may be printed
NAMING = 2.5  # seconds of computing to find the name of a wrong answer: nobody waits longer

OWN_ROOTS = ("nanopoet", "nanopoet_ref", "solutions", "checks", "tests")


class AnswersOnly:
    """An importer that keeps an answer from fetching somebody else's."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in OWN_ROOTS:
            raise ImportError(f"{name} cannot be imported here: a check is about your own code")


def hide_the_reference() -> None:
    """Make the course's own modules unimportable. The check holds what it needs already."""
    for name in list(sys.modules):
        if name.partition(".")[0] in OWN_ROOTS:
            del sys.modules[name]
    sys.meta_path.insert(0, AnswersOnly())


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


def snapshot() -> list[dict[str, int]]:
    """Which object stands behind each name of the libraries."""
    return [{name: id(value) for name, value in vars(space).items()} for space in WATCHED]


def tampering(before: list[dict[str, int]]) -> str:
    """What an answer has changed that is not its own, in words, or nothing."""
    if torch.get_default_dtype() != torch.float32:
        return f"changes the default dtype to {torch.get_default_dtype()}"
    if not torch.is_grad_enabled():
        return "switches gradients off for everybody: use `with torch.no_grad():`"
    for space, names in zip(WATCHED, before, strict=True):
        now = {name: id(value) for name, value in vars(space).items()}
        for name, identity in names.items():
            # torch._dynamo, which torch.vmap loads, wraps torch.manual_seed.
            known = name.startswith("__") or name == "manual_seed"
            if now.get(name) != identity and not known:
                return f"replaces {getattr(space, '__name__', space)}.{name}"
    return ""


def load_answer(root: Path, task: Task) -> Any:
    """The learner's function or class, from `root` and nowhere else."""
    package = types.ModuleType("exercises")
    package.__path__ = [str(root)]
    sys.modules["exercises"] = package
    sys.dont_write_bytecode = True  # nothing is ever written into the learner's folder
    sys.pycache_prefix = os.devnull  # and what stands there compiled may be an older answer
    module = importlib.import_module(f"exercises.{task.module}")
    sys.pycache_prefix = None
    if not hasattr(module, task.function):
        raise AttributeError(
            f"{task.file} has no {task.function}; `nanopoet reset {task.name}` brings it back"
        )
    return getattr(module, task.function)


def marked(error: SyntaxError) -> str:
    """The line of a syntax error, and a mark under the place."""
    line = (error.text or "").rstrip()
    indent = len(line) - len(line.lstrip())
    return f"{line.strip()}\n{' ' * max((error.offset or 1) - 1 - indent, 0)}^" if line else ""


def is_untouched(file: Path, task: Task) -> bool:
    """Whether a bug hunt is as it was handed out, comments and layout aside."""
    return answer_code(read_source(file), task.function) == STUBS[task.name]


STUBS: dict[str, str] = {}  # the bugs of bug hunts as they are handed out, of loaded modules


def judge_file(
    task: Task, root: Path, seed: int, leave: Callable[[Verdict], None]
) -> tuple[Verdict, Any]:
    """Load an answer and judge it, in this process, which is not to be used afterwards.

    A verdict that is no pass is left as soon as it is known.

    Returns the verdict, and the answer if its results may be looked at further.
    """
    file = root / task.file
    failed = Verdict(task.name, "error", seed=seed, file=str(file))
    try:
        read_source(file)
    except SourceError as error:
        failed.symptom = str(error)
        return failed, None
    failed.line = line_of(file, task.function)
    load_checks(task.module)
    if task.kind == "bug":
        STUBS[task.name] = answer_code(stub_file(task.module), task.function)
    hide_the_reference()
    before = snapshot()
    try:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        answer = load_answer(root, task)
        if not (changed := tampering(before)):
            verdict = judge(task.name, answer, seed, str(file), leave)
            verdict.line = verdict.line or failed.line
            changed = tampering(before)
    except SyntaxError as error:
        failed.symptom, failed.line = f"{SYNTAX}: {error.msg}", error.lineno or 0
        failed.code = marked(error)
        return failed, None
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        # Not judged: the file could not be loaded, or left while it was being checked.
        failed.symptom = in_words(error)
        failed.trace = current_trace(str(file))
        return failed, None
    if changed:
        failed.symptom = f"{changed}, which other code relies on"
        return failed, None
    return verdict, answer


def limit_memory(more: int) -> None:
    """Let this process take `more` bytes than it has. (macOS ignores such limits.)"""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def limit_computing(seconds: float) -> None:
    """A last resort where nobody is left to end this process: so many seconds on every core."""
    limit = math.ceil(seconds + LOADING) * (os.cpu_count() or 1)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))


def judge_alone(request: dict[str, Any], verdict_file: Path) -> None:
    """Judge one request with limits, and leave the verdict in a file. Never returns.

    A wrong answer's verdict is left first without a name, then with it: finding one takes longer.
    """
    output_file, draft = output_of(verdict_file), verdict_file.with_suffix(".draft")
    output = os.open(output_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for stream, target in ((0, nothing), (1, output), (2, output)):
        os.dup2(target, stream)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a full file is an OSError, not a death
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit_memory(request["memory"])
    limit_computing(request["seconds"])
    torch.set_num_threads(1)
    running = running_of(verdict_file).open("w")  # open to the end: it is written by a signal
    faulthandler.register(signal.SIGUSR1, file=running, all_threads=False)
    task, this = load_tasks()[request["task"]], os.getpid()

    def leave(verdict: Verdict) -> None:
        if os.getpid() != this:  # the answer has forked: one verdict is enough
            os._exit(70)
        # Not by `write_atomically`: an answer may have replaced what it calls, such as `len`.
        draft.write_text(verdict.as_json(), encoding="utf-8")
        draft.replace(verdict_file)

    os.chdir(verdict_file.with_name("scratch"))
    verdict, answer = judge_file(task, Path(request["root"]), request["seed"], leave)
    if os.getpid() != this:
        os._exit(70)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    printed = output_file.stat().st_size
    if printed > OUTPUT:
        symptom = f"prints {printed:,} bytes or more: remove what prints"
        verdict = Verdict(task.name, "error", symptom, file=verdict.file, line=verdict.line)
    elif answer is not None:
        leave(verdict)
        name_misconception(verdict, answer, NAMING)
        if task.kind == "bug" and is_untouched(Path(verdict.file), task):
            verdict.misconception = "the bug that is to be found"
            verdict.explanation = "The symptom above is its trace; nothing has been changed yet."
    leave(verdict)
    os._exit(0)


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


def prepare() -> None:
    """What a process does that is going to judge, before it loads a check."""
    sys.modules["torch._dynamo"] = CompilerOnDemand("torch._dynamo")


if __name__ == "__main__":
    prepare()
    judge_alone(json.loads(sys.argv[1]), Path(sys.argv[2]))
