"""Chapter 05 · your answers.

Check them: nanopoet check loss. Try them: the lines after >>> are examples, which
`python -m doctest exercises/loss.py` runs; print() shows what you want to see.
"""

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
    # TODO: your code
    raise NotImplementedError("loss.uniform_loss")


def unigram_log_probs(ids: ArrayLike, vocab_size: int) -> NDArray[np.float64]:
    """How often each token occurs, as natural logarithms of probabilities: floats (vocab_size,).

    `ids` is a list or an int64 array of token ids below `vocab_size`, with at least one of them.
    One is added to every count, so that no token is impossible, also one that `ids` lack. The
    probabilities sum to 1.

    >>> np.exp(unigram_log_probs([0, 0], vocab_size=2)).round(2).tolist()
    [0.75, 0.25]
    """
    # TODO: your code
    raise NotImplementedError("loss.unigram_log_probs")


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
    # TODO: your code
    raise NotImplementedError("loss.unigram_loss")


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
    # TODO: your code
    raise NotImplementedError("loss.log_softmax")


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
    # TODO: your code
    raise NotImplementedError("loss.token_losses")


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy (交叉熵): the mean surprise over all targets, a tensor without axes.

    `logits` (..., V) and `targets` (...) are as in `token_losses`. The answer has the dtype of
    `logits`, and gradients flow through it.

    >>> round(cross_entropy(torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.long)).item(), 4)
    1.3863
    """
    # TODO: your code
    raise NotImplementedError("loss.cross_entropy")


def cross_entropy_grad(logits: Tensor, targets: Tensor) -> Tensor:
    """The gradient of `cross_entropy(logits, targets)` with respect to the logits.

    `logits` (..., V) are floats of any size and need no gradient, `targets` (...) are ids (int64).
    The answer has the shape and the dtype of `logits`. There is a short formula; to ask autograd
    is right, too. `logits` stay as they are, and want no gradient afterwards.

    >>> grad = cross_entropy_grad(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([1]))
    >>> [round(x, 3) for x in grad[0].tolist()]
    [0.665, -0.755, 0.09]
    """
    # TODO: your code
    raise NotImplementedError("loss.cross_entropy_grad")


def perplexity(loss: float) -> float:
    """How many equally likely tokens would surprise as much as this loss (困惑度).

    `loss` is a number in nats per token. The answer need not be whole.

    >>> round(perplexity(uniform_loss(100)), 6)
    100.0
    """
    # TODO: your code
    raise NotImplementedError("loss.perplexity")


def bits_per_byte(total_nats: float, n_bytes: int) -> float:
    """The surprise at a whole text, shared out over its bytes and counted in bits.

    `total_nats` is the sum of the surprises at all its tokens, `n_bytes` the length of the text in
    UTF-8. Raises ValueError if `n_bytes` is below 1.

    >>> round(bits_per_byte(16.6355, n_bytes=12), 3)  # 24 bits
    2.0
    """
    # TODO: your code
    raise NotImplementedError("loss.bits_per_byte")


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
    # TODO: your code
    raise NotImplementedError("loss.masked_cross_entropy")


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
    hidden = list(targets)
    hidden[mask == 0] = IGNORE
    return hidden


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
    # TODO: your code
    raise NotImplementedError("loss.counts_padding")


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
    # TODO: your code
    raise NotImplementedError("loss.losses_by_hand")
