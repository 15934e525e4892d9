"""From what a user types to what the poems say: 李白, 李 白, "Lǐ Bái", libai, 李太白, "Li Po"."""

import difflib
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from nanopoet_ref.corpus import to_simplified
from nanopoet_ref.pinyin import name_syllables

FILE = Path(__file__).with_name("names.toml")
CLEARLY = 4  # times as many poems as the next of the same pinyin: no need to ask who is meant
TONES = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0306": "3", "\u0300": "4"}


class UnknownNameError(ValueError):
    """A form or author that the run has never seen, or one of several."""


@cache
def tables() -> dict[str, dict[str, Any]]:
    """names.toml."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def compact(text: str) -> str:
    """Lower case, without spaces, dashes, apostrophes and tone marks; ü is v.

    >>> compact("Lǐ Bái"), compact("lüshi5"), compact("Su Tung-p'o")
    ('libai', 'lvshi5', 'sutungpo')
    """
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text)).lower()
    text = re.sub("u\u0308|u([\u0300-\u030c])\u0308|u:", r"v\1", text)
    return re.sub(r"[\u0300-\u036f\s\-'’‘ʻʼ`·.]+", "", text)


def normalize(text: str) -> str:
    """As `compact`, and without tones typed as digits.

    >>> normalize("Li3 Bai2"), normalize("Lǐ Bái"), normalize("lv4shi1")
    ('libai', 'libai', 'lvshi')
    """
    return re.sub(r"(?<=[a-z])[0-5]", "", compact(text))


def tones_of(text: str) -> str:
    """The tones of typed pinyin, one after the other, be they marks or digits.

    >>> tones_of("Zhāng Jì"), tones_of("zhang1 ji4"), tones_of("Zhang Ji")
    ('14', '14', '')
    """
    decomposed = unicodedata.normalize("NFD", text.lower())
    found = re.findall(r"[\u0300\u0301\u0304\u0306\u030c]|(?<=[a-z\u0308])[1-4]", decomposed)
    return "".join(TONES.get(tone, tone) for tone in found)


def pinyin_of(text: str) -> str:
    """The pinyin of a Chinese name, without tones or spaces.

    >>> pinyin_of("李白")
    'libai'
    """
    return normalize("".join(name_syllables(text)))


def fold(text: str) -> str:
    """One spelling for all that mean the same name: simplified, and variants made one.

    >>> fold("魏徵") == fold("魏征"), fold("歐陽脩")
    (True, '欧阳修')
    """
    pairs = tables()["variants"]["pairs"].split()
    return to_simplified(text).translate({ord(pair[0]): pair[1] for pair in pairs})


def aliases(kind: str) -> dict[str, str]:
    """Other names of forms, authors or titles, as `compact` spells them; Chinese ones also in
    pinyin."""
    found: dict[str, str] = {}
    for name, others in tables()[kind].items():
        for other in others:
            spelled = compact(other)
            found |= {spelled: name, spelled.replace("v", "u"): name}
            if is_chinese(other):
                found[pinyin_of(other)] = name
    return found


def is_chinese(text: str) -> bool:
    return any(ord(character) > 0x2E7F for character in text)


class Names:
    """The names that a run knows, with how often each occurs, spelled as they may be typed."""

    def __init__(self, known: Mapping[str, int], other: Mapping[str, str], chinese: bool) -> None:
        self.known = known
        self.folded = dict(zip(known, fold("\n".join(known)).split("\n"), strict=True))
        spelled = ((name, self.folded[name]) for name in known)
        self.spelled = {name: text if chinese else pinyin_of(text) for name, text in spelled}
        by_folded = {text: name for name, text in self.folded.items()}
        self.other = {o: by_folded[name] for o, name in other.items() if name in by_folded}

    def meant(self, typed: str, asked: str, tones: str) -> list[str]:
        """Names of this spelling, the commonest first; of those, the ones with these tones."""
        found = [n for n, text in self.spelled.items() if asked in (text, text.replace("v", "u"))]
        toned = [n for n in found if tones_of(" ".join(name_syllables(self.folded[n]))) == tones]
        alias = {self.other[key] for key in (typed, asked) if key in self.other}
        return sorted({*(toned or found), *alias}, key=lambda name: (-self.known[name], name))

    def near(self, asked: str, cutoff: float) -> list[str]:
        """The five whose spelling, or another name of theirs, is most like it."""
        rarest_first = sorted(self.known, key=lambda name: self.known[name])
        of = {**self.other, **{self.spelled[name]: name for name in rarest_first}}
        found = difflib.get_close_matches(asked, of, n=5, cutoff=cutoff)
        return list(dict.fromkeys(of[spelling] for spelling in found))

    def counted(self, names: list[str]) -> str:
        """Some names with their numbers of poems, the first eight."""
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        return ", ".join(f"{name} ({self.known[name]:,})" for name in names[:8]) + more


def resolve(
    kind: str, wanted: str, known: Mapping[str, int], other: Mapping[str, str] | None = None
) -> str:
    """The known name that is meant: see `find_name`."""
    return find_name(kind, wanted, known, other)[0]


def find_name(
    kind: str, wanted: str, known: Mapping[str, int], other: Mapping[str, str] | None = None
) -> tuple[str, str]:
    """The known name that is meant, and a note if it could have been another one.

    Meant is the name itself, in either script; its pinyin, where tones decide if there are any; or
    one of the `other` names, those of names.toml if none are given. Of several with the same
    pinyin, the commonest is meant if it is so clearly.

    Raises `UnknownNameError` with the nearest matches, or with those that can be meant.

    >>> find_name("author", "Li Bai", {"李白": 900, "李百": 1})
    ('李白', "author 'Li Bai' is taken to be 李白 (900), not 李百 (1)")
    """
    wanted = unicodedata.normalize("NFKC", wanted).strip()
    if not wanted:
        raise UnknownNameError(f"no {kind} is asked for")
    if wanted in known:
        return wanted, ""
    chinese, typed = is_chinese(wanted), compact(wanted)
    asked = fold(typed) if chinese else normalize(wanted)
    names = Names(known, aliases(f"{kind}s") if other is None else other, chinese)
    meant = names.meant(typed, asked, tones_of(wanted))
    if not meant:
        near = names.near(asked, 0.3 if chinese else 0.5)
        hint = f"; nearest: {', '.join(f'{n} ({pinyin_of(n)})' for n in near)}" if near else ""
        if kind == "form":
            most = sorted(known, key=lambda name: -known[name])[:8]
            hint += f"; this run knows {len(known)} forms, most often {', '.join(most)}"
        raise UnknownNameError(f"unknown {kind} {wanted!r}{hint}")
    if len(meant) > 1 and known[meant[0]] < CLEARLY * known[meant[1]]:
        raise UnknownNameError(
            f"{kind} {wanted!r} can be {names.counted(meant)}; write it in Chinese, or with tones"
        )
    rest = f"{kind} {wanted!r} is taken to be {names.counted(meant[:1])}, not "
    return meant[0], rest + names.counted(meant[1:]) if meant[1:] else ""
