"""The loop: what it measures, what it changes, what it must leave alone."""

import copy
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.figures import plot_curves
from nanopoet_ref.loss import fused_cross_entropy, masked_cross_entropy
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.training import (
    Batch,
    BatchStream,
    StepLog,
    TrainConfig,
    estimate_loss,
    random_windows,
    train,
    training_step,
)


def make_batch(B=4, T=12, seed=0, keep=None):
    ids = torch.randint(23, (B, T + 1), generator=make_generator(seed))
    mask = None
    if keep is not None:  # row i keeps its first keep[i] targets
        mask = torch.arange(T) < torch.tensor(keep).unsqueeze(1)
    return Batch(ids[:, :-1], ids[:, 1:], mask)


def stream(seed=0):
    return BatchStream(lambda i: make_batch(seed=100 * seed + i))


def run(model, max_steps=5, *, mult=lambda step: 1.0, loss_fn=masked_cross_entropy, **rest):
    names = ("micro_steps", "eval_interval", "grad_clip", "precision")
    settings = {name: rest.pop(name) for name in names if name in rest}
    config = TrainConfig(max_steps=max_steps, **settings)
    return train(model, rest.pop("batches", stream()), loss_fn, mult, config, **rest)


def weights_of(model):
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same_bits(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


class Recorder(torch.optim.SGD):
    """Notes the gradients of each step."""

    def step(self, closure=None):
        self.gradients = [p.grad.clone() for group in self.param_groups for p in group["params"]]
        super().step()


# --- Batches ----------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 99))
def test_windows_are_cut_from_the_stream_and_targets_are_one_later(block_size, extra, seed):
    ids = np.arange(1000, 1000 + block_size + extra, dtype=np.uint16)
    batch = random_windows(ids, block_size, 5, make_generator(seed))
    assert batch.idx.shape == batch.targets.shape == (5, block_size)
    assert batch.idx.dtype == batch.targets.dtype == torch.int64
    for row, targets in zip(batch.idx.tolist(), batch.targets.tolist(), strict=True):
        assert row == list(range(row[0], row[0] + block_size))
        assert targets == [token + 1 for token in row]
        assert ids[0] <= row[0]
        assert targets[-1] <= ids[-1]


def test_every_window_can_be_drawn_the_first_and_the_last_too():
    batch = random_windows(np.arange(10), 4, 300, make_generator(0))
    assert set(batch.idx[:, 0].tolist()) == set(range(6))


@pytest.mark.parametrize("n", [0, 1, 8])
def test_a_stream_too_short_for_a_window_is_refused(n):
    with pytest.raises(ValueError, match=rf"^{n} tokens .*9"):
        random_windows(np.arange(n), 8, 2, make_generator(0))


def test_a_batch_counts_the_targets_that_count():
    assert make_batch(4, 12).n_tokens == 48
    assert make_batch(4, 12, keep=[0, 1, 5, 12]).n_tokens == 18


def test_batch_i_is_the_same_whenever_it_is_asked_for():
    one, other = stream(), BatchStream(lambda i: make_batch(seed=i), start=2)
    drawn = [one() for _ in range(4)]
    assert torch.equal(drawn[2].idx, other().idx)
    assert torch.equal(drawn[3].idx, other().idx)
    assert not torch.equal(drawn[2].idx, drawn[3].idx)
    assert other.next == 4


# --- Settings ---------------------------------------------------------------------------------


def test_all_problems_of_the_settings_are_reported_at_once():
    with pytest.raises(ValueError, match="max_steps=-1") as error:
        TrainConfig(max_steps=-1, micro_steps=0, eval_interval=-2, grad_clip=-1.0, precision="int8")
    for part in ("micro_steps=0", "eval_interval=-2", "grad_clip=-1.0", "int8"):
        assert part in str(error.value)
    assert TrainConfig(grad_clip=0.0).grad_clip == 0  # a limit at which nothing moves


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(AttributeError):
        TrainConfig().max_steps = 5


# --- Evaluation -------------------------------------------------------------------------------


def test_a_token_weighs_the_same_in_a_short_batch_and_in_a_long_one(make_gpt):
    model = make_gpt(awake=True, dtype=torch.float64)
    short, long = make_batch(1, 12, keep=[1]), make_batch(10, 10, seed=1)
    losses = [masked_cross_entropy(model(b.idx), b.targets, b.mask).item() for b in (short, long)]
    found = estimate_loss(model, [short, long], masked_cross_entropy)
    assert found == pytest.approx((losses[0] + 100 * losses[1]) / 101, abs=1e-12)
    assert abs(found - sum(losses) / 2) > 0.1


def test_evaluation_does_not_depend_on_how_rows_are_batched(make_gpt):
    model = make_gpt(awake=True, dtype=torch.float64)
    whole = make_batch(6, 12, keep=[1, 12, 3, 0, 7, 5])
    rows = [Batch(*(part[i : i + 1] for part in whole)) for i in range(6)]
    together = estimate_loss(model, [whole], masked_cross_entropy)
    assert estimate_loss(model, rows, masked_cross_entropy) == pytest.approx(together, abs=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_mode_generator_weights_and_gradients(make_gpt, training):
    model = make_gpt(awake=True, dropout=0.5).train(training)
    weights, state = weights_of(model), torch.get_rng_state()
    first = estimate_loss(model, [make_batch()], masked_cross_entropy)
    assert estimate_loss(model, [make_batch()], masked_cross_entropy) == first  # no dropout
    assert [m.training for m in model.modules()] == [training] * len(list(model.modules()))
    assert torch.equal(torch.get_rng_state(), state)
    assert same_bits(weights, weights_of(model))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_evaluation_builds_no_graph(make_gpt):
    seen = []

    def spy(logits, targets, mask):
        seen.append(logits.requires_grad)
        return masked_cross_entropy(logits, targets, mask)

    estimate_loss(make_gpt(), [make_batch()], spy)
    assert seen == [False]


def test_nothing_to_evaluate_is_said(make_gpt):
    for batches in ([], [make_batch(2, keep=[0, 0])]):
        with pytest.raises(ValueError, match="nothing to evaluate"):
            estimate_loss(make_gpt(), batches, masked_cross_entropy)


# --- One update -------------------------------------------------------------------------------

KEEP = [12, 1, 7, 2, 3, 12, 5, 0]


def gradients_of(model, batches):
    model = copy.deepcopy(model)
    recorder = Recorder(model.parameters(), lr=0.0)
    config = TrainConfig(grad_clip=None)
    loss, norm = training_step(model, batches, masked_cross_entropy, [recorder], config)
    return loss, norm, recorder.gradients


def test_eight_micro_batches_of_one_row_are_one_batch_of_eight(make_gpt):
    model = make_gpt(awake=True, dtype=torch.float64)
    whole = make_batch(8, 12, keep=KEEP)
    rows = [Batch(*(part[i : i + 1] for part in whole)) for i in range(8)]
    loss, norm, gradients = gradients_of(model, [whole])
    micro_loss, micro_norm, micro_gradients = gradients_of(model, rows)
    assert micro_loss == pytest.approx(loss, abs=1e-9)
    assert micro_norm == pytest.approx(norm, abs=1e-6)
    for a, b in zip(gradients, micro_gradients, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-6)

    means = torch.stack([masked_cross_entropy(model(r.idx), r.targets, r.mask) for r in rows])
    mean_of_means = torch.autograd.grad(means.mean(), list(model.parameters()))
    assert abs(means.mean().item() - loss) > 1e-2
    worst = max((a - b).abs().max() for a, b in zip(gradients, mean_of_means, strict=True))
    assert worst > 1e-2


def test_gradients_do_not_leak_into_the_next_update(make_gpt):
    model = make_gpt(awake=True, dtype=torch.float64)
    recorder, config = Recorder(model.parameters(), lr=0.0), TrainConfig(grad_clip=None)
    training_step(model, [make_batch()], masked_cross_entropy, [recorder], config)
    first = recorder.gradients
    training_step(model, [make_batch()], masked_cross_entropy, [recorder], config)
    assert all(torch.equal(a, b) for a, b in zip(first, recorder.gradients, strict=True))


def test_an_update_in_which_nothing_counts_moves_nothing(make_gpt):
    model = make_gpt(awake=True)
    before = weights_of(model)
    logs = run(
        model,
        1,
        batches=lambda: make_batch(2, keep=[0, 0]),
        optimizers=[torch.optim.SGD(model.parameters(), lr=1.0)],
    )
    assert logs[1].loss == logs[1].tokens == logs[1].grad_norm == 0
    assert same_bits(before, weights_of(model))


@pytest.mark.parametrize("clip", [0.01, None])
def test_clipping_bounds_the_step_and_the_norm_in_the_log_is_the_one_before(make_gpt, clip):
    model = make_gpt(awake=True, dtype=torch.float64)
    _, norm, _ = gradients_of(model, [make_batch()])
    before = weights_of(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    batches = BatchStream(lambda i: make_batch())
    logs = run(model, 1, batches=batches, grad_clip=clip, optimizers=[optimizer])
    moved = sum((before[n] - p).square().sum() for n, p in model.named_parameters()).sqrt().item()
    assert logs[1].grad_norm == pytest.approx(norm)
    assert norm > 0.1
    assert moved == pytest.approx(norm if clip is None else clip, rel=1e-3)


# --- The loop ---------------------------------------------------------------------------------


def test_the_loss_is_measured_before_the_first_update_and_after_the_last(make_gpt):
    model, fixed = make_gpt(awake=True), [make_batch(seed=7)]
    untrained = estimate_loss(model, fixed, masked_cross_entropy)
    logs = run(model, 5, eval_interval=2, eval_batches={"val": fixed, "train": fixed})
    assert [log.step for log in logs] == [0, 1, 2, 3, 4, 5]
    assert [log.step for log in logs if log.val_loss is not None] == [0, 2, 4, 5]
    assert logs[0].val_loss == logs[0].train_loss == untrained
    assert logs[-1].val_loss == estimate_loss(model, fixed, masked_cross_entropy) != untrained


def test_step_0_is_the_untrained_model_and_has_no_update(make_gpt):
    log = run(make_gpt(), 0, eval_batches={"val": [make_batch()]})
    assert log == [StepLog(step=0, val_loss=log[0].val_loss)]


def test_measuring_more_often_changes_no_weight(make_gpt):
    ends = []
    for interval in (1, 3, 100):
        model = make_gpt(dropout=0.3)
        torch.manual_seed(5)
        fixed = {"val": [make_batch(seed=7)], "train": [make_batch(seed=8)]}
        logs = run(model, 6, eval_interval=interval, eval_batches=fixed)
        ends.append((weights_of(model), [log.loss for log in logs]))
    for weights, losses in ends[1:]:
        assert losses == ends[0][1]
        assert same_bits(weights, ends[0][0])


def test_the_rate_in_the_log_is_the_one_applied_to_every_group(make_gpt):
    model = make_gpt()
    groups = [
        {"params": [p], "lr": lr} for p, lr in zip(model.parameters(), [0.1, 0.02], strict=False)
    ]
    optimizer = torch.optim.SGD(groups)

    def mult(step):
        return 1 / (step + 2)

    def check(log):
        if log.step:
            first, second = (group["lr"] for group in optimizer.param_groups)
            assert log.lr == first == 0.1 * mult(log.step - 1)
            assert second == 0.02 * mult(log.step - 1)

    logs = run(model, 4, mult=mult, optimizers=[optimizer], callback=check)
    assert [log.lr for log in logs] == [None] + [0.1 * mult(step) for step in range(4)]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [0.1, 0.02]


def test_the_multiplier_acts_on_the_weights(make_gpt):
    model = make_gpt()
    before = weights_of(model)
    run(model, 3, mult=lambda step: 0.0)
    assert same_bits(before, weights_of(model))
    run(model, 1)
    assert not same_bits(before, weights_of(model))


def test_a_later_start_goes_on_with_the_schedule_and_does_not_repeat_step_0(make_gpt):
    seen = []
    logs = run(make_gpt(), 5, mult=lambda step: seen.append(step) or 1.0, start_step=3)
    assert [log.step for log in logs] == [4, 5]
    assert seen == [3, 4]


def test_each_update_takes_micro_steps_batches(make_gpt):
    batches = stream()
    logs = run(make_gpt(), 3, batches=batches, micro_steps=4)
    assert batches.next == 12
    assert [log.tokens for log in logs] == [0, 192, 192, 192]


def test_the_loss_of_an_update_is_that_before_it(make_gpt):
    model = make_gpt(awake=True)
    loss = masked_cross_entropy(model(make_batch().idx), make_batch().targets).item()
    assert run(model, 1)[1].loss == pytest.approx(loss)


@pytest.mark.parametrize("split", ["Val", "valid", "test"])
def test_an_unknown_split_is_named_before_anything_is_trained(make_gpt, split):
    model = make_gpt()
    before = weights_of(model)
    with pytest.raises(ValueError, match=split):
        run(model, eval_batches={split: [make_batch()]})
    assert same_bits(before, weights_of(model))


def test_the_callback_gets_every_log_in_turn(make_gpt):
    seen = []
    assert run(make_gpt(), 3, callback=seen.append) == seen


def test_without_optimizers_it_is_adamw_at_3e_4(make_gpt):
    by_default, by_name = make_gpt(), make_gpt()
    logs = run(by_default, 2)
    run(by_name, 2, optimizers=[torch.optim.AdamW(by_name.parameters(), lr=3e-4)])
    assert logs[1].lr == 3e-4
    assert same_bits(weights_of(by_default), weights_of(by_name))


def test_training_lowers_the_loss(make_gpt):
    model = make_gpt()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    logs = run(model, 30, batches=BatchStream(lambda i: make_batch()), optimizers=[optimizer])
    assert logs[-1].loss < logs[1].loss - 0.5


def test_bfloat16_products_give_nearly_the_same_loss_and_float32_weights(make_gpt):
    losses = []
    for precision in ("float32", "bfloat16"):
        model = make_gpt("modern", awake=True)
        logs = run(model, 2, precision=precision, loss_fn=fused_cross_entropy)
        losses.append(logs[1].loss)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_the_loop_is_silent_but_for_a_bar_on_a_terminal_if_asked(make_gpt, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run(make_gpt(), 2)
    assert capsys.readouterr() == ("", "")
    run(make_gpt(), 2, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/2" in err


def test_curves_are_a_png_and_leave_no_figure_open(make_gpt, tmp_path):
    import matplotlib.pyplot as plt

    logs = run(make_gpt(), 4, eval_interval=2, eval_batches={"val": [make_batch()]})
    for number, some in enumerate([logs, logs[:1], []]):
        path = tmp_path / f"{number}.png"
        plot_curves(some, path, {"uniform": 3.14, "unigram": 2.0})
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert plt.get_fignums() == []
