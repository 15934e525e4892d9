"""Checks of the optimizers of chapter 06."""

import copy
import math
import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from nanopoet.checker.difference import Difference
from nanopoet.checker.trial import Answer, Trial, check
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.optim import configure_optimizers


def groups_of_the_course(model: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    (optimizer,) = configure_optimizers(model, lr, weight_decay=weight_decay)
    return [
        {key: group[key] for key in ("params", "lr", "weight_decay")}
        for group in optimizer.param_groups
    ]


def form_of(groups: Any) -> str:
    """What the groups are made of, in words."""
    if not isinstance(groups, list | tuple):
        return f"a {type(groups).__name__}"
    kinds = {type(group["params"]).__name__ for group in groups}
    if not kinds <= {"list", "tuple"}:
        return f'a list of groups, "params" a {kinds.pop()}'
    kinds = {type(item).__name__ for group in groups for item in group["params"]}
    return f"a list of groups of {' and '.join(sorted(kinds))}"


@lru_cache(maxsize=16)
def settings_by_name(
    groups: Answer, style: str, n_layer: int, lr: float, weight_decay: float
) -> dict[str, dict[str, float]]:
    """What AdamW would do with each weight of a small GPT, by the name of the weight."""
    config = GPTConfig(vocab_size=7, block_size=5, n_layer=n_layer, n_head=2, n_embd=4, style=style)
    model = GPT(config)
    name_of = {id(parameter): name for name, parameter in model.named_parameters()}
    with warnings.catch_warnings(action="ignore"):  # of a weight that is twice in one group
        optimizer = torch.optim.AdamW(groups(model, lr, weight_decay))
    found: dict[str, dict[str, float]] = {"lr": {}, "weight_decay": {}}
    found["count"] = dict.fromkeys(name_of.values(), 0)
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = name_of.get(id(parameter), "a tensor that is no weight of the model")
            found["count"][name] = found["count"].get(name, 0) + 1
            found["weight_decay"][name] = group["weight_decay"]
            found["lr"][name] = group["lr"]
    return found


WORDS = {
    "count": "the number of groups with",
    "weight_decay": "the weight decay of",
    "lr": "the learning rate of",
}


@check("optim.parameter_groups", reference=groups_of_the_course)
def parameter_groups(t: Trial) -> None:
    def asked(key: str, why: str, *settings: Any) -> None:
        style, n_layer, lr, weight_decay = settings
        model = f"({style}, blocks={n_layer}, lr={lr}, weight_decay={weight_decay})"
        try:
            t.compare(lambda groups: settings_by_name(groups, *settings)[key], why=why, name=model)
        except Difference as difference:
            of_one = re.match(rf"'(.+?)' of {re.escape(model)}(.*)", difference.symptom)
            if of_one:
                difference.symptom = f"{WORDS[key]} {of_one[1]}{of_one[2]} {model}"
            else:
                said = difference.symptom.removeprefix(model)
                difference.symptom = f"what the groups hold{said} {model}"
            raise

    small = GPTConfig(vocab_size=7, block_size=5, n_layer=1, n_head=2, n_embd=4)
    t.compare(
        lambda groups: form_of(groups(GPT(small), 0.01, 0.1)),
        why="a list of dictionaries, and in each of them a list of parameters",
        name="what comes back",
    )
    shapes = (("gpt2", 1), ("modern", 2), ("gpt2", 3), ("modern", 1))
    rates = ((0.003, 0.1), (0.02, 0.05), (0.5, 0.0), (0.001, 0.3))
    for shape, rate in zip(shapes, rates, strict=True):
        asked("count", "a weight in no group never moves; it is in exactly one", *shape, *rate)
        asked(
            "weight_decay",
            "decay is a brake for matrices; it forgets rare characters, biases and norms",
            *shape,
            *rate,
        )
        asked("lr", "every group needs its rate, or AdamW takes its own default", *shape, *rate)


def clip_by_hand(parameters: Iterable[nn.Parameter], max_norm: float) -> float:
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = math.sqrt(math.fsum(x**2 for grad in grads for x in grad.flatten().tolist()))
    for grad in grads:
        grad *= min(1.0, max_norm / max(norm, 1e-300))
    return norm


@check("optim.clip_gradients", reference=clip_by_hand)
def clip_gradients(t: Trial) -> None:
    def clipped(why: str, grads: list[Tensor | None], max_norm: float, once: bool = False) -> None:
        def use(clip: Answer, what: str) -> Any:
            shapes = [(2, 1) if grad is None else grad.shape for grad in grads]
            weights = [nn.Parameter(torch.ones(shape, dtype=torch.float64) * 7) for shape in shapes]
            for weight, grad in zip(weights, grads, strict=True):
                weight.grad = None if grad is None else grad.clone()
            norm = clip((w for w in weights) if once else weights, max_norm)
            return {
                "norm": norm,
                "grads": [weight.grad for weight in weights],
                "weights": [weight.detach() for weight in weights],
            }[what]

        t.compare(lambda f: use(f, "norm"), why=why, name="the returned length")
        t.compare(lambda f: use(f, "grads"), why=why, name=f"the gradient (limit {max_norm:g})")
        t.compare(
            lambda f: use(f, "weights"), why="only gradients are shortened", name="the weights"
        )

    double = torch.float64
    three, four = torch.tensor([3.0], dtype=double), torch.tensor([[4.0]], dtype=double)
    clipped("(3, 4) has length 5, and limit 1 makes it (0.6, 0.8)", [three, four], 1.0)
    clipped("a short gradient stays as it is", [three, four], 10.0)
    clipped("an iterator can be gone through only once", [three * 2, four * 2], 2.5, once=True)
    clipped("a parameter that took no part has no gradient", [None, three, None, four], 2.0)
    clipped("with no gradient at all, the length is 0", [None, None], 1.0, once=True)
    clipped("a gradient of 0 has no direction to keep: it stays 0", [three * 0, four * 0], 1.0)
    clipped("no limit: the length is only measured", [three, four], float("inf"))
    clipped("all gradients make one vector", [t.randn(3, 4) * 4, t.randn(5), t.randn(1)], 0.5)
    long, short = t.randn(6) * 20, t.randn(2, 3) / 20
    clipped("the same factor for all: the direction stays", [long, short, None], 3.0, once=True)
    clipped("nothing is lengthened", [short, short], 3.0, once=True)


@check("optim.clip_gradients")
def a_plain_number(t: Trial) -> None:
    def kind(clip: Answer) -> str:
        weights = [nn.Parameter(torch.zeros(2)) for _ in range(2)]
        for weight in weights:
            weight.grad = torch.ones(2)
        norm = clip(weights, 1.0)
        return "float" if isinstance(norm, float | int) else type(norm).__name__

    t.compare(
        kind,
        why="the log keeps the length, and a tensor is no number to write down: `.item()` is",
        name="the type of the returned length",
    )


@check("optim.clip_gradients")
def a_model_of_real_size(t: Trial) -> None:
    numbers = t.randn(2 * 8_000, dtype=torch.float32)

    def clipped(clip: Answer) -> Any:
        weights = [nn.Parameter(torch.zeros(8_000)) for _ in range(2)]
        for weight, grad in zip(weights, numbers.split(8_000), strict=True):
            weight.grad = grad.clone()
        norm = clip((weight for weight in weights), 1.0)
        return [norm, *(weight.grad[:100] for weight in weights)]

    t.compare(
        lambda f: clipped(f)[0], why="all numbers of all tensors count", name="the returned length"
    )
    t.compare(
        lambda f: clipped(f)[1:], why="the same factor for all", name="a gradient of 16,000 numbers"
    )


COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize_by_svd(G: Tensor, steps: int = 5) -> Tensor:
    """The polynomial on each singular value: another way to the same matrix."""
    U, S, Vh = torch.linalg.svd(G, full_matrices=False)
    length = S.square().sum().sqrt()
    S = S / length if length > 0 else S
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        S = a * S + b * S**3 + c * S**5
    return (U * S) @ Vh


@check("optim.orthogonalize", reference=orthogonalize_by_svd)
def orthogonalize(t: Trial) -> None:
    close = {"rtol": 1e-4, "atol": 1e-4}
    G = torch.diag(torch.tensor([10.0, 0.1], dtype=torch.float64))
    why = "each round makes a·s + b·s³ + c·s⁵ of every strength s of the divided matrix"
    first = "before the first round, G is divided by its length, into a new matrix"
    t.same(G, 0, why=first, name="diag(10, 0.1) after no round", **close)
    t.same(G, 1, why=why, name="diag(10, 0.1) after round 1", **close)
    t.same(G, 5, why=why, name="diag(10, 0.1) after round 5", **close)
    for shape in ((4, 4), (3, 5), (6, 2), (1, 3)):
        wide = t.randn(*shape)
        for steps in (1, 2):
            t.same(wide, steps, why=why, name=f"a matrix {shape} after round {steps}", **close)
        t.same(wide, why="without `steps` there are five rounds", name="a matrix", **close)
    G = t.randn(5, 4)
    for factor in (1000.0, 0.01):
        t.same(
            G * factor,
            why="the size of a gradient does not matter, only its directions",
            name=f"a gradient times {factor:g}",
            **close,
        )
    t.same(G[:, :1] @ G[:1], 3, why="a strength of 0 stays 0", name="a matrix of rank 1", **close)
    t.same(G * 0, why="0 has no direction: it stays 0", name="a matrix of zeros", **close)
    for steps in (0, 5):
        t.compare(
            lambda f, steps=steps: (
                f(zeros := torch.zeros(2, 3), steps).data_ptr() == zeros.data_ptr()
            ),
            why="whoever calls still needs G: the result is a new matrix, also of zeros",
            name=f"the result is G itself (zeros, {steps} rounds)",
        )
    t.same(
        t.randn(3, 3, dtype=torch.float32),
        2,
        why="the dtype stays",
        name="a matrix of float32",
        **close,
    )


@check("optim.orthogonalize")
def a_matrix_of_real_size(t: Trial) -> None:
    for shape in ((300, 64), (64, 300)):
        t.same(
            t.randn(*shape, dtype=torch.float32),
            why="a matrix of a model has hundreds of rows; the five rounds are the same",
            name="a matrix of {} × {}".format(*shape),
            rtol=1e-3,
            atol=1e-3,
        )


# --- resume -------------------------------------------------------------------------------------


def resumed(
    saved: dict[str, Any], make_model: Answer, make_optimizer: Answer, update: Answer, n: int
) -> nn.Module:
    model = make_model()
    optimizer = make_optimizer(model)
    for name, part in (("model", model), ("optimizer", optimizer)):
        part.load_state_dict(saved[name])
    for i in range(saved["step"], n):
        update(model, optimizer, i)
    return model


OPTIMIZERS = {
    "AdamW": lambda groups: torch.optim.AdamW(groups, betas=(0.8, 0.95), weight_decay=0.1),
    "momentum": lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9),
    "plain SGD": lambda groups: torch.optim.SGD(groups, lr=0.1),
}


