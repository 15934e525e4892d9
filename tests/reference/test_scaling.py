"""Scaling: what is cut, skipped, counted or routed comes out as one large batch would."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nanopoet_ref.gpt import GPT, MLP, Block, GPTConfig, count_parameters
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.runtime import make_generator, seed_everything
from nanopoet_ref.scaling import (
    LossScaler,
    MoE,
    accumulation_steps,
    balance_loss,
    build_on_meta,
    flops_per_token,
    in_steps,
    matmul_peak,
    utilisation,
    with_balance,
)
from nanopoet_ref.training import Batch, TrainConfig, estimate_loss, training_step

# --- A step of many batches


def ragged(n: int, seed: int = 0) -> list[Batch]:
    """Rows of very different lengths; in the last of them nothing counts."""
    batches = []
    for i in range(n):
        ids = torch.randint(23, (2, 13), generator=make_generator(seed, i))
        keep = torch.tensor([[1 + 5 * i % 12], [i % 3]]) if i < n - 1 else torch.zeros(2, 1)
        batches.append(Batch(ids[:, :-1], ids[:, 1:], torch.arange(12) < keep))
    return batches


class Keep(torch.optim.SGD):
    """Notes the gradients of each step, and moves nothing."""

    def step(self, closure=None):
        self.gradients = [p.grad.clone() for group in self.param_groups for p in group["params"]]


def gradients(model, batches, step=training_step):
    keep = Keep(model.parameters(), lr=0.0)
    step(model, batches, masked_cross_entropy, [keep], TrainConfig(grad_clip=None))
    return keep.gradients


def joined(batches):
    return Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


def mean_of_means(model, batches, loss_fn, optimizers, config):
    """As large libraries did until late 2024: every micro-batch weighs the same."""
    for batch in batches:
        loss = loss_fn(model(batch.idx), batch.targets, batch.mask)
        (loss / len(batches)).backward()
    optimizers[0].step()


def furthest(one, other):
    return max((a - b).abs().max().item() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("n", [2, 8])
def test_one_batch_of_n_equals_n_batches_of_one_masked_and_ragged(make_gpt, n):
    model, batches = make_gpt(awake=True, dtype=torch.float64), ragged(n)
    whole = gradients(model, [joined(batches)])
    assert furthest(gradients(model, batches), whole) < 1e-12
    assert furthest(gradients(model, batches, mean_of_means), whole) > 1e-3


def test_left_over_batches_weigh_what_they_hold(make_gpt):
    model, batches = make_gpt(awake=True, dtype=torch.float64), ragged(5)
    *_, rest = in_steps(batches[:4], 3)
    assert len(rest) == 1
    assert furthest(gradients(model, rest), gradients(model, [batches[3]])) == 0


@pytest.mark.parametrize(("n", "size"), [(0, 3), (1, 3), (3, 3), (7, 3)])
def test_every_batch_is_in_exactly_one_step(n, size):
    steps = list(in_steps(range(n), size))
    assert [i for step in steps for i in step] == list(range(n))
    assert all(len(step) == size for step in steps[:-1])
    assert all(steps)


def test_tokens_that_cannot_be_shared_out_are_refused():
    assert accumulation_steps(524_288, 32, 2048, processes=8) == 1
    for total in (0, 2047, 3 * 2048):
        with pytest.raises(ValueError, match="no multiple of 4096 = 1 rows of 2048 tokens in 2"):
            accumulation_steps(total, 1, 2048, processes=2)


# --- Numbers of 16 bits

# Finite, inf and nan, in an order that grows, shrinks, shrinks twice, and grows again.
SERIES = [1.0, 2.0, 0.5, float("inf"), 1.0, float("nan"), float("inf"), 1.0, 1.0, 1.0, 1.0, 1.0]


def scaled_steps(scaler, optimizer_class=torch.optim.SGD):
    """The scale and the weight after each step of the series."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer, seen = optimizer_class([weight], lr=0.1), []
    for x in SERIES:
        scaler.scale((weight * x).sum()).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_([weight], 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        scale = scaler.factor if isinstance(scaler, LossScaler) else scaler.get_scale()
        seen.append((scale, weight.tolist()))
    return seen


def test_the_state_machine_is_that_of_gradscaler():
    ours = scaled_steps(LossScaler(1024.0, growth_interval=2))
    theirs = scaled_steps(torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2))
    assert ours == theirs
    assert len({scale for scale, _ in ours}) >= 4


