"""Chapter 05 · Loss: worked answers."""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


def uniform_loss(vocab_size: int) -> float:
    """The loss of knowing nothing, in nats: every one of `vocab_size` tokens is equally likely.

    `vocab_size` is at least 1.

    >>> round(uniform_loss(100), 2)
    4.61
    """
    # The surprise at a probability of 1/V is -ln(1/V) = ln V, whichever token comes.
    return math.log(vocab_size)


def unigram_log_probs(ids: ArrayLike, vocab_size: int) -> NDArray[np.float64]:
    """How often each token occurs, as natural logarithms of probabilities: floats (vocab_size,).

    `ids` is a list or an int64 array of token ids below `vocab_size`, with at least one of them.
    One is added to every count, so that no token is impossible, also one that `ids` lack. The
    probabilities sum to 1.

    >>> np.exp(unigram_log_probs([0, 0], vocab_size=2)).round(2).tolist()
    [0.75, 0.25]
    """
    counts = np.bincount(np.asarray(ids), minlength=vocab_size) + 1
    return np.log(counts / counts.sum())


def unigram_loss(ids: ArrayLike, vocab_size: int, val_ids: ArrayLike | None = None) -> float:
    """The loss of knowing how often each token occurs and nothing else, in nats per token.

    `ids` and `val_ids` are lists or int64 arrays of token ids below `vocab_size`, not empty.

    With `val_ids`: the mean surprise at them of somebody who believes
    `unigram_log_probs(ids, vocab_size)`. Without: the counts are measured on `ids` themselves,
    and nothing is added to them. The answer is then the entropy (熵) of the text.

    >>> round(unigram_loss([0, 1, 0, 1], vocab_size=5), 4)  # ln 2
    0.6931
    >>> round(unigram_loss([0, 0], 2, val_ids=[1]), 4)  # ln 4
    1.3863
    """
    if val_ids is not None:
        log_probs = unigram_log_probs(ids, vocab_size)
        return float(-log_probs[np.asarray(val_ids)].mean())
    counts = np.bincount(np.asarray(ids))
    probs = counts[counts > 0] / counts.sum()  # a token that never occurs adds nothing
    return float(-(probs * np.log(probs)).sum())


def log_softmax(logits: Tensor) -> Tensor:
    """ln of the softmax over the last axis.

    `logits` (..., V) with any number of axes before the last, also none; float32 or float64. The
    answer has their shape and dtype, and gradients flow through it. It is exact for logits of any
    size: 1000 and -1000 in one row, or in two rows of one batch, give finite numbers. `logits`
    stay as they are.

    Write it with exp and log, or use what PyTorch offers.

    >>> log_softmax(torch.tensor([1000.0, 1000.0])).exp().tolist()
    [0.5, 0.5]
    """
    # The largest logit of each row becomes 0, so no exp overflows and the sum is at least 1.
    shifted = logits - logits.amax(dim=-1, keepdim=True)
    return shifted - shifted.exp().sum(dim=-1, keepdim=True).log()


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """The surprise at each target: -ln of the probability that it was given.

    `logits` (..., V) are floats of any size, `targets` (...) are ids from 0 to V - 1 (int64). The
    answer has the shape of `targets` and the dtype of `logits`, and gradients flow through it.
    There may be any number of axes before the last, also none: logits (V,) and one target () give
    one loss ().

    >>> losses = token_losses(torch.zeros(2, 3, 4), torch.tensor([[0, 1, 2], [3, 0, 1]]))
    >>> losses.shape, round(losses[0, 0].item(), 4)  # ln 4
    (torch.Size([2, 3]), 1.3863)
    """
    log_probs = log_softmax(logits)
    # gather wants as many axes in the index as in the values, so targets become (..., 1) first.
    return -log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy (交叉熵): the mean surprise over all targets, a tensor without axes.

    `logits` (..., V) and `targets` (...) are as in `token_losses`. The answer has the dtype of
    `logits`, and gradients flow through it.

    >>> round(cross_entropy(torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long)).item(), 4)
    1.3863
    """
    return token_losses(logits, targets).mean()


def cross_entropy_grad(logits: Tensor, targets: Tensor) -> Tensor:
    """The gradient of `cross_entropy(logits, targets)` with respect to the logits.

    `logits` (..., V) are floats of any size and need no gradient, `targets` (...) are ids (int64).
    The answer has the shape and the dtype of `logits`. There is a short formula; to ask autograd
    is right, too. `logits` stay as they are, and want no gradient afterwards.

    >>> grad = cross_entropy_grad(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([1]))
    >>> [round(x, 3) for x in grad[0].tolist()]
    [0.665, -0.755, 0.09]
    """
    believed = logits.softmax(dim=-1)  # p
    happened = F.one_hot(targets, logits.shape[-1])  # y: 1 at the target, 0 elsewhere
    # A mean over N targets: each has 1/N of a say.
    return (believed - happened) / targets.numel()


def perplexity(loss: float) -> float:
    """How many equally likely tokens would surprise as much as this loss (困惑度).

    `loss` is a number in nats per token. The answer need not be whole.

    >>> round(perplexity(uniform_loss(100)), 6)
    100.0
    """
    # It undoes uniform_loss.
    return math.exp(loss)


def bits_per_byte(total_nats: float, n_bytes: int) -> float:
    """The surprise at a whole text, shared out over its bytes and counted in bits.

    `total_nats` is the sum of the surprises at all its tokens, `n_bytes` the length of the text in
    UTF-8. Raises ValueError if `n_bytes` is below 1.

    >>> round(bits_per_byte(16.6355, n_bytes=12), 3)  # 24 bits
    2.0
    """
    if n_bytes < 1:
        raise ValueError(f"n_bytes={n_bytes} is not positive")
    return total_nats / math.log(2) / n_bytes  # one bit is ln 2 nats


def masked_cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean surprise over the targets that count, a tensor without axes.

    `logits` (..., V) and `targets` (...) are as in `token_losses`. `mask` has the shape of
    `targets`. Where it is True (or 1.0) the target counts, where it is False (or 0.0) it does not.
    It is boolean, or float of the dtype of the logits. None means that all count. The answer has
    the dtype of `logits`, and gradients flow through it.

    With nothing to count the answer is 0, and after `backward()` the gradient is 0: no NaN, no
    error. All targets are ids from 0 to V - 1, also those that do not count: you need not look
    for others.

    The training command uses your function with --mine: logits (B, T, V) in float32, boolean masks.

    >>> logits, targets = torch.zeros(1, 2, 4), torch.zeros(1, 2, dtype=torch.long)
    >>> round(masked_cross_entropy(logits, targets, torch.tensor([[True, False]])).item(), 4)
    1.3863
    >>> masked_cross_entropy(logits, targets, torch.tensor([[False, False]])).item()
    0.0
    """
    if mask is None:
        return cross_entropy(logits, targets)
    losses = token_losses(logits, targets)
    weights = mask.to(losses.dtype)
    # With nothing to count this is 0/1. The 0 still hangs on the logits, so backward works.
    return (losses * weights).sum() / weights.sum().clamp(min=1)


