"""What share of a poet's poems keeps which rule, beside chance and real poems; and how varied.

A share of few poems scatters, so each has its 95% interval. A poet may keep every rule by writing
one poem again and again, so measures of variety stand beside them.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from nanopoet.poet.data import Data
from nanopoet_ref.evaluation import novel_lines, wilson
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import (
    SHAPES,
    Patterns,
    form_patterns,
    has_form,
    kept_rules,
    lines_of,
    rhyme_group,
    share,
)
from nanopoet_ref.tunes import deal as deal_lyrics
from nanopoet_ref.tunes import find_tunes, lines_by_length, tune_patterns

RULES = {
    "form": "lines as many and as long as asked",
    "rhyme": "verse: even lines in one level rhyme group, none repeated",
    "tone": "verse: tones alternate, couplets oppose and join (平仄)",
    "both": "verse: rhyme and tone",
}
VARIETY = {
    "novel_lines": "lines that are not in the corpus",
    "distinct_1": "distinct characters, of all characters",
    "distinct_2": "distinct pairs of neighbours, of all pairs",
    "repeated_pairs": "poems that hold a pair of characters twice",
    "largest_rhyme_group": "verse in the rhyme group that is commonest",
}
COLUMNS = ("", "_low", "_high", "_chance", "_corpus")
TUNE_RULES = {  # counted apart, so that the rates above stay those of verse
    "form": "lyrics: lines as long as those of a known tune",
    "rhyme": "lyrics: all lines rhyme that rhyme in their tune",
    "tone": "lyrics: every tone that is fixed in their tune",
    "both": "lyrics: rhyme and tone",
}
OF_REAL = {name: f"{name.removesuffix('_lines')}_corpus" for name in (*RULES, *VARIETY)}
RATES = (
    "form_exact",  # the same as form, which logs of old and chapters call so
    *(rule + column for rule in RULES for column in COLUMNS),
    *(key for name in VARIETY for key in (name, OF_REAL[name])),
)
DEALT = 1000  # poems dealt from lines of the corpus, to see what chance gives

Rates = dict[str, float | None]


def rates(
    poems: Sequence[Poem], real: Sequence[Poem], data: Data, seed: int, book: str = "pingshui"
) -> Rates:
    """All rates, by name; None where there is nothing to count.

    By chance: form, if the forms asked for were exchanged among the poems; the others, if lines of
    the corpus were dealt out.
    """
    train = data.poems("train")
    patterns = form_patterns(train)
    trained = {line for poem in train for line in lines_of(poem.content)}
    corpus = trained.union(*(lines_of(poem.content) for poem in data.poems("val")))
    found: Rates = dict.fromkeys(RATES)
    dealer = random.Random(seed)
    as_many = dealer.sample(real, min(len(poems) or len(real), len(real)))
    of_real = kept_shares(real, patterns, book) | variety(as_many, book)
    of_real["novel_lines"] = novel_lines(real, trained)
    found |= {OF_REAL[name]: value for name, value in of_real.items()}
    if not poems:
        return found
    forms = [poem.form for poem in poems]
    dealer.shuffle(forms)
    exchanged = [replace(poem, form=form) for poem, form in zip(poems, forms, strict=True)]
    by_chance = kept_shares(deal(poems, train, dealer), patterns, book)
    by_chance["form"] = share(has_form(poem, patterns) for poem in exchanged)
    found |= {f"{name}_chance": value for name, value in by_chance.items()}
    found |= kept_shares(poems, patterns, book) | variety(poems, book)
    found |= {"form_exact": found["form"], "novel_lines": novel_lines(poems, corpus)}
    for rule in RULES:
        n = len(poems if rule == "form" else verse(poems))
        if n and (value := found[rule]) is not None:
            found[f"{rule}_low"], found[f"{rule}_high"] = wilson(round(value * n), n)
    return found


def verse(poems: Sequence[Poem]) -> list[Poem]:
    """The poems of the four forms that have rules of rhyme and tone."""
    return [poem for poem in poems if poem.form in SHAPES]


def kept_shares(poems: Sequence[Poem], patterns: Patterns, book: str = "pingshui") -> Rates:
    """The share of poems that keeps each rule; rhyme and tone of regulated verse only."""
    kept = [kept_rules(poem, patterns, book) for poem in verse(poems)]
    found: Rates = {"form": share(has_form(poem, patterns) for poem in poems)}
    for rule in ("rhyme", "tone", "both"):
        found[rule] = share(getattr(rules, rule) for rules in kept) if kept else None
    return found


def tune_rates(
    poems: Sequence[Poem], real: Sequence[Poem], train: Sequence[Poem], seed: int
) -> Rates:
    """The rates of lyrics whose tunes are known from the poems trained on; empty without such.

    By chance: lines of other tunes dealt out, so their form is right.
    """
    tunes = find_tunes(train)
    patterns = tune_patterns(tunes)
    lyrics = [poem for poem in poems if poem.form in patterns]
    if not lyrics:
        return {}
    asked = {poem.form for poem in lyrics}
    shapes = [shape for shape in tunes if shape[0] in asked]
    pool, dealer = lines_by_length(train), random.Random(seed)
    dealt = [
        Poem("", shape[0], "", "，".join(lines))
        for shape in shapes
        for lines in deal_lyrics(tunes[shape], pool, DEALT // len(shapes), dealer)
    ]
    judged = {
        column: [kept_rules(p, patterns, tunes=tunes) for p in group if p.form in patterns]
        for column, group in (("", lyrics), ("_chance", dealt), ("_corpus", real))
    }
    found: Rates = {"poems": len(lyrics)}
    for rule in TUNE_RULES:
        for column, rules in judged.items():
            found[rule + column] = share(getattr(k, rule) for k in rules) if rules else None
        kept = sum(getattr(k, rule) for k in judged[""])
        found[f"{rule}_low"], found[f"{rule}_high"] = wilson(kept, len(lyrics))
    return found


def deal(poems: Sequence[Poem], train: Sequence[Poem], dealer: random.Random) -> list[Poem]:
    """Poems of the forms of `poems`, of lines dealt from the verse that was trained on."""
    lines: dict[int, list[str]] = {}
    for poem in verse(train):
        for line in lines_of(poem.content):
            lines.setdefault(len(line), []).append(line)
    asked = [poem.form for poem in verse(poems) if SHAPES[poem.form][1] in lines]
    return [
        Poem("", form, "", "，".join(dealer.choices(lines[SHAPES[form][1]], k=SHAPES[form][0])))
        for form in (dealer.choices(asked, k=DEALT) if asked else [])
    ]


def variety(poems: Sequence[Poem], book: str = "pingshui") -> Rates:
    """How varied poems are. Of more poems a smaller share is distinct: compare equally many.

    >>> variety([Poem("", "", "", "春风春风，")])["distinct_1"]
    0.5
    """
    pairs = [[pair for line in lines_of(p.content) for pair in pairwise(line)] for p in poems]
    all_pairs = [pair for found in pairs for pair in found]
    characters = "".join("".join(lines_of(poem.content)) for poem in poems)
    groups = Counter(
        rhyme_group(lines, book) for p in verse(poems) if (lines := lines_of(p.content))
    )
    return {
        "distinct_1": share_of(len(set(characters)), len(characters)),
        "distinct_2": share_of(len(set(all_pairs)), len(all_pairs)),
        "repeated_pairs": share(len(set(found)) < len(found) for found in pairs),
        "largest_rhyme_group": share_of(max(groups.values(), default=0), groups.total()),
    }


def share_of(part: int, whole: int) -> float | None:
    """A share, or None of nothing."""
    return part / whole if whole else None
