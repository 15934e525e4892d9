"""Optimizers (优化器): who moves which weights, and how fast.

Source: Jordan et al. 2024 (Muon: a matrix is moved by an orthogonal one).
"""

import torch
from torch import nn


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
    matrices, head, embeddings, vectors = [], [], [], []
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            vectors.append(parameter)
        elif "wte" in name or "wpe" in name:
            embeddings.append(parameter)
        elif "head" in name:
            head.append(parameter)
        else:
            matrices.append(parameter)
    groups = [
        {
            "params": embeddings,
            "lr": lr if embedding_lr is None else embedding_lr,
            "weight_decay": 0.0,
        },
        {"params": head, "lr": lr if head_lr is None else head_lr, "weight_decay": weight_decay},
        {"params": vectors, "lr": lr, "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if muon_lr is None:
        groups.insert(0, {"params": matrices, "lr": lr, "weight_decay": weight_decay})
    else:
        optimizers.append(
            torch.optim.Muon(
                matrices,
                lr=muon_lr,
                weight_decay=weight_decay,
                momentum=muon_momentum,
                ns_steps=muon_ns_steps,
            )
        )
    groups = [group for group in groups if group["params"]]
    fused = next(model.parameters()).device.type != "mps"
    optimizers.append(torch.optim.AdamW(groups, betas=betas, fused=fused))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
    return optimizers
