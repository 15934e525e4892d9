"""What a check says, and how one process leaves it for another."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from nanopoet.files import printable

STATUSES = ("pass", "fail", "todo", "error", "timeout")
SYNTAX = "syntax error"  # how a symptom begins that all tasks of a file share
NOT_JUDGED = "was not judged"  # how one begins that says nothing of the answer
LOADING = 30.0  # seconds more for a process that has PyTorch to load


@dataclass
class Verdict:
    """What a check says about one answer."""

    task: str
    status: str  # one of STATUSES
    symptom: str = ""
    code: str = ""  # the line of the answer where it went wrong
    given: str = ""  # the call that went wrong
    expected: str = ""
    got: str = ""
    why: str = ""
    misconception: str = ""
    explanation: str = ""
    seconds: float = 0.0
    seed: int = 0
    file: str = ""
    line: int = 0
    trace: str = ""
    printed: str = ""  # the beginning of what the answer printed
    images: tuple[list, list] | None = None
    checks: dict[str, bool] = field(default_factory=dict)  # by name: does it hold?
    helper: str = ""  # a task that this one calls, and whose answer fails its own check

    @property
    def share(self) -> float:
        """How many of the checks hold, of 1: what a grade may be made of."""
        return sum(self.checks.values()) / len(self.checks) if self.checks else 0.0

    def as_json(self) -> str:
        """One line, all of it ASCII: what another process reads with `read_verdict`."""
        return json.dumps(asdict(self))


def read_verdict(text: str | bytes, task: str) -> Verdict:
    """The verdict on a task that another process has left.

    Raises `ValueError` for anything else: half a line, another task, a field of another type.
    """
    try:
        verdict = Verdict(**json.loads(text))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not a verdict: {error}") from error
    kinds = {name: type(value) for name, value in vars(Verdict("", "")).items()}
    kinds["images"] = type(verdict.images)
    if any(type(value) is not kinds[name] for name, value in vars(verdict).items()):
        raise ValueError("not a verdict: a field is of another type")
    if verdict.task != task or verdict.status not in STATUSES:
        raise ValueError(f"not a verdict on {task}")
    return verdict


def output_of(verdict_file: Path) -> Path:
    """Where goes what an answer prints."""
    return verdict_file.with_name("output")


def running_of(verdict_file: Path) -> Path:
    """Where a process that judges writes what it is doing, when it is asked by SIGUSR1."""
    return verdict_file.with_name("running")


def safe_to_print(verdict: Verdict) -> Verdict:
    """The same with an escape for each character that a report or a terminal cannot take.

    What an answer raises, returns and prints is the answer's: surrogates, ESC, NUL and all.
    """
    safe = replace(verdict)
    for name, value in vars(verdict).items():
        if isinstance(value, str):
            setattr(safe, name, printable(value))
    return safe
