"""Chapter 05 · Loss (损失): how surprised the model is by what the poet wrote.

Everything is in nats (natural logarithm) and, unless it says otherwise, per token. A loss function
for training takes `logits` (B, T, V), `targets` (B, T) and a `mask` (B, T) of the targets that
count (None: all), and returns their mean.

Sources: Shannon 1948 (entropy); Milakov & Gimelshein 2018 (softmax without overflow).
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


def log_softmax(logits: Tensor) -> Tensor:
    """ln of the softmax over the last axis, safe for logits of any size.

    Subtracting the largest logit changes nothing (it cancels) and keeps exp from overflowing.

    >>> log_softmax(torch.tensor([1000.0, 1000.0])).exp().tolist()
    [0.5, 0.5]
    """
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()  # 8 bits are too few for a sum over the vocabulary
    shifted = logits - logits.amax(dim=-1, keepdim=True)
    return shifted - shifted.exp().sum(dim=-1, keepdim=True).log()


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Surprise at each target: -ln of the probability it was given. (..., V), (...) → (...).

    >>> round(token_losses(torch.zeros(1, 4), torch.tensor([2])).item(), 4)  # ln 4
    1.3863
    """
    log_probs = log_softmax(logits)  # (..., V)
    # Of V numbers at each position one is wanted: the target's. `gather` picks it by its id.
    return -log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean surprise over all targets.

    >>> round(cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([0])).item(), 4)
    0.6931
    """
    return token_losses(logits, targets).mean()


# --- Only some targets count: three ways to the same number ------------------------------------


def masked_by_index(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Pick the positions that count, then take the mean of what is left."""
    if not mask.any():
        return logits.sum() * 0.0  # 0, but still connected: backward works and gives zeros
    return cross_entropy(logits[mask], targets[mask])  # (N, V) and (N,)


def masked_by_ignore_index(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Write -1 where a target does not count, and let PyTorch leave those out."""
    if not mask.any():
        return logits.sum() * 0.0
    targets = targets.masked_fill(~mask, -1)
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), ignore_index=-1)


def masked_cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Multiply each surprise by its mask (1 or 0), add up, divide by how many count.

    With nothing to count the answer is 0, with a gradient of 0: no NaN, no error.

    >>> logits, targets = torch.zeros(1, 2, 4), torch.zeros(1, 2, dtype=torch.long)
    >>> masked_cross_entropy(logits, targets, torch.tensor([[False, False]])).item()
    0.0
    """
    if mask is None:
        return cross_entropy(logits, targets)
    losses = token_losses(logits, targets)  # (B, T)
    weights = mask.to(losses.dtype)  # (B, T): 1 or 0
    # At least 1, or nothing to count would be 0 / 0.
    return (losses * weights).sum() / weights.sum().clamp(min=1)


class _FusedTokenLosses(torch.autograd.Function):
    """Surprise at each target, some rows at a time, so that the work stays in the cache.

    Backward needs no stored softmax: it makes `softmax - one_hot` again from the logits.
    """

    ROWS = 64

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        # ln Σ exp, 64 rows at a time: the float32 copy of so few fits the processor's cache.
        rows = logits.split(_FusedTokenLosses.ROWS)
        log_sums = torch.cat([row.float().logsumexp(dim=-1) for row in rows])
        ctx.save_for_backward(logits, targets, log_sums)
        return log_sums - logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1).float()

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None]:
        logits, targets, log_sums = ctx.saved_tensors
        scale = grad_output.unsqueeze(-1)  # (N, 1)
        grad = torch.empty_like(logits)
        for start in range(0, len(logits), _FusedTokenLosses.ROWS):
            rows = slice(start, start + _FusedTokenLosses.ROWS)
            # d loss / d logits is p - y: the probabilities, less 1 at the target.
            probs = (logits[rows].float() - log_sums[rows].unsqueeze(-1)).exp_().mul_(scale[rows])
            probs.scatter_add_(-1, targets[rows].unsqueeze(-1), -scale[rows])
            grad[rows] = probs
        return grad, None


def fused_token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """`token_losses` for long training: the same numbers, less memory, less time.

    >>> fused_token_losses(torch.zeros(1, 1, 4), torch.tensor([[2]])).shape
    torch.Size([1, 1])
    """
    losses = _FusedTokenLosses.apply(logits.flatten(0, -2), targets.flatten())
    return losses.view_as(targets)


def fused_cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """`masked_cross_entropy` for long training: same number, less memory, less time.

    >>> logits, targets = torch.zeros(1, 2, 4), torch.zeros(1, 2, dtype=torch.long)
    >>> math.isclose(fused_cross_entropy(logits, targets).item(), math.log(4), rel_tol=1e-6)
    True
    """
    count = torch.ones_like(targets) if mask is None else mask  # (B, T)
    weights = count.float()
    weights = weights / weights.sum().clamp(min=1)  # a sum of these is the mean
    return (fused_token_losses(logits, targets) * weights).sum()


