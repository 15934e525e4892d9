"""Wrong answers to the tasks on optimizers, chapter 06."""

import torch

from nanopoet.trial import misconception

NS = (3.4445, -4.7750, 2.0315)


def two_groups(model, lr, weight_decay, decays):
    """Groups by a question about the name and the parameter."""
    named = list(model.named_parameters())
    return [
        {
            "params": [p for name, p in named if decays(name, p)],
            "lr": lr,
            "weight_decay": weight_decay,
        },
        {
            "params": [p for name, p in named if not decays(name, p)],
            "lr": lr,
            "weight_decay": 0.0,
        },
    ]


# --- parameter_groups -------------------------------------------------------------------------


@misconception(
    "optim.parameter_groups",
    "decay on everything",
    "Every weight decays. Biases and norms have no reason to be near 0, and a rare character fades "
    "in every batch in which it does not occur.",
)
def decay_everything(model, lr, weight_decay):
    return [{"params": list(model.parameters()), "lr": lr, "weight_decay": weight_decay}]


@misconception(
    "optim.parameter_groups",
    "embeddings taken for matrices",
    "You ask for the number of dimensions only. An embedding has two as well, but it is a table: "
    "the rows of characters that do not occur fade away.",
)
def embeddings_decay(model, lr, weight_decay):
    return two_groups(model, lr, weight_decay, lambda name, p: p.dim() >= 2)


@misconception(
    "optim.parameter_groups",
    "everything called weight",
    "You let all parameters called weight decay. The weights of norms are called that, too: they "
    "begin at 1, and decay pulls them to 0.",
)
def called_weight(model, lr, weight_decay):
    return two_groups(
        model, lr, weight_decay, lambda name, p: name.endswith("weight") and name[:2] != "wt"
    )


@misconception(
    "optim.parameter_groups",
    "decay in the blocks only",
    "The matrix of the head does not decay in your groups. It is a matrix that maps vectors to "
    "vectors, as those of the blocks.",
)
def blocks_only(model, lr, weight_decay):
    return two_groups(
        model, lr, weight_decay, lambda name, p: p.dim() >= 2 and name.startswith("blocks")
    )


@misconception(
    "optim.parameter_groups",
    "positions forgotten",
    "You leave out `wte` but not `wpe`. Both are embeddings: the last positions are as rare as "
    "rare characters.",
)
def wpe_decays(model, lr, weight_decay):
    return two_groups(model, lr, weight_decay, lambda name, p: p.dim() >= 2 and "wte" not in name)


@misconception(
    "optim.parameter_groups",
    "weights in no group",
    "You leave out what does not decay. The optimizer moves only what is in a group, so these "
    "weights stay as they began.",
)
def left_out(model, lr, weight_decay):
    return two_groups(
        model, lr, weight_decay, lambda name, p: p.dim() >= 2 and name[:2] not in ("wt", "wp")
    )[:1]


@misconception(
    "optim.parameter_groups",
    "no decay of its own",
    'The group without decay has no key "weight_decay". AdamW then takes its own default, which '
    "is not 0 but 0.01.",
)
def default_decay(model, lr, weight_decay):
    first, second = two_groups(
        model, lr, weight_decay, lambda name, p: p.dim() >= 2 and name[:2] not in ("wt", "wp")
    )
    del second["weight_decay"]
    return [first, second]


@misconception(
    "optim.parameter_groups",
    "no rate in the groups",
    'Your groups have no "lr". AdamW then takes its own default, 0.001, whatever you asked for.',
)
def no_rate(model, lr, weight_decay):
    groups = two_groups(
        model, lr, weight_decay, lambda name, p: p.dim() >= 2 and name[:2] not in ("wt", "wp")
    )
    return [{key: group[key] for key in ("params", "weight_decay")} for group in groups]


@misconception(
    "optim.parameter_groups",
    "a weight in two groups",
    "Some weights are in two of your groups. AdamW refuses that; it would move them twice.",
)
def in_two_groups(model, lr, weight_decay):
    first, second = two_groups(
        model, lr, weight_decay, lambda name, p: p.dim() >= 2 and name[:2] not in ("wt", "wp")
    )
    return [first, {**second, "params": [*second["params"], model.head.weight]}]


# --- clip_gradients ---------------------------------------------------------------------------


@misconception(
    "optim.clip_gradients",
    "clip each tensor by itself",
    "You measure and shorten every tensor by itself. Long tensors lose more than short ones, so "
    "the step goes in another direction; the gradient is one vector.",
)
def each_by_itself(parameters, max_norm):
    total = 0.0
    for parameter in parameters:
        if parameter.grad is not None:
            norm = parameter.grad.norm().item()
            total += norm**2
            if norm > max_norm:
                parameter.grad.mul_(max_norm / norm)
    return total**0.5


