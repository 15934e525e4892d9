"""docs/ci: what an instructor copies, read by a YAML parser and run, command by command.

In a small course: a copy of the checkout with two tasks.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from nanopoet.paths import ROOT
from nanopoet_ref.poem import raw_folder
from tests.conftest import copy_of_the_course

FILES = sorted((ROOT / "docs" / "ci").glob("*.yml"))
MASK = "import torch\n\ndef causal_mask(T):\n    return torch.ones(T, T).tril() > 0\n"
INSTALL = "pip install --constraint constraints.txt ."
# What sets a machine up, to the letter. Here that is done already.
SET_UP = ['git clone --depth 1 "$COURSE" course', f"(cd course && {INSTALL})"]
JOBS = {
    "chapters": ["make test-notebooks"],
    "learner": [*SET_UP, "nanopoet check --all --root exercises --junit report.xml"],
    "class": [*SET_UP, "nanopoet grade submissions --out grades"],
}


def jobs_of(path: Path) -> dict[str, list[str]]:
    """The commands of each job, line by line."""
    table = yaml.safe_load(path.read_text("utf-8"))
    if "jobs" in table:  # GitHub
        runs = {
            name: [step["run"] for step in job["steps"] if "run" in step]
            for name, job in table["jobs"].items()
        }
    else:
        jobs = {name: job for name, job in table.items() if name in JOBS}
        assert set(table) - set(jobs) == {"variables", "default", ".install"}
        runs = {name: job.get("before_script", []) + job["script"] for name, job in jobs.items()}
    return {
        name: [line for run in lines for line in run.splitlines()] for name, lines in runs.items()
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_both_files_have_the_same_three_jobs(path):
    assert jobs_of(path) == JOBS


def test_there_are_two_and_the_readme_installs_as_they_do():
    assert [path.stem for path in FILES] == ["github", "gitlab"]
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"`{INSTALL}`" in readme
    assert all(f"docs/ci/{path.name}" in readme for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_kept_is_kept_of_a_red_job_too(path):
    table = yaml.safe_load(path.read_text("utf-8"))
    for job, kept in (("learner", "report.xml"), ("class", "grades")):
        if path.stem == "github":
            *_, upload = table["jobs"][job]["steps"]
            assert (upload["if"], upload["with"]["path"]) == ("always()", kept)
        else:
            artifacts = table[job]["artifacts"]
            assert (artifacts["when"], artifacts["paths"]) == ("always", [kept])
    if path.stem == "github":
        assert table["permissions"] == {"contents": "read"}


# --- Run -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    folder = copy_of_the_course(tmp_path_factory.mktemp("ci") / "course")
    for name, few in (
        ("tasks", ("welcome.first_line]", "attention.causal_mask]")),
        ("attention", ("causal_mask.",)),
    ):
        table = folder / "checks" / f"{name}.toml"
        first, *entries = f"\n{table.read_text('utf-8')}".split("\n[")
        kept = [entry for entry in entries if entry.startswith(few)]
        table.write_text("\n[".join([first, *kept]), "utf-8")
    return folder


@pytest.fixture
def run_job(course, tmp_path):
    """Run the commands of a job in a folder, as a runner does; set-up lines aside."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, arguments in (("python", ""), ("nanopoet", "-m nanopoet")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', "utf-8")
        program.chmod(0o755)
    environment = os.environ | {
        "PYTHONPATH": str(course),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "NANOPOET_MEMORY": str(tmp_path / "memory"),
        "NANOPOET_RAW": str(raw_folder()),
    }

    def run(job: str, folder: Path) -> subprocess.CompletedProcess[str]:
        lines = [line for line in JOBS[job] if line not in SET_UP]
        return subprocess.run(
            ["bash", "-e", "-c", "\n".join(lines)],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )

    run.environment = environment
    return run


@pytest.fixture
def learner(run_job, tmp_path):
    """A learner's repository: what `nanopoet exercises exercises` writes, and an answer."""
    folder = tmp_path / "learner"
    folder.mkdir()
    subprocess.run(
        ["nanopoet", "exercises", "exercises"], cwd=folder, env=run_job.environment, check=True
    )
    (folder / "exercises" / "attention.py").write_text(MASK, "utf-8")
    return folder


def failures(report: Path) -> dict[str, str]:
    cases = ElementTree.parse(report).iter("testcase")
    return {c.get("name"): failure.get("message") for c in cases for failure in c}


def test_a_learners_job_is_green_with_right_answers_and_red_with_a_broken_one(run_job, learner):
    done = run_job("learner", learner)
    assert done.returncode == 0, done.stdout + done.stderr
    assert failures(learner / "report.xml") == {}
    (learner / "exercises" / "attention.py").write_text(MASK.replace("tril", "triu"), "utf-8")
    done = run_job("learner", learner)
    assert done.returncode == 1, done.stdout + done.stderr
    assert list(failures(learner / "report.xml")) == ["causal_mask"]


def test_a_class_is_graded(run_job, learner, tmp_path):
    folder = tmp_path / "class"
    shutil.copytree(learner / "exercises", folder / "submissions" / "ada")
    done = run_job("class", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 submissions graded" in done.stdout
    assert '"ada","1","1","100"' in (folder / "grades" / "grades.csv").read_text("utf-8")
    assert failures(folder / "grades" / "junit.xml") == {}


def test_the_job_of_the_chapters_is_a_part_of_make_test():
    """There all chapters are run, in a clean clone; here it would be one of them again."""
    (command,) = JOBS["chapters"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    parts = re.search(r"^test: (.+?) ##", makefile, re.MULTILINE)[1].split()
    assert command.removeprefix("make ") in parts
