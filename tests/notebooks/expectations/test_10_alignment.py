"""What the tasks and the quiz of chapter 10 say to expect."""

import pytest
import torch

from nanopoet.checker.misconceptions import solution
from nanopoet_ref.alignment import kl_k1, kl_k3
from nanopoet_ref.runtime import make_generator

SOLVED = solution("alignment")[1]
group_advantages = SOLVED["group_advantages"]


def test_task_1_one_of_four_is_worth_something():
    found = group_advantages(torch.tensor([0.0, 4.0, 0.0, 0.0]), 4).tolist()
    assert found == pytest.approx([-(3**-0.5), 3**0.5, -(3**-0.5), -(3**-0.5)], abs=1e-5)
    assert [round(x, 2) for x in found] == [-0.58, 1.73, -0.58, -0.58]


def test_task_2_what_all_have_in_common_is_no_advantage():
    rewards = torch.randn(32, generator=make_generator(0), dtype=torch.float64)
    torch.testing.assert_close(group_advantages(rewards - 100, 8), group_advantages(rewards, 8))


@pytest.mark.parametrize("baseline", [-3.0, 0.0, 0.7, 50.0])
def test_task_3_every_baseline_leaves_the_gradient_as_it_is(baseline):
    g = make_generator(1)
    logits = torch.randn(5, generator=g, dtype=torch.float64, requires_grad=True)
    rewards = torch.randn(5, generator=g, dtype=torch.float64)
    (true,) = torch.autograd.grad(SOLVED["expected_reward"](logits, rewards), logits)
    probs, log_probs = logits.detach().softmax(0), logits.log_softmax(0)
    (found,) = torch.autograd.grad((probs * (rewards - baseline) * log_probs).sum(), logits)
    torch.testing.assert_close(found, true)


def test_quiz_2_a_baseline_takes_noise_away():
    probs = torch.tensor([0.5, 0.5])
    slopes = torch.tensor([0.5, -0.5])  # of the logit of the first answer
    means, spreads = [], []
    for baseline in (0.0, 11.0):
        draws = (torch.tensor([12.0, 10.0]) - baseline) * slopes
        means.append(float((probs * draws).sum()))
        spreads.append(float((probs * (draws - means[-1]) ** 2).sum().sqrt()))
    assert means == [0.5, 0.5]
    assert spreads[1] < spreads[0] / 10


def test_quiz_3_equal_rewards_give_zeros():
    found = group_advantages(torch.full((8,), 0.7), 8).tolist()
    assert found == pytest.approx([0.0] * 8, abs=1e-3)  # the mean of 0.7 is 0.7 up to rounding


def test_quiz_4_one_token_may_say_less_than_nothing():
    log_p, log_q = torch.tensor([0.3, 0.7]).log(), torch.tensor([0.45, 0.55]).log()
    assert round(kl_k1(log_p, log_q)[0].item(), 1) == -0.4
    for estimator in (kl_k1, kl_k3):
        assert (log_p.exp() * estimator(log_p, log_q)).sum() > 0
