"""Losses: one number, reached in several ways."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import (
    bits_per_byte,
    cross_entropy,
    fused_cross_entropy,
    log_softmax,
    masked_by_ignore_index,
    masked_by_index,
    masked_cross_entropy,
    perplexity,
    token_losses,
    uniform_loss,
    unigram_log_probs,
    unigram_loss,
)
from nanopoet_ref.runtime import make_generator

MASKED = [masked_by_index, masked_by_ignore_index, masked_cross_entropy, fused_cross_entropy]
any_masked = pytest.mark.parametrize("loss_fn", MASKED, ids=lambda f: f.__name__)


def example(B=3, T=50, V=31, seed=0, dtype=torch.float64, size=3.0):
    """Logits, targets and a mask; 150 rows, so that the fused loss takes several bites."""
    generator = make_generator(seed)
    logits = torch.randn(B, T, V, generator=generator, dtype=torch.float64) * size
    targets = torch.randint(V, (B, T), generator=generator)
    mask = torch.rand(B, T, generator=generator) < 0.6
    return logits.to(dtype), targets, mask


def value_and_gradient(loss_fn, logits, *args):
    logits = logits.detach().clone().requires_grad_()
    loss = loss_fn(logits, *args)
    loss.backward()
    return loss.detach(), logits.grad


def close(a, b, tolerance=1e-12):
    return torch.allclose(a.double(), b.double(), rtol=tolerance, atol=tolerance)


@given(st.integers(0, 99), st.integers(1, 40), st.sampled_from([0.0, 1.0, 50.0]))
def test_log_softmax_is_that_of_torch(seed, V, size):
    logits, _, _ = example(1, 4, V, seed, size=size)
    assert close(log_softmax(logits), F.log_softmax(logits, dim=-1))


@given(st.integers(0, 99), st.sampled_from([1.0, 50.0]))
def test_cross_entropy_is_that_of_torch_gradients_included(seed, size):
    logits, targets, _ = example(seed=seed, size=size)

    def theirs(logits):
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    ours = value_and_gradient(cross_entropy, logits, targets)
    for a, b in zip(ours, value_and_gradient(theirs, logits), strict=True):
        assert close(a, b)


@given(st.floats(-1e4, 1e4))
def test_adding_a_number_to_all_logits_changes_nothing(shift):
    logits, targets, _ = example()
    assert close(token_losses(logits + shift, targets), token_losses(logits, targets), 1e-9)


@pytest.mark.parametrize(
    "loss_fn", [lambda x, t, m: cross_entropy(x, t), *MASKED], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_huge_logits_stay_finite(loss_fn, dtype):
    _, targets, mask = example(V=4)
    logits = torch.tensor([1e4, -1e4, 0.0, 1e4], dtype=dtype).expand(3, 50, 4)
    loss, gradient = value_and_gradient(loss_fn, logits, targets, mask)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_the_loss_of_a_sure_and_wrong_model_is_the_distance_of_its_logits():
    logits = torch.tensor([[1e4, -1e4]])
    assert cross_entropy(logits, torch.tensor([1])).item() == 2e4
    assert cross_entropy(logits, torch.tensor([0])).item() == 0


@given(st.integers(0, 99))
def test_three_ways_to_mask_give_one_number_and_one_gradient(seed):
    logits, targets, mask = example(seed=seed)
    results = [value_and_gradient(f, logits, targets, mask) for f in MASKED[:3]]
    expected = token_losses(logits, targets)[mask].mean()
    for loss, gradient in results:
        assert close(loss, expected)
        assert close(gradient, results[0][1])
        assert not gradient[~mask].any()


@given(st.integers(0, 99), st.sampled_from([torch.float32, torch.bfloat16]))
def test_fused_is_the_masked_mean_gradients_included(seed, dtype):
    logits, targets, mask = example(seed=seed, dtype=dtype)
    loss, gradient = value_and_gradient(fused_cross_entropy, logits, targets, mask)
    exact, exact_gradient = value_and_gradient(masked_cross_entropy, logits.double(), targets, mask)
    assert gradient.dtype == dtype
    assert close(loss, exact, 1e-5)
    tolerance = 1e-6 if dtype == torch.float32 else 2**-8 * exact_gradient.abs().max().item()
    assert (gradient.double() - exact_gradient).abs().max() <= tolerance


def test_the_default_loss_is_exact_for_bfloat16_logits():
    logits, targets, mask = example(V=300, dtype=torch.bfloat16, size=1.0)
    loss = masked_cross_entropy(logits, targets, mask)
    assert loss.item() == pytest.approx(
        masked_cross_entropy(logits.double(), targets, mask).item(), abs=1e-3
    )


@pytest.mark.parametrize("loss_fn", MASKED[2:], ids=lambda f: f.__name__)
def test_without_a_mask_every_target_counts(loss_fn):
    logits, targets, mask = example(dtype=torch.float32)
    plain = value_and_gradient(loss_fn, logits, targets)
    for other in (
        value_and_gradient(loss_fn, logits, targets, torch.ones_like(mask)),
        value_and_gradient(cross_entropy, logits, targets),
    ):
        assert close(plain[0], other[0], 1e-5)
        assert close(plain[1], other[1], 1e-6)


def test_fused_passes_on_the_gradient_it_is_given():
    logits, targets, mask = example(dtype=torch.float32)
    _, once = value_and_gradient(fused_cross_entropy, logits, targets, mask)
    _, thrice = value_and_gradient(
        lambda *args: 3 * fused_cross_entropy(*args), logits, targets, mask
    )
    assert close(thrice, 3 * once, 1e-6)


@any_masked
def test_a_mask_of_nothing_gives_0_and_a_gradient_of_0(loss_fn):
    logits, targets, mask = example(dtype=torch.float32)
    loss, gradient = value_and_gradient(loss_fn, logits, targets, torch.zeros_like(mask))
    assert loss.item() == 0
    assert torch.equal(gradient, torch.zeros_like(logits))


@any_masked
@given(seed=st.integers(0, 99))
def test_what_stands_in_the_padding_never_matters(loss_fn, seed):
    logits, targets, mask = example(dtype=torch.float32)
    other_logits, other_targets, _ = example(seed=seed + 1, dtype=torch.float32, size=20)
    filled = torch.where(mask.unsqueeze(-1), logits, other_logits)
    filled_targets = torch.where(mask, targets, other_targets)
    before = value_and_gradient(loss_fn, logits, targets, mask)
    after = value_and_gradient(loss_fn, filled, filled_targets, mask)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1][mask], after[1][mask])


def test_uniform_is_the_loss_of_equal_logits():
    assert uniform_loss(31) == pytest.approx(
        cross_entropy(torch.zeros(5, 31), torch.arange(5)).item(), abs=1e-6
    )


@given(st.lists(st.integers(0, 9), min_size=1, max_size=50))
def test_knowing_frequencies_is_never_worse_than_knowing_nothing(ids):
    assert unigram_loss(ids, 10) <= uniform_loss(10) + 1e-12


def test_unigram_is_the_loss_of_the_frequencies():
    ids = np.array([0, 0, 0, 1, 1, 2])
    log_probs = torch.tensor([3 / 6, 2 / 6, 1 / 6], dtype=torch.float64).log()
    by_model = cross_entropy(log_probs.expand(6, 3), torch.from_numpy(ids)).item()
    assert unigram_loss(ids, 3) == pytest.approx(by_model)


def test_a_model_that_knows_frequencies_begins_at_the_unigram_loss():
    ids, val = [0, 1, 1, 3, 0, 1, 1], [1, 0, 2, 1]
    model = GPT(GPTConfig(6, block_size=8, n_layer=1, n_head=2, n_embd=8, style="modern"))
    model.init_head_bias(unigram_log_probs(ids, 6))
    logits = model(torch.tensor([[5, 4, 3, 2]]))
    loss = cross_entropy(logits[0], torch.tensor(val)).item()
    assert loss == pytest.approx(unigram_loss(ids, 6, val))


def test_unigram_on_other_ids_expects_new_tokens():
    train, val = np.array([0, 0, 0, 1], dtype=np.uint16), np.array([1, 2], dtype=np.uint16)
    expected = -(math.log(2 / 7) + math.log(1 / 7)) / 2
    assert unigram_loss(train, 3, val) == pytest.approx(expected)


@given(st.integers(2, 100_000))
def test_perplexity_of_the_uniform_loss_is_the_number_of_choices(V):
    assert perplexity(uniform_loss(V)) == pytest.approx(V)


def test_bits_per_byte_does_not_depend_on_how_a_text_is_cut():
    text = "春眠不觉晓"
    by_character = len(text) * math.log(256**3)  # one of 256³ each
    by_byte = len(text.encode()) * math.log(256)
    assert bits_per_byte(by_character, len(text.encode())) == pytest.approx(8)
    assert bits_per_byte(by_byte, len(text.encode())) == pytest.approx(8)


def test_bits_over_no_bytes_are_refused():
    with pytest.raises(ValueError, match="n_bytes=0"):
        bits_per_byte(1.0, 0)
