"""Checkpoints (检查点): everything that a run needs to go on as if it had never stopped.

One file holds weights, optimizers, step, generator state, model shape and vocabulary. It is
written beside the old one and then takes its place, so a run that is killed while saving still
has the old one. Nothing in it is code: it is read with `weights_only=True`.
"""

import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from nanopoet_ref.files import replacing
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.runtime import rng_states, set_rng_states
from nanopoet_ref.tokenizer import CharTokenizer

FORMAT = 1  # raised when what a checkpoint holds changes, so that an old one is refused by name


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or made for something else."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved, with the model and tokenizer built."""

    model: GPT
    tokenizer: CharTokenizer
    step: int
    optimizers: list[dict[str, Any]]
    rng_states: dict[str, torch.Tensor]
    notes: dict[str, Any] = field(default_factory=dict)

    def restore(
        self, optimizers: Sequence[torch.optim.Optimizer], device: torch.device | str = "cpu"
    ) -> None:
        """Give optimizers and PyTorch's generators, the device's too, the state they had."""
        # AdamW's and Muon's running means: without them the first steps after a resume are as blind
        # as the first of all.
        if len(optimizers) != len(self.optimizers):
            raise CheckpointError(
                f"saved: {len(self.optimizers)} optimizers; to be restored: {len(optimizers)}"
            )
        for optimizer, state in zip(optimizers, self.optimizers, strict=True):
            try:
                optimizer.load_state_dict(state)
            except ValueError as error:
                raise CheckpointError(f"the saved {type(optimizer).__name__}: {error}") from error
        # Dropout draws from PyTorch's own generators; batches do not, they come by number.
        set_rng_states(self.rng_states, torch.device(device))


def weights_digest(model: GPT) -> str:
    """A fingerprint of the weights: one changed bit is another digest."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        # With the name: two matrices that have changed places are not the same model.
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(
    path: Path,
    model: GPT,
    tokenizer: CharTokenizer,
    step: int,
    optimizers: Sequence[torch.optim.Optimizer] = (),
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write a checkpoint; at every moment `path` is the old one or the new one, whole.

    Without `optimizers` it holds weights only: enough to write poems, not to resume.
    """
    # Plain numbers, texts, lists and tensors, nothing else: a file that can be read without running
    # any code in it, on a machine that has never seen this one.
    content = {
        "format": FORMAT,
        "config": asdict(model.config),  # weights alone do not say how they are to be used
        "vocab": tokenizer.vocab,  # nor which character token 57 is
        "step": step,
        "model": model.state_dict(),
        "digest": weights_digest(model),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "rng_states": rng_states(model.wte.weight.device),
        "notes": dict(notes or {}),
    }
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())  # on disk before it takes the name


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint and build its model and tokenizer.

    Raises `CheckpointError`, with the path, for a file that is missing, cut short, not a
    checkpoint, or whose weights do not fit its configuration.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint here")
    # A checkpoint is a zip archive with a checksum for each part. They are asked for here, since a
    # flipped bit in a weight is still a number.
    try:
        with zipfile.ZipFile(path) as archive:
            if changed := archive.testzip():
                raise CheckpointError(f"checksum of {changed} is wrong")
        # Without weights_only, loading would run whatever code somebody has put into the file.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: damaged or not a checkpoint ({reason[:120]})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{path}: format {found!r}, this program reads format {FORMAT}")
    # The file is whole; now, does it hang together? Each question below has an answer that loads
    # without complaint and is wrong.
    try:
        model = GPT(GPTConfig(**content["config"])).to(device)
        model.load_state_dict(content["model"])
        # Counted over the weights as they stand in the model, not over the file: nothing was lost
        # on the way, either.
        if weights_digest(model) != content["digest"]:
            raise ValueError("the weights are not those that were saved")
        tokenizer = CharTokenizer(content["vocab"])
        if len(tokenizer) != model.config.vocab_size:
            raise ValueError(f"{len(tokenizer)} tokens for {model.config.vocab_size} logits")
        return Checkpoint(
            model,
            tokenizer,
            content["step"],
            content["optimizers"],
            # A checkpoint from before there were several holds the CPU's alone.
            {"cpu": content["rng_state"]} if "rng_state" in content else content["rng_states"],
            content["notes"],
        )
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{path}: {reason[:200]}") from error


def warm_start(model: GPT, tokenizer: CharTokenizer, path: Path) -> None:
    """Begin with the weights of an earlier stage, if they mean the same thing.

    Two vocabularies of equal size load without complaint and give nonsense, so the tokens
    themselves are compared, not their number.
    """
    # The whole checkpoint, not the weights alone: it knows what its numbers mean.
    before = load_checkpoint(path)
    if before.tokenizer.hash != tokenizer.hash:
        raise CheckpointError(
            f"{path}: its vocabulary ({before.tokenizer.hash}, {len(before.tokenizer)} tokens) is "
            f"not this one ({tokenizer.hash}, {len(tokenizer)} tokens)"
        )
    # Shapes alone do not tell: 4 heads and 8 heads have matrices of the same size.
    # Dropout and the kernel may differ: they are how a model is used, not what it is.
    config = replace(before.model.config, dropout=model.config.dropout, fused=model.config.fused)
    if config != model.config:
        raise CheckpointError(f"{path}: its model is {config}, this one {model.config}")
    model.load_state_dict(before.model.state_dict())
