"""Copies of what a command writes over. Where none can be kept, nothing is written over."""

import time
from pathlib import Path

from nanopoet import paths
from nanopoet.files import write_atomically


class BackupError(ValueError):
    """A file that stays as it is, because it cannot be kept."""


def back_up(path: Path) -> Path:
    """Keep a copy of a file under .nanopoet/backup, with the time in its name; returns the copy.

    Raises `BackupError` when none can be written.
    """
    folder = paths.memory() / "backup"
    content = path.read_bytes()
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        backup = folder / f"{path.stem}-{stamp}{path.suffix}"
        number = 1
        while backup.exists():
            number += 1
            backup = folder / f"{path.stem}-{stamp}-{number}{path.suffix}"
        write_atomically(backup, content)
    except OSError as error:
        raise BackupError(
            f"{path} stays as it is, for no copy of it can be kept in {folder} "
            f"({error.strerror or error}): set NANOPOET_MEMORY to a folder that can be written"
        ) from error
    return backup


def rewrite(path: Path, content: str | bytes) -> Path | None:
    """Write a file anew; returns the copy of what it held, if that was something else."""
    new = content.encode("utf-8") if isinstance(content, str) else content
    backup = back_up(path) if path.is_file() and path.read_bytes() != new else None
    write_atomically(path, new)
    return backup


def rewrite_and_tell(path: Path, content: str | bytes) -> None:
    """`rewrite`, and print the file's name, with the copy of what was there."""
    backup = rewrite(path, content)
    print(f"{path} (what was there: {backup})" if backup else path)
