"""The data card: what the corpus holds, counted from the prepared files and nothing else.

    nanopoet dev datacard           write raw/README.md and raw/lengths.png
    nanopoet dev datacard --check   compare, print the difference, exit 1 if there is one

A card written by hand is wrong after the first change of a rule. This one cannot be.
"""

import difflib
import io
import math
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from nanopoet.backup import rewrite_and_tell
from nanopoet.files import write_atomically
from nanopoet.paths import raw
from nanopoet_ref.corpus import prepared
from nanopoet_ref.poem import (
    REGULATED,
    CorpusError,
    Poem,
    load_poems,
    long_lines,
    split_poems,
    words,
)
from nanopoet_ref.prosody import form_patterns, has_form, rhymes
from nanopoet_ref.source import Record
from nanopoet_ref.spelling import spellings

CARD, PICTURE = "README.md", "lengths.png"
ERAS = {
    "tang": "Tang and Five Dynasties, regulated verse",
    "song": "Song, regulated verse",
    "ci": "Song, lyrics (*ci*)",
}
PINYIN = {
    "五言绝句": "*wǔyán juéjù*, 4 lines of 5",
    "七言绝句": "*qīyán juéjù*, 4 lines of 7",
    "五言律诗": "*wǔyán lǜshī*, 8 lines of 5",
    "七言律诗": "*qīyán lǜshī*, 8 lines of 7",
}
MERGED = {  # well-known merges: what the old characters mean
    "后": "後 after, 后 empress",
    "干": "干 shield, 乾 dry, 幹 trunk",
    "里": "里 village or mile, 裏 inside",
    "云": "雲 cloud, 云 to say",
    "余": "餘 remaining, 余 I",
    "谷": "谷 valley, 穀 grain",
    "发": "發 to send out, 髮 hair",
    "钟": "鐘 bell, 鍾 cup",
    "征": "征 campaign, 徵 sign",
    "松": "松 pine, 鬆 loose",
}
GIVEN_TITLES = ("诗一首", "句", "偈", "颂古", "无题", "失题", "绝句")  # by editors, most of them
WHY = {
    "not regulated verse": "Not 4 or 8 lines of 5 or 7 characters. This course learns forms; "
    "long ballads and irregular verse have none that a reader could check.",
    "damaged or annotated text": "After clean-up something is left that is neither a Chinese "
    "character nor a mark: □ for a lost character, … for lost lines, ⿰木養 for a rare character, "
    "half a note.",
    "duplicate": "The same characters as another poem, marks aside. The one by the author with the "
    "most poems in the source stays, in the place of the first.",
    "fragment of a lyric": "Shorter than the shortest tune (归字谣, 16 characters), "
    "or its tune is lost (失调名).",
    "damaged author or title": "The same holes in another field; or an author or tune of one "
    "character, the rest of whose name was lost (向 for 向子諲, 大 for 大酺).",
}
HEAD = """\
# Data card: the poems

Written by `nanopoet dev datacard` from the prepared corpus. Do not edit by hand: a test
compares every number. Git ignores this folder, but for this card and its picture.
"""
REBUILD = """\
## Rebuild

```
nanopoet corpus                     # poems.simplified.jsonl
nanopoet corpus --script original   # poems.original.jsonl, in the script of the source
nanopoet dev datacard               # this card
```

sha256 of `poems.simplified.jsonl`:
"""
MIN_COUNTS = (1, 2, 3, 5, 10, 20, 50, 100)


