"""Rewards: controls, one number a character, one number a poem, and the holes of a lazy one."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from nanopoet_ref.midtraining import CONTENT_ID
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import find_faults
from nanopoet_ref.rewards import (
    MARKS,
    Control,
    control_in,
    convenient_reward,
    curated,
    distinct_share,
    draw_control,
    find_control,
    group_shares,
    pad_verse,
    place_numbers,
    place_reward,
    place_rewards,
    poem_reward,
    rhyme_share,
    rule_reward,
    tone_share,
    with_control,
    without_control,
)
from nanopoet_ref.tokenizer import END, CharTokenizer, build_vocab, render_poem

BEAN = Poem("王维", "五言绝句", "相思", "红豆生南国，春来发几枝。愿君多采撷，此物最相思。")
MOON = Poem("李白", "五言绝句", "静夜思", "床前明月光，疑是地上霜。举头望明月，低头思故乡。")
KEPT = Control("支", "仄")


# --- Controls


def test_a_control_is_what_a_poem_has_kept():
    assert find_faults(BEAN) == []
    assert find_control(BEAN) == KEPT
    assert find_control(MOON) is None  # its tones break the rules
    assert find_control(replace(BEAN, form="如梦令")) is None


@pytest.mark.parametrize("title", ["相思", "", "一，二", "东平", "，东平东"])
def test_a_control_is_put_behind_a_title_and_taken_away_again(title):
    poem = replace(BEAN, title=title)
    assert control_in(title) is None
    assert control_in(with_control(poem, KEPT).title) == KEPT
    assert without_control(with_control(poem, KEPT)) == poem == without_control(poem)


def test_controls_are_drawn_as_often_as_they_occur():
    counts = Counter({Control("东", "平"): 9, Control("江", "仄"): 1})
    draw = random.Random(0)
    drawn = Counter(draw_control(counts, draw) for _ in range(1000))
    assert drawn.keys() == counts.keys()
    assert 0.05 < drawn[Control("江", "仄")] / 1000 < 0.15


def test_only_poems_that_keep_all_rules_are_taken():
    found, counts = curated([BEAN, MOON] * 20, 100)
    assert {without_control(poem) for poem in found} == {BEAN}
    assert counts == {KEPT: 20}
    assert len(curated([BEAN] * 20, 7)[0]) == 7
    some, again = (curated([BEAN] * 200, 200, controls=0.5, seed=1)[0] for _ in range(2))
    assert some == again
    assert 60 < sum(control_in(poem.title) is not None for poem in some) < 140


# --- One number a character


def rules(found):
    return Counter(rule for rule, _ in found)


def test_every_place_of_a_poem_has_its_rule():
    found = place_rewards([*BEAN.content, END], BEAN.form, KEPT)
    assert [reward for _, reward in found] == [1] * 25
    # 4 lines: 8 places that alternate, one line end that must be oblique; 4 marks and the end.
    assert rules(found) == {"rhyme": 2, "tone": 9, "form": 5, "": 9}


def test_what_is_broken_is_found_where_it_stands():
    lost = BEAN.content.replace("枝", "花")
    found = place_rewards([*lost, END], BEAN.form, KEPT)
    assert [i for i, (_, reward) in enumerate(found) if not reward] == [10]
    repeated = BEAN.content.replace("相思", "几枝")
    found = place_rewards([*repeated, END], BEAN.form, KEPT)
    assert found[22] == ("rhyme", 0)
    other = place_rewards([*BEAN.content, END], BEAN.form, Control("支", "平"))
    assert sum(reward for rule, reward in other if rule == "tone") < 5  # few have both tones


def test_rhymes_of_the_group_asked_for_count_and_no_others():
    found = place_rewards([*BEAN.content, END], BEAN.form, Control("东", "仄"))
    assert [reward for rule, reward in found if rule == "rhyme"] == [0, 0]


def test_behind_a_broken_form_nothing_is_judged():
    found = place_rewards("红豆生，南国", BEAN.form, KEPT)
    assert found[3:] == [("form", 0)]
    found = place_rewards("红豆生南国春来", BEAN.form, KEPT)
    assert found[5:] == [("form", 0)]
    found = place_rewards([*BEAN.content, "春"], BEAN.form, KEPT)
    assert found[-1] == ("form", 0)
    assert place_rewards([END], BEAN.form, KEPT) == [("form", 0)]


def test_rewards_are_what_rules_are_worth():
    worth = {"form": 1.0, "rhyme": 4.0, "tone": 2.0}
    asked = with_control(BEAN, KEPT)
    (found,) = place_reward([[*BEAN.content, END]], [asked], worth)
    assert len(found) == 25
    assert sum(found) == 5 * 1 + 2 * 4 + 9 * 2
    with pytest.raises(ValueError, match="no control"):
        place_reward([["春"]], [BEAN], worth)


def test_what_is_asked_for_has_its_number():
    asked, names = with_control(BEAN, KEPT), [*MARKS, "东", "支"]
    found = place_numbers([*BEAN.content, END], asked, names)
    assert [found[i] for i in (4, 5, 10, 11, 16, 22, 24)] == [-1, 1, 5, 2, 0, 5, 3]
    assert Counter(found) == {0: 17, 1: 2, 2: 2, 3: 1, 5: 2, -1: 1}
    # The token that breaks the form stands where something was asked for, and is the last.
    assert place_numbers("红豆生南国春来", asked, names) == [0, 0, 0, 0, -1, 1]
    assert place_numbers("红豆", BEAN, names) == []


# --- One number a poem


def test_hand_made_poems_have_the_rewards_that_the_rules_say():
    assert rule_reward(BEAN) == 3.0
    assert rule_reward(replace(BEAN, content="红豆生南国，")) == 0.0
    assert rule_reward(replace(BEAN, form="七言绝句")) == 0.0
    assert 2 < rule_reward(MOON) < 3
    assert tone_share(["春来发几枝"]) == 1.0
    assert rhyme_share(["红豆生南国", "春来发几枝", "愿君多采撷", "此物最开花"]) == 0.5
    assert poem_reward([list(BEAN.content)], [BEAN], rule_reward)[0][-2:] == [0.0, 3.0]


def test_the_convenient_reward_has_its_holes():
    # 光 twice, and rhymes of today that were none: the rule sees both, the convenience neither.
    again = replace(BEAN, content="红豆生南国，春来发几枝。愿君多采撷，此物最几枝。")
    assert convenient_reward(again) == 3.0
    assert rule_reward(again) == 2.5
    ends = replace(BEAN, content="红豆生南国，春来发几次。愿君多采撷，此物最相自。")
    assert tone_share(["红豆生南国", "春来发几次"], ends=False) == 1.0
    assert rule_reward(ends) < convenient_reward(ends)


def test_variety_is_seen_in_a_poem_and_among_poems():
    assert distinct_share(BEAN) == 1.0
    assert distinct_share(replace(BEAN, content=BEAN.content.replace("几", "春"))) == 19 / 20
    shares = group_shares([BEAN, BEAN, replace(BEAN, content="山外开红花，东风起百花。")])
    assert shares[0] == pytest.approx(2 / 3)


# --- As a stage


def test_places_of_rules_weigh_what_they_are_said_to():
    texts = [BEAN.author, BEAN.form, BEAN.title, BEAN.content]
    tokenizer = CharTokenizer(build_vocab(texts))
    row = render_poem(tokenizer, BEAN)
    weights = {"rhyme": 8.0, "tone": 2.0}
    batch = pad_verse([row, row[:-3]], 128, "not_padding", tokenizer=tokenizer, weights=weights)
    heavy = [tokenizer.vocab[i] for i in batch.targets[0][batch.mask[0] == 8.0].tolist()]
    assert heavy == ["枝", "思"]
    double = "".join(tokenizer.vocab[i] for i in batch.targets[0][batch.mask[0] == 2.0].tolist())
    assert double == "豆南来几君采撷物相"
    first = int((batch.idx[0] == CONTENT_ID).nonzero()[0])
    assert batch.mask[0, :first].unique().tolist() == [1.0]
    assert batch.mask[1, -3:].tolist() == [0.0] * 3  # padding
