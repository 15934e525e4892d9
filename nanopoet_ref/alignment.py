"""Chapter 10 · Alignment (对齐): rules as rewards, and a model that learns from what it wrote.

So far every target was a poet's. Now the model writes poems itself, a program says what each is
worth, and the loss makes what was worth more than its neighbours likelier. The loop is that of
chapter 04: what the model wrote is the batch.

Sources: Williams 1992 (policy gradient); Schulman et al. 2017 (clipping); Schulman 2020 (estimators
of KL); Shao et al. 2024 (GRPO: the group is the baseline); Rafailov et al. 2023 (DPO).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nanopoet_ref.loss import fused_cross_entropy, fused_token_losses
from nanopoet_ref.rewards import MARKS
from nanopoet_ref.training import Batch, LossFn, TrainConfig, training_step

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

    def to(self, device: torch.device) -> "Rollouts":
        return Rollouts(*super().to(device))


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
