"""`nanopoet evaluate`: what a run's poet is worth, in numbers."""

import itertools
import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nanopoet.poet.data import Data
from nanopoet.poet.rates import (
    COLUMNS,
    OF_REAL,
    RATES,
    RULES,
    TUNE_RULES,
    VARIETY,
    rates,
    tune_rates,
    verse,
)
from nanopoet.poet.run import Run
from nanopoet.poet.stages import make_tasks, needed
from nanopoet_ref.checkpoint import Checkpoint
from nanopoet_ref.conversation import Conversation, render_conversation, render_request
from nanopoet_ref.evaluation import poem_loss
from nanopoet_ref.loss import bits_per_byte, masked_cross_entropy, token_losses
from nanopoet_ref.masks import VerseMask
from nanopoet_ref.mixture import Task, said
from nanopoet_ref.poem import Poem
from nanopoet_ref.pretraining import windows_by_number
from nanopoet_ref.prosody import find_faults, share
from nanopoet_ref.rewards import without_control
from nanopoet_ref.runtime import evaluating, limit_threads, make_generator
from nanopoet_ref.sampling import write_poems
from nanopoet_ref.tokenizer import render_poem
from nanopoet_ref.tools import NO_END, answer
from nanopoet_ref.training import estimate_loss

VAL_POEMS = 2000  # the loss of one poem scatters by about 0.5 nats, so their mean by 0.01
MEANINGS = {
    "val_loss_per_token": "nats per token of unseen poems, markers included",
    "val_loss_per_char": "the same nats per character",
    "samples": "poems written for this",
}
OF_ANSWERS = {
    "accuracy": "right",
    "chance": "by chance",
    "format_errors": "format errors",
    "no_end": "no end",
    "questions": "questions",
}
SPEAKERS = ("prompts", "answers")


