"""Poem records: from a packed collection of classical verse to a train/validation split.

A language model learns whatever its text repeats, noise included. So this module decides
what a poem is, keeps what fits, counts what does not, and writes the result once:

    tarball -> read_source -> clean_text, form_of -> to_simplified -> one_of_each -> JSONL
"""

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, Literal, get_args

from nanopoet_ref.files import replacing
from nanopoet_ref.source import (
    ADVICE,
    KINDS,
    SOURCE,
    SOURCE_INTEGRITY,
    CorpusError,
    Record,
    check_integrity,
    read_source,
)
from nanopoet_ref.spelling import merged_characters, respelled, to_simplified

Script = Literal["simplified", "original"]

FORMAT_VERSION = 5  # raise it when a rule below changes: prepared files are then rebuilt
REGULATED = {(4, 5): "五言绝句", (4, 7): "七言绝句", (8, 5): "五言律诗", (8, 7): "七言律诗"}
SHORTEST_TUNE = 16  # characters of 归字谣: a shorter lyric is what is left of a lost one

HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
CLEAN = re.compile(f"[{HAN}]+(?:[，。][{HAN}]+)*")
NOTE = re.compile(r"（[^（）]*）|\[[一二三四五六七八九十○〇]+\]")  # editors' notes, note numbers
MARKS = str.maketrans(
    "、；：,;:？！.?!", "，，，，，，。。。。。", "《》〈〉「」『』“”‘’[]· \t\u3000"
)
NOBODY = ("无名氏", "不详", "佚名", "缺名")  # unknown: any name is better attested


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


def clean_text(text: str) -> str:
    """Leave Han characters with ， and 。 between them; return "" if a hole would remain.

    Notes in brackets go. Pauses become ，; stops become 。; quotation marks go. Anything
    else, such as □ for a lost character or … for lost lines, cannot be removed honestly: the
    text is refused.

    >>> clean_text("春眠不覺曉，處處聞啼鳥。（一作「聽」）")
    '春眠不覺曉，處處聞啼鳥'
    >>> clean_text("夜來□雨聲")
    ''
    """
    text = text.rstrip("，。")
    if not CLEAN.fullmatch(text):  # 1 text in 7
        text = NOTE.sub("", text).translate(MARKS).strip("，。")
        text = re.sub("[，。]+([，。])", r"\1", text)
    return text if CLEAN.fullmatch(text) else ""


def form_of(content: str) -> str:
    """Name the regulated form of a poem by counting its lines, or return "".

    Only the count is checked. Tones are not, so some old-style verse passes, too.

    >>> form_of("床前明月光，疑是地上霜。举头望明月，低头思故乡。")
    '五言绝句'
    >>> form_of("前不见古人，后不见来者。")
    ''
    """
    lengths = [len(line) for line in re.split("[，。]", content.rstrip("，。"))]
    return REGULATED.get((len(lengths), lengths[0]), "") if len(set(lengths)) == 1 else ""


def poems_of(kind: str, records: list[Record], dropped: Counter[str]) -> Iterator[Poem]:
    """Yield the poems among the records of one member; count the others by reason.

    A lyric bears the name of its tune, at times as "own name・tune": the tune is its form.
    """
    for record in records:
        name, _, tune = record["rhythmic" if kind == "ci" else "title"].partition("・")
        author = clean_text(re.sub("[0-9]", "", record["author"]))  # 王炎2: the second 王炎
        title = clean_text(name.replace("○", "〇"))  # 其一○: number 10 of a set
        content = clean_text("".join(record["paragraphs"]))
        form = clean_text(tune or name) if kind == "ci" else form_of(content)
        if not content:
            dropped["damaged or annotated text"] += 1
        elif kind != "ci" and not form:
            dropped["not regulated verse"] += 1
        elif not title or min(len(author), len(form)) < 2:  # 向 was 向子諲, 大 was 大酺
            dropped["damaged author or title"] += 1
        elif kind == "ci" and (len(words(content)) < SHORTEST_TUNE or form == "失调名"):
            dropped["fragment of a lyric"] += 1
        else:
            yield Poem(author, form, title, content + "。")


def words(content: str) -> str:
    """The characters of a poem without its marks: what makes two poems the same."""
    return content.replace("，", "").replace("。", "")


def one_of_each(
    poems: Sequence[tuple[str, Poem]], authors: Sequence[str]
) -> list[tuple[str, Poem]]:
    """Of poems with the same characters keep one, in the place of the first.

    The collection names several authors for some poems. The one with the most poems in it stays:
    登鹳雀楼 is 王之涣's, though the copy of 朱斌 comes first. `authors` are the simplified names,
    so that both scripts choose alike.
    """
    attested = Counter(author for author in authors if author not in NOBODY)
    best: dict[str, tuple[int, str, Poem]] = {}
    for (kind, poem), author in zip(poems, authors, strict=True):
        key = words(poem.content)
        if key not in best or attested[author] > best[key][0]:
            best[key] = (attested[author], kind, poem)
    return [(kind, poem) for _, kind, poem in best.values()]


