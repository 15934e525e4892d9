"""A class of sixty: honest, unfinished, wrong, hostile and copied work, as people hand it in.

`python -m tests.checker.classroom DIR` writes it; the same each time.
"""

import ast
import json
import random
import sys
import textwrap
import zipfile
from collections.abc import Iterable
from pathlib import Path

from nanopoet.checker.box import unboxed
from nanopoet.checker.misconceptions import misconceptions
from nanopoet.checker.source import SOLUTIONS, answer_lines
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import load_tasks, modules
from tests.checker.test_hostile import FORGING, LYING, SEARCHING, STEALING, STOPPING, TASK

HOSTILE = SEARCHING | LYING | FORGING | STOPPING
if not unboxed():  # without a box there is something to steal, and `grade` says so
    HOSTILE |= STEALING
KINDS = ["right"] * 12 + ["unfinished"] * 12 + ["wrong"] * 18 + ["hostile"] * 10 + ["copied"] * 8
FORMS = ["flat", "nested", "zip", "notebook"]
NAMES = [
    *("Lovelace, Ada", 'Grace "Amazing" Hopper', "张三", "李四, 二班", "=1+1", "-minus", "@at"),
    *("O'Brien", "Zoë Ångström", "per cent % 100", "<b>bold", "a b  c", "+plus"),
]
Sources = dict[str, str]


# --- What is handed in ---------------------------------------------------------------------------


def solved(module: str) -> str:
    return (SOLUTIONS / f"{module}.py").read_text("utf-8")


def with_answers(module: str, answers: dict[str, str]) -> str:
    """The solutions of a file, with other lines as the answers of some tasks."""
    rows = solved(module).split("\n")
    places = {answer_lines("\n".join(rows), load_tasks()[name]): name for name in answers}
    for (first, last), name in sorted(places.items(), reverse=True):
        rows[first:last] = answers[name].split("\n")
    return "\n".join(rows)


def wrong(module: str, draw: random.Random, share: float) -> str:
    """A file in which about a share of the tasks is misunderstood."""
    chosen = {}
    for name, known in misconceptions(module).items():
        changes = [one for one in known if one.change and not one.wrap]
        if changes and draw.random() < share:
            chosen[name] = draw.choice(changes).lines
    return with_answers(module, chosen)


def hostile(way: str) -> str:
    body = f"{textwrap.dedent(HOSTILE[way])}\nreturn torch.ones(T, T, dtype=torch.bool)"
    return with_answers(TASK.partition(".")[0], {TASK: textwrap.indent(body, "    ")})


class Renamed(ast.NodeTransformer):
    """Other names for the variables of a function; those of its arguments stay."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        inside = list(ast.walk(node))
        kept = {n.arg for n in inside if isinstance(n, ast.arg)}
        kept |= {
            name for n in inside if isinstance(n, ast.Nonlocal | ast.Global) for name in n.names
        }
        names = [n for n in inside if isinstance(n, ast.Name)]
        stored = {n.id for n in names if isinstance(n.ctx, ast.Store)} - kept
        for one in names:
            one.id += "_" * (one.id in stored)
        return node


def disguised(source: str) -> str:
    """The same code under other names and in another layout, without its comments."""
    return ast.unparse(Renamed().visit(ast.parse(source))) + "\n"


# --- How it is handed in -------------------------------------------------------------------------


def write_flat(path: Path, sources: Sources) -> None:
    path.mkdir()
    for module, source in sources.items():
        (path / f"{module}.py").write_text(source, "utf-8")


def write_nested(path: Path, sources: Sources) -> None:
    path.mkdir()
    (path / "homework").mkdir()
    write_flat(path / "homework" / "exercises", sources)


def write_zip(path: Path, sources: Sources) -> None:
    with zipfile.ZipFile(path.with_name(f"{path.name}.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for module, source in sources.items():
            archive.writestr(f"answers/exercises/{module}.py", source)


def write_notebook(path: Path, sources: Sources) -> None:
    """A folder of notebooks, one for each file."""
    path.mkdir()
    for module, source in sources.items():
        text = f"# exercises/{module}.py\n{source}"
        cell = {"cell_type": "code", "source": text.splitlines(True), "metadata": {}}
        notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (path / f"{module}.ipynb").write_text(json.dumps(notebook), "utf-8")


WRITE = dict(zip(FORMS, (write_flat, write_nested, write_zip, write_notebook), strict=True))


def make_class(
    folder: Path, kinds: Iterable[str] = KINDS, files: Iterable[str] = ()
) -> dict[str, str]:
    """Write a class; `files` names those of the exercises that are handed in, all if none.

    Returns the kind of each submission, by its name.
    """
    draw, files = random.Random(0), list(files) or modules()
    folder.mkdir(parents=True)
    ways = sorted(HOSTILE)
    draw.shuffle(ways)
    made: dict[str, str] = {}
    honest: list[Sources] = []
    for number, kind in enumerate(kinds):
        sources = {module: solved(module) for module in files}
        if kind == "unfinished":
            begun = draw.randrange(len(files))
            sources |= {module: stub_file(module) for module in files[begun:]}
        elif kind == "hostile":
            sources["attention"] = hostile(ways.pop())
        elif kind == "copied":
            sources = {m: disguised(source) for m, source in draw.choice(honest).items()}
        elif kind == "wrong":
            sources = {module: wrong(module, draw, 0.3) for module in files}
            honest.append(sources)
        name = f"{NAMES[number % len(NAMES)]} {number:02d}"
        form = FORMS[number // 2 % len(FORMS)]
        WRITE[form](folder / name, sources)
        made[f"{name}.zip" if form == "zip" else name] = kind
    return made


if __name__ == "__main__":
    for said, what in make_class(Path(sys.argv[1])).items():
        print(f"{what:10}  {said}")