# --- What a loss value means -------------------------------------------------------------------


def uniform_loss(vocab_size: int) -> float:
    """The loss of knowing nothing: every token equally likely. An untrained model starts here.

    >>> round(uniform_loss(11_868), 2)
    9.38
    """
    return math.log(vocab_size)


def unigram_log_probs(ids: ArrayLike, vocab_size: int) -> NDArray[np.float64]:
    """How often each token occurs, as log-probabilities (V,). The loss of knowing only that is
    `unigram_loss`; as the bias of a head, they spare a model the steps of learning it.

    One is added to every count: a token that has not been seen is not impossible.

    >>> np.exp(unigram_log_probs([0, 0], vocab_size=2)).tolist()
    [0.75, 0.25]
    """
    counts = np.bincount(np.asarray(ids), minlength=vocab_size) + 1.0
    return np.log(counts / counts.sum())


def unigram_loss(ids: ArrayLike, vocab_size: int, val_ids: ArrayLike | None = None) -> float:
    """The loss of knowing how often each token occurs, and nothing else.

    Counts come from `ids`; the loss is measured on `val_ids` by `unigram_log_probs`, or on `ids`
    themselves: it is then their entropy.

    >>> unigram_loss([0, 1, 0, 1], vocab_size=2) == math.log(2)
    True
    """
    if val_ids is not None:
        return float(-unigram_log_probs(ids, vocab_size)[np.asarray(val_ids)].mean())
    counts = np.bincount(np.asarray(ids), minlength=vocab_size)
    # p · ln p goes to 0 with p, but 0 · ln 0 is not a number: leave out what does not occur.
    probs = counts[counts > 0] / counts.sum()
    return float(-(probs * np.log(probs)).sum())


def bigram_probs(
    ids: ArrayLike, vocab_size: int, before: ArrayLike, after: ArrayLike
) -> NDArray[np.float64]:
    """How often `after` has followed `before` in `ids`, as a share; 0 where it never has.

    >>> bigram_probs([0, 1, 0, 2, 0, 1], 3, before=[0, 0, 2], after=[1, 2, 1]).round(2).tolist()
    [0.67, 0.33, 0.0]
    """
    ids, i, j = (np.asarray(x, dtype=np.int64) for x in (ids, before, after))
    # A table of all pairs has V² numbers, nearly all of them 0. Only those that occur are counted.
    pairs, counts = np.unique(ids[:-1] * vocab_size + ids[1:], return_counts=True)
    at = np.searchsorted(pairs, i * vocab_size + j).clip(max=len(pairs) - 1)
    c_pair = np.where(pairs[at] == i * vocab_size + j, counts[at], 0)
    # The last token begins no pair. A token that never began one has no pairs, and 0 / 1 is 0.
    c_first = np.bincount(ids[:-1], minlength=vocab_size)[i]
    return c_pair / np.maximum(c_first, 1)


def bigram_loss(ids: ArrayLike, vocab_size: int, before: ArrayLike, after: ArrayLike) -> float:
    """The loss of knowing which token follows which, on each `after` with its `before` in front.

    A pair that was never seen is not impossible: a share of the belief goes to pairs, the rest to
    single tokens. The share is chosen on the last tenth of `ids`, with counts of the rest.

    >>> ids = [0, 1, 2, 1] * 100
    >>> bigram_loss(ids, 3, ids[:-1], ids[1:]) < unigram_loss(ids, 3)
    True
    """
    ids, after = np.asarray(ids), np.asarray(after)
    cut = len(ids) * 9 // 10

    def mixed(share: float, pairs: NDArray[np.float64], singles: NDArray[np.float64]) -> float:
        return float(-np.log(share * pairs + (1 - share) * singles).mean())

    # Chosen on `after` itself, the share would have seen what it is measured on.
    i, j = ids[cut:-1], ids[cut + 1 :]
    held_out = (
        bigram_probs(ids[:cut], vocab_size, i, j),
        np.exp(unigram_log_probs(ids[:cut], vocab_size))[j],
    )
    share = min((0.5, 0.6, 0.7, 0.8, 0.9), key=lambda share: mixed(share, *held_out))
    pairs = bigram_probs(ids, vocab_size, before, after)
    return mixed(share, pairs, np.exp(unigram_log_probs(ids, vocab_size))[after])


def perplexity(loss: float) -> float:
    """How many equally likely tokens would surprise as much: e to the loss.

    >>> round(perplexity(math.log(100)))
    100
    """
    return math.exp(loss)


def bits_per_byte(total_nats: float, n_bytes: int) -> float:
    """The loss of a text in bits, shared out over its bytes: fair between tokenizers.

    >>> bits_per_byte(math.log(2) * 24, n_bytes=12)
    2.0
    """
    if n_bytes < 1:
        raise ValueError(f"n_bytes={n_bytes} is not positive")
    # A token may hold one byte or nine. Bytes are the same for every tokenizer.
    return total_nats / math.log(2) / n_bytes