@misconception(
    "optim.clip_gradients",
    "clip each number",
    "You cut every number off at the limit. That bends the gradient: its large parts shrink and "
    "its small ones do not. Multiply all by one factor.",
)
def each_number(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = sum(grad.square().sum().item() for grad in grads) ** 0.5
    for grad in grads:
        grad.clamp_(-max_norm, max_norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "always to the limit",
    "You bring every gradient to the length of the limit, short ones, too. Near a minimum the "
    "gradient is short for a reason; clipping only shortens.",
)
def always_to_the_limit(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = sum(grad.square().sum().item() for grad in grads) ** 0.5
    for grad in grads:
        grad.mul_(max_norm / (norm + 1e-6))
    return norm


@misconception(
    "optim.clip_gradients",
    "the length after clipping",
    "You return the length after clipping. It is never above the limit, so the log cannot show "
    "that anything was clipped.",
)
def length_afterwards(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = sum(grad.square().sum().item() for grad in grads) ** 0.5
    if norm > max_norm:
        for grad in grads:
            grad.mul_(max_norm / norm)
    return min(norm, max_norm)


@misconception(
    "optim.clip_gradients",
    "lengths added up",
    "You add the lengths of the tensors. Lengths at right angles do not add up: 3 and 4 make 5, "
    "not 7. Add squares, then take one root.",
)
def lengths_added(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = sum(grad.norm().item() for grad in grads)
    if norm > max_norm:
        for grad in grads:
            grad.mul_(max_norm / norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "no root",
    "You compare the sum of squares with the limit. The length is its root.",
)
def no_root(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = sum(grad.square().sum().item() for grad in grads)
    if norm > max_norm:
        for grad in grads:
            grad.mul_(max_norm / norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "an iterator gone through twice",
    "You go through `parameters` a second time. `model.parameters()` is used up by then, and "
    "nothing is clipped. Keep a list.",
)
def gone_through_twice(parameters, max_norm):
    norm = sum(p.grad.square().sum().item() for p in parameters if p.grad is not None) ** 0.5
    if norm > max_norm:
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(max_norm / norm)
    return norm


@misconception(
    "optim.clip_gradients",
    "the weights shortened",
    "You measure and shorten the weights. It is their gradients that are too long.",
)
@torch.no_grad()
def weights_shortened(parameters, max_norm):
    weights = [p for p in parameters if p.grad is not None]
    norm = sum(weight.square().sum().item() for weight in weights) ** 0.5
    if norm > max_norm:
        for weight in weights:
            weight.mul_(max_norm / norm)
    return norm


# --- orthogonalize ----------------------------------------------------------------------------


def rounds(X, steps):
    a, b, c = NS
    for _ in range(steps):
        S = X @ X.T
        X = a * X + (b * S + c * S @ S) @ X
    return X


@misconception(
    "optim.orthogonalize",
    "not divided first",
    "You begin with G itself. Strengths above 1 grow in every round, and s⁵ grows fast: the "
    "matrix explodes.",
)
def not_divided(G, steps=5):
    return rounds(G, steps)


@misconception(
    "optim.orthogonalize",
    "divided by the largest number",
    "You divide by the largest entry. A matrix can be much stronger than its largest entry: "
    "strengths above 1 remain, and they explode.",
)
def by_the_largest_number(G, steps=5):
    return rounds(G / G.abs().max().clamp(min=1e-30), steps)


@misconception(
    "optim.orthogonalize",
    "divided in every round",
    "You divide by the length again in every round. That undoes what the round has done; once, "
    "before the first, is enough.",
)
def divided_each_round(G, steps=5):
    X = G / G.norm().clamp(min=1e-30)
    for _ in range(steps):
        X = rounds(X / X.norm().clamp(min=1e-30), 1)
    return X


@misconception(
    "optim.orthogonalize",
    "X Xᵀ made once",
    "You compute X Xᵀ before the loop. Every round needs that of its own X.",
)
def made_once(G, steps=5):
    a, b, c = NS
    X = G / G.norm().clamp(min=1e-30)
    S = X @ X.T
    for _ in range(steps):
        X = a * X + (b * S + c * S @ S) @ X
    return X


@misconception(
    "optim.orthogonalize",
    "powers of single numbers",
    "You raise each number to a power. The strengths belong to the whole matrix: only matrix "
    "products reach them.",
)
def single_numbers(G, steps=5):
    a, b, c = NS
    X = G / G.norm().clamp(min=1e-30)
    for _ in range(steps):
        X = a * X + b * X**3 + c * X**5
    return X


@misconception(
    "optim.orthogonalize",
    "squares of single numbers in (X Xᵀ)²",
    "You square the numbers of X Xᵀ one by one. (X Xᵀ)² is a matrix product of X Xᵀ with itself.",
)
def square_of_numbers(G, steps=5):
    a, b, c = NS
    X = G / G.norm().clamp(min=1e-30)
    for _ in range(steps):
        S = X @ X.T
        X = a * X + (b * S + c * S**2) @ X
    return X


@misconception(
    "optim.orthogonalize",
    "0 divided by 0",
    "A gradient of zeros has length 0, and you divide by it: NaN. One NaN in an update, and the "
    "model is lost.",
)
def zero_by_zero(G, steps=5):
    return rounds(G / G.norm(), steps)


@misconception(
    "optim.orthogonalize",
    "signs of single numbers",
    "You make every number 1 or −1. That treats each number by itself, as AdamW does; the "
    "directions of the matrix still differ in strength.",
)
def signs(G, steps=5):
    return G.sign()


@misconception(
    "optim.orthogonalize",
    "G divided in place",
    "You divide G itself, so the gradient of whoever called you has changed. Make a new matrix.",
)
def in_place(G, steps=5):
    G /= G.norm().clamp(min=1e-30)
    return rounds(G, steps)
