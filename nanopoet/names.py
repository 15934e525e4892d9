"""From what a user types to what the poems say: 李白, 李 白, "Li Bai", libai."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pypinyin import lazy_pinyin

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
    """The known name that is meant: itself, its pinyin (the commonest wins), or an alias.

    Raises `UnknownNameError` with the nearest matches.

    >>> resolve("author", "Li Bai", {"李白": 900, "李百": 1})
    '李白'
    """
    wanted = wanted.strip()
    if wanted in known:
        return wanted
    if other and (alias := other.get(squeeze(wanted))) and alias in known:
        return alias
    by_pinyin: dict[str, str] = {}
    if not is_chinese(wanted):
        for name in sorted(known, key=lambda name: known[name]):
            by_pinyin[pinyin_of(name)] = name
        if squeeze(wanted) in by_pinyin:
            return by_pinyin[squeeze(wanted)]
    near = difflib.get_close_matches(wanted, known, n=5, cutoff=0.3) or [
        by_pinyin[p] for p in difflib.get_close_matches(squeeze(wanted), by_pinyin, n=5, cutoff=0.5)
    ]
    hint = f"; nearest: {', '.join(f'{n} ({pinyin_of(n)})' for n in near)}" if near else ""
    if kind == "form":
        most = sorted(known, key=lambda name: -known[name])[:8]
        hint += f"; this run knows {len(known)} forms, most often {', '.join(most)}"
    raise UnknownNameError(f"unknown {kind} {wanted!r}{hint}")
