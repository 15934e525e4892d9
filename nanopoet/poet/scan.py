"""`nanopoet scan`: any poem set with its tones, its rhyme, and the rules that it breaks."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from textwrap import wrap
from types import MappingProxyType

import typer

from nanopoet.poet.names import resolve
from nanopoet_ref.pinyin import HAN
from nanopoet_ref.poem import REGULATED, Poem, load_poems
from nanopoet_ref.prosody import SHAPES, find_faults, lines_of, rhyme_group
from nanopoet_ref.rhymebook import BOOKS, level_rhyme, readings, tone
from nanopoet_ref.tunes import (
    EITHER,
    LEAST,
    NO_RHYME,
    Shape,
    Tune,
    end_classes,
    find_tunes,
    tune_patterns,
)

WIDTH = 60
UNLISTED = "？"
NO_TUNES: Mapping[Shape, Tune] = MappingProxyType({})


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


def verse_rows(lines: Sequence[str], book: str) -> list[str]:
    """Each line with the rhyme groups of its end, and its tones below."""
    group = rhyme_group(lines, book)
    rows = []
    for line in lines:
        rows += [
            f"    {line}  {end_groups(line[-1], group, book)}",
            f"    {tone_marks(line, book)}",
        ]
    rhyming = [line[-1] for line in lines if group in level_rhyme(line[-1], book)]
    return [
        *rows,
        "",
        f"    rhyme   {group}: {' '.join(rhyming)}" if group else "    no level rhyme",
    ]


def lyric_rows(lines: Sequence[str], tune: Tune) -> list[str]:
    """Each line with the classes of its end, if it rhymes; below, its tones and the tune's."""
    rows = []
    for line, asked, letter in zip(lines, tune.tones, tune.rhymes, strict=True):
        classes = "/".join(sorted(end_classes(line[-1], asked[-1], tune.book)))
        rows += [
            f"    {line}  {'' if letter == NO_RHYME else classes or UNLISTED}".rstrip(),
            f"    {tone_marks(line, tune.book)}  {asked}",
        ]
    rows += ["", f"    below a line: its tones, those of the tune ({EITHER} either)"]
    for letter in sorted(set(tune.rhymes) - {NO_RHYME}):
        ends = [line[-1] for line, own in zip(lines, tune.rhymes, strict=True) if own == letter]
        rows += wrapped(f"rhyme   {' '.join(ends)}")
    return rows


def scan(poem: Poem, book: str, tunes: Mapping[Shape, Tune] = NO_TUNES) -> str:
    """The whole page, no wider than 60 columns; a Chinese character takes two."""
    lines = lines_of(poem.content)
    shape = " ".join(str(len(line)) for line in lines)
    tune = tunes.get((poem.form, tuple(map(len, lines))))
    rows = [
        f"    {poem.form or 'no form that has rules'} · {BOOKS[tune.book if tune else book]}",
        "",
    ]
    rows += lyric_rows(lines, tune) if tune else verse_rows(lines, book)
    faults = find_faults(poem, book, tune_patterns(tunes), tunes)
    if not poem.form:
        rows += wrapped(f"{shape} characters: rules are known of 4 or 8 lines of 5 or 7 each")
    elif poem.form not in SHAPES and not tunes:
        why = f"no {LEAST} poems of equal lines agree in its rhymes and tones"
        rows += wrapped(f"the rules of {poem.form} are not known: {why}")
    elif not faults:
        rows += ["    it keeps the rules of form, rhyme and tone"]
    for fault in faults:
        rows += wrapped(str(fault))
    if tunes and not tune:
        rows += wrapped(f"characters of its lines: {shape}; of the tune's:")
        rows += [
            row for _, lengths in tunes for row in wrapped("    " + " ".join(map(str, lengths)))
        ]
    return "\n".join(rows)


def wrapped(text: str) -> list[str]:
    """A sentence in rows that fit, later ones further in."""
    return wrap(text, WIDTH - 6, initial_indent="    ", subsequent_indent="        ")


def read_form(name: str, book: str) -> tuple[str, Mapping[Shape, Tune]]:
    """The form that is meant, and its tunes, read off the corpus.

    Raises:
        ValueError: the corpus has no such form, or the book is not one of lyrics.
    """
    poems = load_poems()
    form = resolve("form", name, Counter(poem.form for poem in poems))
    if form not in SHAPES and book != "pingshui":
        raise ValueError(f"lyrics are judged by {BOOKS['cilin']}: leave out --rhyme-book")
    return form, find_tunes(poem for poem in poems if poem.form == form)


def scan_command(text: str, book: str, form: str) -> None:
    """Print the page; `-` reads the poem from standard input."""
    if text == "-":
        text = typer.get_text_stream("stdin").read()
    poem, tunes = read_poem(text), NO_TUNES
    if form:
        form, tunes = read_form(form, book)
        poem = replace(poem, form=form)
    typer.echo(f"\n{scan(poem, book, tunes)}\n")
