"""What counts as a poem, what is refused, and what the prepared corpus promises."""

import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanopoet_ref import corpus
from nanopoet_ref.corpus import clean_text, form_of, prepare_corpus, prepared
from nanopoet_ref.poem import (
    REGULATED,
    CorpusError,
    Poem,
    load_poems,
    long_lines,
    raw_folder,
    read_text,
    split_hash,
    split_poems,
)
from nanopoet_ref.source import SOURCE_INTEGRITY, check_integrity, read_source
from nanopoet_ref.spelling import to_simplified

TANG = "package/dist/quantangshi/poet.tang.0.json"
SONG = "package/dist/quantangshi/poet.song.0.json"
CI = "package/dist/songci/ci.song.0.json"
MOON = ["牀前看月光，疑是地上霜。", "舉頭望山月，低頭思故鄉。"]
DREAM = ["常记溪亭日暮。", "沉醉不知归路。", "兴尽晚回舟，误入藕花深处。"]

HAN = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1)


def shi(author: str = "李白", title: str = "靜夜思", lines: list[str] = MOON) -> dict[str, Any]:
    return {"author": author, "title": title, "paragraphs": lines}


def ci(name: str = "如梦令", lines: list[str] = DREAM) -> dict[str, Any]:
    return {"author": "李清照", "rhythmic": name, "paragraphs": lines}


def pack(path: Path, members: dict[str, Any]) -> str:
    """Write a tarball of JSON (or raw bytes) members; return its integrity."""
    with tarfile.open(path, "w:gz") as archive:
        for name, value in members.items():
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return integrity_of(path)


def integrity_of(path: Path) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def prepare(tmp_path: Path, script: Any = "simplified", **members: Any) -> list[Poem]:
    """Prepare a small corpus of three members and load it."""
    tarball = tmp_path / "source.tgz"
    wanted = {TANG: members.get("tang", [shi()]), SONG: members.get("song", [])}
    integrity = pack(tarball, wanted | {CI: members.get("ci", [ci()])})
    prepare_corpus(tarball, tmp_path / "raw", script, integrity=integrity)
    return load_poems(tmp_path / "raw", script)


# --- what is a poem


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("春眠不覺曉，處處聞啼鳥。", "春眠不覺曉，處處聞啼鳥"),
        ("玉爐香、紅蠟淚；偏照：畫堂", "玉爐香，紅蠟淚，偏照，畫堂"),
        ("客從何處來？「家在」！", "客從何處來。家在"),
        ("終還帝鄉[一六]。（《十國春秋》卷九）。", "終還帝鄉"),
        ("耿[湋]", "耿湋"),
        ("夢從何處入。。", "夢從何處入"),
        ("壽周益公  其一", "壽周益公其一"),
        ("𣂏酒𡾰山", "𣂏酒𡾰山"),  # beyond the first 65,536 code points
        ("江□月", ""),
        ("山中無曆日，寒盡不知年。……水落魚梁淺，天寒夢澤深。", ""),  # two places of a lost poem
        ("山中無曆日…", ""),
        ("山中無曆日（見《說郛》……）", "山中無曆日"),
        ("題○樹", ""),
        ("熬{下爲火}旅", ""),
        ("half a line", ""),
        ("，。", ""),
        ("", ""),
    ],
)
def test_clean_text(text: str, clean: str) -> None:
    assert clean_text(text) == clean


@settings(deadline=None)  # the machine may be busy
@given(st.text(alphabet="春江花月夜，。、；：？！「」《》（）[]□ aA1\n"))
def test_clean_text_is_idempotent_and_leaves_nothing_strange(text: str) -> None:
    clean = clean_text(text)
    assert clean_text(clean) == clean
    assert set(clean) <= set("春江花月夜，。")
    assert not re.search("[，。]{2}|^[，。]|[，。]$", clean)


@settings(deadline=None)  # the machine may be busy
@given(HAN)
def test_clean_text_never_touches_characters(text: str) -> None:
    assert clean_text(f"「{text}」。") == text


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from(sorted(REGULATED)), st.data())
def test_form_of_counts_lines_and_characters(shape: tuple[int, int], data: st.DataObject) -> None:
    lines, length = shape
    marks = data.draw(st.lists(st.sampled_from("，。"), min_size=lines, max_size=lines))
    assert form_of("".join("花" * length + mark for mark in marks)) == REGULATED[shape]


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(1, 9), min_size=1, max_size=9))
def test_form_of_refuses_every_other_shape(lengths: list[int]) -> None:
    content = "，".join("花" * length for length in lengths) + "。"
    shape = (len(lengths), lengths[0])
    expected = REGULATED.get(shape, "") if len(set(lengths)) == 1 else ""
    assert form_of(content) == expected


