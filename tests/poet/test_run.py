"""Runs by name: which names there may be, and which run is meant."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nanopoet.poet.run import Run, RunError, find_run, find_trained, newest_runs
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


def begun(name: str, when: str, of: Run) -> Run:
    """A copy of a run that says it was begun at another time."""
    shutil.copytree(of.path, Run(name).path)
    config = of.config.as_dict() | {"begun": when}
    Run(name).config_path.write_text(json.dumps(config), "utf-8")
    return Run(name)


def test_a_run_takes_orders_from_midtrain_on(poet):
    assert [poet.takes_orders(stage) for stage in poet.stage_names] == [False, True]
    pretrain, midtrain = poet.config.preset.stages
    for stages, writes in (((midtrain,), True), ((pretrain,), False)):
        run = Run("other")
        run.config = replace(poet.config, preset=replace(poet.config.preset, stages=stages))
        assert run.writes_poems == writes


def test_what_goes_on_is_the_newest_run_that_is_not_trained_to_its_end(nanopoet, poet):
    half = begun("half", "2001-01-01T00:00:00", of=poet)
    half.weights_path("midtrain").unlink()
    older = begun("older", "2000-01-01T00:00:00", of=half)
    assert find_run().name == "half"
    done = nanopoet("train", "--resume")
    assert done.code == 0
    assert half.finished()
    assert not older.finished()
    assert find_run().name == "older"


def test_a_run_notes_when_it_was_begun(nanopoet, poet):
    first = poet.begun
    assert nanopoet("train", "--preset", "tiny.toml", "--name", "next", "--steps", 0).code == 0
    assert first < Run("next").begun
    assert nanopoet("train", "--preset", "tiny.toml", "--overwrite", "--steps", 0).code == 0
    assert [run.name for run in newest_runs()] == ["tiny", "next"]


def test_the_newest_run_is_the_one_begun_last(nanopoet, poet):
    assert find_run().name == "tiny"
    begun("later", "2999-01-01T00:00:00.000000+00:00", poet)
    begun("earlier", "1999-01-01T00:00:00.000000+00:00", poet)
    assert [run.name for run in newest_runs()] == ["later", "tiny", "earlier"]
    assert find_run().name == "later"
    assert find_run("tiny").name == "tiny"


def test_dates_of_files_choose_no_run(nanopoet, poet):
    old = begun("old", "1999-01-01T00:00:00.000000+00:00", poet)
    for path in (*old.path.iterdir(), old.path):
        os.utime(path, (4e9, 4e9))
    (old.path / "poet.png").touch()
    assert find_run().name == "tiny"
    assert nanopoet("write").err == "run tiny\n"


@pytest.mark.parametrize("config", ["{}", "[]", "{", '{"begun": 7}'])
def test_a_run_that_does_not_say_when_it_was_begun_is_the_oldest(nanopoet, poet, config):
    other = Run("other")
    other.path.mkdir()
    other.config_path.write_text(config)
    assert [run.name for run in newest_runs()] == ["tiny", "other"]
    assert nanopoet("write").err == "run tiny\n"
    shutil.rmtree(poet.path)
    assert "other/config.json: damaged" in nanopoet("write").error


def test_a_folder_whose_name_no_run_can_have_is_no_run(nanopoet, poet):
    shutil.copytree(poet.path, poet.path.parent / "tiny (copy)")
    shutil.copytree(poet.path, poet.path.parent / ".tiny")
    assert [run.name for run in newest_runs()] == ["tiny"]
    assert "there is tiny)" in nanopoet("write", "--run", "nobody").error


def test_a_run_that_is_cleared_while_one_looks_is_no_accident(poet, monkeypatch):
    other = begun("other", "2999-01-01T00:00:00.000000+00:00", poet)
    read = Path.read_text

    def cleared(path, *args, **kwargs):
        if path == other.config_path:
            path.unlink(missing_ok=True)  # between the listing and the reading
        return read(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", cleared)
    assert find_run().name == find_trained(able="writes_poems").name == "tiny"


def test_poems_come_from_the_newest_finished_run_that_writes_them(nanopoet, poet):
    (Path("text.txt")).write_text("春花秋月\n" * 500, "utf-8")
    assert nanopoet("train", "--preset", "tiny.toml", "--text", "text.txt", "--steps", 0).code == 0
    stage = ("--stage", "pretrain")
    assert nanopoet("train", "--preset", "tiny.toml", "--name", "half", *stage).code == 0
    assert [run.name for run in newest_runs()] == ["half", "text", "tiny"]
    assert find_trained(able="writes_poems").name == "tiny"
    assert find_trained().name == "text"
    done = nanopoet("evaluate", "--json")
    assert (done.code, done.err) == (0, "run text\n")
    assert json.loads(done.out)["samples"] == 0
    shutil.rmtree(poet.path)
    assert "run 'half' has not ended its stage midtrain" in nanopoet("write").error
    shutil.rmtree(Run("half").path)
    error = nanopoet("write").error
    assert "nanopoet train --preset quick" in error
    assert "nanopoet write --run text" in error


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
    assert poet.weights_path("pretrain").is_file()
    assert nanopoet("write", "--run", "tiny", "--begin", "春").out.startswith("春")


@pytest.mark.parametrize(
    "line",
    [
        "null",
        "[]",
        "7",
        "{}",
        "春",
        '{"stage": "pretrain"}',
        '{"stage": "pretrain", "step": "1"}',
        '{"stage": "pretrain", "step": null}',
        '{"stage": null, "step": 1}',
        '{"stage": "pretrain", "step": 1, "loss": "low"}',
        '{"stage": "pretrain", "step": 1, "colour": 3}',
    ],
)
def test_a_line_that_is_no_step_is_named_by_its_number(nanopoet, poet, line):
    lines = poet.metrics_path.read_text("utf-8").splitlines()
    poet.metrics_path.write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n", "utf-8")
    poet.weights_path("midtrain").unlink()
    assert "metrics.jsonl, line 3: " in nanopoet("train", "--resume").error
    poet.metrics_path.write_text("\n".join(lines) + "\n", "utf-8")
    assert nanopoet("train", "--resume").code == 0


def test_metrics_that_are_not_text_are_named(nanopoet, poet):
    poet.metrics_path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 1"):
        poet.read_metrics()


@pytest.mark.parametrize(
    "catalog",
    [
        "null",
        "[]",
        '{"forms": {}, "authors": {}}',
        '{"forms": {}, "authors": null, "titles": {}}',
        '{"forms": {}, "authors": {"李白": null}, "titles": {}}',
        '{"forms": {"五言绝句": "9"}, "authors": {}, "titles": {}}',
    ],
)
def test_a_catalog_of_other_types_is_damaged(nanopoet, poet, catalog):
    poet.catalog_path.write_text(catalog, "utf-8")
    assert "catalog.json: damaged" in nanopoet("write").error


@pytest.mark.parametrize("vocab", ["null", "7", "[1, 2]", '{"a": 1}', '"abc"'])
def test_a_vocabulary_of_another_type_is_damaged(nanopoet, poet, vocab):
    poet.weights_path("midtrain").unlink()
    poet.tokenizer_path.write_text(f'{{"vocab": {vocab}, "hash": null}}', "utf-8")
    assert "tokenizer.json" in nanopoet("train", "--resume").error
