"""Chapter 01 · Tokenizer (分词器): from text to integers and back, without losing a poem.

Two ways to cut text. Characters: one id for each character seen often enough (`build_vocab`,
`CharTokenizer`). Byte-pair encoding: start from 256 bytes, merge the commonest neighbours
(`train_bpe`, `bpe_encode`); the same merges run inside tiktoken (`to_tiktoken`).

Special tokens are atoms: they have an id, but no spelling that a text could contain.

Sources: Sennrich et al. 2016 (byte-pair encoding of words); Radford et al. 2019 (on bytes).
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import tiktoken
from numpy.typing import NDArray

from nanopoet_ref.files import replacing
from nanopoet_ref.poem import FIELDS, Poem, fields_of

UNK, PAD, BOS, END = "<|unk|>", "<|pad|>", "<|bos|>", "<|end|>"
SPECIAL_TOKENS = (UNK, PAD, BOS, *(f"<|{field}|>" for field in FIELDS), END)
SPECIAL = re.compile(r"<\|\w+\|>")  # their spelling; a text is read character by character

Ids = NDArray[np.uint16]  # 65,536 ids are enough for every character of the corpus
PIECE = 2**17  # characters encoded at a time: few enough to stay in the cache, 3 times faster


def code_points(text: str) -> NDArray[np.uint32]:
    """The Unicode numbers of a text, one for each character.

    >>> code_points("春天").tolist() == [ord("春"), ord("天")]
    True
    """
    # NumPy keeps text as these numbers; of an empty text it makes one character, hence the cut.
    return np.array([text]).view(np.uint32)[: len(text)]


def build_vocab(texts: Iterable[str], min_count: int = 1) -> list[str]:
    """The vocabulary: special tokens, then every character seen `min_count` times or more.

    Commonest first, so an id is also a rank; characters of equal count stand in Unicode order.

    >>> build_vocab(["山山水", "水山火"], min_count=2)[len(SPECIAL_TOKENS):]
    ['山', '水']
    """
    counts = np.bincount(code_points("".join(texts)), minlength=1)
    kept = np.flatnonzero(counts >= max(min_count, 1))
    kept = kept[np.argsort(-counts[kept], kind="stable")]
    return [*SPECIAL_TOKENS, *map(chr, kept.tolist())]


class CharTokenizer:
    """One id for each character of a fixed vocabulary; anything else becomes `<|unk|>`.

    Encoding looks all characters up in one table at once, so the whole corpus takes a blink.

    >>> tokenizer = CharTokenizer(build_vocab(["春风春雨"]))
    >>> tokenizer.decode(tokenizer.encode("春雨雪"))
    '春雨<|unk|>'
    """

    def __init__(self, vocab: Sequence[str]) -> None:
        if tuple(vocab[: len(SPECIAL_TOKENS)]) != SPECIAL_TOKENS:
            raise ValueError(f"a vocabulary begins with {SPECIAL_TOKENS}, not {vocab[:3]}")
        # Whatever has a special token's spelling is one, wherever it stands: chapter 08 adds some.
        self.special = {token: i for i, token in enumerate(vocab) if SPECIAL.fullmatch(token)}
        characters = [token for token in vocab if token not in self.special]
        odd = [c for c in characters if len(c) != 1]
        odd += [token for token, count in Counter(vocab).items() if count > 1]
        if odd:
            raise ValueError(f"characters must be single and distinct; odd ones: {odd[:5]}")
        if len(vocab) > 2**16:
            raise ValueError(f"{len(vocab)} tokens do not fit 16 bits: raise min_count")
        self.vocab = list(vocab)
        ids = [i for i, token in enumerate(vocab) if token not in self.special]
        self._id_of = np.full(0x110000, self.special[UNK], dtype=np.uint16)  # one per code point
        self._id_of[code_points("".join(characters))] = ids
        self._token_of = np.array(self.vocab, dtype=object)

    def __len__(self) -> int:
        return len(self.vocab)

    def encode(self, text: str) -> Ids:
        """Ids of a text, one per character. No text can produce a special token but `<|unk|>`."""
        ids = np.empty(len(text), dtype=np.uint16)
        for start in range(0, len(text), PIECE):
            piece = slice(start, start + PIECE)
            # No code is out of range; "clip" only lets NumPy write straight into `ids`.
            self._id_of.take(code_points(text[piece]), out=ids[piece], mode="clip")
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; special tokens appear by name."""
        tokens = np.array(list(ids), dtype=np.int64)
        if len(tokens) and not 0 <= tokens.min() <= tokens.max() < len(self.vocab):
            raise ValueError(
                f"ids go from 0 to {len(self) - 1}; got {tokens.min()}, {tokens.max()}"
            )
        return "".join(self._token_of[tokens])

    @cached_property
    def hash(self) -> str:
        """A fingerprint of the vocabulary: equal sizes do not mean equal meanings."""
        return hashlib.sha256(json.dumps(self.vocab).encode()).hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write the vocabulary and its hash as JSON."""
        content = {"kind": "characters", "hash": self.hash, "vocab": self.vocab}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "CharTokenizer":
        """Read a saved vocabulary; a file that was changed by hand is refused."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            tokenizer = cls(content["vocab"])
            if tokenizer.hash != content["hash"]:
                raise ValueError("the vocabulary does not match its hash")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a saved vocabulary: {error}") from error
        return tokenizer


