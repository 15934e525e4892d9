"""Judge an answer: run its task's checks, and say what came of them.

The checks run here, the answer behind a door (`nanopoet.checker.door`).
"""

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis.errors import Flaky

from nanopoet.checker.difference import Difference, show_call
from nanopoet.checker.door import AnswerError, Door
from nanopoet.checker.relation import find_relation
from nanopoet.checker.runner import words_of
from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.trial import CHECKS, Check, Trial
from nanopoet.checker.verdict import Verdict
from nanopoet.paths import shipped


def judge(
    task: str,
    door: Door,
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
        found = run_check(task, run, door, seed, file)
        held[name] = found.status == "pass"
        if verdict.status == "pass" and not held[name]:
            verdict = found
            if on_failure:
                on_failure(verdict)
        if found.status == "todo":
            break
    verdict.checks = held
    return verdict


def run_check(task: str, run: Check, door: Door, seed: int, file: str) -> Verdict:
    """What one check says."""
    verdict = Verdict(task, "pass", seed=seed, file=file)
    trial = Trial(door, CHECKS[task].reference, seed)
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
    except AnswerError as error:
        if error.kinds[0] == "NotImplementedError" and error.said in load_tasks():
            verdict.status, verdict.symptom = "todo", "is not written yet"
            if error.said != task:
                verdict.symptom = f"needs {error.said}, which is not written yet"
            return verdict
        tell_error(verdict, error)
    except EOFError:  # the answer's process has gone: whoever started it knows why
        raise
    except Exception as error:
        # The answer was done; the check could do nothing with what it got.
        verdict.status = "fail"
        verdict.symptom = useless(in_words([type(error).__name__], words_of(error)))
        verdict.trace = "".join(traceback.format_exception(error)[-8:])[-4000:]
    if verdict.status != "pass" and (call := trial.last_call()):
        verdict.given = show_call(load_tasks()[task].function, *call)
    return verdict


def useless(words: str) -> str:
    return f"gives something that is not what its contract says ({words})"


def tell_error(verdict: Verdict, error: AnswerError) -> None:
    """Put what an answer has raised, and where, into its verdict."""
    words = in_words(error.kinds, error.said)
    verdict.status, verdict.symptom, verdict.trace = "error", words, error.trace
    if error.frames and Path(error.frames[-1][0]).parent == shipped("checks"):
        # The answer was done; what the check does with its result could not be done.
        verdict.status, verdict.symptom = "fail", useless(words)
    if own := [frame for frame in error.frames if frame[0] == verdict.file]:
        verdict.line, verdict.code = own[-1][1], own[-1][2].strip()


def in_words(kinds: Sequence[str], said: str) -> str:
    """An error on one line, and what it comes from where that is not plain."""
    if "MemoryError" in kinds or "allocate memory" in said:
        return "asks for more memory than a check allows: is a size wrong?"
    if "RecursionError" in kinds:
        return "calls itself too often, or without end (RecursionError)"
    if "SystemExit" in kinds:
        return "ends the program (SystemExit); a function returns instead"
    if "EOFError" in kinds or "BdbQuit" in kinds:
        return (
            "waits for the keyboard (input() or breakpoint()), and a check has none: print() what "
            "you want to see, and check with -v"
        )
    return shorten_text(f"{kinds[0]}: {said}".rstrip(": "))


def shorten_text(text: str, limit: int = 200) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
