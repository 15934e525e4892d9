"""Checks of pre-training, chapter 06."""

import math
import time
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from hypothesis import strategies as st

from nanopoet.checker.trial import Answer, Trial, check
from nanopoet_ref import pretraining as reference
from nanopoet_ref.poem import Poem
from nanopoet_ref.tokenizer import SPECIAL_TOKENS, CharTokenizer, build_vocab

SPRING = Poem("孟浩然", "五言绝句", "春晓", "春眠不觉晓，处处闻啼鸟。")
NIGHT = Poem("李白", "五言绝句", "静夜思", "床前明月光，疑是地上霜。")


def far_tokenizer(as_list: bool) -> Any:
    """Ids near 65,535, and a boundary that is not number 2."""

    def encode(text: str) -> Any:
        ids = [65_000 + ord(character) % 500 for character in text]
        return ids if as_list else np.array(ids, dtype=np.uint16)

    special = {token: 64_000 + 7 * i for i, token in enumerate(SPECIAL_TOKENS)}
    return SimpleNamespace(special=special, encode=encode)


def type_of(result: object) -> str:
    return "NumPy array" if isinstance(result, np.ndarray) else type(result).__name__


def copied_places(stream: Answer, tokenizer: Any, poems: list[Poem]) -> int:
    """How many places of arrays are copied by the functions that glue arrays together."""
    copied = 0

    def counting(glue: Any) -> Any:
        def counted(*args: Any, **options: Any) -> Any:
            nonlocal copied
            glued = glue(*args, **options)
            copied += glued.size
            return glued

        return counted

    with ExitStack() as stack:
        for name in ("append", "concatenate", "hstack", "insert"):
            stack.enter_context(mock.patch.object(np, name, counting(getattr(np, name))))
        stream(tokenizer, poems)
    return copied


@check("pretraining.poem_stream", reference=reference.poem_stream)
def poem_stream(t: Trial) -> None:
    real = CharTokenizer(build_vocab([SPRING.content, NIGHT.content]))
    why = "a boundary stands before every poem, the first one included, and nowhere else"
    t.compare(lambda f: f(real, [SPRING, NIGHT]), why=why, name="the stream of two poems")

    t.compare(
        lambda f: type_of(f(real, [SPRING, NIGHT])),
        why="windows are cut out by an array of places, which only an array understands",
        name="the type of the stream",
    )
    t.compare(lambda f: f(real, [NIGHT]), why=why, name="the stream of one poem")
    empty = Poem("佚名", "", "空", "")
    t.compare(
        lambda f: f(real, [empty, SPRING, empty, empty, NIGHT, empty]),
        why="a poem without characters has a boundary all the same",
        name="the stream with empty poems",
    )


@check("pretraining.poem_stream")
def copies_of_the_stream(t: Trial) -> None:
    real, many = CharTokenizer(build_vocab([SPRING.content, NIGHT.content])), [SPRING] * 200

    def copying(f: Answer) -> str:
        often = copied_places(f, real, many) > 20 * sum(len(poem.content) + 1 for poem in many)
        return "for each poem" if often else "a few times at most"

    t.compare(
        copying,
        why="glued to the stream, each poem costs a copy of all poems before it",
        name="how often the stream so far is copied",
    )


def grows_faster(stream: Answer) -> bool:
    """Whether four times as many poems take far more than four times as long.

    In the processor's time, and the best of a few attempts: other processes shall not count.
    """
    tokenizer = SimpleNamespace(special=dict.fromkeys(SPECIAL_TOKENS, 2), encode=lambda _: [9])
    few, many = ([SimpleNamespace(content="春")] * size for size in (1500, 6000))

    def seconds(poems: list[Any]) -> float:
        began = time.process_time()
        stream(tokenizer, poems)
        return time.process_time() - began

    once = min(seconds(few) for _ in range(3))
    return all(seconds(many) > 7.5 * once for _ in range(4))


@check("pretraining.poem_stream")
def time_for_many_poems(t: Trial) -> None:
    t.compare(
        lambda f: "far more than 4 times" if grows_faster(f) else "about 4 times",
        why="`a = a + b` and `sum` of lists make a new list each time, with a copy of all ids so "
        "far; `extend` and `+=` add to the list that is there",
        name="the time for 4 times as many poems",
    )


@check("pretraining.poem_stream")
def streams_of_any_poems(t: Trial) -> None:
    @t.for_all(
        contents=st.lists(
            st.text(alphabet="春风山水，。雪𠮷 \n", max_size=12), min_size=1, max_size=6
        ),
        as_list=st.booleans(),
        examples=15,
    )
    def any_poems(contents: list[str], as_list: bool) -> None:
        poems = [Poem("李白", "五言绝句", "春", content) for content in contents]
        t.compare(
            lambda f: f(far_tokenizer(as_list), poems),
            why="boundary and characters keep the ids that the tokenizer gives them",
            name="the stream of another tokenizer",
        )


@check("pretraining.poem_stream")
def a_thousand_poems(t: Trial) -> None:
    letters = t.randint(400, 20_000).tolist()
    text = "".join(chr(0x4E00 + letter) for letter in letters)
    poems = [Poem("李白", "五言绝句", "春", text[i : i + 20]) for i in range(0, 20_000, 20)]
    t.compare(
        lambda f: f(far_tokenizer(as_list=True), poems),
        why="a corpus has many poems, and all of them are in the stream",
        name="the stream of 1,000 poems",
    )


