"""What a class has handed in: a folder, a zip, a .py or an .ipynb for each learner.

Of each, the files are found that stand for files of exercises, wherever they lie; how is said.
"""

import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from nanopoet.checker.handed_in import (
    KINDS,
    Found,
    UnreadableError,
    decoded,
    in_folder,
    in_zip,
    open_regular,
    read_regular,
)
from nanopoet.checker.notebook import NotebookError, module_named, module_of, source_of
from nanopoet.checker.tasks import TaskError, modules
from nanopoet.files import printable

LARGEST_ZIP = 2**24  # bytes
MOST_REMARKS = 20


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


def take(found: Iterator[Found], submission: Submission) -> None:
    """Read the best file for each module: in a folder `exercises`, by its exact name, not a
    notebook, high up."""

    def rank(one: Found) -> tuple:
        exact = one.path.name in [f"{module}.py" for module in modules()]
        above = one.path.parent
        return (
            above.name != "exercises",
            not exact,
            one.path.suffix.lower() != ".py",
            len(above.parts),
            one.path,
        )

    taken: dict[str, PurePosixPath] = {}
    others: list[str] = []
    for one in sorted(found, key=rank):
        module = module_named(one.path.stem)
        if one.path.suffix.lower() == ".py" and not module:
            others.append(str(one.path))
            continue
        try:
            source = one.read()
            if one.path.suffix.lower() == ".ipynb":
                code = source_of(source)
                module, source = module_of(code, one.path.stem), code.encode()
            source = decoded(source)
        except (UnreadableError, NotebookError, UnicodeEncodeError) as error:
            why = "is not UTF-8" if isinstance(error, UnicodeError) else error
            submission.remark(f"{one.path} {why}: left out")
            continue
        if not module:
            submission.remark(f"{one.path} does not say which file of exercises it is: left out")
        elif module in taken:
            submission.remark(f"{one.path} is left out: {taken[module]} is taken for {module}.py")
        else:
            taken[module] = one.path
            submission.sources[module] = source
            submission.newest = max(submission.newest, one.newest)
    say_where(taken, submission)
    if others:
        submission.remark(f"left out, since no file of exercises is called so: {shortened(others)}")


def shortened(names: list[str]) -> str:
    """
    >>> shortened(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def say_where(taken: dict[str, PurePosixPath], submission: Submission) -> None:
    """Say what does not lie at the top under its own name."""
    below: dict[PurePosixPath, list[str]] = {}
    for module, path in taken.items():
        if path.name not in (f"{module}.py", f"{module}.ipynb"):
            submission.remark(f"{module}.py is {path}")
        elif len(path.parts) > 1 or path.suffix == ".ipynb":
            below.setdefault(path.parent, []).append(path.name)
    for folder, names in below.items():
        where = f"in {folder}:" if folder.parts else "as"
        submission.remark(f"found {where} {shortened(names)}")


# --- The class -----------------------------------------------------------------------------------


def read_submission(path: Path) -> Submission:
    """The answers in an entry of the class's folder. What is wrong with it becomes a remark."""
    submission = Submission(path.name)
    try:
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            take(in_folder(path, submission.remark), submission)
        elif not stat.S_ISREG(mode):
            submission.remark("is a link or a device: not followed")
        elif path.suffix.lower() == ".zip":
            with open_regular(path) as file:
                if os.fstat(file.fileno()).st_size > LARGEST_ZIP:
                    raise UnreadableError(
                        f"has more than {LARGEST_ZIP:,} bytes: zip exercises/ alone"
                    )
                with zipfile.ZipFile(file) as archive:
                    take(in_zip(archive, submission.remark), submission)
        else:
            one = Found(
                PurePosixPath(path.name), path.lstat().st_mtime, partial(read_regular, path)
            )
            take(iter([one]), submission)
    except (UnreadableError, OSError) as error:
        submission.remark(getattr(error, "strerror", None) or str(error))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, MemoryError):
        submission.remark("is not a zip that can be read")
    if not submission.sources:
        submission.remark("holds no file of exercises")
    return submission


def find_submissions(folder: Path) -> tuple[list[Path], list[str]]:
    """The entries of a class's folder that are submissions, in order, and the names of the others.

    Raises `TaskError` for a folder that is none, or has no submission.
    """
    if not folder.is_dir():
        raise TaskError(f"{folder} is not a folder of submissions")
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))
    ours = [
        path for path in entries if path.suffix.lower() in (*KINDS, ".zip") or not is_other(path)
    ]
    if not ours:
        raise TaskError(
            f"{folder} holds no submissions: a folder, a zip, a .py or an .ipynb for each learner"
        )
    return ours, [printable(path.name) for path in entries if path not in ours]


def is_other(path: Path) -> bool:
    """Whether an entry is a file of another kind, such as a list of names."""
    return stat.S_ISREG(path.lstat().st_mode)
