"""Checks of chapter 01."""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from torch import Tensor, nn

from nanopoet.checker.difference import Difference
from nanopoet.checker.trial import Answer, Trial, check
from nanopoet_ref import tokenizer as reference
from nanopoet_ref.poem import Poem, fields_of
from nanopoet_ref.tokenizer import SPECIAL_TOKENS

SIGNS = "山水月春风，。\n aAb𠮷"  # Han, stops, white space, letters, one beyond 16 bits
TEXT = st.text(SIGNS, max_size=12)


LISTS = "a list is asked for: lists are joined with +, arrays and tensors are added up"


def shuffled(t: Trial, items: Sequence) -> list:
    return t.random.sample(list(items), len(items))


def row_type(result: Any) -> str:
    """What a result is; a tuple may stand for a list."""
    if isinstance(result, np.ndarray | Tensor):
        return "array or tensor"
    return "list" if isinstance(result, tuple) else type(result).__name__


def many_characters(t: Trial, n: int = 12_000) -> list[str]:
    """As many different characters as a real vocabulary has, in any order."""
    return shuffled(t, [chr(0x4E00 + i) for i in range(n)])


# --- Characters -------------------------------------------------------------------------------


def slow_count(text: str) -> dict[str, int]:
    return {c: text.count(c) for c in dict.fromkeys(text)}


@check("tokenizer.count_characters", reference=slow_count)
def count_characters(t: Trial) -> None:
    every = "each place in the text adds one to the count of its character"
    t.same("山山水", why=every, name="the count")
    t.same("水山水山山", why="equal characters need not be neighbours", name="the count")
    t.same(
        "春风，春雨。\n 春", why="stops, spaces and line breaks are characters", name="the count"
    )
    t.same("Aa é𠮷", why="a character is what `for c in text` gives, unchanged", name="the count")
    t.same("AaBb，a", why="a capital is another character", name="the count")
    t.same("\n春 \n", why="white space at the ends is text, too", name="the count")
    t.same("", why="a text without characters has nothing to count", name="the count")

    @t.for_all(text=st.text(SIGNS, max_size=20), examples=15)
    def any_text(text: str) -> None:
        t.same(text, why=every, name="the count")


@check("tokenizer.count_characters")
def thousands_of_different_characters(t: Trial) -> None:
    text = "".join(many_characters(t) + t.random.choices(SIGNS, k=3000))
    t.same(text, why="a corpus has thousands of different characters", name="the count")


@check("tokenizer.build_vocab", reference=reference.build_vocab)
def build_vocab(t: Trial) -> None:
    def equal(texts: Sequence[str], *min_count: int, why: str, one_shot: bool = False) -> None:
        def part(where: slice) -> Callable[[Callable], Any]:
            def use(build: Callable) -> Any:
                vocab = build((text for text in texts) if one_shot else list(texts), *min_count)
                return vocab[where] if isinstance(vocab, list | tuple | np.ndarray) else vocab

            return use

        first = len(SPECIAL_TOKENS)
        special = "a vocabulary begins with the special tokens, so that their ids never change"
        t.compare(part(slice(first)), special, name="the beginning of the vocabulary")
        t.compare(part(slice(first, None)), why, name="the vocabulary after the special tokens")

    common = "the commonest character comes first, after the special tokens"
    tie = "characters of equal count stand in Unicode order, so that two runs give one vocabulary"
    equal(["火水山山", "水山"], why=common)
    equal(["风风", "春春", "月"], why=tie)
    equal(["山山水", "水山火"], 2, why="a character seen exactly min_count times stays")
    equal(["山水火", "山水", "山"], 2, why="counts are summed over all texts", one_shot=True)
    equal(["月月月", "春风", "风，"], 2, why="each occurrence counts, not each text")
    equal(["水 山 ", "\n。\n"], why="white space and stops are characters of a poem", one_shot=True)
    equal(["水，水", "。水。，"], why="white space and stops are characters of a poem")
    equal(["aA", "a"], why="a capital is another character")
    equal(["<|end|>", "<|bos|>"], why="the spelling of a special token is ordinary characters")
    equal([], why="without texts the special tokens are left")
    equal(["", ""], 3, why="without characters the special tokens are left")

    @t.for_all(texts=st.lists(TEXT, max_size=5), min_count=st.integers(1, 4), examples=20)
    def any_texts(texts: list[str], min_count: int) -> None:
        equal(texts, min_count, why=tie, one_shot=True)


