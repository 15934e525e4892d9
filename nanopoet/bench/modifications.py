"""`nanopoet dev modifications`: what else is said to help a small GPT, tried on the preset quick.

Each row changes one thing, and keeps the steps, the batches and the rates of quick. The loss is
that of the same validation poems; the time of a step says what the change costs. What does not win
stays here, out of the model that the chapters build.

Sources: Zhou et al. 2024 (value residuals, and the value embeddings made of them); Jordan et al.
2024 and its successors, the modded-nanogpt speedruns (smear, hashed bigrams, value embeddings);
Li et al. 2025 (NorMuon); Amsel et al. 2025 (Polar Express); Goodman 2001 (two-level softmax).
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nanopoet.bench.experiments import EXPERIMENTS, commit
from nanopoet.files import write_atomically
from nanopoet.poet.components import REFERENCE
from nanopoet.poet.data import load_data
from nanopoet.poet.presets import LOSSES, find_preset
from nanopoet.poet.stages import BATCHES
from nanopoet_ref.gpt import GPT, GPTConfig, count_parameters
from nanopoet_ref.optim import configure_optimizers, weights_by_role
from nanopoet_ref.runtime import fast_precision, pick_device, seed_everything
from nanopoet_ref.tokenizer import CharTokenizer, build_vocab
from nanopoet_ref.training import BatchStream, LossFn, StepLog, train

FILE = EXPERIMENTS / "modifications.json"
BIGRAMS = 2**14  # rows of the table of hashed bigrams
CLASS = 84  # tokens in a class of the two-level softmax: about the root of quick's vocabulary
Change = Callable[[GPT], LossFn | None]


# --- Changes of the model ----------------------------------------------------------------------


def smear(model: GPT) -> None:
    """Each character's row gets some of the row before it, as much as a learned gate lets in."""
    model.smear_gate = gate_of = nn.Parameter(torch.zeros(12))
    model.smear_strength = strength = nn.Parameter(torch.zeros(1))

    def add(_: nn.Module, __: Any, x: Tensor) -> Tensor:
        before = F.pad(x[:, :-1], (0, 0, 1, 0))  # (B, T, C)
        gate = torch.sigmoid(x[..., :12] @ gate_of)  # (B, T)
        return x + strength * gate.unsqueeze(-1) * before

    model.wte.register_forward_hook(add)


def bigrams(model: GPT) -> None:
    """A second embedding, of a character together with the one before it, found by a hash."""
    model.wte_bigrams = table = nn.Embedding(BIGRAMS, model.config.n_embd)
    nn.init.zeros_(table.weight)

    def add(_: nn.Module, args: tuple[Tensor], x: Tensor) -> Tensor:
        (idx,) = args
        before = F.pad(idx[:, :-1], (1, 0))
        return x + table((before * 36_313 + idx * 27_191) % BIGRAMS)

    model.wte.register_forward_hook(add)


def values(model: GPT) -> None:
    """A second embedding, added to the values of every layer, as much as each wants of it."""
    width = model.config.n_embd
    model.wte_values = table = nn.Embedding(model.config.vocab_size, width)
    nn.init.zeros_(table.weight)
    model.value_strength = strength = nn.Parameter(torch.ones(model.config.n_layer))
    seen: list[Tensor] = []

    def look(_: nn.Module, args: tuple[Tensor]) -> None:
        seen[:] = [table(args[0])]  # (B, T, C)

    def add(_: nn.Module, __: Any, qkv: Tensor, layer: int) -> Tensor:
        more = (strength[layer] * seen[0]).to(qkv.dtype)
        return qkv + F.pad(more, (2 * width, 0))  # of q, k, v the last third

    model.register_forward_pre_hook(look)
    for layer, block in enumerate(model.blocks):
        block.get_submodule("attn.qkv").register_forward_hook(partial(add, layer=layer))


