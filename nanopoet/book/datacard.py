"""The data card: what the corpus holds, counted from the prepared files and nothing else.

    nanopoet dev datacard           write raw/README.md and raw/lengths.png
    nanopoet dev datacard --check   compare, print the difference, exit 1 if there is one

A card written by hand is wrong after the first change of a rule. This one cannot be: its text is
datacard.md, with a name in braces for each figure, and the figures are counted here.
"""

import difflib
import io
import math
import random
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from nanopoet.backup import rewrite_and_tell
from nanopoet.files import write_atomically
from nanopoet.paths import raw
from nanopoet_ref.corpus import prepared
from nanopoet_ref.poem import CorpusError, Poem, load_poems, long_lines, split_poems, words
from nanopoet_ref.prosody import form_patterns, has_form, kept_rules, rhymes
from nanopoet_ref.source import Record
from nanopoet_ref.spelling import spellings
from nanopoet_ref.tunes import (
    KEEP_RHYMES,
    KEEP_TONES,
    LEAST,
    Agreement,
    agreement,
    by_shape,
    deal,
    find_tunes,
    lines_by_length,
)

TEMPLATE = Path(__file__).with_name("datacard.md")
CARD, PICTURE = "README.md", "lengths.png"
PINYIN = {  # the forms of regulated verse; every other form is the tune of a lyric
    "五言绝句": "*wǔ yán jué jù*, 4 lines of 5",
    "七言绝句": "*qī yán jué jù*, 4 lines of 7",
    "五言律诗": "*wǔ yán lǜ shī*, 8 lines of 5",
    "七言律诗": "*qī yán lǜ shī*, 8 lines of 7",
}
DEALT = 200  # poems of a tune dealt from lines of other tunes
Figures = dict[str, object]  # by the name that stands in the template


def build_card(meta: Record, poems: list[Poem]) -> str:
    """The data card as Markdown. Equal corpora give equal cards, to the byte."""
    return TEMPLATE.read_text("utf-8").format(  # a name given twice is an error
        **meta,
        **kept_figures(meta),
        **tune_figures(poems),
        **people_figures(poems),
        **text_figures(poems),
        **flaw_figures(meta, poems),
        **spelling_figures(meta, poems),
        picture=PICTURE,
    )


def kept_figures(meta: Record) -> Figures:
    """What was kept, of which era and form: the 20 most frequent forms, the sum of the rest."""
    read, kept, forms = sum(meta["read"].values()), meta["kept"], meta["kept_by_form"]
    top, rest = list(forms.items())[:20], list(forms.values())[20:]
    rare = [count for count in forms.values() if count < 10]
    return {
        "poems_read": read,
        "kept_share": share(kept, read),
        "era_share": {era: share(count, kept) for era, count in meta["kept_by_kind"].items()},
        "form_rows": table_rows([form, PINYIN.get(form, "*ci*"), count] for form, count in top),
        "other_forms": len(rest),
        "other_form_poems": sum(rest),
        "forms": len(forms),
        "rare_forms": len(rare),
        "rare_form_poems": sum(rare),
    }


def tune_figures(poems: list[Poem]) -> Figures:
    """Which tunes were read, and how well unread poems and lines dealt by chance keep them."""
    shapes, tunes, pool = by_shape(poems), find_tunes(poems), lines_by_length(poems)
    common = sorted(tunes, key=lambda shape: -len(shapes[shape]))
    unread = {shape: shapes[shape][1::2] for shape in common}
    dealer = random.Random(0)
    kept, pingshui, chance = [
        [agreement(tunes[shape]._replace(book=book), verses[shape]) for shape in common]
        for book, verses in (
            ("cilin", unread),
            ("pingshui", unread),
            ("cilin", {shape: deal(tunes[shape], pool, DEALT, dealer) for shape in common}),
        )
    ]
    sizes = [len(unread[shape]) for shape in common]
    rows = [
        [shape[0], len(shapes[shape]), *percents(kept[i : i + 1]), *percents(chance[i : i + 1])]
        for i, shape in enumerate(common[:5])
    ]
    read = sum(len(shapes[shape]) for shape in common)
    rows.append([f"all {len(common)}", read, *percents(kept, sizes), *percents(chance, sizes)])
    return {
        "tune_shapes": len(shapes),
        "tune_least": LEAST,
        "tunes_known": len(common),
        "tune_names": len({form for form, _ in common}),
        "tune_rows": table_rows(rows),
        "tune_pingshui": percents(pingshui, sizes)[0],
        "tune_keep_rhymes": f"{KEEP_RHYMES:.0%}",
        "tune_keep_tones": f"{KEEP_TONES:.0%}",
    }


