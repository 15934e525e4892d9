"""Tunes: a tune made up here is read back, and well-known lyrics are judged as tradition does."""

import json
import random

import pytest

from nanopoet_ref.poem import Poem, raw_folder
from nanopoet_ref.prosody import find_faults, form_patterns, kept_rules, lines_of
from nanopoet_ref.rhymebook import pingshui, readings, rhyme, tone
from nanopoet_ref.tunes import (
    EITHER,
    LEAST,
    Tune,
    agreement,
    by_shape,
    deal,
    find_tunes,
    lines_by_length,
    read_tune,
)

# --- The rhyme book of lyrics


def test_the_book_has_nineteen_classes_and_they_cross_tones():
    classes = {r.group for c in pingshui() for r in readings(c, "cilin")}
    assert len(classes) == 19
    assert rhyme("东", "cilin") == rhyme("冬", "cilin") == rhyme("送", "cilin")
    assert not rhyme("东", "cilin") & rhyme("江", "cilin")


def test_a_group_that_is_split_is_in_both_classes():
    assert rhyme("来", "cilin") == rhyme("灰", "cilin") == {"支", "佳"}


def test_every_group_has_a_class_and_the_tone_stays():
    for character in "东看月一𠀀，":
        assert tone(character, "cilin") == tone(character)
        assert bool(rhyme(character, "cilin")) == bool(rhyme(character))


# --- A tune made up

INNER = {"平": "春江天花人", "仄": "月水雪日客"}
ENDS = [  # in level and oblique tone, by class
    {"平": "东红中空", "仄": "洞孔众梦"},
    {"平": "阳长香霜", "仄": "响养上浪"},
    {"平": "流秋楼舟", "仄": "柳酒友瘦"},
    {"平": "鱼书初居", "仄": "语去处暮"},
    {"平": "歌多河波", "仄": "坐过破火"},
]
MADE = Tune("试声", ("中平平", "平中仄平", "仄仄", "平仄", "中平仄"), "aab.b")


def write(tune, dealer):
    """A lyric that keeps a tune; lines of different letters rhyme in different classes."""
    classes = dict(zip("ab.", dealer.sample(ENDS, 3), strict=True))
    lines = []
    for asked, letter in zip(tune.tones, tune.rhymes, strict=True):
        heard = [dealer.choice("平仄") if wanted == EITHER else wanted for wanted in asked]
        inner = "".join(dealer.choice(INNER[wanted]) for wanted in heard[:-1])
        lines.append(inner + dealer.choice(classes[letter][heard[-1]]))
    return Poem("", tune.form, "", "，".join(lines) + "。")


@pytest.fixture(scope="module")
def made():
    """Sixty lyrics to the tune, and beside them verse without one."""
    dealer = random.Random(1)
    verse = Poem("", "五言绝句", "", "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。")
    return [*(write(MADE, dealer) for _ in range(60)), *[verse] * 40]


def test_a_tune_is_read_back(made):
    assert find_tunes(made) == {("试声", MADE.lengths): MADE}


def test_fewer_than_thirty_poems_of_equal_lines_are_no_tune(made):
    assert LEAST == 30
    assert find_tunes(made[:30])
    assert not find_tunes(made[:29])
    longer = Poem("", "试声", "", "春江花月夜。")
    assert not find_tunes([*made[:29], longer])


def test_poems_that_agree_in_nothing_are_no_tune():
    dealer = random.Random(2)
    letters = "".join(INNER.values()) + "".join("".join(e.values()) for e in ENDS)
    poems = [
        Poem("", "乱", "", "，".join("".join(dealer.choices(letters, k=n)) for n in (3, 4, 3, 4)))
        for _ in range(60)
    ]
    assert by_shape(poems)
    assert not find_tunes(poems)


@pytest.mark.parametrize(
    "kept_by_the_rest",
    [
        MADE._replace(rhymes="abab."),
        MADE._replace(tones=("中中平", "中中中平", "中仄", "中仄", "中中仄")),
    ],
)
def test_what_unread_poems_do_not_keep_is_no_tune(made, kept_by_the_rest):
    """The poems that are read agree; those that judge have other rhymes, or other tones."""
    dealer = random.Random(4)
    mixed = [
        write(MADE, dealer) if i % 2 == 0 else write(kept_by_the_rest, dealer) for i in range(60)
    ]
    assert not find_tunes(mixed)
    assert find_tunes(made[:60])