# --- from the tarball to the prepared file


def test_prepare_keeps_regulated_verse_and_lyrics(tmp_path: Path) -> None:
    moon, dream = prepare(tmp_path)
    assert moon == Poem(
        "李白", "五言绝句", "静夜思", "床前看月光，疑是地上霜。举头望山月，低头思故乡。"
    )
    assert (dream.form, dream.title) == ("如梦令", "如梦令")


def test_original_script_is_left_alone(tmp_path: Path) -> None:
    moon, _ = prepare(tmp_path, "original")
    assert (moon.title, moon.content) == ("靜夜思", "".join(MOON))


def test_second_name_of_a_lyric_is_its_form(tmp_path: Path) -> None:
    *_, dream = prepare(tmp_path, ci=[ci("忆仙姿・如梦令")])
    assert (dream.form, dream.title) == ("如梦令", "忆仙姿")


def test_numbers_of_namesakes_and_circles_of_ten(tmp_path: Path) -> None:
    moon, _ = prepare(tmp_path, tang=[shi("王炎2", "山居詩  其一○")])
    assert (moon.author, moon.title) == ("王炎", "山居诗其一〇")


def test_order_is_tang_song_lyrics_by_file_number(tmp_path: Path) -> None:
    tarball = tmp_path / "source.tgz"
    numbers = {10000: "王甲", 2000: "王乙", 0: "王丙"}
    members: dict[str, Any] = {CI: [ci()], SONG: [shi("宋祁", "詩", ["花" * 5 + "，"] * 4)]}
    for number, name in numbers.items():
        lines = [name[1] * 5 + "，"] * 4
        members[TANG.replace("0", str(number))] = [shi(name, "詩", lines)]
    integrity = pack(tarball, members)
    prepare_corpus(tarball, tmp_path, integrity=integrity)
    authors = [poem.author for poem in load_poems(tmp_path)]
    assert authors == ["王丙", "王乙", "王甲", "宋祁", "李清照"]


def test_each_dropped_poem_is_counted_under_its_reason(tmp_path: Path) -> None:
    tang = [
        shi(),
        shi("杜甫"),  # the same poem again
        shi(lines=["牀前□月光，疑是地上霜。", "舉頭望山月，低頭思故鄉。"]),
        shi(lines=["前不見古人，後不見來者。"]),
        shi("□□"),
        shi(title="寄□"),
    ]
    lyrics = [ci(), ci(lines=["楼台里，春风淡荡。"]), ci("失调名"), ci("□□")]
    poems = prepare(tmp_path, tang=tang, ci=lyrics)
    meta = prepared(tmp_path / "raw", "simplified", integrity_of(tmp_path / "source.tgz"))
    assert meta is not None
    assert meta["dropped"] == {
        "damaged or annotated text": 1,
        "not regulated verse": 1,
        "damaged author or title": 3,
        "fragment of a lyric": 2,
        "duplicate": 1,
    }
    assert meta["read"] == {"tang": 6, "song": 0, "ci": 4}
    assert sum(meta["read"].values()) == len(poems) + sum(meta["dropped"].values())
    assert poems[0].author == "李白", "of two copies by one poem each the first stays"


@pytest.mark.parametrize("script", ["simplified", "original"])
def test_of_two_copies_the_better_attested_author_stays_in_the_place_of_the_first(
    tmp_path: Path, script: str
) -> None:
    other = ["紅豆生南國，春來發幾枝。", "願君多採擷，此物最相思。"]
    tang = [shi("朱斌"), shi("王之渙", lines=other), shi("王之渙"), shi("無名氏", lines=other)]
    tang += [shi("無名氏", lines=[f"{n}生南國此，春來發幾枝。"] * 2) for n in "一二三"]
    poems = prepare(tmp_path, script, tang=tang)
    authors = [to_simplified(poem.author) for poem in poems]
    assert authors == ["王之涣", "王之涣", "无名氏", "无名氏", "无名氏", "李清照"]
    assert to_simplified(poems[0].content).endswith("低头思故乡。")
    meta = json.loads((tmp_path / "raw" / f"poems.{script}.json").read_text())
    assert meta["reattributed"] == 1


