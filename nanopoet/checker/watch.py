"""`nanopoet check --watch`: check the current task at every save, and obey single keys."""

import contextlib
import select
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console

from nanopoet.checker.check import check_tasks, new_seed, print_verdict
from nanopoet.checker.progress import Memory, show_hint, show_progress
from nanopoet.checker.sandbox import Sandbox
from nanopoet.checker.tasks import find_tasks, load_tasks
from nanopoet.paths import exercises

KEYS = "h hint · n next · l list · q quit"


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


def watch(
    names: list[str],
    console: Console,
    wait_for_key: Callable[[float], str],
    sandbox: Sandbox,
    seconds: float = 0.5,
) -> None:
    """Check the current task whenever its file changes, until q.

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
        if seen != (task.name, memory.version(task)):
            seen = (task.name, memory.version(task))
            (verdict,) = check_tasks([task], exercises(), new_seed(), sandbox, memory)
            print_verdict(verdict, console, exercises())
            console.print(f"  watching {task.file} · {KEYS}", style="dim", highlight=False)
            if verdict.status == "pass":
                continue
        key = wait_for_key(seconds)
        if key == "q":
            return
        if key == "h":
            show_hint(task, False, console)
        elif key == "n":
            skipped += 1
        elif key == "l":
            show_progress(console)


def watch_command(names: list[str]) -> None:
    """`nanopoet check --watch`."""
    with Sandbox() as sandbox, single_keys() as wait_for_key:
        watch(names, Console(), wait_for_key, sandbox)