def test_a_step_without_unscaling_unscales_by_itself_and_never_twice():
    weight = nn.Parameter(torch.ones(1))
    optimizer, scaler = torch.optim.SGD([weight], lr=1.0), LossScaler(8.0)
    scaler.scale(weight.sum()).backward()
    scaler.step(optimizer)
    assert weight.item() == 0.0
    with pytest.raises(RuntimeError, match="twice"):
        scaler.unscale_(optimizer)
    scaler.update()
    scaler.unscale_(optimizer)


def test_one_optimizer_that_overflows_does_not_hold_up_the_other():
    good, bad = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizers = [torch.optim.SGD([p], lr=1.0) for p in (good, bad)]
    scaler = LossScaler(8.0)
    scaler.scale((good + bad * float("inf")).sum()).backward()
    for optimizer in optimizers:
        scaler.step(optimizer)
    scaler.update()
    assert (good.item(), bad.item(), scaler.factor) == (0.0, 1.0, 4.0)


def test_what_vanishes_in_float16_survives_scaled():
    x = torch.full((1,), 2.0**-13)  # squared 2^-26: smaller than any number in float16

    def gradient(scaler):
        weight = nn.Parameter(torch.ones(1))
        scaler.scale((weight.half() * x.half() * x.half()).sum()).backward()
        scaler.unscale_(torch.optim.SGD([weight], lr=1.0))
        return weight.grad.item()

    assert gradient(LossScaler(1.0)) == 0.0
    assert gradient(LossScaler(2.0**10)) == 2.0**-26


# --- How much work, how much of the machine


def counted(model, B=2, T=12):
    """FLOPs of one forward and backward pass, as PyTorch counts its operations."""
    ids = torch.randint(model.config.vocab_size, (B, T + 1), generator=make_generator(0))
    # The kernel that is made of plain products: those of fused ones are not counted on a CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        masked_cross_entropy(model(ids[:, :-1]), ids[:, 1:]).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("style", ["gpt2", "modern"])
@pytest.mark.parametrize("sizes", [{}, {"n_layer": 3, "n_embd": 32, "vocab_size": 57}])
@pytest.mark.parametrize("T", [1, 5, 12])
def test_the_formula_is_what_pytorch_counts(make_gpt, style, sizes, T):
    model = make_gpt(style, **sizes)
    assert counted(model, B=2, T=T) == 2 * T * flops_per_token(model.config, T)


def test_utilisation_is_the_share_of_the_peak_that_is_used():
    config = GPTConfig(vocab_size=100, n_layer=1, n_embd=16, n_head=2)
    flops = flops_per_token(config, 8)
    assert utilisation(50.0, config, 8, peak=200.0 * flops) == 0.25


def test_the_figures_of_text_002_do_not_follow_from_its_own_throughput():
    # 6 FLOPs for each of 200 M weights, 2.14 M tokens/s, on 8 cards: C24.
    flops = 6 * 200e6 * 2.14e6
    assert flops / (8 * 312e12) == pytest.approx(1.03, abs=0.005)  # A100
    assert flops / (8 * 989e12) == pytest.approx(0.32, abs=0.005)  # H100


def test_a_peak_is_measured():
    peak = matmul_peak(0.05, n=256)
    assert peak > 1e8
    assert matmul_peak(0.0, n=64) > 0  # once at least


# --- More weights, the same work


def mixture(n_experts=4, top_k=1, **sizes):
    config = GPTConfig(**{"vocab_size": 23, "n_layer": 1, "n_head": 2, "n_embd": 16} | sizes)
    seed_everything(0)
    return MoE(config, n_experts, top_k)


def test_one_expert_is_the_mlp():
    moe, x = mixture(1), torch.randn(2, 5, 16)
    assert torch.equal(moe(x), moe.experts[0](x))
    assert moe.balance.item() == 1.0


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_each_token_is_the_sum_of_its_experts_weighed_by_the_router(top_k):
    moe, x = mixture(4, top_k), torch.randn(2, 5, 16)
    for token, out in zip(x.view(-1, 16), moe(x).view(-1, 16), strict=True):
        probs = moe.router(token).softmax(-1)
        best = probs.argsort(descending=True)[:top_k].tolist()
        expected = sum(probs[i] * moe.experts[i](token) for i in best)
        assert torch.allclose(out, expected, atol=1e-6)


