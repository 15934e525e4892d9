"""The parts that a training is put together from: the reference's, unless others are passed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanopoet.poet.presets import LOSSES
from nanopoet_ref.corpus import Poem
from nanopoet_ref.gpt import GPT
from nanopoet_ref.midtraining import length_buckets, pad_batch
from nanopoet_ref.pretraining import poem_stream
from nanopoet_ref.schedule import SCHEDULES
from nanopoet_ref.tokenizer import CharTokenizer, Ids, build_vocab, render_poems
from nanopoet_ref.training import Batch, LossFn, StepLog, random_windows, train


def as_it_is(model: GPT) -> GPT:
    """The reference's own model."""
    return model


@dataclass(frozen=True)
class Parts:
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


REFERENCE = Parts()
