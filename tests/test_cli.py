"""The command line as a whole: help, examples, length, and where things are written."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from nanopoet import cli, dev
from nanopoet.cli import app
from nanopoet.poet.run import Run

GROUP = typer.main.get_command(app)
# `dev` is a group of commands, with tests of its own.
COMMANDS = [name for name in GROUP.commands if name != "dev"]  # type: ignore[attr-defined]


def examples(name: str) -> list[str]:
    """The lines of a command's help that can be typed."""
    epilog = GROUP.commands[name].epilog  # type: ignore[attr-defined]
    return [line.strip() for line in epilog.splitlines() if line.strip().startswith("nanopoet ")]


def test_the_commands_are_these():
    assert {"corpus", "train", "write", "evaluate", "bench", "doctor"} <= set(COMMANDS)


def test_help_lists_every_command_with_a_sentence(nanopoet):
    out = nanopoet("--help").out
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b\s+[A-Z]", out), name


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(nanopoet, name):
    done = nanopoet(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert "Examples:" in done.out
    shown = re.sub(r"\s+", " ", done.out)
    assert examples(name)
    for example in examples(name):
        assert example in shown


@pytest.mark.parametrize("line", [line for name in COMMANDS for line in examples(name)])
def test_every_example_can_be_parsed(line):
    _, name, *args = shlex.split(line)
    GROUP.commands[name].make_context(name, args)  # type: ignore[attr-defined]


def own_lines(source: str) -> dict[str, int]:
    """By command: its lines below signature and docstring, blank ones aside."""
    lines, found = source.splitlines(), {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            first = node.body[ast.get_docstring(node) is not None :][0]
            body = lines[first.lineno - 1 : node.end_lineno]
            found[node.name] = sum(bool(line.strip()) for line in body)
    return found


@pytest.mark.parametrize("module", [cli, dev])
def test_a_command_has_at_most_15_lines_of_its_own(module):
    found = own_lines(Path(module.__file__).read_text("utf-8"))
    assert len(found) == len([known for known in module.app.registered_commands if known.callback])
    assert {name: count for name, count in found.items() if count > 15} == {}


def test_lines_are_counted_below_signature_and_docstring():
    source = '@command("x")\ndef f(\n    a: int,\n) -> None:\n    """Two\n    lines."""\n\n'
    body = "    import json\n\n    # why\n    print(\n        json.dumps(a)\n    )\n"
    assert own_lines(source + body) == {"f": 5}
    assert own_lines("def helper():\n    return 1\n") == {}


def test_a_wrong_option_is_a_usage_error(nanopoet):
    for args in (("train", "--epochs", 3), ("poem",)):
        done = nanopoet(*args)
        assert done.code == 2
        assert "Usage" in done.err


def test_train_write_evaluate_write_in_their_folders_only(nanopoet, trained, tmp_path):
    def files(folder: Path) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}

    here, raw = files(tmp_path / "here"), files(trained / "raw")
    for args in (
        ("train", "--preset", "tiny.toml"),
        ("write", "--run", "tiny", "-n", 2, "--pinyin"),
        ("evaluate", "--samples", 2),
        ("train", "--resume"),
    ):
        done = nanopoet(*args)
        assert (done.code, done.err) == (0, "")
    assert files(tmp_path / "here") == here
    assert files(trained / "raw") == raw
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["tiny"]
    assert Run("tiny").finished()


def test_chinese_comes_out_of_a_terminal_that_speaks_ascii(nanopoet, poet):
    environment = os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "nanopoet.cli", "write", "--run", "tiny", "--author", "Li Bai"],
        capture_output=True,
        env=environment,
        check=True,
    )
    assert "李白 · 五言绝句" in done.stdout.decode("utf-8")
    assert done.stderr == b""