@pytest.mark.parametrize("record", [ci("大・大"), {**ci(), "author": "向"}])
def test_a_name_that_lost_a_character_is_damaged(tmp_path: Path, record: dict[str, Any]) -> None:
    assert [poem.author for poem in prepare(tmp_path, ci=[record])] == ["李白"]
    meta = prepared(tmp_path / "raw", "simplified", integrity_of(tmp_path / "source.tgz"))
    assert meta is not None
    assert meta["dropped"]["damaged author or title"] == 1


def test_duplicates_are_found_after_conversion_and_across_marks(tmp_path: Path) -> None:
    simplified = ["床前看月光。", "疑是地上霜。", "举头望山月，", "低头思故乡。"]
    assert len(prepare(tmp_path, song=[shi(lines=simplified)])) == 2
    assert len(prepare(tmp_path, "original", song=[shi(lines=simplified)])) == 3


def test_other_folders_with_the_same_file_names_are_not_read(tmp_path: Path) -> None:
    tarball = tmp_path / "source.tgz"
    strangers = {
        "package/dist/strains/json/poet.tang.0.json": b"not JSON",
        "package/dist/old/quantangshi/poet.tang.0.json": b"not JSON",
        "package/dist/quantangshi/error/poet.tang.0.json": b"not JSON",
        "package/dist/rank/ci/ci.song.rank.0.json": b"not JSON",
        "package/dist/quantangshi/poet.tang.0.json.bak": b"not JSON",
    }
    pack(tarball, strangers | {TANG: [shi()], SONG: [shi()], CI: [ci()]})
    assert Counter(kind for kind, _, _ in read_source(tarball)) == {"tang": 1, "song": 1, "ci": 1}


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    tarball = tmp_path / "source.tgz"
    pack(tarball, {TANG: [shi()], SONG: [shi()], CI: [ci()]})
    calls: list[tuple[int, int]] = []
    list(read_source(tarball, lambda done, total: calls.append((done, total))))
    size = tarball.stat().st_size
    assert calls[-1] == (size, size)
    assert calls == sorted(calls)


def test_prepared_files_are_reused_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path)
    tarball, raw = tmp_path / "source.tgz", tmp_path / "raw"
    integrity = integrity_of(tarball)
    before = (raw / "poems.simplified.jsonl").stat().st_mtime_ns
    tarball.rename(tmp_path / "away.tgz")
    prepare_corpus(tarball, raw, integrity=integrity)  # up to date: the source is not missed
    assert (raw / "poems.simplified.jsonl").stat().st_mtime_ns == before
    with pytest.raises(CorpusError, match="cannot read"):
        prepare_corpus(tarball, raw, "original", integrity=integrity)
    with pytest.raises(CorpusError, match="cannot read"):
        prepare_corpus(tarball, raw, integrity="sha512-other")
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "FORMAT_VERSION", corpus.FORMAT_VERSION + 1)
        assert prepared(raw, "simplified", integrity) is None
    with open(raw / "poems.simplified.jsonl", "a") as file:
        file.write("cut or grown\n")
    assert prepared(raw, "simplified", integrity) is None
    assert sorted(path.name for path in raw.iterdir()) == [
        "poems.simplified.json",
        "poems.simplified.jsonl",
    ]


def test_preparing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        prepare(tmp_path / name)
    a, b = ((tmp_path / name / "raw" / "poems.simplified.json").read_text() for name in "ab")
    hashes = [json.loads(text)["sha256"] for text in (a, b)]
    assert hashes[0] == hashes[1]


# --- bad input: every message says where and what to do


def test_wrong_hash(tmp_path: Path) -> None:
    pack(tmp_path / "source.tgz", {TANG: [shi()]})
    with pytest.raises(CorpusError, match=r"source\.tgz .* expected sha512-KtYARv"):
        check_integrity(tmp_path / "source.tgz")


def test_missing_tarball(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"cannot read .*no\.tgz: No such file"):
        check_integrity(tmp_path / "no.tgz")


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_truncated_tarball(tmp_path: Path, part: float) -> None:
    tarball = tmp_path / "source.tgz"
    noise = [{"author": hashlib.sha256(bytes([i])).hexdigest()} for i in range(200)]
    pack(tarball, {"package/other.json": noise, TANG: [shi()], SONG: [shi()], CI: [ci()]})
    data = tarball.read_bytes()
    tarball.write_bytes(data[: int(part * len(data))])
    with pytest.raises(CorpusError, match=r"damaged or cut short.*npm pack"):
        prepare_corpus(tarball, tmp_path / "raw", integrity=integrity_of(tarball))
    assert not (tmp_path / "raw").exists(), "nothing is written from half a source"


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04 a zip", gzip.compress(b"no tar in here" * 99, mtime=0)]
)
def test_not_a_tarball(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "source.tgz").write_bytes(data)
    with pytest.raises(CorpusError, match=r"source\.tgz"):
        list(read_source(tmp_path / "source.tgz"))