class TwoLevelHead(nn.Module):
    """First the class of a token, then the token in its class: two products of √V instead of V.

    Classes are neighbours in the vocabulary, which is sorted by how often a character comes.
    """

    def __init__(self, n_embd: int, vocab_size: int) -> None:
        super().__init__()
        n = -(-vocab_size // CLASS)
        self.classes = nn.Parameter(torch.zeros(n, n_embd))
        self.members = nn.Parameter(torch.zeros(n, CLASS, n_embd))
        self.bias = nn.Parameter(torch.zeros(n * (CLASS + 1)))
        shut = torch.arange(n * CLASS) >= vocab_size  # places of the last class that are nobody's
        self.register_buffer("shut", shut.view(n, CLASS), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The loss makes logits of what it needs only: here rows (B, T, C) go through."""
        return x

    def loss(self, x: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Nats a target that counts."""
        counted = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask.bool()
        rows, wanted = x[counted], targets[counted]  # (N, C), (N,)
        place, member = wanted // CLASS, wanted % CLASS
        n = len(self.classes)
        of_class, of_member = self.bias.split([n, n * CLASS])
        logits = F.linear(rows, self.classes.to(rows.dtype)).float() + of_class  # (N, n)
        nats = F.cross_entropy(logits, place, reduction="sum")
        biases = of_member.view(n, CLASS).masked_fill(self.shut, float("-inf"))
        for c in place.unique().tolist():
            here = place == c
            logits = F.linear(rows[here], self.members[c].to(rows.dtype)).float() + biases[c]
            nats = nats + F.cross_entropy(logits, member[here], reduction="sum")
        return nats / max(len(wanted), 1)


def two_levels(model: GPT) -> LossFn:
    """A head of two levels, which has a loss of its own."""
    head = TwoLevelHead(model.config.n_embd, model.config.vocab_size)
    model.head = head  # type: ignore[assignment]
    return head.loss


# --- Changes of Muon ---------------------------------------------------------------------------

QUINTIC = ((3.4445, -4.7750, 2.0315),)  # Muon's own, the same at every step
SAFETY = 1.01  # rounding in bfloat16 must not push a strength out of a polynomial's range
POLAR = tuple(  # Polar Express: each is the best for what those before it have left
    (a / SAFETY, b / SAFETY**3, c / SAFETY**5)
    for a, b, c in (
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
        (3.3184196573706015, -2.488488024314874, 0.51004894012372),
        (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    )
)


def orthogonal(matrix: Tensor, coefficients: Sequence[tuple[float, float, float]]) -> Tensor:
    """Nearly the nearest orthogonal matrix, one polynomial after the other.

    >>> turned = orthogonal(torch.diag(torch.tensor([1.0, 0.1])), POLAR)
    >>> bool((turned - torch.eye(2)).abs().max() < 0.15)
    True
    """
    wide = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide.bfloat16() / (wide.norm() * SAFETY + 1e-7)
    for a, b, c in coefficients:
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if matrix.shape[0] > matrix.shape[1] else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Muon with other polynomials, or with rows brought to one size by what they have been.

    `per_row`: NorMuon divides each row of the orthogonal matrix by the root of its mean square over
    time, and keeps the size of the whole.
    """

    def __init__(
        self,
        params: Sequence[nn.Parameter],
        lr: float,
        *,
        coefficients: Sequence[tuple[float, float, float]],
        per_row: bool,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(params, {"lr": lr})
        self.coefficients, self.per_row, self.momentum = coefficients, per_row, momentum

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One move of each matrix that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                past = state.setdefault("past", torch.zeros_like(weight))
                past.lerp_(weight.grad, 1 - self.momentum)
                move = orthogonal(weight.grad.lerp(past, self.momentum), self.coefficients)
                if self.per_row:
                    size = move.norm()
                    mean = move.square().mean(dim=1, keepdim=True)
                    squares = state.setdefault("squares", torch.zeros_like(mean))
                    squares.lerp_(mean, 0.05)
                    move = move / (squares.sqrt() + 1e-10)
                    move = move * (size / move.norm().clamp(min=1e-10))
                rows, columns = weight.shape
                weight.sub_(move, alpha=group["lr"] * max(1, rows / columns) ** 0.5)


class Row(NamedTuple):
    """One modification: a change of the model, or another Muon."""

    change: Change = lambda model: None
    muon: dict[str, Any] | None = None


ROWS = {
    "quick": Row(),
    "smear": Row(smear),
    "bigram embeddings": Row(bigrams),
    "value embeddings": Row(values),
    "two-level softmax": Row(two_levels),
    "Polar Express": Row(muon={"coefficients": POLAR, "per_row": False}),
    "NorMuon": Row(muon={"coefficients": QUINTIC * 3, "per_row": True}),
}


# --- Runs ----------------------------------------------------------------------------------------


def optimizers_of(model: GPT, row: Row, table: dict[str, Any]) -> list[torch.optim.Optimizer]:
    """Those of quick, with the row's Muon in the place of PyTorch's."""
    made = configure_optimizers(model, **table)
    if row.muon:
        made[0] = Muon(weights_by_role(model)["matrices"], table["muon_lr"], **row.muon)
        made[0].param_groups[0]["initial_lr"] = table["muon_lr"]
    return made


def try_row(name: str, seed: int, max_steps: int | None = None) -> dict[str, Any]:
    """Train quick with one change; the loss at its end, and what it took."""
    row, preset = ROWS[name], find_preset("quick")
    (stage,) = preset.stages
    stage = replace(stage, max_steps=max_steps or stage.max_steps)
    data = load_data(preset)
    tokenizer = CharTokenizer(build_vocab(data.texts(), preset.min_count))
    seed_everything(seed)
    made = BATCHES[stage.name](data, tokenizer, preset.block_size, stage, seed, REFERENCE)
    model = GPT(GPTConfig(vocab_size=len(tokenizer), **preset.model))
    loss_fn = row.change(model) or LOSSES[stage.loss]
    logs: list[StepLog] = []
    began = time.process_time()
    train(
        model,
        BatchStream(made.batches),
        loss_fn,
        stage.lr_mult(REFERENCE.schedules),
        stage.train_config(fast_precision(pick_device("cpu"))),
        optimizers=optimizers_of(model, row, stage.optimizer),
        eval_batches=made.fixed,
        callback=logs.append,
        progress=True,
    )
    return {
        "val_loss": round(logs[-1].val_loss or float("nan"), 4),
        "parameters": count_parameters(model),
        "step_seconds": round(sum(log.seconds for log in logs) / len(logs), 4),
        "processor_seconds": round(time.process_time() - began, 1),
    }


def write_modifications(seeds: int = 3, path: Path = FILE) -> None:
    """Try all rows with seeds 0, 1, …; each result is kept at once, and none is made twice."""
    found: dict[str, Any] = {"rows": {}}
    if path.exists():
        found = json.loads(path.read_text("utf-8"))
    found |= {
        "command": f"nanopoet dev modifications --seeds {seeds}",
        "commit": commit(),
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__},
        "preset": find_preset("quick").as_dict(),
    }
    for seed in range(seeds):
        for name in ROWS:
            runs = found["rows"].setdefault(name, {})
            if str(seed) not in runs:
                print(f"{name}, seed {seed}")
                runs[str(seed)] = try_row(name, seed)
                write_atomically(path, json.dumps(found, ensure_ascii=False, indent=1) + "\n")
