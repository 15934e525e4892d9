"""Judging a class: a few threads, each with one submission at a time in a box of its own.

What is done is on the disk, and little else is kept: a class may be large, and may be interrupted.
"""

import ast
import queue
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from nanopoet.checker.check import judge_task
from nanopoet.checker.comparison import NO_PYTHON, parts_of, stub_source
from nanopoet.checker.graded import Graded, as_json, key_of, read_graded
from nanopoet.checker.sandbox import Sandbox, SandboxError
from nanopoet.checker.submissions import Submission, read_submission
from nanopoet.checker.tasks import Task, load_tasks
from nanopoet.checker.verdict import NOT_JUDGED, Verdict
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
        if self.known[task].symptom.startswith(NOT_JUDGED):
            raise SandboxError(f"{task} {self.known[task].symptom}, with --resume")
        return replace(self.known[task])


# --- One submission ------------------------------------------------------------------------------


def fingerprint(source: bytes, task: Task) -> list[str]:
    return [ast.dump(part) for part in parts_of(source, task)[1]]


@cache
def stub_fingerprint(task: Task) -> list[str]:
    return fingerprint(stub_source(task.module), task)


def is_untouched(source: bytes, task: Task) -> bool:
    """Whether an answer is as handed out: a bug that nobody looked for is not half mended."""
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
    submission: Submission,
    seed: int,
    sandbox: Sandbox,
    stop: threading.Event,
    parsing: threading.Lock,
) -> dict[str, Verdict]:
    """The verdicts on all tasks of the files that were handed in.

    Raises `Stopped`.
    """
    judging, verdicts = Remembering(sandbox, stop), {}
    tasks = [task for task in load_tasks().values() if task.module in submission.sources]
    with parsing:  # two threads that parse can end in a SystemError of Python 3.11
        untouched = [t for t in tasks if is_untouched(submission.sources[t.module], t)]
    with tempfile.TemporaryDirectory(prefix="nanopoet-grade-") as folder:
        root = Path(folder).resolve() / "exercises"
        submission.write(root)
        for task in tasks:
            if task in untouched:
                verdict = Verdict(task.name, "todo", "is not written yet", seed=seed)
            else:
                verdict = judge_task(task, root, seed, judging)  # type: ignore[arg-type]
            verdicts[task.name] = without(verdict, root)
    return verdicts


# --- The class -----------------------------------------------------------------------------------


class Grading:
    """Grades submissions into a folder. `resume`: what is there already, and fits, is kept."""

    def __init__(self, out: Path, seed: int, resume: bool = False) -> None:
        self.out, self.seed, self.resume = out, seed, resume
        self.stop, self.parsing = threading.Event(), threading.Lock()
        self.judging: dict[int, Sandbox] = {}  # by thread
        self.done: queue.Queue[Graded | BaseException | None] = queue.Queue()

    def grade(self, path: Path) -> Graded:
        """Judge a submission and keep what came of it, or take what was kept of the same files."""
        submission = read_submission(path)
        graded = Graded(
            submission.name,
            key_of(submission, self.seed),
            self.seed,
            sorted(submission.sources),
            submission.remarks,
            submission.newest,
        )
        kept = self.out / f"{graded.file}.json"
        verdicts = self.kept_verdicts(kept, graded.key)
        if verdicts is None:
            verdicts = {}
            if submission.sources:
                with Sandbox() as sandbox:
                    self.judging[threading.get_ident()] = sandbox
                    verdicts = judge_submission(
                        submission, self.seed, sandbox, self.stop, self.parsing
                    )
        graded.verdicts = verdicts
        write_atomically(kept, as_json(graded))
        return graded

    def kept_verdicts(self, kept: Path, key: str) -> dict[str, Verdict] | None:
        """What a run before this one has found; None if it did not get so far."""
        if not self.resume or not kept.is_file():
            return None
        try:
            graded = read_graded(kept)
        except ValueError:  # of a program before this one
            return None
        return graded.verdicts if graded.key == key else None

    def work(self, paths: Iterator[Path], lock: threading.Lock) -> None:
        """What a thread does."""
        try:
            while not self.stop.is_set():
                with lock:
                    path = next(paths, None)
                if path is None:
                    break
                self.done.put(self.grade(path))
        except Stopped:
            pass
        except BaseException as error:
            self.done.put(error)
        finally:
            self.judging.pop(threading.get_ident(), None)
            self.done.put(None)

    def run(self, paths: Sequence[Path], workers: int) -> Iterator[Graded]:
        """What is done, in the order in which it is done. Whatever ends this ends the threads."""
        for task in load_tasks().values():
            stub_fingerprint(task)  # the checks are loaded by one thread
        todo, lock = iter(paths), threading.Lock()
        threads = [
            threading.Thread(target=self.work, args=(todo, lock), daemon=True)
            for _ in range(min(workers, len(paths)))
        ]
        try:
            for thread in threads:
                thread.start()
            working = len(threads)
            while working:
                found = self.done.get()
                if isinstance(found, BaseException):
                    raise found
                working -= found is None
                if found is not None:
                    yield found
        finally:
            self.stop.set()
            told = set[Sandbox]()
            while any(thread.is_alive() for thread in threads):
                told |= {s for s in set(self.judging.values()) - told if s.interrupt()}
                time.sleep(0.02)