class Interrupted:
    """A run with one of the `OPTIMIZERS`, and what was saved of it after `step` updates."""

    def __init__(self, t: Trial, optimizer: str, step: int, fraction: float) -> None:
        self.kind, self.made = optimizer, []
        self.start = {"weight": t.randn(3, 4), "bias": t.randn(3)}
        self.slopes = {name: t.randn(5, *value.shape) for name, value in self.start.items()}
        model = self.make_model()
        groups = self.make_optimizer(model)
        for group in groups.param_groups:
            group["lr"] *= fraction  # of the rate, as a later stage begins
        for i in range(step):
            self.update(model, groups, i)
        self.saved = {
            "step": step,
            "model": copy.deepcopy(model.state_dict()),
            "optimizer": copy.deepcopy(groups.state_dict()),
        }

    def make_model(self) -> nn.Module:
        model = nn.utils.skip_init(nn.Linear, 4, 3, dtype=torch.float64)
        model.load_state_dict(self.start)
        return model

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        rates = zip(model.parameters(), (0.05, 0.2), strict=True)
        return OPTIMIZERS[self.kind]([{"params": [weight], "lr": lr} for weight, lr in rates])

    def update(self, model: nn.Module, optimizer: torch.optim.Optimizer, i: int) -> None:
        """Batch and rate depend on the number; the gradient on the weights, too."""
        self.made.append(i)
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) / (1 + 0.1 * (i % 20))
        for name, weight in model.named_parameters():
            weight.grad = self.slopes[name][i % 5] + 0.3 * weight.detach()
        optimizer.step()

    def go_on(self, answer: Answer, n_updates: int) -> dict[str, Any]:
        self.made = []
        saved = copy.deepcopy(self.saved)
        model = answer(saved, self.make_model, self.make_optimizer, self.update, n_updates)
        if not isinstance(model, nn.Module):
            return {"result": f"a {type(model).__name__}"}
        weights = {name: value.detach().clone() for name, value in model.named_parameters()}
        return {"result": "a model", "made": list(self.made), **weights}