# --- A poem as one row of ids -----------------------------------------------------------------


def render_poems(tokenizer: CharTokenizer, poems: Sequence[Poem]) -> tuple[Ids, NDArray[np.int64]]:
    """Frame all poems: `<|bos|> <|author|> … <|form|> … <|title|> … <|content|> … <|end|>`.

    Returns all ids in one array, and where each poem begins (one more number than poems). Text is
    encoded in one go and the markers are laid between, which is what makes it fast.
    """
    texts = [text for poem in poems for text in fields_of(poem)]
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)).reshape(-1, 4)
    # Before each field stands its marker; <|bos|> before the first, <|end|> after the last.
    sizes = lengths + 1 + np.array([1, 0, 0, 1])
    ends = sizes.cumsum().reshape(-1, 4)
    starts = ends - sizes
    ids = np.zeros(int(sizes.sum()), dtype=np.uint16)
    is_text = np.ones(len(ids), dtype=bool)
    for positions, marker in [
        (starts[:, 0], BOS),
        (starts[:, 0] + 1, "<|author|>"),
        (starts[:, 1], "<|form|>"),
        (starts[:, 2], "<|title|>"),
        (starts[:, 3], "<|content|>"),
        (ends[:, 3] - 1, END),
    ]:
        ids[positions] = tokenizer.special[marker]
        is_text[positions] = False
    ids[is_text] = tokenizer.encode("".join(texts))
    return ids, np.append(starts[:, 0], len(ids))


def render_poem(tokenizer: CharTokenizer, poem: Poem) -> Ids:
    """One poem, framed.

    >>> poem = Poem("李白", "五言绝句", "静夜思", "床前")
    >>> tokenizer = CharTokenizer(build_vocab([poem.author, poem.form, poem.title, poem.content]))
    >>> tokenizer.decode(render_poem(tokenizer, poem))
    '<|bos|><|author|>李白<|form|>五言绝句<|title|>静夜思<|content|>床前<|end|>'
    """
    return render_poems(tokenizer, [poem])[0]


def render_prompt(tokenizer: CharTokenizer, author: str, form: str, title: str) -> Ids:
    """The beginning of a framed poem, up to `<|content|>`: the model writes on from here."""
    return render_poem(tokenizer, Poem(author, form, title, ""))[:-1]


def parse_poem(tokenizer: CharTokenizer, ids: Iterable[int]) -> Poem:
    """The poem in a framed row: what `render_poem` put in, or what a model wrote.

    A field that is missing is empty.

    >>> poem = Poem("李白", "五言绝句", "静夜思", "床前")
    >>> tokenizer = CharTokenizer(build_vocab([poem.author, poem.form, poem.title, poem.content]))
    >>> parse_poem(tokenizer, render_poem(tokenizer, poem)) == poem
    True
    """
    found: dict[str, list[int]] = {field: [] for field in FIELDS}
    field_of = {tokenizer.special[f"<|{field}|>"]: field for field in FIELDS}
    field = None
    for token in map(int, ids):
        if token in field_of:
            field = field_of[token]
        elif field and (token >= len(SPECIAL_TOKENS) or token == tokenizer.special[UNK]):
            found[field].append(token)
    return Poem(**{field: tokenizer.decode(tokens) for field, tokens in found.items()})


