"""What a class has handed in: a folder, a zip, a .py or an .ipynb for each learner.

Nothing is followed and nothing is unpacked: of each submission a few regular files are read, none
larger than a file of exercises may be. What is left out is said.
"""

import os
import re
import shutil
import stat
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from nanopoet.checker.notebook import NotebookError, module_named, source_of
from nanopoet.checker.source import LARGEST
from nanopoet.checker.tasks import TaskError, modules
from nanopoet.files import printable

LARGEST_ZIP = 2**24  # bytes
MOST_FILES = 10_000  # that are looked at in one submission
DEEPEST = 8  # folders in folders
MOST_REMARKS = 20
KINDS = (".py", ".ipynb")
# Folders of a clone, or of tools, in which nobody's answers are.
NOT_ANSWERS = {
    *("solutions", "checks", "tests", "nanopoet", "nanopoet_ref", "chapters", "build"),
    *("__pycache__", "__MACOSX", "node_modules", "site-packages", "venv"),
}


class UnreadableError(ValueError):
    """Why a file is left out, in a few words."""


@dataclass(frozen=True)
class Found:
    """A file of a submission that may hold answers; `read` gives its bytes."""

    path: PurePosixPath
    newest: float
    read: Callable[[], bytes]


@dataclass
class Submission:
    """The answers of one learner, by module, and what is said of how they were found."""

    name: str
    sources: dict[str, bytes] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    newest: float = 0.0  # the newest modification time of its files

    def remark(self, said: str) -> None:
        if len(self.remarks) < MOST_REMARKS:
            self.remarks.append(printable(said).replace("\n", "\\n"))
        elif len(self.remarks) == MOST_REMARKS:
            self.remarks.append("and more of that kind")

    def write(self, folder: Path) -> None:
        """Put the files into a new folder, and let nobody write them there."""
        folder.mkdir()
        for module, source in self.sources.items():
            path = folder / f"{module}.py"
            path.write_bytes(source)
            path.chmod(0o444)
        folder.chmod(0o555)


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
