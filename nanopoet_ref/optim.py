"""Optimizers (优化器): who moves which weights, and how fast.

Source: Jordan et al. 2024 (Muon: a matrix is moved by an orthogonal one).
"""

import torch
from torch import nn

ROLES = ("matrices", "embeddings", "head", "vectors")


def weights_by_role(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The weights of a GPT by what they do, every one of them once.

    The head's bias is among the vectors, with the other biases and the norms. The matrices are
    those of the blocks.
    """
    roles: dict[str, list[nn.Parameter]] = {role: [] for role in ROLES}
    for name, parameter in model.named_parameters():
        # A weight's shape says how it acts. A matrix mixes its input; a vector shifts or scales it;
        # an embedding is a table of rows, most of which a batch does not touch.
        if parameter.dim() < 2:
            roles["vectors"].append(parameter)
        # By name where the shape does not tell: an embedding and a head are matrices, too.
        elif "wte" in name or "wpe" in name:
            roles["embeddings"].append(parameter)
        elif "head" in name:
            roles["head"].append(parameter)
        else:
            roles["matrices"].append(parameter)
    return roles


def configure_optimizers(
    model: nn.Module,
    lr: float = 3e-4,
    *,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.95),
    muon_lr: float | None = None,
    muon_momentum: float = 0.95,
    muon_ns_steps: int = 5,
    embedding_lr: float | None = None,
    head_lr: float | None = None,
) -> list[torch.optim.Optimizer]:
    """AdamW for all weights, or Muon for the matrices of the blocks and AdamW for the rest.

    Weight decay acts on matrices of the blocks and the head alone, never on biases, norms or
    embeddings. With `muon_lr` the block matrices go to Muon. `embedding_lr` and `head_lr` default
    to `lr`. Fewer Newton-Schulz steps (`muon_ns_steps`) make a move less orthogonal and cheaper.
    Every weight is in exactly one group.
    """
    roles = weights_by_role(model)
    # Decay pulls towards 0 at every step, also where there is no gradient: rare characters would
    # fade, and a bias or a norm has no reason to be near 0.
    embedding_lr = lr if embedding_lr is None else embedding_lr
    head_lr = lr if head_lr is None else head_lr
    groups = [
        {"params": roles["embeddings"], "lr": embedding_lr, "weight_decay": 0.0},
        {"params": roles["head"], "lr": head_lr, "weight_decay": weight_decay},
        {"params": roles["vectors"], "lr": lr, "weight_decay": 0.0},
    ]
    # At most two optimizers; a loop that steps a list of them need not know which.
    optimizers: list[torch.optim.Optimizer] = []
    if muon_lr is None:
        groups.insert(0, {"params": roles["matrices"], "lr": lr, "weight_decay": weight_decay})
    else:
        # Muon replaces a matrix's momentum by the nearest orthogonal matrix, so that all its
        # directions move equally far; a few rounds of matrix products come close enough.
        muon = torch.optim.Muon(
            roles["matrices"], muon_lr, weight_decay, muon_momentum, ns_steps=muon_ns_steps
        )
        optimizers.append(muon)
    groups = [group for group in groups if group["params"]]  # a model may have no vectors
    # One kernel for all weights instead of some for each; Apple's GPU has none.
    fused = next(model.parameters()).device.type != "mps"
    optimizers.append(torch.optim.AdamW(groups, betas=betas, fused=fused))
    # A schedule multiplies this rate; `lr` itself is overwritten at every step.
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers
