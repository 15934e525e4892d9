"""What chapter 05 says to expect, of its tasks and in its quiz."""

import math
from collections import Counter

import numpy as np
import pytest
import torch

from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import (
    bigram_loss,
    bigram_probs,
    cross_entropy,
    masked_cross_entropy,
    token_losses,
    unigram_log_probs,
    unigram_loss,
)
from nanopoet_ref.poem import REGULATED
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import CharTokenizer, build_vocab
from nanopoet_ref.training import random_windows


class Quatrains:
    """The text of the chapter."""

    def __init__(self, halves):
        train, val = halves
        self.lyrics = "\n".join(p.content for p in train if p.form not in REGULATED.values())
        text, val_text = (
            "\n".join(poem.content for poem in poems if poem.form == "七言绝句")
            for poems in (train, val)
        )
        self.tokenizer = CharTokenizer(build_vocab([text], min_count=100))
        self.V = len(self.tokenizer)
        self.train_ids = self.tokenizer.encode(text).astype(np.int64)
        self.val_ids = self.tokenizer.encode(val_text).astype(np.int64)
        self.val_text = val_text


@pytest.fixture(scope="module")
def quatrains(halves):
    return Quatrains(halves)


def test_task_1():
    assert math.isclose(unigram_loss(list(range(7)) * 3, 7), math.log(7))
    text = [0, 1] * 50
    after = bigram_probs(text, 2, text[:-1], text[1:])
    assert -np.log(after).mean() == 0  # order leaves no surprise


def test_task_2(quatrains):
    ids, val = quatrains.train_ids[:600_000].tolist(), quatrains.val_ids[:50_000].tolist()
    orders = [Counter(zip(*(ids[i:] for i in range(n)), strict=False)) for n in (1, 2, 3)]
    firsts = [{(): len(ids)}, orders[0], orders[1]]
    asked = list(zip(val, val[1:], val[2:], strict=False))
    zeros, shares = [], []
    for n, (order, first) in enumerate(zip(orders, firsts, strict=True)):
        c = np.array([order[t[2 - n :]] for t in asked])
        c_first = np.array([first[t[2 - n : 2]] for t in asked])
        zeros.append((c == 0).mean())
        shares.append(c / np.maximum(c_first, 1))
    shares[0] = np.exp(unigram_log_probs(ids, quatrains.V))[[t[-1] for t in asked]]
    assert zeros[0] < zeros[1] < zeros[2]
    triples = -np.log(0.2 * shares[0] + 0.6 * shares[1] + 0.2 * shares[2]).mean()
    assert triples < bigram_loss(ids, quatrains.V, val[1:-1], val[2:]) - 0.02


def test_task_3():
    logits = torch.randn(4, 9, generator=make_generator(0))
    targets = torch.tensor([0, 3, 8, 1])
    raised = logits + 1000
    torch.testing.assert_close(
        token_losses(raised, targets), token_losses(logits, targets), atol=1e-3, rtol=0
    )
    assert (raised.exp() / raised.exp().sum(-1, keepdim=True)).isnan().all()


def test_task_4():
    g = make_generator(0)
    logits = torch.randn(2, 6, 9, generator=g).requires_grad_()
    targets = torch.randint(9, (2, 6), generator=g)
    mask = torch.arange(6).expand(2, 6) < 3

    right = masked_cross_entropy(logits, targets, mask)
    changed = (token_losses(logits, targets) * mask).sum() / mask.numel()
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (right, changed)]
    torch.testing.assert_close(changed, right / 2)
    torch.testing.assert_close(grads[1], grads[0] / 2)


def test_task_5(quatrains):
    lyrics = quatrains.tokenizer.encode(quatrains.lyrics)
    model = GPT(GPTConfig(quatrains.V, 64, n_layer=2, n_head=2, n_embd=64, style="modern"))
    model.init_head_bias(unigram_log_probs(lyrics, quatrains.V))
    batch = random_windows(quatrains.val_ids, 64, 64, make_generator(1))
    with torch.no_grad():
        first = cross_entropy(model(batch.idx), batch.targets).item()
    assert abs(first - unigram_loss(lyrics, quatrains.V, quatrains.val_ids)) < 0.1


def test_quiz_1(quatrains):
    q = quatrains
    unigram = unigram_loss(q.train_ids, q.V, q.val_ids)
    assert round(unigram, 2) == 6.27
    assert round(math.log(q.V) - unigram, 1) == 1.4
    assert bigram_loss(q.train_ids, q.V, q.val_ids[:-1], q.val_ids[1:]) < unigram - 0.9


def test_quiz_2(quatrains):
    bits = 6.60 / math.log(2) / 3, 4.00 / math.log(2)
    assert [round(b, 2) for b in bits] == [3.17, 5.77]
    n_bytes, n_chars = len(quatrains.val_text.encode()), len(quatrains.val_text)
    assert 2.5 < n_bytes / n_chars <= 3  # about three predictions for one


def test_quiz_3(quatrains):
    q = quatrains
    pairs, val_pairs = (ids[:-1] * q.V + ids[1:] for ids in (q.train_ids, q.val_ids))
    kinds, counts = np.unique(pairs, return_counts=True)
    row_sums = np.bincount(q.train_ids[:-1], minlength=q.V)
    loss = -(counts * np.log(counts / row_sums[kinds // q.V])).sum() / counts.sum()
    assert round(loss, 2) == 4.83
    assert 0.09 < (~np.isin(val_pairs, kinds)).mean() < 0.12  # about one pair in ten is new
    assert np.isin(q.val_ids, q.train_ids).all()  # and no token is


def test_quiz_4():
    logits = torch.tensor([2.0, 1.0, 0.0], requires_grad=True)
    cross_entropy(logits, torch.tensor(1)).backward()
    assert [round(-x, 2) for x in logits.grad.tolist()] == [-0.67, 0.76, -0.09]


def test_quiz_5():
    V = 200
    table = torch.zeros(V, V, requires_grad=True)  # the logits after each token
    read = torch.arange(V)
    adam = torch.optim.Adam([table], lr=0.2)
    for _ in range(100):
        adam.zero_grad()
        cross_entropy(table[read], read).backward()  # not shifted: the target is what was read
        adam.step()
    assert cross_entropy(table[read], read).item() < 0.02
    assert (table.argmax(-1) == read).all()  # it writes what it reads, for ever
    sure = torch.zeros(2167)
    sure[0] = 1.0  # the most that a softmax can give, taken for logits
    floor = cross_entropy(sure, torch.tensor(0)).item()
    assert math.isclose(floor, math.log(1 + 2166 / math.e), rel_tol=1e-5)
    assert 0.9 < math.log(2167) - floor < 1.01
