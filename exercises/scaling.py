"""Chapter 09 · your answers.

Check them: nanopoet check scaling. Try them: the lines after >>> are examples, which
`python -m doctest exercises/scaling.py` runs; print() shows what you want to see.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

# --- Given ------------------------------------------------------------------------------------

Item = TypeVar("Item")


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a model, as in chapter 03."""

    vocab_size: int
    block_size: int = 256
    n_layer: int = 8
    n_head: int = 8
    n_embd: int = 256


# --- A step of many batches -------------------------------------------------------------------


def accumulation_steps(
    total_batch_tokens: int, batch_size: int, block_size: int, processes: int = 1
) -> int:
    """How many micro-batches (微批次) each process adds up for one step of the weights.

    A step learns from `total_batch_tokens` tokens, whatever the machine. A micro-batch, small
    enough for its memory, has `batch_size` rows of `block_size` tokens. In every round each of the
    `processes` takes one of its own.

    Returns an int. Where whole rounds do not make exactly so many tokens, or where there are none
    to learn from, raise ValueError: rounded, it would be another training under the same name.

    >>> accumulation_steps(16_384, batch_size=8, block_size=256)
    8
    >>> accumulation_steps(16_384, batch_size=8, block_size=256, processes=2)
    4
    """
    # TODO: your code
    raise NotImplementedError("scaling.accumulation_steps")


def in_steps(batches: Iterable[Item], micro_steps: int) -> Iterator[list[Item]]:
    """Mend this: the micro-batches of one epoch, step after step.

    Yields lists of `micro_steps` batches each, in the order given. Each batch of the epoch is in
    exactly one step. Those that are left over at the end make a step of their own, a smaller one;
    without any left over there is none. (How much it weighs is the business of whoever makes the
    step: by its tokens.)

    A step is yielded as soon as it is full. `batches` can be gone through once and may have no end.
    A list that was yielded belongs to whoever got it: it does not change any more.

    Symptom: in an epoch of 10 batches, 4 to a step, the model learns from 8.

    >>> list(in_steps("abcdefg", 3))
    [['a', 'b', 'c'], ['d', 'e', 'f'], ['g']]
    """
    step = []
    for i, batch in enumerate(batches):
        step.append(batch)
        if (i + 1) % micro_steps == 0:
            yield step
            step = []


# --- Numbers of 16 bits -----------------------------------------------------------------------


def next_scale(
    scale: float, good_steps: int, overflowed: bool, growth_interval: int = 2000
) -> tuple[float, int]:
    """The factor of the loss, and the number of good steps in a row, after one more step.

    Before backward the loss is multiplied by `scale`, so that small gradients do not vanish in
    float16. If a gradient has become infinite, the step has `overflowed`. `good_steps` is how many
    steps in a row before this one have not; it is below `growth_interval`.

    After an overflow the scale is halved, and the count begins again at 0. A good step is counted.
    When `growth_interval` of them have come in a row, this one included, the scale is doubled, and
    the count begins again at 0.

    >>> next_scale(1024.0, 5, overflowed=True)
    (512.0, 0)
    >>> next_scale(1024.0, 5, overflowed=False)
    (1024.0, 6)
    """
    # TODO: your code
    raise NotImplementedError("scaling.next_scale")


