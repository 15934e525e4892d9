"""Poems as they are set: a sentence a row, pinyin under it on request."""

import re

from pypinyin import Style, lazy_pinyin
from rich.console import Console

from nanopoet_ref.corpus import Poem


def verses(content: str) -> list[str]:
    """A poem as it is set: one sentence a row.

    >>> verses("床前明月光，疑是地上霜。举头望明月，低头思故乡。")
    ['床前明月光，疑是地上霜。', '举头望明月，低头思故乡。']
    """
    return [row for row in re.split(r"(?<=[。！？])", content) if row]


def print_poem(console: Console, poem: Poem, with_pinyin: bool = False) -> None:
    """Title, author and form, then the verses; pinyin under each on request."""

    def row(text: str, style: str = "") -> None:
        console.print(f"    {text}", style=style, highlight=False, markup=False, emoji=False)
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
