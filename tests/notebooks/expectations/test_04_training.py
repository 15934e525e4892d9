"""Chapter 04: what its tasks say to expect, and what its quiz says."""

import inspect
import math

import numpy as np
import pytest
import torch

from nanopoet_ref import training
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import masked_cross_entropy as loss_fn
from nanopoet_ref.optim import configure_optimizers
from nanopoet_ref.poem import Poem, split_poems
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.schedule import warmup_warmdown
from nanopoet_ref.tokenizer import BOS, CharTokenizer, build_vocab
from nanopoet_ref.training import (
    Batch,
    BatchStream,
    StepLog,
    TrainConfig,
    estimate_loss,
    random_windows,
    train,
)

T = 48


@pytest.fixture(scope="module")
def poems(all_poems) -> tuple[list[Poem], list[Poem]]:
    """Poems to train on and poems to measure on, fewer than the chapter's."""
    train_poems, val_poems = split_poems(all_poems[:5000])
    return train_poems, val_poems


@pytest.fixture(scope="module")
def tokenizer(poems: tuple[list[Poem], list[Poem]]) -> CharTokenizer:
    return CharTokenizer(build_vocab([poem.content for poem in poems[0]], min_count=20))


def stream_of(poems: list[Poem], tokenizer: CharTokenizer) -> np.ndarray:
    bos = [tokenizer.special[BOS]]
    return np.concatenate([part for p in poems for part in (bos, tokenizer.encode(p.content))])


def small_model(vocab_size: int) -> GPT:
    torch.manual_seed(0)
    shape = {"n_layer": 1, "n_head": 4, "n_embd": 64, "style": "modern"}
    return GPT(GPTConfig(vocab_size=vocab_size, block_size=T, **shape))


def run_on(
    ids: np.ndarray, val_ids: np.ndarray, vocab_size: int, lr: float, n: int
) -> list[StepLog]:
    """The run on poems, of 60 updates with `n` windows each."""
    model, steps = small_model(vocab_size), 60
    return train(
        model,
        BatchStream(lambda i: random_windows(ids, T, n, make_generator(0, i))),
        loss_fn,
        lambda step: warmup_warmdown(step, steps, warmup_steps=10, warmdown_frac=0.5),
        TrainConfig(max_steps=steps, eval_interval=12),
        optimizers=configure_optimizers(model, lr=lr),
        eval_batches={"val": [random_windows(val_ids, T, 16, make_generator(1))]},
    )


def test_task_1(poems: tuple[list[Poem], list[Poem]], tokenizer: CharTokenizer) -> None:
    ids, val_ids = (stream_of(half, tokenizer) for half in poems)
    logs = run_on(ids, val_ids, len(tokenizer), lr=0.3, n=8)
    ln_v = math.log(len(tokenizer))
    assert max(log.loss for log in logs[1:11]) > ln_v + 1
    assert max(log.grad_norm for log in logs[1:]) > 1
    assert logs[-1].val_loss > ln_v


def test_task_2(poems: tuple[list[Poem], list[Poem]], tokenizer: CharTokenizer) -> None:
    ids = stream_of(poems[0][:20], tokenizer)
    logs = run_on(ids, stream_of(poems[1], tokenizer), len(tokenizer), lr=1e-2, n=16)
    measured = [(log.val_loss, log.step) for log in logs if log.val_loss is not None]
    assert logs[-1].loss < 1
    assert 0 < min(measured)[1] <= 24
    assert measured[-1][0] > min(measured)[0] + 0.5


def starts_of(draw) -> set[int]:
    """The places at which 1,000 windows of 6 begin in a stream of 12."""
    return set(draw(np.arange(12), 6, 1000, make_generator(1)).idx[:, 0].tolist())


def test_task_3() -> None:
    source = inspect.getsource(random_windows)
    changed = source.replace("len(ids) - block_size,", "len(ids) - block_size - 1,")
    assert changed != source
    space = dict(vars(training))
    exec(changed, space)
    assert starts_of(random_windows) == set(range(12 - 6))
    assert starts_of(space["random_windows"]) != set(range(12 - 6))


