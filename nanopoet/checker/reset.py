"""`nanopoet reset`: put a task, or a whole file, back to its stub; what was there is kept."""

import ast
from pathlib import Path

from nanopoet import paths
from nanopoet.backup import back_up, rewrite
from nanopoet.checker.source import find_node, lines_of, read_source
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import Task, TaskError
from nanopoet.files import write_atomically


def with_stub(source: bytes, stub: bytes, name: str) -> bytes:
    """A file with one function or class as it is in another, and every other byte as it was.

    Both are cut as bytes: `bytes.splitlines` ends lines where Python does.
    """
    fresh, old = find_node(stub, name), find_node(source, name)
    assert fresh is not None
    rows = source.splitlines(keepends=True)
    ending = b"\r\n" if rows and rows[0].endswith(b"\r\n") else b"\n"
    first, last = lines_of(fresh)
    new = [row.rstrip(b"\r\n") + ending for row in stub.splitlines()[first:last]]
    if old is None:
        if rows and not rows[-1].endswith((b"\n", b"\r")):
            rows[-1] += ending
        return b"".join([*rows, ending, ending, *new])
    first, last = lines_of(old)
    end_of_old = rows[last - 1]
    if not end_of_old.endswith((b"\n", b"\r")):
        new[-1] = new[-1].removesuffix(ending)
    return b"".join([*rows[:first], *new, *rows[last:]])


def reset_task(task: Task) -> Path | None:
    """Put the stub of a task back into its file; returns the backup of what was there, if any.

    Raises `TaskError` when the file cannot be read as Python: then only the whole file can be
    brought back, and the error says how. Raises `SourceError` and `BackupError`.
    """
    path, stub = paths.exercises() / task.file, stub_file(task.module).encode("utf-8")
    if not path.exists() and not path.is_symlink():
        return rewrite(path, stub)
    source = read_source(path)
    try:
        new = with_stub(source, stub, task.function)
        found = find_node(new, task.function)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise TaskError(
            f"{path}{line} is not Python ({reason}): mend that line, or bring the "
            f"whole file back: nanopoet reset {task.module}"
        ) from error
    wanted = find_node(stub, task.function)
    if not found or not wanted or ast.dump(found) != ast.dump(wanted):
        raise TaskError(f"{path} stays as it is: the stub of {task.name} does not fit into it")
    backup = back_up(path)
    write_atomically(path, new)
    return backup


def reset_file(module: str) -> Path | None:
    """Bring a whole file of exercises back; returns the backup of what was there, if any."""
    return rewrite(paths.exercises() / f"{module}.py", stub_file(module))
