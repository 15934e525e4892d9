"""`nanopoet dev verse`: what the rules of verse cost a poet that is held to them by masks.

The same requests are written three ways: by the model as it is, under the mask of form alone, and
under the masks of all rules, as `nanopoet write` does. The masked ways take turns, and each pair of
turns gives a ratio of their times.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from statistics import median

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from nanopoet.poet.evaluate import spread
from nanopoet.poet.rates import kept_shares, variety
from nanopoet.poet.run import Run, find_trained
from nanopoet_ref.checkpoint import Checkpoint
from nanopoet_ref.evaluation import poem_loss_by_field
from nanopoet_ref.masks import RULES, VerseMask
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import SHAPES, form_patterns
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.sampling import write_poems

WAYS: dict[str, Sequence[str] | None] = {"as it is": None, "form": (), "all rules": RULES}
ALIKE = 200  # poems whose variety is compared: of more, a smaller share is distinct
COUNTED = ("form", "rhyme", "tone", "both", "distinct_2", "largest_rhyme_group")
BATCH = 50
TEMPERATURE = 0.8


@dataclass
class Written:
    """The poems of one way, and the seconds of each batch."""

    poems: list[Poem] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def requests_of(run: Run, n: int, seed: int) -> list[Poem]:
    """Author and title of validation poems, with the forms of regulated verse in turn."""
    poems = [p for p in run.data().poems("val") if p.form in SHAPES and len(p.title) <= 20]
    asked = islice(cycle(spread(poems, min(n, len(poems)), seed)), n)
    return [
        replace(p, form=form, content="") for p, form in zip(asked, cycle(SHAPES), strict=False)
    ]


def write_batch(poet: Checkpoint, asked: Sequence[Poem], way: str, seed: int) -> list[Poem]:
    rules = WAYS[way]
    forms = [request.form for request in asked]
    mask = None if rules is None else VerseMask(poet.tokenizer, forms, rules=rules)
    return write_poems(
        poet.model,
        poet.tokenizer,
        asked,
        temperature=TEMPERATURE,
        generator=make_generator(seed),
        verse_mask=mask,
    )


def write_all(poet: Checkpoint, asked: Sequence[Poem], seed: int) -> dict[str, Written]:
    """All requests in all ways, batch by batch in turn."""
    found = {way: Written() for way in WAYS}
    for start in tqdm(range(0, len(asked), BATCH), unit="batch", disable=None):
        for way, written in found.items():
            began = time.perf_counter()
            written.poems += write_batch(poet, asked[start : start + BATCH], way, seed + start)
            written.seconds.append(time.perf_counter() - began)
    return found


def figures(poet: Checkpoint, found: Mapping[str, Written]) -> dict[str, dict[str, float]]:
    """By way: shares of poems that keep the rules, nats a character, variety, and time."""
    table: dict[str, dict[str, float]] = {}
    for way, written in found.items():
        pairs = zip(written.seconds, found["form"].seconds, strict=True)
        ratios = [ours / form for ours, form in pairs]
        losses = poem_loss_by_field(poet.model, poet.tokenizer, written.poems)
        counted = kept_shares(written.poems, form_patterns([])) | variety(written.poems[:ALIKE])
        table[way] = {
            **{name: float(counted[name] or 0) for name in COUNTED},
            "nats_per_char": losses["content"],
            "time": median(ratios),
            "time_low": min(ratios),
            "time_high": max(ratios),
        }
    return table


def show(table: Mapping[str, Mapping[str, float]], n: int) -> None:
    shown = Table(box=SIMPLE, padding=(0, 1, 0, 0))
    for name in ("", "form", "rhyme", "tone", "nats", "distinct", "group", "time"):
        shown.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for way, row in table.items():
        percents = [f"{row[rule]:.1%}" for rule in ("form", "rhyme", "tone")]
        seconds = f"{row['time']:.2f} ({row['time_low']:.2f}-{row['time_high']:.2f})"
        numbers = [f"{row['nats_per_char']:.3f}", f"{row['distinct_2']:.3f}"]
        shown.add_row(way, *percents, *numbers, f"{row['largest_rhyme_group']:.1%}", seconds)
    console = Console()
    console.print(shown)
    console.print(
        f"{n:,} poems a way at temperature {TEMPERATURE}; nats a character, by the model as it is; "
        f"distinct pairs and the largest rhyme group of the first {ALIKE}; time beside the mask of "
        f"form: median of {BATCH} poems (range)",
        soft_wrap=True,
        highlight=False,
    )


def verse_command(name: str | None, n: int, seed: int, as_json: bool) -> None:
    """Write, count, and print."""
    run = find_trained(name, "writes_poems")
    poet = run.poet()
    table = figures(poet, write_all(poet, requests_of(run, n, seed), seed))
    if as_json:
        print(json.dumps(table, indent=1))
    else:
        show(table, n)
