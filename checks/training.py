"""Checks of chapter 04."""

import contextlib
import math
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise, product
from numbers import Real
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from nanopoet.checker.door import Notes
from nanopoet.checker.trial import Difference, Trial, check
from nanopoet_ref import training as reference
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.training import Batch, StepLog, TrainConfig

V = 7  # characters of the toy language


# --- What the checks share -----------------------------------------------------------------------


class Toy(nn.Module):
    """A language model of a few weights. It notes in which mode it was asked, and for a graph.

    `extra` is a weight that takes part in nothing.
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.wte = nn.Embedding(V, 5)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(5, V)
        self.extra = nn.Parameter(torch.ones(2))
        self.modes: list[bool] = []
        self.graphs: list[bool] = []
        self.double()

    def forward(self, idx: Tensor) -> Tensor:
        self.modes.append(self.training)
        logits = self.head(self.dropout(self.wte(idx)))
        self.graphs.append(logits.requires_grad)
        return logits


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generators begin at `seed`; afterwards they are as they were."""
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    torch.default_generator.manual_seed(seed)  # of the CPU alone, which is faster
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])


@contextlib.contextmanager
def gradients_as_before() -> Iterator[None]:
    """Whether gradients are recorded stays as it is, whatever an answer does."""
    enabled = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_grad_enabled(enabled)


@contextlib.contextmanager
def clock_set_forward() -> Iterator[Callable[[float], None]]:
    """Gives a function that sets the clocks of `time` forward, so that nobody has to wait."""
    ahead = [0.0]
    clocks = {name: getattr(time, name) for name in ("time", "perf_counter", "monotonic")}
    for name, clock in clocks.items():
        setattr(time, name, lambda clock=clock: clock() + sum(ahead))
    try:
        yield ahead.append
    finally:
        for name, clock in clocks.items():
            setattr(time, name, clock)


def make_model(seed: int, dropout: float = 0.0) -> Toy:
    with seeded(seed):
        return Toy(dropout)


def make_batch(t: Trial, B: int, T: int, keep: Sequence[int] | None = None) -> Batch:
    """Random ids; of row i only the last keep[i] targets count."""
    mask = None if keep is None else torch.arange(T) >= T - torch.tensor(keep).unsqueeze(1)
    return Batch(t.randint(V, B, T), t.randint(V, B, T), mask)


def as_number(value: Any) -> Any:
    """A tensor of one number as this number; whether it was one is asked elsewhere."""
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def one_big(batches: Sequence[Batch]) -> Batch:
    """All rows in one batch (all of the same length, all with masks)."""
    return Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


class OurError(Exception):
    """Raised by a loss function, on purpose."""


# --- Batches -------------------------------------------------------------------------------------


def shifted(tokens: Tensor) -> tuple[Tensor, Tensor]:
    return tokens[:, :-1], tokens[:, 1:]


@check("training.shift", reference=shifted)
def shift(t: Trial) -> None:
    row = torch.tensor([[5, 6, 7, 8, 9]])
    t.same(row, why="the target is the id that comes next", parts=("idx", "targets"))

    @t.for_all(B=st.integers(1, 4), T=st.integers(1, 6), examples=10)
    def rows_stay_apart(B: int, T: int) -> None:
        tokens = t.randint(100, B, T + 1)
        t.same(
            tokens,
            why="each row is a text of its own, and T + 1 ids make T pairs",
            parts=("idx", "targets"),
        )

    for dtype in (torch.int32, torch.int64):
        t.compare(
            lambda f, dtype=dtype: [str(part.dtype) for part in f(row.to(dtype))],
            why="the ids stay what they are",
            name=f"for tokens of {dtype}, the list of dtypes",
        )
    long = t.randint(12_000, 3, 1001)
    t.same(long, why="rows may be long, and ids large", parts=("idx", "targets"))


def places(batch: Any, ids: np.ndarray) -> list[int] | None:
    """Where in the stream (of distinct ids) each row begins; None if a row is no window."""
    place = {int(value): i for i, value in enumerate(ids)}
    starts = []
    for row, targets in zip(batch.idx.tolist(), batch.targets.tolist(), strict=True):
        start = place.get(row[0], len(ids))
        whole = ids[start : start + len(row) + 1].tolist()
        if row != whole[:-1] or targets != whole[1:]:
            return None
        starts.append(start)
    return starts


def distinct_ids(t: Trial) -> np.ndarray:
    """Twelve ids in no order, the last of them too large for 16 bits with a sign."""
    ids = np.array(t.random.sample(range(100, 60_000), 12), dtype=np.uint16)
    ids[-1] = 65_000
    return ids


def draw(
    function: Callable, ids: np.ndarray, T: int, B: int, seed: int = 0, outside: int = 0
) -> Any:
    """A batch from a generator that begins at `seed`; the global ones begin at `outside`."""
    with seeded(outside):
        return function(ids, T, B, torch.Generator().manual_seed(seed))


def many_starts(t: Trial, ids: np.ndarray) -> list[int] | None:
    """Where 3600 windows of 6 begin; None if a row is no window."""
    return places(t.ask(lambda f: draw(f, ids, 6, 3600, t.seed)), ids)


@check("training.random_windows", reference=reference.random_windows)
def shape_and_type_of_a_batch(t: Trial) -> None:
    ids = distinct_ids(t)

    facts: dict[str, Callable[[Batch], Any]] = {
        "list of the shapes": lambda batch: [tuple(part.shape) for part in batch[:2]],
        "list of the dtypes": lambda batch: [str(part.dtype) for part in batch[:2]],
        "mask": lambda batch: "none" if batch.mask is None else "a mask",
    }
    for (T, B), (fact, of) in product(((6, 4), (1, 3), (4, 20)), facts.items()):
        t.compare(
            lambda f, T=T, B=B, of=of: of(Batch(*as_batch(draw(f, ids, T, B)))),
            why="idx and targets are int64 of shape (batch_size, block_size)",
            name=f"the {fact} of a batch of {B} windows of {T}",
        )


def as_batch(batch: Any) -> tuple:
    """Its three parts, by their names."""
    return batch.idx, batch.targets, batch.mask


@check("training.random_windows")
def a_long_stream(t: Trial) -> None:
    ids = torch.randperm(60_000, generator=t.generator).numpy().astype(np.uint16)
    starts = places(t.ask(lambda f: draw(f, ids, 300, 200, t.seed)), ids)
    t.require(
        starts is not None,
        "some row of 300 is no piece of a stream of 60,000 ids",
        "windows and streams may be long",
    )
    t.require(
        starts is None or max(starts) > 40_000,
        "no window of 200 begins in the last third of a stream of 60,000 ids",
        "every window of the stream must be possible",
    )


