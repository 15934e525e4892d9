"""Poems as they are set: a sentence a row, pinyin under it on request."""

import re
from collections.abc import Callable

from rich.console import Console

from nanopoet_ref.corpus import to_simplified
from nanopoet_ref.pinyin import name_syllables, spell
from nanopoet_ref.poem import Poem


def verses(content: str) -> list[str]:
    """A poem as it is set: one sentence a row.

    >>> verses("床前明月光，疑是地上霜。举头望明月，低头思故乡。")
    ['床前明月光，疑是地上霜。', '举头望明月，低头思故乡。']
    """
    return [row for row in re.split(r"(?<=[。！？])", content) if row]


def print_poem(console: Console, poem: Poem, with_pinyin: bool = False) -> None:
    """Title, author and form, then the verses; pinyin under each on request.

    A reading that nothing decides has a question mark, and a line at the end says so.
    """
    marked = False

    def show(text: str, style: str = "") -> None:
        console.print(f"    {text}", style=style, highlight=False, markup=False, emoji=False)

    def row(text: str, style: str = "", read: Callable[[str], str] = spell) -> None:
        nonlocal marked
        show(text, style)
        if with_pinyin:
            spelled = read(text)
            marked |= "?" in spelled
            show(spelled, "dim")

    def read_heading(_: str) -> str:
        return " ".join([*name_syllables(to_simplified(poem.author)), spell(poem.form)])

    console.print()
    row(poem.title, "bold")
    row(f"{poem.author} · {poem.form}", "dim", read_heading)
    console.print()
    for verse in verses(poem.content):
        row(verse)
    if marked:
        console.print()
        show("? has another reading as well, and no word here decides", "dim")
    console.print()
