"""Which project a command acts on: the clone it belongs to, or, installed, the user's data folder.

Two small clones stand side by side: the program is told that it belongs to the first, and the
learner stands in the second.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nanopoet import doctor, paths
from nanopoet.checker import stubs
from nanopoet.checker.tasks import modules
from tests.conftest import Nanopoet, run_command

VARIABLES = ("NANOPOET_EXERCISES", "NANOPOET_MEMORY", "NANOPOET_RUNS", "NANOPOET_RAW")
PACKAGE = Path(paths.__file__).parent


def make_clone(folder: Path) -> Path:
    (folder / "chapters").mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "nanopoet"\n', "utf-8")
    return folder


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The clone that the program belongs to, with an exercise and nothing of a real learner's."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    clone = make_clone(tmp_path / "first")
    (clone / "exercises").mkdir()
    (clone / "exercises" / "welcome.py").write_text("mine = 1\n", "utf-8")
    monkeypatch.setattr(paths, "ROOT", clone)
    monkeypatch.chdir(clone)
    return clone


@pytest.fixture
def second(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another clone; one stands in a folder of it."""
    clone = make_clone(tmp_path / "second")
    monkeypatch.chdir(clone / "chapters")
    return clone


def test_a_clone_holds_everything_and_variables_win(first, monkeypatch):
    assert paths.runs() == first / "runs"
    assert paths.raw() == first / "raw"
    assert paths.memory() == first / ".nanopoet"
    assert paths.exercises() == first / "exercises"
    for name in VARIABLES:
        monkeypatch.setenv(name, str(first / name))
    found = (paths.exercises(), paths.memory(), paths.runs(), paths.raw())
    assert found == tuple(first / name for name in VARIABLES)
    monkeypatch.setenv("NANOPOET_RUNS", "")
    assert paths.runs() == first / "runs", "empty is not set"


@pytest.mark.parametrize(
    "text", ["", "[project", '[project]\nname = "other"', 'project = "nanopoet"', "\udcff"]
)
def test_another_project_is_no_clone(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text, "utf-8", errors="surrogateescape")
    assert not paths.is_clone(tmp_path)


def test_in_its_own_clone_nothing_is_said(first, monkeypatch):
    monkeypatch.chdir(first / "chapters")
    assert paths.other_clone() is None
    assert run_command("hint", "welcome.first_line").err == ""
    assert not doctor.project().fix


def test_outside_of_every_clone_nothing_is_said(first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert paths.other_clone() is None


def test_a_folder_that_is_gone_is_no_clone(first, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert paths.other_clone() is None


def test_doctor_names_both_projects(first, second, capsys):
    finding = doctor.project()
    assert str(first) in finding.found
    assert str(second) in finding.found
    assert finding.fix
    doctor.doctor_command()
    assert "[fix] project" in capsys.readouterr().out.splitlines()[0]


def test_a_command_says_in_one_line_which_project_it_acts_on(first, second):
    done = run_command("hint", "welcome.first_line")
    assert done.code == 0
    (line,) = done.err.splitlines()
    assert str(first) in line
    assert str(second) in line
    assert (first / ".nanopoet" / "progress.json").is_file(), "it did act on the first"


def test_reset_refuses_to_replace_files_of_another_project(first, second, monkeypatch):
    done = run_command("reset", "welcome")
    assert done.code == 1
    assert "NANOPOET_EXERCISES" in done.err
    assert str(first) in done.err
    assert str(second) in done.err
    assert (first / "exercises" / "welcome.py").read_text("utf-8") == "mine = 1\n"


def test_overwriting_a_run_of_another_project_is_refused(nanopoet: Nanopoet, first, second):
    done = nanopoet("train", "--text", "x.txt", "--overwrite")
    assert done.code == 1
    assert "NANOPOET_RUNS" in done.err
    assert "x.txt" not in done.err, "refused before anything is read"


def test_stubs_refuse_as_well(first, second):
    with pytest.raises(paths.ProjectError, match="NANOPOET_EXERCISES"):
        stubs.write_stubs()
    assert (first / "exercises" / "welcome.py").read_text("utf-8") == "mine = 1\n"


def test_a_variable_says_what_is_meant(first, second, monkeypatch):
    monkeypatch.setenv("NANOPOET_EXERCISES", str(second))
    paths.refuse_other_clone("NANOPOET_EXERCISES")
    with pytest.raises(paths.ProjectError):
        paths.refuse_other_clone("NANOPOET_RUNS")


# --- Installed without a clone


@pytest.fixture
def installed(tmp_path: Path):
    """Run the program as `pip install .` leaves it: two packages in a folder, and nothing else."""
    site = tmp_path / "site"
    for name in ("nanopoet", "nanopoet_ref"):
        copied = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE.parent / name, site / name, ignore=copied)
    for name in ("checks", "solutions"):
        shutil.copytree(PACKAGE.parent / name, site / "nanopoet" / name, ignore=copied)
    here = tmp_path / "here"
    here.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    before = set(site.rglob("*"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "nanopoet.cli", *arguments],
            cwd=here,
            env=kept | home | {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert set(site.rglob("*")) == before
        return done

    return run


def test_an_installed_program_keeps_what_it_makes_in_the_users_data_folder(installed, tmp_path):
    done = installed("doctor")
    assert str(tmp_path / "site") not in done.stdout
    line = next(line for line in done.stdout.splitlines() if " project " in line)
    assert str(tmp_path) in line
    assert "nanopoet" in line
    (tmp_path / "here" / "my.txt").write_text("山高水长，云深不知处。" * 400, "utf-8")
    done = installed("train", "--text", "my.txt", "--steps", "1")
    assert done.returncode == 0, done.stderr
    (config,) = tmp_path.rglob("config.json")
    assert config.parts[-3:] == ("runs", "my", "config.json")


@pytest.mark.parametrize("command", ["check", "progress", "reset welcome", "train --mine"])
def test_an_installed_program_says_where_exercises_come_from(installed, command):
    done = installed(*command.split())
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: there are no exercises here: nanopoet exercises DIR")
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    "command", ["stubs", "notebooks", "glossary", "features", "experiment seed", "budget"]
)
def test_what_keeps_the_course_needs_a_clone(installed, command):
    done = installed("dev", *command.split())
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "clone" in line


def test_an_installed_program_is_enough_to_learn(installed, tmp_path):
    done = installed("exercises", "exercises")
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "here" / "exercises"
    assert {path.name for path in folder.iterdir()} == {f"{module}.py" for module in modules()}
    assert "is not written yet" in installed("check", "attention.causal_mask").stdout
    path = folder / "attention.py"
    path.write_text("import torch\n\ndef causal_mask(T):\n    return torch.ones(T, T).tril() > 0\n")
    assert installed("check", "attention.causal_mask").returncode == 0
    assert "1 of 125 tasks pass" in installed("progress").stdout
    assert "causal_mask" in path.read_text("utf-8")
    again = installed("exercises", "exercises")
    assert "0 files of exercises are new" in again.stdout
    assert installed("reset", "attention").returncode == 0
    assert "NotImplementedError" in path.read_text("utf-8")
    assert "is a file" in installed("exercises", "exercises/loss.py").stderr