@check("training.random_windows")
def windows_that_come(t: Trial) -> None:
    many = many_starts(t, distinct_ids(t))
    t.require(
        many is not None,
        "some row is no piece of the stream, with its targets one place on",
        "the model must see text as it stands, and be asked for what follows",
    )
    starts = Counter(many or range(6))  # of rows that are no pieces, only this is wrong
    t.equals(
        sorted(starts),
        list(range(6)),
        why="12 ids hold 6 windows of 6: the last target may be the last id",
        name="the list of starts that came",
    )
    t.require(
        many is None or all(450 < starts[i] < 750 for i in range(6)),
        "some windows come more often than others",
        "each place of the stream should be trained on equally often",
        "each of the 6 starts about 600 times in 3600",
        " ".join(str(starts[i]) for i in range(6)),
    )


@check("training.random_windows")
def each_row_drawn_for_itself(t: Trial) -> None:
    ids = distinct_ids(t)
    many = many_starts(t, ids)

    # Two rows, three windows: after 150 batches from one generator every pair has come.
    def from_one_generator(f: Callable) -> list[Batch]:
        generator = torch.Generator().manual_seed(t.seed)
        with seeded(t.seed):
            return [f(ids, 9, 2, generator) for _ in range(150)]

    rows = t.ask(from_one_generator)
    t.require(
        len({str(batch.idx.tolist()) for batch in rows}) > 1,
        "each call with the same generator gives the same batch",
        "the generator must go on: the next update needs another batch",
    )
    pairs = {tuple(places(batch, ids) or ()) for batch in rows}
    every = sorted(product(range(3), repeat=2))
    t.equals(
        every if many is None else sorted(pairs),
        every,
        why="each row is drawn for itself; the same window may come twice",
        name="the list of pairs of windows that came in batches of 2",
    )


@check("training.random_windows")
def randomness_from_the_generator_alone(t: Trial) -> None:
    ids = distinct_ids(t)

    def watched(f: Callable) -> tuple[Batch, bool]:
        with seeded(1):
            before = torch.get_rng_state()
            batch = f(ids, 4, 20, torch.Generator().manual_seed(t.seed))
            return batch, torch.equal(before, torch.get_rng_state())

    one, untouched = t.ask(watched)
    t.require(
        untouched,
        "torch's global generator was changed",
        "dropout draws from it: whoever draws batches must not disturb it",
    )
    other = t.ask(lambda f: draw(f, ids, 4, 20, t.seed, outside=2))
    t.require(
        torch.equal(one.idx, other.idx),
        "two equal generators give different batches",
        "batch 7 of a run must be the same whenever it is asked for",
    )
    t.require(
        len(
            {
                str(t.ask(lambda f, seed=seed: draw(f, ids, 4, 20, seed)).idx.tolist())
                for seed in range(5)
            }
        )
        == 5,
        "five different generators do not give five different batches",
        "randomness comes from the generator, and from nothing else",
    )


@check("training.random_windows")
def streams_of_one_window_and_of_none(t: Trial) -> None:
    ids = distinct_ids(t)

    def whole(function: Callable, stream: np.ndarray) -> dict[str, Any]:
        stream = stream.copy()
        batch = function(stream, len(stream) - 1, 2, torch.Generator().manual_seed(0))
        return {"idx": batch.idx, "targets": batch.targets, "ids after the call": stream}

    for stream in (ids, np.array([3, 1, 2], dtype=np.int32), np.array([2, 9])):
        t.compare(
            lambda f, stream=stream: whole(f, stream),
            why="a stream of block_size + 1 ids is exactly one window",
            name=f"the batch from {len(stream)} ids of {stream.dtype}",
        )
    for length in (6, 1, 0):
        short = ids[:length]
        t.refuses(
            short,
            6,
            2,
            torch.Generator(),
            why=f"{length} ids hold no window of 6 with its last target",
        )


# --- Measuring -----------------------------------------------------------------------------------


def batches_to_measure(t: Trial) -> tuple[Batch, Batch, Batch, Batch]:
    """One target that counts, many, some in most rows, and none."""
    return (
        make_batch(t, 1, 3, keep=[1]),
        make_batch(t, 5, 8),
        make_batch(t, 4, 6, keep=[6, 0, 1, 3]),
        make_batch(t, 2, 4, keep=[0, 0]),
    )


def estimate(
    t: Trial,
    function: Callable,
    batches: Sequence[Batch],
    training: bool = True,
    dropout: float = 0.0,
    loss_fn: Callable = masked_cross_entropy,
    recorded: bool = True,
) -> dict[str, Any]:
    """What an answer measures, and what it leaves behind."""
    model = make_model(t.seed, dropout).train(training)
    model.extra.requires_grad_(False)  # frozen, as in a fine-tuning
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    state: dict[str, Any] = {}
    with seeded(t.seed), gradients_as_before():
        torch.set_grad_enabled(recorded)
        random_state = torch.get_rng_state()
        try:
            loss = function(model, iter(batches), loss_fn)
            state |= {LOSS: as_number(loss), FLOAT: isinstance(loss, float)}
        except OurError:
            pass
        state[RECORDS] = torch.is_grad_enabled()
        state[RANDOM] = torch.equal(random_state, torch.get_rng_state())
    state[MODE] = f"{in_modes(model.modes)}, {len(model.modes)} times"
    state[GRAPH] = "a graph" if any(model.graphs) else "no graph"
    state[MODE_AFTER] = in_modes([module.training for module in model.modules()])
    kept = [p.grad is not None and bool((p.grad == 1).all()) for p in model.parameters()]
    state[KEPT] = all(kept)
    state[LEARN] = [name for name, p in model.named_parameters() if p.requires_grad]
    return state


def in_modes(modes: Sequence[bool]) -> str:
    return " and ".join(sorted({"train mode" if mode else "eval mode" for mode in modes}))


# What is known about a measurement, in words, and why it matters.
MODE, GRAPH = "the mode in which the model is asked", "what is kept of each batch for gradients"
LOSS, FLOAT = "the loss", "whether the loss is a float"
MODE_AFTER, RECORDS = "the mode afterwards", "whether PyTorch records gradients afterwards"
RANDOM, KEPT = "whether its random numbers are untouched", "whether the gradients are kept"
LEARN = "the list of weights that want gradients"
WHYS = {
    MODE: "with dropout the number is too high, and another one each time",
    GRAPH: "eval() does not stop the bookkeeping for gradients, and it takes memory",
    FLOAT: "a tensor is no number for a log",
    LOSS: "a measurement must leave the run as it found it, and measure the same each time",
    MODE_AFTER: "a measurement must leave the run as it found it",
    RECORDS: "the next update needs gradients; who switched them off wants them off",
    RANDOM: "dropout of the training draws from them: measuring must not change the run",
    KEPT: "a loop may be collecting gradients while it measures",
    LEARN: "a frozen weight stays frozen, and the others go on learning",
}