def percents(found: list[Agreement], sizes: Sequence[int] = (1,)) -> list[str]:
    """Of several tunes, the share of poems that keep all rhymes and of places that keep their tone.

    >>> percents([Agreement(0.5, 0.9), Agreement(0.8, 0.9)], [2, 1])
    ['60.0%', '90.0%']
    """
    return [
        f"{sum(100 * n * value for n, value in zip(sizes, column, strict=True)) / sum(sizes):.1f}%"
        for column in zip(*found, strict=True)
    ] or ["-", "-"]


def people_figures(poems: list[Poem]) -> Figures:
    """By whom the poems are, and the titles they bear."""
    authors = Counter(poem.author for poem in poems)
    top = authors.most_common(20)
    moon = [p.content for p in poems if (p.author, p.title) == ("李白", "静夜思")]
    return {
        "authors": len(authors),
        "authors_of_one": sum(count == 1 for count in authors.values()),
        "top_authors_share": share(sum(count for _, count in top), authors.total()),
        "author_rows": table_rows(top),
        "by_author": authors,
        "by_title": Counter(poem.title for poem in poems),
        "moon": " / ".join(moon) or "(it is not here)",
    }


def text_figures(poems: list[Poem]) -> Figures:
    """What a context window has to hold, and what a vocabulary with a minimum count would keep."""
    titles = [len(poem.title) for poem in poems]
    content = Counter("".join(poem.content for poem in poems))
    other = Counter("".join(poem.author + poem.title + poem.form for poem in poems))
    rows = []
    for least in (1, 2, 3, 5, 10, 20, 50, 100):
        kept = [count for count in content.values() if count >= least]
        rows.append([least, len(kept), f"{100 * sum(kept) / content.total():.3f}%"])
    return {
        "poem_lengths": measures([len(poem.content) for poem in poems]),
        "title_lengths": measures(titles),
        "long_titles": sum(n > 50 for n in titles),
        "distinct": len(content),
        "distinct_in_all": len(content | other),
        "character_rows": table_rows(rows),
        "nats": entropy(content),
        "bits": entropy(content) / math.log(2),
        "even_nats": math.log(len(content)),
    }


def flaw_figures(meta: Record, poems: list[Poem]) -> Figures:
    """Poems that stand here twice in part, lyrics that lack something, verse that rhymes."""
    near = len(near_copies(*split_poems(poems)))
    regulated, lyrics = by_kind(poems)
    patterns = form_patterns(lyrics)
    kept = [kept_rules(poem, patterns) for poem in regulated]
    return {
        "followers": followers(poems),
        "near_copies": near,
        "near_copies_share": share(near, meta["val"]),
        "likely_fragments": likely_fragments(lyrics),
        "odd_shapes": sum(not has_form(poem, patterns) for poem in lyrics),
        "rhyming_share": share(sum(rhymes(poem.content) for poem in regulated), len(regulated)),
        "rhyme_share": share(sum(rules.rhyme for rules in kept), len(kept)),
        "tone_share": share(sum(rules.tone for rules in kept), len(kept)),
        "both_share": share(sum(rules.both for rules in kept), len(kept)),
    }


def spelling_figures(meta: Record, poems: list[Poem]) -> Figures:
    """Which spellings were made one, and which were not."""
    text = Counter("".join(poem.author + poem.form + poem.title + poem.content for poem in poems))
    left = Counter({c: text[c] for c in "".join(spellings()["characters"])})
    rare = Counter({c: n for c, n in text.items() if not in_gb2312(c)})
    return {
        "standardized": sum(meta["respelled"][by] for by in ("opencc", "unihan", "by_hand")),
        "left_alone": listed(left.most_common()),
        "rare_characters": len(rare),
        "rare_share": share(rare.total(), text.total()),
        "merged_characters": len(meta["merged"]),
        "merged_from": {new: listed(old.items()) for new, old in meta["merged"].items()},
    }


def listed(counts: Iterable[tuple[str, int]]) -> str:
    """What there is, each with its count: 後 16,291, 后 3,004."""
    return ", ".join(f"{what} {count:,}" for what, count in counts if count)


def share(part: float, whole: float) -> str:
    """A percentage with as many digits as it needs."""
    percent = 100 * part / whole
    return f"{percent:.2f}%" if percent > 99 or percent < 1 else f"{percent:.1f}%"


