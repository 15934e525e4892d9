"""Chapter 10 · Alignment (对齐): rules as rewards, and a model that learns from what it wrote.

So far every target was a poet's. Now the model writes poems itself, a program says what each is
worth, and the loss makes what was worth more than its neighbours likelier. The loop is that of
chapter 04: what the model wrote is the batch.

Sources: Williams 1992 (policy gradient); Schulman et al. 2017 (clipping); Schulman 2020 (estimators
of KL); Shao et al. 2024 (GRPO: the group is the baseline); Rafailov et al. 2023 (DPO).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nanopoet_ref.gpt import GPT
from nanopoet_ref.loss import fused_cross_entropy, fused_token_losses
from nanopoet_ref.midtraining import PAD_ID, pad_batch
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import SHAPES
from nanopoet_ref.rewards import MARKS, content_of
from nanopoet_ref.runtime import autocast, evaluating, make_generator
from nanopoet_ref.sampling import generate
from nanopoet_ref.tokenizer import END, CharTokenizer, render_prompt
from nanopoet_ref.training import Batch, LossFn, TrainConfig, training_step

LONGEST = max(lines * (length + 1) for lines, length in SHAPES.values()) + 1  # with marks and end

# --- What the model thinks of what it wrote


def sequence_log_probs(log_probs: Tensor, mask: Tensor) -> Tensor:
    """The log-probability of each row (B,): the sum over the tokens (B, T) that count.

    >>> sequence_log_probs(torch.tensor([[-1.0, -2.0]]), torch.tensor([[False, True]])).tolist()
    [-2.0]
    """
    return (log_probs * mask).sum(dim=-1)


def group_advantages(
    rewards: Tensor, group_size: int, counts: Tensor | None = None, scale: bool = True
) -> Tensor:
    """How much better each is than its group: less the mean, by the spread. (B, ...) → (B, ...).

    Neighbours are a group: `group_size` answers to one request. Where all are equal nothing is to
    be learned, and all get 0. Rewards whose `counts` is 0 are not there, and get 0.

    >>> group_advantages(torch.tensor([1.0, 0.0, 5.0, 5.0]), group_size=2).tolist()
    [1.0, -1.0, 0.0, 0.0]
    """
    counts = torch.ones_like(rewards) if counts is None else counts
    groups, there = (x.unflatten(0, (-1, group_size)) for x in (rewards, counts))
    n = there.sum(dim=1, keepdim=True).clamp(min=1)  # (groups, 1, ...)
    above = (groups - (groups * there).sum(dim=1, keepdim=True) / n) * there
    if scale:
        # A spread of 0 would be 0 / 0; as small as this, it leaves 0 as it is.
        spread = (above.square().sum(dim=1, keepdim=True) / n).sqrt()
        above = above / spread.clamp(min=1e-3)
    return above.flatten(0, 1)


def rewards_to_go(rewards: Tensor, discount: float = 1.0) -> Tensor:
    """What is still to come from each token on, (B, T): a choice answers for what follows it only.

    With `discount` 0 each token answers for itself alone, with 1 for the rest of the poem.

    >>> rewards_to_go(torch.tensor([[1.0, 0.0, 2.0]])).tolist()
    [[3.0, 2.0, 2.0]]
    """
    found = rewards.clone()
    for t in range(rewards.shape[1] - 2, -1, -1):
        found[:, t] += discount * found[:, t + 1]
    return found


# --- How far it has gone from where it began


def kl_k1(log_probs: Tensor, reference: Tensor) -> Tensor:
    """ln (p / q) of what p has drawn: its mean is KL(p, q), and single values may be negative.

    >>> kl_k1(torch.tensor([-1.0]), torch.tensor([-2.0])).tolist()
    [1.0]
    """
    return log_probs - reference


def kl_k2(log_probs: Tensor, reference: Tensor) -> Tensor:
    """Half the square of k1: never negative, and scatters less; its mean is not quite KL.

    >>> kl_k2(torch.tensor([-1.0]), torch.tensor([-2.0])).tolist()
    [0.5]
    """
    return (log_probs - reference).square() / 2


def kl_k3(log_probs: Tensor, reference: Tensor) -> Tensor:
    """q / p - 1 - ln (q / p): never negative, and its mean is KL.

    >>> kl_k3(torch.tensor([-1.0]), torch.tensor([-1.0])).tolist()
    [0.0]
    """
    log_ratio = reference - log_probs
    return log_ratio.exp() - 1 - log_ratio


# --- Losses


def clipped_objective(
    log_probs: Tensor, old: Tensor, advantages: Tensor, clip: float | None = 0.2
) -> Tensor:
    """What a policy gains by each token: (p / p when written) · advantage, as far as the clip goes.

    Of the ratio and the clipped ratio the worse counts: what has moved far enough earns no more
    for moving farther, and can be pulled back. At ratio 1 the gradient is advantage · ∇ ln p.

    >>> old, advantages = torch.tensor([-1.0, -1.0]), torch.tensor([1.0, -1.0])
    >>> gain = clipped_objective(torch.tensor([0.0, 0.0]), old, advantages)
    >>> [round(x, 2) for x in gain.tolist()]
    [1.2, -2.72]
    """
    ratio = (log_probs - old).exp()
    if clip is None:
        return ratio * advantages
    return torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def mean_of_tokens(values: Tensor, mask: Tensor) -> Tensor:
    """Every token weighs the same, so a longer row weighs more.

    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> mean_of_tokens(torch.tensor([[0.0, 0.0], [3.0, 0.0]]), mask).item()
    1.0
    """
    return (values * mask).sum() / mask.sum().clamp(min=1)


def mean_of_sequences(values: Tensor, mask: Tensor) -> Tensor:
    """Every row weighs the same, so the tokens of a longer one weigh less.

    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> mean_of_sequences(torch.tensor([[0.0, 0.0], [3.0, 0.0]]), mask).item()
    1.5
    """
    return ((values * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)).mean()


def kept_mass(
    logits: Tensor, targets: Tensor, asked: Tensor, members: Tensor, temperature: float = 1.0
) -> Tensor:
    """The probability that a rule is kept, before anything is drawn: one number a place asked for.

    `asked` (B, T) numbers what may stand at each target, from 1: one of MARKS, or of a rhyme group.
    0 asks for nothing, -1 is a line end that no rhyme may repeat. `members` (C + 1, V) says who is
    in what. Here every character's reward is known, so the mean reward is a sum over characters,
    and not a guess from the one that was drawn.

    >>> logits, targets = torch.zeros(1, 2, 4), torch.tensor([[3, 2]])
    >>> members = torch.zeros(5, 4, dtype=torch.bool)
    >>> members[4, 2:] = True  # the first group, behind no group and the three marks
    >>> kept_mass(logits, targets, torch.tensor([[4, 4]]), members).tolist()
    [0.5, 0.25]
    """
    row, place = (asked > 0).nonzero(as_tuple=True)  # (N,) each
    fitting = members[asked[row, place]].clone()  # (N, V)
    # What has ended a line before does not rhyme again.
    ends = (asked < 0) | (asked > len(MARKS))
    earlier = ends[row] & (torch.arange(asked.shape[1]) < place.unsqueeze(1))  # (N, T)
    n, t = (earlier & ends[row, place].unsqueeze(1)).nonzero(as_tuple=True)
    fitting[n, targets[row[n], t]] = False
    probs = (logits[row, place].float() / temperature).softmax(dim=-1)
    return (probs * fitting).sum(dim=-1)


class Rollouts(Batch):
    """Poems that the model wrote, as a batch. Its mask is a stack (B, T, 5) of what the loss needs:
    which targets count, their advantages, their log-probabilities when written, those that the
    reference gives, and what is asked for by number (see `kept_mass`).
    """

    __slots__ = ()

    @property
    def n_tokens(self) -> int:
        assert self.mask is not None
        return int(self.mask[..., 0].sum())


def policy_loss(
    logits: Tensor,
    targets: Tensor,
    mask: Tensor | None = None,
    *,
    clip: float | None = 0.2,
    kl: float = 0.02,
    kl_estimator: Callable[[Tensor, Tensor], Tensor] = kl_k3,
    mean: Callable[[Tensor, Tensor], Tensor] = mean_of_tokens,
    pay: Tensor | None = None,
    members: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """What `Rollouts` have not gained, and what their distance to the reference costs.

    Without `clip` the ratio is 1: right for one update a batch, when nothing has moved yet.
    `pay` (C + 1,) is what `kept_mass` is worth, by number, at a temperature. Other batches have a
    mask (B, T) or none: nobody rewards them, and their loss is the surprise.

    >>> zeros = torch.zeros(1, 2, dtype=torch.long)
    >>> round(policy_loss(torch.zeros(1, 2, 4), zeros).item(), 4)  # ln 4
    1.3863
    """
    if mask is None or mask.dim() == 2:
        return fused_cross_entropy(logits, targets, mask)
    counts, advantages, old, reference, asked = mask.unbind(dim=-1)  # (B, T) each
    log_probs = -fused_token_losses(logits, targets)  # (B, T)
    old = log_probs.detach() if clip is None else old
    gain = clipped_objective(log_probs, old, advantages, clip)
    loss = mean(kl * kl_estimator(log_probs, reference) - gain, counts)
    if pay is not None and members is not None:
        numbers = asked.long()
        mass = kept_mass(logits, targets, numbers, members, temperature)
        loss = loss - (pay[numbers[numbers > 0]] * mass).sum() / counts.sum()
    return loss


def dpo_loss(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float = 0.1
) -> Tensor:
    """Of two poems the better one shall gain more on the reference; log-probabilities (B,) each.

    No reward is learned and nothing is sampled: a pair says all. At the start the loss is ln 2.

    >>> round(dpo_loss(*torch.zeros(4, 1)).item(), 4)
    0.6931
    """
    margin = (chosen - ref_chosen) - (rejected - ref_rejected)  # (B,)
    return -F.logsigmoid(beta * margin).mean()


def preference_loss(
    logits: Tensor, targets: Tensor, mask: Tensor | None = None, *, beta: float = 0.1
) -> Tensor:
    """`dpo_loss` as a loss of the loop: of `Rollouts`, even rows are chosen, odd ones rejected.

    >>> zeros = torch.zeros(2, 1, dtype=torch.long)
    >>> stack = torch.tensor([1.0, 0.0, 0.0, -1.3862944, 0.0]).repeat(2, 1, 1)
    >>> round(preference_loss(torch.zeros(2, 1, 4), zeros, stack).item(), 4)
    0.6931
    """
    if mask is None or mask.dim() == 2:
        return fused_cross_entropy(logits, targets, mask)
    counts, reference = mask[..., 0], mask[..., 3]
    ours = sequence_log_probs(-fused_token_losses(logits, targets), counts)
    theirs = sequence_log_probs(reference, counts)
    return dpo_loss(ours[::2], ours[1::2], theirs[::2], theirs[1::2], beta)


def several_updates(
    model: nn.Module,
    batches: Sequence[Batch],
    loss_fn: LossFn,
    optimizers: Sequence[torch.optim.Optimizer],
    config: TrainConfig,
    *,
    n: int,
) -> tuple[float, float]:
    """`training_step`, `n` times on the same batches: what has been written is dear, and is used
    until the clip says that it is too old. Returns what the first update returned.
    """
    logged = [training_step(model, batches, loss_fn, optimizers, config) for _ in range(n)]
    return logged[0]


# --- Batches that the model writes


def write_rows(
    model: GPT,
    tokenizer: CharTokenizer,
    requests: Sequence[Poem],
    temperature: float,
    generator: torch.Generator,
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
REWARDS = ("places", "rules", "convenient")  # one number a character, or one a poem
MEANS = {"tokens": mean_of_tokens, "sequences": mean_of_sequences}


@dataclass(frozen=True)
class GRPO:
    """Settings of group-relative policy optimisation.

    `real`: how many poems of poets go with each batch. They count as written, with advantage
    `real_worth` at every token, which is the loss of mid-training: what keeps the language.
    `worth` is what a rule pays where it is kept. With `expected`, rhymes and marks are paid by
    `kept_mass`, at `sharpness`: the temperature at which the poet will write.
    """

    group_size: int = 8
    temperature: float = 1.0
    discount: float = 0.0
    scale: bool = False
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
            for name in ("group_size", "updates", "temperature")
            if not (value := getattr(self, name)) > 0
        ]
        if self.mean not in MEANS:
            problems.append(f"mean={self.mean!r} is not one of {list(MEANS)}")
        if self.reward not in REWARDS:
            problems.append(f"reward={self.reward!r} is not one of {REWARDS}")
        if problems:
            raise ValueError("; ".join(problems))

    def loss(self, members: Tensor | None = None) -> Callable[..., Tensor]:
        """The loss of a batch; `members` as for `kept_mass`."""
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
        written = write_rows(model, tokenizer, asked, settings.temperature, make_generator(seed, i))
        texts = [[tokenizer.vocab[token] for token in content] for _, content in written]
        batch, counts, rewards = stack_rows(written, reward(texts, asked), block_size)
        # Places of one group line up only where every poem begins in the same column: they do,
        # since a group is one request.
        noted = note is not None and i % NOTED == 0
        worth = rewards_to_go(rewards, settings.discount)
        advantages = group_advantages(worth, settings.group_size, counts, settings.scale)
        old, ref = (
            log_probs_of(m, batch, precision) if needed else torch.zeros_like(counts)
            for m, needed in (
                (model, noted or settings.updates > 1),
                (reference, noted or settings.kl > 0),
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
        if real is not None and settings.real:
            rollouts = join(rollouts, as_rollouts(model, real(i), settings.real_worth, precision))
        return rollouts

    return batch_at


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