def test_what_unread_poems_mostly_keep_is_a_tune():
    dealer = random.Random(5)
    loose = MADE._replace(rhymes="abab.")
    mixed = [write(loose if i % 6 == 1 else MADE, dealer) for i in range(60)]
    assert find_tunes(mixed) == {("试声", MADE.lengths): MADE}


def test_a_rhyme_that_few_poems_keep_is_no_rule(made):
    dealer = random.Random(3)
    loose = MADE._replace(rhymes="aab..")
    some = [write(loose, dealer) for _ in range(24)]
    verses = [lines_of(poem.content) for poem in [*made[:36], *some]]
    assert read_tune("试声", verses).rhymes == "aa..."
    assert read_tune("试声", verses[:36]).rhymes == MADE.rhymes


KEPT = "江天长，春花梦霜。月洞，人酒。雪花众。"


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (("春花梦", "春月梦"), []),  # a free place
        (("江天长", "江看长"), []),  # 看 has both tones
        (("春花梦", "月花梦"), ["2.1 tone"]),
        (("天长", "月长"), ["1.2 tone"]),
        (("梦霜", "梦红"), ["2.4 rhyme"]),  # another class: the first of two counts
        (("梦霜", "梦响"), ["2.4 rhyme", "2.4 tone"]),  # the class is right, the tone is not
        (("花众", "花酒"), ["5.3 rhyme"]),
        (("花众", "花𠀀"), ["5.3 rhyme"]),  # not in the book
        (("人酒", "人众"), []),  # a line that need not rhyme may
        (("月洞，", ""), ["1.0 form"]),
    ],
)
def test_one_change_is_a_fault_with_its_place(change, faults):
    lyric = Poem("", "试声", "", KEPT.replace(*change))
    known = {"patterns": {"试声": {MADE.lengths}}, "tunes": {("试声", MADE.lengths): MADE}}
    found = find_faults(lyric, **known)
    assert sorted(f"{f.line}.{f.place} {f.rule}" for f in found) == sorted(faults)
    kept = kept_rules(lyric, **known)
    broken = {fault.split()[1] for fault in faults}
    assert kept == tuple(not {"form", rule} & broken for rule in ("form", "rhyme", "tone"))


def test_a_fault_is_told_in_words():
    tunes = {("试声", MADE.lengths): MADE}
    told = [
        str(find_faults(Poem("", "试声", "", KEPT.replace(*change)), tunes=tunes)[0])
        for change in [("天长", "月长"), ("梦霜", "梦红"), ("花众", "花霜"), ("花众", "花𠀀")]
    ]
    assert told[0] == "line 1, character 2  tone: 月 is oblique, 试声 asks for level"
    assert "红 is of 东, the others rhyme in 江" in told[1]
    assert "霜 is of no oblique class, the others rhyme in 东" in told[2]
    assert "𠀀 is not in 词林正韵" in told[3]


def test_without_tunes_and_of_verse_the_judgement_is_as_before(made):
    tunes = find_tunes(made)
    lyric = Poem("", "试声", "", KEPT.replace("花众", "花霜"))
    assert find_faults(lyric) == []
    assert kept_rules(lyric, form_patterns(made)) == (True, True, True)
    assert find_faults(made[-1], tunes=tunes) == find_faults(made[-1]) == []


def test_by_chance_a_tune_is_not_kept(made):
    other = [Poem("", "别调", "", poem.content) for poem in made[:60]]
    pool = lines_by_length([*made, *other])
    dealt = deal(MADE, pool, 200, random.Random(0))
    assert 5 not in pool, "lines of verse are not dealt"
    own, chance = agreement(MADE, [lines_of(p.content) for p in made[:60]]), agreement(MADE, dealt)
    assert own == (1.0, 1.0)
    assert chance.rhyme < 0.2
    assert chance.places < 0.9
    assert [tuple(map(len, lines)) for lines in dealt] == [MADE.lengths] * 200


def test_nothing_is_dealt_where_only_the_tune_itself_has_such_lines(made):
    assert deal(MADE, lines_by_length(made), 5, random.Random(0)) == []


