"""Which known misconception stands behind a wrong answer.

The checks run again, on the answer and on each misconception of its task, and go on after every
difference. The name is that of the misconception which goes wrong in the same place with the same
result, and elsewhere most alike.
"""

import contextlib
import math
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from nanopoet.checker.difference import Difference, compare_values
from nanopoet.checker.door import AnswerError, Door, NoDoor
from nanopoet.checker.misconceptions import Misconception
from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.trial import (
    CHECKS,
    MISCONCEPTIONS,
    Outcome,
    Trial,
)
from nanopoet.checker.verdict import Verdict

ALIKE = 0.49  # of what either gets wrong: as much must be the same, unless one result is telling
TELLING = 4  # different numbers in a result that two answers hardly share by chance


def reason(error: Exception) -> tuple[str, str]:
    """Why something failed, whatever its variables are called.

    Sizes stay: on the same inputs they tell one operation from another. Two precisions that do not
    go together are one reason, whichever comes first.

    >>> reason(AnswerError(["NameError", "Exception"], "name 'x' is not defined"))
    ('NameError', 'name … is not defined')
    """
    kinds = error.kinds if isinstance(error, AnswerError) else [type(error).__name__]
    said = str(error)
    if {"float", "double"} <= set(re.findall(r"\w+", said.lower())):
        return kinds[0], "float and double"
    if "NameError" in kinds:  # UnboundLocalError is one, too
        said = re.sub(r"'\w+'", "…", said)
    return kinds[0], re.sub(r"0x[0-9a-f]+", "…", said)  # an address is another each time


def equal_outcomes(a: Any, b: Any) -> bool:
    """Whether two answers did the same: gave equal results, or failed for the same reason."""
    if isinstance(a, Exception) or isinstance(b, Exception):
        return isinstance(a, Exception) and isinstance(b, Exception) and reason(a) == reason(b)
    try:
        compare_values("", a, b, rtol=1e-4, atol=1e-6)
    except Difference:
        return False
    return True


def numbers_in(value: Any) -> set[float]:
    """The different numbers of a nested result.

    >>> sorted(numbers_in({"a": [1, (2, 2)], "b": "text"}))
    [1.0, 2.0]
    """
    if isinstance(value, Tensor | np.ndarray):
        return numbers_in(value.flatten().tolist())
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return set().union(*map(numbers_in, value))
    return {float(value)} if isinstance(value, int | float) else set()


class UnlikeError(BaseException):
    """Two answers do not go wrong alike. (No `Exception`: checks and hypothesis let it pass.)"""


class Likeness:
    """How like one answer goes wrong to another, whose outcomes are known: told one by one.

    Of all comparisons that either gets wrong, the share with the same result in both. Ends the
    checks with `UnlikeError` as soon as the other answer is right, or wrong in another way, where
    this one is wrong first; or as soon as the share cannot be `more_than` so much. Where numbers
    are predicted, each stands for itself: what the other has wrong must be wrong here, too.
    """

    def __init__(self, known: list[Outcome], more_than: float, predicts: bool = False) -> None:
        self.predicts = predicts
        self.known = {outcome.place: outcome for outcome in known}
        wrong = [outcome.place for outcome in known if not outcome.right]
        self.first, self.to_come = wrong[0] if wrong else None, set(wrong)
        self.more_than = more_than
        self.alike = self.unlike = 0

    def __call__(self, theirs: Outcome) -> None:
        ours = self.known.get(theirs.place, Outcome(True, None))
        self.to_come.discard(theirs.place)
        if ours.right and theirs.right:
            return
        if ours.right == theirs.right and equal_outcomes(ours.result, theirs.result):
            self.alike += 1
            return
        self.unlike += 1
        if self.predicts and not theirs.right:
            raise UnlikeError
        best = self.alike + len(self.to_come)
        if theirs.place == self.first or best / (best + self.unlike) <= self.more_than:
            raise UnlikeError

    @property
    def share(self) -> float:
        """0 if the other answer never came to where this one is wrong first."""
        if self.first is None or self.first in self.to_come:
            return 0.0
        return self.alike / (self.alike + self.unlike + len(self.to_come))


def collect(task: str, door: Door, seed: int, **options: Any) -> list[Outcome]:
    """All outcomes of an answer, right and wrong ones, as far as each check can go."""
    outcomes = []
    for name, run in CHECKS[task].checks.items():
        trial = Trial(door, CHECKS[task].reference, seed, collecting=True, name=name, **options)
        try:
            run(trial)
        except EOFError:  # the answer's process has gone
            raise
        except Exception as error:
            trial.note(Difference(str(error)), error)
        outcomes += trial.outcomes
    return outcomes


@dataclass
class Remembered:
    """What has been found out about one task with one seed, for whoever asks about many answers."""

    expected: dict = field(default_factory=dict)  # of the reference, the same for all
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)  # of misconceptions, by name


def recognize(
    task: str,
    door: Door,
    seed: int,
    seconds: float = math.inf,
    remembered: Remembered | None = None,
) -> Misconception | None:
    """The misconception that goes wrong in the same place alike, and elsewhere most alike.

    The search ends after so many seconds of computing. Nothing of what is printed meanwhile is
    shown.
    """
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        expected = remembered.expected if remembered else {}
        outcomes = collect(task, door, seed, expected=expected)
        first = next((outcome for outcome in outcomes if not outcome.right), Outcome(True, None))
        telling = not isinstance(first.result, Exception) and (
            len(numbers_in(first.result)) >= TELLING
        )
        predicts = load_tasks()[task].kind == "predict"
        found, share = None, 0.0 if telling or predicts else ALIKE
        end = time.process_time() + seconds - door.computing
        for known in MISCONCEPTIONS[task]:
            likeness = Likeness(outcomes, share, predicts)
            with contextlib.suppress(UnlikeError):
                if remembered is None:  # it ends early, where they are not alike
                    theirs = NoDoor(known.answer)
                    collect(task, theirs, seed, on_outcome=likeness, expected=expected)
                else:
                    if known.name not in remembered.outcomes:
                        theirs = NoDoor(known.answer)
                        it_is_this = isinstance(door, NoDoor) and door.answer is known.answer
                        remembered.outcomes[known.name] = (
                            outcomes
                            if it_is_this
                            else collect(task, theirs, seed, expected=expected)
                        )
                    for outcome in remembered.outcomes[known.name]:
                        likeness(outcome)
                if likeness.share > share:
                    found, share = known, likeness.share
            if share == 1 or time.process_time() > end:
                break
    return found


def name_misconception(
    verdict: Verdict,
    door: Door,
    seconds: float = math.inf,
    remembered: Remembered | None = None,
) -> None:
    """Say in the verdict on a wrong answer what people think who give it, if that is known."""
    if verdict.status not in ("fail", "error"):
        return
    if found := recognize(verdict.task, door, verdict.seed, seconds, remembered):
        verdict.status = "fail"
        verdict.misconception, verdict.explanation = found.name, found.why
