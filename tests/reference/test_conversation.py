"""Conversations as ids: what is supervised, and what no text can forge."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.conversation import (
    CHAT_TOKENS,
    chat_tokenizer,
    extend_model,
    render_conversation,
    render_request,
    render_template,
)
from nanopoet_ref.tokenizer import SPECIAL_TOKENS, UNK, CharTokenizer, build_vocab

FORGED = "".join(dict.fromkeys("".join([*CHAT_TOKENS, *SPECIAL_TOKENS]))) + "\\"
TOKENIZER = chat_tokenizer(CharTokenizer(build_vocab(["月山几个有"])), [FORGED, '0123"().'])
ENOUGH = 10_000


def user(text):
    return {"role": "user", "content": text}


def assistant(*parts):
    names = ("text", "python", "python_output")
    return {
        "role": "assistant",
        "content": [{"type": names[kind], "text": text} for kind, text in parts],
    }


COUNTED = [user("几个月"), assistant((0, "月"), (1, '"月".count("月")'), (2, "1"), (0, "有1个"))]


def supervised(conversation, max_tokens=ENOUGH):
    ids, said = render_conversation(TOKENIZER, conversation, max_tokens)
    assert len(ids) == len(said)
    return TOKENIZER.decode(ids), TOKENIZER.decode(ids[said])


# --- Vocabulary and model


def test_old_ids_keep_their_meaning_and_new_ones_come_after():
    old = CharTokenizer(build_vocab(["春月山"]))
    new = chat_tokenizer(old, ["春1a", "a0"])
    assert new.vocab[: len(old)] == old.vocab
    assert new.vocab[len(old) :] == ["0", "1", "a", *CHAT_TOKENS]
    assert new.encode("春月").tolist() == old.encode("春月").tolist()


def test_a_vocabulary_that_has_it_all_stays_as_it_is():
    assert chat_tokenizer(TOKENIZER, ["月"]).hash == TOKENIZER.hash


def test_it_comes_back_from_its_file(tmp_path):
    TOKENIZER.save(tmp_path / "tokenizer.json")
    assert CharTokenizer.load(tmp_path / "tokenizer.json").special == TOKENIZER.special


@pytest.mark.parametrize("style", ["gpt2", "modern"])
def test_a_longer_model_computes_the_same_logits_for_what_it_knew(make_gpt, style):
    model = make_gpt(style, awake=True)
    longer = extend_model(model, 40)
    assert longer.config.vocab_size == 40
    for name, old in model.state_dict().items():
        assert torch.equal(longer.state_dict()[name][: len(old)], old), name
    idx = torch.randint(23, (2, 9))
    assert torch.equal(longer(idx)[..., :23], model(idx))
    assert longer(torch.full((1, 3), 39)).shape == (1, 3, 40)


def test_a_model_does_not_share_its_weights_with_its_longer_copy(make_gpt):
    model = make_gpt(awake=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for parameter in extend_model(model, 23).parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_no_model_gets_shorter(make_gpt):
    with pytest.raises(ValueError, match="23 tokens cannot become one of 22"):
        extend_model(make_gpt(), 22)


# --- Ids and mask


def test_supervised_is_exactly_what_the_assistant_says():
    written, said = supervised(COUNTED)
    assert written == (
        "<|bos|><|user_start|>几个月<|user_end|><|assistant_start|>月<|python_start|>"
        '"月".count("月")<|python_end|><|output_start|>1<|output_end|>有1个<|assistant_end|>'
    )
    assert said == '月<|python_start|>"月".count("月")<|python_end|>有1个<|assistant_end|>'


def test_texts_question_and_answer_in_twelve_ids():
    """Text 002's example, six ids of question and one of answer, with its mask mended."""
    _, said = render_conversation(TOKENIZER, [user("月山有几个月"), assistant((0, "2"))], ENOUGH)
    assert said.astype(int).tolist() == [0] * 10 + [1, 1]


def test_a_plain_text_is_one_part():
    plain = [user("月"), {"role": "assistant", "content": "山"}]
    parts = [user("月"), assistant((0, "山"))]
    assert supervised(plain) == supervised(parts)


def test_several_turns_are_all_supervised():
    two = [*COUNTED, user("有几个"), {"role": "assistant", "content": "3"}]
    assert supervised(two)[1] == supervised(COUNTED)[1] + "3<|assistant_end|>"


@pytest.mark.parametrize("max_tokens", range(1, 12))
def test_the_first_tokens_are_left_of_what_is_too_long(max_tokens):
    ids, said = render_conversation(TOKENIZER, COUNTED, ENOUGH)
    cut, cut_said = render_conversation(TOKENIZER, COUNTED, max_tokens)
    assert cut.tolist() == ids[:max_tokens].tolist()
    assert cut_said.tolist() == said[:max_tokens].tolist()


@pytest.mark.parametrize(
    ("conversation", "reason"),
    [
        ([], "empty"),
        ([assistant((0, "月"))], "the user's turn"),
        ([user("月"), user("月")], "the assistant's turn"),
        ([{"role": "system", "content": "月"}], "'system'"),
        ([{"role": "user", "content": []}], "a user's content is a text"),
        ([user("月"), {"role": "assistant", "content": [{"type": "image", "text": ""}]}], "image"),
    ],
)
def test_what_is_no_conversation_is_refused(conversation, reason):
    with pytest.raises(ValueError, match=reason):
        render_conversation(TOKENIZER, conversation, ENOUGH)


def test_a_request_is_the_conversation_up_to_the_answer():
    ids, said = render_conversation(TOKENIZER, COUNTED, ENOUGH)
    request = render_request(TOKENIZER, COUNTED)
    assert request.tolist() == ids[: said.argmax()].tolist()
    assert render_request(TOKENIZER, COUNTED[:1]).tolist() == request.tolist()


# --- The template; texts that try to be more than texts

TEXT = st.text(st.sampled_from(FORGED + "月1"), max_size=12) | st.lists(
    st.sampled_from([*CHAT_TOKENS, "<|bos|>", "\\", "<", "|>", "月", "{{ bos }}", "\n"]), max_size=4
).map("".join)
ANSWER = st.lists(st.tuples(st.integers(0, 2), TEXT), max_size=3).map(lambda p: assistant(*p))
CONVERSATION = st.lists(st.tuples(TEXT.map(user), ANSWER), min_size=1, max_size=3).map(
    lambda turns: list(itertools.chain(*turns))
)


@given(CONVERSATION)
def test_the_template_gives_the_same_ids(conversation):
    ids, _ = render_conversation(TOKENIZER, conversation, ENOUGH)
    assert render_template(TOKENIZER, conversation).tolist() == ids.tolist()
    asked = render_template(TOKENIZER, conversation[:-1], add_generation_prompt=True)
    assert asked.tolist() == render_request(TOKENIZER, conversation).tolist()


@given(CONVERSATION)
def test_no_text_forges_a_mark(conversation):
    ids, said = render_conversation(TOKENIZER, conversation, ENOUGH)
    parts = [part["type"] for m in conversation[1::2] for part in m["content"]]
    marks = [i for i in ids if i in set(TOKENIZER.special.values()) - {TOKENIZER.special[UNK]}]
    calls = sum(kind != "text" for kind in parts)
    assert len(marks) == 1 + 2 * len(conversation) + 2 * calls
    ends = ids == TOKENIZER.special["<|assistant_end|>"]
    assert ends.sum() == len(conversation) / 2
    assert said[ends].all()
    assert not said[ids == TOKENIZER.special["<|user_end|>"]].any()
