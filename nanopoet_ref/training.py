"""Chapter 04 · Training loop (训练循环): the one loop that every stage of this course uses.

    batch → logits → loss → gradients → one step of the optimizer

The loop knows nothing of poems, files or stages. It is handed a model, a function that gives
batches, a loss and a learning-rate schedule, and calls back after each step.

Sources: Loshchilov & Hutter 2019 (AdamW); Pascanu et al. 2013 (gradient clipping).
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from nanopoet_ref.runtime import TRAINING_PRECISIONS, autocast, evaluating

SPLITS = ("train", "val")


# Inputs and targets travel together with the mask, so that no stage needs a loop of its own.
class Batch(NamedTuple):
    """Inputs, what follows each of them, and which of these targets count (None: all)."""

    idx: Tensor  # (B, T)
    targets: Tensor  # (B, T)
    mask: Tensor | None = None  # (B, T), True where the target counts

    @property
    def n_tokens(self) -> int:
        """How many targets count."""
        return self.targets.numel() if self.mask is None else int(self.mask.sum())

    def to(self, device: torch.device) -> "Batch":
        mask = None if self.mask is None else self.mask.to(device)
        return Batch(self.idx.to(device), self.targets.to(device), mask)


LossFn = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # logits, targets, mask → mean loss


def random_windows(
    ids: NDArray, block_size: int, batch_size: int, generator: torch.Generator
) -> Batch:
    """Windows cut from a long stream at random; targets are the same window, one token later.

    Raises `ValueError` when the stream holds no whole window.

    >>> generator = torch.Generator().manual_seed(0)
    >>> batch = random_windows(np.arange(4), block_size=3, batch_size=1, generator=generator)
    >>> batch.idx.tolist(), batch.targets.tolist()
    ([[0, 1, 2]], [[1, 2, 3]])
    """
    if len(ids) <= block_size:
        raise ValueError(
            f"{len(ids)} tokens are too few: one window takes block_size + 1 = {block_size + 1}"
        )
    # The last start leaves room for a window and the one token that follows it.
    starts = torch.randint(len(ids) - block_size, (batch_size,), generator=generator)
    columns = starts.unsqueeze(1) + torch.arange(block_size + 1)  # (B, T + 1)
    # Ids lie on disk as uint16, half of what int32 would take; an embedding wants int64.
    windows = torch.from_numpy(ids[columns.numpy()].astype(np.int64))  # (B, T + 1)
    return Batch(windows[:, :-1], windows[:, 1:])


class BatchStream:
    """Batches by number: batch i is the same whenever and however often it is asked for.

    To resume a run, begin at the number where it stopped; nothing else has to be remembered.

    >>> stream = BatchStream(lambda i: i * i, start=2)
    >>> stream(), stream()
    (4, 9)
    """

    def __init__(self, batch_at: Callable[[int], Batch], start: int = 0) -> None:
        self.batch_at = batch_at
        self.next = start

    def __call__(self) -> Batch:
        # A function of the number, not of how often it was called: there is nothing to save.
        batch = self.batch_at(self.next)
        self.next += 1
        return batch


# What a stage of training consists of: batches by number to train on, and fixed ones to measure
# on, by split. All else is the same in every stage: this loop.
StageBatches = tuple[Callable[[int], Batch], dict[str, list[Batch]]]


@dataclass(frozen=True)
class TrainConfig:
    """How long to train, and how to measure. One step = one update of the weights.

    Each step adds the gradients of `micro_steps` batches. Every `eval_interval` steps, before the
    first and after the last, the loss is measured on fixed batches. `grad_clip` bounds the length
    of the gradient (None: never); `precision` is that of the matrix products.

    >>> TrainConfig(max_steps=-1, precision="int8")
    Traceback (most recent call last):
    ValueError: max_steps=-1 is negative; precision='int8' is not one of ('float32', 'bfloat16')
    """

    max_steps: int = 100
    micro_steps: int = 1
    eval_interval: int = 10
    grad_clip: float | None = 1.0
    precision: str = "float32"

    def __post_init__(self) -> None:
        problems = [] if self.max_steps >= 0 else [f"max_steps={self.max_steps} is negative"]
        for name in ("micro_steps", "eval_interval"):
            if getattr(self, name) < 1:
                problems.append(f"{name}={getattr(self, name)} is not positive")
        # A limit of 0 shortens every gradient to nothing; None is how to say "no limit".
        if self.grad_clip is not None and not self.grad_clip >= 0:
            problems.append(f"grad_clip={self.grad_clip} is not a length")
        if self.precision not in TRAINING_PRECISIONS:
            problems.append(f"precision={self.precision!r} is not one of {TRAINING_PRECISIONS}")
        if problems:
            raise ValueError("; ".join(problems))


@dataclass(frozen=True)
class StepLog:
    """What is known after `step` updates. Step 0 is the untrained model."""

    step: int
    loss: float | None = None  # of the batch of this update, before it; None at step 0
    lr: float | None = None  # read back from the optimizer after the update
    grad_norm: float | None = None  # before clipping
    tokens: int = 0  # targets that counted in this update
    seconds: float = 0.0  # of this update, without evaluation
    train_loss: float | None = None  # evaluated, when this step is due
    val_loss: float | None = None


@torch.no_grad()
def estimate_loss(
    model: nn.Module, batches: Iterable[Batch], loss_fn: LossFn, precision: str = "float32"
) -> float:
    """Mean loss per token over fixed batches, in nats; the model is left as it was found.

    A batch with more tokens weighs more: a mean of means would let short batches shout.
    """
    device = next(model.parameters()).device
    # Sums, not means: only the sum of all nats over the sum of all tokens is a loss per token.
    nats, n_tokens = 0.0, 0
    with evaluating(model):
        for batch in batches:
            batch = batch.to(device)
            with autocast(device, precision):
                logits = model(batch.idx)
            nats += loss_fn(logits, batch.targets, batch.mask).item() * batch.n_tokens
            n_tokens += batch.n_tokens
    # A mean of nothing would be NaN, and would look like a number in every table.
    if n_tokens == 0:
        raise ValueError("nothing to evaluate: no target counts")
    return nats / n_tokens


def training_step(
    model: nn.Module,
    batches: Sequence[Batch],
    loss_fn: LossFn,
    optimizers: Sequence[torch.optim.Optimizer],
    config: TrainConfig,
) -> tuple[float, float]:
    """One update from one or more micro-batches; returns the loss and the gradient norm.

    Each micro-batch weighs by its share of the tokens, so cutting a batch in pieces changes
    nothing but the memory it takes.
    """
    device = next(model.parameters()).device
    # Known before the first backward: each piece must be weighed by its share of the whole.
    n_tokens = sum(batch.n_tokens for batch in batches)
    total = 0.0
    for batch in batches:
        batch = batch.to(device)
        with autocast(device, config.precision):
            logits = model(batch.idx)  # (B, T, V)  1 · forward
        loss = loss_fn(logits, batch.targets, batch.mask)  # 2 · loss
        # A batch in which nothing counts has loss 0, and 0 / 1 keeps it so.
        loss = loss * (batch.n_tokens / max(n_tokens, 1))
        # `backward` adds to the gradients that are there: that is all accumulation is.
        loss.backward()  # 3 · gradients
        total += loss.item()
    # One length for the whole gradient: shortened, it still points the same way. An infinite
    # limit shortens nothing and still measures.
    limit = config.grad_clip if config.grad_clip is not None else float("inf")
    grad_norm = nn.utils.clip_grad_norm_(model.parameters(), limit)
    # Two optimizers share the weights out between them; each moves its own, all in one step.
    for optimizer in optimizers:
        optimizer.step()  # 4 · update
        optimizer.zero_grad(set_to_none=True)  # 5 · forget
    return total, float(grad_norm)


def train(
    model: nn.Module,
    next_batch: Callable[[], Batch],
    loss_fn: LossFn,
    lr_mult: Callable[[int], float],
    config: TrainConfig,
    *,
    optimizers: Sequence[torch.optim.Optimizer] | None = None,
    eval_batches: Mapping[str, Sequence[Batch]] | None = None,
    callback: Callable[[StepLog], None] | None = None,
    start_step: int = 0,
    progress: bool = False,
    step_fn: Callable[..., tuple[float, float]] = training_step,
    estimate: Callable[..., float] = estimate_loss,
) -> list[StepLog]:
    """Train until `config.max_steps` updates are done; returns a log for every step.

    The learning rate of update i is each group's `initial_lr` times `lr_mult(i)`. Evaluation uses
    the batches it is given ("train", "val") and draws nothing, so measuring more often changes no
    weight. Without `optimizers`, AdamW at 3e-4. `callback` gets each log when its step is done;
    `start_step` is where an interrupted run goes on. `step_fn` and `estimate` are the parts of the
    loop that can be somebody else's.
    """
    optimizers = optimizers or [torch.optim.AdamW(model.parameters(), lr=3e-4)]
    eval_batches = eval_batches or {}
    if unknown := set(eval_batches) - set(SPLITS):
        raise ValueError(f"unknown splits {sorted(unknown)}; there are only {SPLITS}")
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    # The rate that a schedule multiplies. It is kept with the optimizer, so a resumed run does not
    # take a rate that was already reduced for the full one.
    for group in groups:
        group.setdefault("initial_lr", group["lr"])

    logs: list[StepLog] = []

    # The loop writes no file and prints no line. It tells its caller, who may do both.
    def record(log: StepLog) -> None:
        # Before the first update and after the last, too: a run begins and ends with a number.
        if log.step % config.eval_interval == 0 or log.step == config.max_steps:
            losses = {
                split: estimate(model, batches, loss_fn, config.precision)
                for split, batches in eval_batches.items()
            }
            log = replace(log, train_loss=losses.get("train"), val_loss=losses.get("val"))
        logs.append(log)
        if callback:
            callback(log)

    if start_step == 0:  # a resumed run has this line in its log already
        record(StepLog(step=0))
    bar = tqdm(
        total=config.max_steps, initial=start_step, disable=None if progress else True, unit="step"
    )
    model.train()
    for step in range(start_step, config.max_steps):
        began = time.perf_counter()
        for group in groups:
            group["lr"] = group["initial_lr"] * lr_mult(step)
        # Drawn here and not inside the step: whoever replaces the step sees the same batches.
        batches = [next_batch() for _ in range(config.micro_steps)]
        loss, grad_norm = step_fn(model, batches, loss_fn, optimizers, config)
        # Seconds end here, before evaluation: measuring is not training.
        log = StepLog(
            step=step + 1,
            loss=loss,
            lr=groups[0]["lr"],  # read back: what was applied, not what was meant
            grad_norm=grad_norm,
            tokens=sum(batch.n_tokens for batch in batches),
            seconds=time.perf_counter() - began,
        )
        bar.update()
        bar.set_postfix_str(f"loss {loss:.3f}, {log.tokens / log.seconds:,.0f} tokens/s")
        record(log)
    bar.close()
    return logs
