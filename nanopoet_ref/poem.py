"""A poem, and where poems come from: most modules need no more than this.

`nanopoet_ref.corpus` has prepared the collection once; here it is read, and split in two.
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Literal

Script = Literal["simplified", "original"]

FORMAT_VERSION = 5  # raise it when a rule below changes: prepared files are then rebuilt
REGULATED = {(4, 5): "五言绝句", (4, 7): "七言绝句", (8, 5): "五言律诗", (8, 7): "七言律诗"}


class CorpusError(ValueError):
    """The source or a text cannot be used; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Poem:
    """One poem: who wrote it, in which form, under which title, and its lines.

    >>> Poem("李白", "五言绝句", "静夜思", "床前明月光，疑是地上霜。").author
    '李白'
    """

    author: str
    form: str
    title: str
    content: str


FIELDS = ("author", "form", "title", "content")
fields_of = attrgetter(*FIELDS)  # dataclasses.astuple copies deeply: 30 times slower


def words(content: str) -> str:
    """The characters of a poem without its marks: what makes two poems the same."""
    return content.replace("，", "").replace("。", "")


def raw_folder() -> Path:
    """Where the corpus lives: `$NANOPOET_RAW`, or the folder `raw` of this clone."""
    return Path(os.environ.get("NANOPOET_RAW") or Path(__file__).resolve().parents[1] / "raw")


def load_poems(out_dir: Path | None = None, script: Script = "simplified") -> list[Poem]:
    """Read the prepared corpus, by default from the folder `raw` or `$NANOPOET_RAW`.

    Raises:
        CorpusError: it has not been prepared, or by other rules, or is damaged.
    """
    path = (out_dir or raw_folder()) / f"poems.{script}.jsonl"
    command = "nanopoet corpus" + ("" if script == "simplified" else f" --script {script}")
    try:
        data = path.read_bytes()
        meta = json.loads(path.with_suffix(".json").read_text("utf-8"))
        promised = meta["format_version"], meta["sha256"]
    except OSError as error:
        raise CorpusError(f"no prepared poems in {path}. Run: {command}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{path.with_suffix('.json')} is damaged. Run: {command}") from error
    if promised[0] != FORMAT_VERSION:
        raise CorpusError(f"{path} was prepared by other rules than today's. Run: {command}")
    if promised[1] != hashlib.sha256(data).hexdigest():
        raise CorpusError(f"{path} is damaged or was changed. Run: {command}")
    text = data.decode("utf-8").rstrip("\n")
    return [Poem(**row) for row in json.loads("[" + text.replace("\n", ",") + "]")]  # 1 call


def long_lines(poem: Poem) -> list[str]:
    """The lines of 5 characters or more: shorter ones may be shared by chance.

    >>> long_lines(Poem("", "", "", "山映斜阳天接水。芳草无情，"))
    ['山映斜阳天接水']
    """
    return [line for line in re.split("[，。]", poem.content) if len(line) >= 5]


def split_poems(poems: Iterable[Poem]) -> tuple[list[Poem], list[Poem]]:
    """Split into (training, validation): within each form, every 10th poem is validation.

    Rare forms then have the same share in both. A poem that repeats an earlier one, or at least
    half of whose lines have stood before, follows them to their side: a quatrain cut from a longer
    poem is no unseen poem. No chance is involved: the split never changes.

    >>> train, val = split_poems(Poem("李白", "五言绝句", "", str(i)) for i in range(20))
    >>> len(train), [poem.content for poem in val]
    (18, ['9', '19'])
    """
    train: list[Poem] = []
    val: list[Poem] = []
    count = Counter[str]()
    side: dict[str, list[Poem]] = {}  # of each poem's characters, and of each line
    for poem in poems:
        key, lines = words(poem.content), long_lines(poem)
        known = [side[line] for line in lines if line in side]
        if key in side:
            mine = side[key]
        elif lines and 2 * len(known) >= len(lines):
            mine = val if 2 * sum(part is val for part in known) > len(known) else train
        else:
            count[poem.form] += 1
            mine = train if count[poem.form] % 10 else val
        mine.append(poem)
        side[key] = mine
        for line in lines:
            side.setdefault(line, mine)
    return train, val


def split_hash(train: list[Poem], val: list[Poem]) -> str:
    """A digest of both halves: results with the same digest may be compared.

    >>> poem = Poem("李白", "五言绝句", "静夜思", "床前明月光，疑是地上霜。")
    >>> split_hash([poem], []) == split_hash([], [poem])
    False
    """
    halves = [[fields_of(poem) for poem in half] for half in (train, val)]
    return hashlib.sha256(json.dumps(halves).encode()).hexdigest()


def read_text(path: Path) -> str:
    """Read a text of one's own: strict UTF-8, unchanged but for a byte-order mark in front.

    Raises:
        CorpusError: missing, a folder, empty, or not UTF-8 (with the offset of the byte).
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        at = f"byte {error.object[error.start]:#04x} at offset {error.start}"
        raise CorpusError(f"{path} is not UTF-8: {at}. Save it as UTF-8, try again") from error
    if not text.strip():
        raise CorpusError(f"{path} is empty: there is nothing to learn from")
    return text
