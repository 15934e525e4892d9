"""`nanopoet train --mine`: the learner's own functions train the poet.

A component is the learner's if its task passes its check, and the reference's if not.
Nothing is replaced behind anybody's back: components are passed as arguments.
"""

import importlib
import os
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor, nn

from nanopoet.checker.sandbox import Sandbox
from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.verdict import Verdict
from nanopoet.poet.components import REFERENCE, TASKS, Components
from nanopoet.poet.run import RunError
from nanopoet_ref.attention import CausalSelfAttention, attention, rotate
from nanopoet_ref.gpt import GPT, MLP, Block
from nanopoet_ref.poem import Poem
from nanopoet_ref.runtime import autocast
from nanopoet_ref.tokenizer import UNK, CharTokenizer, Ids
from nanopoet_ref.training import Batch, train


@dataclass(frozen=True)
class Mine:
    """A learner's folder, and which of the tasks in it are their own."""

    root: Path
    own: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"root": str(self.root), "own": list(self.own)}


def find_mine(root: Path) -> tuple[Mine, list[Verdict]]:
    """Check the components in a folder; those that pass are the learner's own."""
    if not root.is_dir():
        raise RunError(f"{root} is not a folder with exercises")
    with Sandbox() as sandbox:
        verdicts = [sandbox.judge(task, root, seed=0) for task in TASKS]
    own = tuple(verdict.task for verdict in verdicts if verdict.status == "pass")
    return Mine(Path(os.path.realpath(root)), own), verdicts


def print_authors(verdicts: Sequence[Verdict], console: Console) -> None:
    """Who wrote what."""
    table = Table("component", "does", "written by", box=SIMPLE)
    for verdict in verdicts:
        by = "you" if verdict.status == "pass" else "the reference"
        why = {"pass": "", "todo": " (yours is not written yet)"}
        reason = why.get(verdict.status, f" (yours: {verdict.symptom})")
        # As text: what an answer's error says may look like markup.
        table.add_row(verdict.task, TASKS[verdict.task], Text(by + reason))
    console.print(table)


def own_components(root: Path) -> tuple[Components, dict[str, Any]]:
    """Check the components in a folder, print who writes what; the components, and what to note."""
    mine, verdicts = find_mine(root)
    print_authors(verdicts, Console())
    return assemble(load_own(mine)), mine.as_dict()


def load_own(mine: Mine) -> dict[str, Any]:
    """The learner's functions and classes, by task, from their own folder."""
    package = types.ModuleType("exercises")
    package.__path__ = [str(mine.root)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "exercises"]:
        del sys.modules[name]
    sys.modules["exercises"] = package
    tasks = load_tasks()
    try:
        return {
            name: getattr(
                importlib.import_module(f"exercises.{tasks[name].module}"), tasks[name].function
            )
            for name in mine.own
        }
    except (ImportError, AttributeError, SyntaxError) as error:
        raise RunError(
            f"{mine.root} has changed since this run began ({error}): train again with --overwrite"
        ) from error


class OwnTokenizer(CharTokenizer):
    """The reference's vocabulary, with somebody else's way of looking characters up."""

    def __init__(self, vocab: Sequence[str], encode: Callable[..., Sequence[int]]) -> None:
        super().__init__(vocab)
        self.stoi = {token: i for i, token in enumerate(vocab) if token not in self.special}
        self.own_encode = encode

    def encode(self, text: str) -> Ids:
        ids = self.own_encode(text, self.stoi, self.special[UNK])
        return np.asarray(ids, dtype=np.uint16)


class InPrecision(nn.Module):
    """A model whose products run in another precision, for a loop that knows of none."""

    def __init__(self, model: nn.Module, precision: str) -> None:
        super().__init__()
        self.model, self.precision = model, precision

    def forward(self, idx: Tensor) -> Tensor:
        with autocast(idx.device, self.precision):
            return self.model(idx)


