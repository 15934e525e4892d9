"""Poem records: from a packed collection of classical verse to a train/validation split.

A language model learns whatever its text repeats, noise included. So this module decides
what a poem is, keeps what fits, counts what does not, and writes the result once:

    tarball -> read_source -> clean_text, form_of -> to_simplified -> one_of_each -> JSONL
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import Any, get_args

from nanopoet_ref.files import replacing
from nanopoet_ref.poem import (
    FIELDS,
    FORMAT_VERSION,
    REGULATED,
    CorpusError,
    Poem,
    Script,
    fields_of,
    split_hash,
    split_poems,
    words,
)
from nanopoet_ref.source import (
    ADVICE,
    KINDS,
    SOURCE,
    SOURCE_INTEGRITY,
    Record,
    check_integrity,
    read_source,
)
from nanopoet_ref.spelling import merged_characters, respelled, to_simplified

SHORTEST_TUNE = 16  # characters of 归字谣: a shorter lyric is what is left of a lost one

HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
CLEAN = re.compile(f"[{HAN}]+(?:[，。][{HAN}]+)*")
NOTE = re.compile(r"（[^（）]*）|\[[一二三四五六七八九十○〇]+\]")  # editors' notes, note numbers
MARKS = str.maketrans(
    "、；：,;:？！.?!", "，，，，，，。。。。。", "《》〈〉「」『』“”‘’[]· \t\u3000"
)
NOBODY = ("无名氏", "不详", "佚名", "缺名")  # unknown: any name is better attested


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
