"""Tunes (词牌): where a lyric rhymes, and in which tones, read off the poems of the corpus.

A lyric was written to a melody. The melodies are lost; what they asked for can still be seen: at
some places nearly all poems of a tune have one tone, and some line ends nearly always rhyme. Every
other poem is read, the rest are judged by what was read. A tune of which they keep too little is
not known, and nothing is said of its poems.

Two lines of a tune may rhyme in another class than two others (虞美人), and one rhyme may be heard
in both tones (西江月), so a tune has a scheme: one letter for each line.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import NAMES, OTHER, SHAPES, Fault, Patterns, lines_of, share
from nanopoet_ref.rhymebook import BOOKS, LEVEL, OBLIQUE, readings, tone

# Chosen from the corpus, in which 82 tunes have enough poems.
LEAST = 30  # poems of equal lines: half are read, half judge what was read
FIXED = 0.9  # of poems have one tone where it is fixed; 7 places in 8 have under 0.8 or over 0.95
RHYMING = 0.7  # of poems rhyme in two lines that must; 1 pair of lines in 200 has 0.6 to 0.8
# Unread poems that keep all rhymes: three tunes have 0.44, 0.52 and 0.58, the others 0.65 and more.
KEEP_RHYMES = 0.6
# Places of fixed tone that unread poems keep: all tunes have more; lines by chance 0.45 to 0.72.
KEEP_TONES = 0.95
EITHER, NO_RHYME = "中", "."

Lines = Sequence[str]
Shape = tuple[str, tuple[int, ...]]  # a form, and the lengths of its lines


class Tune(NamedTuple):
    """What a tune asks for, line by line: the tone of each place, 中 where it is free; the rhyme.

    >>> Tune("", ("中平仄", "仄平平", "平平"), "a.a").lengths
    (3, 3, 2)
    """

    form: str
    tones: tuple[str, ...]
    rhymes: str  # a letter for each line: lines of one letter rhyme, those with a point do not
    book: str = "cilin"

    @property
    def lengths(self) -> tuple[int, ...]:
        """The characters of each line."""
        return tuple(map(len, self.tones))

    def find_faults(self, lines: Lines) -> Iterator[Fault]:
        """The places with another tone, and the lines that do not rhyme with the others.

        >>> tune = Tune("忆江南", ("中中仄", "中仄仄平平"), "..")
        >>> [str(fault) for fault in tune.find_faults(["江南好", "风景旧曾忆"])]
        ['line 2, character 5  tone: 忆 is oblique, 忆江南 asks for level']
        """
        for number, (line, asked) in enumerate(zip(lines, self.tones, strict=True), 1):
            for place, (character, wanted) in enumerate(zip(line, asked, strict=True), 1):
                if wanted != EITHER and tone(character, self.book) == {OTHER[wanted]}:
                    is_, asks = NAMES[OTHER[wanted]], f"{self.form} asks for {NAMES[wanted]}"
                    yield Fault(number, place, "tone", f"{character} is {is_}, {asks}")
        for letter in sorted(set(self.rhymes) - {NO_RHYME}):
            yield from self.rhyme_faults(lines, letter)

    def rhyme_faults(self, lines: Lines, letter: str) -> Iterator[Fault]:
        """The lines of one letter that are not of the class in which most of them end."""
        numbers = [i for i, found in enumerate(self.rhymes) if found == letter]
        classes = {i: end_classes(lines[i][-1], self.tones[i][-1], self.book) for i in numbers}
        counts = Counter(name for found in classes.values() for name in sorted(found))
        most = max(counts, key=counts.__getitem__, default="")  # the first line decides a tie
        for i, found in classes.items():
            end = lines[i][-1]
            if not readings(end, self.book):
                yield Fault(i + 1, len(lines[i]), "rhyme", f"{end} is not in {BOOKS[self.book]}")
            elif most not in found:
                own = " or ".join(sorted(found)) or f"no {NAMES[self.tones[i][-1]]} class"
                why = f"{end} is of {own}, the others rhyme in {most}"
                yield Fault(i + 1, len(lines[i]), "rhyme", why)


def end_classes(end: str, wanted: str, book: str = "cilin") -> frozenset[str]:
    """The rhyme classes of a line's end, of its readings in the tone that is wanted there.

    >>> sorted(end_classes("看", "平")), sorted(end_classes("月", "平"))
    (['寒'], [])
    """
    found = readings(end, book)
    return frozenset(r.group for r in found if wanted in (EITHER, r.tone))


# --- Reading


def by_shape(poems: Iterable[Poem]) -> dict[Shape, list[list[str]]]:
    """The lines of all lyrics, by form and line lengths, where there are enough of them.

    >>> by_shape([Poem("", "十六字令", "", "天。休使圆蟾照客眠。")])
    {}
    """
    found: dict[Shape, list[list[str]]] = defaultdict(list)
    for poem in poems:
        if poem.form not in SHAPES:
            lines = lines_of(poem.content)
            found[poem.form, tuple(map(len, lines))].append(lines)
    return {shape: verses for shape, verses in found.items() if len(verses) >= LEAST}


def read_tune(form: str, verses: Sequence[Lines], book: str = "cilin") -> Tune:
    """What poems of equal line lengths have in common.

    >>> read_tune("", [["春眠", "青山"], ["日东", "江风"]])
    Tune(form='', tones=('中平', '平平'), rhymes='aa', book='cilin')
    """
    tones = tuple(
        "".join(common_tone(characters, book) for characters in zip(*lines, strict=True))
        for lines in zip(*verses, strict=True)
    )
    ends = [
        [end_classes(line[-1], asked[-1], book) for line, asked in zip(v, tones, strict=True)]
        for v in verses
    ]
    return Tune(form, tones, rhyme_scheme(ends), book)


def common_tone(characters: Iterable[str], book: str = "cilin") -> str:
    """The tone that nearly all have, or 中. A character with two tones says nothing.

    >>> common_tone("春江看"), common_tone("春月")
    ('平', '中')
    """
    counts = Counter(t for c in characters if len(found := tone(c, book)) == 1 for t in found)
    most = max((LEVEL, OBLIQUE), key=counts.__getitem__)
    return most if counts and counts[most] >= FIXED * counts.total() else EITHER


def rhyme_scheme(ends: Sequence[Sequence[frozenset[str]]]) -> str:
    """A letter for each line, from the classes of all line ends: row by row, those of a poem.

    >>> rhyme_scheme([[frozenset("支"), frozenset("东"), frozenset("支")]])
    'a.a'
    """
    columns = list(zip(*ends, strict=True))
    scheme: list[str] = []
    for i, column in enumerate(columns):
        first = next((j for j in range(i) if rhyme_together(columns[j], column)), i)
        if first < i and scheme[first] == NO_RHYME:
            scheme[first] = chr(max([ord("a") - 1, *map(ord, scheme)]) + 1)
        scheme.append(scheme[first] if first < i else NO_RHYME)
    return "".join(scheme)


def rhyme_together(one: Sequence[frozenset[str]], other: Sequence[frozenset[str]]) -> bool:
    """Whether two lines rhyme in most poems.

    >>> rhyme_together([frozenset("东")], [frozenset("东支")])
    True
    """
    return share(bool(a & b) for a, b in zip(one, other, strict=True)) >= RHYMING


# --- Judging what was read


class Agreement(NamedTuple):
    """How well poems keep a tune: the share that keeps all rhymes; of fixed places, those kept."""

    rhyme: float
    places: float


def agreement(tune: Tune, verses: Sequence[Lines]) -> Agreement:
    """How well poems keep a tune.

    >>> agreement(Tune("", ("平平", "平仄"), ".."), [["春眠", "闻鸟"], ["春月", "江草"]])
    Agreement(rhyme=1.0, places=0.875)
    """
    rules = [[fault.rule for fault in tune.find_faults(lines)] for lines in verses]
    fixed = len(verses) * sum(len(asked) - asked.count(EITHER) for asked in tune.tones)
    wrong = sum(found.count("tone") for found in rules)
    return Agreement(share("rhyme" not in found for found in rules), 1 - wrong / (fixed or 1))


Pool = Mapping[int, Sequence[tuple[str, str]]]  # by length: lines, each behind the form it is of


def lines_by_length(poems: Iterable[Poem]) -> Pool:
    """All lines of lyrics, to deal from.

    >>> lines_by_length([Poem("", "忆江南", "", "江南好，")])
    {3: [('忆江南', '江南好')]}
    """
    found: dict[int, list[tuple[str, str]]] = {}
    for poem in poems:
        for line in lines_of(poem.content) if poem.form not in SHAPES else ():
            found.setdefault(len(line), []).append((poem.form, line))
    return found


def deal(tune: Tune, pool: Pool, n: int, dealer: random.Random) -> list[list[str]]:
    """`n` poems by chance: lines of a tune's lengths, dealt from other tunes, if these have them.

    >>> deal(Tune("", ("中中中",), "."), {3: [("忆江南", "江南好")]}, 1, random.Random(0))
    [['江南好']]
    """
    others = {
        length: [line for form, line in dealer.choices(pool[length], k=4 * n) if form != tune.form]
        for length in set(tune.lengths)
    }
    n = n if all(others.values()) else 0
    return [[dealer.choice(others[length]) for length in tune.lengths] for _ in range(n)]


def find_tunes(poems: Iterable[Poem]) -> dict[Shape, Tune]:
    """The tunes that can be known from these poems: read off every other poem, kept by the rest.

    A tune that has come down in several line lengths is here once for each that has enough poems.

    >>> find_tunes([Poem("", "十六字令", "", "天。休使圆蟾照客眠。")] * 29)
    {}
    """
    found: dict[Shape, Tune] = {}
    for shape, verses in by_shape(poems).items():
        tune = read_tune(shape[0], verses[::2])
        kept = agreement(tune, verses[1::2])
        if tune.rhymes.strip(NO_RHYME) and kept.rhyme >= KEEP_RHYMES and kept.places >= KEEP_TONES:
            found[shape] = tune
    return found


def tune_patterns(tunes: Iterable[Shape]) -> Patterns:
    """The line lengths of each tune that is known.

    >>> tune_patterns([("渔父", (7, 7, 3, 3, 7))])
    {'渔父': {(7, 7, 3, 3, 7)}}
    """
    found: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for form, lengths in tunes:
        found[form].add(lengths)
    return dict(found)