def test_missing_member(tmp_path: Path) -> None:
    pack(tmp_path / "source.tgz", {TANG: [shi()], CI: [ci()]})
    with pytest.raises(CorpusError, match=r"no \['song'\] poems.*npm pack"):
        list(read_source(tmp_path / "source.tgz"))


def test_malformed_json_names_file_and_line(tmp_path: Path) -> None:
    broken = b'[\n {"author": "x",\n  "title" "y"}\n]'
    pack(tmp_path / "source.tgz", {TANG: broken, SONG: [shi()], CI: [ci()]})
    with pytest.raises(CorpusError, match=r"poet\.tang\.0\.json: .*line 3"):
        list(read_source(tmp_path / "source.tgz"))


def test_member_in_another_encoding_names_file_and_byte(tmp_path: Path) -> None:
    gbk = json.dumps([shi()], ensure_ascii=False).encode("gb18030")
    pack(tmp_path / "source.tgz", {TANG: gbk, SONG: [shi()], CI: [ci()]})
    with pytest.raises(CorpusError, match=r"poet\.tang\.0\.json: .*position \d+"):
        list(read_source(tmp_path / "source.tgz"))


def test_unknown_script(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="'klingon' is unknown: choose"):
        prepare(tmp_path, "klingon")


def test_corpus_not_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOPOET_RAW", str(tmp_path))
    with pytest.raises(CorpusError, match=r"Run: nanopoet corpus --script original$"):
        load_poems(tmp_path, "original")
    with pytest.raises(CorpusError, match=r"Run: nanopoet corpus$"):
        load_poems()


def test_a_damaged_or_older_corpus_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path)
    path = tmp_path / "raw" / "poems.simplified.jsonl"
    good = path.read_bytes()
    path.write_bytes(good.replace("李白".encode(), "李黑".encode()))  # as many bytes as before
    assert prepared(tmp_path / "raw", "simplified", integrity_of(tmp_path / "source.tgz")) is None
    with pytest.raises(CorpusError, match=r"jsonl is damaged or was changed. Run: nanopoet corpus"):
        load_poems(tmp_path / "raw")
    path.write_bytes(good)
    assert len(load_poems(tmp_path / "raw")) == 2
    with monkeypatch.context() as patch:
        patch.setattr("nanopoet_ref.poem.FORMAT_VERSION", corpus.FORMAT_VERSION + 1)
        with pytest.raises(CorpusError, match=r"other rules than today's. Run: nanopoet corpus$"):
            load_poems(tmp_path / "raw")
    for content in (b"", b"null", b"{}", b"\xff"):
        path.with_suffix(".json").write_bytes(content)
        with pytest.raises(CorpusError, match=r"simplified\.json is damaged"):
            load_poems(tmp_path / "raw")


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "raw" / "poems.simplified.jsonl").mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match=r"poems\.simplified\.jsonl"):
        prepare(tmp_path)
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["poems.simplified.jsonl"]


def test_text_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffe\u0301té\r\n".encode())
    assert read_text(path) == "e\u0301té\r\n", "no normalisation, no newline translation"


