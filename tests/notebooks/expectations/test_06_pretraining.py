"""What the tasks and the quiz of chapter 06 say to expect."""

import math
from functools import cache, partial

import numpy as np
import pytest
import torch

from nanopoet_ref.checkpoint import load_checkpoint, save_checkpoint
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import bigram_loss, fused_cross_entropy, unigram_log_probs, unigram_loss
from nanopoet_ref.optim import configure_optimizers
from nanopoet_ref.pretraining import poem_stream, window_batches
from nanopoet_ref.runtime import seed_everything
from nanopoet_ref.schedule import SCHEDULES
from nanopoet_ref.tokenizer import BOS, SPECIAL_TOKENS, CharTokenizer, build_vocab
from nanopoet_ref.training import BatchStream, TrainConfig, estimate_loss, train

RECIPE = {"lr": 0.02, "head_lr": 0.004, "muon_lr": 0.02, "betas": (0.8, 0.95)}


@pytest.fixture(scope="module")
def streams(halves):
    """A tokenizer of common characters, and the streams of 20,000 and 2,000 poems."""
    some = [poems[:: len(poems) // n][:n] for poems, n in zip(halves, (20_000, 2_000), strict=True)]
    tokenizer = CharTokenizer(build_vocab([poem.content for poem in some[0]], min_count=200))
    return tokenizer, *(poem_stream(tokenizer, poems) for poems in some)


@pytest.fixture(scope="module")
def trained(streams):
    @cache
    def run(schedule="warmup_warmdown", max_steps=60, seed=0, counts=True, weight_decay=0.0):
        """The small model of the chapter after `max_steps` updates, and its fixed batches."""
        tokenizer, ids, val_ids = streams
        seed_everything(seed)
        model = GPT(GPTConfig(len(tokenizer), 48, n_layer=1, n_head=2, n_embd=32, style="modern"))
        if counts:
            model.init_head_bias(unigram_log_probs(ids, len(tokenizer)))
        batches, fixed = window_batches(ids, val_ids, 48, 8, eval_iters=8, seed=seed)
        train(
            model,
            BatchStream(batches),
            fused_cross_entropy,
            partial(SCHEDULES[schedule], max_steps=max_steps),
            TrainConfig(max_steps),
            optimizers=configure_optimizers(model, weight_decay=weight_decay, **RECIPE),
        )
        return model, fixed["val"]

    return run


def loss_of(model, batches):
    return estimate_loss(model, batches, fused_cross_entropy)


def test_task_1_without_the_boundary_a_token_costs_a_little_more(streams):
    tokenizer, ids, val_ids = streams
    bos = tokenizer.special[BOS]
    glued, val_glued = (stream[stream != bos] for stream in (ids, val_ids))
    with_boundary = unigram_loss(ids, len(tokenizer), val_ids)
    assert 0 < unigram_loss(glued, len(tokenizer), val_glued) - with_boundary < 0.1


def test_task_2_another_schedule_changes_a_few_hundredths(trained):
    ends = [loss_of(*trained(schedule)) for schedule in ("constant", "warmup_warmdown")]
    assert ends[0] != ends[1]
    assert abs(ends[0] - ends[1]) < 0.1


def test_task_3_a_schedule_of_ones_own_keeps_the_rules():
    for max_steps in range(1, 120):
        mults = [min(1, math.sqrt(10 / (step + 1))) for step in range(max_steps)]
        assert all(0 < mult <= 1 for mult in mults)
        assert mults == sorted(mults, reverse=True)


def test_task_4_weight_decay_does_next_to_nothing_in_60_updates(trained):
    plain, decayed = loss_of(*trained()), loss_of(*trained(weight_decay=0.1))
    assert plain != decayed
    assert abs(plain - decayed) < 0.02
    assert (1 - 0.02 * 0.1) ** 60 > 0.88


def test_task_5_pairs_are_worth_more_than_single_characters(streams):
    tokenizer, ids, val_ids = streams
    pairs = bigram_loss(ids, len(tokenizer), val_ids[:-1], val_ids[1:])
    assert pairs < unigram_loss(ids, len(tokenizer), val_ids) - 0.4


def test_quiz_2_an_untrained_model_is_near_ln_v_with_any_seed(trained):
    for seed in range(3):
        model, batches = trained(max_steps=0, seed=seed, counts=False)
        assert abs(loss_of(model, batches) - math.log(model.config.vocab_size)) < 0.05


def test_quiz_4_a_resumed_run_needs_weights_optimizers_and_the_step(tmp_path, streams):
    tokenizer, ids, val_ids = streams
    ends = []
    for stops in ((6,), (3, 6)):
        seed_everything(0)
        model = GPT(GPTConfig(len(tokenizer), 48, n_layer=1, n_head=2, n_embd=8, style="modern"))
        optimizers, start = configure_optimizers(model, **RECIPE), 0
        for stop in stops:
            batches, _ = window_batches(ids, val_ids, 48, 4, eval_iters=1)
            train(
                model,
                BatchStream(batches, start),
                fused_cross_entropy,
                partial(SCHEDULES["warmup_warmdown"], max_steps=6),
                TrainConfig(stop),
                optimizers=optimizers,
                start_step=start,
            )
            save_checkpoint(tmp_path / "checkpoint.pt", model, tokenizer, stop, optimizers)
            saved = load_checkpoint(tmp_path / "checkpoint.pt")
            model, start = saved.model, saved.step
            optimizers = configure_optimizers(model, **RECIPE)
            saved.restore(optimizers)
        ends.append(model.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_quiz_5_a_permuted_vocabulary_is_worse_than_knowing_nothing(streams, trained):
    tokenizer, *_ = streams
    model, batches = trained()
    order = np.arange(len(tokenizer))
    order[len(SPECIAL_TOKENS) :] = order[len(SPECIAL_TOKENS) :][::-1]
    permuted = [
        batch._replace(
            idx=torch.from_numpy(order)[batch.idx], targets=torch.from_numpy(order)[batch.targets]
        )
        for batch in batches
    ]
    assert loss_of(model, permuted) > math.log(len(tokenizer)) > loss_of(model, batches)
