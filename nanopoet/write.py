"""`nanopoet write`: ask a trained model for poems, and set them as verse."""

import re
from typing import Any

from pypinyin import Style, lazy_pinyin
from rich.console import Console

from nanopoet.names import UnknownNameError, aliases, is_chinese, resolve
from nanopoet.runs import Run, RunError
from nanopoet_ref.checkpoint import Checkpoint
from nanopoet_ref.corpus import Poem, to_simplified
from nanopoet_ref.midtraining import write_poems
from nanopoet_ref.runtime import at_most, make_generator
from nanopoet_ref.tokenizer import UNK

# A step for so few poems does little but read the weights once: half as many bytes take half as
# long, and two threads read them faster than one.
FEW = 4


def resolve_title(title: str, known: dict[str, int]) -> str:
    """A title in Chinese is free; in pinyin or English it must be a known one."""
    if is_chinese(title):
        return "".join(title.split())
    english = aliases("titles")
    return resolve(
        "title", title, known | {name: known.get(name, 0) for name in english.values()}, english
    )


def make_request(run: Run, author: str, form: str, title: str, poet: Checkpoint) -> Poem:
    """What is asked for, in the run's own words. Empty fields are left to the model.

    Raises `UnknownNameError` for a form or author that the run has not seen, and for a title with
    characters it cannot read or too many of them.
    """
    catalog = run.catalog()
    if run.preset().script == "simplified":
        author, form, title = to_simplified(author), to_simplified(form), to_simplified(title)
    if author:
        author = resolve("author", author, catalog["authors"])
    form = resolve("form", form, catalog["forms"], aliases("forms"))
    if title:
        title = resolve_title(title, catalog["titles"])
        if len(title) > (limit := poet.model.config.block_size // 4):
            raise ValueError(
                f"a title of {len(title):,} characters leaves no room for the poem; "
                f"this run takes {limit} at most"
            )
        ids, unknown = poet.tokenizer.encode(title), poet.tokenizer.special[UNK]
        unreadable = [c for c, i in zip(title, ids, strict=True) if i == unknown]
        if unreadable:
            named = "、".join(dict.fromkeys(unreadable))
            raise UnknownNameError(
                f"title {title!r}: the run does not know {named}; use other words"
            )
    return Poem(author, form, title, "")


def default_form(run: Run) -> str:
    """The commonest form of a run, for when none is asked for."""
    forms = run.catalog()["forms"]
    return "五言绝句" if "五言绝句" in forms else max(forms, key=lambda form: forms[form])


def compose(
    run: Run, author: str, form: str, title: str, n: int, seed: int, **options: Any
) -> list[Poem]:
    """`n` poems by the run's model; the same seed gives the same poems.

    `options` are temperature, top_k and top_p of `write_poems`.
    """
    poet = run.poet()
    form = form or default_form(run)
    if poet.notes.get("stage") == "pretrain":
        raise RunError(
            f"run {run.name!r} cannot take orders before its stage midtrain: "
            f"nanopoet train --resume --name {run.name}"
        )
    request = make_request(run, author, form, title, poet)
    generator = make_generator(seed)
    if n > FEW:
        return write_poems(
            poet.model, poet.tokenizer, [request] * n, generator=generator, **options
        )
    with at_most(2):
        return write_poems(
            poet.model,
            poet.tokenizer,
            [request] * n,
            generator=generator,
            precision="float16",
            **options,
        )


def verses(content: str) -> list[str]:
    """A poem as it is set: one sentence a row.

    >>> verses("床前明月光，疑是地上霜。举头望明月，低头思故乡。")
    ['床前明月光，疑是地上霜。', '举头望明月，低头思故乡。']
    """
    return [row for row in re.split(r"(?<=[。！？])", content) if row]


def print_poem(console: Console, poem: Poem, with_pinyin: bool = False) -> None:
    """Title, author and form, then the verses; pinyin under each on request."""

    def row(text: str, style: str = "") -> None:
        console.print(f"    {text}", style=style, highlight=False, markup=False)
        if with_pinyin:
            spelled = " ".join(lazy_pinyin(text, style=Style.TONE, errors=lambda _: " "))
            row_of_pinyin = f"    {' '.join(spelled.split())}"
            console.print(row_of_pinyin, style="dim", highlight=False, markup=False)

    console.print()
    row(poem.title, "bold")
    row(f"{poem.author} · {poem.form}", "dim")
    console.print()
    for verse in verses(poem.content):
        row(verse)
    console.print()