def amp_step(
    losses: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    grad_clip: float,
) -> float:
    """Mend this: one update in mixed precision (混合精度); returns the gradient norm, a float.

    `losses` gives the loss of one micro-batch after another, each weighed by its share of the
    tokens: their sum is the loss of the step. Each is computed when it is asked for. Finish it,
    its backward pass included, before asking for the next. `scaler` is PyTorch's GradScaler:
    `scale(loss)`, `unscale_(optimizer)`, `step(optimizer)`, `update()`.

    The update is the one that would be made without a scaler. All parameters of the optimizer
    together have one gradient; where it is longer than `grad_clip`, it is shortened to that
    length. The norm that is returned is the one before clipping, in its true size, whatever the
    scale. Afterwards the gradients are forgotten: they are None or 0.

    If a gradient is not finite, no weight moves, the scale is halved, and the norm that is returned
    is not finite.

    Symptom: with a scale of 65,536 a gradient of length 0.5 is returned as 32,768. With SGD the
    weights hardly move.

    >>> w = nn.Parameter(torch.tensor([1.0]))
    >>> sgd, scaler = torch.optim.SGD([w], lr=1.0), torch.amp.GradScaler("cpu")
    >>> amp_step([0.25 * w.sum(), 0.25 * w.sum()], sgd, scaler, grad_clip=1.0), w.item()
    (0.5, 0.5)
    """
    for loss in losses:
        scaler.scale(loss).backward()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, grad_clip)
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    return float(norm)


# --- A model that is large --------------------------------------------------------------------


def training_memory() -> dict[str, int]:
    """Predict: how much memory a model takes in training. By hand first, then compute it.

    Counted are numbers that stay from step to step: the weights, their gradients and what the
    optimizer keeps, not what a forward pass needs. A float32 takes 4 bytes, a bfloat16 takes 2.
    AdamW keeps two running means for each weight. Return a dictionary of whole numbers, exactly.
    The first five are bytes for a model of 200 million parameters:

    - "float32": trained by AdamW, all in float32;
    - "sgd": trained by SGD without momentum, all in float32;
    - "bfloat16": trained by AdamW, all in bfloat16;
    - "mixed": trained by AdamW, with weights and gradients in bfloat16, and with both means and a
      second copy of the weights, the one that is updated, in float32;
    - "generating": not trained, it writes only, with weights in bfloat16;
    - "vocabulary": how many bytes it adds to "float32" when another model, 1,280 numbers wide, has
      a vocabulary of 65,536 instead of 32,000. Embedding and head are two matrices without biases;
    - "largest": how many parameters a model may have that is trained as "float32" is, in 80 · 10⁹
      bytes.

    >>> sizes = training_memory()
    >>> sorted(sizes)[:3], len(sizes)
    (['bfloat16', 'float32', 'generating'], 7)
    """
    # TODO: your code
    raise NotImplementedError("scaling.training_memory")


# --- More weights, the same work --------------------------------------------------------------


