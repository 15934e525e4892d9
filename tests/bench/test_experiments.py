"""`nanopoet dev experiment`: rows are trained once, judged as the file says, and logged."""

import json
from pathlib import Path

import pytest

JUDGED = """
[experiment]
samples = 8
masked = ["tiny"]
best_of_8 = ["tiny"]
poems = 3
"""


@pytest.fixture
def file(nanopoet):
    path = Path("tiny.toml")
    path.write_text(JUDGED + path.read_text("utf-8"), "utf-8")
    return path


def test_a_log_has_what_came_of_every_seed(nanopoet, file, tmp_path):
    assert nanopoet("dev", "experiment", file, "--seeds", "2").code == 0
    log = json.loads(file.with_suffix(".json").read_text("utf-8"))
    assert log["command"] == "nanopoet dev experiment tiny.toml --seeds 2"
    row = log["rows"]["tiny"]
    assert row["preset"]["about"] == "both stages in a second"
    assert list(row["runs"]) == ["0", "1"]
    for seed, run in row["runs"].items():
        assert (tmp_path / "runs" / f"tiny-tiny-{seed}").is_dir()
        assert list(run["stages"]["midtrain"]["val_loss"])[-1] == "4"
        assert run["evaluation"]["samples"] == run["best_of_8"]["samples"] == 8
        assert run["masked"]["form"] == 1
        assert [poem.keys() for poem in run["poems"]] == [
            {"author", "form", "title", "content"}
        ] * 3
    first, second = (run["evaluation"]["val_loss_per_token"] for run in row["runs"].values())
    assert first != second


def test_what_is_trained_is_not_trained_again(nanopoet, file):
    assert "stage 1 of 2" in nanopoet("dev", "experiment", file, "--seeds", "1").out
    before = file.with_suffix(".json").read_text("utf-8")
    again = nanopoet("dev", "experiment", file, "--seeds", "1")
    assert "stage 1 of 2" not in again.out
    assert file.with_suffix(".json").read_text("utf-8") == before


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("sampels = 8", "sampels"),
        ('masked = ["tiny", "huge"]', "no rows huge"),
        ('presets = ["nosuch"]', "no preset 'nosuch'"),
    ],
)
def test_a_slip_in_a_file_is_named_before_anything_is_trained(nanopoet, tmp_path, table, said):
    path = Path("tiny.toml")
    path.write_text(f"[experiment]\n{table}\n" + path.read_text("utf-8"), "utf-8")
    assert said in nanopoet("dev", "experiment", path).error
    assert not (tmp_path / "runs").exists()
