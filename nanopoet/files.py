"""Files that are whole or not there, and text that every file and every terminal can take."""

import os
import re
from pathlib import Path

# Lone surrogates, which UTF-8 cannot hold, and control characters and noncharacters, which XML
# cannot hold or a terminal obeys. Tabs and line feeds do no harm.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    r"""A text with an escape in the place of whatever a report or a terminal cannot take.

    >>> printable("\x1b[31m红 \ud83d")
    '\\x1b[31m红 \\ud83d'
    """
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _temporary(path: Path) -> Path:
    """Where a file is written before it is whole. Its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file")
    if path.exists() and not path.is_file():  # a device would be replaced, not written to
        raise OSError(f"{path} is not a file")
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")  # two programs may write at once


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; its folder is made if need be. Text becomes UTF-8."""
    temporary = _temporary(path)
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def ensure_writable(path: Path) -> None:
    """Raise the `OSError` now that writing this file would raise after long work."""
    try:
        temporary = _temporary(path)
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        if error.strerror is None:
            raise  # in our own words
        raise OSError(f"{path} cannot be written: {error.strerror}") from error