def same_end(
    t: Trial, optimizer: str, step: int, n_updates: int, why: str, fraction: float = 1.0
) -> None:
    run = Interrupted(t, optimizer, step, fraction)
    found = lru_cache(lambda answer: run.go_on(answer, n_updates))  # each answer goes on once
    said = f"after {n_updates} updates, {step} of them saved, with {optimizer}"
    t.compare(lambda f: found(f)["result"], "the model is needed", name="what comes back")
    t.compare(
        lambda f: found(f)["made"],
        why="each update that is left is made once; the number says which batch and which rate",
        name=f"the list of updates made {said}",
    )
    for name in ("weight", "bias"):
        t.compare(lambda f, name=name: found(f)[name], why, name=f"the {name} {said}")


@check("optim.resume", reference=resumed)
def the_end_of_an_interrupted_run(t: Trial) -> None:
    same_end(t, "plain SGD", 3, 6, "the run goes on from the weights that were saved")
    memory = "what an optimizer remembers of the gradients before decides its next step"
    same_end(t, "momentum", 3, 6, memory)
    same_end(t, "AdamW", 3, 6, memory)
    rates = "the groups of an optimizer are part of what was saved, and their rates with them"
    same_end(t, "plain SGD", 1, 3, rates, fraction=0.4)
    same_end(t, "AdamW", 1, 2, memory, fraction=0.4)


@check("optim.resume")
def runs_at_their_beginning_and_their_end(t: Trial) -> None:
    same_end(t, "AdamW", 0, 4, "nothing had been done: this is the whole run")
    same_end(t, "momentum", 4, 4, "nothing is left to do: these are the weights that were saved")


@check("optim.resume")
def a_long_run(t: Trial) -> None:
    same_end(t, "momentum", 300, 450, "a run may be long, and so may what is left of it")
