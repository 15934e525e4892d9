"""Where everything is. Nothing else in the program computes the project's root.

In a clone, all of it lies in the clone. An installed package has no clone around it: what it makes
goes to the user's data folder. An environment variable NANOPOET_* wins over both.
"""

import os
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(__file__).resolve().parent
CHAPTERS = ROOT / "chapters"
FIRST = "welcome.py"  # every folder of exercises has it


class ProjectError(ValueError):
    """The command would act on another project than is meant, or needs one and has none."""


def is_clone(folder: Path) -> bool:
    """Whether a folder is a clone of the course."""
    try:
        table = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    project = table.get("project")
    return isinstance(project, dict) and project.get("name") == "nanopoet"


def clone() -> Path:
    """The clone, for what only a clone has. Raises `ProjectError` where there is none."""
    if not is_clone(ROOT):
        raise ProjectError(
            "this is for those who keep the course, and needs a clone of it; this nanopoet was "
            f"installed without one, in {ROOT}. In a clone, run: make install"
        )
    return ROOT


def shipped(name: str) -> Path:
    """A folder that answers are judged with, "checks" or "solutions": the clone's, or the copy
    that comes with an installed package."""
    return ROOT / name if is_clone(ROOT) else PACKAGE / name


def home() -> Path:
    """Where the program keeps what it makes."""
    if is_clone(ROOT):
        return ROOT
    from platformdirs import user_data_path

    return user_data_path("nanopoet", appauthor=False)


def exercises() -> Path:
    """The learner's files: NANOPOET_EXERCISES, or exercises/ of the clone; without a clone, the
    folder one is in, or exercises/ in it.

    Raises `ProjectError` where there are none.
    """
    folder = os.environ.get("NANOPOET_EXERCISES")
    if not folder and is_clone(ROOT):
        folder = str(ROOT / "exercises")
    if not folder:
        here = Path.cwd()
        found = [place for place in (here, here / "exercises") if (place / FIRST).is_file()]
        if not found:
            raise ProjectError(
                "there are no exercises here: nanopoet exercises DIR writes them; then cd DIR"
            )
        folder = str(found[0])
    return Path(os.path.realpath(folder))  # `Path.resolve` raises where a link leads to itself


def is_own(folder: Path) -> bool:
    """Whether a folder is that of the learner's own exercises."""
    try:
        return Path(os.path.realpath(folder)) == exercises()
    except ProjectError:  # there are none here
        return False


def memory() -> Path:
    """What is remembered of the learner's checks: NANOPOET_MEMORY, or .nanopoet/."""
    return Path(os.environ.get("NANOPOET_MEMORY") or home() / ".nanopoet")


def runs() -> Path:
    """What trainings leave behind: NANOPOET_RUNS, or runs/."""
    return Path(os.environ.get("NANOPOET_RUNS") or home() / "runs")


def raw() -> Path:
    """The prepared poems: NANOPOET_RAW, or raw/."""
    return Path(os.environ.get("NANOPOET_RAW") or home() / "raw")


def other_clone() -> Path | None:
    """The clone that the current folder lies in, unless it is the one whose program runs."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the folder was removed under the shell's feet
        return None
    found = next((folder for folder in (here, *here.parents) if is_clone(folder)), None)
    return None if found is None or found.samefile(ROOT) else found


def announce_other_clone() -> None:
    """Say on stderr which project a command acts on, if that is not plain from where one stands."""
    if other := other_clone():
        print(
            f"note: you are in {other}, but this is the nanopoet of {ROOT}: it reads and writes in "
            f"{home()}",
            file=sys.stderr,
        )


def refuse_other_clone(variable: str) -> None:
    """Replace nothing in a project that the learner is not in, unless `variable` says where.

    Raises `ProjectError`.
    """
    if (other := other_clone()) and not os.environ.get(variable):
        raise ProjectError(
            f"this would replace files in {home()}, and you are in {other}: run "
            f"`make install` here and {other / '.venv' / 'bin' / 'nanopoet'}, or set {variable}"
        )
