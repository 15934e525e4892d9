"""Imports run one way: downwards through the chapters, and through the rooms of the program."""

import ast
import builtins
import importlib
import io
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import matplotlib.pyplot  # noqa: F401 (a library may read its own files, once)
import pytest

import nanopoet_ref

ORDER = [
    "files",
    "poem",
    "source",
    "spelling",
    "corpus",
    "rhymebook",
    "prosody",
    "tunes",
    "pinyin",
    "gloss",
    "runtime",
    "figures",
    "lesson",
    "tokenizer",
    "attention",
    "gpt",
    "masks",
    "sampling",
    "training",
    "loss",
    "schedule",
    "optim",
    "checkpoint",
    "pretraining",
    "midtraining",
    "evaluation",
    "conversation",
    "tools",
    "mixture",
    "streaming",
    "scaling",
    "rewards",
    "alignment",
    "rollouts",
]
PACKAGE = Path(nanopoet_ref.__file__).parent
SOURCES = {path.stem: path for path in PACKAGE.rglob("*.py") if path.stem != "__init__"}


def imported(source):
    """Full names of all modules that a source imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = ("nanopoet_ref." * (node.level > 0)) + (node.module or "")
            yield from (f"{origin.rstrip('.')}.{alias.name}" for alias in node.names)


def misplaced(name, source):
    """Imports that `name` may not have."""
    earlier = ORDER[: ORDER.index(name)]
    return [
        full
        for full in imported(source)
        if full.split(".")[0] in ("nanopoet", "exercises", "solutions", "tests")
        or (
            full.split(".")[0] == "nanopoet_ref"
            and full.split(".")[1:2] not in [[e] for e in earlier]
        )
    ]


def test_every_module_has_its_place_in_the_order():
    assert sorted(SOURCES) == sorted(ORDER)


@pytest.mark.parametrize(
    ("file", "first", "last"),
    [
        ("README.md", "in the order of the chapters:\n", "  fonts/"),
        ("CONTRIBUTING.md", "imports run downwards only:\n", "A test reads"),
    ],
)
def test_whoever_lists_the_modules_lists_them_in_this_order(file, first, last):
    text = (PACKAGE.parent / file).read_text("utf-8")
    listed = text.partition(first)[2].partition(last)[0]
    assert [word for word in listed.split() if not word.isdigit()] == ORDER


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_earlier_ones(name):
    assert misplaced(name, SOURCES[name].read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "from nanopoet_ref.training import train",
        "from nanopoet_ref import gpt",
        "import nanopoet_ref.training",
        "from .training import train",
        "from . import training",
        "import nanopoet",
        "from nanopoet.poet.presets import load",
        "def later():\n    from nanopoet_ref.training import train",
        "import nanopoet_ref",
    ],
)
def test_the_rule_finds_a_misplaced_import(line):
    assert misplaced("gpt", line)


def test_the_rule_lets_earlier_modules_and_libraries_pass():
    source = "import torch\nfrom torch import nn\nfrom nanopoet_ref.attention import attention"
    assert misplaced("gpt", source) == []


@pytest.mark.parametrize("name", ORDER)
def test_importing_a_module_opens_no_file_and_prints_nothing(name, monkeypatch, capfd):
    importlib.import_module(f"nanopoet_ref.{name}")  # libraries may open what is theirs, once
    code = compile(SOURCES[name].read_text("utf-8"), SOURCES[name], "exec")
    module = types.ModuleType(f"nanopoet_ref.{name}")
    module.__file__ = str(SOURCES[name])

    def refuse(path, *args, **kwargs):
        raise AssertionError(f"{name} opens {path} when it is imported")

    with monkeypatch.context() as patch:
        for owner in (builtins, io, os):
            patch.setattr(owner, "open", refuse)
        exec(code, module.__dict__)
    assert capfd.readouterr() == ("", "")


# --- The program's rooms

ROOMS = ("poet", "checker", "book", "bench")
SHARED = {"paths", "files", "errors", "backup", "", "__version__"}  # "" is the package itself
# By room, or module beside the rooms: what it may import, a whole room or single modules of it.
# cli, tests, exercises, solutions and checks are in none of these sets: nobody imports them.
MAY_IMPORT = {
    "poet": {"reference"},
    "checker": set(),  # the reference only through checks, which it runs by their path
    "book": {"checker.tasks", "reference.poem", "reference.corpus", "reference.source"},
    "bench": {"reference", "poet"},
    "mine": {"reference", "poet", "checker"},
    "doctor": {"reference", "poet", "checker"},
    "cli": {"reference", "poet", "checker", "bench", "mine", "doctor", "dev", "commands"},
    "dev": {"checker", "book", "bench", "commands"},
    "commands": set(),
    "files": {"reference.files"},
    "backup": set(),
    "paths": set(),
    "errors": set(),
    "__init__": set(),
    "__main__": {"cli"},
}
# What is not mended yet, and why. These lists may only shrink.
EXCEPTIONS = {
    ("book/datacard.py", "reference.prosody"): "the card counts forms and rhymes",
    ("book/datacard.py", "reference.tunes"): "the card says how well tunes are known",
    ("book/datacard.py", "reference.spelling"): "the card says what was respelled",
}
NAMES_TESTS = {
    "checker/runner.py": "only to refuse that an answer imports them",
}
COMPUTES_THE_ROOT = {
    "nanopoet/paths.py": "it is there for that",
    "nanopoet_ref/poem.py": "a notebook finds the poems without the program",
}
PROGRAM = PACKAGE.parent / "nanopoet"
PROGRAM_FILES = sorted(path.relative_to(PROGRAM).as_posix() for path in PROGRAM.rglob("*.py"))


def room_of(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def used(source: str) -> set[str]:
    """The modules of this project that a file imports, by their names below their package."""
    found = set()
    for full in imported(source):
        top, *rest = full.split(".")
        if top == "nanopoet_ref":
            found.add(".".join(["reference", *rest[:1]]))
        elif top == "nanopoet":
            found.add(".".join(rest[: 1 + (rest[0] in ROOMS)]) if rest else "")
        elif top in ("tests", "checks", "exercises", "solutions"):
            found.add(top)
    return found


def forbidden(file: str, source: str) -> set[str]:
    """What a file imports and may not, exceptions included."""
    room = room_of(file)
    allowed = MAY_IMPORT[room] | SHARED | {room}
    return {name for name in used(source) if not {name, name.split(".")[0]} & allowed}


@pytest.mark.parametrize("file", PROGRAM_FILES)
def test_a_room_imports_what_it_may(file):
    source = (PROGRAM / file).read_text("utf-8")
    assert forbidden(file, source) == {name for known, name in EXCEPTIONS if known == file}


def test_every_exception_is_about_a_file_that_is_there():
    assert {file for file, _ in EXCEPTIONS} | set(NAMES_TESTS) <= set(PROGRAM_FILES)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("from nanopoet.poet.run import Run", {"poet.run"}),
        ("def f():\n    from nanopoet import mine", {"mine"}),
        ("from nanopoet.mine import ask_who_writes", {"mine"}),
        ("import nanopoet.cli", {"cli"}),
        ("from nanopoet.checker import tasks", {"checker.tasks"}),
        ("from nanopoet import __version__\nimport nanopoet", {"__version__", ""}),
        ("from tests.conftest import x", {"tests"}),
        ("from nanopoet_ref.gpt import GPT\nimport torch", {"reference.gpt"}),
    ],
)
def test_the_rule_sees_what_is_used(line, names):
    assert used(line) == names


@pytest.mark.parametrize(
    ("file", "line", "name"),
    [
        ("poet/run.py", "from nanopoet.checker.tasks import load_tasks", "checker.tasks"),
        ("poet/run.py", "from nanopoet.cli import app", "cli"),
        ("checker/check.py", "from nanopoet_ref.gpt import GPT", "reference.gpt"),
        ("checker/check.py", "from nanopoet.poet.run import Run", "poet.run"),
        ("book/quiz.py", "from nanopoet.checker.trial import check", "checker.trial"),
        ("book/quiz.py", "from nanopoet_ref import gpt", "reference.gpt"),
        ("bench/speed.py", "from nanopoet.book.notebooks import refresh", "book.notebooks"),
        ("bench/speed.py", "from nanopoet import mine", "mine"),
        ("mine.py", "from nanopoet.book.quiz import load_quiz", "book.quiz"),
        ("mine.py", "import tests.conftest", "tests"),
        ("paths.py", "from nanopoet.poet.run import Run", "poet.run"),
    ],
)
def test_the_rule_refuses_what_crosses_a_wall(file, line, name):
    assert forbidden(file, line) == {name}


def test_the_rule_lets_neighbours_and_shared_modules_pass():
    assert forbidden("book/quiz.py", "from nanopoet.checker.tasks import Task") == set()
    assert (
        forbidden("poet/run.py", "from nanopoet.poet import data\nimport nanopoet.paths") == set()
    )


def test_nothing_in_the_program_names_the_tests():
    """A file could reach them by path, too: no string of the code, prose aside, may say so."""
    naming = set()
    for file in PROGRAM_FILES:
        tree = ast.parse((PROGRAM / file).read_text("utf-8"))
        strings = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
        if "tests" in strings or any(str(text).startswith("tests/") for text in strings):
            naming.add(file)
    assert naming == set(NAMES_TESTS)


def test_nothing_else_computes_the_root():
    computed = re.compile(r"parents\[|\.parent\.parent|__file__\)(\.resolve\(\))?\.parent\b")
    files = [*PROGRAM.rglob("*.py"), *PACKAGE.rglob("*.py")]
    root = PROGRAM.parent
    found = {
        path.relative_to(root).as_posix()
        for path in files
        if computed.search(path.read_text("utf-8"))
    }
    assert found == set(COMPUTES_THE_ROOT)


LIGHT = ["tasks", "verdict", "sandbox", "progress", "report", "watch", "check"]


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        *((f"nanopoet.checker.{name}", {"torch"}) for name in LIGHT),
        ("nanopoet.bench", {"nbformat", "torch"}),
        ("nanopoet.bench.speed", {"nbformat", "nbclient"}),
        ("nanopoet.cli", {"torch", "nbformat", "numpy"}),
    ],
)
def test_importing_it_loads_nothing_heavy(module, absent):
    program = f"import sys, {module}; print(sorted({absent!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8")
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["dev", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    program = (
        f"import sys; sys.argv = ['nanopoet', *{arguments!r}]\n"
        "from nanopoet.cli import app\n"
        "try:\n    app()\n"
        "except SystemExit:\n    print(sorted({'torch', 'nbformat', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8")
    assert done.stdout.endswith("[]\n"), done