@check("training.estimate_loss", reference=reference.estimate_loss)
def mean_over_all_targets(t: Trial) -> None:
    few, many, some, nothing = batches_to_measure(t)
    t.compare(
        lambda f: estimate(t, f, [few, many])[LOSS],
        why="a token weighs the same in a batch of 1 and in a batch of 40",
        name="the loss",
    )
    t.compare(
        lambda f: estimate(t, f, [some, few, nothing, many, few])[LOSS],
        why="only targets that count have a loss, and only they are counted",
        name="the loss with masks",
    )
    t.compare(
        lambda f: estimate(t, f, [some, many], dropout=0.5)[LOSS],
        why="with dropout the number is too high, and another one each time",
        name="the loss of a model with dropout",
    )
    long = [make_batch(t, 2, 300, keep=[300, 7]), make_batch(t, 1, 200), few]
    t.compare(
        lambda f: estimate(t, f, long)[LOSS],
        why="rows may be long; every target that counts has the same say",
        name="the loss of long rows",
    )


@check("training.estimate_loss")
def what_a_measurement_leaves_behind(t: Trial) -> None:
    few, many, some, _ = batches_to_measure(t)
    for training in (True, False):

        @cache  # each answer is used once
        def state(function: Callable, training: bool = training) -> dict[str, Any]:
            return estimate(t, function, [few, some], training, dropout=0.5)

        for what, why in WHYS.items():
            t.compare(
                lambda f, state=state, what=what: state(f)[what],
                why=why,
                name=f"of a model in {in_modes([training])}, {what}",
            )
    t.compare(
        lambda f: estimate(t, f, [few, many])[GRAPH],
        why=WHYS[GRAPH],
        name=f"without dropout, {GRAPH}",
    )
    for recorded in (True, False):
        t.compare(
            lambda f, recorded=recorded: estimate(t, f, [few], recorded=recorded)[RECORDS],
            why=WHYS[RECORDS],
            name=f"called where PyTorch {'records' if recorded else 'does not'}, {RECORDS}",
        )