# --- Byte-pair encoding -----------------------------------------------------------------------

# Merges stay inside a line of verse: text is first cut into runs without stops or spaces. (\s would
# be shorter, but Python and Rust differ on what it means.)
SPLIT_PATTERN = r"[^ \n，。]+|[ \n，。]"


def count_pairs(chunks: dict[tuple[int, ...], int]) -> Counter[tuple[int, int]]:
    """How often each pair of neighbours occurs, over chunks with their counts.

    >>> count_pairs({(1, 2, 1, 2): 3})
    Counter({(1, 2): 6, (2, 1): 3})
    """
    pairs: Counter[tuple[int, int]] = Counter()
    for chunk, count in chunks.items():
        for pair in pairwise(chunk):
            pairs[pair] += count
    return pairs


def merge(ids: Sequence[int], pair: tuple[int, int], new_id: int) -> tuple[int, ...]:
    """Replace every occurrence of `pair`, from left to right, by `new_id`.

    >>> merge([1, 1, 1, 2], (1, 1), 9)
    (9, 1, 2)
    """
    out: list[int] = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return tuple(out)


def train_bpe(text: str, n_merges: int) -> dict[bytes, int]:
    """Learn `n_merges` merges; returns the ranks: token bytes → id, 256 bytes first.

    Each round merges the commonest pair (of equally common ones, that of the smallest ids). It
    ends early when no pair occurs twice.

    >>> ranks = train_bpe("春春春", n_merges=2)
    >>> max(ranks, key=ranks.get).decode()
    '春'
    """
    # Each different chunk is kept once, with its count: merges then cost as much as there are
    # different chunks, not as much as there is text.
    counts = Counter(re.findall(SPLIT_PATTERN, text))
    chunks = {tuple(chunk.encode()): count for chunk, count in counts.items()}
    token_of = [bytes([i]) for i in range(256)]
    for _ in range(n_merges):
        pairs = count_pairs(chunks)
        if not pairs:
            break
        # The commonest; of equally common ones a fixed one, so that everybody learns the same.
        pair = min(pairs, key=lambda p: (-pairs[p], p))
        # What occurs once is no regularity: a token for it would save nothing.
        if pairs[pair] < 2:
            break
        # The new token takes the next free id, and its pair's place in every chunk.
        chunks = {merge(chunk, pair, len(token_of)): count for chunk, count in chunks.items()}
        token_of.append(token_of[pair[0]] + token_of[pair[1]])
    return {token: rank for rank, token in enumerate(token_of)}


def bpe_encode(text: str, ranks: dict[bytes, int]) -> list[int]:
    """Encode a text: in each chunk, merge the pair of lowest rank until no pair has a rank.

    >>> bpe_encode("春春", train_bpe("春春春", n_merges=2))
    [257, 257]
    """
    ids: list[int] = []
    for chunk in re.findall(SPLIT_PATTERN, text):
        parts = [bytes([byte]) for byte in chunk.encode()]
        while len(parts) > 1:
            joined = [a + b for a, b in pairwise(parts)]
            # Lowest rank first: merges are made in the order in which they were learned, for later
            # ones were learned on their results.
            i = min(range(len(joined)), key=lambda i: ranks.get(joined[i], len(ranks)))
            # Even the best is no token: nothing is left to merge.
            if joined[i] not in ranks:
                break
            parts[i : i + 2] = [joined[i]]
        ids.extend(ranks[part] for part in parts)
    return ids


def to_tiktoken(ranks: dict[bytes, int], name: str = "nanopoet") -> tiktoken.Encoding:
    """The same ranks in tiktoken: equal ids, at the speed of Rust.

    >>> to_tiktoken(train_bpe("春春春", n_merges=2)).encode("春春")
    [257, 257]
    """
    return tiktoken.Encoding(
        name=name, pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens={}
    )


def train_bpe_fast(texts: Iterable[str], vocab_size: int) -> dict[bytes, int]:
    """Ranks for a large corpus, learned by the rustbpe library instead of `train_bpe`."""
    import rustbpe

    trainer = rustbpe.Tokenizer()
    trainer.train_from_iterator(texts, vocab_size, pattern=SPLIT_PATTERN)
    return {bytes(token): rank for token, rank in trainer.get_mergeable_ranks()}
