"""Chapter 06 · Optimizers: worked answers."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


def parameter_groups(model: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """All weights of a GPT in groups (参数组), ready for `torch.optim.AdamW(groups)`.

    A group is a dictionary with the keys "params" (a list of parameters), "lr" and "weight_decay".
    Every group has the rate `lr`. Every parameter of the model is in exactly one group.

    The decay is `weight_decay` for the matrices of the blocks and for the matrix of the head. It
    is 0 for the embeddings, for all biases and for the weights of all norms.

    The model is a GPT of chapter 03, in either style, with any number of blocks. `wte` and `wpe`
    are its embeddings (the modern style has no `wpe`), `head` is its last layer, and the rest are
    `blocks` and norms; `model.named_parameters()` tells the names. How many groups there are, and
    in which order, is up to you. A group may be empty.

    >>> model = nn.ModuleDict({"wte": nn.Embedding(5, 2), "head": nn.Linear(2, 5)})
    >>> groups = parameter_groups(model, lr=0.01, weight_decay=0.1)
    >>> sum(len(group["params"]) for group in groups if group["weight_decay"] == 0.1)
    1
    """
    decayed, kept = [], []
    for name, parameter in model.named_parameters():
        # Biases and norms are vectors. Embeddings are matrices by shape, so only the name tells.
        is_embedding = name.startswith(("wte.", "wpe."))
        (kept if parameter.dim() < 2 or is_embedding else decayed).append(parameter)
    return [
        {"params": decayed, "lr": lr, "weight_decay": weight_decay},
        {"params": kept, "lr": lr, "weight_decay": 0.0},
    ]


# What Muon does in each round: a strength s becomes a·s + b·s³ + c·s⁵.
NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(G: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """A gradient matrix (n, m) with all its strengths pushed towards 1, as Muon does it.

    Write G = U S Vᵀ. The strengths (singular values) in S differ widely; Muon wants them all near
    1. It gets there without computing U and V:

    1. X is G divided by its length, the root of the sum of all squares. No strength of X is then
       above 1.
    2. `steps` times, X becomes a X + b (X Xᵀ) X + c (X Xᵀ)² X, with (a, b, c) = `NS_COEFFICIENTS`.
       The products are matrix products, and (X Xᵀ)² is (X Xᵀ)(X Xᵀ).

    U and V stay; each strength s becomes a s + b s³ + c s⁵. Five rounds bring all but the weakest
    strengths to between about 0.7 and 1.2, and that is all Muon needs.

    Returns a new matrix of the shape and dtype of G, and leaves G as it is. A matrix of zeros
    gives zeros. `steps` may be 0.

    >>> G = torch.tensor([[10.0, 0.0], [0.0, 0.1]])
    >>> orthogonalize(G, steps=1).diagonal()  # doctest: +ELLIPSIS
    tensor([0.70..., 0.03...])
    """
    a, b, c = NS_COEFFICIENTS
    X = G / G.norm().clamp(min=1e-30)  # no 0 / 0
    for _ in range(steps):
        S = X @ X.T  # (n, n)
        X = a * X + (b * S + c * S @ S) @ X  # (n, m)
    return X


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> float:
    """Shorten the gradient if it is longer than `max_norm`; return its length before that.

    The gradient (梯度) is one long vector: the `.grad` of all parameters, end to end. If its length
    is above `max_norm`, every `.grad` is multiplied by the same number, so that the length becomes
    `max_norm` and the direction stays. A gradient that is not too long stays as it is. The weights
    themselves do not change.

    `parameters` can be any iterable, also one that can be gone through only once, such as
    `model.parameters()`. A parameter whose `.grad` is None is left out; if none is left, the length
    is 0. `max_norm` is above 0 and may be infinite: then the length is only measured. Gradients
    that are all 0 stay 0.

    >>> w = nn.Parameter(torch.zeros(2))
    >>> w.grad = torch.tensor([3.0, 4.0])
    >>> clip_gradients([w], max_norm=1.0)
    5.0
    >>> [round(x, 2) for x in w.grad.tolist()]
    [0.6, 0.8]
    """
    # A list can be gone through twice: once to measure, once to shorten.
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    # The square of a length is a sum of squares, whichever tensor they stand in.
    norm = sum(grad.square().sum().item() for grad in grads) ** 0.5
    if norm > max_norm:
        for grad in grads:
            grad.mul_(max_norm / norm)
    return norm


def resume(
    saved: dict[str, Any],
    make_model: Callable[[], nn.Module],
    make_optimizer: Callable[[nn.Module], torch.optim.Optimizer],
    update: Callable[[nn.Module, torch.optim.Optimizer, int], None],
    n_updates: int,
) -> nn.Module:
    """Find the bug. Finish a run that was interrupted; return its model.

    A run makes `n_updates` updates, counted from 0: `update(model, optimizer, i)` makes number i,
    with the batch and the rate of that number. `make_model()` and `make_optimizer(model)` make what
    a run begins with. `saved` is the checkpoint (检查点): "step" is how many updates had been made,
    "model" and "optimizer" are what `state_dict()` of each gave then.

    Each update that is left is made once, in order. The model that comes back has the weights of a
    run that was never interrupted.

    The symptom: six updates in one go, and three, a stop and three more, end with different
    weights. So it is with AdamW and with momentum. With plain SGD the weights are equal.

    >>> def make_model():
    ...     return nn.Embedding.from_pretrained(torch.zeros(1, 1), freeze=False)
    >>> def make_optimizer(model):
    ...     return torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.5)
    >>> def update(model, optimizer, i):
    ...     model.weight.grad = torch.ones(1, 1)
    ...     optimizer.step()
    >>> model = make_model()
    >>> optimizer = make_optimizer(model)
    >>> update(model, optimizer, 0)
    >>> saved = {"step": 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
    >>> resume(saved, make_model, make_optimizer, update, 3).weight.item()  # moved 1, 1.5, 1.75
    -4.25
    """
    model = make_model()
    model.load_state_dict(saved["model"])
    optimizer = make_optimizer(model)
    optimizer.load_state_dict(saved["optimizer"])  # its running means are part of the run
    for i in range(saved["step"], n_updates):
        update(model, optimizer, i)
    return model
