"""What the tasks and the quiz of chapter 09 say to expect."""

from functools import partial
from itertools import product

import pytest
import torch
from torch import nn

from nanopoet.checker.misconceptions import solution
from nanopoet_ref.gpt import GPT, MLP, Block, GPTConfig, count_parameters
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.scaling import LossScaler, MoE, accumulation_steps
from nanopoet_ref.training import Batch

CONFIG = GPTConfig(vocab_size=23, block_size=12, n_layer=1, n_head=2, n_embd=16)


def awake():
    """A model in which every weight is random, so that every gradient says something."""
    torch.manual_seed(0)
    model = GPT(CONFIG)
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    return model


def pieces(counts):
    """Micro-batches of one row, with so many targets that count in each."""
    found = []
    for i, count in enumerate(counts):
        ids = torch.randint(23, (1, 13), generator=make_generator(i))
        found.append(Batch(ids[:, :-1], ids[:, 1:], torch.arange(12)[None] < count))
    return found


def gradient(batches, weights, scaler=None):
    """Of the sum of the pieces' mean losses, each times its weight."""
    model = awake()
    scaler = scaler or LossScaler(1.0)
    for batch, weight in zip(batches, weights, strict=True):
        loss = masked_cross_entropy(model(batch.idx), batch.targets, batch.mask)
        scaler.scale(loss * weight).backward()
    scaler.unscale_(torch.optim.SGD(model.parameters(), lr=1.0))
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def by_tokens(counts):
    return [count / sum(counts) for count in counts]


def test_task_1_two_micro_batches_and_none_with_three_processes():
    assert accumulation_steps(65_536, 16, 512, processes=4) == 2
    with pytest.raises(ValueError, match="no multiple of 24576"):
        accumulation_steps(65_536, 16, 512, processes=3)


def test_task_2_with_one_target_in_each_piece_the_mean_of_means_is_right():
    for counts, agree in (([1] * 8, True), ([12] * 7 + [1], False)):
        batches = pieces(counts)
        right, means = gradient(batches, by_tokens(counts)), gradient(batches, [1 / 8] * 8)
        assert (((right - means).norm() / right.norm()).item() < 1e-5) is agree


def test_task_3_hands_are_complete_disjoint_and_nearly_even():
    rank_batches = solution("scaling")[1]["rank_batches"]
    for n_batches, world_size in product((0, 1, 2, 7, 24), (1, 2, 3, 9)):
        hands = [rank_batches(n_batches, rank, world_size) for rank in range(world_size)]
        assert sorted(batch for hand in hands for batch in hand) == list(range(n_batches))
        assert max(map(len, hands)) - min(map(len, hands)) <= 1


def test_task_4_a_power_of_two_changes_no_digit():
    counts = [12, 5]
    plain, two, ten = (
        gradient(pieces(counts), by_tokens(counts), LossScaler(scale))
        for scale in (1.0, 1024.0, 1000.0)
    )
    assert torch.equal(plain, two)
    assert not torch.equal(plain, ten)
    assert torch.allclose(plain, ten, rtol=1e-4, atol=1e-6)


def test_quiz_1_a_target_of_the_small_piece_weighs_25_times_as_much():
    small, large = (1 / 8 / n_targets for n_targets in (20, 500))
    assert small / large == pytest.approx(25)


def test_quiz_2_small_steps_are_rounded_away_in_bfloat16():
    weight = torch.tensor(1.0, dtype=torch.bfloat16)
    for _ in range(100):
        weight = weight + torch.tensor(0.003, dtype=torch.bfloat16)
    assert weight.item() == 1.0


@pytest.mark.parametrize(("first", "moves"), [("unscale", 0.5), ("clip", 1 / 65_536)])
def test_quiz_3_clipping_first_leaves_next_to_nothing(first, moves):
    weight = nn.Parameter(torch.zeros(1))
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), LossScaler(65_536.0)
    scaler.scale(0.5 * weight.sum()).backward()
    if first == "unscale":
        scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_([weight], 1.0)
    scaler.step(optimizer)
    assert -weight.item() == pytest.approx(moves)


def test_quiz_4_the_weights_of_the_mlps_are_four_times_as_many():
    dense, sparse = GPT(CONFIG), GPT(CONFIG, partial(Block, mlp=partial(MoE, n_experts=4)))
    mlp, router = count_parameters(MLP(CONFIG)), 4 * CONFIG.n_embd
    assert count_parameters(sparse) - count_parameters(dense) == 3 * mlp + router