def route(logits: Tensor, top_k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Where a router (路由器) sends each token, and how much each of its experts counts.

    `logits` (N, E) is what the router says of N tokens and E experts. Returns three tensors:

    - `probs` (N, E): the probability of each expert, for each token;
    - `gates` (N, k): the probabilities of the `top_k` most probable ones, the largest first. They
      are those in `probs`: they need not sum to 1, and gradients flow through them;
    - `chosen` (N, k): the numbers of these experts, from 0 to E − 1, in the same order.

    >>> probs, gates, chosen = route(torch.tensor([[0.0, 2.0, 1.0]]), top_k=2)
    >>> chosen.tolist(), [round(gate, 2) for gate in gates[0].tolist()]
    ([[1, 2]], [0.67, 0.24])
    """
    # TODO: your code
    raise NotImplementedError("scaling.route")


def balance_loss(probs: Tensor, load: Tensor) -> Tensor:
    """A loss that is low when all experts (专家) get equally many tokens.

    `probs` (N, E) is what the router says of each token: a probability for each expert. `load` (E,)
    is the share of the tokens that each expert got; it was counted, sums to 1 and has no gradient.

    Returns one number: take each expert's mean probability, weigh it by its load, add up, and
    multiply by E. So it is 1 where the load is the same for all, and E where one expert gets every
    token with certainty.

    >>> balance_loss(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([1.0, 0.0])).item()
    2.0
    """
    # TODO: your code
    raise NotImplementedError("scaling.balance_loss")


# --- Several processes ------------------------------------------------------------------------


def rank_batches(n_batches: int, rank: int, world_size: int) -> list[int]:
    """Which of `n_batches` batches process number `rank` takes, of `world_size` processes.

    Batches are numbered from 0, processes too. They are dealt out in turn, like cards: batch 0 to
    process 0, batch 1 to process 1, and so on, and after the last process to process 0 again. No
    batch is in two hands, none is left out. So some processes may get one batch more than others.

    Returns a list of numbers, in rising order. A `rank` that there is not among `world_size`
    processes is a ValueError.

    >>> rank_batches(7, rank=1, world_size=3)
    [1, 4]
    """
    # TODO: your code
    raise NotImplementedError("scaling.rank_batches")


def combine_gradients(gradients: Sequence[Sequence[Tensor]], tokens: Sequence[int]) -> list[Tensor]:
    """The gradients that one process would have, from those of several.

    Process r has computed the gradients of its own loss, a mean over its own `tokens[r]` targets
    that count: `gradients[r]` has one for each parameter of the model, in the same order in every
    process. Wanted are the gradients of the mean over all targets of all processes. A process
    without a target that counts has gradients of 0.

    Returns a list with one tensor for each parameter, of its shape. If no target counts anywhere,
    they are 0. The gradients handed in are not changed.

    >>> two = [[torch.tensor([2.0])], [torch.tensor([6.0])]]
    >>> combine_gradients(two, tokens=[3, 1])
    [tensor([3.])]
    """
    # TODO: your code
    raise NotImplementedError("scaling.combine_gradients")


# --- How much work ----------------------------------------------------------------------------


def flops_per_token(config: GPTConfig, T: int) -> int:
    """How many multiplications and additions one token takes in training, in rows of `T` tokens.

    Counted are those of the matrix products, forward and backward, and each number of a product
    costs a multiplication and an addition. With C = `n_embd`, for each token:

    - in each block, its products with the weights of queries, keys and values (3 C²), of the
      projection after attention (C²) and of the MLP (C to 4 C and back);
    - in each block, the dot products of its query with T keys, and its sum of T values. (The half
      that the mask takes away is counted, too: that is the custom.) The heads share C out;
    - once, its product with the weights of the head. Embeddings are looked up: nothing is
      multiplied.

    Backward asks twice what forward does: once for the gradient of each input, once for that of
    each weight. Returns an int. `block_size` does not matter, only T does.

    >>> flops_per_token(GPTConfig(vocab_size=11_868), T=256)
    62269440
    """
    # TODO: your code
    raise NotImplementedError("scaling.flops_per_token")


def read_the_log() -> dict[str, float]:
    """Predict: what follows from the settings of a run. Work it out, then compare with its log.

    A tutorial shows the log of a run, and its columns contradict each other. Its settings are 200
    million parameters, 2,000 steps of 524,288 tokens, 8 cards. The log says 0.243 seconds a step
    and 2.14 million tokens a second. Return a dictionary with these keys; "steps" exactly, the
    others to three digits or more.

    - "percent": how much of the run is done at step 100, in percent. (The log: 12.5);
    - "minutes": how long 2,000 steps take at 0.243 seconds a step. (The log: 170.12);
    - "tokens_per_second": how fast the run is if it did take 170.12 minutes;
    - "a100": the share of what 8 cards could do that 2.14 million tokens a second make use of, if a
      card does 312 · 10¹² operations a second. Take 6 operations a parameter and token. 1 is all
      of it. (The log: 45.67 percent);
    - "h100": the same, if a card does 989 · 10¹²;
    - "passes": how often these 2,000 steps go through data of 95 million tokens;
    - "hours": how long another run takes, of 50,000 such steps, at 2.14 million tokens a second.
      (The text: 3 days);
    - "steps": how many such steps it takes to see 20 tokens for each parameter, at least.

    >>> found = read_the_log()
    >>> sorted(found)[:3], len(found)
    (['a100', 'h100', 'hours'], 8)
    """
    # TODO: your code
    raise NotImplementedError("scaling.read_the_log")
