"""Judging a class: a few threads, each with one submission at a time in a box of its own.

What is done is on the disk, and little else is kept: a class may be large, and may be interrupted.
"""

import ast
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from nanopoet.checker.check import judge_task
from nanopoet.checker.comparison import NO_PYTHON, parts_of, stub_source
from nanopoet.checker.graded import Graded, as_json, key_of, read_graded
from nanopoet.checker.sandbox import Sandbox
from nanopoet.checker.submissions import Submission, read_submission
from nanopoet.checker.tasks import Task, load_tasks
from nanopoet.checker.verdict import Verdict
from nanopoet.files import write_atomically


class Stopped(Exception):  # noqa: N818 (nothing is wrong)
    """The class is not to be judged any further."""


class Remembering:
    """A sandbox that judges no task of a submission twice: helpers are asked for often."""

    def __init__(self, sandbox: Sandbox, stop: threading.Event) -> None:
        self.sandbox, self.stop = sandbox, stop
        self.known: dict[str, Verdict] = {}

    def judge(self, task: str, root: Path, seed: int) -> Verdict:
        if task not in self.known:
            self.known[task] = self.sandbox.judge(task, root, seed)
        if self.stop.is_set():  # what was judged then may have been interrupted
            raise Stopped
        return replace(self.known[task])


# --- One submission ------------------------------------------------------------------------------


def fingerprint(source: bytes, task: Task) -> list[str]:
    return [ast.dump(part) for part in parts_of(source, task)[1]]


@cache
def stub_fingerprint(task: Task) -> list[str]:
    return fingerprint(stub_source(task.module), task)


def is_untouched(source: bytes, task: Task) -> bool:
    """Whether an answer is as it was handed out: a bug that was not looked for is not half right."""
    try:
        return task.kind != "given" and fingerprint(source, task) == stub_fingerprint(task)
    except NO_PYTHON:
        return False


def without(verdict: Verdict, root: Path) -> Verdict:
    """A verdict that does not say in which folder it was made, which is another each time."""
    said = {
        name: value.replace(f"{root}/", "").replace(str(root), "")
        for name, value in vars(verdict).items()
        if isinstance(value, str)
    }
    return replace(verdict, **said)  # type: ignore[arg-type]


def judge_submission(
    submission: Submission, seed: int, sandbox: Sandbox, stop: threading.Event
) -> dict[str, Verdict]:
    """The verdicts on all tasks of the files that were handed in.

    Raises `Stopped`.
    """
    judging, verdicts = Remembering(sandbox, stop), {}
    with tempfile.TemporaryDirectory(prefix="nanopoet-grade-") as folder:
        root = Path(folder).resolve() / "exercises"
        submission.write(root)
        for task in load_tasks().values():
            if task.module not in submission.sources:
                continue
            if is_untouched(submission.sources[task.module], task):
                verdict = Verdict(task.name, "todo", "is not written yet", seed=seed)
            else:
                verdict = judge_task(task, root, seed, judging)  # type: ignore[arg-type]
            verdicts[task.name] = without(verdict, root)
    return verdicts