def assemble(own: Mapping[str, Any]) -> Components:
    """The reference's components, with those in `own` in their places."""
    changed: dict[str, Any] = {}
    if "tokenizer.build_vocab" in own:
        changed["build_vocab"] = own["tokenizer.build_vocab"]
    if "tokenizer.encode" in own:
        changed["tokenizer"] = partial(OwnTokenizer, encode=own["tokenizer.encode"])
    if "tokenizer.render_poem" in own:
        changed["render_poems"] = partial(render_one_by_one, own["tokenizer.render_poem"])
    if "pretraining.poem_stream" in own:
        changed["poem_stream"] = lambda *args: np.asarray(
            own["pretraining.poem_stream"](*args), dtype=np.uint16
        )
    if "training.random_windows" in own:
        changed["random_windows"] = lambda *args: Batch(*own["training.random_windows"](*args))
    if "midtraining.pad_batch" in own:
        changed["pad_batch"] = lambda *args: Batch(*own["midtraining.pad_batch"](*args))
    if "midtraining.length_buckets" in own:
        changed["length_buckets"] = lambda *args: [
            np.asarray(batch) for batch in own["midtraining.length_buckets"](*args)
        ]
    if "loss.masked_cross_entropy" in own:
        changed["losses"] = dict.fromkeys(REFERENCE.losses, own["loss.masked_cross_entropy"])
    schedules = {name: own.get(f"schedule.{name}", f) for name, f in REFERENCE.schedules.items()}
    changed["schedules"] = schedules
    changed["model"] = partial(own_model, own)
    changed["loop"] = partial(own_loop, own)
    return replace(REFERENCE, **changed)


def render_one_by_one(
    render_poem: Callable[..., Sequence[int]], tokenizer: CharTokenizer, poems: Sequence[Poem]
) -> tuple[Ids, NDArray[np.int64]]:
    """All poems as `render_poems` gives them, framed by a function for one poem."""
    rows = [np.asarray(render_poem(tokenizer, poem), dtype=np.uint16) for poem in poems]
    ends = list(accumulate(map(len, rows), initial=0))
    return np.concatenate(rows) if rows else np.zeros(0, np.uint16), np.array(ends)


def own_model(own: Mapping[str, Any], reference: GPT) -> nn.Module:
    """A model of the learner's components, with the weights of the reference's."""

    def attention_layer(*args: Any, **options: Any) -> CausalSelfAttention:
        attend = own.get("attention.attention", attention)
        options["fused"] = options["fused"] and "attention.attention" not in own
        turn = own.get("attention.rotate", rotate)
        return CausalSelfAttention(*args, **options, attend=attend, turn=turn)

    block = partial(
        own.get("gpt.Block", Block), attention=attention_layer, mlp=own.get("gpt.MLP", MLP)
    )
    model = own.get("gpt.GPT", GPT)(reference.config, block=block)
    model.load_state_dict(reference.state_dict())
    return model


def own_loop(own: Mapping[str, Any], model: nn.Module, *args: Any, **options: Any) -> list:
    """The training loop: theirs as a whole, or the reference's with their step and measure."""
    next_batch, loss_fn, lr_mult, config = args
    device = next(model.parameters()).device  # of which their loop need not know
    options["eval_batches"] = {
        split: [batch.to(device) for batch in batches]
        for split, batches in options["eval_batches"].items()
    }
    if "training.train" in own:
        loop, model = own["training.train"], InPrecision(model, config.precision)
        return loop(model, lambda: next_batch().to(device), loss_fn, lr_mult, config, **options)

    def step_fn(model: Any, batches: Any, loss_fn: Any, optimizers: Any, config: Any) -> Any:
        inside = InPrecision(model, config.precision)
        there = [batch.to(device) for batch in batches]
        return own["training.training_step"](inside, there, loss_fn, optimizers, config)

    def estimate(model: Any, batches: Any, loss_fn: Any, precision: str = "float32") -> Any:
        return own["training.estimate_loss"](InPrecision(model, precision), batches, loss_fn)

    if "training.training_step" in own:
        options["step_fn"] = step_fn
    if "training.estimate_loss" in own:
        options["estimate"] = estimate
    return train(model, *args, **options)


def noted_components(noted: Mapping[str, Any] | None) -> Components:
    """The components that a run was begun with, as its config.json notes them (None: the
    reference's).

    Raises `RunError` when one of them does not pass its check any more.
    """
    if noted is None:
        return REFERENCE
    mine = Mine(Path(noted["root"]), tuple(noted["own"]))
    now, _ = find_mine(mine.root)
    if lost := set(mine.own) - set(now.own):
        raise RunError(
            f"this run was begun with your {', '.join(sorted(lost))} from {mine.root}, which does "
            "not pass any more: mend it, or train again with --overwrite"
        )
    return assemble(load_own(mine))
