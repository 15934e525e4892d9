"""The process that judges, which `nanopoet.checker.sandbox` starts, asks, and starts again.

It reads one request per line and prints one verdict per line. Each answer gets a process of its
own. PyTorch and the checks are loaded once, here; for each request this process forks, so each
answer starts from the same clean state and can spoil nothing but its own. (Only Linux forks safely
with PyTorch loaded; elsewhere, with --spawn, each answer's process loads it for itself.)

Whatever an answer has started ends before its verdict is given, and when whoever asks is gone: then
the pipe between them closes, be it by Ctrl-C, a closed terminal or a kill.
"""

import contextlib
import ctypes
import json
import os
import re
import secrets
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nanopoet.checker.source import SourceError, line_of, read_source
from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.verdict import LOADING, Verdict, output_of, read_verdict, running_of

READY = "ready"  # the first line; who ends before it cannot judge at all
PRINTED = 1000  # bytes of what an answer prints are kept
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # <sys/prctl.h>


def prctl(option: int, value: int) -> None:
    """Ask Linux for something; other systems do not have it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


# --- What came of an answer --------------------------------------------------------------------


def died(status: int) -> str:
    """In words, why a process that judged left no verdict."""
    if status == -signal.SIGKILL:
        return "was killed: it took too much memory, or killed itself"
    if status < 0:
        names = {number.value: number.name for number in signal.Signals}
        return f"crashed ({names.get(-status, f'signal {-status}')})"
    return "ended the process before it was judged; a function returns instead"


def ask_what_it_does(child: int) -> None:
    """Let a process that takes too long write down where it is."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(child, signal.SIGUSR1)
        time.sleep(0.05)  # it takes a moment, and nobody can wait for it to be done


def line_running(verdict_file: Path, file: Path) -> int:
    """The line of a file that was running, the innermost; 0 if nobody knows."""
    try:
        told = running_of(verdict_file).read_text(errors="replace")
    except OSError:
        return 0
    found = re.search(rf'File "{re.escape(str(file))}", line (\d+)', told)
    return int(found[1]) if found else 0


def line_at(file: Path, number: int) -> str:
    """A line of a file; nothing if it has none of that number."""
    try:
        return read_source(file).splitlines()[number - 1].decode().strip() if number else ""
    except (SourceError, IndexError):
        return ""


def conclude(request: dict[str, Any], verdict_file: Path, status: int | None) -> Verdict:
    """The verdict that was left, or why there is none. `status` is None after too long a time.

    One that was left counts, even if the search for a name was cut short.
    """
    task = load_tasks()[request["task"]]
    file = Path(request["root"]) / task.file
    try:
        verdict = read_verdict(verdict_file.read_bytes(), task.name)
    except (OSError, ValueError):
        verdict = Verdict(task.name, "error", file=str(file), line=line_of(file, task.function))
        if status is None:
            verdict.status = "timeout"
            verdict.symptom = f"takes longer than {request['seconds']:g} s: does a loop never end?"
            verdict.line = line_running(verdict_file, file) or verdict.line
            verdict.code = line_at(file, verdict.line)
        else:
            verdict.symptom = died(status)
    with contextlib.suppress(OSError), output_of(verdict_file).open("rb") as output:
        verdict.printed = output.read(PRINTED).decode(errors="replace")
    verdict.seed = request["seed"]
    return verdict


# --- One answer --------------------------------------------------------------------------------


def start(request: dict[str, Any], verdict_file: Path, forks: bool) -> int:
    """A process that judges one answer and leaves its verdict in a file. Returns its id."""
    server = os.getpid()
    for wait in (0.1, 0.5, None):  # a machine that is full now may not be in a moment
        try:
            child = os.fork()
            break
        except OSError:
            if wait is None:
                raise
            time.sleep(wait)
    if child == 0:
        try:
            os.setsid()
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != server:  # it died before it could be said
                os._exit(70)
            if forks:
                from nanopoet.checker.worker import judge_alone

                judge_alone(request, verdict_file)
            judging = [sys.executable, "-m", "nanopoet.checker.worker", json.dumps(request)]
            os.execv(sys.executable, [*judging, str(verdict_file)])
        finally:
            os._exit(70)
    return child


def wait_for(child: int, seconds: float) -> int | None:
    """How a child ended; None if it did not within so many seconds, or nobody asks any more."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        finished, raw = os.waitpid(child, os.WNOHANG)
        if finished:
            return os.waitstatus_to_exitcode(raw)
        if select.select([sys.stdin], [], [], 0.005)[0]:  # no request comes before the verdict
            return None
    return None


def own_children() -> list[int]:
    """Which processes this one has to wait for."""
    try:
        return [
            int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        ]
    except OSError:
        return []  # another system


def end_all(child: int, running: bool) -> None:
    """End a child, its group, and whatever else it has started.

    On Linux a process whose parent has died comes back to this one (it is a "subreaper"), whatever
    session or group it has put itself into.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    while left := own_children() or [child] * running:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            os.waitpid(pid, 0)
        running = False


def no_process(request: dict[str, Any], error: OSError) -> Verdict:
    """What is said of an answer that was not judged, since the machine is full."""
    symptom = f"was not judged: no process could be started ({error.strerror}); try again"
    return Verdict(request["task"], "error", symptom, seed=request["seed"])


def serve_one(request: dict[str, Any], forks: bool) -> Verdict:
    """Start, wait no longer than allowed, end everything, conclude."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # A name that the answer cannot guess: it may print, but it cannot write a verdict.
        verdict_file = Path(folder) / secrets.token_hex(16)
        (Path(folder) / "scratch").mkdir()
        try:
            child = start(request, verdict_file, forks)
        except OSError as error:
            return no_process(request, error)
        status = wait_for(child, request["seconds"] + (0 if forks else LOADING))
        if status is None:
            ask_what_it_does(child)
        end_all(child, running=status is None)
        return conclude(request, verdict_file, status)


def go_on_in_a_child() -> None:
    """Return in a child. Here, wait for its end, then end and remove whatever it leaves behind.

    An answer can kill the process that judges it. What it has started then comes back to this one.
    """
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    folder = tempfile.mkdtemp(prefix="nanopoet-")
    server = os.fork()
    if server == 0:
        os.setsid()  # what is sent to its group is not sent to this process
        tempfile.tempdir = folder
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(Path(folder) / "hypothesis")
        return
    signal.signal(signal.SIGTERM, lambda *_: os.kill(server, signal.SIGKILL))
    for pipe in (0, 1):
        os.close(pipe)  # they close for whoever asks when they close in the child
    os.waitpid(server, 0)
    end_all(server, running=False)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def serve(forks: bool) -> None:
    """Answer requests until there are none. Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would hide how a child ended
    go_on_in_a_child()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    if forks:
        from nanopoet.checker import worker

        worker.prepare()
    with contextlib.suppress(BrokenPipeError):  # nobody asks any more
        print(READY, flush=True)
        for line in iter(sys.stdin.readline, ""):
            request = json.loads(line)
            if forks:
                worker.load_checks(load_tasks()[request["task"]].module)  # answers then find them
            print(serve_one(request, forks).as_json(), flush=True)
    os._exit(0)


if __name__ == "__main__":
    serve(forks="--spawn" not in sys.argv)
