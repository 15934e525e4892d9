"""Seven tasks over poems, and their mixture."""

import hashlib
import json
import random
from collections import Counter
from dataclasses import replace

import pytest

from nanopoet_ref.conversation import chat_tokenizer, render_conversation
from nanopoet_ref.mixture import (
    CHARACTERS,
    TASKS,
    Arithmetic,
    Compose,
    Count,
    FinishCouplet,
    Identity,
    TaskMixture,
    WhichForm,
    WhoWrote,
    mixture_shares,
    numeral,
    said,
)
from nanopoet_ref.poem import Poem, fields_of
from nanopoet_ref.tokenizer import UNK, CharTokenizer, build_vocab
from nanopoet_ref.tools import calculate
from tests.conftest import POEMS, made_up_poems

MADE_UP = [Poem(**poem) for poem in made_up_poems(200)]
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def question(conversation):
    return conversation[0]["content"]


def call_of(conversation):
    """The expression and the output of an answer with a call."""
    parts = conversation[1]["content"]
    return [part["text"] for part in parts if part["type"] != "text"]


# --- Every task


def test_there_are_seven():
    names = "Compose FinishCouplet WhoWrote WhichForm Count Arithmetic Identity"
    assert list(TASKS) == names.split()


@every_task
def test_an_example_is_a_question_and_an_answer_that_is_right(task):
    made = task(POEMS + MADE_UP)
    for conversation in list(made)[:100]:
        assert [message["role"] for message in conversation] == ["user", "assistant"]
        assert made.evaluate(conversation, said(conversation))
        for wrong in ("", "月", "有77个。"):
            assert not made.evaluate(conversation, wrong)


@every_task
def test_an_example_depends_on_seed_and_number_alone(task):
    forwards = list(task(MADE_UP, size=50))
    again = task(MADE_UP, size=50)
    random.seed(7)
    assert [again[i] for i in reversed(range(len(again)))] == forwards[::-1]
    with pytest.raises(IndexError, match=f"{task.__name__} has examples 0 to "):
        again[len(again)]
    with pytest.raises(IndexError):
        again[-1]


def test_every_process_on_every_machine_makes_these_examples():
    made = json.dumps([task(MADE_UP, size=9)[i] for task in TASKS.values() for i in range(9)])
    assert hashlib.sha256(made.encode()).hexdigest()[:16] == "10ff01c31474b305"


@pytest.mark.parametrize("task", [Compose, FinishCouplet, WhoWrote, Count])
def test_another_seed_asks_other_things(task):
    one, other = (list(task(MADE_UP, seed=seed)) for seed in (42, 43))
    assert len(one) == len(other)
    assert one != other


@every_task
def test_every_character_of_a_task_is_announced_or_of_a_poem(task):
    known = set(CHARACTERS) | set("".join("".join(fields_of(poem)) for poem in MADE_UP))
    for conversation in list(task(MADE_UP))[:300]:
        parts = "".join(part["text"] for part in conversation[1]["content"])
        assert set(question(conversation) + parts) <= known


@every_task
def test_a_tokenizer_with_the_announced_characters_renders_without_unk(task):
    texts = [text for poem in MADE_UP for text in fields_of(poem)]
    tokenizer = chat_tokenizer(CharTokenizer(build_vocab(texts)), [CHARACTERS])
    for conversation in list(task(MADE_UP, size=20)):
        ids, _ = render_conversation(tokenizer, conversation, 999)
        assert tokenizer.special[UNK] not in ids


def test_size_spreads_the_poems_evenly():
    poems = [Poem("", "", "", str(i)) for i in range(10)]
    asked = list(WhichForm(poems, size=5))
    assert [question(c)[-1] for c in asked] == ["0", "2", "4", "6", "8"]
    assert len(WhichForm(poems, size=99)) == 10


@pytest.mark.parametrize(
    ("task", "poem"),
    [
        (FinishCouplet, Poem("", "", "", "低头，思故乡。")),
        (WhoWrote, POEMS[0]),
        (Count, MADE_UP[3]),
        (Compose, None),
    ],
)
def test_a_task_about_nothing_is_refused(task, poem):
    with pytest.raises(ValueError, match=f"{task.__name__}: not one of "):
        task([poem] if poem else [])


@pytest.mark.parametrize("task", [Arithmetic, Identity])
def test_what_needs_no_poem_holds_out_every_tenth(task):
    train, val = ({question(c) for c in list(task([], split))} for split in ("train", "val"))
    assert not train & val
    assert len(val) == (len(train) + len(val)) // 10
    with pytest.raises(ValueError, match="'test' is neither train nor val"):
        task([], "test")


# --- One by one


