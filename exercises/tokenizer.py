"""Chapter 01 · your answers.

Check them: nanopoet check tokenizer. Try them: the lines after >>> are examples, which
`python -m doctest exercises/tokenizer.py` runs; print() shows what you want to see.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nanopoet_ref.poem import Poem
    from nanopoet_ref.tokenizer import CharTokenizer

UNK, PAD, BOS, END = "<|unk|>", "<|pad|>", "<|bos|>", "<|end|>"
SPECIAL_TOKENS = (UNK, PAD, BOS, "<|author|>", "<|form|>", "<|title|>", "<|content|>", END)

# A chunk is a run without 。 ， spaces and line breaks, or a single one of those.
SPLIT_PATTERN = r"[^ \n，。]+|[ \n，。]"


def count_characters(text: str) -> dict[str, int]:
    """How often each character (字符) of a text occurs.

    A character is what `for c in text` gives. Stops, spaces and line breaks are characters, too;
    "a" and "A" are two. Characters that do not occur are not in the dictionary.

    >>> count_characters("山山水") == {"山": 2, "水": 1}
    True
    """
    # TODO: your code
    raise NotImplementedError("tokenizer.count_characters")


def build_vocab(texts: Iterable[str], min_count: int = 1) -> list[str]:
    """The vocabulary (词表): SPECIAL_TOKENS, then every character seen `min_count` times or more.

    Counts are summed over all texts. The commonest character comes first; characters of equal
    count stand in Unicode order, which is how Python compares them. `texts` may be a generator,
    which can be read only once. It may be empty, and so may each text.

    >>> build_vocab(["山山水", "水山火"], min_count=2)[len(SPECIAL_TOKENS):]
    ['山', '水']
    """
    # TODO: your code
    raise NotImplementedError("tokenizer.build_vocab")


def encode(text: str, stoi: dict[str, int], unk: int) -> list[int]:
    """Encode (编码) a text: one id per character, `unk` for a character that `stoi` does not have.

    `stoi` means "string to id". It may also have keys of several characters, such as "<|bos|>". No
    text can produce those: characters are looked up one by one, and "<|bos|>" in a text is seven
    characters. `unk` can be any id. `stoi` must not change.

    It must be usable on ten million characters: one pass over the text. The effort for one
    character must depend neither on the length of the text nor on the size of `stoi`.

    >>> encode("春雨雪", {"<|unk|>": 0, "春": 1, "雨": 2}, unk=0)
    [1, 2, 0]
    """
    # TODO: your code
    raise NotImplementedError("tokenizer.encode")


def decode(ids: Iterable[int], vocab: Sequence[str]) -> str:
    """Decode (解码) ids: the tokens vocab[i], joined, with nothing between them.

    `ids` is a list, a NumPy array or a generator, which can be read only once. Of no ids the text
    is "". Special tokens appear by name. An id outside 0 … len(vocab) - 1, negative or too large,
    raises ValueError.

    >>> decode([2, 3, 3], ["<|unk|>", "<|pad|>", "<|bos|>", "春"])
    '<|bos|>春春'
    """
    # TODO: your code
    raise NotImplementedError("tokenizer.decode")


def vocabulary_costs() -> dict[str, float]:
    """What a vocabulary costs in parameters. Work it out on paper before you compute anything.

    A model has an embedding (嵌入), V × C numbers, and a head: V × C numbers and one offset for
    each of the V tokens. The rest of its parameters are in its layers. Return a dictionary:

    - "tables": parameters of embedding and head together for V = 11,868 and C = 256;
    - "layers": what is left for the layers, if the model has 12,466,268 parameters;
    - "share": the share of embedding and head in this model;
    - "large_tables": parameters of embedding and head together for V = 100,000 and C = 256;
    - "large_share": the share of these in a model with the same layers as before;
    - "tied_share": in another model C = 80, V = 100,000, and six layers have 460,800 parameters.
      Embedding and head share one matrix, V × C, without offsets. The share of this matrix;
    - "equal": for how many tokens that shared matrix is exactly as large as those six layers.

    Shares lie between 0 and 1, three decimals are enough. The other numbers must be exact.

    >>> len(vocabulary_costs())
    7
    """
    # TODO: your code
    raise NotImplementedError("tokenizer.vocabulary_costs")


def assign_ids(markers: Sequence[str], text: str) -> tuple[dict[str, int], dict[str, int]]:
    """Ids for the markers of a frame and for the characters of a text: `(marker_id, char_id)`.

    `marker_id` gives the markers 0, 1, 2, … in their order; they are strings, all different.
    `char_id` has each character of `text` once, and no other key: in Unicode order, they get the
    ids from len(markers) on. All these ids must be different. Any text must be accepted.

    The symptom. A tutorial marks the author with the letters A and a. All went well for 250,000
    Chinese poems. Then came a poem by Alan. The log says: 2 markers, 4 different characters, but
    only 4 ids in use. The row begins with the A of Alan, and nothing trains id 0 any more.

    >>> assign_ids(["A", "a"], "月山")
    ({'A': 0, 'a': 1}, {'山': 2, '月': 3})
    """
    tokens = [*markers, *sorted(set(text))]
    id_of = {token: i for i, token in enumerate(tokens)}
    marker_id = {marker: id_of[marker] for marker in markers}
    char_id = {c: id_of[c] for c in sorted(set(text))}
    return marker_id, char_id


def render_poem(tokenizer: "CharTokenizer", poem: "Poem") -> list[int]:
    """Frame a poem: `<|bos|> <|author|> … <|form|> … <|title|> … <|content|> … <|end|>`.

    In place of each … stand the ids of that field: poem.author, poem.form, poem.title or
    poem.content, each a string. `tokenizer.encode(text)` gives the ids of a text, as a list or as a
    NumPy array. `tokenizer.special` is a dictionary from the name of a special token (特殊词元) to
    its id; these ids can be any. The marker of an empty field stays.

    Returns a list of plain ints (no NumPy integers). The training program calls it for every poem.

    >>> from types import SimpleNamespace as Toy
    >>> special = {token: i for i, token in enumerate(SPECIAL_TOKENS)}
    >>> tokenizer = Toy(special=special, encode=lambda text: [ord(c) for c in text])
    >>> render_poem(tokenizer, Toy(author="a", form="b", title="c", content="de"))
    [2, 3, 97, 4, 98, 5, 99, 6, 100, 101, 7]
    """
    # TODO: your code
    raise NotImplementedError("tokenizer.render_poem")


def loses_text(
    encode: Callable[[str], Sequence[int]],
    decode: Callable[[Sequence[int]], str],
    vocab: Sequence[str],
) -> bool:
    """Write a test: True if this tokenizer has a bug, False if it is right.

    `vocab` has the SPECIAL_TOKENS first (ids 0 … 7), then single characters; all characters that
    the names of special tokens are spelled with are among them. `encode(text)` gives ids, as a list
    or as a NumPy array; `decode` takes what `encode` gives. The tokenizer is right if for *every*
    text of characters of `vocab`

    - `decode(encode(text))` is the same text again, and
    - no id in `encode(text)` is that of a special token.

    You cannot try every text. But a bug may touch a single character, or doubled characters only,
    or one end of a text, or one special token, alone or inside a text; or a text that is empty, or
    has two thousand characters. None of the tokenizers raises an error for such texts.

    >>> vocab = [*SPECIAL_TOKENS, *sorted(set("".join(SPECIAL_TOKENS)))]
    >>> right = lambda text: [vocab.index(c) for c in text]
    >>> back = lambda ids: "".join(vocab[i] for i in ids)
    >>> loses_text(right, back, vocab), loses_text(lambda text: right(text)[:5], back, vocab)
    (False, True)
    """
    # TODO: your code
    raise NotImplementedError("tokenizer.loses_text")


def count_pairs(chunks: dict[tuple[int, ...], int]) -> dict[tuple[int, int], int]:
    """How often each pair of neighbours occurs in some chunks.

    `chunks` gives for each chunk, a tuple of ids, how often the text contains it (1 or more). A
    chunk can have any length, also 0 or 1. Each place where two ids stand side by side counts:
    (1, 1, 1) has the pair (1, 1) twice. The last id of a chunk is no neighbour of the next chunk.
    Returns a dictionary with the pairs that occur; a Counter is one, too.

    >>> count_pairs({(1, 2, 1, 2): 3}) == {(1, 2): 6, (2, 1): 3}
    True
    """
    # TODO: your code
    raise NotImplementedError("tokenizer.count_pairs")


def merge(ids: Sequence[int], pair: tuple[int, int], new_id: int) -> tuple[int, ...]:
    """Replace every occurrence of `pair` in `ids`, from left to right, by `new_id`.

    An id that has been replaced is gone: it cannot be part of another pair. `ids` is a tuple or a
    list of any length, also empty; it must not change. `new_id` does not occur in it yet. Returns
    a tuple, because `train_bpe` uses chunks as keys of a dictionary.

    >>> merge((1, 1, 1, 2), (1, 1), 9)
    (9, 1, 2)
    """
    # TODO: your code
    raise NotImplementedError("tokenizer.merge")


def train_bpe(text: str, n_merges: int) -> dict[bytes, int]:
    """Byte-pair encoding (字节对编码): learn up to `n_merges` merges from a text.

    Cut the text with `re.findall(SPLIT_PATTERN, text)` and write each chunk as its UTF-8 bytes: ids
    0 … 255. Count equal chunks together. No merge crosses a cut. Then, round after round, take the
    pair of neighbours that is commonest in the whole text, and replace it everywhere by a new id:
    256, 257, … Of equally common pairs take the one with the smaller first id, then the smaller
    second id. Stop after `n_merges` rounds, or earlier if no pair occurs twice.

    Returns the ranks: a dictionary from the bytes of a token to its id. It has the 256 single bytes
    and one token for each merge. You may call `count_pairs` and `merge`.

    >>> ranks = train_bpe("abcab ab", n_merges=5)
    >>> [(token, rank) for token, rank in ranks.items() if rank > 255]
    [(b'ab', 256)]
    """
    # TODO: your code
    raise NotImplementedError("tokenizer.train_bpe")


def bpe_encode(text: str, ranks: dict[bytes, int]) -> list[int]:
    """Encode a text with the ranks that `train_bpe` learned.

    Cut the text with `re.findall(SPLIT_PATTERN, text)`, and write each chunk as single bytes.
    Inside a chunk, look at all neighbours whose joined bytes are a key of `ranks`. Join the two of
    lowest rank; if there are several such places, the leftmost. Repeat until no neighbours can be
    joined. The ids are the ranks of what is left, chunk after chunk.

    `ranks` has all 256 single bytes, so every text can be encoded. Its keys stand in any order. It
    may also be made by hand: a long key counts only if the joins lead to it.

    >>> ranks = {bytes([i]): i for i in range(256)} | {b"bc": 256, b"ab": 257}
    >>> bpe_encode("abcab", ranks)
    [97, 256, 257]
    """
    # TODO: your code
    raise NotImplementedError("tokenizer.bpe_encode")
