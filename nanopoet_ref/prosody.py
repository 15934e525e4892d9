"""Prosody (格律): the rules of verse that a program can check: lines, forms, rhyme, tone.

A rate says little by itself: beside it belongs what chance would give, and what real poems reach.

Regulated verse (近体诗) rhymes in its even lines. In each line tones alternate (二四六分明), the
lines of a couplet are opposite (对), the next couplet begins as the last ended (粘). Much other
verse (古体) keeps none of this and is none the worse: the ceiling is not 100%.

Source: 王力《诗词格律》, 1962; the rhyme books are in `nanopoet_ref.rhymebook`.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

from nanopoet_ref.poem import REGULATED, Poem
from nanopoet_ref.rhymebook import BOOKS, LEVEL, OBLIQUE, level_rhyme, rhyme, tone


def lines_of(content: str) -> list[str]:
    """The lines of a poem, without their stops.

    >>> lines_of("床前明月光，疑是地上霜。")
    ['床前明月光', '疑是地上霜']
    """
    return [line for line in re.split(r"[，。！？、；：]", content) if line]


Patterns = Mapping[str, Collection[tuple[int, ...]]]  # form → the line lengths it may have
RARE = 0.01  # of a tune's poems: what fewer of them have is a fragment or a misprint


def form_patterns(poems: Iterable[Poem]) -> Patterns:
    """The line lengths that each form may have.

    Regulated verse has one pattern by definition; a ci tune has those of at least one in a hundred
    of its poems.

    >>> form_patterns([])["五言绝句"]
    {(5, 5, 5, 5)}
    """
    counts: dict[str, Counter[tuple[int, ...]]] = defaultdict(Counter)
    for poem in poems:
        counts[poem.form][tuple(map(len, lines_of(poem.content)))] += 1
    patterns = {
        form: {pattern for pattern, n in found.items() if n >= RARE * found.total()}
        for form, found in counts.items()
    }
    regulated = {form: {(length,) * lines} for (lines, length), form in REGULATED.items()}
    return patterns | regulated


def has_form(poem: Poem, patterns: Patterns) -> bool:
    """Whether the lines are as many and as long as the form asks.

    >>> has_form(Poem("", "五言绝句", "", "床前明月光，疑是地上霜。"), form_patterns([]))
    False
    """
    return tuple(map(len, lines_of(poem.content))) in patterns.get(poem.form, ())


# --- The rules of regulated verse

Rule = Literal["form", "rhyme", "alternation", "对", "粘", "line end", "tone"]
NAMES = {LEVEL: "level", OBLIQUE: "oblique"}
OTHER = {LEVEL: OBLIQUE, OBLIQUE: LEVEL}
SHAPES = {form: shape for shape, form in REGULATED.items()}  # lines, and characters in each


class Fault(NamedTuple):
    """A broken rule: where, which, and why. Lines and places count from 1; place 0 is the line."""

    line: int
    place: int
    rule: Rule
    why: str

    def __str__(self) -> str:
        place = f", character {self.place}" if self.place else ""
        return f"line {self.line}{place}  {self.rule}: {self.why}"


class Asked(Protocol):
    """What a form asks of its lines, beyond how many and how long: `tunes.Tune` is one."""

    def find_faults(self, lines: Sequence[str]) -> Iterable[Fault]:
        """The broken rules of lines that have the right lengths."""


Tunes = Mapping[tuple[str, tuple[int, ...]], Asked]  # by form and line lengths


class Kept(NamedTuple):
    """Which of the rules a poem keeps; rhyme and tone count only where the form is right."""

    form: bool
    rhyme: bool
    tone: bool

    @property
    def both(self) -> bool:
        """Rhyme and tone."""
        return self.rhyme and self.tone


def find_faults(
    poem: Poem,
    book: str = "pingshui",
    patterns: Patterns = MappingProxyType({}),
    tunes: Tunes = MappingProxyType({}),
) -> list[Fault]:
    """Which character of which line breaks which rule; an empty list if none does.

    A character with several readings may be either; one that the book does not list has any tone,
    and rhymes with nothing. `patterns` and `tunes` are those of forms other than the four of
    regulated verse: of a form without them nothing is judged.

    >>> [fault.why for fault in find_faults(Poem("", "五言绝句", "", "床前明月光，疑是地上霜。"))]
    ['2 lines of 5 and 5 characters; 五言绝句 has 4 of 5']
    """
    lines = lines_of(poem.content)
    lengths = tuple(map(len, lines))
    if poem.form not in SHAPES:
        if lengths not in patterns.get(poem.form, {lengths}):
            return [Fault(1, 0, "form", f"{poem.form} has other lines")]
        tune = tunes.get((poem.form, lengths))
        return sorted(tune.find_faults(lines)) if tune else []
    n, length = SHAPES[poem.form]
    if lengths != (length,) * n:
        found = f"{len(lines)} lines of {' and '.join(map(str, lengths))} characters"
        return [Fault(1, 0, "form", f"{found}; {poem.form} has {n} of {length}")]
    return sorted([*rhyme_faults(lines, book), *tone_faults(lines, book)])


def rhyme_group(lines: Sequence[str], book: str = "pingshui") -> str:
    """The level group in which most of the even lines end; "" if none does.

    >>> rhyme_group(lines_of("红豆生南国，春来发几枝。愿君多采撷，此物最相思。"))
    '支'
    """
    ends = [line[-1] for line in [*lines[1::2], lines[0]]]  # the first line decides a tie
    counts = Counter(group for end in ends[:-1] for group in level_rhyme(end, book))
    first = level_rhyme(ends[-1], book)
    return max(sorted(counts), key=lambda group: (counts[group], group in first), default="")


def rhyme_faults(lines: Sequence[str], book: str = "pingshui") -> Iterator[Fault]:
    """Even lines end in one level group; no end is repeated. The first line may join.

    >>> [fault.why for fault in rhyme_faults(["春眠不觉晓", "处处闻啼鸟"])]
    ['鸟 has no level reading, and regulated verse rhymes in a level tone']
    """
    group, seen = rhyme_group(lines, book), {lines[0][-1]}
    for number, line in enumerate(lines[1::2], 1):
        end, place = line[-1], len(line)
        groups = level_rhyme(end, book)
        if not rhyme(end, book):
            yield Fault(2 * number, place, "rhyme", f"{end} is not in {BOOKS[book]}")
        elif not groups:
            why = f"{end} has no level reading, and regulated verse rhymes in a level tone"
            yield Fault(2 * number, place, "rhyme", why)
        elif group not in groups:
            why = f"{end} is of {' or '.join(sorted(groups))}, the others rhyme in {group}"
            yield Fault(2 * number, place, "rhyme", why)
        elif end in seen:
            yield Fault(2 * number, place, "rhyme", f"{end} has ended a line before")
        seen.add(end)


@cache
def tones_at(length: int, opening: str) -> dict[int, str]:
    """The tones that places 2, 4 and 6 of a line have if its second character is `opening`.

    >>> tones_at(7, "仄")
    {2: '仄', 4: '平', 6: '仄'}
    """
    places = range(2, length + 1, 2)
    return {place: opening if place % 4 == 2 else OTHER[opening] for place in places}


def mistoned(line: str, opening: str, book: str = "pingshui") -> list[int]:
    """The places among 2, 4 and 6 where a line cannot have the tone it should.

    >>> mistoned("疑是地上霜", "仄"), mistoned("疑是地上霜", "平")
    ([4], [2])
    """
    wanted = tones_at(len(line), opening)
    return [place for place in wanted if tone(line[place - 1], book) == {OTHER[wanted[place]]}]


def find_openings(lines: Sequence[str], book: str = "pingshui") -> list[str]:
    """The tone of each line's second character, read so that the fewest rules are broken.

    Tradition hears the second character first, so a wrong one there weighs more than another, and
    a break between two lines a little less. From line to line, the cheapest way to either tone is
    kept: that is two ways a line, and not 2 ** 8 a poem.

    >>> find_openings(lines_of("渭城朝雨浥轻尘，客舍青青柳色新。劝君更尽一杯酒，西出阳关无故人。"))
    ['平', '仄', '平', '仄']
    """
    best: dict[str, tuple[float, list[str]]] = {opening: (0.0, []) for opening in NAMES}
    for number, line in enumerate(lines):
        after: dict[str, tuple[float, list[str]]] = {}
        for opening in NAMES:
            wrong = sum(3.0 if place == 2 else 1.0 for place in mistoned(line, opening, book))
            after[opening] = min(
                (cost + wrong + 0.9 * broken(number, before, opening), [*before, opening])
                for cost, before in best.values()
            )
        best = after
    return min(best.values())[1]


def broken(number: int, before: Sequence[str], opening: str) -> bool:
    """Whether line `number` (from 0) breaks with the one before: 对 asks for the opposite, 粘 not.

    >>> broken(1, ["平"], "平"), broken(2, ["平", "仄"], "仄")
    (True, False)
    """
    return number > 0 and (before[-1] == opening) == (number % 2 == 1)


def alternation_fault(
    number: int, line: str, place: int, opening: str, book: str = "pingshui"
) -> Fault:
    """The words for a character that does not alternate.

    平平仄平仄 in an odd line (in seven: 仄仄平平仄平仄) is against the rule and has always been
    written: the words say so.

    >>> alternation_fault(3, "移舟泊烟渚", 4, "平").why
    '烟 is level; 2, 4 of this line are 平仄 (a licence that is common: it ends 仄平仄)'
    """
    wanted = tones_at(len(line), opening)
    asked = f"{', '.join(map(str, wanted))} of this line are {''.join(wanted.values())}"
    why = f"{line[place - 1]} is {NAMES[OTHER[wanted[place]]]}; {asked}"
    ending = [tone(character, book) for character in line[-3:]]
    if number % 2 and place == len(line) - 1 and ending == [{OBLIQUE}, {LEVEL}, {OBLIQUE}]:
        why += " (a licence that is common: it ends 仄平仄)"
    return Fault(number, place, "alternation", why)


def tone_faults(lines: Sequence[str], book: str = "pingshui") -> Iterator[Fault]:
    """The alternation in each line, 对 and 粘 between lines, and the tones of line ends.

    >>> list(tone_faults(["床前明月光", "疑是地上霜"]))
    [Fault(line=2, place=4, rule='alternation', why='上 is oblique; 2, 4 of this line are 仄平')]
    """
    openings = find_openings(lines, book)
    for i, (line, opening) in enumerate(zip(lines, openings, strict=True)):
        for place in mistoned(line, opening, book):
            yield alternation_fault(i + 1, line, place, opening, book)
        if broken(i, openings[:i], opening):
            rule: Rule = "对" if i % 2 else "粘"
            other, asked = lines[i - 1][1], "the opposite of" if i % 2 else "the same as"
            why = f"{line[1]} is {NAMES[opening]}, it should be {asked} {other} in line {i}"
            yield Fault(i + 1, 2, rule, why)
        wanted = LEVEL if i % 2 else OBLIQUE
        if i and tone(line[-1], book) == {OTHER[wanted]}:
            why = f"{line[-1]} is {NAMES[OTHER[wanted]]}, and this line ends {NAMES[wanted]}"
            yield Fault(i + 1, len(line), "line end", why)


def kept_rules(
    poem: Poem,
    patterns: Patterns,
    book: str = "pingshui",
    tunes: Tunes = MappingProxyType({}),
) -> Kept:
    """Which rules a poem keeps: form, rhyme, tone. A lyric without a tune keeps what is not known.

    >>> moon = Poem("", "五言绝句", "", "床前明月光，疑是地上霜。举头望明月，低头思故乡。")
    >>> kept_rules(moon, {})
    Kept(form=True, rhyme=True, tone=False)
    """
    rules = {fault.rule for fault in find_faults(poem, book, patterns, tunes)}
    form = "form" not in rules
    return Kept(form, form and "rhyme" not in rules, form and not rules - {"rhyme"})


# --- Today's pronunciation, and lyrics


def rhyme_classes(character: str) -> frozenset[str]:
    """The rhyme classes of a character in today's pronunciation, one for each reading in use.

    >>> sorted(rhyme_classes("光")), sorted(rhyme_classes("还")), sorted(rhyme_classes("斜"))
    (['唐'], ['寒', '开'], ['皆'])
    """
    return rhyme(character, "xinyun")


def rhymes(content: str) -> bool:
    """Whether a poem rhymes as its kind does.

    Regulated verse: all even lines end in one rhyme class. A lyric, which may change its rhyme: two
    thirds of its sentences do.

    >>> rhymes("床前明月光，疑是地上霜。举头望明月，低头思故乡。")
    True
    """
    lines = lines_of(content)
    regulated = (len(lines), len(lines[0]) if lines else 0) in REGULATED
    if regulated and len(set(map(len, lines))) == 1:
        ends, needed = [line[-1] for line in lines[1::2]], 1.0
    else:
        ends = [sentence[-1] for sentence in re.split("[。！？]", content) if sentence]
        needed = 2 / 3
    counts = Counter(name for end in ends for name in rhyme_classes(end))
    return len(ends) > 1 and max(counts.values(), default=0) >= needed * len(ends)


def chance_of_rhyme(contents: Sequence[str], seed: int = 0, times: int = 20) -> float:
    """The share that would rhyme if their line ends were dealt out among them by chance.

    A rhyme rate means something only where it is well above this.

    >>> chance_of_rhyme(["床前明月光，疑是地上霜。举头望明月，低头思故乡。"], times=600) < 0.5
    True
    """
    dealer = random.Random(seed)
    ends = [line[-1] for content in contents for line in lines_of(content)]
    hits = []
    for _ in range(times):
        dealer.shuffle(ends)
        deck = iter(ends)
        hits += [rhymes(with_ends(content, deck)) for content in contents]
    return share(hits)


def with_ends(content: str, ends: Iterator[str]) -> str:
    """The poem with the last character of each line replaced by the next of `ends`.

    >>> with_ends("床前明月光，疑是地上霜。", iter("甲乙"))
    '床前明月甲，疑是地上乙。'
    """
    return re.sub(r"[^，。！？、；：](?=[，。！？、；：]|$)", lambda _: next(ends), content)


def share(hits: Iterable[bool]) -> float:
    """The share of True; 0 for nothing at all.

    >>> share([True, False])
    0.5
    """
    hits = list(hits)
    return sum(hits) / len(hits) if hits else 0.0
