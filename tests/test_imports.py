"""Imports run one way: a chapter may use the chapters before it, and nothing of the program."""

import ast
import builtins
import io
import os
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
