"""Files that strangers hand in, in a folder or a zip: regular ones, none too large, each read once.

No link is followed, no device is opened, nothing is unpacked to a disk. What is left out is said.
"""

import os
import re
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from nanopoet.checker.source import LARGEST

MOST_FILES = 10_000  # that are looked at in one submission
DEEPEST = 8  # folders in folders
KINDS = (".py", ".ipynb")
# Folders of a clone, or of tools, in which nobody's answers are.
NOT_ANSWERS = {
    *("solutions", "checks", "nanopoet_ref", "chapters", "build"),
    *("__pycache__", "__MACOSX", "node_modules", "site-packages", "venv"),
}
Remark = Callable[[str], None]


class UnreadableError(ValueError):
    """Why a file is left out, in a few words."""


@dataclass(frozen=True)
class Found:
    """A file of a submission that may hold answers; `read` gives its bytes."""

    path: PurePosixPath
    newest: float
    read: Callable[[], bytes]


# --- Reading -------------------------------------------------------------------------------------


def decoded(source: bytes) -> bytes:
    """A source as it is. Raises `UnreadableError` if it is not UTF-8."""
    try:
        source.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableError("is not UTF-8") from None
    return source


def limited(file: BinaryIO, limit: int) -> bytes:
    """All of a file. Raises `UnreadableError` for one that has more bytes, whatever it claims."""
    content = file.read(limit + 1)
    if len(content) > limit:
        raise UnreadableError(f"has more than {limit:,} bytes")
    return content


def open_regular(path: Path) -> BinaryIO:
    """A regular file, opened. Raises `UnreadableError` for a link, a device, or none at all."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise UnreadableError("is not a regular file")
    return os.fdopen(number, "rb")


def read_regular(path: Path) -> bytes:
    with open_regular(path) as file:
        return limited(file, LARGEST)


# --- Looking for answers -------------------------------------------------------------------------


def is_apart(part: str) -> bool:
    """Whether a folder, or a file, is hidden or belongs to something else than the answers."""
    return part.startswith(".") or part in NOT_ANSWERS


def in_folder(folder: Path, remark: Remark) -> Iterator[Found]:
    """The files below a folder that may hold answers; links to folders are not followed."""
    seen = 0
    for place, folders, files in os.walk(folder):
        here = PurePosixPath(os.path.relpath(place, folder))
        for name in sorted(folders):
            if os.path.islink(os.path.join(place, name)):  # which `walk` lets alone
                remark(f"{here / name} is a link: not followed")
        deep = len(here.parts) >= DEEPEST
        folders[:] = sorted(f for f in folders if not (deep or is_apart(f)))
        for name in sorted(files):
            seen += 1
            if seen > MOST_FILES:
                remark(f"has more than {MOST_FILES:,} files: the rest is not looked at")
                return
            path = Path(place, name)
            if name.lower().endswith(KINDS) and not is_apart(name):
                yield Found(here / name, path.lstat().st_mtime, partial(read_regular, path))
            elif name.lower().endswith(".zip"):
                remark(f"{here / name} is a zip in a folder: not opened")


def in_zip(archive: zipfile.ZipFile, remark: Remark) -> Iterator[Found]:
    """The files of a zip that may hold answers; nothing is unpacked to a disk."""
    for number, info in enumerate(archive.infolist()):
        path = PurePosixPath(info.filename.replace("\\", "/"))  # as some Windows programs write
        if number == MOST_FILES:
            remark(f"has more than {MOST_FILES:,} files: the rest is not looked at")
            return
        if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", info.filename):
            remark(f"{info.filename} leads out of the zip: left out")
        elif info.is_dir() or any(map(is_apart, path.parts[:-1])):
            continue
        elif path.name.lower().endswith(KINDS) and not is_apart(path.name):
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                remark(f"{path} is a link or a device: left out")
                continue
            yield Found(path, zip_time(info), partial(read_zipped, archive, info))


def zip_time(info: zipfile.ZipInfo) -> float:
    """When a file in a zip was modified, which a zip says in local time; 0 if it says nonsense."""
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0


def read_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.flag_bits & 1:
        raise UnreadableError("is encrypted")
    try:
        with archive.open(info) as file:
            return limited(file, LARGEST)  # type: ignore[arg-type]
    except UnreadableError:
        raise
    except Exception as error:  # of zlib, lzma, zipfile: a zip may be wrong in many ways
        raise UnreadableError(f"cannot be read from the zip ({type(error).__name__})") from None