def updates_until_half(beta_2: float) -> int:
    """How long the steps of AdamW stay below half a learning rate after a derivative of 100."""
    w = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.AdamW([w], lr=1.0, betas=(0.9, beta_2), weight_decay=0.0)
    short = 0
    for t in range(1, 2001):
        before = w.item()
        w.grad = torch.tensor([100.0 if t == 6 else 1.0])
        optimizer.step()
        if before - w.item() < 0.5:
            short = t
    return short + 1 - 6


def test_task_4() -> None:
    assert updates_until_half(0.999) > 10 * updates_until_half(0.95)


def losses_of(batches: list[Batch], micro_steps: int) -> list[float]:
    model = small_model(50)
    config = TrainConfig(max_steps=len(batches) // micro_steps, micro_steps=micro_steps)
    stream, optimizers = BatchStream(batches.__getitem__), configure_optimizers(model, lr=1e-2)
    logs = train(model, stream, loss_fn, lambda step: 1.0, config, optimizers=optimizers)
    return [log.loss for log in logs[1:]]


def test_task_5() -> None:
    ids = np.random.default_rng(0).integers(50, size=1000)
    pieces = [random_windows(ids, 16, 4, make_generator(0, i)) for i in range(24)]
    whole = [
        Batch(
            *(
                torch.cat([getattr(p, name) for p in pieces[i : i + 4]])
                for name in Batch._fields[:2]
            )
        )
        for i in range(0, 24, 4)
    ]
    anew = [random_windows(ids, 16, 16, make_generator(9, i)) for i in range(6)]
    cut = losses_of(pieces, micro_steps=4)
    assert losses_of(whole, micro_steps=1) == pytest.approx(cut, abs=1e-4)
    assert losses_of(anew, micro_steps=1)[1:] != pytest.approx(cut[1:], abs=1e-2)


# --- The quiz


def test_quiz_1() -> None:
    model = small_model(1750)
    random = torch.randint(1750, (4, T), generator=make_generator(0))
    for idx in (random, torch.zeros_like(random)):  # whatever the text
        loss = estimate_loss(model, [Batch(idx, idx)], loss_fn)
        assert loss == pytest.approx(math.log(1750), abs=0.01)
    assert math.log(1750) == pytest.approx(7.47, abs=0.005)


def test_quiz_2() -> None:
    def batches_of(eval_interval: int, shared: bool) -> list[float]:
        to_train = make_generator(0)
        to_measure = to_train if shared else make_generator(1)
        seen = []
        for step in range(8):
            if step % eval_interval == 0:
                torch.rand(1, generator=to_measure)
            seen.append(torch.rand(1, generator=to_train).item())
        return seen

    assert batches_of(1, shared=True) != batches_of(4, shared=True)
    assert batches_of(1, shared=False) == batches_of(4, shared=False)


def test_quiz_3() -> None:
    losses = torch.ones(86, requires_grad=True)
    (losses[:80].mean() / 2 + losses[80:].mean() / 2).backward()
    times = losses.grad * 86  # a target's weight, in units of what it should be
    assert times[80:].tolist() == pytest.approx([7.2] * 6, abs=0.05)
    assert times[:80].max() < 1


def test_quiz_4() -> None:
    w = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.AdamW([w], lr=0.01, weight_decay=0.0)
    for _ in range(50):
        w.grad = torch.tensor([0.001, 10.0])
        optimizer.step()
    assert (w / 50).tolist() == pytest.approx([-0.01, -0.01], rel=1e-3)


def test_quiz_5() -> None:
    ids = np.random.default_rng(0).integers(50, size=1000) ** 2 // 50
    model = small_model(50)
    torch.nn.init.normal_(model.head.weight, std=0.5)

    def measured(n: int, number: int) -> float:
        return estimate_loss(model, [random_windows(ids, 8, n, make_generator(0, number))], loss_fn)

    assert len({measured(4, number=0) for _ in range(3)}) == 1
    few, many = (np.std([measured(n, number) for number in range(24)]) for n in (4, 64))
    assert 2 < few / many < 8