def share(part: float, whole: float) -> str:
    """A percentage with as many digits as it needs."""
    percent = 100 * part / whole
    return f"{percent:.2f}%" if percent > 99 or percent < 1 else f"{percent:.1f}%"


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; whole numbers get thousands separators and stand on the right.

    >>> print(table(["form", "poems"], [["五言绝句", 17223]]))
    | form | poems |
    |---|---:|
    | 五言绝句 | 17,223 |
    """
    cells = [[f"{v:,}" if isinstance(v, int) else str(v) for v in row] for row in rows]
    header = list(header)
    number = [all(re.match(r"[\d.,%]+$", row[i]) for row in cells) for i in range(len(header))]
    rule = "|" + "|".join("---:" if right else "---" for right in number) + "|"
    lines = ["| " + " | ".join(row) + " |" for row in [header, *cells]]
    return "\n".join([lines[0], rule, *lines[1:]])


def entropy(counts: Counter[str]) -> float:
    """The unigram entropy in nats: the loss of a model that knows frequencies and no more.

    >>> entropy(Counter("春夏秋冬")) == math.log(4)
    True
    """
    total = counts.total()
    return -sum(n / total * math.log(n / total) for n in counts.values())


def near_copies(train: list[Poem], val: list[Poem]) -> list[Poem]:
    """The validation poems that share at least half of their lines with training poems."""
    known = {line for poem in train for line in long_lines(poem)}
    found = []
    for poem in val:
        lines = long_lines(poem)
        if lines and 2 * sum(line in known for line in lines) >= len(lines):
            found.append(poem)
    return found


def likely_fragments(poems: list[Poem]) -> int:
    """How many lyrics are shorter than half the median of their tune (10 poems or more)."""
    lengths: dict[str, list[int]] = {}
    for poem in poems:
        if poem.form not in REGULATED.values():
            lengths.setdefault(poem.form, []).append(len(words(poem.content)))
    return sum(
        sum(2 * n < statistics.median(tune) for n in tune)
        for tune in lengths.values()
        if len(tune) >= 10
    )


def odd_shapes(poems: list[Poem]) -> int:
    """How many lyrics have line lengths that fewer than one in a hundred of their tune have."""
    patterns = form_patterns(poems)
    return sum(not has_form(poem, patterns) for poem in poems)


def followers(poems: list[Poem]) -> int:
    """How many poems have at least half of their lines from poems before them."""
    known: set[str] = set()
    found = 0
    for poem in poems:
        lines = long_lines(poem)
        found += bool(lines) and 2 * sum(line in known for line in lines) >= len(lines)
        known.update(lines)
    return found


def in_gb2312(character: str) -> bool:
    """Whether a character is one of the 6,763 of the oldest simplified standard.

    >>> in_gb2312("隐"), in_gb2312("隠")
    (True, False)
    """
    try:
        return len(character.encode("gb2312")) == 2
    except UnicodeEncodeError:
        return False


def source_section(meta: Record) -> str:
    """Where the poems come from, and by which rules."""
    return f"""\
## Source

| | |
|---|---|
| package | npm `{meta["source"]}`, by the chinese-poetry project |
| integrity | `{meta["integrity"][:50]}…`, checked before anything is read |
| licence | the collection MIT, © its contributors; the poems are in the public domain |
| read | `quantangshi/poet.tang.*.json`, `quantangshi/poet.song.*.json`, `songci/ci.song.*.json` |
| script | {meta["script"]}: {meta["converter"]}, traditional → simplified, one for one |
| spelling | `nanopoet_ref/spelling.toml`, before that: variants, and words OpenCC mistakes |
| rules | format version {meta["format_version"]} |

One line of JSON is one poem: `author`, `form`, `title`, `content`.
"""


def kept_section(meta: Record) -> str:
    """What was kept, and what was not, by reason."""
    read, kept = sum(meta["read"].values()), meta["kept"]
    dropped = sorted(meta["dropped"].items(), key=lambda item: -item[1])
    return f"""\
## What was kept, what was dropped, and why

{read:,} poems were read, {kept:,} kept ({share(kept, read)}).

{table(["dropped", "reason", "why"], [[count, reason, WHY[reason]] for reason, count in dropped])}

A poem counts once, under the first reason that applies.

Clean-up: notes in （） and note numbers in [] go. 、；： become ，. ？！ become 。. Quotation
marks and spaces go. Repeated marks become one. Every poem ends in 。. Nothing else is changed.
"""


def form_section(forms: dict[str, int]) -> str:
    """The 20 most frequent forms and the sum of the rest."""
    top, rest = list(forms.items())[:20], list(forms.values())[20:]
    rows: list[list[object]] = [[form, PINYIN.get(form, "*ci*"), count] for form, count in top]
    rows.append([f"{len(rest)} others", "*ci*", sum(rest)])
    rare = [count for count in forms.values() if count < 10]
    return f"""\
## Form

Regulated verse is recognised by its lines: 4 or 8 of 5 or 7 characters. Tones are not checked.
The form of a lyric is its tune. Where the source gives two names (渔父・渔歌子), the second,
the standard one, is the form; the first is the title.

{table(["form", "", "poems"], rows)}

{len(forms):,} forms in all. {len(rare):,} of them have fewer than 10 poems, {sum(rare):,} together.
"""


def people_section(meta: Record, authors: Counter[str]) -> str:
    """When the poems were written, and by whom."""
    eras = [[ERAS[kind], n, share(n, meta["kept"])] for kind, n in meta["kept_by_kind"].items()]
    top = authors.most_common(20)
    single = sum(count == 1 for count in authors.values())
    return f"""\
