"""Batches that the model writes (采样成批): poems, what they are worth, and the settings of GRPO.

The loop of chapter 04 asks for batch i. Here the model, as it is by then, writes it; the loss is
that of `nanopoet_ref.alignment`.

Source: Shao et al. 2024 (GRPO).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nanopoet_ref.alignment import (
    Rollouts,
    group_advantages,
    kl_k3,
    mean_of_sequences,
    mean_of_tokens,
    policy_loss,
    preference_loss,
    rewards_to_go,
)
from nanopoet_ref.gpt import GPT
from nanopoet_ref.loss import fused_token_losses
from nanopoet_ref.midtraining import PAD_ID, pad_batch
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import SHAPES
from nanopoet_ref.rewards import MARKS, content_of
from nanopoet_ref.runtime import autocast, evaluating, make_generator
from nanopoet_ref.sampling import generate
from nanopoet_ref.tokenizer import END, CharTokenizer, render_prompt
from nanopoet_ref.training import Batch

LONGEST = max(lines * (length + 1) for lines, length in SHAPES.values()) + 1  # with marks and end


def write_rows(
    model: GPT,
    tokenizer: CharTokenizer,
    requests: Sequence[Poem],
    temperature: float,
    generator: torch.Generator,
    precision: str = "float32",
) -> list[tuple[list[int], list[int]]]:
    """For each request, its prompt and what the model wrote behind it, ids each; no rule is kept
    for it. A poem that does not end is cut where the longest form would have ended.
    """
    special = tokenizer.special
    prompts = [
        render_prompt(tokenizer, asked.author, asked.form, asked.title).tolist()
        for asked in requests
    ]
    rows = generate(
        model,
        prompts,
        LONGEST,
        temperature=temperature,
        stop_token=special[END],
        banned=[i for i in special.values() if i != special[END]],
        generator=generator,
        precision=precision,
    )
    return [(p, row[len(p) :]) for p, row in zip(prompts, rows, strict=True)]


@torch.no_grad()
def log_probs_of(model: GPT, batch: Batch, precision: str = "float32") -> Tensor:
    """The log-probability (B, T) that a model gives each target."""
    device = model.wte.weight.device
    batch = batch.to(device)
    with evaluating(model), autocast(device, precision):
        logits = model(batch.idx)
    return -fused_token_losses(logits, batch.targets).cpu()


def stack_rows(
    written: Sequence[tuple[list[int], list[int]]],
    values: Sequence[Sequence[float]],
    block_size: int,
) -> tuple[Batch, Tensor, Tensor]:
    """Rows as a batch, which of its targets have a value (B, T), and these values (B, T).

    What a row was given, it is not trained on: the targets of a prompt do not count.

    >>> batch, counts, found = stack_rows([([2, 5], [9, 7])], [[1.0, 0.5]], block_size=8)
    >>> batch.targets.tolist(), counts.tolist(), found.tolist()
    ([[5, 9, 7]], [[0.0, 1.0, 1.0]], [[0.0, 1.0, 0.5]])
    """
    rows = [np.array(prompt + content, dtype=np.uint16) for prompt, content in written]
    batch = pad_batch(rows, block_size)
    counts, found = torch.zeros(2, *batch.targets.shape)
    for b, ((prompt, _), row) in enumerate(zip(written, values, strict=True)):
        place = slice(len(prompt) - 1, len(prompt) - 1 + len(row))
        counts[b, place], found[b, place] = 1.0, torch.tensor(row)
    return batch, counts, found


NOTED = 10  # every so many batches, what the model wrote is looked at
REWARDS = ("places", "rules", "kept", "convenient")  # one number a character, or one a poem
MEANS = {"tokens": mean_of_tokens, "sequences": mean_of_sequences}


@dataclass(frozen=True)
class GRPO:
    """Settings of group-relative policy optimisation.

    `real`: how many poems of poets go with each batch. They count as written, with advantage
    `real_worth` at every token, which is the loss of mid-training: what keeps the language.
    `worth` is what a rule pays where it is kept. With `expected`, rhymes and marks are paid by
    `kept_mass`, at `sharpness`: the temperature at which the poet will write.

    Two neighbours of it: without `baseline`, and paid 1 or 0 for all rules ("kept"), only what has
    been kept is learned from (rejection sampling); with `pairs`, the best and the worst of each
    group are compared (DPO), by `preference_loss` with `beta`.
    """

    group_size: int = 8
    temperature: float = 1.0
    discount: float = 0.0
    baseline: bool = True
    scale: bool = False
    pairs: bool = False
    beta: float = 0.1
    updates: int = 1
    clip: float = 0.2
    kl: float = 0.02
    mean: str = "tokens"
    real: int = 16
    real_worth: float = 1.0
    reward: str = "places"
    worth: dict[str, float] = field(
        default_factory=lambda: {"form": 4.0, "rhyme": 4.0, "tone": 1.0}
    )
    expected: bool = False
    sharpness: float = 0.8

    def __post_init__(self) -> None:
        problems = [
            f"{name}={value!r} is not positive"
            for name in ("group_size", "updates", "temperature", "beta")
            if not (value := getattr(self, name)) > 0
        ]
        if self.mean not in MEANS:
            problems.append(f"mean={self.mean!r} is not one of {list(MEANS)}")
        if self.reward not in REWARDS:
            problems.append(f"reward={self.reward!r} is not one of {REWARDS}")
        if self.pairs and self.real:
            problems.append(f"real={self.real!r}: poems of poets are no pairs")
        if problems:
            raise ValueError("; ".join(problems))

    def loss(self, members: Tensor | None = None) -> Callable[..., Tensor]:
        """The loss of a batch; `members` as for `kept_mass`."""
        if self.pairs:
            return partial(preference_loss, beta=self.beta)
        clip = self.clip if self.updates > 1 else None
        loss = partial(policy_loss, clip=clip, kl=self.kl, mean=MEANS[self.mean])
        if not self.expected or members is None:
            return loss
        pay = torch.full((len(members),), self.worth["rhyme"])
        pay[: len(MARKS) + 1] = self.worth["form"]
        return partial(loss, pay=pay, members=members, temperature=self.sharpness)


Reward = Callable[[Sequence[Sequence[str]], Sequence[Poem]], list[list[float]]]


def grpo_batches(
    model: GPT,
    reference: GPT,
    tokenizer: CharTokenizer,
    ask: Callable[[int], list[Poem]],
    reward: Reward,
    settings: GRPO,
    *,
    real: Callable[[int], Batch] | None = None,
    numbers: Callable[[Sequence[str], Poem], list[int]] | None = None,
    seed: int = 0,
    precision: str = "float32",
    note: Callable[[int, Sequence[Poem], dict[str, float]], None] | None = None,
) -> Callable[[int], Batch]:
    """Batch i: what the model, as it is by then, writes for the requests `ask(i)`, and its worth.

    Same seed and same weights, same batch: to resume a run takes the number and the weights alone.
    `numbers` gives what is asked for at each token by number, where that is paid by `kept_mass`.
    `note` is told of every tenth batch: its number, the poems, mean reward and distance.
    """
    block_size = model.config.block_size

    def batch_at(i: int) -> Batch:
        asked = [request for request in ask(i) for _ in range(settings.group_size)]
        generator = make_generator(seed, i)
        written = write_rows(model, tokenizer, asked, settings.temperature, generator, precision)
        texts = [[tokenizer.vocab[token] for token in content] for _, content in written]
        batch, counts, rewards = stack_rows(written, reward(texts, asked), block_size)
        # Places of one group line up only where every poem begins in the same column: they do,
        # since a group is one request.
        noted = note is not None and i % NOTED == 0
        advantages = rewards_to_go(rewards, settings.discount) * counts
        if settings.baseline:
            advantages = group_advantages(advantages, settings.group_size, counts, settings.scale)
        old, ref = (
            log_probs_of(m, batch, precision) if needed else torch.zeros_like(counts)
            for m, needed in (
                (model, noted or settings.updates > 1),
                (reference, noted or settings.kl > 0 or settings.pairs),
            )
        )
        places = [numbers(*pair) if numbers else [] for pair in zip(texts, asked, strict=True)]
        wanted = stack_rows(written, places, block_size)[2]
        advantages = advantages.where(wanted <= 0, 0.0)  # what is paid once is not paid twice
        stack = torch.stack([counts, advantages, old, ref, wanted], dim=-1)
        rollouts = Rollouts(batch.idx, batch.targets, stack)
        if note and noted:
            reward_mean = rewards.sum(dim=1).mean().item()
            distance = mean_of_tokens(kl_k3(old, ref), counts).item()
            poems = [
                replace(request, content=content_of(tokens))
                for request, tokens in zip(asked, texts, strict=True)
            ]
            note(i, poems, {"reward": reward_mean, "kl": distance})
        if settings.pairs:
            rows = best_and_worst(rewards, settings.group_size)
            rollouts = Rollouts(batch.idx[rows], batch.targets[rows], stack[rows])
        if real is not None and settings.real:
            rollouts = join(rollouts, as_rollouts(model, real(i), settings.real_worth, precision))
        return rollouts

    return batch_at


def best_and_worst(rewards: Tensor, group_size: int) -> Tensor:
    """Of each group the row that was paid most, and the one that was paid least, in turn.

    Where all were paid alike it is one row twice: it gains nothing on itself.

    >>> best_and_worst(torch.tensor([[1.0], [3.0], [2.0], [0.0]]), group_size=2).tolist()
    [1, 0, 2, 3]
    """
    paid = rewards.sum(dim=1).view(-1, group_size)  # (groups, group_size)
    first = torch.arange(len(paid)) * group_size
    return torch.stack([first + paid.argmax(dim=1), first + paid.argmin(dim=1)], dim=1).flatten()


def as_rollouts(model: GPT, batch: Batch, worth: float, precision: str = "float32") -> Rollouts:
    """Poems of poets as if the model had written them, each token worth the same."""
    assert batch.mask is not None
    now = log_probs_of(model, batch, precision)  # no clip, and no distance, at the first update
    counts = batch.mask.float()
    stack = torch.stack([counts, worth * counts, now, now, 0 * counts], dim=-1)
    return Rollouts(batch.idx, batch.targets, stack)


def join(a: Rollouts, b: Rollouts) -> Rollouts:
    """Rows of both, one block, padded to the longer."""
    width = max(a.idx.shape[1], b.idx.shape[1])
    parts = zip(a, b, strict=True)  # idx with idx, targets with targets, mask with mask
    return Rollouts(
        *(torch.cat([pad_to(x, width) for x in pair if x is not None]) for pair in parts)
    )


def pad_to(x: Tensor, width: int) -> Tensor:
    """Columns (B, T, ...) up to `width`; what is added is padding, and counts as nothing."""
    added = x.new_full(
        (x.shape[0], width - x.shape[1], *x.shape[2:]), PAD_ID if x.dim() == 2 else 0
    )
    return torch.cat([x, added], dim=1)
