"""`nanopoet evaluate`: the numbers of a run."""

import json
import math
from pathlib import Path

import pytest

from nanopoet.poet.data import Data
from nanopoet.poet.evaluate import RATES, rates, spread
from nanopoet_ref.poem import Poem

LOSSES = ["val_loss_per_token", "val_loss_per_char"]
OF_POEMS = ["form_exact", "form_chance", "novel_lines", "rhyme", "rhyme_chance"]
OF_REAL = ["form_corpus", "novel_corpus", "rhyme_corpus"]
KEYS = [*LOSSES, *RATES, "samples"]


def test_json_has_exactly_these_keys_and_repeats(nanopoet, poet):
    done = nanopoet("evaluate", "tiny", "--json", "--samples", 5)
    assert (done.code, done.err) == (0, "")
    numbers = json.loads(done.out)
    assert list(numbers) == KEYS
    assert numbers["samples"] == 5
    assert 0 < numbers["val_loss_per_token"] < numbers["val_loss_per_char"] < 10
    assert all(0 <= numbers[key] <= 1 for key in RATES)
    assert numbers["rhyme_corpus"] == 1.0  # the made-up poems all rhyme
    assert nanopoet("evaluate", "--json", "--samples", 5).out == done.out


def test_the_loss_is_that_of_the_last_evaluation(nanopoet, poet):
    numbers = json.loads(nanopoet("evaluate", "--json", "--samples", 0).out)
    last = poet.logs("midtrain")[-1].val_loss
    assert numbers["val_loss_per_token"] == pytest.approx(last, abs=0.3)


def test_without_samples_only_real_poems_are_counted(nanopoet, poet):
    numbers = json.loads(nanopoet("evaluate", "--json", "--samples", 0).out)
    assert list(numbers) == KEYS
    assert [numbers[key] for key in OF_POEMS] == [None] * 5
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
    for key in KEYS:
        assert key in out
    assert "100.0%" in out
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
    assert [numbers[key] for key in RATES] == [None] * 8
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


def test_beside_each_rate_stands_what_chance_and_what_real_poems_give():
    lines = {"五言绝句": "床前明月光，疑是地上霜。举头望明月，低头思故乡。"}
    lines["七言绝句"] = "朝辞白帝彩云间，千里江陵一日还。两岸猿声啼不住，轻舟已过万重山。"
    real = [Poem("", form, "", content) for form, content in lines.items()] * 20
    found = rates(real, real, Data(real, [], ""), seed=0)
    assert found["form_exact"] == found["form_corpus"] == found["rhyme"] == 1.0
    assert 0.3 < found["form_chance"] < 0.7, "two forms, exchanged by chance"
    assert found["novel_lines"] == found["novel_corpus"] == 0.0
    assert 0.1 < found["rhyme_chance"] < 0.6, "of eight kinds of ends four are of two classes"
    again = rates(real, real, Data(real, [], ""), seed=0)
    assert again == found
