"""What came of one submission: how it is kept, and how many points it is worth."""

import hashlib
import json
import math
import platform
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path

from nanopoet import __version__
from nanopoet.checker.source import SOLUTIONS
from nanopoet.checker.submissions import Submission
from nanopoet.checker.tasks import Task, TaskError, find_tasks, load_tasks
from nanopoet.checker.verdict import Verdict, read_verdict
from nanopoet.files import printable
from nanopoet.paths import PACKAGE, ROOT, shipped

MISSING = "missing"  # the status of a task whose file was not handed in
NOT_KEPT = {"images": None, "trace": "", "printed": ""}


@dataclass
class Graded:
    """The verdicts on one submission, by task; none for a file that was not handed in."""

    name: str
    key: str = ""  # of its files, the seed and the program: the same key, the same verdicts
    seed: int = 0
    modules: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    newest: float = 0.0
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def status(self, task: Task) -> str:
        return self.verdicts[task.name].status if task.name in self.verdicts else MISSING

    def share(self, task: Task) -> float:
        """How much of a task is right, of 1: the share of its checks that hold."""
        return 0.0 if self.status(task) in (MISSING, "todo") else self.verdicts[task.name].share

    def points(self, weights: Mapping[str, float], chapter: int | None = None) -> float:
        """The points of all tasks, or of a chapter's."""
        tasks = [t for t in load_tasks().values() if chapter in (None, t.chapter)]
        return sum(weights[task.name] * self.share(task) for task in tasks)

    def counts(self, *statuses: str) -> int:
        return sum(self.status(task) in statuses for task in load_tasks().values())

    @property
    def file(self) -> str:
        """Its name as that of a file, without an ending: no other name has the same."""
        plain = re.sub(r"[^\w.-]", "_", self.name).lstrip(".")
        if plain == self.name and len(plain.encode()) <= 100:
            return plain
        digest = hashlib.sha256(self.name.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{plain[:25]}-{digest[:8]}"

    @property
    def title(self) -> str:
        """Its name on one line that everything can show."""
        return printable(self.name).replace("\n", "\\n").replace("\t", "\\t")


# --- The same again? -----------------------------------------------------------------------------


@cache
def program_version() -> str:
    """A fingerprint of all that verdicts depend on, besides the answers and the seed."""
    digest = hashlib.sha256(
        f"{__version__} {platform.python_version()} {version('torch')}".encode()
    )
    for folder in (shipped("checks"), SOLUTIONS, PACKAGE / "checker", ROOT / "nanopoet_ref"):
        for path in sorted([*folder.glob("*.py"), *folder.glob("*.toml")]):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def key_of(submission: Submission, seed: int) -> str:
    digest = hashlib.sha256(f"{program_version()} {seed}".encode())
    for module, source in sorted(submission.sources.items()):
        digest.update(f"\n{module} {len(source)}\n".encode() + source)
    return digest.hexdigest()


def as_json(graded: Graded) -> str:
    """What is kept. Pictures, tracebacks and what was printed are not."""
    fields = asdict(graded)
    for verdict in fields["verdicts"].values():
        verdict.update(NOT_KEPT)
    return json.dumps(fields, indent=1) + "\n"


def read_graded(path: Path) -> Graded:
    """What was kept. Raises `ValueError` for a file that holds something else."""
    try:
        fields = json.loads(path.read_bytes())
        verdicts = {
            task: read_verdict(json.dumps(verdict), task)
            for task, verdict in fields.pop("verdicts").items()
        }
        graded = Graded(**fields, verdicts=verdicts)
        wanted = {name for name, task in load_tasks().items() if task.module in graded.modules}
        if not all(isinstance(v, type(vars(Graded("", newest=0.0))[k])) for k, v in fields.items()):
            raise ValueError("a field is of another type")
        if set(graded.verdicts) != wanted:
            raise ValueError("it has other tasks")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is not a graded submission: {error}") from error
    return graded


# --- Weights -------------------------------------------------------------------------------------


def numbers(table: object, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in a table of TOML, under their dotted names. Raises `TaskError`."""
    if not isinstance(table, dict):
        raise TaskError(f"{prefix.rstrip('.')} is not a table")
    for name, value in table.items():
        if isinstance(value, dict):
            yield from numbers(value, f"{prefix}{name}.")
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise TaskError(f"{prefix}{name} = {value!r} is not a number")
        elif not 0 <= value < math.inf:
            raise TaskError(f"{prefix}{name} = {value}: points are 0 or more")
        else:
            yield f"{prefix}{name}", float(value)


def load_weights(path: Path | None) -> dict[str, float]:
    """Points by task: 1 for each, and none for those whose answer is given; or as a file says.

    [tasks]      "attention.causal_mask" = 2     points
    [chapters]   2 = 0.5                         a factor for all tasks of a chapter

    Raises `TaskError` for what is not a task, a chapter, or a number.
    """
    tasks = load_tasks()
    weights = {name: float(task.kind != "given") for name, task in tasks.items()}
    if path is None:
        return weights
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TaskError(f"{path} is not TOML: {error}") from error
    if unknown := set(table) - {"tasks", "chapters"}:
        raise TaskError(f"{path}: [tasks] and [chapters] are known, {sorted(unknown)} not")
    try:
        for name, points in numbers(table.get("tasks", {})):
            if name not in tasks:
                find_tasks([name])  # says what is near
                raise TaskError(f"{name!r} is not the whole name of a task")
            weights[name] = points
        chapters = {str(task.chapter) for task in tasks.values()}
        for number, factor in numbers(table.get("chapters", {})):
            if number not in chapters:
                raise TaskError(f"there is no chapter {number!r} with tasks")
            for name, task in tasks.items():
                weights[name] *= factor if str(task.chapter) == number else 1
    except TaskError as error:
        raise TaskError(f"{path}: {error}") from error
    return weights
