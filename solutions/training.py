"""Chapter 04 · Training loop: worked answers."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

# --- Given: what the functions below hand to each other -----------------------------------------


class Batch(NamedTuple):
    """Inputs, what follows each of them, and which of these targets count (None: all)."""

    idx: Tensor  # (B, T)
    targets: Tensor  # (B, T)
    mask: Tensor | None = None  # (B, T), True where the target counts

    @property
    def n_tokens(self) -> int:
        """How many targets count."""
        return self.targets.numel() if self.mask is None else int(self.mask.sum())


LossFn = Callable[[Tensor, Tensor, Tensor | None], Tensor]  # logits, targets, mask → mean loss


def mean_loss(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """A loss to try things with: mean of −ln p(target) over what counts; 0 if nothing does."""
    nats = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    counts = torch.ones_like(nats) if mask is None else mask.flatten().to(nats.dtype)
    return (nats * counts).sum() / counts.sum().clamp(min=1)


@dataclass(frozen=True)
class TrainConfig:
    """How long to train, and how to measure. One step = one update of the weights."""

    max_steps: int = 100
    micro_steps: int = 1  # batches for one update
    eval_interval: int = 10
    grad_clip: float | None = 1.0  # None: never clip
    precision: str = "float32"  # for the reference; you need not use it


@dataclass(frozen=True)
class StepLog:
    """What is known after `step` updates. Step 0 is the untrained model."""

    step: int
    loss: float | None = None  # of the batches of this update, before it; None at step 0
    lr: float | None = None  # read back from the optimizer after the update
    grad_norm: float | None = None  # before clipping
    tokens: int = 0  # targets that counted in this update
    seconds: float = 0.0  # of this update, without evaluation
    train_loss: float | None = None  # evaluated, when this step is due
    val_loss: float | None = None


# --- Your part ----------------------------------------------------------------------------------


def shift(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs and targets from rows of T + 1 ids: each target is the id that comes next.

    `tokens` is (B, T + 1). Returns `idx` (B, T) and `targets` (B, T), of the same dtype. With
    `targets` written under `idx`, its text has moved one place to the left.

    >>> idx, targets = shift(torch.tensor([[5, 6, 7, 8]]))
    >>> idx.tolist(), targets.tolist()
    ([[5, 6, 7]], [[6, 7, 8]])
    """
    # The last id has no successor, the first one is nobody's successor.
    return tokens[:, :-1], tokens[:, 1:]


def random_windows(
    ids: NDArray, block_size: int, batch_size: int, generator: torch.Generator
) -> Batch:
    """Windows (窗口) cut from a long stream at random, with their targets.

    `ids` is a one-dimensional numpy array of integers of any type; it may be long, and it must not
    be changed. Returns a `Batch` with `idx` and `targets`, both torch.int64 of shape
    (batch_size, block_size), and no mask. A row of `idx` is a piece of the stream; its targets are
    the same piece, one place further along.

    Every window of the stream must be possible, the last one too, and all equally likely. Each row
    is drawn for itself: a window may come twice, and `batch_size` may exceed the number of windows.
    Randomness comes from `generator` alone, so equal generators give equal batches, and the next
    call gives another batch. When the stream holds no whole window, raise ValueError.

    >>> batch = random_windows(np.array([7, 8, 9]), 2, 1, torch.Generator().manual_seed(0))
    >>> batch.idx.tolist(), batch.targets.tolist()
    ([[7, 8]], [[8, 9]])
    """
    n_windows = len(ids) - block_size  # a window takes block_size + 1 ids
    if n_windows < 1:
        raise ValueError(f"{len(ids)} tokens hold no window of {block_size} + 1")
    starts = torch.randint(n_windows, (batch_size,), generator=generator)
    # Row b, column t is place starts[b] + t of the stream.
    places = starts.unsqueeze(1) + torch.arange(block_size + 1)  # (B, T + 1)
    rows = torch.from_numpy(ids[places.numpy()].astype(np.int64))
    return Batch(rows[:, :-1], rows[:, 1:])