@check("tokenizer.build_vocab")
def many_thousand_characters(t: Trial) -> None:
    poems = ["".join(t.random.sample(many_characters(t), 6000)) for _ in range(3)]
    why = "a real vocabulary has about 12,000 characters"
    t.same(poems, why=why, name="the vocabulary")
    t.same(poems, 2, why=why, name="the vocabulary")


def slow_encode(text: str, stoi: dict[str, int], unk: int) -> list[int]:
    ids = defaultdict(lambda: unk, stoi)
    return [ids[c] for c in text]


def cpu_seconds(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def seconds_of(encode: Answer, text: str, table: dict[str, int]) -> float:
    return cpu_seconds(lambda: encode(text, dict(table), 0))


@check("tokenizer.encode", reference=slow_encode)
def encode(t: Trial) -> None:
    stoi = {"<|unk|>": 0, "春": 1, "雨": 2, "风": 3}
    single = "each character is looked up by itself; only a key of one character can be found"
    t.same("春雨春", stoi, 0, why="each character becomes its id, in order", name="the list of ids")
    unknown = "an unknown character becomes the id unk, so that later ones keep their place"
    t.same("雪春雪", stoi, 0, why=unknown, name="the list of ids")
    t.same(
        "雪风",
        stoi,
        9,
        why="the id of unknown characters is the argument unk",
        name="the list of ids",
    )
    zero = {"山": 0, "水": 1, "<|unk|>": 7}
    t.same("山火水", zero, 7, why="0 is an id like any other", name="the list of ids")
    spelled = {token: i for i, token in enumerate([*SPECIAL_TOKENS, *"<|>bosend春", "明月"])}
    t.same("春<|bos|>", spelled, 0, why=single, name="the list of ids")
    t.same("<|end|>明月<|unk|>", spelled, 0, why=single, name="the list of ids")
    t.same(" 春\n雨 ", stoi | {" ": 5}, 0, why="white space is text, too", name="the list of ids")
    t.same("aAb", {"a": 1, "A": 2}, 0, why="a capital is another character", name="the list of ids")
    t.same("<|bos|>", spelled, 0, why=single, name="the list of ids")
    t.same("明月", spelled, 0, why=single, name="the list of ids")
    t.same("", stoi, 0, why="no characters, no ids", name="the list of ids")
    t.compare(lambda f: row_type(f("春雨", stoi, 0)), LISTS, name="the type of the result")


@check("tokenizer.encode")
def texts_and_tables_of_any_kind(t: Trial) -> None:
    numbers = st.permutations(range(len(SIGNS)))

    @t.for_all(text=TEXT, ids=numbers, known=st.integers(0, 9), unk=st.integers(0, 99), examples=15)
    def any_table(text: str, ids: list[int], known: int, unk: int) -> None:
        stoi = dict(zip(SIGNS[:known], ids, strict=False))
        unknown = "an unknown character becomes the id unk, so that later ones keep their place"
        t.same(text, stoi, unk, why=unknown, name="the list of ids")


@check("tokenizer.encode")
def time_for_long_texts_and_large_tables(t: Trial) -> None:
    def in_time(lengths: Sequence[int], size: int, symptom: str, why: str) -> None:
        table = {chr(0x20000 + i): i for i in range(size)}
        fast = True
        for n in lengths:
            text = "".join(t.random.choices(list(table), k=1000)) * (n // 1000)
            allowed = 0.02 + 40 * cpu_seconds(lambda s=text: slow_encode(s, table, 0))
            times = (t.ask(lambda f, s=text: seconds_of(f, s, table)) for _ in range(2))
            # The longer text is for those who pass the shorter one.
            fast = fast and any(seconds < allowed for seconds in times)
        t.require(fast, symptom, why, f"less than {allowed:.2f} seconds", "more")

    in_time(
        *((16_000, 128_000), 9),
        symptom="128,000 characters take far too long",
        why="the corpus has 14 million: the effort for one must not grow with the text",
    )
    in_time(
        *((2000,), 8000),
        symptom="a vocabulary of 8,000 makes encoding far too slow",
        why="a dictionary finds a key without going through all others",
    )


def slow_decode(ids: Any, vocab: Sequence[str]) -> str:
    ids = [int(i) for i in ids]
    if not set(ids) <= set(range(len(vocab))):
        raise ValueError("no such id")
    return "".join(vocab[i] for i in ids)


@check("tokenizer.decode", reference=slow_decode)
def decode(t: Trial) -> None:
    vocab = ["<|unk|>", "<|pad|>", "<|bos|>", "春", "风", "，", " "]
    n = len(vocab)
    t.same([3, 4, 5, 3], vocab, why="the tokens are joined as they are", name="the text")
    names = "a special token appears by name, so that you see what a model wrote"
    t.same([2, 3, 0, n - 1, 1], vocab, why=names, name="the text")
    t.same([], vocab, why="no ids, no text", name="the text")
    t.same([0], vocab, why="0 is the first id", name="the text")
    t.same([1, 0, 1, 2], ["春", "<|end|>", "<|pad|>"], why=names, name="the text")
    once = "a generator can be read only once: what was read is gone"
    t.compare(lambda f: f((i for i in (3, 4, 3)), vocab), once, name="the text of a generator")
    array = np.array([4, 3, 2, 6], dtype=np.uint16)
    for numpy_ids in (array, list(array)):
        t.same(numpy_ids, vocab, why="ids of the corpus come as NumPy arrays", name="the text")
    outside = "an id that no token has is an error of the caller; a wrong text would hide it"
    for wrong in ([n], [3, n, 4], [99], [3, 10_000]):
        t.refuses(wrong, vocab, why=outside)
    negative = "Python counts negative places from the end; here −1 is no token at all"
    for wrong in ([-1], [3, 4, -n], [-n - 1, 3]):
        t.refuses(wrong, vocab, why=negative)
    t.refuses(np.array([3, -2]), vocab, why=negative)
    t.refuses([0], [], why="an empty vocabulary has no id at all")

    @t.for_all(ids=st.lists(st.integers(0, n - 1), max_size=8), examples=10)
    def any_ids(ids: list[int]) -> None:
        t.same(ids, vocab, why="the tokens are joined as they are", name="the text")


@check("tokenizer.decode")
def a_large_vocabulary(t: Trial) -> None:
    vocab = [*SPECIAL_TOKENS, *many_characters(t)]
    ids = t.random.choices(range(len(vocab)), k=1000)
    t.same([*ids, len(vocab) - 1], vocab, why="a real vocabulary is as large", name="the text")
    t.refuses([3, len(vocab)], vocab, why="no token has the id len(vocab)")


# --- The frame --------------------------------------------------------------------------------


def framed(tokenizer: Any, poem: Poem) -> list[int]:
    return reference.render_poem(tokenizer, poem).tolist()


def toy(t: Trial, as_array: bool) -> SimpleNamespace:
    """A tokenizer with its special ids in any order; a character's id follows its code point."""
    special = dict(zip(shuffled(t, SPECIAL_TOKENS), t.random.sample(range(20), 8), strict=True))

    def encode(text: str) -> Any:
        ids = [100 + ord(c) % 50_000 for c in text]
        return np.array(ids, dtype=np.uint16) if as_array else ids

    return SimpleNamespace(special=special, encode=encode)


@check("tokenizer.render_poem", reference=framed)
def render_poem(t: Trial) -> None:
    li_bai = Poem("李白", "五言绝句", "静夜思", "床前看月光，疑是地上霜。")
    odd = Poem("Matt", "<|author|>", "致<|end|>", "<|bos|>。")
    empty = Poem("", "五言", "", "")
    space = Poem("李白 ", "五言", " 春", "月。\n")
    order = "a poem is framed as bos, author, form, title, content, end"
    plain = "a NumPy integer is not an int: it takes more room, and JSON refuses it"

    def equal(tokenizer: Any, poem: Poem, why: str) -> None:
        def types(render: Callable) -> str:
            return " and ".join(sorted({type(i).__name__ for i in render(tokenizer, poem)}))

        t.compare(lambda render: render(tokenizer, poem), why, name="the list of ids")
        t.compare(types, plain, name="the type of the ids")

    letters = toy(t, as_array=False)
    letters.special = {token: i for i, token in enumerate(SPECIAL_TOKENS)}
    letters.encode = lambda text: [ord(c) for c in text]
    equal(letters, Poem("a", "b", "c", "de"), order)
    for as_array in (False, True):
        tokenizer = toy(t, as_array)
        equal(tokenizer, li_bai, "the ids of the markers are those in tokenizer.special")
        equal(
            tokenizer, empty, "a field without text keeps its marker: the frame is always the same"
        )
        equal(tokenizer, odd, "text goes through encode, whatever it spells")
        equal(tokenizer, space, "white space is text, too")
    own = reference.CharTokenizer(reference.build_vocab([*fields_of(odd), "李白静夜思"]))
    equal(own, odd, "what a text spells is no marker")
    equal(own, li_bai, "unknown characters become <|unk|>, one each")


@check("tokenizer.render_poem")
def a_long_poem(t: Trial) -> None:
    content = "".join(many_characters(t)[:2000])
    poem = Poem("白居易", "七言古诗", "长恨歌", content)
    why = "a poem may be as long as it likes: where it is cut is for others to say"
    tokenizer = toy(t, as_array=False)
    t.compare(lambda render: render(tokenizer, poem), why, name="the list of ids")


# --- Byte-pair encoding -----------------------------------------------------------------------


@check("tokenizer.count_pairs", reference=reference.count_pairs)
def count_pairs(t: Trial) -> None:
    def equal(chunks: dict[tuple[int, ...], int], why: str) -> None:
        t.same(chunks, why=why, name="the count", rtol=0, atol=0)

    equal({(1, 2, 3): 1}, "each id and the next one are a pair")
    equal({(1, 2, 1, 2): 3}, "a chunk that occurs 3 times has each of its pairs 3 times as often")
    equal({(1, 1, 1): 1}, "pairs are counted at every place, also where they overlap")
    equal({(1, 2, 3): 2, (3, 1, 2): 5}, "a pair in two chunks is the sum over both")
    equal({(4, 5): 2, (5, 4): 3}, "(4, 5) and (5, 4) are two pairs: text has a direction")
    equal({(7,): 4, (): 2, (7, 8): 1}, "no pair reaches from one chunk into the next")
    equal({(300, 999, 300): 100_000, (300, 999): 1}, "counts are exact")
    equal({}, "without chunks there are no pairs")

    chunk = st.lists(st.integers(0, 3), max_size=6).map(tuple)

    @t.for_all(chunks=st.dictionaries(chunk, st.integers(1, 9), max_size=4), examples=20)
    def any_chunks(chunks: dict[tuple[int, ...], int]) -> None:
        equal(chunks, "each place where two ids stand side by side counts, once per chunk")


@check("tokenizer.count_pairs")
def long_chunks_of_large_ids(t: Trial) -> None:
    chunk = tuple(t.random.choices(range(12_000), k=300))
    why = "a chunk can have any length, and an id can be as large as a vocabulary"
    t.same({chunk: 3, chunk[:50]: 7}, why=why, name="the count", rtol=0, atol=0)


class Counted:
    """A row that says so when a loop reads it without end."""

    reads = 0

    def __getitem__(self, place: Any) -> Any:
        self.reads += 1
        if self.reads > 1000 + 50 * len(self):  # type: ignore[arg-type]
            why = "each turn of a loop must move on, by one id or by two"
            raise Difference("reads the same places of the row without end", why=why)
        return super().__getitem__(place)  # type: ignore[misc]


class CountedTuple(Counted, tuple):
    pass


class CountedList(Counted, list):
    pass


@check("tokenizer.merge", reference=reference.merge)
def merge(t: Trial) -> None:
    def equal(ids: Sequence[int], pair: tuple[int, int], why: str) -> None:
        row = (CountedList if isinstance(ids, list) else CountedTuple)(ids)
        t.same(row, pair, 999, why=why, name="the row of merged ids", rtol=0, atol=0)

    equal((1, 2, 3), (1, 2), "the pair becomes one id")
    equal((1, 2, 3, 1, 2), (1, 2), "every occurrence is merged, the last one included")
    equal((1, 3, 1, 2), (1, 2), "a first id without the second stays, and the search goes on")
    equal((2, 1, 1, 3, 2), (1, 2), "only the first id directly before the second makes the pair")
    left = "from left to right; an id that has been used is gone"
    equal((1, 1, 1, 2), (1, 1), left)
    equal((1, 1, 1, 1, 1), (1, 1), left)
    equal((1, 12, 2, 21, 2), (1, 2), "12 is one id, not a 1 and a 2")
    large = tuple(map(int, ("257", "300")))  # equal to the ids in the row, and other objects
    equal((300, 257, 300), large, "ids above 255 are merged like bytes")
    long = "a row can be as long as it likes"
    t.same(CountedTuple((3, 1, 2) * 700), (1, 2), 9, why=long, name="the row of merged ids")
    equal([5, 6, 5, 6], (5, 6), "the ids may be a list, which stays as it is")
    for short in ((), (1,), (1, 2), (1, 3)):
        equal(short, (1, 2), "a row can be as short as it likes")
    shape = "chunks are keys of a dictionary in train_bpe, and a list cannot be a key"
    t.compare(
        lambda f: type(f(CountedList([4, 1, 2]), (1, 2), 9)).__name__,
        shape,
        name="the type of the result",
    )

    @t.for_all(
        ids=st.lists(st.integers(0, 2), max_size=9).map(tuple),
        pair=st.tuples(st.integers(0, 2), st.integers(0, 2)),
        examples=25,
    )
    def any_ids(ids: tuple[int, ...], pair: tuple[int, int]) -> None:
        equal(ids, pair, left)


POEM = "床前看月光，疑是地上霜。\n举头望山月，低头思故乡。 山月山月"


BYTES = [bytes([i]) for i in range(256)]
TIE = "of equally common pairs, the one with the smaller ids is merged"


def learned(ranks: Any) -> Any:
    """The tokens behind the bytes, as text."""
    if not isinstance(ranks, Mapping):
        return ranks
    rows = [(str(rank), token) for token, rank in ranks.items() if token not in BYTES]
    return [f"{rank}: {token!r}" for rank, token in sorted(rows, key=lambda row: row[0])]


def same_merges(t: Trial, text: str, n_merges: int, why: str) -> None:
    t.compare(lambda f: learned(f(text, n_merges)), why, name="the list of merges")


@check("tokenizer.train_bpe", reference=reference.train_bpe)
def bytes_and_first_merges(t: Trial) -> None:
    equal = partial(same_merges, t)

    def bytes_of(ranks: Any) -> Any:
        return [str(ranks.get(b)) for b in BYTES] if isinstance(ranks, Mapping) else ranks

    every_byte = "ids 0 … 255 are the bytes: with them every text can be written"
    for text in ("abab", ""):
        t.compare(lambda f, s=text: bytes_of(f(s, 1)), every_byte, name="the list of byte ids")

    equal("abab", 1, "the commonest pair becomes token 256, after the 256 bytes")
    equal("zy zy zy zy xuxu", 1, "a chunk counts as often as it occurs in the text")
    equal("xyzxyxyz", 2, "the second merge works on what the first one left")
    stop = "a pair that occurs once is no regularity: training ends"
    equal("abc", 5, stop)
    equal("ab ab cd", 5, stop)
    equal("bcbc abab", 1, TIE)
    equal("baba abab", 1, TIE)
    equal("adad acac", 1, TIE)


@check("tokenizer.train_bpe")
def chunks_and_merges_of_many_texts(t: Trial) -> None:
    equal = partial(same_merges, t)
    equal("ab\nab\nab ab ab", 9, "spaces and line breaks are cuts: no merge crosses them")
    equal("月，月，月，月，", 9, "no merge crosses a cut, so a comma joins no character")
    equal("春春春", 2, "the text is cut into bytes: a Chinese character has three")
    equal("aaa bc bc", 1, "in aaa the pair aa stands at two places")
    equal("aaaa aaa", 9, "merge from left to right")
    equal("aaab aaab", 9, "merge from left to right")
    equal("，\n，\n，", 9, "each stop, space and line break is a chunk of its own")
    equal("ABAB abab ab", 2, "A and a are two bytes")
    equal("abab", 300, "n_merges counts merges; the 256 bytes are there before")
    equal("abab", 0, "no merges, no new tokens")
    for text in ("", "a", "a b", "，，"):
        equal(text, 4, "without pairs there is nothing to merge")
    equal(POEM, 30, TIE)

    @t.for_all(text=st.text("ab山 ，", max_size=40), n_merges=st.integers(1, 12), examples=12)
    def any_text(text: str, n_merges: int) -> None:
        equal(text, n_merges, TIE)


@check("tokenizer.train_bpe")
def a_long_text(t: Trial) -> None:
    text = "".join(t.random.choices(POEM, k=1000))
    same_merges(t, text, 40, "training goes on for as many rounds as it is asked for")


LOWEST = "of all neighbours that can be joined, those of lowest rank come first"
REPEAT = "what has been joined can be joined again"


def ranks_of(*tokens: str) -> dict[bytes, int]:
    """These tokens, in this order, behind the 256 bytes."""
    single = {byte: i for i, byte in enumerate(BYTES)}
    return single | {token.encode(): 256 + i for i, token in enumerate(tokens)}


def same_pieces(t: Trial, text: str, ranks: dict[bytes, int], why: str) -> None:
    def use(encode: Callable) -> Any:
        given = dict(ranks)
        ids = encode(text, given)
        return ids if given == ranks else "the ranks were changed"

    t.compare(use, why, name="the list of ids", rtol=0, atol=0)


@check("tokenizer.bpe_encode", reference=reference.bpe_encode)
def neighbours_joined_by_rank(t: Trial) -> None:
    equal, lowest, repeat = partial(same_pieces, t), LOWEST, REPEAT
    equal("abxab", ranks_of("ab"), "neighbours whose joined bytes have a rank become one token")
    equal("abc", ranks_of("bc", "ab"), lowest)
    equal("abcd", ranks_of("bc", "cd", "ab", "abc"), lowest)
    equal("abcd", ranks_of("cd", "bc", "ab"), lowest)
    equal("abcbc", ranks_of("ab", "bc"), lowest)
    equal("abcdef", ranks_of("de", "cd", "ef", "ab", "bc", "abc"), lowest)
    equal("abcd", ranks_of("ab", "cd", "abcd"), repeat)
    equal("abc", ranks_of("bc", "ab", "abcd", "bcd"), "only neighbours that stand there are joined")
    equal("aaa", ranks_of("aa"), "of equal pairs the leftmost is joined first")
    equal("aaaaa", ranks_of("aa", "aaaa"), "of equal pairs the leftmost is joined first")
    again = "look again after each join: what has been joined may be part of a lower rank"
    equal("abab", ranks_of("aba", "ab"), again)
    equal("abc", ranks_of("abc", "ab"), "join as long as any neighbours have a rank")
    equal("abcd", ranks_of("bcd", "bc", "ab"), "a longer token is no better than an early one")
    equal("abcd", ranks_of("abc", "abcd"), "a token is reached by joins, not by its spelling")


@check("tokenizer.bpe_encode")
def cuts_bytes_and_real_text(t: Trial) -> None:
    equal = partial(same_pieces, t)
    cut = "no token crosses a cut: a stop, a comma, a space or a line break"
    equal("a，a。a b\nb", ranks_of("，a", "a。", "a b", " b", "b\n", "a "), cut)
    equal("a \n\nb", ranks_of(" \n", "\n\n"), cut)
    comma = "，".encode()
    joined = {comma[:2]: 256, comma: 257, comma + b"a": 258, b"a" + comma: 259}
    equal("a，a", ranks_of() | joined, cut)
    equal("春cat😀\t", ranks_of(), "every text is bytes, and every byte has an id")
    equal("山", ranks_of("山"), "a character begins as its bytes, and these join first")
    equal("", ranks_of("ab"), "no text, no ids")
    t.compare(lambda f: row_type(f("ab", ranks_of("ab"))), LISTS, name="the type of the result")
    learned = reference.train_bpe(POEM * 2 + "望月望月，光霜光霜", 60)
    mixed = dict(shuffled(t, list(learned.items())))
    place = "the rank is the number in `ranks`, not the place in it"
    equal("abc", dict(reversed(ranks_of("bc", "ab").items())), place)
    equal("山月", mixed, place)
    equal(POEM, mixed, REPEAT)
    pieces = st.lists(st.sampled_from(["ab", "bc", "ca", "aa", "aab", "bca", "abc"]), unique=True)

    @t.for_all(text=st.text("abc", max_size=12), tokens=pieces, examples=25)
    def any_ranks(text: str, tokens: list[str]) -> None:
        equal(text, ranks_of(*tokens), LOWEST)


@check("tokenizer.bpe_encode")
def a_long_text_of_verse(t: Trial) -> None:
    text = "".join(t.random.choices(POEM, k=150))
    same_pieces(t, text, reference.train_bpe(text, 12), "chunk after chunk, as long as the text is")


# --- Markers ----------------------------------------------------------------------------------


def two_tables(markers: Sequence[str], text: str) -> tuple[dict[str, int], dict[str, int]]:
    characters = sorted(set(text))
    ids = list(range(len(markers) + len(characters)))
    first = dict(zip(markers, ids, strict=False))
    return first, dict(zip(characters, ids[len(markers) :], strict=True))


@check("tokenizer.assign_ids", reference=two_tables)
def assign_ids(t: Trial) -> None:
    def equal(markers: Sequence[str], text: str, why: str) -> None:
        names = ("marker_id", "char_id")
        name = "the pair of dictionaries"
        t.same(list(markers), text, why=why, name=name, parts=names, rtol=0, atol=0)

    two = "the marker A and the letter A are two things, so they need two ids"
    equal(["A", "a"], "月山月", "markers first, then the characters in Unicode order")
    equal(["A", "a"], "Alan", two)
    equal(list("BPUAaSsTtCc"), "BA李白aT致MatttC床前c", two)
    equal(["<|bos|>", "<|end|>", "春"], "春<|end|>", "a name of several letters is no character")
    equal(["b", "a"], "ba", "markers keep their order, characters are sorted")
    equal([], "水山", "without markers the characters begin at 0")
    equal(["A"], "", "without text there are no characters")

    @t.for_all(markers=st.lists(st.sampled_from("ABab月"), unique=True), text=TEXT, examples=20)
    def any_markers(markers: list[str], text: str) -> None:
        equal(markers, text, two)


@check("tokenizer.assign_ids")
def hundreds_of_characters(t: Trial) -> None:
    text, markers = "".join(many_characters(t)[:600]), [f"<|{i}|>" for i in range(30)]
    names = ("marker_id", "char_id")
    why = "a corpus has many different characters"
    t.same(markers, text, why=why, name="the pair of dictionaries", parts=names, rtol=0, atol=0)


# --- Costs ------------------------------------------------------------------------------------


def counted_costs() -> dict[str, float]:
    """The same numbers, counted in modules that take no memory."""

    def size(V: int, C: int) -> int:
        tables = nn.Embedding(V, C, device="meta"), nn.Linear(C, V, device="meta")
        return sum(p.numel() for table in tables for p in table.parameters())

    tables, large = size(11_868, 256), size(100_000, 256)
    layers = 12_466_268 - tables
    tied = nn.Embedding(100_000, 80, device="meta").weight.numel()
    return {
        "tables": tables,
        "layers": layers,
        "share": tables / 12_466_268,
        "large_tables": large,
        "large_share": large / (large + layers),
        "tied_share": tied / (tied + 460_800),
        "equal": 460_800 / 80,
    }


def keys_of(found: Any) -> Any:
    return dict.fromkeys(found, "…") if isinstance(found, Mapping) else found


@check("tokenizer.vocabulary_costs", reference=counted_costs)
def vocabulary_costs(t: Trial) -> None:
    reasons = {
        "tables": "a token costs a row of the embedding, a row of the head and one offset: 2C + 1",
        "layers": "what is not in the embedding or the head is in the layers",
        "share": "a share is the part divided by the whole model",
        "large_tables": "each of the 100,000 tokens costs 2C + 1, however rare it is",
        "large_share": "the layers stay as they are; only embedding and head grow with V",
        "tied_share": "the shared matrix is there once: V × C, beside 460,800 for the layers",
        "equal": "each token adds C = 80 parameters, until there are 460,800",
    }
    right = counted_costs()
    t.compare(lambda f: keys_of(f()), why="these keys and no others", name="your dictionary")
    for key, why in reasons.items():
        close = 0.0006 if key.endswith("share") else 0  # three decimals

        def number(costs: Callable, key: str = key, close: float = close) -> Any:
            value = dict(costs()).get(key)
            if not close or not isinstance(value, float) or abs(value - right[key]) <= close:
                return value
            return float(f"{value:.3g}")  # a wrong share has a name, however it is rounded

        t.compare(number, why, name=f'your number for "{key}"', rtol=0, atol=close)


# --- Finding tokenizers that lose text --------------------------------------------------------


def finds_loss(encode: Callable, decode: Callable, vocab: Sequence[str]) -> bool:
    """Many texts, long and short, with and without names of special tokens in them."""
    every = "".join(vocab[8:])
    texts = ["", *every, *SPECIAL_TOKENS, *("山" + name + "水" for name in SPECIAL_TOKENS)]
    texts += [every + every[::-1], "".join(c + c for c in every), every * 8]
    return any(decode(encode(s)) != s or min(encode(s), default=8) < 8 for s in texts)


def tokenizers(vocab: list[str]) -> dict[str, tuple[Callable, Callable]]:
    """Right and wrong pairs of encode and decode. Each name ends a sentence about the tokenizer."""
    stoi = {token: i for i, token in enumerate(vocab)}
    n, last = len(SPECIAL_TOKENS), vocab[-1]
    any_name = "|".join(map(re.escape, SPECIAL_TOKENS))

    def encode(text: str) -> list[int]:
        return [stoi.get(c, 0) for c in text]

    def decode(ids: Any) -> str:
        return "".join(vocab[i] for i in ids)

    def forging(pattern: str) -> Callable[[str], list[int]]:
        return lambda text: [stoi[piece] for piece in re.findall(f"{pattern}|.", text, re.DOTALL)]

    table = reference.CharTokenizer(vocab)
    right = {
        "looks characters up in a dictionary": (encode, decode),
        "has ids in NumPy arrays": (table.encode, table.decode),
        "writes special tokens without a name": (
            lambda text: np.array(encode(text), dtype=np.int64),
            lambda ids: "".join(vocab[i] for i in ids if i >= n),
        ),
    }
    wrong = {
        "does not know the last character": (lambda s: encode(s.replace(last, "\0")), decode),
        "gives ids of 8 bits": (
            lambda s: [i if i < 256 else i % 256 + n for i in encode(s)],
            decode,
        ),
        "drops white space at the ends": (lambda s: encode(s.strip()), decode),
        "cannot tell capitals": (lambda s: encode(s.lower()), decode),
        "loses order": (lambda s: sorted(encode(s)), decode),
        "makes one of doubled characters": (
            lambda s: [i for i, _ in groupby(encode(s))],
            decode,
        ),
        "has each character once": (lambda s: list(dict.fromkeys(encode(s))), decode),
        "cuts after 1,024 characters": (lambda s: encode(s)[:1024], decode),
        "makes something of nothing": (lambda s: encode(s or vocab[-1]), decode),
        "drops the last character of a text": (lambda s: encode(s)[:-1], decode),
        "writes spaces between tokens": (encode, lambda ids: " ".join(vocab[i] for i in ids)),
        "swaps two characters": (
            encode,
            lambda ids: "".join(vocab[{n + 3: n + 4, n + 4: n + 3}.get(int(i), i)] for i in ids),
        ),
        "numbers the characters from 0": (
            lambda s: [i - n for i in encode(s)],
            lambda ids: "".join(vocab[i + n] for i in ids),
        ),
        "lets a text forge every special token": (forging(any_name), decode),
        "lets a text forge <|title|>": (forging(re.escape("<|title|>")), decode),
        "lets a text forge <|end|>": (forging(re.escape("<|end|>")), decode),
        "lets a text forge <|unk|>": (forging(re.escape("<|unk|>")), decode),
        "lets a text of <|end|> alone forge it": (
            lambda s: [stoi[s]] if s == "<|end|>" else encode(s),
            decode,
        ),
        "lets a text forge <|bos|> after another character": (
            forging("(?<!^)" + re.escape("<|bos|>")),
            decode,
        ),
        "lets a text forge <|form|> before another character": (
            forging(re.escape("<|form|>") + "(?!$)"),
            decode,
        ),
    }
    return {f"is right and {k}": v for k, v in right.items()} | {
        f"{k}": v for k, v in wrong.items()
    }


@check("tokenizer.loses_text", reference=finds_loss)
def loses_text(t: Trial) -> None:
    spelling = sorted(set("".join(SPECIAL_TOKENS)))
    han = [*"山水", *(chr(0x4E00 + i) for i in range(240))]
    vocab = [*SPECIAL_TOKENS, *shuffled(t, [*spelling, *han, *"，。 \nAZ𠮷"])]
    capital = vocab.index("A")  # no white space at the end of all characters: it must be looked for
    vocab[capital], vocab[-1] = vocab[-1], vocab[capital]
    for name, (encode, decode) in tokenizers(vocab).items():
        if name.startswith("is right"):
            why = "all texts of its characters come back, and no id is that of a special token"
        elif "from 0" in name:
            why = "all texts come back, but with the ids of special tokens: look at the ids"
        elif "forge" in name:
            why = "a name in a text comes back, but on the way it was a marker: look at the ids"
        else:
            why = "there is a text that does not come back"

        def use(answer: Callable, pair: tuple[Callable, Callable] = (encode, decode)) -> Any:
            given = list(vocab)
            found = answer(*pair, given)
            return found if given == vocab else "the vocabulary was changed"

        t.compare(use, why, name=f"the verdict on a tokenizer that {name}")
