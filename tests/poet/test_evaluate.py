"""`nanopoet evaluate`: the numbers of a run."""

import json
import math
import random
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from nanopoet.poet.data import Data
from nanopoet.poet.evaluate import fewest_faults, spread
from nanopoet.poet.rates import (
    RATES,
    RULES,
    TUNE_RULES,
    VARIETY,
    deal,
    rates,
    tune_rates,
    variety,
    verse,
)
from nanopoet_ref.poem import Poem
from tests.conftest import made_up_poems

LOSSES = ["val_loss_per_token", "val_loss_per_char"]
OLD = [  # as chapters and logs call them
    *("form_exact", "form_chance", "form_corpus", "novel_lines", "novel_corpus"),
    *("rhyme", "rhyme_chance", "rhyme_corpus"),
]
OF_REAL = [key for key in RATES if key.endswith("_corpus")]
OF_POEMS = [key for key in RATES if key not in OF_REAL]
KEYS = [*LOSSES, *RATES, "samples"]


def test_json_has_exactly_these_keys_and_repeats(nanopoet, poet):
    done = nanopoet("evaluate", "tiny", "--json", "--samples", 5)
    assert (done.code, done.err) == (0, "")
    numbers = json.loads(done.out)
    assert list(numbers) == KEYS
    assert numbers["samples"] == 5
    assert 0 < numbers["val_loss_per_token"] < numbers["val_loss_per_char"] < 10
    assert set(OLD) <= set(RATES)
    assert all(0 <= numbers[key] <= 1 for key in RATES)
    for rule in RULES:
        assert numbers[f"{rule}_low"] <= numbers[rule] <= numbers[f"{rule}_high"]
    assert numbers["form"] == numbers["form_exact"]
    assert nanopoet("evaluate", "--json", "--samples", 5).out == done.out


def test_the_loss_is_that_of_the_last_evaluation(nanopoet, poet):
    numbers = json.loads(nanopoet("evaluate", "--json", "--samples", 0).out)
    last = poet.logs("midtrain")[-1].val_loss
    assert numbers["val_loss_per_token"] == pytest.approx(last, abs=0.3)


def test_without_samples_only_real_poems_are_counted(nanopoet, poet):
    numbers = json.loads(nanopoet("evaluate", "--json", "--samples", 0).out)
    assert list(numbers) == KEYS
    assert [numbers[key] for key in OF_POEMS] == [None] * len(OF_POEMS)
    assert all(0 <= numbers[key] <= 1 for key in OF_REAL)
    assert numbers["samples"] == 0


def test_samples_says_how_many_poems_were_written(nanopoet, poet):
    assert json.loads(nanopoet("evaluate", "--json", "--samples", 999).out)["samples"] == 28


def test_a_title_that_fills_the_block_is_not_asked_for(nanopoet, use_corpus):
    poem = {"author": "李白", "form": "五言绝句"}
    lines = ["".join("春花秋月山水风云江南"[int(digit)] for digit in f"{n:05}") for n in range(300)]
    titles = ["春" * (2 if n < 250 else 70) for n in range(300)]
    use_corpus(
        [
            poem | {"title": title, "content": f"{line}，" * 4}
            for title, line in zip(titles, lines, strict=True)
        ]
    )
    assert nanopoet("train", "--preset", "tiny.toml", "--steps", 0).code == 0
    done = nanopoet("evaluate", "--json", "--samples", 30)
    assert (done.code, done.err) == (0, "run tiny\n")
    assert 20 < json.loads(done.out)["samples"] < 30


def test_a_table_says_what_each_number_means(nanopoet, poet):
    out = nanopoet("evaluate", "--samples", 3).out
    assert "run tiny" in out
    for key in [*LOSSES, *RULES, *VARIETY, "samples"]:
        assert key in out
    assert "100.0" in out
    assert "nats per token" in out


def test_other_poems_than_it_was_trained_on_are_refused(nanopoet, poet, use_corpus):
    use_corpus()
    assert "started on other data" in nanopoet("evaluate").error


