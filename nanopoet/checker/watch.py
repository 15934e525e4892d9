"""`nanopoet check --watch`: check the current task at every save, and obey single keys."""

import contextlib
import select
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from nanopoet.checker.check import judge_task, new_seed
from nanopoet.checker.progress import Memory, show_hint, show_progress
from nanopoet.checker.sandbox import Sandbox
from nanopoet.checker.show import show_verdict
from nanopoet.checker.tasks import Task, find_tasks, load_tasks
from nanopoet.checker.verdict import Verdict
from nanopoet.paths import exercises

KEYS = "h hint · n next · r rerun · l list · c clear · q quit"


@contextlib.contextmanager
def single_keys() -> Iterator[Callable[[float], str]]:
    """A function that waits so many seconds for a key, and gives it, or nothing."""
    if not sys.stdin.isatty():

        def only_wait(seconds: float) -> str:
            time.sleep(seconds)
            return ""

        yield only_wait
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)

    def read(seconds: float) -> str:
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return sys.stdin.read(1) if ready else ""

    try:
        yield read
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def judged(task: Task, sandbox: Sandbox, wait_for_key: Callable[[float], str]) -> Verdict | None:
    """The verdict on a task; None if q was pressed before there was one."""
    with ThreadPoolExecutor(1) as pool:
        verdict = pool.submit(judge_task, task, exercises(), new_seed(), sandbox)
        try:
            while not verdict.done():
                if wait_for_key(0.05) == "q":
                    return None
            return verdict.result()
        finally:  # after q or Ctrl-C it is still judged, in a process that may only just have begun
            while not verdict.done():
                sandbox.close()
                time.sleep(0.02)


def watch(
    names: list[str],
    console: Console,
    wait_for_key: Callable[[float], str],
    sandbox: Sandbox,
    seconds: float = 0.5,
) -> None:
    """Check the current task whenever its answer changes, until q.

    Files are looked at twice a second instead of waiting for a notice from the system, so it works
    on network drives and in WSL.
    """
    memory = Memory()
    wanted = find_tasks(names) if names else list(load_tasks().values())
    skipped = 0
    seen: tuple[str, str] | None = None
    while True:
        waiting = [task for task in wanted if memory.status(task) != "pass"]
        if not waiting:
            console.print("all of these pass")
            return
        task = waiting[skipped % len(waiting)]
        key = ""
        if seen != (task.name, version := memory.version(task)):
            seen = (task.name, version)
            verdict = judged(task, sandbox, wait_for_key)
            if verdict is None:
                return
            memory.note(task, verdict, version)
            failures = memory.failures.get(task.name, 0)
            show_verdict(verdict, console, exercises(), failures=failures)
            if verdict.status == "pass":
                continue
        else:
            key = wait_for_key(seconds)
            if not key:
                continue
        if key == "q":
            return
        if key == "h":
            show_hint(task, False, console)
        elif key == "n":
            skipped += 1
            continue
        elif key == "l":
            show_progress(console)
        elif key == "c":
            console.clear()
        elif key == "r":
            seen = None
            continue
        console.print(
            f"  watching {task.name} in {task.file} · {KEYS}", style="dim", highlight=False
        )


def watch_command(names: list[str]) -> None:
    """`nanopoet check --watch`."""
    with Sandbox() as sandbox, single_keys() as wait_for_key:
        watch(names, Console(), wait_for_key, sandbox)
