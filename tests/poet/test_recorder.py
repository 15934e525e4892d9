"""Weights that are not numbers are never saved, and the last good state stays."""

import re
from pathlib import Path

import pytest
import torch

from nanopoet.poet.recorder import Recorder
from nanopoet.poet.run import Run, RunError
from nanopoet_ref.checkpoint import load_checkpoint
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
