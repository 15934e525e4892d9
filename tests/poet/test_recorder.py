"""Weights that are not numbers are never saved, and the last good state stays."""

import re
from pathlib import Path

import pytest
import torch

from nanopoet.poet.recorder import Recorder
from nanopoet.poet.run import Run, RunError
from nanopoet_ref.checkpoint import load_checkpoint
from nanopoet_ref.scaling import flops_per_token
from nanopoet_ref.training import StepLog

TINY = ("train", "--preset", "tiny.toml")


@pytest.mark.parametrize("lr", ["1e6", "1e20", "1e30"])
def test_a_rate_that_is_too_high_keeps_the_last_good_state(nanopoet, lr):
    text = Path("tiny.toml").read_text("utf-8").replace("save_interval = 2", "save_interval = 1")
    text = re.sub(r"optimizer = .*", f"optimizer = {{ plain_adamw = {lr} }}\ngrad_clip = 0", text)
    Path("tiny.toml").write_text(text.replace("max_steps = 3", "max_steps = 30"), "utf-8")
    error = nanopoet(*TINY, "--stage", "pretrain").error
    step = int(re.match(r"step (\d+) of pretrain: ", error)[1])  # type: ignore[index]
    assert "the learning rate is too high" in error
    assert f"the state of step {step - 1} is safe" in error
    assert "set grad_clip = 1" in error
    run = Run("tiny")
    saved = load_checkpoint(run.checkpoint_path)
    assert saved.step == step - 1
    assert all(bool(w.isfinite().all()) for w in saved.model.parameters())
    assert [row["step"] for row in run.read_metrics()] == list(range(step))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (StepLog(4, loss=NAN, lr=0.1, grad_norm=1.0), "step 4 of midtrain: the loss is nan"),
        (StepLog(4, loss=1.0, lr=0.1, grad_norm=INF), "the gradient norm is inf"),
        (StepLog(4, loss=1.0, lr=0.1, grad_norm=NAN), "the gradient norm is nan"),
        (StepLog(4, loss=1.0, lr=0.1, grad_norm=1.0, val_loss=NAN), "the validation loss is nan"),
        (StepLog(0, train_loss=INF), "the training loss is inf"),
        (StepLog(4, loss=1.0, lr=0.1, grad_norm=1.0), "some weights are not finite"),
    ],
)
def test_nothing_is_recorded_of_a_step_that_spoilt_the_weights(poet, log, said):
    saved = load_checkpoint(poet.checkpoint_path)
    if said.startswith("some weights"):
        with torch.no_grad():
            next(saved.model.parameters())[0, 0] = INF
    recorder = Recorder(
        poet, poet.config.preset.stages[1], saved.model, saved.tokenizer, [], [], "safe"
    )
    before = {path.name: path.read_bytes() for path in poet.path.iterdir()}
    with pytest.raises(RunError, match=said):
        recorder(log)
    assert {path.name: path.read_bytes() for path in poet.path.iterdir()} == before


# --- What is shown, and which weights are kept


def shown(out: str) -> list[str]:
    """The rows of the tables."""
    return [line for line in out.splitlines() if re.match(r" *\d+ +\d+%", line)]


@pytest.mark.parametrize("more", ["", "text_losses = { 0 = 9.094, 2 = 8.176 }"])
def test_a_row_fits_80_columns_and_stands_under_its_head(nanopoet, more):
    text = Path("tiny.toml").read_text("utf-8").replace("eval_iters = 1", f"eval_iters = 1\n{more}")
    Path("tiny.toml").write_text(text, "utf-8")
    out = nanopoet(*TINY, "--stage", "pretrain").out
    head = next(line for line in out.splitlines() if line.startswith(" step"))
    rows = shown(out)
    assert [row.split()[:2] for row in rows] == [["0", "0%"], ["2", "67%"], ["3", "100%"]]
    assert all(len(row) <= 80 for row in [head, *rows])
    assert [len(row) for row in rows[1:]] == [len(head)] * 2
    use, left = rows[-1].split()[-2:]
    assert re.fullmatch(r"\d+%", use)
    assert left == "00:00"


def test_use_is_of_tokens_that_count_and_time_left_of_the_pace_so_far(poet, monkeypatch):
    saved, stage = load_checkpoint(poet.checkpoint_path), poet.config.preset.stages[1]
    monkeypatch.setattr("nanopoet.poet.recorder.peak", lambda *where: 1e9)
    recorder = Recorder(poet, stage, saved.model, saved.tokenizer, [], [], "safe")
    log = StepLog(3, tokens=8 * 20, seconds=0.5)  # eight rows, 20 tokens in each of them
    flops = flops_per_token(saved.model.config, 20)
    assert recorder.use(log, 320.0) == pytest.approx(320 * flops / 1e9)
    recorder.steps = 2
    recorder.began -= 20.0
    assert recorder.time_left(3) == "00:10"  # one step more, at ten seconds a step


def test_the_best_weights_are_kept_where_the_stage_says_so(nanopoet):
    text = Path("tiny.toml").read_text("utf-8").replace("eval_interval = 2", "eval_interval = 1")
    text = text.replace("lr = 0.02, muon_lr = 0.02", "lr = 3.0, muon_lr = 3.0")
    Path("tiny.toml").write_text(text.replace("eval_iters = 1", "eval_iters = 1\nkeep_best = true"))
    assert nanopoet(*TINY, "--stage", "pretrain", "--steps", 12).code == 0
    run = Run("tiny")
    losses = {log.step: log.val_loss for log in run.logs("pretrain")}
    best = load_checkpoint(run.best_path("pretrain"))
    assert losses[best.step] == min(losses.values()) == best.notes["val_loss"]
    assert best.step < 12  # the end is not the best here
    assert load_checkpoint(run.weights_path("pretrain")).step == 12
    assert load_checkpoint(run.checkpoint_path).optimizers
    assert nanopoet(*TINY, "--overwrite", "--steps", 0).code == 0


def test_without_being_asked_for_no_best_weights_are_kept(poet):
    assert not poet.best_path("midtrain").exists()


def test_the_last_states_are_kept_and_each_can_be_gone_on_with(nanopoet):
    text = Path("tiny.toml").read_text("utf-8").replace("save_interval = 2", "save_interval = 1")
    Path("tiny.toml").write_text(text.replace("eval_iters = 1", "eval_iters = 1\nkeep_last = 2"))
    assert nanopoet(*TINY).code == 0
    run = Run("tiny")
    states = run.states("midtrain")
    assert [path.name for path in states] == ["midtrain-000003.pt", "midtrain-000004.pt"]
    end = run.weights_path("midtrain").read_bytes()
    states[0].replace(run.checkpoint_path)
    run.weights_path("midtrain").unlink()
    assert nanopoet("train", "--resume", "--name", "tiny").code == 0
    assert run.weights_path("midtrain").read_bytes() == end
    assert nanopoet(*TINY, "--overwrite", "--steps", 0).code == 0
    assert [path.name for path in run.states("midtrain")] == ["midtrain-000000.pt"]


def test_without_being_asked_for_no_earlier_state_is_kept(poet):
    assert poet.states("midtrain") == []
