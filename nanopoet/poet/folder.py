"""A run's folder: which files in it are the run's own, and which process trains in it."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nanopoet.poet.presets import STAGES

BEGINNING = (
    r"(tokenizer|catalog)\.json|start\.pt"  # written before config.json, so they alone are no run
)
OWN = (
    rf"{BEGINNING}|config\.json|checkpoint\.pt|metrics\.jsonl|samples\.txt"
    rf"|({'|'.join(STAGES)})(\.png|(-best|-\d+)?\.pt)"
)
HALF = rf"({OWN})(\.\d+)?\.tmp"
LOCK = ".training"  # holds the number of the process that trains
PICTURE = "poet.png"  # `make poet` draws it here


class FolderError(ValueError):
    """A folder that no training may use as it is."""


def files(folder: Path, names: str) -> list[Path]:
    """The files in a folder whose names fit a pattern; no links, no folders."""
    return [
        path
        for path in sorted(folder.iterdir())
        if re.fullmatch(names, path.name) and path.is_file() and not path.is_symlink()
    ]


def refuse_foreign(folder: Path) -> None:
    """Raise `FolderError` for a folder with anything in it that a training does not write.

    Hidden files, which a desktop puts anywhere, and the picture of the poet are left alone.
    """
    if folder.is_symlink():
        raise FolderError(
            f"{folder} is a link to {folder.resolve()}, and only a run's own folder is emptied: "
            "choose another --name"
        )
    own = files(folder, f"{OWN}|{HALF}")
    for path in sorted(folder.iterdir()):
        if path not in own and path.name != PICTURE and not path.name.startswith("."):
            raise FolderError(
                f"{folder} holds {path.name}, which no training has written, and would be emptied: "
                f"move {path.name} elsewhere, or choose another --name"
            )


def refuse_orphans(folder: Path) -> None:
    """Raise `FolderError` for results that have lost their config.json."""
    orphans = [path.name for path in files(folder, OWN) if not re.fullmatch(BEGINNING, path.name)]
    if orphans and "config.json" not in orphans:
        raise FolderError(
            f"{folder} holds {', '.join(orphans)} of a run, but its config.json is gone: put it "
            "back, choose another --name, or --overwrite what is there"
        )


def clear(folder: Path) -> None:
    """Delete a run's files, and no others: a run that is started over leaves nothing behind."""
    refuse_foreign(folder)
    (folder / "config.json").unlink(missing_ok=True)  # first: without it, there is no run
    for path in files(folder, f"{OWN}|{HALF}"):
        path.unlink()


def sweep(folder: Path) -> None:
    """Delete what a process that was killed in the midst of saving has left."""
    for path in files(folder, HALF):
        path.unlink()


@contextmanager
def held(folder: Path, name: str) -> Iterator[None]:
    """Keep other processes from training in a folder, which is made if need be.

    The system lets go of the lock when the process ends, in whatever way. Raises `FolderError`.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise FolderError(f"{folder} is not a folder, and a run is one: choose another --name")
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK
    with lock.open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            number = file.read().decode(errors="replace") or "unknown"
            raise FolderError(f"run {name!r} is being trained by process {number}") from error
        if not lock.exists() or not os.path.samestat(os.fstat(file.fileno()), lock.stat()):
            # Its holder has removed it since it was opened, and a third may hold a new one.
            raise FolderError(f"another process has just left run {name!r}: try again")
        try:
            with contextlib.suppress(OSError):  # on a full disk, the lock holds without a number
                file.truncate(0)
                file.write(str(os.getpid()).encode())
            yield
        finally:
            lock.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()  # nothing was begun