## Era

{table(["era", "poems", "share"], eras)}

The era is that of the collection a poem stands in, so Tang includes the Five Dynasties.

## Authors

{len(authors):,} names; {single:,} of them have one poem. 无名氏 and 不详 mean unknown.
The 20 most frequent have {share(sum(count for _, count in top), authors.total())} of the poems:

{table(["author", "poems"], top)}
"""


def length_section(poems: list[Poem]) -> str:
    """How long poems and titles are: what a context window has to hold."""
    sizes = [len(poem.content) for poem in poems]
    titles = [len(poem.title) for poem in poems]
    return f"""\
## Length

![Histogram of poem lengths: four peaks for regulated verse, a low hump for lyrics]({PICTURE})

{measures("Characters of a poem, marks included", sizes)}
{measures("Characters of a title", titles)} {sum(n > 50 for n in titles):,} have more than 50.
"""


def measures(what: str, sizes: list[int]) -> str:
    """A sentence with the usual measures of a list of sizes."""
    middle = f"median {statistics.median(sizes):.0f}, mean {statistics.mean(sizes):.1f}"
    return f"{what}: shortest {min(sizes)}, {middle}, longest {max(sizes)}."


def character_section(poems: list[Poem]) -> str:
    """Which characters there are, and what a vocabulary with a minimum count would keep."""
    content = Counter("".join(poem.content for poem in poems))
    other = Counter("".join(poem.author + poem.title + poem.form for poem in poems))
    rows = []
    for least in MIN_COUNTS:
        kept = [count for count in content.values() if count >= least]
        rows.append([least, len(kept), f"{100 * sum(kept) / content.total():.3f}%"])
    nats, even = entropy(content), math.log(len(content))
    return f"""\
## Characters

{content.total():,} characters of content, {len(content):,} distinct.
With authors, titles and forms: {len(content | other):,} distinct.

{table(["seen at least", "distinct characters", "share of the content"], rows)}

Unigram entropy of the content: {nats:.3f} nats ({nats / math.log(2):.3f} bits) per character.
A model that has learned frequencies and nothing else has this loss.
Guessing evenly costs ln {len(content):,} = {even:.3f} nats.
"""


def split_section(meta: Record) -> str:
    """How validation poems are chosen."""
    return f"""\
## Split

Within each form every 10th poem is validation: {meta["train"]:,} to train, {meta["val"]:,} to
validate. No validation poem is a training poem. Digest of both halves:
`{meta["split_sha256"]}`
"""


def copies_section(meta: Record, poems: list[Poem]) -> str:
    """Poems that stand here more than once, in part, or under another name."""
    train, val = split_poems(poems)
    near = near_copies(train, val)
    return f"""\
- **Near copies.** {followers(poems):,} poems take at least half of their lines (of 5 or more
  characters) from poems before them: variants, quotations, quatrains cut from a longer poem. The
  split puts each on the side of the poem it takes them from. {len(near):,} validation poems
  ({share(len(near), len(val))}) still share half of their lines with training poems: where the
  longer poem comes later.
- **Authors.** {meta["reattributed"]:,} poems that the source has twice bear another name here than
  in the first copy: that of the author with more poems. 登鹳雀楼 is Wang Zhihuan's, not Zhu Bin's.
  Other wrong names stay.
"""


def lyric_section(poems: list[Poem]) -> str:
    """What is wrong with the lyrics."""
    lyrics = [poem for poem in poems if poem.form not in REGULATED.values()]
    return f"""\
- **Fragments.** {likely_fragments(poems):,} lyrics are shorter than half the median of their tune
  (tunes of 10 poems or more). They stay: some tunes have a short and a long form.
- **Shapes.** {odd_shapes(lyrics):,} lyrics have line lengths that fewer than one in a hundred poems
  of their tune have: other forms of it, fragments, lost characters. They stay, but `nanopoet
  evaluate` does not take their shape for the tune's.
- **Lost characters.** The source of the lyrics lost rare characters without a trace. Where an
  author or a tune is left with one character the lyric is dropped; in a line it cannot be seen.
- **Lyrics come simplified.** `--script original` leaves them so, and one poet then has two
  spellings (蘇軾, 苏轼).
