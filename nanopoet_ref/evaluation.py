"""Evaluation (评测): what a poet has learned, counted.

A loss says how well the model foresees real poems. The other counts look at poems it wrote: are
the lines as many and as long as the form asks, are they new, do they rhyme?

Sources: 中华新韵 (Chinese Poetry Society, 2005), fourteen rhyme classes of modern pronunciation.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

from nanopoet_ref.corpus import REGULATED, Poem
from nanopoet_ref.gpt import GPT
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.midtraining import pad_batch
from nanopoet_ref.tokenizer import SPECIAL_TOKENS, CharTokenizer, render_poem
from nanopoet_ref.training import Batch, estimate_loss


def lines_of(content: str) -> list[str]:
    """The lines of a poem, without their stops.

    >>> lines_of("床前明月光，疑是地上霜。")
    ['床前明月光', '疑是地上霜']
    """
    return [line for line in re.split(r"[，。！？、；：]", content) if line]


Patterns = Mapping[str, Collection[tuple[int, ...]]]  # form → the line lengths it may have


def form_patterns(poems: Iterable[Poem]) -> Patterns:
    """The line lengths that each form may have.

    Regulated verse has one pattern by definition; a ci tune has those that real poems have.

    >>> form_patterns([])["五言绝句"]
    {(5, 5, 5, 5)}
    """
    patterns: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for (n_lines, n_characters), form in REGULATED.items():
        patterns[form] = {(n_characters,) * n_lines}
    for poem in poems:
        if poem.form not in REGULATED.values():
            patterns[poem.form].add(tuple(map(len, lines_of(poem.content))))
    return dict(patterns)


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
def rhyme_classes(character: str) -> frozenset[str]:
    """The rhyme classes of a character in today's pronunciation, one for each reading.

    >>> sorted(rhyme_classes("光")), sorted(rhyme_classes("是"))
    (['唐'], ['支', '齐'])
    """
    from pypinyin import Style, pinyin  # loads a dictionary: only when a rhyme is asked for
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    def rhyme_class(syllable: str) -> str | None:
        final = to_finals(syllable, strict=True)
        if final == "i" and to_initials(syllable) in HISSING:
            return "支"
        return CLASS_OF_FINAL.get(final)

    syllables = pinyin(character, style=Style.NORMAL, heteronym=True, errors="ignore")
    classes = {rhyme_class(syllable) for syllable in (syllables[0] if syllables else [])}
    return frozenset(name for name in classes if name)


def rhymes(content: str) -> bool:
    """Whether all even lines end in one rhyme class.

    >>> rhymes("床前明月光，疑是地上霜。举头望明月，低头思故乡。")
    True
    """
    ends = [rhyme_classes(line[-1]) for line in lines_of(content)[1::2]]
    return len(ends) > 1 and bool(frozenset.intersection(*ends))


def share(hits: Iterable[bool]) -> float:
    """The share of True; 0 for nothing at all.

    >>> share([True, False])
    0.5
    """
    hits = list(hits)
    return sum(hits) / len(hits) if hits else 0.0


def novel_lines(poems: Iterable[Poem], known: Collection[str]) -> float:
    """The share of lines that no poem of the corpus has.

    >>> novel_lines([Poem("", "", "", "床前明月光，我有一只猫。")], {"床前明月光"})
    0.5
    """
    return share(line not in known for poem in poems for line in lines_of(poem.content))


def poem_loss(
    model: GPT, tokenizer: CharTokenizer, poems: Sequence[Poem], batch_size: int = 32
) -> tuple[float, float]:
    """Validation loss of framed poems in nats: per token, and per character.

    Per token counts every target, markers too. Per character shares the same nats out over the
    characters alone, so that tokenizers can be compared.
    """
    block_size = model.config.block_size
    rows = sorted((render_poem(tokenizer, poem) for poem in poems), key=len)  # little padding
    batches: list[Batch] = [
        pad_batch(rows[i : i + batch_size], block_size) for i in range(0, len(rows), batch_size)
    ]
    per_token = estimate_loss(model, batches, masked_cross_entropy)
    n_tokens = sum(batch.n_tokens for batch in batches)
    unknown = SPECIAL_TOKENS.index("<|unk|>")
    n_characters = sum(
        int(((batch.targets >= len(SPECIAL_TOKENS)) | (batch.targets == unknown)).sum())
        for batch in batches
    )
    return per_token, per_token * n_tokens / n_characters
