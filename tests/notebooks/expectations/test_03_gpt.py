"""What chapter 03 says to expect of its tasks, and the statements of its quiz, run."""

import math

import pytest
import torch
import torch.nn.functional as F

from nanopoet_ref.attention import CausalSelfAttention
from nanopoet_ref.gpt import GPT, Block, GPTConfig, count_parameters
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.sampling import generate, next_token_probs, pad_left, positions_and_mask

V, T = 40, 8


def small(style="gpt2", n_layer=2):
    return GPTConfig(V, block_size=32, n_layer=n_layer, n_head=4, n_embd=32, style=style)


def awake(model):
    """Random weights large enough that every effect can be seen; in float64."""
    g = make_generator(0)
    model = model.double().eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.copy_(0.3 * torch.randn(parameter.shape, generator=g))
    return model


def first_loss(model):
    ids = torch.randint(V, (16, T), generator=make_generator(1))
    with torch.no_grad():
        return F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).item()


# --- Tasks


def test_task_1():
    assert count_parameters(Block(GPTConfig(100, n_embd=256, style="modern"))) == 12 * 256**2


def test_task_2():
    with torch.device("meta"):
        big, tied = GPT(GPTConfig(11_868)), GPT(GPTConfig(11_868))
    tied.head.weight = tied.wte.weight
    assert count_parameters(big) - count_parameters(tied) == 3_038_208
    model = GPT(small("modern"))
    assert first_loss(model) == pytest.approx(math.log(V), abs=1e-5)
    model.head.weight = model.wte.weight
    assert abs(first_loss(model) - math.log(V)) > 0.5


@pytest.mark.parametrize("n_layer", [1, 2, 3])
def test_task_3(n_layer):
    model, ids = awake(GPT(small("modern", n_layer))), torch.arange(T)[None]
    shifted = torch.ones(1, 1, T, T).tril(1) > 0
    moved = []
    for t in range(T):
        other = ids.clone()
        other[0, t] = 30
        moved.append((model(other, mask=shifted) - model(ids, mask=shifted)).abs().amax(-1)[0])
    assert torch.equal(torch.stack(moved) > 1e-9, torch.ones(T, T).triu(-n_layer) > 0)


def test_task_4():
    """A poet of made-up verse: the marks 1 and 2, and few characters that are frequent."""
    bos, end, g = 0, 3, make_generator(2)
    places = {6: 1, 12: 2, 18: 1, 24: 2}  # behind the first token
    frequencies = 1.0 / torch.arange(1, V - 3) ** 2
    rows = 4 + torch.multinomial(frequencies.expand(400, -1), 26, True, generator=g)
    rows[:, 0], rows[:, 25] = bos, end
    for place, mark in places.items():
        rows[:, place] = mark
    poet = GPT(small("modern"))
    optimizer = torch.optim.AdamW(poet.parameters(), lr=1e-2)
    for _ in range(100):
        batch = rows[torch.randint(len(rows), (32,), generator=g)]
        loss = F.cross_entropy(poet(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    marks, lines = [], []
    for temperature in (0.3, 1.5):
        options = {"temperature": temperature, "stop_token": end, "generator": make_generator(3)}
        written = generate(poet, [[bos]] * 100, 25, **options)
        marks.append(sum(row[p : p + 1] == [m] for row in written for p, m in places.items()))
        lines.append(len({tuple(row[i : i + 5]) for row in written for i in (1, 7, 13, 19)}))
    assert marks[0] > marks[1]
    assert lines[0] < lines[1]


# --- Quiz


@pytest.mark.parametrize(("n_layer", "same"), [(1, True), (2, False)])
def test_quiz_1(n_layer, same):
    embedding = torch.randn(4, 16)
    layers = [CausalSelfAttention(16, 2) for _ in range(n_layer)]
    ends = []
    for ids in ([0, 1, 2, 3], [2, 1, 0, 3]):
        x = embedding[ids][None]
        for layer in layers:
            x = x + layer(x)
        ends.append(x[0, -1])
    assert torch.allclose(*ends, atol=1e-6) == same


@pytest.mark.parametrize(("std", "low", "high"), [(1, 1.5, 100), (1e-3, 0.99, 1.01)])
def test_quiz_2(std, low, high):
    model = GPT(small())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=std)
    assert low < first_loss(model) / math.log(V) < high


@pytest.mark.parametrize("causal", [True, False])
def test_quiz_3(causal):
    model, ids = awake(GPT(small())), torch.arange(T)[None]
    masks = [torch.ones(1, 1, n, n) > 0 for n in (T, T - 1)]
    if causal:
        masks = [mask.tril() for mask in masks]
    longer, shorter = model(ids, mask=masks[0]), model(ids[:, :-1], mask=masks[1])
    assert torch.allclose(longer[:, :-1], shorter, rtol=0, atol=1e-9) == causal


def test_quiz_4():
    model, prompts = awake(GPT(small())), [[7, 8], [1, 2, 3, 4, 5]]
    ids, fill = pad_left(prompts, torch.device("cpu"))
    _, mask = positions_and_mask(fill, 0, 5, 32)
    together = model(ids, mask=mask)[:, -1]
    right = [
        torch.allclose(row, model(torch.tensor([prompt]))[0, -1], rtol=0, atol=1e-9)
        for row, prompt in zip(together, prompts, strict=True)
    ]
    assert right == [False, True]


def test_quiz_5():
    sharp = torch.tensor([[0.95] + [0.05 / 19] * 19]).log()
    flat = torch.full((1, 20), 0.05).log()
    for logits, kept in ((sharp, 1), (flat, 18)):
        assert next_token_probs(logits, top_k=5).count_nonzero() == 5
        assert abs(next_token_probs(logits, top_p=0.9).count_nonzero() - kept) <= (kept > 1)