"""


def spelling_section(meta: Record, poems: list[Poem]) -> str:
    """Which spellings were made one, and which were not."""
    text = Counter("".join(poem.author + poem.form + poem.title + poem.content for poem in poems))
    left = Counter({c: text[c] for c in "".join(spellings()["characters"])})
    rare = Counter({c: n for c, n in text.items() if not in_gb2312(c) and c not in "，。"})
    by = meta["respelled"]
    merged = meta["merged"]
    sources = {
        new: ", ".join(f"{old} {times:,}" for old, times in merged.get(new, {}).items())
        for new in MERGED
    }
    rows = [[new, sources[new], meaning] for new, meaning in MERGED.items() if sources[new]]
    return f"""\
- **Variants.** The source mixes old, Japanese and simplified forms: 隠 and 隱, 簷 and 檐.
  {by["opencc"] + by["unihan"] + by["by_hand"]:,} characters were given the standard form before
  OpenCC ran: {by["opencc"]:,} by OpenCC's table of Japanese forms, {by["unihan"]:,} by Unihan's
  variants, {by["by_hand"]:,} by hand. Not changed, being names or words of their own:
  {", ".join(f"{c} {n:,}" for c, n in left.most_common() if n)}.
  {len(rare):,} characters outside GB 2312 remain ({share(rare.total(), text.total())} of all text);
  most are rare words that have no other form, some are variants seen fewer than 5 times.
- **乾 and 蘋.** OpenCC takes 乾, heaven, for 乾, dry, outside the phrases it knows, and 蘋, a fern,
  for 苹. In {by["keep"]:,} places the list in `spelling.toml` decides. It was made by reading the
  words around 乾 where OpenCC wrote 干; elsewhere 乾 becomes 干.
- **Merged characters.** {len(merged):,} characters stand for more than one character of the source.
  Most are variants of one word. Some are words that the poets kept apart: in 千里一窗里 (钱起),
  里 is first a mile, then the inside. Counts over all fields, before duplicates go:

{table(["now", "in the source", "meaning"], rows)}
"""


def flaw_section(meta: Record, poems: list[Poem], authors: Counter[str]) -> str:
    """What is wrong with the corpus, as far as we know, and what is done about it, with counts."""
    titles = Counter(poem.title for poem in poems)
    given = ", ".join(f"{title} {titles[title]:,}" for title in GIVEN_TITLES)
    moon = [p.content for p in poems if (p.author, p.title) == ("李白", "静夜思")]
    regulated = [poem for poem in poems if poem.form in REGULATED.values()]
    rhyming = sum(rhymes(poem.content) for poem in regulated)
    return f"""\
## Known flaws, and what is done about them

{copies_section(meta, poems)}{lyric_section(poems)}\
- **Old-style verse.** Tones are not checked: an old-style poem of 8 lines of 5 counts as 五言律诗.
- **Readings.** Rhymes are of their time. By today's Mandarin
  {share(rhyming, len(regulated))} of the regulated poems rhyme in their even lines; others did once
  (斜 and 家). So a rhyme rate measured by pinyin is too low, for the poets and for the model.
- **Editions.** The source follows old ones. Children learn 静夜思 as 床前明月光 … 举头望明月.
  Here it reads: {" / ".join(moon) or "(it is not here)"}
- **Titles and names given later.** Titles by editors, with their counts:
  {given}.
  Emperors bear names from after their death (太宗皇帝, {authors["太宗皇帝"]:,} poems).
  A lyric without a name of its own has its tune as title.
- **Namesakes.** The source numbers some poets of one name (王炎2). The number is dropped.
{spelling_section(meta, poems)}"""


def build_card(meta: Record, poems: list[Poem]) -> str:
    """The data card as Markdown. Equal corpora give equal cards, to the byte."""
    authors = Counter(poem.author for poem in poems)
    sections = [
        HEAD,
        source_section(meta),
        kept_section(meta),
        form_section(meta["kept_by_form"]),
        people_section(meta, authors),
        length_section(poems),
        character_section(poems),
        split_section(meta),
        flaw_section(meta, poems, authors),
        REBUILD + f"`{meta['sha256']}` ({meta['bytes']:,} bytes)\n",
    ]
    return "\n".join(sections)


def draw_lengths(poems: list[Poem], path: Path) -> None:
    """Draw how many poems have which length, regulated verse and lyrics apart."""
    from matplotlib.figure import Figure  # slow to import, and --check does not need it

    regulated = [len(p.content) for p in poems if p.form in REGULATED.values()]
    lyrics = [len(p.content) for p in poems if p.form not in REGULATED.values()]
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
