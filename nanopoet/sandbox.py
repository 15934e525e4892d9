"""`Sandbox`: what asks `nanopoet.judging`, in processes of its own, for verdicts.

Nothing here loads PyTorch: a check should begin at once.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nanopoet.paths import clone
from nanopoet.tasks import load_tasks
from nanopoet.verdict import Verdict, line_of

SECONDS = 15.0  # of wall time for one task; most need a tenth of one
MEMORY = 2 * 2**30  # bytes more than the judging process has at its start
LOADING = 30.0  # seconds more for a process that has PyTorch to load
PRINTED = 1000  # bytes of what an answer prints are kept
FORKS = sys.platform == "linux"


class SandboxError(ValueError):
    """There is nobody to judge."""


def died(status: int) -> str:
    """In words, why a process that judged left no verdict."""
    if status == -signal.SIGKILL:
        return "was killed: it took too much memory, or killed itself"
    if status < 0:
        return f"crashed ({signal.Signals(-status).name})"
    return "ended the process before it was judged; a function returns instead"


def output_of(verdict_file: Path) -> Path:
    """Where goes what an answer prints."""
    return verdict_file.with_name("output")


def conclude(request: dict[str, Any], verdict_file: Path, status: int | None) -> Verdict:
    """The verdict that was left, or why there is none. `status` is None after too long a time.

    One that was left counts, even if the search for a name was cut short.
    """
    file = Path(request["root"]) / load_tasks()[request["task"]].file
    if verdict_file.is_file():
        verdict = Verdict(**json.loads(verdict_file.read_text(encoding="utf-8")))
    elif status is None:
        symptom = f"takes longer than {request['seconds']:g} s: does a loop never end?"
        verdict = Verdict(request["task"], "timeout", symptom, file=str(file))
    else:
        verdict = Verdict(request["task"], "error", died(status), file=str(file))
    if output_of(verdict_file).is_file():
        with output_of(verdict_file).open("rb") as output:
            verdict.printed = output.read(PRINTED).decode(errors="replace")
    verdict.seed = request["seed"]
    verdict.line = verdict.line or line_of(file, load_tasks()[request["task"]])
    return verdict


def serve_one_without_fork(request: dict[str, Any]) -> Verdict:
    """A process for this request alone."""
    with tempfile.TemporaryDirectory() as folder:
        verdict_file = Path(folder) / secrets.token_hex(16)
        process = subprocess.Popen(
            [sys.executable, "-m", "nanopoet.judging", "--one", json.dumps(request), verdict_file],
            stdin=subprocess.DEVNULL,
            cwd=clone(),
            start_new_session=True,
        )
        try:
            status: int | None = process.wait(request["seconds"] + LOADING)
        except subprocess.TimeoutExpired:
            status = None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return conclude(request, verdict_file, status)


class Sandbox:
    """A process that judges answers; use it in a `with` statement.

    >>> with Sandbox() as sandbox:
    ...     sandbox.judge("welcome.first_line", clone() / "solutions", seed=0).status
    'pass'
    """

    def __init__(
        self,
        seconds: float = SECONDS,
        memory: int = MEMORY,
        forks: bool = FORKS,
    ) -> None:
        self.limits = {"seconds": seconds, "memory": memory}
        self.forks = forks
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def judge(self, task: str, root: Path, seed: int) -> Verdict:
        """The verdict on `task` in the folder `root`, with inputs drawn from `seed`."""
        request = {"task": task, "root": str(root.resolve()), "seed": seed, **self.limits}
        began = time.perf_counter()
        verdict = self.ask(request) if self.forks else serve_one_without_fork(request)
        verdict.seconds = round(time.perf_counter() - began, 3)
        return verdict

    def ask(self, request: dict[str, Any]) -> Verdict:
        """Hand a request to the process that serves, which is started for the first one."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nanopoet.judging"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=clone(),
            )
        assert self.process.stdin
        assert self.process.stdout
        with contextlib.suppress(BrokenPipeError):  # then it has nothing to say either
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SandboxError("the process that judges has died; what it said stands above")
        return Verdict(**json.loads(line))
