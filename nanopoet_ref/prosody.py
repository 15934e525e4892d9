"""Prosody (格律): the rules of verse that can be counted: lines, forms, rhyme.

A rate says little by itself: beside it belongs what chance would give, and what real poems reach.

Source: 中华新韵 (Chinese Poetry Society, 2005), fourteen rhyme classes of modern pronunciation.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache

from nanopoet_ref.poem import REGULATED, Poem


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


# 中华新韵: the finals that rhyme with one another. The i of zhi, chi, shi, ri, zi, ci, si is
# another sound than that of li, and a class of its own.
RHYME_CLASSES = {
    "麻": ("a", "ia", "ua"),
    "波": ("o", "e", "uo"),
    "皆": ("ie", "ve", "ue"),
    "开": ("ai", "uai"),
    "微": ("ei", "uei", "ui"),
    "豪": ("ao", "iao"),
    "尤": ("ou", "iou", "iu"),
    "寒": ("an", "ian", "uan", "van"),
    "文": ("en", "in", "uen", "un", "vn"),
    "唐": ("ang", "iang", "uang"),
    "庚": ("eng", "ing", "ueng", "ong", "iong"),
    "齐": ("i", "er", "v"),
    "姑": ("u",),
}
CLASS_OF_FINAL = {final: name for name, finals in RHYME_CLASSES.items() for final in finals}
HISSING = {"zh", "ch", "sh", "r", "z", "c", "s"}


@cache
def readings_in_words() -> dict[str, set[str]]:
    """The readings of each character in the words of pypinyin's dictionary, with their tones."""
    from pypinyin.phrases_dict import phrases_dict  # 47,000 words: only when a rhyme is asked for

    readings: dict[str, set[str]] = defaultdict(set)
    for word, syllables in phrases_dict.items():
        for character, (syllable, *_) in zip(word, syllables, strict=False):
            readings[character].add(syllable)
    return readings


@cache
def rhyme_classes(character: str) -> frozenset[str]:
    """The rhyme classes of a character in today's pronunciation, one for each reading in use.

    In use is the commonest reading, and any that a word has. 斜 was once read xiá, which rhymed
    with 家; no word of today is read so.

    >>> sorted(rhyme_classes("光")), sorted(rhyme_classes("还")), sorted(rhyme_classes("斜"))
    (['唐'], ['寒', '开'], ['皆'])
    """
    from pypinyin import Style, pinyin
    from pypinyin.contrib.tone_convert import to_finals, to_initials, to_normal

    def rhyme_class(syllable: str) -> str | None:
        final = to_finals(syllable, strict=True)
        if final == "i" and to_initials(syllable) in HISSING:
            return "支"
        return CLASS_OF_FINAL.get(final)

    found = pinyin(character, style=Style.NORMAL, heteronym=True, errors="ignore")
    syllables = found[0] if found else []
    in_words = set(map(to_normal, readings_in_words().get(character, ())))
    used = syllables[:1] + [syllable for syllable in syllables[1:] if syllable in in_words]
    return frozenset(name for name in map(rhyme_class, used) if name)


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