@check("training.estimate_loss")
def an_error_and_nothing_to_measure(t: Trial) -> None:
    few, _, _, nothing = batches_to_measure(t)

    def fails(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        raise OurError

    for mode, what in product((True, False), WHYS):
        if what not in (LOSS, FLOAT):
            t.compare(
                lambda f, mode=mode, what=what: estimate(t, f, [few], mode, loss_fn=fails)[what],
                why="an error in the loss must not leave the model without dropout for ever",
                name=f"after an error, of a model in {in_modes([mode])}, {what}",
            )
    for name, batches in (("no batches", []), ("two masks of False", [nothing, nothing])):
        with gradients_as_before():
            t.refuses(
                make_model(t.seed),
                batches,
                masked_cross_entropy,
                why=f"with {name} there is no mean, and 0 would look like a perfect model",
            )


# --- One update ----------------------------------------------------------------------------------


def micro_batches(t: Trial) -> tuple[Batch, Batch, Batch, Batch]:
    """One target that counts, twenty, none, and a batch without a mask."""
    return (
        make_batch(t, 2, 6, keep=[1, 0]),
        make_batch(t, 4, 6, keep=[6, 5, 6, 3]),
        make_batch(t, 3, 6, keep=[0, 0, 0]),
        make_batch(t, 1, 4),
    )


def one_step(
    t: Trial,
    function: Callable,
    batches: Sequence[Batch],
    clip: float | None = None,
    leftover: float = 0.0,
    training: bool = True,
    loss_fn: Callable = masked_cross_entropy,
    on_forward: Callable | None = None,
) -> dict[str, Any]:
    """What a step with two optimizers returns, and what it leaves behind."""
    model = make_model(t.seed).train(training)
    if on_forward:
        model.register_forward_hook(on_forward)
    optimizers = [
        torch.optim.SGD([model.wte.weight], lr=1.0),
        torch.optim.SGD([*model.head.parameters(), model.extra], lr=0.5),
    ]
    if leftover:
        for p in (model.wte.weight, *model.head.parameters()):
            p.grad = torch.full_like(p, leftover)
    config = TrainConfig(grad_clip=clip)
    loss, norm = function(model, batches, loss_fn, optimizers, config)
    return {
        "loss": as_number(loss),
        "gradient norm": as_number(norm),
        "weights": weights_of(model),
        "floats": isinstance(loss, float) and isinstance(norm, float),
        "gradients forgotten": all(p.grad is None or not p.grad.any() for p in model.parameters()),
        "train mode": [*model.modes, model.training],
    }


STEP = ("weights", "gradient norm", "loss")
SAID = {
    "weights": "the weights after {}",
    "gradient norm": "the gradient norm of {}",
    "loss": "the loss of {}",
    "gradients forgotten": "whether the gradients are forgotten after {}",
    "floats": "whether loss and norm of {} are floats",
    "train mode": "the list of modes in {}, True for train mode,",
}


def same_step(t: Trial, what: str, why: str, names: Sequence[str] = STEP, **options: Any) -> None:
    """Compare what is known about a step, one after the other: each may be wrong for itself."""

    @cache  # each answer makes the step once
    def found(function: Callable) -> dict[str, Any]:
        return one_step(t, function, **options)

    for name in names:
        said = SAID[name].format(what)
        try:
            t.compare(lambda f, name=name: found(f)[name], why=why, name=said)
        except Difference as difference:
            of_one = re.match(rf"'(.+?)' of {re.escape(said)}(.*)", difference.symptom)
            if of_one:
                difference.symptom = f"{of_one[1]} after {what}{of_one[2]}"
            raise


@check("training.training_step", reference=reference.training_step)
def update_from_one_batch(t: Trial) -> None:
    *_, unmasked = micro_batches(t)
    why = "forward, loss, backward, then a step of every optimizer"
    same_step(t, "the step on one batch", why, batches=[unmasked])
    why = "PyTorch adds: what is not forgotten is part of the next update"
    same_step(t, "the step on one batch", why, ["gradients forgotten"], batches=[unmasked])


@check("training.training_step")
def share_of_each_micro_batch(t: Trial) -> None:
    small, large, nothing, unmasked = micro_batches(t)
    pieces = [large, small]
    why = "a piece with 20 targets must weigh 20 times as much as one with 1"
    same_step(t, "the step on two micro-batches", why, batches=pieces)
    if not t.collecting:
        whole, cut = (
            t.ask(lambda f, given=given: one_step(t, f, given))
            for given in ([one_big(pieces)], pieces)
        )
        t.require(
            math.isclose(whole["loss"], cut["loss"], rel_tol=1e-6),
            "one batch and its pieces give different losses",
            "cutting a batch in pieces changes the memory, and nothing else",
            f"{whole['loss']:.4f}",
            f"{cut['loss']:.4f}",
        )
    why = "the one target that counts is the whole of it"
    same_step(t, "the step on one target", why, batches=[small])
    why = "a piece in which nothing counts weighs nothing"
    same_step(t, "the step on four micro-batches", why, batches=[small, nothing, unmasked, large])


@check("training.training_step")
def clipping_of_the_whole_gradient(t: Trial) -> None:
    small, large, *_ = micro_batches(t)
    why = (
        "the gradient of the whole update is shortened as one vector, if it is too long; "
        "the norm in the log is the one before"
    )
    for clip in (0.05, 50.0):
        same_step(t, f"the step with grad_clip={clip}", why, batches=[large, small], clip=clip)
    why = "0.0 is a limit, too: nothing moves. Only None means never to clip"
    same_step(t, "the step with grad_clip=0.0", why, batches=[large, small], clip=0.0)


@check("training.training_step")
def what_the_caller_hands_over_and_gets_back(t: Trial) -> None:
    small, large, nothing, _ = micro_batches(t)
    pieces = [large, small]
    why = "a caller may have added gradients of their own; forget after the step, not before"
    there = {"batches": pieces, "leftover": 0.3}
    same_step(t, "the step with gradients there before", why, STEP[:2], **there)
    why = "numbers go to the log"
    same_step(t, "the step", why, ["floats"], batches=pieces)
    for training in (True, False):
        why = "the mode of the model is the caller's business"
        given = {"batches": pieces, "training": training}
        same_step(t, f"the step on a model in {in_modes([training])}", why, ["train mode"], **given)
    everything = (*STEP, "gradients forgotten")
    why = "with nothing to learn from, nothing moves"
    same_step(
        t, "the step without a target that counts", why, everything, batches=[nothing, nothing]
    )


@check("training.training_step")
def a_step_on_long_rows(t: Trial) -> None:
    long = [make_batch(t, 2, 300, keep=[300, 20]), make_batch(t, 1, 200)]
    same_step(t, "the step on long rows", "rows may be long", batches=long, clip=0.5)


@check("training.training_step")
def one_micro_batch_in_memory_at_a_time(t: Trial) -> None:
    small, large, _, unmasked = micro_batches(t)

    def order(function: Callable) -> list[str]:
        events = []

        def spy(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
            events.append(f"loss of {len(targets)} rows")
            logits.register_hook(lambda grad: events.append("backward"))
            return masked_cross_entropy(logits, targets, mask)

        def forward(model: nn.Module, given: tuple[Tensor], logits: Tensor) -> None:
            events.append(f"forward of {len(logits)} rows")

        one_step(t, function, [small, unmasked, large], loss_fn=spy, on_forward=forward)
        return events

    t.compare(
        order,
        why="a micro-batch whose backward pass waits still occupies its memory",
        name="what happened, in order,",
    )


@check("training.training_step")
def several_updates_in_a_row(t: Trial) -> None:
    small, large, _, unmasked = micro_batches(t)

    def momentum(function: Callable) -> dict[str, Any]:
        model = make_model(t.seed)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
        config, results = TrainConfig(grad_clip=1.0), []
        for batches in ([large], [large, small], [unmasked, small]):
            results.append(function(model, batches, masked_cross_entropy, [optimizer], config))
        return {"loss and norm": results, "weights": weights_of(model)}

    t.compare(
        momentum,
        why="each update begins with fresh gradients; AdamW leaves a weight without one alone",
        name="a run of three steps",
    )


# --- The learning rate and the loop --------------------------------------------------------------


def rates_set(optimizers: Sequence[torch.optim.Optimizer], mult: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if "initial_lr" not in group:
                group["initial_lr"] = group["lr"]
            group["lr"] = group["initial_lr"] * mult


def make_groups(*rates: float) -> list[dict[str, Any]]:
    return [{"params": [nn.Parameter(torch.ones(2))], "lr": lr} for lr in rates]


@check("training.set_learning_rate", reference=rates_set)
def set_learning_rate(t: Trial) -> None:
    def rates(function: Callable, mults: Sequence[float], resumed: bool = False) -> list:
        optimizers = [
            torch.optim.SGD(make_groups(0.4, 0.03)),
            torch.optim.AdamW(make_groups(0.002, 0.1, 0.6)),
        ]
        if resumed:  # as a checkpoint leaves it: the rate of the last update beside the first one
            for group in (optimizers[0].param_groups[1], optimizers[1].param_groups[0]):
                group |= {"initial_lr": 0.7, "lr": 0.21}
        found = []
        for mult in mults:
            function(optimizers, mult)
            groups = [group for optimizer in optimizers for group in optimizer.param_groups]
            found.append(
                {key: [group.get(key) for group in groups] for key in ("lr", "initial_lr")}
            )
        return found

    t.compare(
        lambda f: [state["lr"] for state in rates(f, [0.5])],
        why="groups have rates of their own: a head may learn slower than an embedding",
        name="the rates of two and three groups",
    )
    t.compare(
        lambda f: [state["lr"] for state in rates(f, [0.5, 0.5, 1.0, 0.0, 1.25])],
        why="each multiplier applies to the first rate, not to the last one",
        name="the rates after each of five calls",
    )
    t.compare(
        lambda f: [state["initial_lr"] for state in rates(f, [0.5, 1.5])],
        why="initial_lr is written once, and then only read",
        name="initial_lr after each of two calls",
    )
    for key in ("lr", "initial_lr"):
        t.compare(
            lambda f, key=key: [state[key] for state in rates(f, [0.1, 0.8], resumed=True)],
            why="a run that goes on finds initial_lr there; the lr beside it is already multiplied",
            name=f"in a resumed run, {key} after each of two calls",
        )


@check("training.set_learning_rate")
def rates_that_are_floats(t: Trial) -> None:
    def kinds(function: Callable) -> str:
        optimizer = torch.optim.SGD(make_groups(0.4, 0.03))
        function([optimizer], 0.5)
        return kinds_of([group["lr"] for group in optimizer.param_groups])

    t.compare(
        kinds,
        why="a rate is a float: it is written into logs and checkpoints, and compared",
        name="what the rates are",
    )


def fields(log: StepLog) -> dict[str, Any]:
    """What a log holds, without the seconds, which differ from run to run."""
    names = ("step", "loss", "lr", "grad_norm", "tokens", "train_loss", "val_loss")
    found = {name: getattr(log, name) for name in names}
    return {name: "none" if value is None else value for name, value in found.items()}


def optimizers_of(
    model: Toy, initial_lr: float | None, bound: float | None
) -> list[torch.optim.Optimizer]:
    """Two optimizers with three groups, each with a rate of its own."""
    first = torch.optim.SGD([{"params": [model.wte.weight], "lr": 0.8}], lr=0.8)
    second = torch.optim.SGD(
        [{"params": [model.head.weight], "lr": 0.2}, {"params": [model.head.bias], "lr": 0.05}]
    )
    (group,) = first.param_groups
    if initial_lr:  # as in a resumed run
        group["initial_lr"] = initial_lr
    if bound:  # an optimizer that decides about its rate when it makes its step
        first.register_step_pre_hook(lambda *_: group.update(lr=min(group["lr"], bound)))
    return [first, second]


class Runs:
    """Runs of the loop, all on the same batches. One like another before is not made again."""

    def __init__(self, t: Trial) -> None:
        self.seed = t.seed
        self.stream = [make_batch(t, 2, 5, keep=[5, t.random.randint(1, 4)]) for _ in range(12)]
        self.fixed = {
            "val": [make_batch(t, 1, 3, keep=[1]), make_batch(t, 3, 5)],
            "train": [make_batch(t, 4, 4)],
        }
        self.known = Notes()

    def run(
        self,
        function: Callable,
        max_steps: int = 4,
        eval_interval: int = 10,
        micro_steps: int = 1,
        start_step: int = 0,
        dropout: float = 0.0,
        initial_lr: float | None = None,
        splits: Sequence[str] = (),
        watched: bool = True,
        bound: float | None = None,
        clip: float | None = None,
        loss_fn: Callable = masked_cross_entropy,
    ) -> dict[str, Any]:
        model = make_model(self.seed, dropout).eval()
        taken: list[int] = []
        asked: list[int] = []
        calls: list[Any] = []

        def next_batch() -> Batch:
            taken.append(len(taken))
            return self.stream[(len(taken) - 1) % len(self.stream)]

        def lr_mult(step: int) -> float:
            asked.append(step)
            return 1 / (step + 1.5)

        def callback(log: StepLog) -> None:
            weight = model.head.weight.detach().clone()
            calls.append({"log": fields(log), "batches taken": len(taken), "head.weight": weight})

        options: dict[str, Any] = {"optimizers": optimizers_of(model, initial_lr, bound)}
        if splits:
            options["eval_batches"] = {split: self.fixed[split] for split in splits}
        if watched:
            options["callback"] = callback
        if start_step:
            options["start_step"] = start_step
        config = TrainConfig(max_steps, micro_steps, eval_interval, clip)
        with seeded(self.seed):
            logs = function(model, next_batch, loss_fn, lr_mult, config, **options)
        return {
            "logs": None if logs is None else {f"step {log.step}": fields(log) for log in logs},
            "steps": [log.step for log in logs or []],
            "weights": weights_of(model),
            "steps for which lr_mult was asked": sorted(set(asked)),
            "batches taken": len(taken),
            "callback": calls,
            "modes": model.modes,
            "seconds": [log.seconds for log in logs or [] if log.step],
            "container": type(logs).__name__,
        }

    def once(self, function: Callable, **options: Any) -> dict[str, Any]:
        """A run like one before is not made again."""
        key = f"{id(function)} {options}"
        if key not in self.known:
            self.known[key] = self.run(function, **options)
        return self.known[key]

    def column(self, name: str, **options: Any) -> Callable[[Callable], list | None]:
        """One field of all logs."""

        def use(function: Callable) -> list | None:
            logs = self.once(function, **options)["logs"]
            if logs is None:
                return None
            return [log[name] for log in logs.values()]

        return use

    def parts(self, *names: str, **options: Any) -> Callable[[Callable], dict[str, Any]]:
        """Some of what is known about a run."""

        def use(function: Callable) -> dict[str, Any]:
            found = self.once(function, **options)
            return {name: found[name] for name in names}

        return use


@check("training.train", reference=reference.train)
def one_log_for_each_update(t: Trial) -> None:
    runs = Runs(t)
    t.compare(
        runs.column("step"),
        why="one log for the untrained model, then one for each update",
        name="the steps of the logs",
    )
    t.compare(
        runs.parts("batches taken", "steps for which lr_mult was asked"),
        why="update i uses multiplier i, beginning with 0, and one batch",
        name="a run of 4 updates",
    )


@check("training.train")
def the_rates_of_each_update(t: Trial) -> None:
    runs = Runs(t)
    t.compare(
        runs.column("lr"),
        why="the log tells which rate acted: initial_lr times the multiplier of this update",
        name="the logged learning rates",
    )
    t.compare(
        runs.column("lr", bound=0.3),
        why="only the optimizer knows which rate acted: read it back after the update",
        name="with an optimizer that makes its rate 0.3 at most, the logged learning rates",
    )


@check("training.train")
def learning_with_dropout(t: Trial) -> None:
    t.compare(
        Runs(t).parts("steps", "logs", "weights", dropout=0.5),
        why="the model learns in train mode, even if it is handed in eval mode",
        name="the run of a model with dropout",
    )


@check("training.train")
def what_is_measured_and_told(t: Trial) -> None:
    runs = Runs(t)
    t.compare(
        runs.column("val_loss", eval_interval=2, max_steps=5, splits=["val"]),
        why="measure before the first update, at every multiple of eval_interval, after the last",
        name="val_loss of steps 0 to 5, eval_interval=2,",
    )
    both = {"max_steps": 4, "eval_interval": 2, "splits": ["val", "train"], "dropout": 0.3}
    t.compare(
        runs.parts("steps", "logs", "weights", "modes", **both),
        why="each split is measured on its own batches, and measuring changes no weight",
        name="the run with both splits",
    )
    t.compare(
        runs.parts("callback", **both),
        why="the callback saves checkpoints: it needs the finished step and its whole log",
        name="what the callback saw",
    )


@check("training.train")
def micro_batches_of_an_update(t: Trial) -> None:
    names = ("steps", "logs", "weights", "batches taken")
    t.compare(
        Runs(t).parts(*names, max_steps=3, micro_steps=3, clip=0.1),
        why="one update takes micro_steps batches, and its tokens are those of all of them",
        name="the run with 3 micro-batches and clipping",
    )


@check("training.train")
def a_run_that_goes_on(t: Trial) -> None:
    names = ("steps", "logs", "weights", "steps for which lr_mult was asked")
    resumed = {"start_step": 3, "max_steps": 5, "initial_lr": 2.5, "eval_interval": 4}
    t.compare(
        Runs(t).parts(*names, splits=["train"], **resumed),
        why="an interrupted run goes on where it stopped: no step 0, no schedule from the start",
        name="the run from start_step=3",
    )


@check("training.train")
def runs_with_little_to_do(t: Trial) -> None:
    runs = Runs(t)
    names = ("steps", "logs", "batches taken")
    for max_steps, start in ((0, 0), (3, 3)):
        t.compare(
            runs.parts(*names, max_steps=max_steps, start_step=start, splits=["val"]),
            why="with no update to do, only the untrained model can be measured",
            name=f"the run with max_steps={max_steps}, start_step={start}",
        )
    t.compare(
        runs.parts("steps", "logs", "weights", max_steps=2, watched=False),
        why="without a callback and without eval_batches the loop trains all the same",
        name="the run with nothing to watch",
    )


@check("training.train")
def seconds_without_evaluation(t: Trial) -> None:
    runs = Runs(t)
    options: dict[str, Any] = {"max_steps": 2, "eval_interval": 1, "splits": ["train"]}

    def seconds_of_updates(f: Callable) -> list[float]:
        with clock_set_forward() as forward:

            def slow(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
                if not logits.requires_grad:  # it is measured
                    forward(1000.0)
                return masked_cross_entropy(logits, targets, mask)

            return runs.run(f, **options, loss_fn=slow)["seconds"]

    seconds = t.ask(seconds_of_updates)
    shown = " ".join(f"{value:.4f}" for value in seconds)
    t.require(
        len(seconds) == 2 and min(seconds) > 0,
        "the seconds of an update are missing",
        "tokens divided by seconds is the speed of training",
        "more than 0 for each of 2 updates",
        shown,
    )
    t.require(
        len(seconds) == 2 and max(seconds) < 1000,
        "the seconds hold the time of the evaluation, too",
        "a run that measures more often would seem to train more slowly",
        "less than 1000, which is what each measurement took",
        shown,
    )


@check("training.train")
def late_in_a_long_run(t: Trial) -> None:
    runs = Runs(t)
    runs.fixed["val"].append(make_batch(t, 1, 300, keep=[40]))
    late = {"max_steps": 300, "start_step": 288, "eval_interval": 5, "splits": ["val"]}
    for name in ("step", "lr", "loss", "val_loss"):
        t.compare(
            runs.column(name, **late, watched=False),
            why="a run has as many updates as the config says, and all are made alike",
            name=f"the list of {name} in the logs of updates 288 to 299",
        )
    t.compare(
        lambda f: f"a {runs.once(f, **late, watched=False)['container']}",
        why="the stub names a list, to which whoever goes on with the run adds logs",
        name="what is returned",
    )


# --- AdamW by hand -------------------------------------------------------------------------------


def torch_adamw_step(
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
    """What torch.optim.AdamW does, from the state that is given."""
    weight = nn.Parameter(p.clone())
    optimizer = torch.optim.AdamW([weight], lr, betas, eps, weight_decay)
    state = {"step": torch.tensor(float(step - 1)), "exp_avg": m.clone(), "exp_avg_sq": v.clone()}
    optimizer.state[weight] = state
    weight.grad = grad.clone()
    optimizer.step()
    return weight.detach(), state["exp_avg"], state["exp_avg_sq"]


@check("training.adamw_step", reference=torch_adamw_step)
def adamw_step(t: Trial) -> None:
    names = ("the new p", "the new m", "the new v")
    p, grad = t.randn(5), t.randn(5)
    zero = torch.zeros(5, dtype=torch.float64)
    t.same(
        p, grad, zero, zero, 1, 0.01, (0.9, 0.95), 1e-8, 0.0,
        why="the first step goes one learning rate against the sign of the gradient",
        parts=names,
    )  # fmt: skip
    t.same(
        p, zero, zero, zero, 1, 0.1, (0.9, 0.95), 1e-8, 0.3,
        why="decay takes lr · weight_decay of the weight, apart from the gradient",
        parts=names,
    )  # fmt: skip
    m, v = t.randn(3, 4), t.randn(3, 4).square()
    p, grad = t.randn(3, 4), 3 * t.randn(3, 4)
    for step, eps in ((1, 1e-8), (4, 0.2), (500, 0.01)):
        t.same(
            p, grad, m, v, step, 0.05, (0.8, 0.97), eps, 0.4,
            why="correct m and v, divide by the root plus eps, decay by lr · weight_decay",
            parts=names,
        )  # fmt: skip

    def many_steps(function: Callable) -> list[Tensor]:
        path = []
        p, m, v = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
        for step, grad in enumerate(grads, start=1):
            p, m, v = function(p, grad.clone(), m, v, step, 0.03, (0.9, 0.99), 1e-6, 0.2)
            path.append(p.clone())
        return path

    start = t.randn(2, 3)
    grads = [t.randn(2, 3) * 10.0**power for power in (0, -3, 2, -1, 0)]
    t.compare(many_steps, why="m and v are what the next step starts from", name="p, five times")


@check("training.adamw_step")
def adamw_of_real_size(t: Trial) -> None:
    names = ("the new p", "the new m", "the new v")
    p, grad, m, v = t.randn(12_000), t.randn(12_000), t.randn(12_000), t.randn(12_000).square()
    for step in (150, 1000):
        t.same(
            p, grad, m, v, step, 0.003, (0.9, 0.999), 1e-8, 0.1,
            why="with betas near 1 the correction still matters after a thousand steps",
            parts=[f"{name} of 12,000 numbers at step {step:,}" for name in names],
        )  # fmt: skip


# --- Bugs ----------------------------------------------------------------------------------------


def updates_at_rate(
    optimizer: torch.optim.Optimizer,
    fill_gradients: Callable[[], None],
    lr_mult: Callable[[int], float],
    start_frac: float,
    n_updates: int,
) -> list[float]:
    for group in optimizer.param_groups:
        group["first"] = group["lr"] * start_frac
    logged = []
    for i in range(n_updates):
        for group in optimizer.param_groups:
            group["lr"] = group["first"] * lr_mult(i)
        fill_gradients()
        optimizer.step()
        logged.append(optimizer.param_groups[0]["lr"])
    return logged


def rates_of_updates(
    function: Callable,
    mults: Sequence[float],
    frac: float,
    *rates: float,
    earlier: float | None = None,
) -> dict[str, list]:
    """Plain descent with gradients of 1: each weight moves by the rate that acted."""
    optimizer = torch.optim.SGD(make_groups(*rates))
    if earlier:  # what set_learning_rate left in an earlier run
        for group in optimizer.param_groups:
            group["initial_lr"] = earlier
    weights = [group["params"][0] for group in optimizer.param_groups]
    path = []

    def fill() -> None:
        path.append([weight[0].item() for weight in weights])
        for weight in weights:
            weight.grad = torch.ones_like(weight)

    def lr_mult(i: int) -> float:
        return mults[i] if i < len(mults) else 0.9

    logged = function(optimizer, fill, lr_mult, frac, len(mults))
    path.append([weight[0].item() for weight in weights])
    moves = [
        {f"group {j}": move[0] - move[1] for j, move in enumerate(zip(*pair, strict=True))}
        for pair in pairwise(path)
    ]
    return {"acted": {f"update {i}": move for i, move in enumerate(moves)}, "were logged": logged}


@check("training.scheduled_updates", reference=updates_at_rate)
def rates_that_act_and_are_logged(t: Trial) -> None:
    runs = {
        "one update": ([1.0], 0.5, 0.4),
        "four updates": ([0.5, 1.0, 1.0, 0.25], 0.5, 0.4),
        "three groups": ([1.0, 0.2, 0.6], 0.3, 0.4, 0.05, 0.9),
    }
    whys = {
        "acted": "in update i each group's rate is its own lr · start_frac · lr_mult(i)",
        "were logged": "the log must tell the rate that acts, and the weights move by this one",
    }
    for (name, arguments), (key, why) in product(runs.items(), whys.items()):
        t.compare(
            lambda f, arguments=arguments, key=key: rates_of_updates(f, *arguments)[key],
            why=why,
            name=f"the rates that {key} in the run with {name}",
            rtol=1e-4,  # weights are float32 here, as in training
            atol=1e-5,
        )


@check("training.scheduled_updates")
def after_an_earlier_run_and_without_updates(t: Trial) -> None:
    t.compare(
        lambda f: rates_of_updates(f, [1.0], 0.5, 0.4, 0.2, earlier=0.8),
        why="the lr that is found at the call counts, whatever an earlier run has stored",
        name="after an earlier run, the rates",
        rtol=1e-4,
        atol=1e-5,
    )
    t.compare(
        lambda f: rates_of_updates(f, [], 0.5, 0.4),
        why="without updates there is nothing to log",
        name="the rates of no update",
    )
    t.compare(
        lambda f: a_list(rates_of_updates(f, [1.0, 0.5], 0.5, 0.4)["were logged"]),
        why="the stub names a list of floats: a log of tensors keeps them in memory",
        name="what is returned",
    )


def a_list(found: Any) -> str:
    """What was returned for a list of floats."""
    if not isinstance(found, list | tuple):
        return f"a {type(found).__name__}"
    return f"a list of {kinds_of(found)}"


def kinds_of(found: Sequence[Any]) -> str:
    kinds = {"floats" if isinstance(x, Real) else f"{type(x).__name__}s" for x in found}
    return " and ".join(sorted(kinds))


def run_with_two_sources(
    draw_train: Callable,
    draw_val: Callable,
    update: Callable,
    measure: Callable,
    n_updates: int,
    eval_interval: int,
    seed: int,
) -> list[float]:
    train, fixed = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)
    batch, losses = draw_val(fixed), []
    for i in range(n_updates):
        if i % eval_interval == 0:
            losses.append(measure(batch))
        update(draw_train(train))
    return losses


def watched_run(
    function: Callable, interval: int, seed: int = 3, outside: int = 0, val: int = 5000
) -> dict:
    """Batches are lists of numbers: from 1000 on for training, from `val` on for validation."""
    events, trained, measured = [], [], []

    def draw_from(first: int) -> Callable:
        return lambda generator: first + torch.randint(1000, (4,), generator=generator)

    def train_on(batch: Tensor) -> None:
        events.append("update")
        trained.append(batch.tolist())

    def measure(batch: Tensor) -> float:
        events.append("measure")
        measured.append(batch.tolist())
        return float(len(events))

    with seeded(outside):
        before = torch.get_rng_state()
        losses = function(draw_from(1000), draw_from(val), train_on, measure, 7, interval, seed)
        untouched = torch.equal(before, torch.get_rng_state())
    found = {"events": events, "losses": losses, "trained": trained, "measured": measured}
    return found | {"untouched": untouched}


@check("training.measured_run", reference=run_with_two_sources)
def measuring_leaves_the_training_alone(t: Trial) -> None:
    runs = {n: t.ask(lambda f, n=n: watched_run(f, n)) for n in (3, 1, 100)}
    t.require(
        runs[3]["trained"] == runs[1]["trained"] == runs[100]["trained"],
        "with another eval_interval the updates get other batches",
        "a thermometer that heats the water is a bad one: measuring must not change the run",
    )
    t.require(
        len(set(map(str, runs[1]["measured"]))) == 1,
        "the measurements of one run use different validation batches",
        "an easy batch after a hard one looks like progress",
        "1 batch",
        f"{len(set(map(str, runs[1]['measured'])))} batches",
    )


@check("training.measured_run")
def what_is_measured_and_when(t: Trial) -> None:
    def parts(*names: str, interval: int) -> Callable[[Callable], dict[str, Any]]:
        return lambda function: {name: watched_run(function, interval)[name] for name in names}

    for interval in (3, 1, 100):
        t.compare(
            parts("events", "losses", interval=interval),
            why="measure before update 0, eval_interval, 2 · eval_interval …",
            name=f"the run with eval_interval={interval}",
        )
    t.compare(
        lambda f: {
            key: [min(numbers) // 1000 >= 5 for numbers in watched_run(f, 3)[key]]
            for key in ("trained", "measured")
        },
        why="train on training batches, measure on validation batches",
        name="whether a batch came from draw_val",
    )
    t.compare(
        lambda f: a_list(watched_run(f, 3)["losses"]),
        why="the stub names a list of floats",
        name="what is returned",
    )


@check("training.measured_run")
def new_batches_from_the_seed_alone(t: Trial) -> None:
    first = t.ask(lambda f: watched_run(f, 3))
    t.require(
        len(set(map(str, first["trained"]))) == 7,
        "some updates train on the same batch",
        "each update needs a new batch, or the model learns one by heart",
        "7 different batches",
        f"{len(set(map(str, first['trained'])))}",
    )
    again = t.ask(lambda f: watched_run(f, 3, outside=1))
    t.require(
        again["untouched"],
        "the global generator of PyTorch was changed",
        "dropout draws from it: the training would be another one",
    )
    t.require(
        again["trained"] == first["trained"] and again["measured"] == first["measured"],
        "the same seed gives other batches",
        "a run that cannot be repeated cannot be compared",
    )
    alike = t.ask(lambda f: watched_run(f, 3, val=1000))  # one function draws both
    t.require(
        not any(batch in alike["trained"] for batch in alike["measured"]),
        "the validation batch is one of the training batches, if one function draws both",
        "equal seeds give equal draws: the validation batch needs a seed of its own",
    )
    seeds = [t.ask(lambda f, seed=seed: watched_run(f, 3, seed)) for seed in (3, 4, 5)]
    t.require(
        len({str(run["trained"]) for run in seeds}) == 3,
        "another seed gives the same batches",
        "the training batches are a matter of the seed",
    )


def accumulated(model: nn.Module, batches: Sequence[Batch], loss_fn: Callable) -> float:
    n_tokens, total = sum(batch.n_tokens for batch in batches), 0.0
    for batch in batches:
        loss = loss_fn(model(batch.idx), batch.targets, batch.mask)
        (loss * batch.n_tokens / n_tokens).backward()
        total += loss.item() * batch.n_tokens
    return total / n_tokens


def pieces_to_add_up(t: Trial) -> tuple[list[Batch], list[Batch], Batch]:
    """Four equal pieces, two unequal ones, and one in which nothing counts."""
    equal = [make_batch(t, 2, 4) for _ in range(4)]
    uneven = [make_batch(t, 2, 6, keep=[1, 1]), make_batch(t, 4, 6, keep=[6, 5, 6, 3])]
    return equal, uneven, make_batch(t, 1, 6, keep=[0])


def added_up(
    t: Trial, function: Callable, batches: Sequence[Batch], leftover: float = 0.0
) -> dict[str, Any]:
    """What an answer returns, and the gradients that it leaves."""
    model = make_model(t.seed)
    if leftover:
        for p in model.parameters():
            p.grad = torch.full_like(p, leftover)
    loss = function(model, batches, masked_cross_entropy)
    return {
        "loss": as_number(loss),
        "gradients": {name: p.grad for name, p in model.named_parameters() if p.grad is not None},
        "is a float": isinstance(loss, float),
    }


@check("training.accumulate", reference=accumulated)
def the_loss_of_the_big_batch(t: Trial) -> None:
    equal, uneven, _ = pieces_to_add_up(t)
    t.compare(
        lambda f: added_up(t, f, equal)["loss"],
        why="a batch in four pieces has the loss that it has in one",
        name="the loss of four equal pieces",
    )
    t.compare(
        lambda f: added_up(t, f, uneven)["loss"],
        why="of 22 targets that count, 2 are in one piece and 20 in the other",
        name="the loss of two unequal pieces",
    )


@check("training.accumulate")
def gradients_added_to_those_that_are_there(t: Trial) -> None:
    equal, uneven, nothing = pieces_to_add_up(t)
    t.compare(
        lambda f: added_up(t, f, uneven)["gradients"],
        why="the gradients were right before: only the log was wrong",
        name="after two unequal pieces, the gradients",
    )
    for batches in (uneven[::-1], [nothing, *equal[:1], *uneven, nothing], equal[:1]):
        for key in ("loss", "gradients"):
            t.compare(
                lambda f, batches=batches, key=key: added_up(t, f, batches, leftover=0.5)[key],
                why="every piece has its share in the loss and in the gradients",
                name=f"for other pieces, the {key}",
            )


@check("training.accumulate")
def a_batch_in_many_long_pieces(t: Trial) -> None:
    sizes = t.randint(300, 12).tolist()
    pieces = [make_batch(t, 2, 300, keep=[size, size // 2 + 1]) for size in sizes]
    for key in ("loss", "gradients"):
        t.compare(
            lambda f, key=key: added_up(t, f, pieces)[key],
            why="a big batch may come in any number of pieces, with rows of any length",
            name=f"for 12 pieces with rows of 300, the {key}",
        )


@check("training.accumulate")
def a_loss_that_can_be_logged(t: Trial) -> None:
    _, uneven, _ = pieces_to_add_up(t)
    t.compare(
        lambda f: added_up(t, f, uneven)["is a float"],
        why="a tensor would keep its graph in memory as long as the log is kept",
        name="whether the loss is a float",
    )


# --- A test and a prediction ---------------------------------------------------------------------


def update(
    batches: Sequence[Batch],
    model: nn.Module,
    loss_fn: Callable,
    optimizers: Sequence[torch.optim.Optimizer],
    config: TrainConfig,
) -> tuple[float, float]:
    """An update that neither begins nor ends with forgetting."""
    total, n_tokens = 0.0, sum(batch.n_tokens for batch in batches)
    for batch in batches:
        loss = loss_fn(model(batch.idx), batch.targets, batch.mask)
        loss = loss * (batch.n_tokens / max(n_tokens, 1))
        loss.backward()
        total += loss.item()
    limit = math.inf if config.grad_clip is None else config.grad_clip
    norm = nn.utils.clip_grad_norm_(model.parameters(), limit)
    for optimizer in optimizers:
        optimizer.step()
    return total, float(norm)


def forgets_at_the_end(model, batches, loss_fn, optimizers, config):  # type: ignore[no-untyped-def]
    result = update(batches, model, loss_fn, optimizers, config)
    for optimizer in optimizers:
        optimizer.zero_grad()
    return result


def forgets_at_the_beginning(model, batches, loss_fn, optimizers, config):  # type: ignore[no-untyped-def]
    for optimizer in optimizers:
        optimizer.zero_grad()
    return update(batches, model, loss_fn, optimizers, config)


def fills_with_zeros(model, batches, loss_fn, optimizers, config):  # type: ignore[no-untyped-def]
    result = update(batches, model, loss_fn, optimizers, config)
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=False)
    return result


def zeros_at_the_beginning(model, batches, loss_fn, optimizers, config):  # type: ignore[no-untyped-def]
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.zero_()
    return update(batches, model, loss_fn, optimizers, config)


def never_forgets(model, batches, loss_fn, optimizers, config):  # type: ignore[no-untyped-def]
    return update(batches, model, loss_fn, optimizers, config)


def forgets_in_the_first_only(model, batches, loss_fn, optimizers, config):  # type: ignore[no-untyped-def]
    result = update(batches, model, loss_fn, optimizers, config)
    optimizers[0].zero_grad()
    return result


def forgets_in_the_last_only(model, batches, loss_fn, optimizers, config):  # type: ignore[no-untyped-def]
    optimizers[-1].zero_grad()
    return update(batches, model, loss_fn, optimizers, config)


def detaches_only(model, batches, loss_fn, optimizers, config):  # type: ignore[no-untyped-def]
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad = parameter.grad.detach()
    return update(batches, model, loss_fn, optimizers, config)


def keeps_a_tenth(model, batches, loss_fn, optimizers, config):  # type: ignore[no-untyped-def]
    result = update(batches, model, loss_fn, optimizers, config)
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad *= 0.1
    return result


STEPS = {
    "a step that never forgets": (never_forgets, True),
    "a step that forgets at its end": (forgets_at_the_end, False),
    "a step that forgets at its beginning": (forgets_at_the_beginning, False),
    "a step that fills gradients with zeros": (fills_with_zeros, False),
    "a step that fills gradients with zeros at its beginning": (zeros_at_the_beginning, False),
    "a step that forgets in the first optimizer only": (forgets_in_the_first_only, True),
    "a step that forgets in the last optimizer only": (forgets_in_the_last_only, True),
    "a step that only detaches its gradients": (detaches_only, True),
    "a step that keeps a tenth of each gradient": (keeps_a_tenth, True),
}


def knows_who_leaks(step_fn: Callable) -> bool:
    return dict(STEPS.values())[step_fn]


@check("training.leaks_gradients", reference=knows_who_leaks)
def leaks_gradients(t: Trial) -> None:
    def verdict(step_fn: Callable) -> Callable[[Callable], bool]:
        def use(function: Callable) -> bool:
            with seeded(t.seed), gradients_as_before():
                return function(step_fn)

        return use

    for name, (step_fn, leaks) in STEPS.items():
        why = "an old gradient is added to a new one" if leaks else "no old gradient is left"
        t.compare(verdict(step_fn), why=f"here {why}", name=f"the verdict on {name}")


def worked_out() -> dict[str, float]:
    stream, block_size = range(1_000), 256
    n_windows = sum(1 for start in stream if start + block_size in stream)  # has its last target
    seen = n_updates = 0
    while seen < 95_000_000:
        seen, n_updates = seen + 2**19, n_updates + 1
    due = [step for step in range(101) if step % 30 == 0 or step == 100]
    return {
        "windows": n_windows,
        "logits_bytes": torch.empty(64, 256, 11_868, device="meta").nbytes,
        "first_loss": -math.log(1 / 11_868),
        "micro_steps": 2**19 / (16 * 2_048),
        "tokens_per_parameter": 50_000 * 2**19 / 200e6,
        "updates": n_updates,
        "evaluations": len(due),
    }


@check("training.sizes_of_a_run", reference=worked_out)
def sizes_of_a_run(t: Trial) -> None:
    whys = {
        "windows": "a window takes 256 inputs and one more id for its last target",
        "logits_bytes": "one number for each window, each place and each character",
        "first_loss": "an untrained model gives every character the same probability, 1/V",
        "micro_steps": "a micro-batch holds 16 · 2,048 tokens",
        "tokens_per_parameter": "tokens of one update, times updates, divided by parameters",
        "updates": "the last update may be incomplete, but without it some tokens are not seen",
        "evaluations": "measured before the first update, at each multiple, and after the last",
    }
    t.predicts(whys, exact=whys.keys() - {"first_loss", "tokens_per_parameter"})