# --- The tunes of the corpus

FAMOUS = {
    "如梦令": (  # 李清照
        "昨夜雨疏风骤，浓睡不消残酒。试问卷帘人，却道海棠依旧。知否，知否，应是绿肥红瘦。"
    ),
    "浣溪沙": (  # 晏殊
        "一曲新词酒一杯，去年天气旧亭台，夕阳西下几时回。"
        "无可奈何花落去，似曾相识燕归来，小园香径独徘徊。"
    ),
    "虞美人": (  # 李煜; four rhymes
        "春花秋月何时了，往事知多少。小楼昨夜又东风，故国不堪回首，月明中。"
        "雕栏玉砌应犹在，只是朱颜改。问君能有几多愁，恰似一江春水，向东流。"
    ),
    "西江月": (  # 辛弃疾; one rhyme in both tones
        "明月别枝惊鹊，清风半夜鸣蝉。稻花香里说丰年，听取蛙声一片。"
        "七八个星天外，两三点雨山前。旧时茅店社林边，路转溪桥忽见。"
    ),
    "点绛唇": (  # 李清照
        "蹴罢秋千，起来慵整纤纤手。露浓花瘦，薄汗轻衣透。"
        "见客入来，袜刬金钗溜。和羞走，倚门回首，却把青梅嗅。"
    ),
}
FAULTS = {"点绛唇": ["5.3 tone"]}  # 入, of entering tone, where level is asked: 以入代平
SCHEMES = {"如梦令": "aa.aaaa", "浣溪沙": "aaa.aa", "虞美人": "aab.bccd.d", "西江月": ".aaa.aaa"}
SOUTH = "江南好，风景旧曾谙。日出江花红胜火，春来江水绿如蓝。能不忆江南。"  # 白居易


@pytest.fixture(scope="module")
def tunes():
    """The tunes of these forms; only their rows are parsed, as the corpus takes seconds."""
    path = raw_folder() / "poems.simplified.jsonl"
    if not path.is_file():
        pytest.skip("the corpus is not prepared: nanopoet corpus")
    forms = [f'"form": "{form}"' for form in [*FAMOUS, "忆江南"]]
    with path.open(encoding="utf-8") as rows:
        return find_tunes(
            Poem(**json.loads(row)) for row in rows if any(form in row for form in forms)
        )


@pytest.mark.parametrize("form", FAMOUS)
def test_well_known_lyrics_are_judged_as_tradition_does(tunes, form):
    lyric = Poem("", form, "", FAMOUS[form])
    assert (form, tuple(map(len, lines_of(lyric.content)))) in tunes
    found = find_faults(lyric, tunes=tunes)
    assert [f"{f.line}.{f.place} {f.rule}" for f in found] == FAULTS.get(form, [])


@pytest.mark.parametrize("form", SCHEMES)
def test_the_schemes_of_the_handbooks_are_read(tunes, form):
    shape = form, tuple(map(len, lines_of(FAMOUS[form])))
    assert tunes[shape].rhymes == SCHEMES[form]


def test_the_tones_of_a_tune_are_those_of_the_handbooks(tunes):
    shape = "浣溪沙", (7,) * 6
    assert tunes[shape].tones[3:] == ("中仄中平平仄仄", "中平中仄仄平平", "中平中仄仄平平")


def test_of_a_short_form_there_are_too_few_and_the_long_one_is_it_twice(tunes):
    (shape,) = [shape for shape in tunes if shape[0] == "忆江南"]
    assert shape[1] == (3, 5, 7, 7, 5) * 2
    long = tunes[shape]
    assert long.tones[:5] == long.tones[5:]
    half = long._replace(tones=long.tones[:5], rhymes=long.rhymes[:5])
    assert list(half.find_faults(lines_of(SOUTH))) == []


def test_a_well_known_lyric_with_another_end_or_tone_is_told(tunes):
    for change, fault in [
        (("红瘦", "红肥"), "7.6"),
        (("风骤", "风起"), "1.6"),
        (("雨疏", "雨大"), "1.4"),
    ]:
        found = find_faults(Poem("", "如梦令", "", FAMOUS["如梦令"].replace(*change)), tunes=tunes)
        assert {f"{f.line}.{f.place}" for f in found} == {fault}
