"""Processes that start others, and end them: all of them, wherever they hide."""

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

PDEATHSIG, SUBREAPER = 1, 36  # <sys/prctl.h>


def prctl(option: int, value: int) -> None:
    """Ask Linux for something; other systems do not have it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def own_children() -> list[int]:
    """Which processes this one has to wait for."""
    try:
        told = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    except OSError:
        return []  # another system
    return [int(number) for number in told.split()]


def end_all(child: int, running: bool, but: int = 0) -> None:
    """End a child, its group, and whatever else it has started; `but` is a child that stays.

    On Linux a process whose parent has died comes back to this one (it is a "subreaper"), whatever
    session or group it has put itself into.
    """
    if child:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
    while left := [pid for pid in own_children() if pid != but] or [child] * running:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        running = False
