"""Pre-training: one long stream."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.loss import fused_cross_entropy, masked_cross_entropy
from nanopoet_ref.poem import Poem
from nanopoet_ref.pretraining import poem_stream, window_batches, windows_by_number
from nanopoet_ref.tokenizer import BOS
from nanopoet_ref.training import BatchStream, TrainConfig, estimate_loss, train


def level(step):
    return 1.0


@given(st.lists(st.text("春眠不觉晓，。𠀀", max_size=12), max_size=8))
def test_bos_stands_before_each_poem_and_nowhere_else(tokenizer, contents):
    stream = poem_stream(tokenizer, [Poem("a", "b", "c", content) for content in contents])
    bos, expected = tokenizer.special[BOS], []
    for content in contents:
        expected += [bos, *tokenizer.encode(content).tolist()]
    assert stream.tolist() == expected
    assert stream.dtype == np.uint16


def test_batches_are_told_apart_by_number_and_seed():
    ids = np.arange(1000, dtype=np.uint16)
    first = windows_by_number(ids, 8, 4, seed=1)
    assert torch.equal(first(3).idx, windows_by_number(ids, 8, 4, seed=1)(3).idx)
    assert not torch.equal(first(3).idx, first(4).idx)
    assert not torch.equal(first(3).idx, windows_by_number(ids, 8, 4, seed=2)(3).idx)


def test_pretraining_learns_and_evaluates_both_splits_on_fixed_windows(make_gpt, tokenizer, poems):
    model = make_gpt("modern", vocab_size=len(tokenizer))
    train_ids, val_ids = poem_stream(tokenizer, poems[:3]), poem_stream(tokenizer, poems[3:])
    windows = windows_by_number(val_ids, 12, 4, seed=1)
    same = [windows(i) for i in range(2)]
    start = estimate_loss(model, same, masked_cross_entropy)
    batches, fixed = window_batches(train_ids, val_ids, model.config.block_size, 4, eval_iters=2)
    logs = train(
        model,
        BatchStream(batches),
        masked_cross_entropy,
        level,
        TrainConfig(max_steps=20, eval_interval=20),
        eval_batches=fixed,
        optimizers=[torch.optim.AdamW(model.parameters(), lr=0.01)],
    )
    assert logs[0].val_loss == start
    assert logs[-1].val_loss == estimate_loss(model, same, masked_cross_entropy)
    assert logs[-1].train_loss < logs[0].train_loss - 0.5


def test_the_loss_function_can_be_chosen(make_gpt, tokenizer, poems):
    ids, seen = poem_stream(tokenizer, poems), []

    def spy(*args):
        seen.append(args[2])
        return fused_cross_entropy(*args)

    model = make_gpt(vocab_size=len(tokenizer))
    batches, fixed = window_batches(ids, ids, model.config.block_size, 2)
    train(model, BatchStream(batches), spy, level, TrainConfig(max_steps=1), eval_batches=fixed)
    assert seen == [None] * (2 * 16 + 1)


def test_a_stream_shorter_than_the_block_is_refused(make_gpt, tokenizer, poems):
    ids = poem_stream(tokenizer, poems)
    with pytest.raises(ValueError, match=r"12 tokens .*13"):
        window_batches(ids, ids[:12], 12, batch_size=2)
