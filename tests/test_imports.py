"""Imports run one way: downwards through the chapters, and through the rooms of the program."""

import ast
import builtins
import io
import os
import subprocess
import sys
import types
from pathlib import Path

import matplotlib.pyplot  # noqa: F401 (a library may read its own files, once)
import pytest

import nanopoet_ref

ORDER = [
    "files",
    "source",
    "spelling",
    "corpus",
    "runtime",
    "lesson",
    "tokenizer",
    "attention",
    "gpt",
    "training",
    "loss",
    "schedule",
    "optim",
    "checkpoint",
    "pretraining",
    "midtraining",
    "evaluation",
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

EVERYWHERE = {
    "paths",
    "files",
    "errors",
    "backup",
    "commands",
    "",
}  # "" is the package itself: its version
MAY_IMPORT = {
    "poet": {"reference"},
    "checker": set(),  # the reference only through checks, which it runs by their path
    "book": {"reference", "checker"},
    "bench": {"reference", "poet"},
    "mine": {"reference", "poet", "checker"},
    "doctor": {"reference", "poet"},
    "cli": {"reference", "poet", "checker", "bench", "mine", "doctor", "dev"},
    "dev": {"checker", "book", "bench"},
    "commands": set(),
    "files": {"reference"},
    "backup": set(),
    "paths": set(),
    "errors": set(),
    "__init__": set(),
}
# What is not mended yet, by file. This list may only shrink.
EXCEPTIONS = {
    ("poet/train.py", "mine"),  # components will be handed in
    ("poet/write.py", "mine"),  # a run will know by whom it was trained
}
PROGRAM = PACKAGE.parent / "nanopoet"
PROGRAM_FILES = sorted(path.relative_to(PROGRAM).as_posix() for path in PROGRAM.rglob("*.py"))


def room_of(file: str) -> str:
    return file.partition("/")[0].removesuffix(".py")


def rooms_used(source: str) -> set[str]:
    """The rooms and modules of the program, and the reference, that a file imports."""
    found = set()
    for full in imported(source):
        top, _, rest = full.partition(".")
        if top == "nanopoet_ref":
            found.add("reference")
        elif top in ("nanopoet", "tests", "checks", "exercises", "solutions"):
            found.add(rest.partition(".")[0] if top == "nanopoet" else top)
    return found


@pytest.mark.parametrize("file", PROGRAM_FILES)
def test_a_room_imports_what_it_may(file):
    room = room_of(file)
    foreign = rooms_used((PROGRAM / file).read_text("utf-8")) - {room} - EVERYWHERE
    assert foreign - MAY_IMPORT[room] == {used for name, used in EXCEPTIONS if name == file}


@pytest.mark.parametrize(
    ("line", "used"),
    [
        ("from nanopoet.poet.run import Run", {"poet"}),
        ("def f():\n    from nanopoet import mine", {"mine"}),
        ("import nanopoet.cli", {"cli"}),
        ("from tests.conftest import x", {"tests"}),
        ("from nanopoet_ref.gpt import GPT\nimport torch", {"reference"}),
    ],
)
def test_the_rule_sees_which_rooms_are_used(line, used):
    assert rooms_used(line) == used


LIGHT = ["tasks", "verdict", "sandbox", "progress", "report", "check"]


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


def test_help_of_check_loads_no_torch():
    program = (
        "import sys; sys.argv = ['nanopoet', 'check', '--help']\n"
        "from nanopoet.cli import app\n"
        "try:\n    app()\n"
        "except SystemExit:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8")
    assert done.stdout.endswith("False\n"), done
