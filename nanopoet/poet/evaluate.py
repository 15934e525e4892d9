"""`nanopoet evaluate`: what a run's poet is worth, in numbers."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.table import Table

from nanopoet.poet.data import Data
from nanopoet.poet.run import Run
from nanopoet.poet.stages import make_tasks
from nanopoet_ref.checkpoint import Checkpoint
from nanopoet_ref.conversation import render_request
from nanopoet_ref.evaluation import novel_lines, poem_loss
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.mixture import Task, said
from nanopoet_ref.poem import Poem
from nanopoet_ref.pretraining import windows_by_number
from nanopoet_ref.prosody import chance_of_rhyme, form_patterns, has_form, lines_of, rhymes, share
from nanopoet_ref.runtime import limit_threads, make_generator
from nanopoet_ref.sampling import write_poems
from nanopoet_ref.tokenizer import render_poem
from nanopoet_ref.tools import NO_END, answer
from nanopoet_ref.training import estimate_loss

VAL_POEMS = 2000  # the loss of one poem scatters by about 0.5 nats, so their mean by 0.01
RATES = {
    "form_exact": "poems whose lines are as many and as long as asked",
    "form_chance": "the same with the forms asked for exchanged by chance",
    "form_corpus": "the same of real poems not seen in training",
    "novel_lines": "lines that are not in the corpus",
    "novel_corpus": "lines of real poems that were not trained on",
    "rhyme": "poems that rhyme: regulated verse by its even lines, a lyric by its sentences",
    "rhyme_chance": "the same with the line ends exchanged by chance",
    "rhyme_corpus": "the same of real poems not seen in training",
}
MEANINGS = {
    "val_loss_per_token": "nats per token of unseen poems, markers included",
    "val_loss_per_char": "the same nats per character",
    **RATES,
    "samples": "poems written for this",
}
OF_ANSWERS = {
    "accuracy": "right",
    "chance": "by chance",
    "format_errors": "format errors",
    "no_end": "no end",
    "questions": "questions",
}


def spread(poems: Sequence[Poem], n: int, seed: int) -> list[Poem]:
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
    data = run.data()
    val = data.poems("val")
    if not val:
        return evaluate_text(poet, data)
    chosen = spread(val, VAL_POEMS, seed)
    per_token, per_char = poem_loss(poet.model, poet.tokenizer, chosen)
    room = poet.model.config.block_size // 2  # a longer title would leave none for the poem
    asked = [Poem(p.author, p.form, p.title, "") for p in val]
    asked = [request for request in asked if len(render_poem(poet.tokenizer, request)) <= room]
    requests = spread(asked, samples, seed + 1)
    poems: list[Poem] = []
    for start in range(0, len(requests), batch_size):
        poems += write_poems(
            poet.model,
            poet.tokenizer,
            requests[start : start + batch_size],
            temperature=temperature,
            generator=make_generator(seed, start),
        )
    return {
        "val_loss_per_token": per_token,
        "val_loss_per_char": per_char,
        **rates(poems, chosen, data, seed),
        "samples": len(poems),
        **({"tasks": evaluate_tasks(run, poet, data, samples, seed)} if run.answers else {}),
    }


def evaluate_tasks(
    run: Run, poet: Checkpoint, data: Data, samples: int, seed: int
) -> dict[str, dict[str, float]]:
    """By task: what is right, and what of the form is wrong, of the likeliest answers.

    Asked is what the model has not seen. By chance: the same with the right answers to other
    questions of the task in the place of the model's.
    """
    names = dict.fromkeys(run.config.preset.stages[-1].tasks)
    with limit_threads(2):  # one token at a time is too little work for more
        return {
            task.name: rate_answers(poet, task, seed)
            for task in (make_tasks(data, "val", names, samples) if samples else [])
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


def rates(
    poems: Sequence[Poem], real: Sequence[Poem], data: Data, seed: int
) -> dict[str, float | None]:
    """What share of the written poems keeps form, is new, rhymes; beside chance and real poems.

    By chance: form, if the forms asked for were exchanged among the poems; rhyme, if their line
    ends were.
    """
    train = data.poems("train")
    patterns = form_patterns(train)
    trained = {line for poem in train for line in lines_of(poem.content)}
    corpus = trained.union(*(lines_of(poem.content) for poem in data.poems("val")))
    of_real = {
        "form_corpus": share(has_form(poem, patterns) for poem in real),
        "novel_corpus": novel_lines(real, trained),
        "rhyme_corpus": share(rhymes(poem.content) for poem in real),
    }
    if not poems:
        return dict.fromkeys(RATES) | of_real
    forms = [poem.form for poem in poems]
    random.Random(seed).shuffle(forms)
    exchanged = [replace(poem, form=form) for poem, form in zip(poems, forms, strict=True)]
    contents = [poem.content for poem in poems]
    return dict.fromkeys(RATES) | {
        "form_exact": share(has_form(poem, patterns) for poem in poems),
        "form_chance": share(has_form(poem, patterns) for poem in exchanged),
        "novel_lines": novel_lines(poems, corpus),
        "rhyme": share(map(rhymes, contents)),
        "rhyme_chance": chance_of_rhyme(contents, seed),
        **of_real,
    }


def evaluate_text(poet: Checkpoint, data: Data) -> dict[str, Any]:
    """The loss on the held-out tenth of a plain text."""
    ids = data.stream(poet.tokenizer, "val")
    batch_at = windows_by_number(ids, poet.model.config.block_size, 16, seed=1)
    loss = estimate_loss(poet.model, [batch_at(i) for i in range(8)], masked_cross_entropy)
    losses: dict[str, Any] = {"val_loss_per_token": loss, "val_loss_per_char": loss}
    return losses | dict.fromkeys(RATES) | {"samples": 0}


def print_evaluation(name: str, result: dict[str, Any]) -> None:
    """The numbers as a table, shares in per cent."""
    table = Table(title=f"run {name}", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("")
    for key, value in result.items():
        if key == "tasks":
            continue
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
    if result.get("tasks"):
        print_tasks(result["tasks"])


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
