"""Evaluation: form, rhyme, novelty, loss."""

import pytest
import torch

from nanopoet_ref.evaluation import novel_lines, poem_loss, poem_loss_by_field
from nanopoet_ref.loss import token_losses
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import (
    chance_of_rhyme,
    form_patterns,
    has_form,
    lines_of,
    rhyme_classes,
    rhymes,
    share,
)

RHYMING = {
    "李白 静夜思": "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
    "李白 早发白帝城": "朝辞白帝彩云间，千里江陵一日还。两岸猿声啼不住，轻舟已过万重山。",
    "李白 望庐山瀑布": "日照香炉生紫烟，遥看瀑布挂前川。飞流直下三千尺，疑是银河落九天。",
    "王维 相思": "红豆生南国，春来发几枝。愿君多采撷，此物最相思。",
    "王维 鸟鸣涧": "人闲桂花落，夜静春山空。月出惊山鸟，时鸣春涧中。",
    "王维 送元二使安西": "渭城朝雨浥轻尘，客舍青青柳色新。劝君更尽一杯酒，西出阳关无故人。",
}
NOT_RHYMING = {
    "静夜思, its lines shuffled": "疑是地上霜，床前明月光。低头思故乡，举头望明月。",
    "two poems mixed": "床前明月光，疑是地上霜。月出惊山鸟，时鸣春涧中。",
    "诗 and 衣: one i is not the other": "红豆生南国，春来读几诗。愿君多采撷，此物好为衣。",
}


@pytest.fixture(scope="module")
def patterns():
    return form_patterns(
        [
            Poem(
                "", "忆江南", "", "江南好，风景旧曾谙。日出江花红胜火，春来江水绿如蓝。能不忆江南。"
            ),
            Poem("", "忆江南", "", "江南忆，最忆是杭州。"),
            Poem("", "五言绝句", "", "一二三。"),
        ]
    )


@pytest.mark.parametrize("name", RHYMING)
def test_a_poem_of_old_still_rhymes(name):
    assert rhymes(RHYMING[name])


@pytest.mark.parametrize("name", NOT_RHYMING)
def test_lines_that_do_not_rhyme(name):
    assert not rhymes(NOT_RHYMING[name])


@pytest.mark.parametrize(
    "content", ["", "床前明月光。", "床前明月光，疑是地上霜。", "abc，abc。abc，abc。"]
)
def test_one_ending_alone_and_no_character_at_all_do_not_rhyme(content):
    assert not rhymes(content)


def test_a_character_with_two_readings_rhymes_in_either():
    assert rhyme_classes("还") >= {"寒", "开"}
    assert rhyme_classes("a") == frozenset()


def test_a_reading_that_no_word_of_today_has_does_not_count():
    assert not rhyme_classes("斜") & rhyme_classes("家")


DREAM = "常记溪亭日暮。沉醉不知归路。兴尽晚回舟，误入藕花深处。争渡。争渡。惊起一滩鸥鹭。"


def test_a_lyric_rhymes_by_two_thirds_of_its_sentences():
    assert rhymes(DREAM), "李清照, 如梦令: its even lines do not rhyme, its sentences do"
    assert rhymes(DREAM.replace("鸥鹭", "白鸥"))
    assert not rhymes(DREAM.replace("深处", "深红").replace("争渡", "争先"))


def test_chance_of_rhyme_is_what_dealt_ends_give():
    poems = list(RHYMING.values())
    chance = chance_of_rhyme(poems, times=200)
    assert 0.0 < chance < 0.2 < 1.0 == share(map(rhymes, poems))
    assert chance == chance_of_rhyme(poems, times=200)
    assert chance_of_rhyme([]) == 0.0
    assert chance_of_rhyme(["床前明月光，疑是地上光。举头望明光，低头思故光"], times=3) == 1.0


def test_a_shape_that_one_poem_in_a_hundred_has_not_is_no_pattern_of_its_tune():
    whole, fragment = "江南好，风景旧曾谙。日出江花红胜火。", "江南好，风景旧曾谙。"
    poems = [Poem("", "忆江南", "", whole)] * 250 + [Poem("", "忆江南", "", fragment)] * 2
    asked = Poem("", "忆江南", "", fragment)
    assert not has_form(asked, form_patterns(poems))
    assert has_form(asked, form_patterns([*poems, asked]))


def test_lines_end_at_stops_and_keep_no_mark():
    assert lines_of("春，夏。秋！冬？昼；夜：昏、晨") == list("春夏秋冬昼夜昏晨")
    assert lines_of("") == []