def test_a_text_has_losses_only(nanopoet):
    Path("a.txt").write_text("one two three " * 100, "utf-8")
    assert nanopoet("train", "--preset", "tiny.toml", "--text", "a.txt").code == 0
    numbers = json.loads(nanopoet("evaluate", "a", "--json").out)
    assert list(numbers) == KEYS
    assert 0 < numbers["val_loss_per_token"] == numbers["val_loss_per_char"] < math.log(20)
    assert [numbers[key] for key in RATES] == [None] * len(RATES)
    assert numbers["samples"] == 0
    assert "nats per token" in nanopoet("evaluate", "a").out


def test_picked_poems_are_spread_evenly_and_distinct():
    poems = [Poem("", "", "", str(i)) for i in range(10)]
    assert [poem.content for poem in spread(poems, 5, seed=1)] == ["1", "3", "5", "7", "9"]
    assert len({poem.content for poem in spread(poems, 99, seed=7)}) == 10
    assert spread(poems, 0, seed=0) == []


def test_another_seed_picks_other_poems():
    poems = [Poem("", "", str(number), "") for number in range(100)]
    assert spread(poems, 5, seed=0) == spread(poems, 5, seed=0)
    assert set(spread(poems, 5, seed=0)).isdisjoint(spread(poems, 5, seed=1))


SIGHT = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
RIVER = "朝辞白帝彩云间，千里江陵一日还。两岸猿声啼不住，轻舟已过万重山。"
REAL = [Poem("", "五言绝句", "", SIGHT), Poem("", "七言绝句", "", RIVER)] * 20


def test_beside_each_rate_stands_what_chance_and_what_real_poems_give():
    found = rates(REAL, REAL, Data(REAL, [], ""), seed=0)
    for rule in RULES:
        assert found[rule] == found[f"{rule}_corpus"] == 1.0
        assert 0.9 < found[f"{rule}_low"] < found[f"{rule}_high"] == 1.0
    assert 0.3 < found["form_chance"] < 0.7, "two forms, exchanged by chance"
    assert found["novel_lines"] == found["novel_corpus"] == 0.0
    assert found["rhyme_chance"] < 0.5, "lines 2 and 4 are two of four, and not the same"
    assert found["both_chance"] <= min(found["rhyme_chance"], found["tone_chance"])
    assert rates(REAL, REAL, Data(REAL, [], ""), seed=0) == found


def test_rhyme_and_tone_are_counted_among_regulated_verse_only():
    lyric = Poem("", "忆江南", "", "江南好，风景旧曾谙。")
    assert verse([lyric, REAL[0]]) == [REAL[0]]
    found = rates([lyric, *REAL], REAL, Data([lyric, *REAL], [], ""), seed=0)
    assert found["rhyme"] == 1.0
    alone = rates([lyric], [lyric], Data([lyric], [], ""), seed=0)
    assert [alone[rule] for rule in RULES] == [1.0, None, None, None]
    assert alone["rhyme_low"] is alone["rhyme_chance"] is alone["largest_rhyme_group"] is None


def test_variety_falls_where_poems_repeat():
    once, twice = variety(REAL[:1]), variety(REAL[:1] * 2)
    assert (once["distinct_2"], twice["distinct_2"]) == (1.0, 0.5)
    assert variety([Poem("", "五言绝句", "", "春风春风春，秋月秋水山。")])["repeated_pairs"] == 1.0
    assert variety(REAL)["largest_rhyme_group"] == 0.5
    assert set(variety([]).values()) == {None, 0.0}


def test_dealt_lines_have_the_right_length_and_come_from_training():
    dealt = deal(REAL, REAL, random.Random(0))
    lines = {line for poem in dealt for line in poem.content.split("，")}
    assert lines == set(f"{SIGHT}{RIVER}".replace("。", "，").strip("，").split("，"))
    assert {poem.content.count("，") for poem in dealt} == {3}


# --- Lyrics of known tunes


def lyrics(n):
    """Lyrics of two level lines that rhyme, and of another tune that has lines of this length."""
    dealer = random.Random(0)

    def line(letters, ends):
        return "".join(dealer.choices(letters, k=2)) + dealer.choice(ends)

    made = [f"{line('春江天花', '红空中')}，{line('春江天花', '红空中')}。" for _ in range(n)]
    other = [f"{line('春江月水', '红月水')}，{line('春江月水', '香月雪')}。" for _ in range(n)]
    return [Poem("李白", "试声", "春", text) for text in made], [
        Poem("李白", "别调", "春", text) for text in other
    ]