def cut(part: np.ndarray, block_size: int, stride: int) -> np.ndarray:
    starts = range(0, max(len(part) - block_size, 0), stride)
    rows = [part[start : start + block_size + 1] for start in starts]
    return np.array(rows, dtype=part.dtype).reshape(-1, block_size + 1)


def parted_windows(
    ids: np.ndarray, block_size: int, stride: int, every: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    n_train = len(ids) - len(ids) // every
    return cut(ids[:n_train], block_size, stride), cut(ids[n_train:], block_size, stride)


PARTS = ("the training part", "the validation part")


def order_of_windows(f: Any) -> str:
    for part in f(np.arange(60), 3, 1, 5):
        firsts = [int(window[0]) for window in part]
        if firsts != sorted(firsts):
            return "in another order"
    return "in the order of the stream"


@check("pretraining.split_windows", reference=parted_windows)
def order_of_the_windows(t: Trial) -> None:
    t.compare(
        order_of_windows,
        why="each part is cut in order; batches are drawn at random later, from training alone",
        name="how the windows of a part come",
    )


def in_order(t: Trial) -> bool:
    """Of windows that were shuffled nothing else is asked: no two answers shuffle alike."""
    return not t.collecting or t.ask(order_of_windows) == "in the order of the stream"


@check("pretraining.split_windows")
def places_on_both_sides(t: Trial) -> None:
    if not in_order(t):
        return

    def shared(f: Any) -> int:
        train, val = f(np.arange(60), 3, 1, 5)  # each place has its own id
        return len(np.intersect1d(train, val))

    t.compare(
        shared,
        why="what the model was trained on cannot show what it would do with a new poem",
        name="the number of places on both sides, of 60,",
    )
    t.same(
        np.arange(24),
        3,
        2,
        4,
        why="part the stream first: 18 places for training, the last 6 for validation",
        name="the split of 24 places",
        parts=PARTS,
    )
    t.compare(
        lambda f: [type_of(part) for part in f(np.arange(24), 3, 2, 4)],
        why="training draws batches of windows from an array",
        name="the types of the two parts",
    )


@check("pretraining.split_windows")
def shares_of_a_stream(t: Trial) -> None:
    if not in_order(t):
        return

    def split(ids: np.ndarray, *sizes: int, why: str, **every: int) -> None:
        t.same(ids, *sizes, why=why, name=f"the split of {len(ids)} places", parts=PARTS, **every)

    tenth = "without `every`, the last tenth is for validation: here 4 places, too few for 5"
    split(np.arange(45), 4, 4, why=tenth)
    some = t.randint(50, 101).numpy().astype(np.uint16)
    split(some, 6, 3, why="a tenth of 101, rounded down, is 10")
    split(np.arange(38), 2, 2, why="a tenth of 38, rounded down, is 3")
    none = "an eighth of 7, rounded down, is 0: all places are for training"
    split(np.arange(7), 2, 1, why=none, every=8)


@check("pretraining.split_windows")
def windows_of_any_stream(t: Trial) -> None:
    if not in_order(t):
        return

    @t.for_all(
        size=st.integers(0, 80),
        block_size=st.integers(1, 9),
        stride=st.integers(1, 12),
        every=st.integers(2, 10),
        examples=20,
    )
    def any_stream(size: int, block_size: int, stride: int, every: int) -> None:
        t.same(
            np.arange(size) % 23,
            block_size,
            stride,
            every,
            why="each part is cut by itself, from its own first place, as far as whole windows fit",
            parts=tuple(
                f"{part} of {size} places (block {block_size}, stride {stride}, every {every})"
                for part in PARTS
            ),
        )


@check("pretraining.split_windows")
def windows_of_real_size(t: Trial) -> None:
    if not in_order(t):
        return

    t.same(
        t.randint(12_000, 60_000).numpy().astype(np.uint16),
        256,
        128,
        why="a corpus has many windows, of hundreds of ids; all that fit are cut",
        name="the split of 60,000 places (block 256, stride 128)",
        parts=PARTS,
    )


def worked_out() -> dict[str, float]:
    return {
        "tokens": 1_638_400,
        "epochs": 1_638_400 / 11_027_051,
        "uniform_loss": math.log(11_868),
        "sample_entropy": 1.75 * math.log(2),  # ½·1 + ¼·2 + 2·⅛·3 bits
        "farthest_move": 0.03,
        "updates_at_step_90": 91,
    }


def two_digits(value: float, right: float) -> float:
    """The right number if it is near enough, or else two digits, and all if they were right."""
    if abs(value - right) <= 0.0101 * abs(right):
        return right
    rounded = float(f"{value:.1e}")
    return value if abs(rounded - right) <= 0.0101 * abs(right) else rounded


@check("pretraining.first_hundred_updates", reference=worked_out)
def first_hundred_updates(t: Trial) -> None:
    right = worked_out()
    t.compare(
        lambda f: sorted(f()), why="these six names", name="the list of the names in the dictionary"
    )
    for key, why in {
        "tokens": "100 updates of 64 windows, and each window has 256 targets",
        "epochs": "one epoch is once through the stream; this run sees a seventh of it",
        "uniform_loss": "every character has p = 1/V, and its surprise is −ln p",
        "sample_entropy": "every surprise −ln p counts as often as its character occurs",
        "farthest_move": "100 times about the rate, whatever the size of the gradient",
        "updates_at_step_90": "steps 0 to 90 are 91 updates; the untrained model is not in the log",
    }.items():
        # In two digits: a wrong number has the same name however it was rounded.
        t.compare(lambda f, key=key: two_digits(f()[key], right[key]), why=why, name=key)
