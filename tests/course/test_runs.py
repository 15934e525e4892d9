"""Runs by name: which names there may be, and which run is meant."""

import os

import pytest

from nanopoet.runs import Run, RunError, find_run
from nanopoet_ref.training import StepLog


@pytest.mark.parametrize(
    "name", ["../x", "..", ".", ".hidden", "a/b", "a\\b", "", "a b", "/x", "a\n", "-x"]
)
def test_a_name_that_is_a_path_is_refused(nanopoet, tmp_path, name):
    with pytest.raises(RunError, match="cannot name a run"):
        Run(name)
    if name:
        assert "cannot name a run" in nanopoet("train", f"--name={name}", "--steps", 0).error
        assert "cannot name a run" in nanopoet("write", f"--run={name}").error
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize("name", ["quick", "seed-1", "v1.2", "春", "a_b"])
def test_an_ordinary_name_is_fine(name):
    assert Run(name).path.name == name


def test_the_newest_run_is_meant_when_none_is_named(nanopoet, poet):
    assert find_run().name == "tiny"
    other = Run("other")
    other.path.mkdir()
    other.config_path.write_text("{}")
    os.utime(other.config_path, (2e9, 2e9))
    assert find_run().name == "other"
    assert find_run("tiny").name == "tiny"


def test_without_runs_the_command_for_one_is_named(nanopoet):
    for command in (("write",), ("evaluate",), ("train", "--resume")):
        assert "nanopoet train --preset quick" in nanopoet(*command).error


def test_a_run_that_is_not_there_is_named(nanopoet, poet):
    error = nanopoet("write", "--run", "nobody").error
    assert "no run 'nobody'" in error
    assert "there is tiny" in error


def test_a_last_line_that_a_crash_cut_is_left_out(poet):
    text = poet.metrics_path.read_text("utf-8")
    poet.metrics_path.write_text(text[:-20], "utf-8")
    assert len(poet.read_metrics()) == len(text.splitlines()) - 1
    poet.append_metrics("midtrain", StepLog(9))


def test_a_poet_whose_checkpoint_was_thrown_away_still_writes(nanopoet, poet):
    written = nanopoet("write").out
    poet.checkpoint_path.unlink()
    assert nanopoet("write").out == written
    poet.weights_path("midtrain").unlink()
    assert "nanopoet train --resume --name tiny" in nanopoet("write").error