@pytest.mark.parametrize(
    ("form", "content", "fits"),
    [
        ("五言绝句", RHYMING["李白 静夜思"], True),
        ("七言绝句", RHYMING["李白 早发白帝城"], True),
        ("五言律诗", RHYMING["李白 静夜思"] * 2, True),
        ("五言绝句", RHYMING["李白 早发白帝城"], False),
        ("五言绝句", RHYMING["李白 静夜思"] * 2, False),
        ("五言绝句", RHYMING["李白 静夜思"].replace("故", ""), False),
        ("五言绝句", "", False),
        ("五言绝句", "一二三。", False),
        ("忆江南", "江南好，何日更重游。", True),
        ("忆江南", "江南好，何日更游。", False),
        ("如梦令", "江南好，何日更重游。", False),
    ],
)
def test_a_form_is_the_number_and_length_of_its_lines(patterns, form, content, fits):
    assert has_form(Poem("", form, "", content), patterns) is fits


def test_the_share_of_new_lines_counts_lines_not_poems():
    known = {"床前明月光", "疑是地上霜"}
    old, new = Poem("", "", "", "床前明月光，疑是地上霜。"), Poem("", "", "", "春眠。")
    assert novel_lines([old], known) == 0
    assert novel_lines([new], known) == 1
    assert novel_lines([old, new], known) == pytest.approx(1 / 3)
    assert novel_lines([], known) == share([]) == 0


@pytest.fixture
def model(make_gpt, tokenizer):
    return make_gpt(vocab_size=len(tokenizer), block_size=60, awake=True, dtype=torch.float64)


def test_the_same_nats_are_shared_out_over_fewer_characters(model, tokenizer, poems):
    per_token, per_character = poem_loss(model, tokenizer, poems)
    characters = sum(len(p.author + p.form + p.title + p.content) for p in poems)
    assert per_character * characters == pytest.approx(per_token * (characters + 5 * len(poems)))
    assert per_character > per_token


def test_the_loss_does_not_depend_on_the_batch_size(model, tokenizer, poems):
    losses = [poem_loss(model, tokenizer, poems, batch_size=size) for size in (1, 2, 3, 32)]
    for loss in losses[1:]:
        assert loss == pytest.approx(losses[0], abs=1e-12)


def test_the_loss_does_not_depend_on_the_order_of_poems(model, tokenizer, poems):
    assert poem_loss(model, tokenizer, poems[::-1], 2) == pytest.approx(
        poem_loss(model, tokenizer, poems, 2), abs=1e-12
    )


def test_an_unknown_character_counts_as_a_character(model, tokenizer):
    per_token, per_character = poem_loss(model, tokenizer, [Poem("", "", "", "𠀀𠀁")])
    assert per_character * 2 == pytest.approx(per_token * 7)


def test_an_untrained_poet_is_as_surprised_as_one_who_guesses(make_gpt, tokenizer, poems):
    model = make_gpt("modern", vocab_size=len(tokenizer), block_size=60)
    per_token, _ = poem_loss(model, tokenizer, poems)
    assert per_token == pytest.approx(torch.tensor(float(len(tokenizer))).log().item(), abs=1e-5)


def test_the_losses_of_the_fields_add_up_to_the_loss_of_the_poem(make_gpt, tokenizer, poems):
    """Each field has its characters and the marker that ends it; <|bos|> is nobody's target."""
    model = make_gpt(vocab_size=len(tokenizer), block_size=64, awake=True)
    by_field = poem_loss_by_field(model, tokenizer, poems, batch_size=3)
    counts = {name: sum(len(getattr(p, name)) + 1 for p in poems) for name in by_field}
    per_token, _ = poem_loss(model, tokenizer, poems)
    total = sum(by_field[name] * counts[name] for name in by_field) + len(poems) * float(
        first_marker_loss(model, tokenizer)
    )
    assert total / (sum(counts.values()) + len(poems)) == pytest.approx(per_token, rel=1e-5)


def first_marker_loss(model, tokenizer):
    """What <|author|> after <|bos|> costs: the same in every row."""
    bos, author = (torch.tensor([[tokenizer.special[f"<|{name}|>"]]]) for name in ("bos", "author"))
    model.eval()
    with torch.no_grad():
        return token_losses(model(bos), author)


def test_the_losses_of_the_fields_keep_nothing_for_a_backward_pass(make_gpt, tokenizer, poems):
    """Logits of 2,000 poems would fill the memory."""
    model = make_gpt(vocab_size=len(tokenizer), block_size=64)
    kept = []
    model.register_forward_hook(lambda *call: kept.append(call[-1].requires_grad))
    poem_loss_by_field(model, tokenizer, poems, batch_size=1)
    assert kept == [False] * len(poems)
