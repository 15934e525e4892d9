"""`nanopoet scan`: any poem set with its tones, its rhyme, and the rules that it breaks."""

import re
from textwrap import wrap

import typer

from nanopoet_ref.pinyin import HAN
from nanopoet_ref.poem import REGULATED, Poem
from nanopoet_ref.prosody import find_faults, lines_of, rhyme_group
from nanopoet_ref.rhymebook import BOOKS, level_rhyme, readings, tone

WIDTH = 60
EITHER, UNLISTED = "中", "？"  # as books on verse write a place where both tones are right


def read_poem(text: str) -> Poem:
    """A poem of lines set apart by stops, spaces or new rows; its form, if it has rules.

    >>> read_poem("床前明月光 疑是地上霜 举头望明月 低头思故乡").form
    '五言绝句'

    Raises:
        ValueError: no verse, with the reason.
    """
    content = re.sub(r"[\s,.!?;:/|]+", "，", text.strip())
    lines = lines_of(content)
    if not lines:
        raise ValueError("there is no line of verse to scan")
    strange = dict.fromkeys(c for line in lines for c in line if not re.match(HAN, c))
    if strange:
        raise ValueError(f"verse is written in Chinese characters; {''.join(strange)} are none")
    if len(lines) == 1:
        raise ValueError("one line is no verse: set its lines apart by stops, spaces or new rows")
    shape = (len(lines), len(lines[0]))
    form = REGULATED.get(shape, "") if len(set(map(len, lines))) == 1 else ""
    return Poem("", form, "", content)


def tone_marks(line: str, book: str) -> str:
    """The tone of each character, to stand below it.

    >>> tone_marks("看山𠀀月", "pingshui")
    '中平？仄'
    """
    known = [tone(character, book) for character in line]
    return "".join("".join(t) if len(t) == 1 else EITHER if t else UNLISTED for t in known)


def end_groups(character: str, group: str, book: str) -> str:
    """The rhyme groups of a line's end: the poem's own, or level ones, or all with their tone.

    >>> end_groups("乡", "阳", "pingshui"), end_groups("月", "阳", "pingshui")
    ('阳', '月 仄')
    """
    level = level_rhyme(character, book)
    if group in level:
        return group
    if level:
        return "/".join(sorted(level))
    return "/".join(f"{r.group} {r.tone}" for r in sorted(readings(character, book))) or UNLISTED


def scan(poem: Poem, book: str) -> str:
    """The whole page, no wider than 60 columns; a Chinese character takes two."""
    lines = lines_of(poem.content)
    group = rhyme_group(lines, book)
    rows = [f"    {poem.form or 'no form that has rules'} · {BOOKS[book]}", ""]
    for line in lines:
        rows += [
            f"    {line}  {end_groups(line[-1], group, book)}",
            f"    {tone_marks(line, book)}",
        ]
    rhyming = [line[-1] for line in lines if group in level_rhyme(line[-1], book)]
    rows += ["", f"    rhyme   {group}: {' '.join(rhyming)}" if group else "    no level rhyme"]
    faults = find_faults(poem, book)
    if not poem.form:
        shape = " ".join(str(len(line)) for line in lines)
        rows += wrapped(f"{shape} characters: rules are known of 4 or 8 lines of 5 or 7 each")
    elif not faults:
        rows += ["    it keeps the rules of form, rhyme and tone"]
    for fault in faults:
        rows += wrapped(str(fault))
    return "\n".join(rows)


def wrapped(text: str) -> list[str]:
    """A sentence in rows that fit, later ones further in."""
    return wrap(text, WIDTH - 6, initial_indent="    ", subsequent_indent="        ")


def scan_command(text: str, book: str) -> None:
    """Print the page; `-` reads the poem from standard input."""
    if text == "-":
        text = typer.get_text_stream("stdin").read()
    typer.echo(f"\n{scan(read_poem(text), book)}\n")
