"""`Sandbox`: what asks the process that judges (`nanopoet.checker.serving`) for verdicts.

Nothing here loads PyTorch: a check should begin at once. Nothing an answer does to the process that
judges is more than an error of that answer: the process is started again for the next one.
"""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from nanopoet.checker.serving import READY
from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.verdict import LOADING, Verdict, read_verdict, safe_to_print
from nanopoet.paths import ROOT

SECONDS = 15.0  # of wall time for one task; most need a tenth of one
MEMORY = 2 * 2**30  # bytes more than the judging process has at its start
PATIENCE = 45.0  # seconds more until a verdict must be there: a box may have to be made anew
FORKS = sys.platform == "linux"


class SandboxError(ValueError):
    """There is nobody to judge."""


class Sandbox:
    """A process that judges answers; use it in a `with` statement.

    Answers run in a box where there is one (`nanopoet.checker.box`), unless `boxed` is False or
    NANOPOET_UNBOXED is set.

    >>> from nanopoet.paths import shipped
    >>> with Sandbox() as sandbox:
    ...     sandbox.judge("welcome.first_line", shipped("solutions"), seed=0).status
    'pass'
    """

    def __init__(
        self,
        seconds: float = SECONDS,
        memory: int = MEMORY,
        forks: bool = FORKS,
        boxed: bool = True,
    ) -> None:
        self.limits = {"seconds": seconds, "memory": memory}
        self.forks, self.boxed = forks, boxed
        self.patience = seconds + PATIENCE + (0 if forks else LOADING)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process that judges, and with it all that it has started."""
        process, self.process = self.process, None
        if process is None:
            return
        assert process.stdin
        assert process.stdout
        process.stdin.close()  # it reads the end, ends what runs, and goes
        for insist in (process.terminate, process.kill):
            try:
                process.wait(2)
                break
            except subprocess.TimeoutExpired:
                insist()
        process.wait()
        process.stdout.close()

    def interrupt(self) -> bool:
        """From another thread: end what is judged; whoever waits for it gets some error.

        Returns whether there was anything to end.
        """
        process = self.process
        if process:
            process.terminate()
        return process is not None

    def judge(self, task: str, root: Path, seed: int) -> Verdict:
        """The verdict on `task` in the folder `root`, with inputs drawn from `seed`.

        Raises `SandboxError` if the process that judges cannot be started.
        """
        # Not `Path.resolve`, which raises where a link leads to itself.
        request = {"task": task, "root": os.path.realpath(root), "seed": seed, **self.limits}
        began = time.perf_counter()
        try:
            verdict = self.ask(request)
        except BaseException:
            self.close()  # or the next request would get this one's verdict
            raise
        verdict.seconds = round(time.perf_counter() - began, 3)
        return safe_to_print(verdict)

    def start(self) -> subprocess.Popen[bytes]:
        """A process that judges, in a session of its own: no Ctrl-C reaches it but through us."""
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "nanopoet.checker.serving",
                *([] if self.forks else ["--spawn"]),
                *([] if self.boxed else ["--unboxed"]),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=ROOT,
            start_new_session=True,
        )
        if self.read_line(None) != f"{READY}\n".encode():
            raise SandboxError("the process that judges does not start; what it said stands above")
        return self.process

    def ask(self, request: dict[str, Any]) -> Verdict:
        """Hand a request to the process that judges, which is started if there is none."""
        if self.process and self.process.poll() is not None:
            self.close()
        process = self.process or self.start()
        assert process.stdin
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            return read_verdict(self.read_line(self.patience), request["task"])
        except (OSError, ValueError):
            self.close()
            symptom = "stopped or killed the process that judges, or memory ran out there"
            file = Path(request["root"]) / load_tasks()[request["task"]].file
            return Verdict(request["task"], "error", symptom, seed=request["seed"], file=str(file))

    def read_line(self, seconds: float | None) -> bytes:
        """What the process that judges says next; less than a line if it ends or takes too long."""
        assert self.process
        assert self.process.stdout
        line, end = b"", time.monotonic() + (seconds or 0)
        while not line.endswith(b"\n"):
            left = None if seconds is None else max(end - time.monotonic(), 0)
            ready, _, _ = select.select([self.process.stdout], [], [], left)
            piece = os.read(self.process.stdout.fileno(), 2**16) if ready else b""
            if not piece:
                break
            line += piece
        return line
