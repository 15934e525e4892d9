"""The process that judges, which `nanopoet.checker.sandbox` starts, asks, and starts again.

It reads one request per line and prints one verdict per line. For each there are two processes: one
in the box (`nanopoet.checker.box`), in which the answer runs, and one out here, in which the checks
run (`nanopoet.checker.worker`); a socket is between them. PyTorch and the checks are loaded once,
here and in the box; both fork for each request, so each answer starts from the same clean state and
can spoil nothing but its own. (Only Linux forks safely with PyTorch loaded; elsewhere, with
--spawn, each process loads it for itself.)

Whatever an answer has started ends before its verdict is given, and when whoever asks is gone: then
the pipe between them closes, be it by Ctrl-C, a closed terminal or a kill.
"""

import contextlib
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nanopoet.checker.box import Box, BoxError, files_of
from nanopoet.checker.processes import PDEATHSIG, SUBREAPER, end_all, prctl
from nanopoet.checker.source import SourceError, line_of, read_source
from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.verdict import (
    LOADING,
    NOT_JUDGED,
    Verdict,
    output_of,
    read_verdict,
    running_of,
)

READY = "ready"  # the first line; who ends before it cannot judge at all
PRINTED = 1000  # bytes of what an answer prints are kept


# --- What came of an answer --------------------------------------------------------------------


def died(status: int | None) -> str:
    """In words, why nothing more came from an answer's process. None: nobody knows how it ended."""
    if status is None:
        return "stopped or killed what it runs in, or memory ran out there"
    if status == -signal.SIGKILL:
        return "was killed: it took too much memory, or killed itself"
    if status < 0:
        names = {number.value: number.name for number in signal.Signals}
        return f"crashed ({names.get(-status, f'signal {-status}')})"
    return "ended the process before it was judged; a function returns instead"


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


def conclude(
    request: dict[str, Any], verdict_file: Path, late: bool, status: int | None
) -> Verdict:
    """The verdict that was left, or why there is none. `status` is how the answer's process ended.

    One that was left counts, even if the search for a name was cut short.
    """
    task = load_tasks()[request["task"]]
    file = Path(request["root"]) / task.file
    try:
        verdict = read_verdict(verdict_file.read_bytes(), task.name)
    except (OSError, ValueError):
        verdict = Verdict(task.name, "error", file=str(file), line=line_of(file, task.function))
        if late:
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


def start_judge(
    request: dict[str, Any], verdict_file: Path, talk: socket.socket, forks: bool
) -> int:
    """A process that judges one answer and leaves its verdict in a file. Returns its id."""
    server = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            prctl(PDEATHSIG, signal.SIGKILL)
            if os.getppid() != server:  # it died before it could be said
                os._exit(70)
            if forks:
                from nanopoet.checker.worker import judge_alone

                judge_alone(request, verdict_file, talk)
            os.set_inheritable(talk.fileno(), True)
            judging = [sys.executable, "-m", "nanopoet.checker.worker", json.dumps(request)]
            os.execv(sys.executable, [*judging, str(verdict_file), str(talk.fileno())])
        finally:
            os._exit(70)
    return child


def wait_for(child: int, seconds: float, box: Box) -> bool:
    """Wait for the end of a child, no longer than so many seconds, as long as the box stands and
    somebody asks. Whether it has ended."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        finished, _ = os.waitpid(child, os.WNOHANG)
        if finished:
            return True
        if select.select([sys.stdin], [], [], 0.005)[0]:  # no request comes before the verdict
            return False
        if box.forks and box.gone:
            return False
    return False


def no_process(request: dict[str, Any], error: Exception) -> Verdict:
    """What is said of an answer that was not judged, since the machine is full."""
    symptom = f"{NOT_JUDGED}: no process could be started ({error}); try again"
    return Verdict(request["task"], "error", symptom, seed=request["seed"])


def serve_one(request: dict[str, Any], box: Box, forks: bool) -> Verdict:
    """Start both processes, wait no longer than allowed, end everything, conclude."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        contextlib.ExitStack() as open_,
    ):
        verdict_file = Path(folder) / secrets.token_hex(16)
        ours, theirs = map(open_.enter_context, socket.socketpair())
        noted = [open_.enter_context(of(verdict_file).open("wb")) for of in (output_of, running_of)]
        task, status = load_tasks()[request["task"]], None
        answer = {
            "module": task.module,
            "function": task.function,
            "files": files_of(request["root"]),
        }
        try:
            started = box.tell(
                request | answer | {"do": "start"}, [theirs.fileno(), *(f.fileno() for f in noted)]
            )
            theirs.close()
            if not started["child"] and forks:
                raise OSError("no room for another process")
            child = start_judge(request, verdict_file, ours, forks)
        except (OSError, BoxError) as error:
            return no_process(request, error)
        ours.close()  # the judge has it: now each side sees when the other has gone
        judged = wait_for(child, request["seconds"] + (0 if forks else LOADING), box)
        late = not judged and not box.gone
        with contextlib.suppress(BoxError):
            if late and forks:
                box.tell({"do": "where"})
            status = box.end()
        end_all(child, running=not judged, but=box.number)
        return conclude(request, verdict_file, late, status)


def go_on_in_a_child() -> None:
    """Return in a child. Here, wait for its end, then end and remove whatever it leaves behind.

    An answer can kill the process that judges it. What it has started then comes back to this one.
    """
    prctl(SUBREAPER, 1)
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


def serve(forks: bool, boxed: bool) -> None:
    """Answer requests until there are none. Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would hide how a child ended
    go_on_in_a_child()
    prctl(SUBREAPER, 1)
    box = Box(forks, boxed)
    box.start()  # while PyTorch is loaded here, it is loaded there
    if forks:
        from nanopoet.checker import worker

        worker.prepare()
    with contextlib.suppress(BrokenPipeError):  # nobody asks any more
        print(READY, flush=True)
        for line in iter(sys.stdin.readline, ""):
            request = json.loads(line)
            if forks:
                worker.load_checks(load_tasks()[request["task"]].module)  # answers then find them
            print(serve_one(request, box, forks).as_json(), flush=True)
    box.close()
    os._exit(0)


if __name__ == "__main__":
    serve(forks="--spawn" not in sys.argv, boxed="--unboxed" not in sys.argv)
