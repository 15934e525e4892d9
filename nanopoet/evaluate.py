"""`nanopoet evaluate`: what a run's poet is worth, in numbers."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from nanopoet.data import Data
from nanopoet.runs import Run
from nanopoet.train import load_run_data
from nanopoet_ref.checkpoint import Checkpoint
from nanopoet_ref.corpus import Poem
from nanopoet_ref.evaluation import (
    form_patterns,
    has_form,
    lines_of,
    novel_lines,
    poem_loss,
    rhymes,
    share,
)
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.midtraining import write_poems
from nanopoet_ref.pretraining import window_batches
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import render_poem
from nanopoet_ref.training import estimate_loss

VAL_POEMS = 2000  # the loss of one poem scatters by about 0.5 nats, so their mean by 0.01


def pick(poems: Sequence[Poem], n: int, seed: int) -> list[Poem]:
    """`n` poems spread evenly over the list; the seed says where to begin."""
    n = min(n, len(poems))
    return [poems[(seed + i * len(poems) // n) % len(poems)] for i in range(n)]


def evaluate_run(
    run: Run, samples: int = 200, seed: int = 0, temperature: float = 0.8, batch_size: int = 50
) -> dict[str, Any]:
    """All numbers of a run, by the names of its JSON output.

    Samples are asked for with author, form and title of validation poems, which the model has not
    seen. A run on plain text has losses only; what does not apply is None.
    """
    poet = run.poet()
    data = load_run_data(run)
    val = data.poems("val")
    if not val:
        return evaluate_text(poet, data)
    chosen = pick(val, VAL_POEMS, seed)
    per_token, per_char = poem_loss(poet.model, poet.tokenizer, chosen)
    result: dict[str, Any] = {
        "val_loss_per_token": per_token,
        "val_loss_per_char": per_char,
        "form_exact": None,
        "novel_lines": None,
        "rhyme": None,
        "rhyme_corpus": share(rhymes(poem.content) for poem in chosen),
        "samples": 0,
    }
    room = poet.model.config.block_size // 2  # a longer title would leave none for the poem
    asked = [Poem(p.author, p.form, p.title, "") for p in val]
    asked = [request for request in asked if len(render_poem(poet.tokenizer, request)) <= room]
    requests = pick(asked, samples, seed + 1)
    poems: list[Poem] = []
    for start in range(0, len(requests), batch_size):
        poems += write_poems(
            poet.model,
            poet.tokenizer,
            requests[start : start + batch_size],
            temperature=temperature,
            generator=make_generator(seed, start),
        )
    if poems:
        result["samples"] = len(poems)
        corpus = [*data.poems("train"), *val]
        patterns = form_patterns(corpus)
        known = {line for poem in corpus for line in lines_of(poem.content)}
        result["form_exact"] = share(has_form(poem, patterns) for poem in poems)
        result["novel_lines"] = novel_lines(poems, known)
        result["rhyme"] = share(rhymes(poem.content) for poem in poems)
    return result


def evaluate_text(poet: Checkpoint, data: Data) -> dict[str, Any]:
    """The loss on the held-out tenth of a plain text."""
    ids = data.stream(poet.tokenizer, "val")
    batch_at = window_batches(ids, poet.model.config.block_size, 16, seed=1)
    loss = estimate_loss(poet.model, [batch_at(i) for i in range(8)], masked_cross_entropy)
    names = ("form_exact", "novel_lines", "rhyme", "rhyme_corpus")
    return (
        {"val_loss_per_token": loss, "val_loss_per_char": loss}
        | dict.fromkeys(names)
        | {"samples": 0}
    )


MEANINGS = {
    "val_loss_per_token": "nats per token of unseen poems, markers included",
    "val_loss_per_char": "the same nats per character",
    "form_exact": "poems whose lines are as many and as long as asked",
    "novel_lines": "lines that are not in the corpus",
    "rhyme": "poems whose even lines rhyme",
    "rhyme_corpus": "the same of real poems not seen in training",
    "samples": "poems written for this",
}


def print_evaluation(name: str, result: dict[str, Any]) -> None:
    """The numbers as a table, shares in per cent."""
    table = Table(title=f"run {name}", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("")
    for key, value in result.items():
        if value is None:
            shown = "-"
        elif key.startswith("val_loss"):
            shown = f"{value:.3f}"
        elif key == "samples":
            shown = str(value)
        else:
            shown = f"{value:.1%}"
        table.add_row(key, shown, MEANINGS[key])
    Console().print(table)
