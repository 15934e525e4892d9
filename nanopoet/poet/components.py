"""What a training is put together from: the reference's components, unless others are passed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanopoet.poet.presets import LOSSES
from nanopoet_ref.gpt import GPT
from nanopoet_ref.midtraining import length_buckets, pad_batch
from nanopoet_ref.poem import Poem
from nanopoet_ref.pretraining import poem_stream
from nanopoet_ref.schedule import SCHEDULES
from nanopoet_ref.tokenizer import CharTokenizer, Ids, build_vocab, render_poems
from nanopoet_ref.training import Batch, LossFn, StepLog, random_windows, train


def as_it_is(model: GPT) -> GPT:
    """The reference's own model."""
    return model


@dataclass(frozen=True)
class Components:
    """Every function of the course that a training calls.

    `model` gets the reference's model with its first weights, and returns one that computes the
    same. `losses` and `schedules` are by name.
    """

    build_vocab: Callable[..., list[str]] = build_vocab
    tokenizer: Callable[[Sequence[str]], CharTokenizer] = CharTokenizer
    render_poems: Callable[[CharTokenizer, Sequence[Poem]], tuple[Ids, NDArray[np.int64]]] = (
        render_poems
    )
    poem_stream: Callable[[CharTokenizer, Sequence[Poem]], Ids] = poem_stream
    model: Callable[[GPT], Any] = as_it_is
    random_windows: Callable[..., Batch] = random_windows
    pad_batch: Callable[..., Batch] = pad_batch
    length_buckets: Callable[..., list[NDArray[np.int64]]] = length_buckets
    losses: Mapping[str, LossFn] = field(default_factory=lambda: LOSSES)
    schedules: Mapping[str, Callable[..., float]] = field(default_factory=lambda: SCHEDULES)
    loop: Callable[..., list[StepLog]] = train


REFERENCE = Components()

# The tasks whose answers can take a component's place, and what each does in a training.
TASKS = {
    "tokenizer.build_vocab": "chooses the characters",
    "tokenizer.encode": "turns text into ids",
    "tokenizer.render_poem": "frames each poem",
    "attention.attention": "attends, in every layer",
    "attention.rotate": "turns queries and keys by position",
    "gpt.MLP": "computes at each position",
    "gpt.Block": "is one layer",
    "gpt.GPT": "is the model",
    "training.random_windows": "cuts the batches of pre-training",
    "training.estimate_loss": "measures",
    "training.training_step": "makes each update",
    "training.train": "is the loop",
    "loss.masked_cross_entropy": "is what gets smaller",
    "schedule.warmup_cosine": "sets the rate, where a preset says so",
    "schedule.warmup_warmdown": "sets the rate, where a preset says so",
    "pretraining.poem_stream": "lays poems end to end for pre-training",
    "midtraining.pad_batch": "pads the batches of mid-training",
    "midtraining.length_buckets": "sorts poems into batches",
}


def signature(noted: Mapping[str, Any]) -> str:
    """What is said of a poet that was not trained by the reference alone."""
    own = len(noted["own"])
    return f"{own} of the {len(TASKS)} components that trained this poet are your own"
