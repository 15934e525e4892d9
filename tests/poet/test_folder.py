"""A training deletes what a training wrote, and one process at a time trains a run."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from nanopoet.poet.folder import LOCK, FolderError, held
from nanopoet.poet.run import Run
from tests.conftest import files_limited_to

TINY = ("train", "--preset", "tiny.toml")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# --- What is deleted


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
@pytest.mark.parametrize(
    "name", ["diary.md", "old.png", "config.json.bak", "notes.pt", "checkpoint.pt.tmp.txt"]
)
def test_a_folder_with_a_file_of_ones_own_is_refused(nanopoet, name, more):
    folder = Run("tiny").path
    folder.mkdir(parents=True)
    (folder / name).write_text("precious", "utf-8")
    error = nanopoet(*TINY, *more).error
    assert f"{folder} holds {name}" in error
    assert content(folder) == {name: b"precious"}


@pytest.mark.parametrize("name", ["chapters", "metrics.jsonl"])
def test_a_folder_in_the_folder_is_refused(nanopoet, name):
    (Run("tiny").path / name).mkdir(parents=True)
    assert f"holds {name}" in nanopoet(*TINY, "--overwrite").error
    assert (Run("tiny").path / name).is_dir()


def test_notes_beside_a_finished_run_keep_it_from_being_started_over(nanopoet, poet):
    (poet.path / "notes.md").write_text("precious", "utf-8")
    before = content(poet.path)
    assert "notes.md" in nanopoet(*TINY, "--overwrite").error
    assert content(poet.path) == before
    assert "already trained" in nanopoet(*TINY).out


def test_hidden_files_and_the_picture_of_the_poet_are_left_alone(nanopoet, poet):
    for name in (".DS_Store", "poet.png"):
        (poet.path / name).write_bytes(b"as it was")
    assert nanopoet(*TINY, "--overwrite", "--steps", 0).code == 0
    for name in (".DS_Store", "poet.png"):
        assert (poet.path / name).read_bytes() == b"as it was"


@pytest.mark.parametrize("name", ["mytext.txt", "samples.txt", "metrics.jsonl"])
@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_the_text_to_learn_from_survives_in_the_run_s_own_folder(nanopoet, name, more):
    text = Run("mine").path / name
    text.parent.mkdir(parents=True)
    text.write_text("春花秋月" * 500, "utf-8")
    assert name in nanopoet(*TINY, "--text", text, "--name", "mine", *more).error
    assert text.read_text("utf-8") == "春花秋月" * 500


@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_a_link_is_never_emptied(nanopoet, poet, tmp_path, more):
    shutil.copytree(poet.path, tmp_path / "elsewhere")
    for name, target in (("out", tmp_path / "elsewhere"), ("other", poet.path)):
        Run(name).path.symlink_to(target)
        before = content(target)
        assert str(target) in nanopoet(*TINY, "--steps", 1, "--name", name, *more).error or not more
        assert content(target) == before


def test_a_file_behind_a_link_survives(nanopoet, poet, tmp_path):
    precious = tmp_path / "precious.png"
    poet.curve_path("midtrain").rename(precious)
    poet.curve_path("midtrain").symlink_to(precious)
    assert "holds midtrain.png" in nanopoet(*TINY, "--overwrite").error
    assert precious.is_file()


@pytest.mark.parametrize("kept", ["pretrain.pt", "checkpoint.pt", "metrics.jsonl", "samples.txt"])
def test_results_without_config_are_only_overwritten_on_request(nanopoet, poet, kept):
    for path in poet.path.iterdir():
        if path.name != kept:
            path.unlink()
    before = content(poet.path)
    error = nanopoet(*TINY).error
    assert kept in error
    assert "config.json is gone" in error
    assert "--overwrite" in error
    assert content(poet.path) == before
    assert nanopoet(*TINY, "--overwrite", "--steps", 0).code == 0


def test_a_start_that_was_cut_short_is_no_obstacle(nanopoet, poet):
    for path in poet.path.iterdir():
        if path.name not in ("tokenizer.json", "catalog.json"):
            path.unlink()
    assert nanopoet(*TINY, "--steps", 0).code == 0


def test_halves_that_a_killed_process_left_go_with_the_next_training(nanopoet, poet):
    poet.weights_path("midtrain").unlink()
    for name in ("checkpoint.pt.99999.tmp", "midtrain.png.1.tmp", "checkpoint.pt.tmp"):
        (poet.path / name).write_bytes(b"half")
    assert nanopoet("train", "--resume").code == 0
    assert not list(poet.path.glob("*.tmp"))


def test_a_file_in_the_place_of_the_folder_is_refused(nanopoet, tmp_path):
    (tmp_path / "runs").mkdir()
    Run("tiny").path.write_text("precious", "utf-8")
    assert "is not a folder" in nanopoet(*TINY).error
    assert Run("tiny").path.read_text("utf-8") == "precious"


# --- Who trains


def test_a_run_that_is_being_trained_is_refused_to_all_others(nanopoet, poet):
    poet.weights_path("midtrain").unlink()
    before = content(poet.path)
    with held(poet.path, "tiny"):
        for command in (TINY, (*TINY, "--overwrite"), ("train", "--resume")):
            error = nanopoet(*command).error
            assert f"run 'tiny' is being trained by process {os.getpid()}" in error
        assert nanopoet("write", "--run", "tiny").code == 0
    assert content(poet.path) == before
    assert nanopoet("train", "--resume").code == 0


def test_a_lock_goes_with_its_process_and_leaves_nothing(nanopoet, poet):
    poet.weights_path("midtrain").unlink()
    (poet.path / LOCK).write_text("1", "utf-8")  # killed: it could not remove this
    assert nanopoet("train", "--resume").code == 0
    assert not (poet.path / LOCK).exists()


def test_a_training_that_fails_lets_go(tmp_path):
    with pytest.raises(ZeroDivisionError), held(tmp_path / "x", "x"):
        raise ZeroDivisionError
    assert not (tmp_path / "x").exists()
    with held(tmp_path / "x", "x"):
        assert (tmp_path / "x" / LOCK).read_text("utf-8") == str(os.getpid())


def test_a_lock_on_a_file_that_was_removed_meanwhile_does_not_count(tmp_path, monkeypatch):
    flock = fcntl.flock

    def after_the_other_has_left(file, how):
        flock(file, how)
        (tmp_path / LOCK).unlink()

    monkeypatch.setattr(fcntl, "flock", after_the_other_has_left)
    with pytest.raises(FolderError, match="try again"), held(tmp_path, "x"):
        raise AssertionError("two processes would hold the run")


def test_on_a_full_disk_the_lock_holds_without_a_number(tmp_path):
    with (
        files_limited_to(0),
        held(tmp_path, "x"),
        pytest.raises(FolderError, match="trained by process unknown"),
        held(tmp_path, "x"),
    ):
        raise AssertionError("two processes would hold the run")
