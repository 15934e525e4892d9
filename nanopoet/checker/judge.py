"""Judge an answer, here and now: run its task's checks, and say what came of them.

`nanopoet.checker.worker` does it with limits.
"""

import bdb
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from hypothesis.errors import Flaky

from nanopoet.checker.difference import Difference, show_call
from nanopoet.checker.relation import find_relation
from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.trial import CHECKS, Answer, Check, Trial
from nanopoet.checker.verdict import Verdict
from nanopoet.paths import shipped


def judge(
    task: str,
    answer: Answer,
    seed: int,
    file: str = "",
    on_failure: Callable[[Verdict], None] | None = None,
) -> Verdict:
    """Run all checks of a task; the verdict is that of the first that does not hold.

    It is told `on_failure` at once, before the checks that are left: one of them may never end.
    """
    verdict = Verdict(task, "pass", seed=seed, file=file)
    held = dict.fromkeys(CHECKS[task].checks, False)
    for name, run in CHECKS[task].checks.items():
        found = run_check(task, run, answer, seed, file)
        held[name] = found.status == "pass"
        if verdict.status == "pass" and not held[name]:
            verdict = found
            if on_failure:
                on_failure(verdict)
        if found.status == "todo":
            break
    verdict.checks = held
    return verdict


def run_check(task: str, run: Check, answer: Answer, seed: int, file: str) -> Verdict:
    """What one check says."""
    verdict = Verdict(task, "pass", seed=seed, file=file)
    trial = Trial(answer, CHECKS[task].reference, seed)
    try:
        run(trial)
        if not trial.outcomes:
            raise RuntimeError(f"the check of {task} compared nothing")
    except Difference as difference:
        verdict.status, verdict.symptom = "fail", difference.symptom
        verdict.expected, verdict.got = difference.expected, difference.got
        verdict.why, verdict.images = difference.why, difference.images
        if load_tasks()[task].kind == "predict":
            verdict.expected, verdict.images = "", None  # it is for the learner to find
        elif difference.values and (relation := find_relation(*difference.values)):
            verdict.misconception, verdict.explanation = relation
    except Flaky:
        verdict.status, verdict.symptom = "fail", "does not do the same twice with the same input"
        verdict.why = "nothing may be kept from one call to the next, and no random number drawn"
    except Exception as error:
        said = message_of(error)
        if isinstance(error, NotImplementedError) and said in load_tasks():
            verdict.status, verdict.symptom = "todo", "is not written yet"
            if said != task:
                verdict.symptom = f"needs {said}, which is not written yet"
            return verdict
        verdict.status, verdict.symptom = "error", in_words(error)
        verdict.trace = current_trace(file)
        frames = traceback.extract_tb(error.__traceback__)
        if Path(frames[-1].filename).parent == shipped("checks"):
            # The answer was done; the check could do nothing with what it got.
            verdict.status = "fail"
            verdict.symptom = (
                f"gives something that is not what its contract says ({in_words(error)})"
            )
        own = [frame for frame in frames if frame.filename == file]
        if own:
            verdict.line, verdict.code = own[-1].lineno or 0, (own[-1].line or "").strip()
    if verdict.status != "pass" and len(trial.calls) == 1:
        verdict.given = show_call(load_tasks()[task].function, *trial.calls[0])
    return verdict


TRACE = 4000  # characters of a traceback are kept, the last ones


def current_trace(file: str = "") -> str:
    """The end of the traceback of what is being handled, from the first line of `file` on.

    What the check did before is not the learner's affair. An error may say a megabyte.
    """
    shown = traceback.TracebackException(*sys.exc_info())
    own = [i for i, frame in enumerate(shown.stack) if frame.filename == file]
    shown.stack = traceback.StackSummary.from_list(shown.stack[own[0] if own else 0 :][-8:])
    return "".join(shown.format())[-TRACE:]


def message_of(error: BaseException) -> str:
    """What an error says. One of the answer's own making may fail at that, too."""
    try:
        return str(error)
    except Exception:
        return "an error that cannot be shown"


def in_words(error: BaseException) -> str:
    """An error on one line, and what it comes from where that is not plain."""
    said = message_of(error)
    if isinstance(error, MemoryError) or "allocate memory" in said:
        return "asks for more memory than a check allows: is a size wrong?"
    if isinstance(error, RecursionError):
        return "calls itself too often, or without end (RecursionError)"
    if isinstance(error, SystemExit):
        return "ends the program (SystemExit); a function returns instead"
    if isinstance(error, EOFError | bdb.BdbQuit):
        return (
            "waits for the keyboard (input() or breakpoint()), and a check has none: print() what "
            "you want to see, and check with -v"
        )
    return shorten_text(f"{type(error).__name__}: {said}".rstrip(": "))


def shorten_text(text: str, limit: int = 200) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