def test_bad_texts(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    with pytest.raises(CorpusError, match="No such file"):
        read_text(path)
    with pytest.raises(CorpusError, match="directory"):
        read_text(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf \n")
    with pytest.raises(CorpusError, match="is empty"):
        read_text(path)
    path.write_bytes(b"ab" + "春".encode("gb18030"))
    with pytest.raises(CorpusError, match=r"not UTF-8: byte 0xb4 at offset 2\. Save it"):
        read_text(path)


# --- the split

POEMS = st.lists(
    st.builds(Poem, HAN, st.sampled_from("甲乙"), HAN, st.text("春江，。", max_size=4))
)


@settings(deadline=None)  # the machine may be busy
@given(POEMS)
def test_split_loses_nothing_and_shares_nothing(poems: list[Poem]) -> None:
    train, val = split_poems(poems)
    assert Counter(train + val) == Counter(poems)
    bare = [{p.content.replace("，", "").replace("。", "") for p in half} for half in (train, val)]
    assert not bare[0] & bare[1]
    assert (train, val) == split_poems(poems)


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, 60), st.integers(0, 60))
def test_every_tenth_poem_of_each_form_is_validation(first: int, second: int) -> None:
    sizes = {"甲": first, "乙": second}
    poems = [Poem("某", form, "詩", f"{form}{i}") for form, n in sizes.items() for i in range(n)]
    _, val = split_poems(poems)
    expected = {form: n // 10 for form, n in sizes.items() if n >= 10}
    assert Counter(poem.form for poem in val) == expected


def test_a_repeated_poem_follows_its_first_copy_whatever_its_marks() -> None:
    poems = [Poem("某", "甲", "詩", f"春{i}。") for i in range(10)]
    copies = [Poem("某", "甲", "詩", content) for content in ("春，0。", "春，9。")]
    train, val = split_poems(poems + copies)
    assert train == [*poems[:9], copies[0]]
    assert val == [poems[9], copies[1]]


MORNING = "朝辭白帝城，江陵一日還。兩岸聞猿聲，輕舟過萬山。"
LONG = MORNING + "春眠不覺曉，處處聞啼鳥。夜來風雨聲，花落知多少。"


@pytest.mark.parametrize("place", [0, 9])
@pytest.mark.parametrize("rest", [MORNING, LONG[24:], MORNING[:12] + "春江潮水連，海上明月生。"])
def test_half_of_a_poem_follows_the_whole(place: int, rest: str) -> None:
    poems = [
        Poem("某", "五言律诗", "詩", "，".join(f"{i}{j}一二三" for j in range(8)))
        for i in range(10)
    ]
    poems[place] = Poem("某", "五言律诗", "詩", LONG)
    half = Poem("某", "五言绝句", "詩", rest)
    train, val = split_poems([*poems, half])
    assert (half in val) == (place == 9)
    assert (half in train) == (place == 0)


def test_a_poem_with_one_known_line_is_a_poem_of_its_own() -> None:
    poems = [Poem("某", "甲", "詩", f"{i}一二三四，{i}五六七八，{i}九十百千") for i in range(9)]
    new = Poem("某", "甲", "詩", "0一二三四，春眠不覺曉，處處聞啼鳥")
    assert split_poems([*poems, new]) == (poems, [new])


def test_split_hash_sees_order_and_side() -> None:
    a, b = (Poem("某", "甲", "詩", content) for content in "春秋")
    digests = {split_hash([a, b], []), split_hash([b, a], []), split_hash([a], [b])}
    assert len(digests) == 3


# --- the corpus itself


@pytest.fixture(scope="module")
def real() -> tuple[dict[str, Any], list[Poem]]:
    meta = prepared(raw_folder(), "simplified")
    if meta is None:
        pytest.fail(f"no up-to-date corpus in {raw_folder()}: run `nanopoet corpus` first")
    return meta, load_poems()


def test_the_corpus_is_the_one_described(real: tuple[dict[str, Any], list[Poem]]) -> None:
    meta, poems = real
    assert meta["integrity"] == SOURCE_INTEGRITY
    assert meta["kept"] == len(poems) > 240_000
    assert meta["kept_by_form"] == Counter(poem.form for poem in poems)
    assert sum(meta["read"].values()) == meta["kept"] + sum(meta["dropped"].values())
    data = (raw_folder() / "poems.simplified.jsonl").read_bytes()
    assert meta["sha256"] == hashlib.sha256(data).hexdigest()


def test_every_poem_obeys_the_rules(real: tuple[dict[str, Any], list[Poem]]) -> None:
    forms = set(REGULATED.values())
    for poem in real[1]:
        assert clean_text(poem.content) + "。" == poem.content
        assert all((poem.author, poem.title, poem.form))
        assert poem.form not in forms or form_of(poem.content) == poem.form


def test_validation_is_disjoint_and_saved_by_hash(real: tuple[dict[str, Any], list[Poem]]) -> None:
    meta, poems = real
    train, val = split_poems(poems)
    assert not {p.content for p in train} & {p.content for p in val}
    lines = {line for poem in train for line in long_lines(poem)}
    halves = [
        p
        for p in val
        if 2 * sum(line in lines for line in long_lines(p)) >= 4 == len(long_lines(p))
    ]
    assert len(halves) < 0.002 * len(val), "few quatrains of the validation are halves of others"
    assert (len(train), len(val)) == (meta["train"], meta["val"])
    assert split_hash(train, val) == meta["split_sha256"]