def raw_folder() -> Path:
    """Where the corpus lives: `$NANOPOET_RAW`, or the folder `raw` of this clone."""
    return Path(os.environ.get("NANOPOET_RAW") or Path(__file__).resolve().parents[1] / "raw")


def prepared(folder: Path, script: str, integrity: str = SOURCE_INTEGRITY) -> Record | None:
    """Describe the prepared corpus if it is up to date and whole; None otherwise."""
    path = folder / f"poems.{script}.json"
    try:
        meta: Record = json.loads(path.read_text("utf-8"))
        found = meta["integrity"], meta["format_version"], meta["sha256"]
        digest = hashlib.sha256(path.with_suffix(".jsonl").read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return meta if found == (integrity, FORMAT_VERSION, digest) else None


def read_poems(
    tarball: Path,
    progress: Callable[[int, int], None] | None,
    read: Counter[str],
    dropped: Counter[str],
) -> list[tuple[str, Poem]]:
    """All poems of the source with their kinds: Tang, Song, lyrics, each by file number.

    Counts into `read`, by kind, and `dropped`, by reason.
    """
    found: list[tuple[int, int, Poem]] = []  # (kind, file number, poem)
    for kind, number, records in read_source(tarball, progress):
        read[kind] += len(records)
        try:
            found += [(KINDS.index(kind), number, p) for p in poems_of(kind, records, dropped)]
        except (AttributeError, KeyError, TypeError) as error:
            raise CorpusError(
                f"{tarball}, {kind} {number}: bad record ({error!r}). {ADVICE}"
            ) from error
    found.sort(key=itemgetter(0, 1))  # stable: poems keep their order within a file
    return [(KINDS[kind_index], poem) for kind_index, _, poem in found]


def prepare_corpus(
    tarball: Path,
    out_dir: Path,
    script: Script = "simplified",
    progress: Callable[[int, int], None] | None = None,
    integrity: str = SOURCE_INTEGRITY,
) -> Record:
    """Write `poems.{script}.jsonl` and `poems.{script}.json`, its description; return the latter.

    Training then reads one clean file in a second. The poems stand in the order Tang, Song,
    lyrics; of duplicates one stays. If the files are there, made from the same source by the
    same rules, nothing is written.

    Raises:
        CorpusError: the tarball is not the pinned one or damaged, or the script is unknown.
    """
    if script not in get_args(Script):
        raise CorpusError(f"script {script!r} is unknown: choose one of {get_args(Script)}")
    if meta := prepared(out_dir, script, integrity):
        return meta
    check_integrity(tarball, integrity)
    read, dropped = Counter[str](), Counter[str]()
    found = read_poems(tarball, progress, read, dropped)
    before = "\n".join("\t".join(fields_of(poem)) for _, poem in found)
    after = to_simplified(before) if script == "simplified" else before
    rows = [
        (kind, Poem(*line.split("\t")))
        for (kind, _), line in zip(found, after.split("\n"), strict=True)
    ]
    authors = to_simplified("\n".join(poem.author for _, poem in rows)).split("\n")
    kept = one_of_each(rows, authors)
    dropped["duplicate"] = len(rows) - len(kept)
    first = {words(poem.content): poem.author for _, poem in reversed(rows)}
    about = {
        "source": SOURCE,
        "integrity": integrity,
        "script": script,
        "converter": f"OpenCC {version('OpenCC')}",
        "read": dict(read),
        "dropped": dict(dropped),
        "kept_by_kind": dict(Counter(kind for kind, _ in kept)),
        "reattributed": sum(poem.author != first[words(poem.content)] for _, poem in kept),
        "merged": merged_characters(before, after),
        "respelled": respelled(before) if script == "simplified" else {},
    }
    return save_poems([poem for _, poem in kept], out_dir, script, about)


def save_poems(
    poems: Sequence[Poem], out_dir: Path, script: Script, about: Mapping[str, Any]
) -> Record:
    """Write poems as one line of JSON each, and a description of them beside it; return it.

    The description is `about`, with counts, the split and digests.
    """
    encode = json.JSONEncoder(ensure_ascii=False).encode
    data = "".join(
        encode(dict(zip(FIELDS, fields_of(poem), strict=True))) + "\n" for poem in poems
    ).encode()
    train, val = split_poems(poems)
    meta = {
        **about,
        "format_version": FORMAT_VERSION,
        "kept": len(poems),
        "characters": sum(len(poem.content) for poem in poems),
        "kept_by_form": dict(Counter(poem.form for poem in poems).most_common()),
        "train": len(train),
        "val": len(val),
        "split_sha256": split_hash(train, val),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    for suffix, content in (("jsonl", data), ("json", encode(meta).encode())):
        with replacing(out_dir / f"poems.{script}.{suffix}") as path:
            path.write_bytes(content)
    return meta


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
