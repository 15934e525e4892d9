"""The logs that chapters read: made with the settings beside them, by code that was committed."""

import json
import re
import tomllib

import pytest

from nanopoet.bench.experiments import EXPERIMENTS, load_experiment
from nanopoet.bench.modifications import ROWS
from nanopoet.bench.token_budget import RECIPE
from nanopoet.poet.presets import Preset, find_preset

THREE = ("pretraining", "midtraining", "masks", "equal_time", "ladder", "hack")
SEEDS = dict.fromkeys(THREE, 3) | dict.fromkeys(("framed", "seed", "quick", "evening"), 1)
each_log = pytest.mark.parametrize("name", SEEDS)


def read(name):
    return json.loads((EXPERIMENTS / f"{name}.json").read_text("utf-8"))


def test_every_experiment_has_its_log_and_the_reverse():
    logs = {path.stem for path in EXPERIMENTS.glob("*.json")}
    # of processes: tests/book/test_cluster.py
    assert logs - {"processes"} == {*SEEDS, "budget", "modifications"}
    assert {path.stem for path in EXPERIMENTS.glob("*.toml")} <= logs


@each_log
def test_the_settings_in_a_log_are_those_beside_it(name):
    path = EXPERIMENTS / f"{name}.toml"
    presets = load_experiment(path)[1] if path.exists() else {name: find_preset(name)}
    logged = {
        row: Preset.from_dict(row, found["preset"]) for row, found in read(name)["rows"].items()
    }
    assert logged == presets


@each_log
def test_a_log_says_what_it_rests_on(name):
    log = read(name)
    assert re.fullmatch(r"[0-9a-f]{7,}", log["commit"]), "of code without changes"
    assert log["threads"] >= 1
    assert log["versions"]["torch"]
    for row in log["rows"].values():
        assert len(row["runs"]) >= SEEDS[name]
        for run in row["runs"].values():
            assert run["precision"] in ("float32", "bfloat16")
            for stage, settings in zip(
                run["stages"].values(), row["preset"]["stages"], strict=True
            ):
                assert list(stage["val_loss"])[-1] == str(settings["max_steps"])
                assert stage["baselines"].keys() == {"uniform", "unigram", "bigram"}


def test_the_budget_was_spent_by_the_recipe_of_today():
    log = read("budget")
    assert log["recipe"] == tomllib.loads(RECIPE)
    assert re.fullmatch(r"[0-9a-f]{7,}", log["commit"])


def test_each_modification_was_tried_with_three_seeds_on_quick_of_today():
    log = read("modifications")
    assert Preset.from_dict("quick", log["preset"]) == find_preset("quick")
    assert list(log["rows"]) == list(ROWS)
    assert all(list(runs) == ["0", "1", "2"] for runs in log["rows"].values())
    assert re.fullmatch(r"[0-9a-f]{7,}", log["commit"])


def test_two_rungs_of_the_ladder_are_the_preset_aligned():
    rungs = load_experiment(EXPERIMENTS / "ladder.toml")[1]
    assert (*rungs["controlled"].stages, *rungs["grpo"].stages) == find_preset("aligned").stages
    assert rungs["quick"].stages == find_preset("quick").stages


def test_the_aligned_poet_keeps_the_rules_without_losing_the_language():
    """By the mean of three seeds, of 400 poems each, without masks."""
    rows = read("ladder")["rows"]
    before, after = (
        [run["evaluation"] for run in rows[row]["runs"].values()] for row in ("quick", "grpo")
    )

    def mean(found, name):
        return sum(numbers[name] for numbers in found) / len(found)

    assert len(after) == 3
    assert all(numbers["samples"] == 400 for numbers in after)
    assert mean(after, "form") >= 0.99
    assert mean(after, "rhyme") >= 0.5
    assert mean(after, "tone") >= 0.75
    assert mean(after, "distinct_2") >= 0.8
    assert mean(after, "largest_rhyme_group") <= 0.2
    assert mean(after, "val_loss_per_token") <= mean(before, "val_loss_per_token") + 0.3