def measures(sizes: list[int]) -> str:
    """The usual measures of a list of sizes."""
    middle = f"median {statistics.median(sizes):.0f}, mean {statistics.mean(sizes):.1f}"
    return f"shortest {min(sizes)}, {middle}, longest {max(sizes)}"


def table_rows(rows: Iterable[Iterable[object]]) -> str:
    """The rows of a Markdown table; whole numbers get thousands separators.

    >>> table_rows([["五言绝句", 17223]])
    '| 五言绝句 | 17,223 |'
    """
    cells = [[f"{v:,}" if isinstance(v, int) else str(v) for v in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def entropy(counts: Counter[str]) -> float:
    """The unigram entropy in nats: the loss of a model that knows frequencies and no more.

    >>> entropy(Counter("春夏秋冬")) == math.log(4)
    True
    """
    total = counts.total()
    return -sum(n / total * math.log(n / total) for n in counts.values())


def by_kind(poems: list[Poem]) -> tuple[list[Poem], list[Poem]]:
    """The regulated verse, and the lyrics."""
    return [p for p in poems if p.form in PINYIN], [p for p in poems if p.form not in PINYIN]


def half_known(poem: Poem, known: set[str]) -> bool:
    """Whether at least half of a poem's lines are known."""
    lines = long_lines(poem)
    return bool(lines) and 2 * sum(line in known for line in lines) >= len(lines)


def near_copies(train: list[Poem], val: list[Poem]) -> list[Poem]:
    """The validation poems that share at least half of their lines with training poems."""
    known = {line for poem in train for line in long_lines(poem)}
    return [poem for poem in val if half_known(poem, known)]


def followers(poems: list[Poem]) -> int:
    """How many poems have at least half of their lines from poems before them."""
    known: set[str] = set()
    found = 0
    for poem in poems:
        found += half_known(poem, known)
        known.update(long_lines(poem))
    return found


def likely_fragments(lyrics: list[Poem]) -> int:
    """How many lyrics are shorter than half the median of their tune (10 poems or more)."""
    tunes: dict[str, list[int]] = {}
    for poem in lyrics:
        tunes.setdefault(poem.form, []).append(len(words(poem.content)))
    known = [lengths for lengths in tunes.values() if len(lengths) >= 10]
    return sum(sum(2 * n < statistics.median(lengths) for n in lengths) for lengths in known)


def in_gb2312(character: str) -> bool:
    """Whether a character is one of the 6,763 of the oldest simplified standard.

    >>> in_gb2312("隐"), in_gb2312("隠")
    (True, False)
    """
    return len(character.encode("gb2312", "ignore")) == 2


def draw_lengths(poems: list[Poem], path: Path) -> None:
    """Draw how many poems have which length, regulated verse and lyrics apart."""
    from matplotlib.figure import Figure  # slow to import, and --check does not need it

    regulated, lyrics = ([len(poem.content) for poem in kind] for kind in by_kind(poems))
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    bins = range(0, 264, 4)
    axes.hist(lyrics, bins, color="tab:orange", label="lyrics (ci)")
    axes.hist(regulated, bins, color="tab:blue", alpha=0.6, label="regulated verse")
    axes.set(xlabel="characters, marks included", ylabel="poems", yscale="log", xlim=(0, 260))
    axes.legend()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110, metadata={"Software": None})
    write_atomically(path, drawn.getvalue())


def differences(card: Path, wanted: str) -> str:
    """A diff between the card in a file and the one it should be; empty if they agree."""
    there = card.read_text("utf-8") if card.exists() else ""
    old, new = there.splitlines(keepends=True), wanted.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, str(card), "from the corpus", n=0))


def write_card(check: bool = False, folder: Path | None = None) -> int:
    """Write the card, or compare it; return the exit code, 1 where they differ."""
    folder = folder or raw()
    meta = prepared(folder, "simplified")
    if meta is None:
        raise CorpusError(f"no up-to-date corpus in {folder}. Run: nanopoet corpus")
    poems = load_poems(folder)
    card = build_card(meta, poems)
    if check:
        difference = differences(folder / CARD, card)
        if not (folder / PICTURE).exists():
            difference += f"{folder / PICTURE} is missing\n"
        sys.stdout.write(difference)
        return 1 if difference else 0
    rewrite_and_tell(folder / CARD, card)
    draw_lengths(poems, folder / PICTURE)
    return 0
