"""Attention: averages of the past, by hand and fused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.attention import (
    CausalSelfAttention,
    KVCache,
    SingleHead,
    attention,
    causal_mask,
    rotate,
)
from nanopoet_ref.runtime import make_generator


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=make_generator(seed), dtype=dtype)


@given(st.integers(1, 20))
def test_the_mask_shows_the_past_and_the_present(T):
    rows, columns = torch.arange(T).unsqueeze(1), torch.arange(T)
    assert torch.equal(causal_mask(T), columns <= rows)


@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 99))
def test_rows_of_weights_sum_to_1_and_are_exactly_0_in_the_future(T, d, seed):
    q, k, v = normal(3, 2, T, d, seed=seed) * 10
    _, weights = attention(q, k, v)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(2, T, dtype=torch.float64))
    assert (weights >= 0).all()
    assert (weights[:, ~causal_mask(T)] == 0).all()


def test_the_first_position_gets_its_own_value():
    q, k, v = normal(3, 5, 4)
    out, _ = attention(q, k, v)
    assert torch.equal(out[0], v[0])


def test_equal_keys_give_the_plain_mean_of_the_past():
    v = normal(5, 4)
    out, _ = attention(normal(5, 4, seed=1), torch.ones(5, 4, dtype=torch.float64), v)
    means = v.cumsum(dim=0) / torch.arange(1, 6).unsqueeze(1)
    assert torch.allclose(out, means)


def test_scores_are_divided_by_the_root_of_the_head_size():
    q, k, v = normal(3, 6, 9)
    full = torch.ones(6, 6, dtype=torch.bool)
    _, weights = attention(q, k, v, full)
    assert torch.allclose(weights, (q @ k.T / 3).softmax(dim=-1))


def test_a_mask_of_ones_own_replaces_the_causal_one():
    q, k, v = normal(3, 4, 2)
    mask = torch.eye(4, dtype=torch.bool)
    out, weights = attention(q, k, v, mask)
    assert torch.equal(weights, torch.eye(4, dtype=torch.float64))
    assert torch.equal(out, v)


def test_a_single_head_is_causal():
    head = SingleHead(8, 4).double()
    x = normal(1, 6, 8)
    changed = x.clone()
    changed[:, 4] += 1
    before, after = head(x), head(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


@pytest.mark.parametrize("modern", [False, True])
def test_fused_equals_by_hand_in_values_and_gradients(modern):
    options = {"bias": not modern, "rope": modern, "qk_norm": modern}
    by_hand = CausalSelfAttention(16, 4, fused=False, **options).double()
    fused = CausalSelfAttention(16, 4, fused=True, **options).double()
    fused.load_state_dict(by_hand.state_dict())
    weights, results = normal(3, 7, 16, seed=1), []
    for layer in (by_hand, fused):
        x = normal(3, 7, 16).requires_grad_()
        out = layer(x)
        (out * weights).sum().backward()
        results.append([out, x.grad, *(p.grad for p in layer.parameters())])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-6)
        assert a.abs().max() > 1e-3


def test_one_head_of_many_is_a_single_head():
    layer = CausalSelfAttention(8, 1, bias=False).double()
    head = SingleHead(8, 8).double()
    q, k, v = layer.qkv.weight.detach().split(8)
    head.load_state_dict({"query.weight": q, "key.weight": k, "value.weight": v})
    x = normal(2, 5, 8)
    assert torch.allclose(layer(x), layer.proj(head(x)))


def test_heads_do_not_see_one_another():
    layer = CausalSelfAttention(8, 2, bias=False).double()
    layer.proj.weight.data = torch.eye(8, dtype=torch.float64)
    x = normal(1, 5, 8)
    before = layer(x)
    layer.qkv.weight.data[4:8] += 1  # the queries of the second head
    after = layer(x)
    assert torch.equal(before[..., :4], after[..., :4])
    assert not torch.allclose(before[..., 4:], after[..., 4:])


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 300))
def test_a_rotated_product_depends_on_the_distance_only(i, j, shift):
    q, k = normal(2, 1, 1, 1, 8)

    def product(at_q, at_k):
        return (rotate(q, torch.tensor([at_q])) * rotate(k, torch.tensor([at_k]))).sum()

    assert torch.allclose(product(i, j), product(i + shift, j + shift), atol=1e-9)


def test_another_distance_gives_another_product():
    q, k = normal(2, 1, 1, 1, 8)
    products = {round((rotate(q, torch.tensor([i])) * k).sum().item(), 6) for i in range(20)}
    assert len(products) == 20


def test_rotation_keeps_lengths_and_leaves_position_0_alone():
    x = normal(2, 3, 5, 8)
    turned = rotate(x, torch.arange(5))
    assert torch.allclose(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[:, :, 0], x[:, :, 0])


def test_rows_may_have_positions_of_their_own():
    x = normal(2, 3, 4, 8)
    positions = torch.tensor([[0, 1, 2, 3], [5, 6, 7, 8]])
    together = rotate(x, positions)
    for row in range(2):
        assert torch.equal(together[row], rotate(x[row : row + 1], positions[row])[0])


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("first", [1, 4])
def test_one_at_a_time_with_a_cache_equals_all_at_once(fused, first):
    layer = CausalSelfAttention(16, 2, rope=True, qk_norm=True, fused=fused).double()
    x, cache = normal(2, 9, 16), KVCache(9)
    parts = [layer(x[:, :first], torch.arange(first), cache)]
    parts += [layer(x[:, t : t + 1], torch.tensor([t]), cache) for t in range(first, 9)]
    assert torch.allclose(torch.cat(parts, dim=1), layer(x), atol=1e-9)


def test_a_cache_refuses_what_does_not_fit_and_stays_as_it_was():
    cache, one = KVCache(2), normal(1, 1, 1, 2)
    cache.append(one, one)
    with pytest.raises(ValueError, match="3 characters do not fit in a cache for 2"):
        cache.append(normal(1, 1, 2, 2), normal(1, 1, 2, 2))
    assert cache.length == 1
    assert torch.equal(cache.append(one, one)[0], torch.cat((one, one), dim=2))


def test_dropout_acts_in_training_only():
    for fused in (False, True):
        layer = CausalSelfAttention(16, 2, dropout=0.5, fused=fused).double()
        x = normal(1, 6, 16)
        assert not torch.equal(layer(x), layer(x))
        layer.eval()
        assert torch.equal(layer(x), layer(x))


def test_attention_stays_in_float32_when_products_are_bfloat16():
    layer, seen = CausalSelfAttention(16, 2), []
    layer.proj.register_forward_pre_hook(lambda _, args: seen.append(args[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        layer(normal(1, 4, 16, dtype=torch.float32))
    assert seen == [torch.float32]


def test_heads_that_do_not_divide_the_width_are_named():
    with pytest.raises(ValueError, match=r"n_embd=10.*n_head=4"):
        CausalSelfAttention(10, 4)