def spread(poems: Sequence[Poem], n: int, seed: int) -> list[Poem]:
    """`n` poems spread evenly over the list; the seed says where to begin."""
    n = min(n, len(poems))
    return [poems[(seed + i * len(poems) // n) % len(poems)] for i in range(n)]


def evaluate_run(
    run: Run,
    samples: int = 200,
    seed: int = 0,
    temperature: float = 0.8,
    batch_size: int = 50,
    book: str = "pingshui",
    best_of: int = 1,
    masked: bool = False,
) -> dict[str, Any]:
    """All numbers of a run, by the names of its JSON output.

    Samples are asked for with author, form and title of validation poems, which the model has not
    seen. A run on plain text has losses only; what does not apply is None. `best_of` takes of so
    many poems the one that breaks the fewest rules; `masked` asks for verse alone, held to its
    rules.
    """
    poet = run.poet()
    data = run.data()
    val = data.poems("val")
    if not val:
        return evaluate_text(poet, data)
    chosen = spread(val, VAL_POEMS, seed)
    per_token, per_char = poem_loss(poet.model, poet.tokenizer, chosen)
    block_size = poet.model.config.block_size
    asked = [Poem(p.author, p.form, p.title, "") for p in (verse(val) if masked else val)]
    # A longer title would leave no room: for the poem, or for all that a form is held to.
    asked = [
        request
        for request in asked
        if len(render_poem(poet.tokenizer, request)) <= block_size // 2
        and not (masked and needed(request) > block_size)
    ]
    requests = run.with_controls(spread(asked, samples, seed + 1), seed)
    poems: list[Poem] = []
    for start in range(0, len(requests), batch_size):
        some = [r for r in requests[start : start + batch_size] for _ in range(best_of)]
        written = write_poems(
            poet.model,
            poet.tokenizer,
            some,
            temperature=temperature,
            generator=make_generator(seed, start),
            verse_mask=VerseMask(poet.tokenizer, [r.form for r in some], book=book)
            if masked
            else None,
        )
        poems += fewest_faults(written, best_of, book)
    lyrics = tune_rates(poems, chosen, data.poems("train"), seed)
    return {
        "val_loss_per_token": per_token,
        "val_loss_per_char": per_char,
        **rates(list(map(without_control, poems)), chosen, data, seed, book),
        "samples": len(poems),
        **({"tunes": lyrics} if lyrics else {}),
        **(evaluate_answers(run, poet, data, samples, seed) if run.answers else {}),
    }


def fewest_faults(poems: Sequence[Poem], n: int, book: str) -> list[Poem]:
    """Of each `n` neighbours the one that breaks the fewest rules.

    A poem out of form has that one fault, since no other can be looked for: it comes last.
    """

    def faults(poem: Poem) -> tuple[bool, int]:
        found = find_faults(poem, book)
        return any(fault.rule == "form" for fault in found), len(found)

    return [min(poems[i : i + n], key=faults) for i in range(0, len(poems), n)]


def evaluate_answers(
    run: Run, poet: Checkpoint, data: Data, samples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """By task: what is right, and what of the form is wrong, of the likeliest answers; and the
    bits per byte of both sides.

    Asked is what the model has not seen. By chance: the same with the right answers to other
    questions of the task in the place of the model's.
    """
    names = dict.fromkeys(run.config.preset.stages[-1].tasks)
    tasks = make_tasks(data, "val", names, samples) if samples else []
    with limit_threads(2):  # one token at a time is too little work for more
        return {
            "tasks": {task.name: rate_answers(poet, task, seed) for task in tasks},
            "bits_per_byte": bits_by_speaker(poet, itertools.chain(*tasks)),
        }


def rate_answers(poet: Checkpoint, task: Task, seed: int) -> dict[str, float]:
    """The numbers of one task, by the names of `OF_ANSWERS`."""
    room = poet.model.config.block_size - 1
    asked = [talk for talk in task if len(render_request(poet.tokenizer, talk)) <= room]
    answers = [answer(poet.model, poet.tokenizer, talk, temperature=0.0) for talk in asked]
    others = random.Random(seed).sample(asked, len(asked))
    pairs = list(zip(asked, answers, strict=True))
    return {
        "accuracy": share(not a.problem and task.evaluate(talk, a.text) for talk, a in pairs),
        "chance": share(
            task.evaluate(talk, said(other)) for talk, other in zip(asked, others, strict=True)
        ),
        "format_errors": share(a.problem not in ("", NO_END) for a in answers),
        "no_end": share(a.problem == NO_END for a in answers),
        "questions": len(asked),
    }


@torch.no_grad()
def bits_by_speaker(poet: Checkpoint, talks: Iterable[Conversation]) -> dict[str, float]:
    """Bits per byte of what is asked and of what the assistant says, in unseen conversations.

    Marks have no bytes and count on neither side. What a tool gave back is given, like a prompt.
    """
    model, tokenizer = poet.model, poet.tokenizer
    n_bytes = torch.tensor(
        [0 if t in tokenizer.special else len(t.encode()) for t in tokenizer.vocab]
    )
    nats, size = dict.fromkeys(SPEAKERS, 0.0), dict.fromkeys(SPEAKERS, 0)
    with evaluating(model):
        for talk in talks:
            ids, said = render_conversation(tokenizer, talk, model.config.block_size + 1)
            tokens, by_assistant = (
                torch.from_numpy(ids.astype(np.int64)),
                torch.from_numpy(said)[1:],
            )
            targets = tokens[1:]
            losses = token_losses(model(tokens[None, :-1])[0], targets)  # (T,)
            counts = n_bytes[targets]
            for name, side in zip(SPEAKERS, (~by_assistant, by_assistant), strict=True):
                chosen = side & (counts > 0)
                nats[name] += float(losses[chosen].sum())
                size[name] += int(counts[chosen].sum())
    return {side: bits_per_byte(nats[side], size[side]) for side in SPEAKERS if size[side]}


def evaluate_text(poet: Checkpoint, data: Data) -> dict[str, Any]:
    """The loss on the held-out tenth of a plain text."""
    ids = data.stream(poet.tokenizer, "val")
    batch_at = windows_by_number(ids, poet.model.config.block_size, 16, seed=1)
    loss = estimate_loss(poet.model, [batch_at(i) for i in range(8)], masked_cross_entropy)
    losses: dict[str, Any] = {"val_loss_per_token": loss, "val_loss_per_char": loss}
    return losses | dict.fromkeys(RATES) | {"samples": 0}


def print_evaluation(name: str, result: dict[str, Any]) -> None:
    """The losses, the rules beside chance and real poems, and variety; shares in per cent."""
    losses = {key: f"{result[key]:.3f}" for key in result if key.startswith("val_loss")}
    grid = Table(title=f"run {name}", box=None, pad_edge=False)
    for column in ("", "", ""):
        grid.add_column(column)
    for key, value in (losses | {"samples": str(result["samples"])}).items():
        grid.add_row(key, value, MEANINGS[key])
    Console().print(grid)
    rows = Table(box=None, pad_edge=False)
    rows.add_column("of 100 poems or lines")
    for column in ("ours", "95% interval", "chance", "real"):
        rows.add_column(column, justify="right", no_wrap=True)
    rows.add_column("")
    for key, meaning in (RULES | VARIETY).items():
        ours, real = percent(result[key]), percent(result[OF_REAL[key]])
        low, high, chance = (percent(result.get(key + column)) for column in COLUMNS[1:4])
        rows.add_row(key, ours, f"{low} … {high}" if low else "", chance, real, meaning)
    for key, meaning in TUNE_RULES.items() if "tunes" in result else ():
        shares = (percent(result["tunes"][key + column]) for column in COLUMNS)
        ours, low, high, chance, real = shares
        rows.add_row(f"tune {key}", ours, f"{low} … {high}", chance, real, meaning)
    Console().print(rows)
    if result.get("tasks"):
        print_tasks(result["tasks"])
        bits = (f"{value:.2f} on {side}" for side, value in result["bits_per_byte"].items())
        Console().print(f"bits per byte: {', '.join(bits)}")


def percent(value: float | None) -> str:
    """A share in per cent; empty where nothing was counted.

    >>> percent(0.5), percent(None)
    ('50.0', '')
    """
    return "" if value is None else f"{100 * value:.1f}"


def print_tasks(tasks: dict[str, dict[str, float]]) -> None:
    """The numbers of each task in a row."""
    table = Table(title="likeliest answers to unseen questions", box=None, pad_edge=False)
    table.add_column("")
    for heading in OF_ANSWERS.values():
        table.add_column(heading, justify="right")
    for name, numbers in tasks.items():
        *rates, questions = (numbers[key] for key in OF_ANSWERS)
        table.add_row(name, *(f"{rate:.1%}" for rate in rates), str(questions))
    Console().print(table)