def test_compose_names_the_form_always_and_the_rest_now_and_then():
    poem = POEMS[0]
    asked = Counter(question(c) for c in list(Compose([poem] * 200)))
    assert set(asked) == {
        "写一首五言绝句。",
        "写一首五言绝句，题为静夜思。",
        "写一首五言绝句，作者李白。",
        "写一首五言绝句，题为静夜思，作者李白。",
    }
    assert min(asked.values()) > 25
    conversation = Compose([poem])[0]
    assert said(conversation) == poem.content
    task = Compose(POEMS)
    assert task.evaluate(conversation, POEMS[1].content), "another poem of this shape"
    assert not task.evaluate(conversation, POEMS[3].content), "a poem of seven"
    assert not task.evaluate(conversation, poem.content[:12])


def test_a_couplet_is_finished_by_a_line_as_long_that_is_not_the_first():
    task = FinishCouplet(POEMS[:1])
    conversation = task[0]
    assert question(conversation) in ("对下句：床前明月光，", "对下句：举头望明月，")
    first = question(conversation)[4:-1]
    assert task.evaluate(conversation, "春眠不觉晓。")
    for wrong in (
        first + "。",
        "春眠不觉。",
        "春眠不觉晓，",
        "春眠，觉晓。",
        "春眠不觉晓落",
        "春。不觉晓。",
    ):
        assert not task.evaluate(conversation, wrong), wrong


def test_who_wrote_offers_four_different_authors_and_the_letter_is_his():
    task = WhoWrote(MADE_UP)
    letters = Counter()
    for poem, conversation in zip(MADE_UP, list(task), strict=True):
        opening, *choices = question(conversation).split("\n")
        offered = dict(reversed(choice.removeprefix("- ").split("=")) for choice in choices)
        assert list(offered) == list("ABCD")
        assert len(set(offered.values())) == 4
        assert offered[said(conversation)] == poem.author
        assert opening.removeprefix("谁作：") in poem.content
        assert opening.count("。") == 2
        letters[said(conversation)] += 1
    assert min(letters.values()) > 25, "no letter gives it away"


def test_with_two_authors_there_are_two_choices():
    poems = [replace(POEMS[0], author=author) for author in ("李白", "杜甫")]
    assert question(WhoWrote(poems)[0]).count("\n- ") == 2


def test_which_form_shows_the_whole_poem():
    conversation = WhichForm(POEMS)[3]
    assert question(conversation) == f"此诗何体：{POEMS[3].content}"
    assert said(conversation) == "七言绝句"


def test_count_spells_the_poem_and_has_it_counted():
    numbers = Counter()
    for conversation in list(Count(MADE_UP)):
        expression, output = call_of(conversation)
        content, character = question(conversation)[:-7], question(conversation)[-3]
        spelt = content.replace("，", "").replace("。", "")
        assert len(spelt) in (20, 28)
        assert expression == f'"{spelt}".count("{character}")'
        assert calculate(expression) == output == str(content.count(character))
        assert said(conversation) == f"{spelt}有{output}个。"
        numbers[output] += 1
    assert {"0", "1", "2"} <= set(numbers)


def test_arithmetic_adds_characters_of_forms():
    found = {question(c): c for split in ("train", "val") for c in list(Arithmetic([], split))}
    for asked, expression, total in [
        ("三首七言律诗共几字？", "3*56", "168"),
        ("十二首五言绝句和二十首七言绝句共几字？", "12*20+20*28", "800"),
    ]:
        assert call_of(found[asked]) == [expression, total]
        assert said(found[asked]) == f"共{total}字。"
    assert len(found) == 99 * 4 + 12 * 400
    assert Arithmetic([]).evaluate(found[asked], "是800")
    assert not Arithmetic([]).evaluate(found[asked], "800或801")


def test_numerals_are_read_as_they_are_said():
    assert [numeral(n) for n in (1, 10, 11, 19, 20, 99)] == [
        *("一", "十", "十一", "十九", "二十", "九十九")
    ]


# --- Mixture


def test_every_example_comes_once_for_each_time_its_task_is_listed():
    compose, identity = Compose(POEMS), Identity([])
    mixture = TaskMixture([identity, compose, identity])
    seen = Counter(question(mixture[i]) for i in range(len(mixture)))
    assert seen == Counter(map(question, list(compose) + 2 * list(identity)))


def test_the_order_is_shuffled_and_always_the_same():
    tasks = [task(MADE_UP, size=30) for task in TASKS.values()]
    one, again, other = TaskMixture(tasks), TaskMixture(tasks), TaskMixture(tasks, seed=43)
    assert list(one) == list(again) != list(other)
    assert one.order[:20] != [(tasks[0], i) for i in range(20)]
    first_half = Counter(task.name for task, _ in one.order[: len(one) // 2])
    assert min(first_half[name] for name in TASKS) >= 7, "every task all along"


def test_shares_are_of_examples():
    tasks = [Identity([]), Compose(MADE_UP, size=54), Compose(MADE_UP, size=54)]
    n = len(tasks[0])
    assert mixture_shares(tasks) == {"Identity": n / (n + 108), "Compose": 108 / (n + 108)}
