"""From what a user types to what the poems say: 李白, 李 白, "Li Bai", libai."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pypinyin import lazy_pinyin

from nanopoet_ref.corpus import to_simplified

FILE = Path(__file__).with_name("names.toml")


class UnknownNameError(ValueError):
    """A form or author that the run has never seen."""


def squeeze(text: str) -> str:
    """Lower case, without spaces, dashes, apostrophes and tone marks typed as digits.

    >>> squeeze("Li Bai"), squeeze("jue-ju5")
    ('libai', 'jueju5')
    """
    return re.sub(r"[\s\-'’·]+", "", text).lower().replace("ü", "v")


def pinyin_of(text: str) -> str:
    """The pinyin of Chinese text, without tones or spaces.

    >>> pinyin_of("李白")
    'libai'
    """
    return "".join(lazy_pinyin(text))


def aliases(kind: str) -> dict[str, str]:
    """English names of forms or titles."""
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))[kind]
    return {squeeze(name): chinese for name, chinese in table.items()}


def is_chinese(text: str) -> bool:
    return any(ord(character) > 0x2E7F for character in text)


def resolve(
    kind: str, wanted: str, known: Mapping[str, int], other: Mapping[str, str] | None = None
) -> str:
    """The known name that is meant: itself, an alias, in the other script, or in pinyin.

    Of several with the same pinyin, the commonest is meant.

    Raises `UnknownNameError` with the nearest matches.

    >>> resolve("author", "Li Bai", {"李白": 900, "李百": 1})
    '李白'
    """
    wanted = wanted.strip()
    if wanted in known:
        return wanted
    if other and (alias := other.get(squeeze(wanted))) and alias in known:
        return alias
    names = sorted(known, key=lambda name: known[name])
    if chinese := is_chinese(wanted):
        spelled = to_simplified("\n".join(names)).split("\n")
        asked = to_simplified(squeeze(wanted))
    else:
        spelled = [pinyin_of(name) for name in names]
        asked = squeeze(wanted)
    by_spelling = dict(zip(spelled, names, strict=True))
    if asked in by_spelling:
        return by_spelling[asked]
    near = difflib.get_close_matches(asked, by_spelling, n=5, cutoff=0.3 if chinese else 0.5)
    near = [by_spelling[spelling] for spelling in near]
    hint = f"; nearest: {', '.join(f'{n} ({pinyin_of(n)})' for n in near)}" if near else ""
    if kind == "form":
        most = sorted(known, key=lambda name: -known[name])[:8]
        hint += f"; this run knows {len(known)} forms, most often {', '.join(most)}"
    raise UnknownNameError(f"unknown {kind} {wanted!r}{hint}")
