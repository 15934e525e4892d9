"""Judge one answer in a process of its own, which `nanopoet.checker.serving` has made.

The checks and the reference are here, the answer is not: it runs where the other end of `talk` is.
The verdict is left in a file.
"""

import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from nanopoet.checker.door import AnswerError, Line
from nanopoet.checker.judge import judge, tell_error
from nanopoet.checker.recognition import name_misconception
from nanopoet.checker.runner import CompilerOnDemand
from nanopoet.checker.source import SourceError, answer_code, line_of, read_source
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import Task, load_tasks
from nanopoet.checker.trial import CHECKS, load_checks
from nanopoet.checker.verdict import SYNTAX, Verdict, output_of

OUTPUT = 2**16  # bytes that may be printed
NAMING = 2.5  # seconds of computing to find the name of a wrong answer: nobody waits longer


def is_untouched(file: Path, task: Task) -> bool:
    """Whether a bug hunt is as it was handed out, comments and layout aside."""
    return answer_code(read_source(file), task.function) == answer_code(
        stub_file(task.module), task.function
    )


def judge_answer(
    task: Task, file: Path, seed: int, line: Line, leave: Callable[[Verdict], None]
) -> tuple[Verdict, bool]:
    """The verdict on an answer, and whether its results may be looked at further.

    A verdict that is no pass is left as soon as it is known.
    """
    failed = Verdict(task.name, "error", seed=seed, file=str(file))
    try:
        read_source(file)
    except SourceError as error:
        failed.symptom = str(error)
        return failed, False
    failed.line = line_of(file, task.function)
    try:
        if not (changed := line.loaded()):
            verdict = judge(task.name, line, seed, str(file), leave)
            verdict.line = verdict.line or failed.line
            changed = line.changed()
    except AnswerError as error:  # the file could not be loaded
        tell_error(failed, error)
        if "SyntaxError" in error.kinds:
            failed.symptom = f"{SYNTAX}: {error.more.get('message', error.said)}"
            failed.line, failed.code = error.more.get("line", 0), error.more.get("code", "")
            failed.trace = ""
        return failed, False
    if changed:
        failed.symptom = f"{changed}, which other code relies on"
        return failed, False
    return verdict, True


def judge_alone(request: dict[str, Any], verdict_file: Path, talk: socket.socket) -> None:
    """Judge one request, and leave the verdict in a file. Never returns.

    A wrong answer's verdict is left first without a name, then with it: finding one takes longer.
    """
    draft = verdict_file.with_suffix(".draft")
    torch.set_num_threads(1)
    task, root = load_tasks()[request["task"]], Path(request["root"])
    load_checks(task.module)

    def leave(verdict: Verdict) -> None:
        draft.write_text(verdict.as_json(), encoding="utf-8")
        draft.replace(verdict_file)

    line = Line(talk, CHECKS[task.name].reference)
    with contextlib.suppress(EOFError):  # the answer's process has gone: why is known elsewhere
        verdict, whole = judge_answer(task, root / task.file, request["seed"], line, leave)
        printed = output_of(verdict_file).stat().st_size
        if printed > OUTPUT:
            symptom = f"prints {printed:,} bytes or more: remove what prints"
            verdict = Verdict(task.name, "error", symptom, file=verdict.file, line=verdict.line)
        elif whole:
            leave(verdict)
            line.silence()
            name_misconception(verdict, line, NAMING)
            if task.kind == "bug" and is_untouched(Path(verdict.file), task):
                verdict.misconception = "the bug that is to be found"
                verdict.explanation = (
                    "The symptom above is its trace; nothing has been changed yet."
                )
        leave(verdict)
    os._exit(0)


def prepare() -> None:
    """What a process does that is going to judge, before it loads a check."""
    sys.modules["torch._dynamo"] = CompilerOnDemand("torch._dynamo")


if __name__ == "__main__":
    prepare()
    judge_alone(json.loads(sys.argv[1]), Path(sys.argv[2]), socket.socket(fileno=int(sys.argv[3])))
