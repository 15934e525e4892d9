"""Chapter 09 · Scaling (规模化): the same loop, with more of everything.

More tokens in a step, fewer bits in a number, more weights at the same work; and how much of a
machine all this makes use of. Data parallel training is `nanopoet/poet/parallel.py`.

Sources: Micikevicius et al. 2018 (mixed precision, loss scaling); Chowdhery et al. 2022, appendix B
(utilisation); Fedus et al. 2022 (Switch: mixture of experts, load-balancing loss).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nanopoet_ref.gpt import GPT, MLP, Block, GPTConfig
from nanopoet_ref.runtime import PRECISIONS
from nanopoet_ref.training import LossFn

# --- A step of many batches

# `training_step` adds the gradients of several batches, each weighed by its tokens. What is left
# to say here: how many batches make a step, and what becomes of those that do not fill one.

Item = TypeVar("Item")


def accumulation_steps(
    total_batch_tokens: int, batch_size: int, block_size: int, processes: int = 1
) -> int:
    """How many batches each process adds up, so that one step learns from so many tokens.

    What a step learns from is a property of the training; how it is cut, of the machine.

    >>> accumulation_steps(16_384, batch_size=8, block_size=256)
    8
    >>> accumulation_steps(16_384, batch_size=8, block_size=256, processes=2)
    4
    """
    at_once = batch_size * block_size * processes
    # Rounding would be another training under the same name.
    if total_batch_tokens < 1 or total_batch_tokens % at_once:
        raise ValueError(
            f"{total_batch_tokens} tokens a step are no multiple of {at_once} = {batch_size} rows "
            f"of {block_size} tokens in {processes} processes"
        )
    return total_batch_tokens // at_once


def in_steps(batches: Iterable[Item], micro_steps: int) -> Iterator[list[Item]]:
    """The batches of each step. Those left over at the end make a step of their own, a smaller one.

    >>> list(in_steps("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    step: list[Item] = []
    for batch in batches:
        step.append(batch)
        if len(step) == micro_steps:
            yield step
            step = []
    # Kept for later, they would be part of a step that came after the end; thrown away, they would
    # never be learned from. `training_step` counts their tokens, so a short step needs no care.
    if step:
        yield step


# --- Numbers of 16 bits


def next_scale(
    scale: float, good_steps: int, overflowed: bool, growth_interval: int = 2000
) -> tuple[float, int]:
    """The scale of the loss, and the number of good steps in a row, after one more step.

    >>> next_scale(1024.0, 5, overflowed=True), next_scale(1024.0, 1999, overflowed=False)
    ((512.0, 0), (2048.0, 0))
    """
    # Too large shows at once, too small never does: so it grows until it has to shrink.
    if overflowed:
        return scale / 2, 0
    if good_steps + 1 == growth_interval:
        return scale * 2, 0
    return scale, good_steps + 1


class LossScaler:
    """Keeps gradients in float16 from vanishing: the loss grows, the gradients shrink back.

        scaler.scale(loss).backward() → unscale_(optimizer) → clip → step(optimizer) → update()

    Where a gradient has become infinite, the step is skipped and the scale halved; after
    `growth_interval` good steps in a row it is doubled. PyTorch's is `torch.amp.GradScaler`.

    >>> scaler = LossScaler(scale=1024.0)
    >>> scaler.scale(torch.tensor(0.5)).item()
    512.0
    """

    def __init__(self, scale: float = 2.0**16, growth_interval: int = 2000) -> None:
        # A power of two changes the exponent of a number and none of its digits.
        self.factor = scale
        self.growth_interval = growth_interval
        self.good_steps = 0
        self.overflowed: dict[int, bool] = {}  # by optimizer, since the last update

    def scale(self, loss: Tensor) -> Tensor:
        """The loss that `backward` is called on: all gradients grow by the same factor."""
        return loss * self.factor

    @torch.no_grad()
    def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
        """Bring the gradients back to their size, and see whether all are finite.

        Before clipping: a limit is meant for gradients of their true size.
        """
        if id(optimizer) in self.overflowed:
            raise RuntimeError("unscale_ was called twice for one update")
        overflowed = False
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.mul_(1 / self.factor)
                    # inf - inf is nan: what has overflowed need not look infinite.
                    overflowed |= not bool(parameter.grad.isfinite().all())
        self.overflowed[id(optimizer)] = overflowed

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """The optimizer's step, unless one of its gradients is not a number."""
        if id(optimizer) not in self.overflowed:
            self.unscale_(optimizer)
        if not self.overflowed[id(optimizer)]:
            optimizer.step()

    def update(self) -> None:
        """Halve the scale after an overflow, double it after many steps without one."""
        self.factor, self.good_steps = next_scale(
            self.factor, self.good_steps, any(self.overflowed.values()), self.growth_interval
        )
        self.overflowed.clear()


# --- How much work, how much of the machine


def flops_per_token(config: GPTConfig, T: int) -> int:
    """Multiplications and additions that one token takes in training, in rows of `T` tokens.

    >>> flops_per_token(GPTConfig(vocab_size=11_868), T=256)
    62269440
    """
    C = config.n_embd
    # Per block: qkv (3 C²), the projection after it (C²), the MLP (4 C² twice); then the head. The
    # embeddings are looked up, not multiplied.
    weights = config.n_layer * 12 * C * C + C * config.vocab_size
    # q · k and weights · v: T products of C numbers each. The causal half is counted, too, as is
    # the custom: a kernel may skip it, and then does less than is counted here.
    attention = config.n_layer * 2 * T * C
    # A multiplication and an addition: 2. Backward asks twice what forward does, once for the
    # gradient of the input and once for that of the weight: 3 times 2.
    return 6 * (weights + attention)


def matmul_peak(
    seconds: float = 1.0,
    precision: str = "float32",
    device: torch.device | str = "cpu",
    n: int = 1024,
) -> float:
    """FLOP/s of this machine in the product of two square matrices, its best within `seconds`.

    What a training could reach at most if it did nothing else, with the threads it has.
    """
    a = torch.ones(n, n, dtype=PRECISIONS[precision], device=device)
    best, end = 0.0, time.perf_counter() + seconds
    while best == 0.0 or time.perf_counter() < end:
        began = time.perf_counter()
        (a @ a)[0, 0].item()  # `item` waits: a GPU returns before it is done
        # The fastest, not the mean: what else this machine was doing is not its limit.
        best = max(best, 2 * n**3 / (time.perf_counter() - began))
    return best


def utilisation(tokens_per_second: float, config: GPTConfig, T: int, peak: float) -> float:
    """The share of `peak` that training at this speed makes use of (MFU, from 0 to 1)."""
    return tokens_per_second * flops_per_token(config, T) / peak


# --- More weights, the same work


def route(logits: Tensor, top_k: int) -> tuple[Tensor, Tensor, Tensor]:
    """All probabilities (N, E); of the `top_k` best experts these, and their numbers (N, k) each.

    >>> probs, gates, chosen = route(torch.tensor([[0.0, 2.0, 1.0]]), top_k=2)
    >>> chosen.tolist(), [round(gate, 2) for gate in gates[0].tolist()]
    ([[1, 2]], [0.67, 0.24])
    """
    probs = logits.softmax(dim=-1)
    # Not made to sum to 1: a single gate would then always be 1, and teach the router nothing.
    gates, chosen = probs.topk(top_k, dim=-1)
    return probs, gates, chosen


class MoE(nn.Module):
    """A mixture of experts: each token is sent to the `top_k` MLPs that a router chooses for it.

    (B, T, C) → (B, T, C), in the place of an MLP: `Block(config, mlp=partial(MoE, n_experts=4))`.
    With `top_k=1` a token takes as much work as with one MLP, and the weights are `n_experts`
    times as many. `balance` and `load` are those of the last batch.
    """

    def __init__(self, config: GPTConfig, n_experts: int = 4, top_k: int = 1) -> None:
        super().__init__()
        if not 1 <= top_k <= n_experts:
            raise ValueError(f"top_k={top_k} is not in 1 … n_experts={n_experts}")
        self.top_k = top_k
        self.router = nn.Linear(config.n_embd, n_experts, bias=False)
        self.experts = nn.ModuleList(MLP(config) for _ in range(n_experts))
        self.balance = torch.tensor(0.0)
        self.load = torch.zeros(n_experts)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.view(-1, x.shape[-1])  # (N, C): who stands where does not matter here
        probs, gates, chosen = route(self.router(tokens), self.top_k)  # (N, E), (N, k), (N, k)
        out = torch.zeros_like(tokens)
        for i, expert in enumerate(self.experts):
            rows, slots = (chosen == i).nonzero(as_tuple=True)
            # Times its probability: the choice itself has no gradient, so this is all that tells
            # the router what its choice was worth.
            answer = expert(tokens[rows]) * gates[rows, slots, None]
            out.index_add_(0, rows, answer.to(out.dtype))
        self.load = F.one_hot(chosen, len(self.experts)).float().mean(dim=(0, 1))  # (E,)
        self.balance = balance_loss(probs, self.load)
        return out.view_as(x)


def balance_loss(probs: Tensor, load: Tensor) -> Tensor:
    """1 where every expert gets the same share, up to E where one gets all.

    `probs` (N, E) is what the router says of each token, `load` (E,) the share that each expert
    got. The load is counted and has no gradient: the loss lowers the probability of those who have
    too much.

    >>> balance_loss(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([1.0, 0.0])).item()
    2.0
    """
    return probs.shape[-1] * (probs.mean(dim=0) * load).sum()


def with_balance(loss_fn: LossFn, model: nn.Module, weight: float = 0.01) -> LossFn:
    """The loss, and `weight` times the mean `balance` of the model's mixtures, for training alone.

    A model turns ids into logits and knows no loss: what is to be added to it is read from
    outside. In evaluation nothing is added, so models with and without experts can be compared.
    """
    mixtures = [module for module in model.modules() if isinstance(module, MoE)]

    def loss(logits: Tensor, targets: Tensor, mask: Tensor | None) -> Tensor:
        total = loss_fn(logits, targets, mask)
        if not model.training:
            return total
        return total + weight * torch.stack([mixture.balance for mixture in mixtures]).mean()

    return loss


# --- A model too large to build twice


def build_on_meta(
    config: GPTConfig,
    device: torch.device | str = "cpu",
    block: Callable[[GPTConfig], nn.Module] = Block,
) -> GPT:
    """A GPT built without memory, then given memory where it belongs, then its first weights.

    Its weights are to the bit those of `GPT(config)` after the same seed, on the CPU.
    """
    # On "meta" a tensor has a shape and no numbers: a model of any size takes no room, and what is
    # known of it, its parameters and their shapes, can be asked.
    with torch.device("meta"):
        model = GPT(config, block)
    model.to_empty(device=device)  # memory, with whatever was there before: no zeros, no weights
    # `init_weights` leaves norms alone, since their constructors have set them; here nothing has.
    # And it draws after the constructors of all layers have drawn: whoever wants the same bits
    # draws as they did, in their order.
    for module in model.modules():
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
    model.init_weights()
    return model