def adamw_step(
    p: Tensor,
    grad: Tensor,
    m: Tensor,
    v: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of AdamW by hand; returns the new `p`, `m` and `v`.

    `p` are the weights, `grad` their gradient, `m` and `v` the running means of the gradients and
    of their squares; all have one shape. `step` counts from 1: it is the number of this step. The
    result equals that of torch.optim.AdamW, with decoupled (解耦) weight decay and bias correction.
    What is returned as `m` and `v` is what the next step starts from. The four tensors handed in
    are not changed.

    >>> zero = torch.zeros(2)
    >>> p, m, v = adamw_step(zero, torch.tensor([0.1, -9.0]), zero, zero, 1, 0.01, (0.9, 0.95),
    ...                      1e-8, 0.0)
    >>> [round(x, 4) for x in p.tolist()]  # one learning rate, whatever the size of the gradient
    [-0.01, 0.01]
    """
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    # Both began at 0, so they are too small by these factors.
    m_hat = m / (1 - betas[0] ** step)
    v_hat = v / (1 - betas[1] ** step)
    p = p * (1 - lr * weight_decay)  # apart from the gradient: that is the W
    return p - lr * m_hat / (v_hat.sqrt() + eps), m, v


def training_step(
    model: nn.Module,
    batches: Sequence[Batch],
    loss_fn: LossFn,
    optimizers: Sequence[torch.optim.Optimizer],
    config: TrainConfig,
) -> tuple[float, float]:
    """One update from one or more micro-batches (微批次); returns loss and gradient norm, floats.

    The update is that of one big batch which holds all micro-batches. `loss_fn` gives the mean over
    the counting targets of one micro-batch (0 when none does); a micro-batch weighs by its share of
    all targets that count. If none counts anywhere, loss and gradients are 0. Go through the
    micro-batches in order, and finish each, its backward pass included, before the next one begins:
    only one has to fit into memory. The mode of the model is the caller's business.

    When `config.grad_clip` is not None, a gradient longer than that is shortened to that length,
    at 0.0 to nothing: all parameters together, as one vector. The norm that is returned is the one
    before clipping. A parameter that took no part has no gradient (None).

    Then every optimizer makes its step, and the gradients are forgotten: afterwards those of all
    parameters in the optimizers are None or 0. Gradients that are there before the call belong to
    this update; add to them.

    >>> table = nn.Embedding.from_pretrained(torch.zeros(3, 3), freeze=False)
    >>> sgd = torch.optim.SGD(table.parameters(), lr=1.0)
    >>> batch = Batch(torch.tensor([[0]]), torch.tensor([[1]]))
    >>> loss, norm = training_step(table, [batch], mean_loss, [sgd], TrainConfig(grad_clip=None))
    >>> round(loss, 3), round(norm, 3), [round(w, 2) for w in table.weight[0].tolist()]
    (1.099, 0.816, [-0.33, 0.67, -0.33])
    """
    n_tokens = sum(batch.n_tokens for batch in batches)
    total = 0.0
    for batch in batches:
        loss = loss_fn(model(batch.idx), batch.targets, batch.mask)
        loss = loss * (batch.n_tokens / max(n_tokens, 1))  # its share of the big batch's mean
        loss.backward()  # adds to the gradients that are there
        total += loss.item()
    # A limit of infinity never shortens anything, and the norm is measured all the same.
    limit = math.inf if config.grad_clip is None else config.grad_clip
    grad_norm = nn.utils.clip_grad_norm_(model.parameters(), limit)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return total, float(grad_norm)


def estimate_loss(model: nn.Module, batches: Iterable[Batch], loss_fn: LossFn) -> float:
    """Mean loss per token over all batches, as a float; the model is left as it was found.

    `loss_fn(logits, targets, mask)` gives the mean over the targets of one batch that count (0 when
    none does). The result is the mean over the counting targets of all batches: a batch with more
    of them weighs more. `batches` can be gone through once.

    The model is measured in evaluation mode, and no graph for gradients is built. Afterwards the
    mode is the one there was before (train or eval), even if `loss_fn` raises an error. Left alone,
    too: gradients, whether PyTorch records them, and its random numbers. When no target counts at
    all, raise ValueError.

    >>> zeros = nn.Embedding.from_pretrained(torch.zeros(3, 3))
    >>> batch = Batch(torch.tensor([[0, 1]]), torch.tensor([[1, 2]]))
    >>> round(estimate_loss(zeros, [batch], mean_loss), 4)  # ln 3
    1.0986
    """
    was_training = model.training
    nats, n_tokens = 0.0, 0
    model.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                loss = loss_fn(model(batch.idx), batch.targets, batch.mask)
                nats += loss.item() * batch.n_tokens  # from the mean back to the sum
                n_tokens += batch.n_tokens
    finally:  # whatever happened in between
        model.train(was_training)
    if n_tokens == 0:
        raise ValueError("nothing to evaluate: no target counts")
    return nats / n_tokens


def set_learning_rate(optimizers: Sequence[torch.optim.Optimizer], mult: float) -> None:
    """Set the learning rate (学习率) of every group: its own first rate times `mult`.

    The groups of an optimizer are dictionaries, in `optimizer.param_groups`; the rate that acts is
    group["lr"]. The first rate is kept in group["initial_lr"]. Where that is missing, it is the
    "lr" found now. Once there, it never changes: a multiplier of 0.5, given twice, gives half the
    first rate, not a quarter.

    >>> sgd = torch.optim.SGD([torch.zeros(1)], lr=0.4)
    >>> for mult in (0.5, 0.5, 1.0):
    ...     set_learning_rate([sgd], mult)
    ...     print(sgd.param_groups[0]["lr"], sgd.param_groups[0]["initial_lr"])
    0.2 0.4
    0.2 0.4
    0.4 0.4
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = group["initial_lr"] * mult


def train(
    model: nn.Module,
    next_batch: Callable[[], Batch],
    loss_fn: LossFn,
    lr_mult: Callable[[int], float],
    config: TrainConfig,
    *,
    optimizers: Sequence[torch.optim.Optimizer],
    eval_batches: Mapping[str, Sequence[Batch]] | None = None,
    callback: Callable[[StepLog], None] | None = None,
    start_step: int = 0,
    progress: bool = False,
) -> list[StepLog]:
    """The loop: train until `config.max_steps` updates are done; returns the list of all logs.

    Update i, for i from `start_step` (what an interrupted run has behind it) to max_steps − 1: set
    the learning rates by `lr_mult(i)`; call `next_batch()` `config.micro_steps` times; make one
    training step, in train mode. Its log is `StepLog(step=i + 1, ...)`: `loss` and `grad_norm` of
    the training step; `lr`, read back after it from the first group of the first optimizer;
    `tokens` of all batches of the update; `seconds` it took, greater than 0 and without evaluation.

    When `start_step` is 0, `StepLog(step=0)` comes before all updates. Steps that are multiples of
    `config.eval_interval` (0 too) and the last step, `max_steps`, are due: then
    `eval_batches["train"]` and `eval_batches["val"]`, if they are there, are measured with the
    weights as they are after the step, and the log holds `train_loss` and `val_loss`.

    `callback` gets each log when it is complete, before the next update begins. `progress` may be
    ignored. Evaluation leaves the rest of the run as it would be without.

    >>> table = nn.Embedding.from_pretrained(torch.zeros(3, 3), freeze=False)
    >>> batch = Batch(torch.tensor([[0]]), torch.tensor([[1]]))
    >>> sgd = torch.optim.SGD(table.parameters(), lr=1.0)
    >>> config, one = TrainConfig(max_steps=2, eval_interval=5), {"val": [batch]}
    >>> logs = train(table, lambda: batch, mean_loss, lambda i: 1.0 - i / 2, config,
    ...              optimizers=[sgd], eval_batches=one)
    >>> [(log.step, log.lr, log.val_loss and round(log.val_loss, 3)) for log in logs]
    [(0, None, 1.099), (1, 1.0, None), (2, 0.5, 0.429)]
    """
    logs = []

    def record(log: StepLog) -> None:
        if log.step % config.eval_interval == 0 or log.step == config.max_steps:
            for split, batches in (eval_batches or {}).items():
                log = replace(log, **{f"{split}_loss": estimate_loss(model, batches, loss_fn)})
        logs.append(log)
        if callback:
            callback(log)

    if start_step == 0:
        record(StepLog(step=0))
    model.train()
    for step in range(start_step, config.max_steps):
        began = time.perf_counter()
        set_learning_rate(optimizers, lr_mult(step))
        batches = [next_batch() for _ in range(config.micro_steps)]
        loss, grad_norm = training_step(model, batches, loss_fn, optimizers, config)
        lr = optimizers[0].param_groups[0]["lr"]  # read back: a second computation could disagree
        tokens = sum(batch.n_tokens for batch in batches)
        seconds = time.perf_counter() - began
        record(StepLog(step + 1, loss, lr, grad_norm, tokens, seconds))
    return logs


# --- Three bugs to find --------------------------------------------------------------------------


def scheduled_updates(
    optimizer: torch.optim.Optimizer,
    fill_gradients: Callable[[], None],
    lr_mult: Callable[[int], float],
    start_frac: float,
    n_updates: int,
) -> list[float]:
    """Mend this: make `n_updates` updates at a share of the learning rate; return what was logged.

    A model that has learned something is trained on gently. In update i, counted from 0, every
    group of the optimizer shall use its own "lr", as found at the call, times `start_frac`, times
    `lr_mult(i)`. `fill_gradients()` puts the gradients of the next update in place; call it once
    for each update. The log holds, for each update, the rate that group 0 used.

    Symptom: with lr 0.4, `start_frac` 0.5 and a multiplier of 1, the log says 0.2. But the weights
    move as if the rate were 0.4.

    >>> w = torch.zeros(1)
    >>> def ones():
    ...     w.grad = torch.ones(1)
    >>> scheduled_updates(torch.optim.SGD([w], lr=0.5), ones, lambda i: 1.0, 0.5, 2), w.tolist()
    ([0.25, 0.25], [-0.5])
    """
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * start_frac  # here, or the next loop loses it
    logged = []
    for i in range(n_updates):
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * lr_mult(i)
        fill_gradients()
        optimizer.step()
        logged.append(optimizer.param_groups[0]["lr"])  # what acted, not what was meant
    return logged


def sizes_of_a_run() -> dict[str, float]:
    """Predict: seven numbers of training runs. Work them out by hand first, then compute them.

    Return a dictionary with these keys; whole numbers exactly, the others to three digits or more.

    - "windows": how many different windows (block_size 256) a stream of 1,000 ids holds;
    - "logits_bytes": the size of the logits of 64 windows of 256 characters, for a vocabulary of
      11,868 characters, in float32 (4 bytes each);
    - "first_loss": what that model should log before its first update, in nats;
    - "micro_steps": how many micro-batches of 16 windows of 2,048 tokens make one update of
      524,288 tokens;
    - "tokens_per_parameter": how many tokens 50,000 such updates see for each parameter of a model
      of 200 million;
    - "updates": how many such updates it takes to see 95,000,000 tokens once, all of them;
    - "evaluations": how often a run with max_steps=100 and eval_interval=30 measures its loss.

    >>> sizes = sizes_of_a_run()
    >>> sorted(sizes)[:3], len(sizes)
    (['evaluations', 'first_loss', 'logits_bytes'], 7)
    """
    return {
        "windows": 744,  # 1,000 − 256
        "logits_bytes": 777_781_248,  # 64 · 256 · 11,868 · 4: more than the model itself
        "first_loss": 9.3816,  # ln 11,868
        "micro_steps": 16,  # 524,288 ÷ (16 · 2,048)
        "tokens_per_parameter": 131.072,  # 50,000 · 524,288 ÷ 200,000,000
        "updates": 182,  # 181.2, and one that is begun is one
        "evaluations": 5,  # steps 0, 30, 60, 90 and 100
    }


def measured_run(
    draw_train: Callable[[torch.Generator], Tensor],
    draw_val: Callable[[torch.Generator], Tensor],
    update: Callable[[Tensor], None],
    measure: Callable[[Tensor], float],
    n_updates: int,
    eval_interval: int,
    seed: int,
) -> list[float]:
    """Mend this: `n_updates` updates, and now and then a measurement; return the measured losses.

    `draw_train(generator)` and `draw_val(generator)` give a batch, drawn with that generator.
    `update(batch)` trains on a batch, `measure(batch)` gives the loss of one. Before update 0,
    before update `eval_interval`, before update 2 · `eval_interval` and so on, the loss of a
    validation batch is measured.

    Each update gets a new training batch. They depend on `seed` and on nothing else: a run that
    measures more often trains on the same batches. All measurements of a run use one and the same
    validation batch, drawn with another seed: were both functions one, it would still be none of
    the training batches. The global generator of PyTorch is neither used nor changed.

    Symptom: the run with `eval_interval=10` ends with other weights than the run with 100. And the
    measured loss jumps up and down, even when the learning rate is 0.

    >>> def draw(generator):
    ...     return torch.rand(1, generator=generator)
    >>> ends = []
    >>> for interval in (1, 2):
    ...     seen = []
    ...     losses = measured_run(draw, draw, seen.append, float, 4, interval, seed=0)
    ...     ends.append(seen)
    ...     print(len(losses), len(set(losses)))
    4 1
    2 1
    >>> ends[0] == ends[1]
    True
    """
    generator = torch.Generator().manual_seed(seed)
    # A thermometer with a source of its own, asked once.
    fixed = draw_val(torch.Generator().manual_seed(seed + 1))
    losses = []
    for i in range(n_updates):
        if i % eval_interval == 0:
            losses.append(measure(fixed))
        update(draw_train(generator))
    return losses


# --- A test to write, and numbers to predict -----------------------------------------------------


def leaks_gradients(step_fn: Callable[..., tuple[float, float]]) -> bool:
    """Write a test: whether gradients of one update leak into the next one.

    `step_fn` has the signature of `training_step`: step_fn(model, batches, loss_fn, optimizers,
    config), returns (loss, grad_norm). Call it, with a model, batches and optimizers that you make
    here, and look at what it does. Return True if the gradient of an earlier call is still part of
    the update of a later call, for any of several optimizers, otherwise False.

    Careful: a right step may forget the gradients at its end or at its beginning, by setting them
    to None or to 0. All of these are right. Everything else about `step_fn` is in order.
    `mean_loss` above may be its loss.

    >>> def never_forgets(model, batches, loss_fn, optimizers, config):
    ...     loss = loss_fn(model(batches[0].idx), batches[0].targets, batches[0].mask)
    ...     loss.backward()
    ...     for optimizer in optimizers:
    ...         optimizer.step()
    ...     norm = nn.utils.clip_grad_norm_(model.parameters(), math.inf)
    ...     return loss.item(), norm.item()
    >>> leaks_gradients(never_forgets)
    True
    """
    model = nn.Sequential(nn.Embedding(3, 3), nn.Linear(3, 3))
    optimizers = [torch.optim.SGD(part.parameters(), lr=1.0) for part in model]
    ids = torch.tensor([[0, 1]])
    step_fn(model, [Batch(ids, ids)], mean_loss, optimizers, TrainConfig())
    before = nn.utils.parameters_to_vector(model.parameters())  # a copy, in one row
    # No target counts: the gradient is 0, so only old gradients can move a weight now.
    nothing = Batch(ids, ids, torch.tensor([[False, False]]))
    step_fn(model, [nothing], mean_loss, optimizers, TrainConfig())
    after = nn.utils.parameters_to_vector(model.parameters())
    return bool((after != before).any())


def accumulate(model: nn.Module, batches: Sequence[Batch], loss_fn: LossFn) -> float:
    """Mend this: add up the gradients of micro-batches; return the loss to be logged, a float.

    The gradients shall be those of one big batch which holds all micro-batches (there is at least
    one target that counts); they are added to those that the parameters hold. The loss that is
    returned shall be the mean over all targets of the big batch that count.

    Symptom: 8 windows as one batch log a loss of 7.5. The same 8 windows in 4 pieces log 1.9. Yet
    the gradients are equal.

    >>> table = nn.Embedding.from_pretrained(torch.zeros(3, 3), freeze=False)
    >>> batch = Batch(torch.tensor([[0]]), torch.tensor([[1]]))
    >>> [round(accumulate(table, [batch] * n, mean_loss), 3) for n in (1, 4)]  # both ln 3
    [1.099, 1.099]
    """
    n_tokens = sum(batch.n_tokens for batch in batches)
    total = 0.0
    for batch in batches:
        loss = loss_fn(model(batch.idx), batch.targets, batch.mask)
        loss = loss * (batch.n_tokens / n_tokens)
        loss.backward()
        total += loss.item()  # each piece holds only its share
    return total
