"""The manifest of all tasks: which there are, in which order, and three hints for each."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath

from nanopoet.paths import shipped

MANIFEST = shipped("checks") / "tasks.toml"
WHAT_TO_DO = {  # by the kind of a task
    "write": "Write it yourself",
    "bug": "Find the bug",
    "test": "Write a test",
    "predict": "Predict",
    "given": "Try it",
}


class TaskError(ValueError):
    """A task that does not exist, or a manifest that does not hold together."""


@dataclass(frozen=True)
class Task:
    """One task, named `module.name` after the file and the function or class in it.

    `kind` says what there is to do: write a function, find a bug, write a test that finds bugs,
    predict numbers, or nothing: the answer is given. Of a class, `method` is to be written.
    """

    name: str
    chapter: int
    title: str
    minutes: int
    hints: tuple[str, ...]
    after: str = ""  # the heading of the chapter where its idea is taught
    kind: str = "write"
    method: str = ""
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = []
        if self.name.count(".") != 1:
            problems.append("a task is named module.name")
        if self.kind not in WHAT_TO_DO:
            problems.append(f"kind {self.kind!r} is not one of {', '.join(WHAT_TO_DO)}")
        if len(self.hints) != 3 or not all(self.hints):
            problems.append("three hints, please")
        if problems:
            raise TaskError(f"{self.name}: {'; '.join(problems)}")

    @property
    def module(self) -> str:
        return self.name.partition(".")[0]

    @property
    def function(self) -> str:
        return self.name.partition(".")[2]

    @property
    def file(self) -> str:
        return f"{self.module}.py"


@cache
def load_tasks() -> dict[str, Task]:
    """All tasks by name, in the order in which they are meant to be solved."""
    table = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))
    tasks: dict[str, Task] = {}
    for module, functions in table.items():
        for function, fields in functions.items():
            lists = {key: tuple(fields.get(key, ())) for key in ("hints", "needs")}
            name = f"{module}.{function}"
            tasks[name] = Task(**{**fields, **lists, "name": name})
    for task in tasks.values():
        if unknown := set(task.needs) - set(tasks):
            raise TaskError(f"{task.name} needs {sorted(unknown)}, which are no tasks")
    return dict(sorted(tasks.items(), key=lambda item: item[1].chapter))


def task_markdown(tasks: list[Task], folded: bool = False) -> str:
    """Some tasks as a cell of a notebook: what to do, where, and how to check it.

    `folded`: below it stands a folded cell with our way of doing it.
    """
    lines = [
        f"- {WHAT_TO_DO[task.kind]}: `{task.function}` in `exercises/{task.file}` "
        f"({task.title}; about {task.minutes} min). Then `nanopoet check {task.name}`."
        for task in tasks
    ]
    then = "\n\nThen open the folded cell: one way to write it." if folded else ""
    return "**Your own code.**\n\n" + "\n".join(lines) + then


def modules() -> list[str]:
    """The files of exercises/ and solutions/, in order, without .py."""
    return list(dict.fromkeys(task.module for task in load_tasks().values()))


def find_tasks(names: list[str]) -> list[Task]:
    """Tasks by name, module, file or chapter: "attention.causal_mask", "attention", "2" or "02".

    A file is given by its path, as a shell completes it: "exercises/attention.py".
    Raises `TaskError` with what is near for a name that is none.
    """
    import difflib

    tasks, found = load_tasks(), []
    for name in names:
        name = PurePath(name).stem if name.endswith(".py") else name
        match = [
            task
            for task in tasks.values()
            if name in (task.name, task.function, task.module)
            or (name.isdecimal() and int(name) == task.chapter)
        ]
        if not match:
            known = [*tasks, *modules()]
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            tip = f"; near it: {', '.join(near)}" if near else ""
            raise TaskError(f"there is no task {name!r}{tip}. All of them: nanopoet progress")
        found += match
    return list(dict.fromkeys(found))
