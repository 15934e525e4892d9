"""Tokenizers: from text to ids and back, and no way in for a marker."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.poem import Poem
from nanopoet_ref.tokenizer import (
    SPECIAL_TOKENS,
    UNK,
    CharTokenizer,
    bpe_encode,
    build_vocab,
    code_points,
    parse_poem,
    render_poem,
    render_poems,
    render_prompt,
    to_tiktoken,
    train_bpe,
    train_bpe_fast,
)

N = len(SPECIAL_TOKENS)
VERSE = st.text("春眠不觉晓处闻啼鸟，。")
POEM = st.builds(Poem, VERSE, VERSE, VERSE, VERSE)
SPELLED = st.sampled_from(SPECIAL_TOKENS)
ANY_TEXT = st.lists(st.one_of(st.text(), SPELLED)).map("".join)


@pytest.fixture(scope="module")
def small():
    return CharTokenizer(build_vocab(["春眠不觉晓，处处闻啼鸟。"]))


# --- Characters -------------------------------------------------------------------------------


@given(st.text())
def test_a_text_of_known_characters_comes_back(text):
    tokenizer = CharTokenizer(build_vocab([text]))
    ids = tokenizer.encode(text)
    assert ids.dtype == np.uint16
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text


def test_an_unknown_character_is_unk_and_its_neighbours_stay(small):
    assert small.decode(small.encode("春雪晓")) == f"春{UNK}晓"


@given(ANY_TEXT)
def test_no_text_becomes_a_special_token(small, text):
    ids = small.encode(text)
    assert len(ids) == len(text)
    assert set(ids[ids < N].tolist()) <= {small.special[UNK]}


@given(ANY_TEXT)
def test_not_even_a_text_the_vocabulary_was_made_from(text):
    tokenizer = CharTokenizer(build_vocab([text]))
    assert (tokenizer.encode(text) >= N).all()


@pytest.mark.parametrize("code", [0x0, 0x7, 0xE000, 0xF8FF, 0xFFFF, 0x10000, 0xF0000, 0x10FFFF])
def test_code_points_at_the_edges_are_characters_like_others(small, code):
    assert small.encode(chr(code)).tolist() == [small.special[UNK]]
    tokenizer = CharTokenizer(build_vocab([chr(code)]))
    assert tokenizer.decode(tokenizer.encode(chr(code))) == chr(code)


def test_half_a_surrogate_pair_is_unk(small):
    assert small.encode("春\ud800").tolist()[1] == small.special[UNK]


@given(st.text())
def test_code_points_are_those_of_python(text):
    assert code_points(text).tolist() == [ord(character) for character in text]


def test_ids_are_ranks_and_rare_characters_are_left_out():
    texts = ["水山山火", "火山"]
    assert build_vocab(texts)[N:] == ["山", "火", "水"]
    assert build_vocab(texts, min_count=2)[N:] == ["山", "火"]
    assert build_vocab(texts, min_count=4)[N:] == []


@given(st.lists(st.text("山水火", max_size=5)))
def test_the_vocabulary_does_not_depend_on_how_texts_are_cut_or_ordered(texts):
    assert build_vocab(texts) == build_vocab(["".join(reversed(texts))])


def test_special_tokens_stand_first_and_have_their_names(small):
    assert tuple(small.vocab[:N]) == SPECIAL_TOKENS
    assert small.decode(range(N)) == "".join(SPECIAL_TOKENS)
    assert len(small) == len(small.vocab)


def test_any_iterable_of_ids_can_be_decoded(small):
    ids = small.encode("春眠")
    for form in (ids, ids.tolist(), tuple(ids), iter(ids.tolist())):
        assert small.decode(form) == "春眠"
    assert small.decode([]) == ""


@pytest.mark.parametrize("wrong", [-1, 10**6])
def test_an_id_out_of_range_is_refused(small, wrong):
    with pytest.raises((IndexError, ValueError), match=str(wrong)):
        small.decode([wrong])


@pytest.mark.parametrize(
    ("vocab", "named"),
    [
        (["春", "眠"], "春"),
        ([*SPECIAL_TOKENS, "春眠"], "春眠"),
        ([*SPECIAL_TOKENS, "<|bos|>"], "bos"),
        ([*SPECIAL_TOKENS, "春", "春"], "distinct"),
        ([*SPECIAL_TOKENS[::-1], "春"], "end"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(vocab, named):
    with pytest.raises(ValueError, match=named):
        CharTokenizer(vocab)


def test_later_special_tokens_have_an_id_and_no_text_can_be_them():
    late = CharTokenizer([*SPECIAL_TOKENS, "春", "<|user_start|>", "a"])
    assert late.special["<|user_start|>"] == N + 1
    assert late.encode("春a<|user_start|>").tolist()[:3] == [N, N + 2, late.special[UNK]]
    assert N + 1 not in late.encode("<|user_start|>")
    assert late.decode([N + 1, N]) == "<|user_start|>春"


def test_65_536_tokens_fit_and_one_more_does_not():
    characters = [chr(code) for code in range(0x10000, 0x20000)]
    full = CharTokenizer([*SPECIAL_TOKENS, *characters[: 2**16 - N]])
    assert full.encode(characters[2**16 - N - 1]).tolist() == [2**16 - 1]
    with pytest.raises(ValueError, match="65537"):
        CharTokenizer([*SPECIAL_TOKENS, *characters[: 2**16 - N + 1]])


def test_the_hash_sees_two_characters_that_changed_places(small):
    swapped = [*small.vocab[:N], small.vocab[N + 1], small.vocab[N], *small.vocab[N + 2 :]]
    assert CharTokenizer(swapped).hash != small.hash
    assert CharTokenizer(small.vocab).hash == small.hash


def test_a_saved_vocabulary_comes_back_and_leaves_no_other_file(small, tmp_path):
    path = tmp_path / "tokenizer.json"
    small.save(path)
    assert CharTokenizer.load(path).vocab == small.vocab
    assert list(tmp_path.iterdir()) == [path]
    assert "春" in path.read_text("utf-8")


def test_an_edited_file_is_refused(small, tmp_path):
    path = tmp_path / "tokenizer.json"
    small.save(path)
    content = json.loads(path.read_text("utf-8"))
    vocab = content["vocab"]
    vocab[N], vocab[N + 1] = vocab[N + 1], vocab[N]
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        CharTokenizer.load(path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"vocab": 3}', '{"vocab": ["a"]}'])
def test_a_file_that_is_no_vocabulary_is_refused_by_name(tmp_path, content):
    path = tmp_path / "tokenizer.json"
    path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        CharTokenizer.load(path)


# --- Poems ------------------------------------------------------------------------------------


@given(POEM)
def test_a_poem_comes_back_from_its_frame(small, poem):
    assert parse_poem(small, render_poem(small, poem)) == poem


def test_the_frame_is_the_one_described(small):
    ids = render_poem(small, Poem("春", "眠眠", "", "不，觉。"))
    text = "<|bos|><|author|>春<|form|>眠眠<|title|><|content|>不，觉。<|end|>"
    assert small.decode(ids) == text
    assert ids.dtype == np.uint16


@given(st.lists(POEM, max_size=6))
def test_many_poems_are_the_single_ones_in_a_row(small, poems):
    ids, starts = render_poems(small, poems)
    single = [render_poem(small, poem).tolist() for poem in poems]
    assert ids.tolist() == [token for row in single for token in row]
    assert len(starts) == len(poems) + 1
    cut = [ids[a:b].tolist() for a, b in itertools.pairwise(starts)]
    assert cut == single


@given(st.builds(Poem, ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT))
def test_a_frame_has_its_eight_markers_whatever_the_fields_say(small, poem):
    ids = render_poem(small, poem)
    markers = ids[(ids < N) & (ids != small.special[UNK])].tolist()
    names = ("bos", "author", "form", "title", "content", "end")
    assert markers == [small.special[f"<|{name}|>"] for name in names]


@given(POEM)
def test_a_prompt_is_the_beginning_of_the_frame(small, poem):
    prompt = render_prompt(small, poem.author, poem.form, poem.title)
    assert small.decode(prompt[-1:]) == "<|content|>"
    whole = render_poem(small, poem)
    assert whole[: len(prompt)].tolist() == prompt.tolist()


def test_a_row_that_lacks_fields_is_a_poem_that_lacks_them(small):
    content = small.special["<|content|>"]
    assert parse_poem(small, [content, *small.encode("春雪")]) == Poem("", "", "", f"春{UNK}")
    assert parse_poem(small, small.encode("春眠")) == Poem("", "", "", "")


# --- Byte-pair encoding -----------------------------------------------------------------------

TRAINING = "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。春风春雨，春花春鸟。 abab abc ab\n" * 2
MIXED = st.text("春夏眠处闻ab ，。\n", max_size=40)


@pytest.fixture(scope="module")
def ranks():
    return train_bpe(TRAINING, n_merges=40)


def bpe_decode(ids, ranks):
    tokens = {rank: token for token, rank in ranks.items()}
    return b"".join(tokens[i] for i in ids).decode()


@given(st.one_of(MIXED, st.text()))
def test_bpe_gives_a_text_back(ranks, text):
    assert bpe_decode(bpe_encode(text, ranks), ranks) == text


@given(st.one_of(MIXED, st.text(st.characters(exclude_categories=["Cs", "Cc"]))))
def test_our_ids_are_those_of_tiktoken(ranks, text):
    assert bpe_encode(text, ranks) == to_tiktoken(ranks).encode(text)


@given(st.text("abc春", max_size=60), st.text("abc春", max_size=40))
def test_our_ids_are_those_of_tiktoken_for_any_ranks(training, text):
    ranks = train_bpe(training, n_merges=12)
    assert bpe_encode(text, ranks) == to_tiktoken(ranks).encode(text)


@given(st.text("ab", max_size=60), st.integers(0, 20))
def test_ranks_are_distinct_and_without_gaps(text, n_merges):
    ranks = train_bpe(text, n_merges)
    assert sorted(ranks.values()) == list(range(len(ranks)))
    assert 256 <= len(ranks) <= 256 + n_merges


@given(st.text("ab春", max_size=40))
def test_every_token_is_two_earlier_ones(text):
    ranks = train_bpe(text, n_merges=15)
    for token, rank in list(ranks.items())[256:]:
        assert any(
            ranks.get(token[:cut], rank) < rank and ranks.get(token[cut:], rank) < rank
            for cut in range(1, len(token))
        )


def test_the_pair_learned_first_is_merged_first_wherever_it_stands():
    ranks = train_bpe("bc bc bc ab ab", n_merges=2)
    assert bpe_encode("abc", ranks) == [ord("a"), ranks[b"bc"]]


def test_the_commonest_pair_is_merged_first(ranks):
    assert list(train_bpe("abab cab", 1))[256] == b"ab"
    assert "春".encode() in ranks


def test_training_ends_when_no_pair_occurs_twice():
    assert len(train_bpe("abcdef", n_merges=100)) == 256
    assert len(train_bpe("", n_merges=100)) == 256
    assert list(train_bpe("ab ab", n_merges=100))[256:] == [b"ab"]


def test_merges_stay_inside_a_line():
    ranks = train_bpe("春。春。春。春。", n_merges=50)
    assert {token.decode(errors="ignore") for token in list(ranks)[256:]} <= {"春", "。", ""}


def test_merging_makes_a_text_shorter(ranks):
    assert len(bpe_encode(TRAINING, ranks)) < len(TRAINING.encode()) / 2


def test_ranks_learned_fast_serve_ours_and_tiktoken():
    ranks = train_bpe_fast([TRAINING] * 3, vocab_size=290)
    assert sorted(ranks.values()) == list(range(290))
    ids = bpe_encode(TRAINING, ranks)
    assert ids == to_tiktoken(ranks).encode(TRAINING)
    assert bpe_decode(ids, ranks) == TRAINING
    assert len(ids) < len(TRAINING.encode()) / 2


@pytest.mark.parametrize("separator", ["\x1c", "\x1f", "\x85", "\u3000", "\u200b"])
def test_ours_and_rust_agree_on_what_is_a_space(separator):
    text = f"ab{separator}ab"
    ranks = train_bpe_fast([text] * 5, vocab_size=270)
    assert bpe_encode(text, ranks) == to_tiktoken(ranks).encode(text)
