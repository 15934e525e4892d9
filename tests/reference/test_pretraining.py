"""Pre-training: one long stream."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.loss import (
    bigram_loss,
    fused_cross_entropy,
    masked_cross_entropy,
    unigram_log_probs,
    unigram_loss,
)
from nanopoet_ref.poem import Poem
from nanopoet_ref.pretraining import (
    init_from_pairs,
    poem_stream,
    window_batches,
    windows_by_number,
)
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


@pytest.fixture(scope="module")
def chain():
    """4,000 tokens of 40 kinds, of which each is followed by few, and some oftener than others."""
    draw = np.random.default_rng(0)
    odds = draw.dirichlet(np.full(40, 0.05), size=40)
    ids = [0]
    for _ in range(3999):
        ids.append(draw.choice(40, p=odds[ids[-1]]))
    return np.array(ids, dtype=np.uint16)


def loss_on(model, ids):
    windows = windows_by_number(ids, model.config.block_size, 8, seed=0)
    return estimate_loss(model, [windows(i) for i in range(8)], masked_cross_entropy)


def test_pairs_that_were_counted_are_known_before_the_first_update(make_gpt, chain):
    learned, unseen = chain[:3000], chain[3000:]
    model = make_gpt("modern", vocab_size=40, n_embd=16)
    assert loss_on(model, unseen) == pytest.approx(np.log(40), abs=1e-5)
    init_from_pairs(model, learned)
    unigram = unigram_loss(learned, 40, unseen)
    bigram = bigram_loss(learned, 40, unseen[:-1], unseen[1:])
    found = loss_on(model, unseen)
    assert bigram - 0.05 < found < unigram - 0.7 * (unigram - bigram)


def test_more_width_holds_more_of_the_table(make_gpt, chain):
    found = []
    for width in (2, 4, 16):
        model = make_gpt("modern", vocab_size=40, n_embd=width, n_head=1)
        init_from_pairs(model, chain)
        found.append(loss_on(model, chain))
    assert found[0] > found[1] > found[2]


def test_the_order_of_tokens_is_what_pairs_add_to_frequencies(make_gpt, chain):
    """In a shuffled stream there is nothing to know but frequencies."""
    model = make_gpt("modern", vocab_size=40, n_embd=16)
    init_from_pairs(model, np.random.default_rng(1).permutation(chain))
    assert np.allclose(model.head.bias.detach(), unigram_log_probs(chain, 40), atol=1e-6)
    assert loss_on(model, chain) > unigram_loss(chain, 40) - 0.1


def test_a_token_that_never_came_keeps_the_row_it_has(make_gpt, chain):
    model = make_gpt("modern", vocab_size=42, n_embd=16)
    before = model.wte.weight.clone()
    init_from_pairs(model, chain)
    assert torch.equal(model.wte.weight[40:], before[40:])
    rows = model.wte.weight[np.unique(chain)]
    assert torch.allclose(rows.square().mean(dim=1), torch.ones(len(rows)), atol=1e-3)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_pairs_need_embeddings_of_one_length(make_gpt, chain):
    with pytest.raises(ValueError, match="style='gpt2'"):
        init_from_pairs(make_gpt("gpt2", vocab_size=40), chain)