IGNORE = -1  # F.cross_entropy(..., ignore_index=IGNORE) leaves this target out


def hide_targets(targets: list[int], mask: list[int]) -> list[int]:
    """Find the bug. The targets, with IGNORE at each place that does not count.

    `targets` are ids, `mask` is as long and holds 1 or True where a target counts, 0 or False
    where it does not. The answer is a new list; `targets` and `mask` stay as they are.

    The symptom: the poems end in filler, and the model learns to write filler. The first character
    of each row, on the other hand, is never learned.

    >>> hide_targets([7, 8, 9, 0, 0], mask=[1, 1, 1, 0, 0])
    [7, 8, 9, -1, -1]
    """
    # `mask == 0` compares the whole list with a number. np.where looks at each entry by itself.
    return np.where(mask, targets, IGNORE).tolist()


LossFn = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits, targets, mask → one number


def counts_padding(loss_fn: LossFn) -> bool:
    """Write a test: True if filler changes the loss that `loss_fn` gives, False if it does not.

    `loss_fn(logits, targets, mask)` takes logits (B, T, V), targets (B, T), which are ids from 0
    to V - 1, and a boolean mask (B, T): filler is where it is False. Filler changes the loss if
    the number depends on
    - which targets or logits stand there, or
    - how many such places there are.

    B, T, V and the numbers are yours to choose; small sizes will do. Rows may have different
    lengths: one ends in more filler than another. In each row at least one target must count, and
    logits should stay between -10 and 10. Call `loss_fn` as often as you like.

    Judge nothing else: a loss that is wrong in another way, but blind to filler, gets False.
    Rounding is no change: float32 keeps seven digits, and the last of them may differ.

    >>> counts_padding(masked_cross_entropy)
    False
    >>> counts_padding(lambda logits, targets, mask: cross_entropy(logits, targets))
    True
    """
    logits = torch.arange(70.0).view(2, 5, 7).sin()
    targets = torch.arange(10).view(2, 5) % 7
    mask = torch.arange(5) < torch.tensor([[4], [2]])  # rows of 4 and 2, then filler
    before = loss_fn(logits, targets, mask)

    # Other logits and other tokens at the places that do not count.
    other_logits = torch.where(mask.unsqueeze(-1), logits, -logits)
    other_targets = torch.where(mask, targets, 6 - targets)
    content = loss_fn(other_logits, other_targets, mask)

    # The last column is filler in both rows. Without it there is less filler.
    amount = loss_fn(logits[:, :-1], targets[:, :-1], mask[:, :-1])
    return not torch.allclose(torch.stack([content, amount]), before)


def losses_by_hand() -> tuple[float, ...]:
    """Predict: seven numbers, in this order. Three digits are enough; expressions are fine.

    Work them out with a pen and a calculator before you measure anything.

    1. An untrained model gives each of 11,868 tokens the same probability. Its loss in nats?
    2. A model gives the right token a probability of 0.9. Its surprise in nats?
    3. A model is sure and wrong. It knows two tokens, its logits are 10 and 0, and the target is
       the second. Its surprise in nats?
    4. A text repeats 春花春月 *chūn huā chūn yuè*, "spring, flower, spring, moon", for ever. The
       loss in nats of a unigram that was counted on it, with nothing added?
    5. The same text. The loss in nats of a bigram that was counted on it, with nothing added?
    6. A model meets two targets. It gave one a probability of 1/4, the other one of 1/16. Its
       perplexity?
    7. Another model has a perplexity of 64 per character, on a text whose characters take three
       bytes each. How many bits per byte is that?

    >>> len(losses_by_hand())
    7
    """
    return (
        math.log(11_868),  # 9.38: the surprise at a probability of 1/V
        -math.log(0.9),  # 0.105
        10.0,  # the ratio of the two is e^10, so the second gets nearly e^-10
        1.5 * math.log(2),  # 1.04: half of the time 1 bit (春), half of the time 2 (花 or 月)
        0.5 * math.log(2),  # 0.347: after 春 one of two, after 花 or 月 no doubt at all
        8.0,  # surprises of 2 and 4 bits, on average 3: as many as 8 equal tokens
        2.0,  # 64 equal tokens are 6 bits, over 3 bytes
    )
