"""Checks of chapter 09."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from numbers import Integral, Real
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from nanopoet.checker.trial import Trial, check
from nanopoet_ref import scaling as reference
from nanopoet_ref.gpt import GPTConfig
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.training import Batch


def kind_of(value: object) -> str:
    """What the stubs call an int or a float, and what other things are."""
    if isinstance(value, Integral):
        return "an int"
    return f"a {type(value).__name__}"


# --- accumulation_steps -----------------------------------------------------------------------


@check("scaling.accumulation_steps", reference=reference.accumulation_steps)
def accumulation_steps(t: Trial) -> None:
    t.same(16_384, 8, 256, why="a micro-batch has 8 · 256 tokens")
    t.same(16_384, 8, 256, 2, why="in each round every process takes a micro-batch of its own")
    t.same(524_288, 32, 2048, 8, why="8 processes with 32 rows of 2,048 make a step at once")
    t.same(6, 2, 3, why="a single micro-batch may be the whole step")

    sizes = {name: st.integers(1, 9) for name in ("steps", "B", "T", "processes")}

    @t.for_all(**sizes, examples=20)
    def any_size(steps: int, B: int, T: int, processes: int) -> None:
        total = steps * B * T * processes
        t.same(total, B, T, processes, why="all rounds of all processes together make the step")

    t.compare(
        lambda f: kind_of(f(16_384, 8, 256)),
        why="a loop over range() needs an int",
        name="what is returned",
    )


@check("scaling.accumulation_steps")
def tokens_that_cannot_be_shared_out(t: Trial) -> None:
    why = "rounded, it would be another training under the same name"
    t.refuses(16_385, 8, 256, why=why)
    t.refuses(16_384 + 256, 8, 256, why="one row more is not a micro-batch more")
    t.refuses(3 * 2048, 8, 256, 2, why="3 micro-batches are no whole rounds of 2 processes")
    t.refuses(1024, 8, 256, why="half a micro-batch is none")
    t.refuses(0, 8, 256, why="without a token there is nothing to learn from")

    def rounds(function: Callable) -> object:
        try:
            return function(16_385, 8, 256)
        except ValueError:
            return "ValueError"

    t.compare(rounds, why=why, name="what comes of 16,385 tokens")


# --- in_steps ---------------------------------------------------------------------------------


class TooFarError(Exception):
    """Batches that have no end were gone through too far."""


def endless(taken: list[int]) -> Iterator[int]:
    """0, 1, 2 … without end; `taken` holds what was taken so far."""
    for i in itertools.count():
        if i == 500:
            raise TooFarError("500 batches were taken, and no step came")
        taken.append(i)
        yield i


def steps_of(function: Callable, batches: Iterable, micro_steps: int) -> list[list]:
    """All steps, as they are when the last has been yielded."""
    return [list(step) for step in list(function(iter(batches), micro_steps))]


@check("scaling.in_steps", reference=reference.in_steps)
def each_batch_in_one_step(t: Trial) -> None:
    whys = {
        (8, 4): "8 batches make 2 steps of 4",
        (10, 4): "each batch of an epoch is in one of its steps, the last ones, too",
        (3, 4): "a short epoch is a step as well",
        (3, 1): "with one batch a step, each is a step",
        (0, 4): "without batches there is no step",
        (5521, 8): "an epoch may be long",
    }
    for (n, micro_steps), why in whys.items():
        t.compare(
            lambda f, n=n, micro_steps=micro_steps: steps_of(f, range(n), micro_steps),
            why=why,
            name=f"the list of steps from {n} batches, {micro_steps} to a step",
        )

    @t.for_all(n=st.integers(0, 40), micro_steps=st.integers(1, 9), examples=20)
    def any_epoch(n: int, micro_steps: int) -> None:
        t.compare(
            lambda f: steps_of(f, range(n), micro_steps),
            why="in the order given, each in exactly one step",
            name=f"the list of steps from {n} batches, {micro_steps} to a step",
        )


@check("scaling.in_steps")
def as_soon_as_it_is_full(t: Trial) -> None:
    def first_steps(function: Callable, micro_steps: int) -> list[tuple[list[int], int]]:
        taken: list[int] = []
        steps = iter(function(endless(taken), micro_steps))
        return [(list(next(steps)), len(taken)) for _ in range(3)]

    for micro_steps in (1, 4):
        t.compare(
            lambda f, micro_steps=micro_steps: first_steps(f, micro_steps),
            why="a step comes as soon as it is full, even if batches have no end",
            name="the list of first steps, each with how many batches were taken until then",
        )


# --- next_scale -------------------------------------------------------------------------------


@check("scaling.next_scale", reference=reference.next_scale)
def next_scale(t: Trial) -> None:
    def same(*args: Any, why: str) -> None:
        t.same(*args, why=why, parts=("the scale", "the number of good steps"))

    same(1024.0, 5, True, why="what was too large is halved, and the count begins again")
    same(1024.0, 5, False, why="one more good step, and nothing else")
    same(65_536.0, 1998, False, why="1,999 good steps are not yet 2,000")
    same(65_536.0, 1999, False, why="the 2,000th good step in a row doubles the scale")
    same(65_536.0, 1999, True, why="an overflow is no good step, however many came before")
    same(1.0, 0, True, why="the scale may become smaller than 1")

    def any_step(interval: int) -> st.SearchStrategy:
        counts = st.integers(0, interval - 1)
        return st.tuples(
            st.sampled_from([0.5, 1.0, 4096.0]), counts, st.booleans(), st.just(interval)
        )

    @t.for_all(step=st.integers(1, 4).flatmap(any_step), examples=30)
    def any_interval(step: tuple) -> None:
        same(*step, why="halved after an overflow, doubled after growth_interval good steps")


@check("scaling.next_scale")
def scales_of_a_run(t: Trial) -> None:
    overflows = [t.random.random() < 0.15 for _ in range(60)]

    def run(function: Callable) -> list[float]:
        scale, good_steps, scales = 65_536.0, 0, []
        for overflowed in overflows:
            scale, good_steps = function(scale, good_steps, overflowed, 3)
            scales.append(scale)
        return scales

    t.compare(
        run, why="step after step, each begins where the last ended", name="the list of scales"
    )


# --- amp_step ---------------------------------------------------------------------------------

NORM, WEIGHTS, SCALE = "the norms", "the weights", "the scales afterwards"
FORGOTTEN = "the list of whether the gradients were forgotten"
PASSES = "the list of backward passes that were finished when each loss was asked for"
KIND = "what is returned"
WHYS = {
    NORM: "the length of the gradient in its true size, before it is shortened",
    WEIGHTS: "the weights move as they would without a scaler",
    SCALE: "the scaler must be told that a step is over: then it halves or doubles its scale",
    FORGOTTEN: "what is not forgotten is added to the next update",
    PASSES: "only one micro-batch has to fit into memory",
    KIND: "the stub names a float: a log of tensors keeps them in memory",
}


def scaled_step(
    losses: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    grad_clip: float,
) -> float:
    for loss in losses:
        scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, grad_clip)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    return float(norm)


def updates(function: Callable, slopes: Tensor, scale: float, grad_clip: float) -> dict[str, list]:
    """What some updates do; the gradient of each sums its `slopes` (updates, losses, 3)."""
    a, b, idle = (nn.Parameter(torch.ones(n)) for n in (2, 1, 2))
    optimizer = torch.optim.SGD([{"params": [a]}, {"params": [b, idle], "lr": 0.5}], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2)
    passes: list[None] = []
    a.register_hook(lambda _: passes.append(None))
    found: dict[str, list] = {name: [] for name in WHYS}

    def losses(of_update: Tensor) -> Iterator[Tensor]:
        for slope in of_update:
            found[PASSES].append(len(passes))
            yield (a * slope[:2]).sum() + b[0] * slope[2]

    for of_update in slopes:
        norm = function(losses(of_update), optimizer, scaler, grad_clip)
        found[KIND].append(kind_of(norm))
        norm = float(norm) if isinstance(norm, Real | Tensor) else norm
        whole = isinstance(norm, float) and math.isfinite(norm)
        found[NORM].append(norm if whole else "not finite")
        found[WEIGHTS].append([*a.tolist(), *b.tolist(), *idle.tolist()])
        found[SCALE].append(scaler.get_scale())
        grads = [p.grad for p in (a, b, idle) if p.grad is not None]
        found[FORGOTTEN].append(not any(bool(grad.any()) for grad in grads))
    return found


def compare_updates(t: Trial, slopes: Tensor, scale: float, grad_clip: float, what: str) -> None:
    for name, why in WHYS.items():
        t.compare(
            lambda f, name=name: updates(f, slopes, scale, grad_clip)[name],
            why=why,
            name=f"{name} in {what}",
            rtol=1e-4,  # weights are float32 here, as in training
            atol=1e-5,
        )


def some_slopes(t: Trial, n_updates: int, n_losses: int, length: float) -> Tensor:
    """Random ones, so that the gradient of each update is `length` long."""
    slopes = t.randn(n_updates, n_losses, 3).float()
    return slopes * (length / slopes.sum(dim=1, keepdim=True).norm(dim=-1, keepdim=True))


@check("scaling.amp_step", reference=scaled_step)
def gradients_of_their_true_size(t: Trial) -> None:
    for length in (0.5, 5.0):
        what = f"3 updates with gradients {length} long, a scale of 65,536 and a limit of 1"
        compare_updates(t, some_slopes(t, 3, 2, length), 65_536.0, 1.0, what)
    compare_updates(t, some_slopes(t, 2, 4, 3.0), 1024.0, 0.25, "2 updates of 4 micro-batches")


@check("scaling.amp_step")
def steps_that_overflow(t: Trial) -> None:
    slopes = some_slopes(t, 4, 2, 2.0)
    slopes[1, 0, 0] = math.inf
    slopes[2, 1, 2] = math.nan
    compare_updates(t, slopes, 1024.0, 1.0, "4 updates, of which the second and third overflow")


# --- What is predicted ------------------------------------------------------------------------


def bytes_of(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def bytes_kept(dtype: torch.dtype, kind: type[torch.optim.Optimizer]) -> tuple[float, float]:
    """Bytes a parameter: of weights and gradients, and of what the optimizer keeps."""
    layer = nn.Linear(64, 32, bias=False, dtype=dtype)
    optimizer = kind(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 64, dtype=dtype)).sum().backward()
    optimizer.step()
    state = [x for x in optimizer.state[layer.weight].values() if x.shape == layer.weight.shape]
    n = layer.weight.numel()
    return bytes_of([layer.weight, layer.weight.grad]) / n, bytes_of(state) / n


@cache
def weighed() -> dict[str, int]:
    float32, means = bytes_kept(torch.float32, torch.optim.AdamW)
    bfloat16, small_means = bytes_kept(torch.bfloat16, torch.optim.AdamW)
    sgd, nothing = bytes_kept(torch.float32, torch.optim.SGD)
    by_name = {
        "float32": float32 + means,
        "sgd": sgd + nothing,
        "bfloat16": bfloat16 + small_means,
        "mixed": bfloat16 + means + torch.float32.itemsize,
        "generating": torch.bfloat16.itemsize,
    }
    with torch.device("meta"):
        added = nn.Embedding(65_536 - 32_000, 1280), nn.Linear(1280, 65_536 - 32_000, bias=False)
    found = {name: round(each * 200_000_000) for name, each in by_name.items()}
    found["vocabulary"] = round(sum(m.weight.numel() for m in added) * by_name["float32"])
    found["largest"] = int(80 * 10**9 // by_name["float32"])
    return found


@check("scaling.training_memory", reference=weighed)
def training_memory(t: Trial) -> None:
    whys = {
        "float32": "a weight, its gradient and its two means are numbers of 4 bytes",
        "sgd": "without momentum SGD keeps nothing from step to step",
        "bfloat16": "a bfloat16 takes 2 bytes, wherever it stands",
        "mixed": "weights and gradients in 2 bytes; both means and the second copy in 4",
        "generating": "who only writes needs no gradient and no optimizer",
        "vocabulary": "a token has a row in the embedding and one in the head, both trained",
        "largest": "as many as there are bytes for",
    }
    t.predicts(whys, exact=list(whys))


def worked_out() -> dict[str, float]:
    parameters, steps, step_tokens, speed, minutes = 200e6, 2000, 524_288, 2.14e6, 170.12
    return {
        "percent": 100 * 100 / steps,
        "minutes": steps * 0.243 / 60,
        "tokens_per_second": steps * step_tokens / (minutes * 60),
        "a100": 6 * parameters * speed / (8 * 312e12),
        "h100": 6 * parameters * speed / (8 * 989e12),
        "passes": steps * step_tokens / 95e6,
        "hours": 50_000 * step_tokens / speed / 3600,
        "steps": math.ceil(20 * parameters / step_tokens),
    }


@check("scaling.read_the_log", reference=worked_out)
def read_the_log(t: Trial) -> None:
    whys = {
        "percent": "100 steps of 2,000",
        "minutes": "the seconds of one step, as often as there are steps",
        "tokens_per_second": "all tokens of the run, divided by all its seconds",
        "a100": "operations needed a second, divided by those that 8 cards could do",
        "h100": "operations needed a second, divided by those that 8 cards could do",
        "passes": "all tokens of the run, divided by those of the data",
        "hours": "all tokens of that run, divided by the tokens of an hour",
        "steps": "the last step may be more than is needed, but without it there is too little",
    }
    t.predicts(whys, exact=["steps"])


# --- route ------------------------------------------------------------------------------------

PARTS = ("probs", "gates", "chosen")


@check("scaling.route", reference=reference.route)
def route(t: Trial) -> None:
    few = torch.tensor([[0.0, 2.0, 1.0], [3.0, -1.0, 0.5]])
    t.same(few, 1, why="each token is sent to its most probable expert", parts=PARTS)
    t.same(few, 2, why="the most probable expert comes first", parts=PARTS)
    t.same(few, 3, why="with all experts chosen, nothing but the order changes", parts=PARTS)

    @t.for_all(N=st.integers(1, 5), E=st.integers(1, 5), data=st.data(), examples=15)
    def any_router(N: int, E: int, data: st.DataObject) -> None:
        top_k = data.draw(st.integers(1, E))
        t.same(
            t.randn(N, E, grad=True),
            top_k,
            why="the gates are probabilities among all experts, and the router learns by them",
            parts=PARTS,
        )


@check("scaling.route")
def many_tokens_and_large_logits(t: Trial) -> None:
    many = t.randn(4096, 64)
    t.same(many, 8, why="tokens and experts may be many", parts=PARTS)
    large = torch.tensor([[900.0, 890.0, -900.0], [-800.0, -799.0, -801.0]])
    t.same(large, 2, why="e to the 900 is infinite, and its share is not", parts=PARTS)


# --- balance_loss -----------------------------------------------------------------------------


def some_load(t: Trial, E: int, n: int = 40) -> Tensor:
    """Shares of `n` tokens, sent somewhere."""
    return torch.bincount(t.randint(E, n), minlength=E).double() / n


@check("scaling.balance_loss", reference=reference.balance_loss)
def balance_loss(t: Trial) -> None:
    even = torch.full((4,), 0.25)
    t.same(torch.full((8, 4), 0.25), even, why="1 where all experts get the same")
    t.same(torch.eye(4)[[2] * 8], torch.eye(4)[2], why="E where one expert gets every token")
    t.same(t.randn(8, 4).softmax(-1), even.double(), why="an even load gives 1, whoever was meant")

    @t.for_all(N=st.integers(1, 6), E=st.integers(1, 5), examples=20)
    def any_router(N: int, E: int) -> None:
        probs = t.randn(N, E).softmax(dim=-1).requires_grad_()
        t.same(
            probs,
            some_load(t, E),
            why="mean probability by expert, weighed by its load; the gradient goes through probs",
        )

    t.same(
        t.randn(2048, 64).softmax(dim=-1).requires_grad_(),
        some_load(t, 64, 2048),
        why="tokens and experts may be many",
    )


# --- rank_batches -----------------------------------------------------------------------------


def dealt_out(n_batches: int, rank: int, world_size: int) -> list[int]:
    if rank not in range(world_size):
        raise ValueError(rank)
    return [i for i in range(n_batches) if i % world_size == rank]


@check("scaling.rank_batches", reference=dealt_out)
def rank_batches(t: Trial) -> None:
    for rank in range(3):
        t.same(7, rank, 3, why="dealt out in turn, one to each process, then from the front again")
    t.same(2, 3, 4, why="where batches are few, a process may get none")
    t.same(5, 0, 1, why="one process takes all")

    @t.for_all(n=st.integers(0, 30), world_size=st.integers(1, 6), data=st.data(), examples=20)
    def any_share(n: int, world_size: int, data: st.DataObject) -> None:
        rank = data.draw(st.integers(0, world_size - 1))
        t.same(n, rank, world_size, why="no batch is in two hands, and none is left out")

    t.same(10_003, 2, 8, why="batches may be many")


@check("scaling.rank_batches")
def ranks_that_there_are_not(t: Trial) -> None:
    t.refuses(7, 3, 3, why="three processes are 0, 1 and 2")
    t.refuses(7, -1, 3, why="three processes are 0, 1 and 2")
    t.refuses(0, 4, 2, why="a wrong rank is wrong even where there is nothing to take")


# --- combine_gradients ------------------------------------------------------------------------


def of_one_process(gradients: Sequence[Sequence[Tensor]], tokens: Sequence[int]) -> list[Tensor]:
    """Back from means to sums, added up, and to the mean over all."""
    found = []
    for p in range(len(gradients[0])):
        total = torch.zeros_like(gradients[0][p])
        for rank, n in enumerate(tokens):
            total += gradients[rank][p] * n
        found.append(total / max(sum(tokens), 1))
    return found


def some_gradients(t: Trial, tokens: Sequence[int]) -> list[list[Tensor]]:
    """Of three parameters, by process; 0 where a process has no target that counts."""
    shapes = ((3, 2), (4,), ())
    return [[t.randn(*shape) * (n > 0) for shape in shapes] for n in tokens]


@check("scaling.combine_gradients", reference=of_one_process)
def combine_gradients(t: Trial) -> None:
    whys = {
        (3, 1): "who has three times as many tokens counts three times as much",
        (5, 5): "who has as many tokens counts as much",
        (7,): "one process alone has them already",
        (4, 0): "who has no token has nothing to say, and the others none the less",
        (0, 0): "where nothing counts, nothing is to be moved",
        (300, 2048, 1): "however unequal, each token counts the same",
    }
    for tokens, why in whys.items():
        t.same(some_gradients(t, tokens), list(tokens), why=why, name="the list of gradients")

    @t.for_all(tokens=st.lists(st.integers(0, 9), min_size=1, max_size=4), examples=15)
    def any_processes(tokens: list[int]) -> None:
        t.same(
            some_gradients(t, tokens),
            tokens,
            why="each token counts the same, wherever it is",
            name="the list of gradients",
        )


@check("scaling.combine_gradients")
def as_large_as_in_training(t: Trial) -> None:
    tokens = [2048, 1987, 2048, 311, 2048, 0, 1500, 2048]
    gradients = [[t.randn(256, 512, dtype=torch.float32) * (n > 0)] for n in tokens]
    t.same(
        gradients,
        tokens,
        why="processes and weights may be many, and a gradient keeps its precision",
        name="the list of gradients",
    )


@check("scaling.combine_gradients")
def two_processes_are_one(t: Trial) -> None:
    model = nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 7)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(t.randn(*p.shape))
    keep = torch.tensor([[6], [1], [2], [0]])  # how many targets of each row count
    batch = Batch(t.randint(7, 4, 6), t.randint(7, 4, 6), torch.arange(6) < keep)

    def gradients(rows: slice) -> list[Tensor]:
        idx, targets, mask = (part[rows] for part in batch)
        loss = masked_cross_entropy(model(idx), targets, mask)
        return list(torch.autograd.grad(loss, list(model.parameters())))

    halves = [gradients(slice(0, 2)), gradients(slice(2, 4))]
    t.equals(
        t.ask(lambda f: list(f(halves, [7, 2]))),
        gradients(slice(0, 4)),
        why="two processes that share a batch out learn from it as one would",
        name="the list of gradients of a batch of which rank 0 has 7 targets and rank 1 has 2",
    )


# --- flops_per_token --------------------------------------------------------------------------


@check("scaling.flops_per_token", reference=reference.flops_per_token)
def flops_per_token(t: Trial) -> None:
    def same(T: int, why: str, **sizes: int) -> None:
        config = GPTConfig(**sizes)
        shown = ", ".join(
            f"{name}={getattr(config, name)}"
            for name in ("vocab_size", "n_layer", "n_head", "n_embd")
        )
        t.compare(lambda f: f(config, T), why=why, name=f"the work with {shown}, T={T}")

    same(3, "small enough to be counted by hand", vocab_size=7, n_layer=2, n_head=2, n_embd=4)
    same(256, "blocks, attention and head", vocab_size=11_868)
    same(64, "T counts, not what the model could read", vocab_size=11_868, block_size=256)
    same(1024, "GPT-2", vocab_size=50_257, block_size=1024, n_layer=12, n_head=12, n_embd=768)

    sizes = {name: st.integers(1, 5) for name in ("n_layer", "n_head", "width", "V", "T")}

    @t.for_all(**sizes, examples=20)
    def any_size(n_layer: int, n_head: int, width: int, V: int, T: int) -> None:
        why = "2 operations a number forward, and twice that backward"
        same(T, why, vocab_size=V, n_layer=n_layer, n_head=n_head, n_embd=n_head * width)

    t.compare(
        lambda f: kind_of(f(GPTConfig(vocab_size=100), 8)),
        why="operations are counted, and a count is whole",
        name="what is returned",
    )