def test_with_one_expert_a_token_the_work_is_that_of_the_dense_model(make_gpt):
    dense = make_gpt()
    seed_everything(0)
    sparse = GPT(dense.config, partial(Block, mlp=partial(MoE, n_experts=4)))
    routers = 6 * 2 * 4 * 16 * 24  # 6 FLOPs a weight and token; 2 layers, 4 x 16 weights, 24 tokens
    assert counted(sparse) == counted(dense) + routers
    mlps = 2 * count_parameters(MLP(dense.config))
    assert count_parameters(sparse) == count_parameters(dense) + 3 * mlps + 2 * 4 * 16


def test_every_weight_has_a_gradient_even_of_an_expert_that_nobody_was_sent_to():
    moe = mixture(4)
    with torch.no_grad():
        moe.router.weight.zero_()
        moe.router.weight[0] = 1.0
    moe(torch.ones(1, 3, 16)).sum().backward()
    assert moe.load.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert all(parameter.grad is not None for parameter in moe.parameters())
    assert moe.router.weight.grad.abs().sum() > 0


def test_balance_goes_from_one_to_the_number_of_experts():
    even = torch.full((8, 4), 0.25)
    assert balance_loss(even, torch.full((4,), 0.25)).item() == 1.0
    assert balance_loss(torch.eye(4)[[0] * 8], torch.tensor([1.0, 0, 0, 0])).item() == 4.0


def test_the_balance_loss_evens_out_what_is_uneven():
    def largest_share(weight, seed):
        moe, generator = mixture(4), make_generator(seed)
        with torch.no_grad():
            moe.router.weight[0] += 1.0
        optimizer = torch.optim.AdamW(moe.parameters(), lr=0.01)
        for _ in range(100):
            x = 1 + torch.randn(2, 32, 16, generator=generator)
            loss = (moe(x) - x).square().mean() + weight * moe.balance
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return moe.load.max().item()

    for seed in range(3):
        assert largest_share(0.0, seed) > 0.9
        assert largest_share(1.0, seed) < 0.6


def test_the_balance_joins_the_loss_in_training_and_not_in_evaluation(make_gpt):
    config = replace(make_gpt().config, style="modern")
    model = GPT(config, partial(Block, mlp=partial(MoE, n_experts=4)))
    batch = ragged(2)[0]
    loss_fn = with_balance(masked_cross_entropy, model, weight=0.5)
    logits = model(batch.idx)
    plain = masked_cross_entropy(logits, batch.targets, batch.mask)
    balances = [module.balance.item() for module in model.modules() if isinstance(module, MoE)]
    assert len(balances) == 2
    added = loss_fn(logits, batch.targets, batch.mask) - plain
    assert added.item() == pytest.approx(0.5 * sum(balances) / 2, rel=1e-5)
    assert estimate_loss(model, [batch], loss_fn) == estimate_loss(
        model, [batch], masked_cross_entropy
    )
    keep = Keep(model.parameters(), lr=0.0)
    training_step(model, [batch], loss_fn, [keep], TrainConfig(grad_clip=None))
    assert model.blocks[0].mlp.router.weight.grad is None  # forgotten again by the step
    assert any(gradient.abs().sum() > 0 for gradient in keep.gradients)


@pytest.mark.parametrize("top_k", [0, 5])
def test_more_experts_than_there_are_cannot_be_asked(top_k):
    with pytest.raises(ValueError, match=f"top_k={top_k} is not in 1 … n_experts=4"):
        mixture(4, top_k)


# --- A model too large to build twice


@pytest.mark.parametrize("style", ["gpt2", "modern"])
@pytest.mark.parametrize("block", [Block, partial(Block, mlp=partial(MoE, n_experts=3))])
def test_built_on_meta_it_has_the_same_first_weights(style, block):
    config = GPTConfig(vocab_size=23, block_size=12, n_layer=2, n_head=2, n_embd=16, style=style)
    seed_everything(7)
    ordinary = GPT(config, block).state_dict()
    seed_everything(7)
    late = build_on_meta(config, block=block).state_dict()
    assert ordinary.keys() == late.keys()
    assert all(torch.equal(ordinary[name], late[name]) for name in ordinary)


def test_on_meta_a_large_model_takes_no_memory():
    with torch.device("meta"):
        model = GPT(GPTConfig(vocab_size=50_304, n_layer=96, n_head=96, n_embd=12_288))
    assert count_parameters(model) > 170e9
    assert all(parameter.is_meta for parameter in model.parameters())
