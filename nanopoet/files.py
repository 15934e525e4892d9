"""Files that are whole or not there, and text that every file and every terminal can take."""

import os
import re
from pathlib import Path
from tempfile import NamedTemporaryFile

from nanopoet_ref.files import replacing, room_for

# Lone surrogates, which UTF-8 cannot hold, and control characters and noncharacters, which XML
# cannot hold or a terminal obeys. Tabs and line feeds do no harm.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str) -> str:
    r"""A text with an escape in the place of whatever a report or a terminal cannot take.

    >>> printable("\x1b[31m红 \ud83d")
    '\\x1b[31m红 \\ud83d'
    """
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_utf8(path: Path) -> str:
    """The name of a file as text.

    Raises `ValueError` for one that other files, all of them UTF-8, could not hold.
    """
    try:
        return str(path).encode().decode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{str(path)!r} is not UTF-8: rename it") from error


def check_place(path: Path) -> None:
    """Make the folder of a file; raise the `OSError` if no file can be put there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file")
    if path.exists() and not path.is_file():  # a device would be replaced, not written to
        raise OSError(f"{path} is not a file")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; its folder is made if need be. Text becomes UTF-8."""
    check_place(path)
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def append_line(path: Path, line: str) -> None:
    """Add a line at the end of a text file, or leave the file as it was."""
    before = path.stat().st_size if path.exists() else 0
    with room_for(path):
        try:
            with path.open("ab") as file:
                file.write(f"{line}\n".encode())
        except OSError:
            if path.exists():
                os.truncate(path, before)  # half a line would run into the next one
            raise


def ensure_writable(path: Path) -> None:
    """Raise the `OSError` now that writing this file would raise after long work."""
    try:
        check_place(path)
        with NamedTemporaryFile(dir=path.parent, prefix=f"{path.name}.", suffix=".tmp"):
            pass
    except OSError as error:
        if error.strerror is None:
            raise  # in our own words
        raise OSError(f"{path} cannot be written: {error.strerror}") from error


def picture_format(path: Path) -> str:
    """What the suffix says; PNG without one, so that the file has exactly the name asked for.

    >>> picture_format(Path("poet.SVG")), picture_format(Path("poet"))
    ('svg', 'png')
    """
    return path.suffix.lower().removeprefix(".") or "png"


def check_picture_path(path: Path) -> None:
    """Find out before the work whether a picture can go there.

    Raises:
        ValueError: a folder or device, a path through a file, a suffix that is no format.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file for the picture, {path / 'poet.png'}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a file, and a picture is one")
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is a file, so nothing can be put into it: {path}")
    formats = FigureCanvasBase.get_supported_filetypes()
    if picture_format(path) not in formats:
        raise ValueError(
            f"{path}: {path.suffix} is no format of pictures; take .png, .svg, .pdf or no suffix"
        )
