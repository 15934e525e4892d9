"""Chapter 02: what its tasks say to expect, and what its quiz says, run at small sizes."""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nanopoet_ref.attention import CausalSelfAttention, attention, causal_mask
from nanopoet_ref.poem import Poem
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import BOS, CharTokenizer, build_vocab

FOUR = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0], [0.0, 1.0]])  # of the chapter: 明月松间


def masked_too_late(q: Tensor, k: Tensor, v: Tensor, divide: bool = False) -> tuple[Tensor, Tensor]:
    """Softmax first; `divide` makes the rows sum to 1 again."""
    scores = q @ k.mT / q.shape[-1] ** 0.5
    weights = scores.softmax(dim=-1).masked_fill(~causal_mask(q.shape[-2]), 0.0)
    if divide:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights @ v, weights


def random_rows(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=make_generator(2))


class OneLayer(nn.Module):
    """The model of the chapter, half as wide."""

    def __init__(self, vocab_size: int, n_head: int, rope: bool) -> None:
        super().__init__()
        self.wte = nn.Embedding(vocab_size, 32)
        self.attn = CausalSelfAttention(32, n_head, bias=False, rope=rope)
        self.output_head = nn.Linear(32, vocab_size)

    def forward(self, idx: Tensor) -> Tensor:
        x = self.wte(idx)
        return self.output_head(x + self.attn(x))


Train = Callable[..., tuple[float, list[float]]]


@pytest.fixture(scope="module")
def train(halves: tuple[list[Poem], list[Poem]]) -> Train:
    """Trains 200 steps; the loss on held-out couplets, and how likely a comma is at each place."""

    def couplets(poems: list[Poem], form: str, n: int) -> Iterator[str]:
        for poem in poems:
            if poem.form == form:
                found = (c + "。" for c in poem.content.split("。")[1:3])
                yield from (c for c in found if len(c) == 2 * n + 2 and c[n] == "，")

    @cache
    def run(form: str = "五言律诗", n: int = 5, n_head: int = 4, rope: bool = True):
        texts = list(islice(couplets(halves[0], form, n), 4_000))
        kept = list(islice(couplets(halves[1], form, n), 300))
        tokenizer = CharTokenizer(build_vocab(texts, min_count=50))
        idx, held_out = (
            torch.tensor([[tokenizer.special[BOS], *tokenizer.encode(c).tolist()] for c in some])
            for some in (texts, kept)
        )
        torch.manual_seed(0)
        model = OneLayer(len(tokenizer), n_head, rope)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        g = make_generator(2, 4)
        for _ in range(200):
            batch = idx[torch.randint(len(idx), (32,), generator=g)]
            loss = F.cross_entropy(model(batch[:, :-1]).mT, batch[:, 1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            logits = model(held_out[:, :-1])
            loss = F.cross_entropy(logits.mT, held_out[:, 1:]).item()
        comma = logits.softmax(dim=-1)[:, :, int(tokenizer.encode("，")[0])].mean(dim=0)
        return loss, comma[1 : n + 1].tolist()

    return run


def test_task_1() -> None:
    out, weights = masked_too_late(FOUR, FOUR, FOUR, divide=True)
    expected, expected_weights = attention(FOUR, FOUR, FOUR)
    assert torch.allclose(weights, expected_weights)
    assert torch.allclose(out, expected)
    large = 1_000 * FOUR.flip(0)
    assert masked_too_late(large, large, large, divide=True)[0].isnan().any()
    assert not attention(large, large, large)[0].isnan().any()


def test_task_2(train: Train) -> None:
    _, comma = train(rope=False)
    assert max(comma) == comma[4]
    assert comma[4] < 0.9 < train()[1][4]


def test_task_3(train: Train) -> None:
    assert abs(train(n_head=1)[0] - train()[0]) < 0.2


def test_task_4(train: Train) -> None:
    _, comma = train(form="七言律诗", n=7)
    assert comma[6] > 0.8
    assert max(comma[:6]) < 0.2


def test_quiz_1() -> None:
    for d in (4, 64, 1024):
        q, k = random_rows(2, 20_000, d)
        scores = (q * k).sum(dim=-1)
        assert scores.var() / d == pytest.approx(1, abs=0.05)
        outside = (scores / d**0.5).abs() > 1
        assert outside.float().mean() == pytest.approx(0.3, abs=0.05)
    rows = scores.view(-1, 8).softmax(dim=-1)  # not scaled, and they sum to 1
    assert torch.allclose(rows.sum(dim=-1), torch.ones(()))
    assert rows.max(dim=-1).values.mean() > 0.9


def test_quiz_2() -> None:
    other = FOUR.clone()
    other[3] = torch.tensor([2.0, 0.0])
    (_, before), (_, after) = (masked_too_late(x, x, x) for x in (FOUR, other))
    assert before[0].sum() == pytest.approx(0.73, abs=0.005)
    assert (before[:3] != after[:3]).any()
    scores = FOUR.clone().requires_grad_()
    masked_too_late(scores, FOUR, FOUR)[1][0, 0].backward()
    assert scores.grad is not None
    assert scores.grad.any()  # the gradient is not cut off


def test_quiz_3() -> None:
    xs = random_rows(200, 12, 64)
    same = xs @ xs.mT
    assert torch.allclose(same, same.mT, atol=1e-4)
    assert (same.argmax(dim=-1) == torch.arange(12)).float().mean() > 0.95
    assert same.min() < 0  # two different rows
    query, key = random_rows(2, 64, 16)
    views = (xs @ query) @ (xs @ key).mT
    assert not torch.allclose(views, views.mT, atol=1)
    assert (views.argmax(dim=-1) == torch.arange(12)).float().mean() < 0.5


def test_quiz_4() -> None:
    x = torch.tensor([[[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]]])
    assert x.view(1, 2, 3, 2)[0, 0].tolist() == [[0, 1], [2, 3], [10, 11]]
    heads = x.view(1, 3, 2, 2).transpose(1, 2)
    assert heads[0, 0].tolist() == [[0, 1], [10, 11], [20, 21]]


def test_quiz_5() -> None:
    q, k, v = torch.tensor([[1.0]]), torch.tensor([[3.0], [0.0]]), torch.tensor([[0.0], [1.0]])
    everything, covered = torch.ones(1, 2, dtype=torch.bool), torch.tensor([[False, True]])
    out, weights = attention(q, k, v, everything)
    assert weights[0, 0] > 0.9
    assert out.item() < 0.1  # its value is 0, so most of the average is nothing
    assert attention(q, k, v, covered)[0].item() == 1.0
    s = torch.tensor([0.6, 0.4]).log().requires_grad_()
    s.softmax(dim=-1)[0].backward()
    assert s.grad is not None
    assert s.grad[0] == pytest.approx(0.24)