def test_lyrics_of_known_tunes_are_counted_apart():
    made, other = lyrics(80)
    train = [*made, *other, *REAL]
    wrong = [
        Poem("", "试声", "", text) for text in ("春江红，天花香。", "春江红，天月空。", "春江红。")
    ]
    found = tune_rates([*made[:1], *wrong, *other, *REAL], made[:9], train, seed=0)
    assert found["poems"] == 4, "the other tune has no rule that its poems keep"
    assert [found[rule] for rule in TUNE_RULES] == [0.75, 0.5, 0.5, 0.25]
    assert [found[f"{rule}_corpus"] for rule in TUNE_RULES] == [1.0] * 4
    assert found["form_chance"] == 1.0
    assert found["both_chance"] < found["tone_chance"] < 0.5
    assert found["tone_low"] < 0.5 < found["tone_high"]
    assert rates(REAL, REAL, Data(train, [], ""), seed=0)["both"] == 1.0


def test_without_a_known_tune_nothing_is_counted():
    made, other = lyrics(80)
    assert tune_rates(REAL, REAL, [*made, *other], seed=0) == {}
    assert tune_rates(made, made, made[:29], seed=0) == {}


def test_a_run_on_lyrics_has_their_rates_beside_the_others(nanopoet, use_corpus):
    made, other = lyrics(60)
    use_corpus([asdict(poem) for poem in [*made, *other, *REAL]])
    preset = Path("tiny.toml").read_text("utf-8").replace('"regulated"', '"all"')
    Path("tiny.toml").write_text(preset, "utf-8")
    assert nanopoet("train", "--preset", "tiny.toml", "--steps", 0).code == 0
    numbers = json.loads(nanopoet("evaluate", "--json", "--samples", 20).out)
    assert list(numbers) == [*KEYS, "tunes"]
    assert 0 < numbers["tunes"]["poems"] < numbers["samples"]
    assert numbers["tunes"]["rhyme_corpus"] == 1.0
    assert "lyrics: rhyme and tone" in nanopoet("evaluate", "--samples", 20).out


# --- Other ways to write what is judged ----------------------------------------------------------


def test_of_each_n_poems_the_one_with_the_fewest_faults_is_judged():
    longing = Poem("", "五言绝句", "", "红豆生南国，春来发几枝。愿君多采撷，此物最相思。")
    moon = Poem("", "五言绝句", "", "床前明月光，疑是地上霜。举头望明月，低头思故乡。")
    assert fewest_faults([moon, longing, longing, moon], 2, "pingshui") == [longing, longing]
    assert fewest_faults([moon, longing], 1, "pingshui") == [moon, longing]
    short = replace(moon, content="床前明月光，疑是地上霜。")
    assert fewest_faults([short, moon], 2, "pingshui") == [moon], "out of form is one fault only"


def test_the_best_of_some_is_judged_and_as_many_are_counted(nanopoet, poet):
    one, best = (
        json.loads(nanopoet("evaluate", "--json", "--samples", 9, "--best-of", n).out)
        for n in (1, 4)
    )
    assert list(best) == KEYS
    assert best["samples"] == one["samples"] == 9
    assert best["tone"] >= one["tone"]


def test_masked_verse_keeps_all_the_rules(nanopoet, poet):
    numbers = json.loads(nanopoet("evaluate", "--json", "--masked", "--samples", 9).out)
    assert [numbers[rule] for rule in RULES] == [1.0] * len(RULES)
    assert numbers["samples"] == 9


def test_what_leaves_no_room_for_all_that_a_form_is_held_to_is_not_asked_for(nanopoet, use_corpus):
    use_corpus([poem | {"title": poem["title"] * 10} for poem in made_up_poems(300)])
    assert nanopoet("train", "--preset", "tiny.toml", "--steps", 0).code == 0
    numbers = json.loads(nanopoet("evaluate", "--json", "--masked", "--samples", 20).out)
    assert (numbers["form"], numbers["samples"] > 0) == (1.0, True)
