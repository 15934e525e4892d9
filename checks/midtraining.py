"""Checks of chapter 07."""

import contextlib
import itertools
import re
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from numbers import Real
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from nanopoet.checker.difference import Difference
from nanopoet.checker.trial import Trial, check
from nanopoet_ref import midtraining as reference
from nanopoet_ref.poem import FIELDS, Poem
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import (
    BOS,
    SPECIAL_TOKENS,
    UNK,
    CharTokenizer,
    build_vocab,
    render_poem,
)

# The exercises have these written out.
UNK_ID, PAD_ID, BOS_ID, CONTENT_ID, END_ID, N_ATOMS = 0, 1, 2, 6, 7, 8
FIELD_OF = {3: "author", 4: "form", 5: "title", 6: "content"}
assert (reference.PAD_ID, reference.CONTENT_ID, reference.END_ID) == (PAD_ID, CONTENT_ID, END_ID)
assert (SPECIAL_TOKENS[UNK_ID], SPECIAL_TOKENS[BOS_ID], len(SPECIAL_TOKENS)) == (UNK, BOS, N_ATOMS)
assert reference.MASKS == ("all", "not_padding", "content")
assert {SPECIAL_TOKENS[i]: field for i, field in FIELD_OF.items()} == {
    f"<|{f}|>": f for f in FIELDS
}


@contextlib.contextmanager
def in_words(whole: str, part: str = "{}") -> Iterator[None]:
    """Say of what is called @ what it is, and of 'key' of @ that it is `part` with this key."""
    try:
        yield
    except Difference as difference:
        said = re.sub(r"^'(.*?)' of @", lambda found: part.format(found[1]), difference.symptom)
        difference.symptom = said.replace("@", whole)
        raise


def kind_of(*values: object) -> str:
    """What the stubs call a float or a list, and what other things are."""
    kinds = set()
    for value in values:
        if isinstance(value, np.ndarray | torch.Tensor):
            kinds.add("an array or a tensor")
        elif isinstance(value, list | tuple):
            kinds.add("a list")
        else:
            kinds.add("a number" if isinstance(value, Real) else f"a {type(value).__name__}")
    return " and ".join(sorted(kinds))


PLAIN = "the stub names {}: whoever calls may write it down, compare it, or add to it"


def framed(t: Trial, *sizes: int) -> np.ndarray:
    """A framed poem whose four fields have so many characters, one in ten of them rare."""
    row = [BOS_ID]
    for marker, size in zip(FIELD_OF, sizes, strict=True):
        text = t.randint(40, size) + N_ATOMS
        row += [marker, *torch.where(t.randint(10, size) == 0, UNK_ID, text).tolist()]
    return np.array([*row, END_ID], dtype=np.uint16)


# --- count_truncated -----------------------------------------------------------------------------


@check("midtraining.count_truncated", reference=reference.count_truncated)
def count_truncated(t: Trial) -> None:
    name = "the number of poems that are cut"
    t.same(
        np.array([0, 5, 25, 30]),
        8,
        name=name,
        why="of rows of 5, 20 and 5 tokens, only the second has more than 8 inputs",
    )
    t.same(
        np.cumsum([0, 63, 66, 64, 67, 65]),
        64,
        name=name,
        why="a row of n tokens gives n - 1 inputs, so a row of block_size + 1 tokens fits",
    )
    t.same(np.array([0]), 4, name=name, why="no poems: none is cut")

    @t.for_all(lengths=st.lists(st.integers(2, 12), max_size=8), block_size=st.integers(1, 11))
    def as_many_as_are_too_long(lengths: list[int], block_size: int) -> None:
        starts = np.cumsum([0, *lengths])
        t.same(starts, block_size, name=name, why="rows with more than block_size inputs are cut")

    kinds = "what is returned"
    t.compare(lambda f: kind_of(f(np.array([0, 9]), 4)), why=PLAIN.format("an int"), name=kinds)
    many = np.cumsum([0, *(t.randint(600, 5000) + 2).tolist()])
    t.same(many, 300, name=name, why="a corpus has many poems, and some are long")


# --- target_mask ------------------------------------------------------------------------------


@check("midtraining.target_mask", reference=reference.target_mask)
def target_mask(t: Trial) -> None:
    tokens = torch.tensor([[2, 3, 9, 6, 10, 11, 7, 1, 1], [2, 3, 9, 8, 8, 6, 12, 13, 7]])
    idx, targets = tokens[:, :-1], tokens[:, 1:]
    whys = {
        "not_padding": "a target counts unless it is padding, whatever its input is",
        "content": "from the input <|content|> on, targets are characters of the poem or its end",
        "all": "all targets count, padding too",
    }
    for kind, why in whys.items():
        t.same(idx, targets, kind, why=why, name=f"the mask {kind!r}")
    t.same(idx, targets, name="the mask", why='without a kind, it is "not_padding"')

    rows = [framed(t, *(int(n) for n in t.randint(5, 4))) for _ in range(5)]
    batch = reference.pad_batch(rows, 64)
    cut = torch.tensor([[2, 3, 9, 9, 9, 9, 4, 8], [2, 6, 6, 8, 0, 6, 8, 7]])
    odd = torch.tensor([[2, 9, 6, 8, 7, 8, 1, 8], [2, 6, 8, 9, 9, 1, 1, 1]])
    for kind, why in whys.items():
        name = f"the mask {kind!r}"
        t.same(batch.idx, batch.targets, kind, why=why, name=name)
        t.same(
            cut[:, :-1],
            cut[:, 1:],
            kind,
            name=name,
            why="the poem begins behind the first <|content|>; without one, no target is of a poem",
        )
        why_odd = "only PAD_ID is padding: a row may lack its end, or go on behind it"
        t.same(odd[:, :-1], odd[:, 1:], kind, why=why_odd, name=name)
        t.same(batch.idx[:1, :1], batch.targets[:1, :1], kind, why=why, name=name)
    long = t.randint(12_000, 3, 700) + N_ATOMS
    long[0, 300] = long[1, 600] = CONTENT_ID
    long[:2, 650:] = PAD_ID
    for kind, why in whys.items():
        name = f"the mask {kind!r} of rows of 699"
        t.same(long[:, :-1], long[:, 1:], kind, why=why, name=name)
    why = "a misspelled mask must not train on something else in silence"
    for kind in ("padding", "contents", ""):
        t.refuses(idx, targets, kind, why=why)


# --- pad_batch --------------------------------------------------------------------------------


def same_batch(t: Trial, rows: list[np.ndarray], *args: object, why: str) -> None:
    def use(answer: Callable) -> dict:
        given = [row.copy() for row in rows]
        batch = answer(given, *args)
        idx = batch.idx
        if idx.shape == batch.targets.shape:
            # An end that stands in front of padding was padded before the shift: as good.
            idx = idx.masked_fill((idx == END_ID) & (batch.targets == PAD_ID), PAD_ID)
        return {
            "the tensor of targets": batch.targets,
            "idx": idx,
            "the mask of the batch": batch.mask,
            "the list of rows, after the call,": given,
        }

    with in_words("the batch"):
        t.compare(use, why, name="@")


def short(*rows: list[int]) -> list[np.ndarray]:
    return [np.array(row, dtype=np.uint16) for row in rows]


@check("midtraining.pad_batch", reference=reference.pad_batch)
def padded_and_cut_rows(t: Trial) -> None:
    why = "rows are padded at the end, up to the longest of this batch"
    same_batch(t, short([2, 9, 10, 7], [2, 7]), 8, why=why)
    why = "4 inputs and 4 targets fit; the last target of a row that is cut is its end"
    same_batch(t, short([2, 11, 12, 13, 14, 15, 7], [2, 9, 7]), 4, why=why)
    for length in (8, 9, 10, 11):
        why = "a row of block_size + 1 tokens gives block_size inputs: it fits whole"
        same_batch(t, short([2, *range(20, 18 + length), 7], [2, 8, 8, 7]), 9, why=why)
    rows = [framed(t, *sizes) for sizes in ((2, 4, 3, 24), (3, 4, 9, 24), (0, 0, 0, 1))]
    for kind in reference.MASKS:
        why = f"the mask is that of target_mask, kind {kind!r}"
        for block_size in (64, 20, 1):
            same_batch(t, rows, block_size, kind, why=why)


@check("midtraining.pad_batch")
def long_rows(t: Trial) -> None:
    rows = short(*([2, *(t.randint(12_000, n) + N_ATOMS).tolist(), 7] for n in (300, 40, 700)))
    for block_size in (1024, 512, 256):
        why = "rows and blocks may be long; as many inputs fit as the block has"
        same_batch(t, rows, block_size, why=why)


@check("midtraining.pad_batch")
def types_and_refused_rows(t: Trial) -> None:
    t.compare(
        lambda answer: [str(tokens.dtype) for tokens in answer(short([2, 9, 7]), 8)[:2]],
        "the embedding, `gather` and the loss of PyTorch take int64",
        name="the types of idx and targets",
    )
    same_batch(t, short([2, 65_535, 7]), 5, why="an id may be as large as 65,535")
    for bad in ([[2]], [[2, 9, 7], [2]], [[2, 9, 7], []]):
        t.refuses(short(*bad), 8, why="a row of one token has no target; do not drop it in silence")
    t.refuses([], 8, why="no rows are no batch")
    t.refuses(short([2, 9, 7]), 8, "poem", why="a mask of that name does not exist")

    @t.for_all(
        lengths=st.lists(st.integers(2, 12), min_size=1, max_size=5),
        block_size=st.integers(1, 12),
        examples=15,
    )
    def any_rows(lengths: list[int], block_size: int) -> None:
        rows = [[2, *range(8, 6 + length), 7] for length in lengths]
        same_batch(t, short(*rows), block_size, why="every row keeps its front and its end")


# --- length_buckets ---------------------------------------------------------------------------


def seeded(*seed: int) -> torch.Generator:
    return make_generator(*seed)


def spread(lengths: np.ndarray, batches: list) -> float:
    """How far the lengths in batches of 16 lie apart; 1: as in a random batch."""
    wide = np.mean([np.ptp(lengths[np.asarray(batch)]) for batch in batches])
    order = np.random.default_rng(0).permutation(len(lengths))
    at_random = [order[i : i + 16] for i in range(0, len(order), 16)]
    return float(wide / np.mean([np.ptp(lengths[batch]) for batch in at_random]))


def counted(t: Trial, lengths: np.ndarray, batch_size: int, pool: int) -> Callable:
    def use(answer: Callable) -> dict:
        batches = [
            np.atleast_1d(b) for b in answer(lengths.copy(), batch_size, seeded(t.seed), pool)
        ]
        numbers = np.concatenate([*batches, np.array([], dtype=np.int64)])
        if numbers.dtype.kind not in "iu" and numbers.size:
            raise TypeError("a batch must hold integers: the numbers of poems")
        return {
            "the array of all poem numbers, sorted,": np.sort(numbers).astype(np.int64),
            "the list of sizes of the batches": sorted((len(b) for b in batches), reverse=True),
        }

    return use


def same_batches(t: Trial, lengths: np.ndarray, *sizes: int, why: str) -> None:
    with in_words("the list of batches"):
        t.compare(counted(t, lengths, *sizes), why, name="@")


@check("midtraining.length_buckets", reference=reference.length_buckets)
def every_poem_in_one_batch(t: Trial) -> None:
    lengths = np.array([5, 9, 5, 9, 5, 9, 7])
    why = "in one epoch every poem is seen once; 7 poems in batches of 2 are 4 batches"
    same_batches(t, lengths, 2, 64, why=why)
    why = "13 poems in batches of 5: two are full, and the last has 3"
    same_batches(t, np.arange(13), 5, 4, why=why)

    def keeps(answer: Callable) -> bool:
        given = [np.array([5, 9, 5, 9, 7]), np.arange(20) * 7 % 11]
        for part in given:
            answer(part, 2, seeded(t.seed), 2)
        second = np.arange(20) * 7 % 11
        return given[0].tolist() == [5, 9, 5, 9, 7] and bool((given[1] == second).all())

    t.require(
        t.ask(keeps),
        "writes into `lengths`",
        "poem numbers are places in `lengths`: if it changes, they mean other poems",
    )

    @t.for_all(
        n=st.integers(0, 40), batch_size=st.integers(1, 7), pool=st.integers(1, 4), examples=20
    )
    def every_poem_once(n: int, batch_size: int, pool: int) -> None:
        lengths = 2 + np.arange(n) * 7 % 11
        why = "every poem once, in batches that are full, but for one at most"
        same_batches(t, lengths, batch_size, pool, why=why)


def different_lengths(t: Trial) -> np.ndarray:
    """Lengths for 150 batches: more than two pools. All differ, so groups can be told apart."""
    return torch.randperm(2400, generator=t.generator).numpy() + 10


def batches_of(t: Trial, lengths: np.ndarray, *number: int, **pool: int) -> list[np.ndarray]:
    """Batches of 16 of the answer, with a new generator; it draws otherwise for a `number`."""
    return t.ask(lambda answer: using(answer, lengths, seeded(t.seed, *number), **pool))


def using(
    answer: Callable, lengths: np.ndarray, generator: torch.Generator, **pool: int
) -> list[np.ndarray]:
    return [np.asarray(batch) for batch in answer(lengths.copy(), 16, generator, **pool)]


def how_lengths_lie(lengths: np.ndarray, batches: list[np.ndarray]) -> str:
    """In words, so that all who do the same get the same said."""
    wide = spread(lengths, batches)
    if wide < 0.1:
        return "lengths that are nearly equal"
    ordered = all((np.diff(lengths[batch]) >= 0).all() for batch in batches)
    return (
        f"lengths {'that differ' if wide < 0.85 else 'as different as in a random batch'}"
        f"{', sorted inside the batch' if ordered else ''}"
    )


def in_lists(batches: list[np.ndarray]) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


@check("midtraining.length_buckets")
def like_lengths_in_batches_in_any_order(t: Trial) -> None:
    lengths = different_lengths(t)
    batches = batches_of(t, lengths)
    t.compare(
        lambda answer: how_lengths_lie(lengths, using(answer, lengths, seeded(t.seed))),
        "poems of like length together leave little padding",
        name="what stands in a batch",
    )
    means = np.array([lengths[batch].mean() for batch in batches])
    order = float(np.corrcoef(means[:-1], means[1:])[0, 1])
    t.require(
        abs(order) < 0.5,
        "a batch's length can be foretold from the one before",
        "a model that sees all short poems first learns short poems first; mix the batches",
        "correlation of neighbouring batches near 0",
        f"{order:.2f}",
    )


@check("midtraining.length_buckets")
def batches_of_equal_and_other_generators(t: Trial) -> None:
    lengths = different_lengths(t)
    batches, again, other = (in_lists(batches_of(t, lengths, *n)) for n in ((), (), (1,)))
    t.require(
        batches == again,
        "equal generators give different batches",
        "a run can be repeated only if all randomness comes from the generator",
    )
    t.require(
        batches != other,
        "another generator gives the same batches",
        "every epoch brings a generator of its own, so that its batches differ",
    )
    shared = len(set(map(frozenset, batches)) & set(map(frozenset, other))) / len(batches)
    t.require(
        shared < 0.2,
        "the same poems share a batch with another generator, too",
        "neighbours should change from epoch to epoch, so only random pools are sorted",
        "other batches",
        f"{shared:.0%} of the batches are the same",
    )

    def twice(answer: Callable) -> list[list[np.ndarray]]:
        generator = seeded(t.seed)
        return [using(answer, lengths, generator) for _ in range(2)]

    first, second = map(in_lists, t.ask(twice))
    t.require(
        first != second,
        "a second call with the same generator gives the same batches",
        "draw from the generator; its seed alone is not its state",
    )


@check("midtraining.length_buckets")
def batches_of_a_given_pool(t: Trial) -> None:
    lengths = different_lengths(t)
    for pool, low, high in ((1, 0.85, 1.15), (4, 0.18, 0.4), (20, 0.02, 0.09)):
        wide = spread(lengths, batches_of(t, lengths, 2, pool=pool))
        t.require(
            low < wide < high,
            f"the lengths in a batch are not spread as with pool={pool}",
            "only as many poems as fill `pool` batches are sorted together",
            f"{low} to {high} times as far apart as in a random batch",
            f"{wide:.2f} times",
        )
    few = np.full(16 * 5 + 3, 9)

    def places_of_the_short_batch(pool: int, n: int) -> set[int]:
        many = (batches_of(t, few, 3, i, pool=pool) for i in range(n))
        return {[len(batch) < 16 for batch in batches].index(True) for batches in many}

    places = places_of_the_short_batch(pool=3, n=30)
    t.require(
        len(places) > 1,
        "the batch that is not full always stands in the same place",
        "it is a batch as any other: mix all batches, this one, too",
    )
    t.require(
        min(places) < 3,
        "the batch that is not full never stands in the first half",
        "mix the batches of all pools; the last pool need not come last",
    )
    t.require(
        len(places_of_the_short_batch(pool=1, n=8)) > 1,
        "the batch that is not full always stands in the same place",
        "mix the batches of all pools; the last pool need not come last",
    )
    t.require(
        in_lists(batches_of(t, lengths)) == in_lists(batches_of(t, lengths, pool=64)),
        "without a pool the batches are not those of pool=64",
        "64 is the default",
    )


# --- padding_share ----------------------------------------------------------------------------


def true_padding_share(lengths: np.ndarray, batches: list) -> float:
    filler = places = 0
    for batch in batches:
        longest = max(int(lengths[number]) for number in batch)
        places += longest * len(batch)
        filler += sum(longest - int(lengths[number]) for number in batch)
    return filler / places if places else 0.0


@check("midtraining.padding_share", reference=true_padding_share)
def padding_share(t: Trial) -> None:
    four, name = np.array([5, 9, 5, 9]), "the share of padding"
    why = "two rows of 9 places for 5 + 9 tokens: 4 places of 18 are padding, in both batches"
    t.same(four, [np.array([0, 1]), np.array([2, 3])], name=name, why=why)
    why = "each batch is only as long as its own longest poem"
    t.same(four, [np.array([0, 2]), np.array([1, 3])], name=name, why=why)
    why = "a large batch has more places, so its padding weighs more"
    t.same(np.array([10, 2, 5, 5, 5, 5, 5]), [[0, 1], [2, 3, 4, 5, 6]], name=name, why=why)
    why = "only the poems in the batches take places"
    t.same(np.array([10, 2, 5, 30]), [[2, 0]], name=name, why=why)
    t.same(four, [], name=name, why="no batches, no places, no padding: 0.0")

    @t.for_all(data=st.data(), n=st.integers(1, 12), examples=15)
    def of_any_batches(data: st.DataObject, n: int) -> None:
        lengths = np.array(data.draw(st.lists(st.integers(1, 60), min_size=n, max_size=n)))
        numbers = data.draw(st.permutations(range(n)))
        ends = sorted(data.draw(st.sets(st.integers(1, n), max_size=4)))
        batches = [np.array(numbers[a:b]) for a, b in itertools.pairwise([0, *ends])]
        t.same(lengths, batches, name=name, why="padded places of all batches / places of all")

    why = PLAIN.format("a float")
    kinds = "what the share is"
    t.compare(lambda f: kind_of(f(four, [np.array([0, 1])])), why=why, name=kinds)
    many = t.randint(300, 3000).numpy() + 2
    t.same(many, [*t.randint(3000, 90, 32).numpy()], name=name, why="a corpus has many batches")


# --- check_warm_start -------------------------------------------------------------------------


def true_check_warm_start(model_vocab: list[str], checkpoint_vocab: list[str]) -> None:
    pairs = itertools.zip_longest(model_vocab, checkpoint_vocab)
    if any(ours != theirs for ours, theirs in pairs):
        raise ValueError("not the same vocabulary")


@check("midtraining.check_warm_start", reference=true_check_warm_start)
def check_warm_start(t: Trial) -> None:
    vocab = [*SPECIAL_TOKENS, *"，。山水春风花月云天"]
    t.same(vocab, list(vocab), why="the same tokens in the same order: these weights fit")
    swapped = list(vocab)
    i, j = t.random.sample(range(N_ATOMS, len(vocab)), 2)
    swapped[i], swapped[j] = swapped[j], swapped[i]
    why = "every shape fits, but two ids have changed their meaning: silent garbage"
    t.refuses(vocab, swapped, why=why)
    t.refuses(vocab, [*vocab[:3], vocab[4], vocab[3], *vocab[5:]], why=why)
    for place in (0, N_ATOMS, len(vocab) - 1):
        other = [*vocab[:place], "雪", *vocab[place + 1 :]]
        why = "equally long, but one id means another token"
        t.refuses(vocab, other, why=why)
        t.refuses(other, vocab, why=why)
    why = "the longer vocabulary has an id that the other does not know"
    t.refuses(vocab, vocab[:-1], why=why)
    t.refuses(vocab[:-1], vocab, why=why)
    t.refuses([], vocab, why=why)
    why = (
        "tokens of several characters: what matters is the token of each id, not the text they make"
    )
    t.refuses(["山水", "春", "风"], ["山", "水春", "风"], why=why)
    t.refuses(["山水", "春"], ["山", "水", "春"], why=why)
    for between in " ,|，\n":
        t.refuses([f"山{between}水", "春"], ["山", f"水{between}春"], why=why)
    many = [*SPECIAL_TOKENS, *(chr(0x4E00 + i) for i in range(11_860))]
    for place in (3000, 11_000):
        other = [*many[:place], many[place + 1], many[place], *many[place + 2 :]]
        t.refuses(many, other, why="of 11,868 ids two have changed their meaning")
    t.same(many, list(many), why="11,868 equal tokens in the same order: these weights fit")
    why = "a list and a tuple of the same tokens are the same vocabulary"
    t.same(vocab, tuple(vocab), why=why)
    t.same(tuple(vocab), list(vocab), why=why)
    t.same(("春风", "山"), ["春风", "山"], why=why)


# --- row_fields -------------------------------------------------------------------------------


def true_row_fields(ids: list[int]) -> dict[str, list[int]]:
    ids = list(ids)
    ids = ids[: ids.index(END_ID)] if END_ID in ids else ids
    marks = [i for i, token in enumerate(ids) if token in FIELD_OF]
    found: dict[str, list[int]] = {field: [] for field in FIELDS}
    for begin, end in itertools.pairwise([*marks, len(ids)]):
        text = [token for token in ids[begin + 1 : end] if token == UNK_ID or token >= N_ATOMS]
        found[FIELD_OF[ids[begin]]] += text
    return found


@check("midtraining.row_fields", reference=true_row_fields)
def row_fields(t: Trial) -> None:
    with in_words("the fields", "the list of ids of the {}"):
        fields_of_rows(t)


def fields_of_rows(t: Trial) -> None:
    name = "@"
    row = [2, 3, 90, 54, 4, 13, 12, 10, 11, 5, 30, 6, 40, 41, 42, 7]
    t.same(row, name=name, why="a field is what stands between its marker and the next")
    for sizes in ((2, 4, 3, 24), (1, 4, 0, 9)):
        why = "the id 0 stands for a rare character: it is text"
        t.same(framed(t, *sizes).tolist(), name=name, why=why)
    t.same([2, 6, 0, 20, 0, 7], name=name, why="a field that is missing is an empty list")
    t.same([2, 3, 9, 6, 7], name=name, why="a field without text is an empty list")
    why = "fields may stand in any order; the marker says which it is"
    t.same([2, 6, 20, 21, 5, 30, 3, 9, 7], name=name, why=why)
    t.same([2, 3, 9, 2, 9, 6, 20, 1, 21, 7, 1, 1], name=name, why="atoms but <|unk|> are no text")
    t.same([2, 3, 8, 6, 8, 0, 11, 7], name=name, why="characters begin with the id 8")
    t.same([6, 20, 3, 9, 7], name=name, why="a row may lack its first token")
    why = "the poem is over at the end token"
    t.same([2, 3, 9, 6, 20, 7, 21, 22, 5, 30, 7], name=name, why=why)
    t.same([2, 3, 9, 6, 20, 21], name=name, why="a row that was cut has no end token")
    t.same([2, 0, 50, 51, 3, 9, 7], name=name, why="text before the first marker has no field")
    t.same([2, 3, 9, 6, 20, 3, 10, 6, 21, 7], name=name, why="a second marker adds to its field")
    t.same([], name=name, why="an empty row has four empty fields")
    why = "a generator can be read only once"
    t.compare(lambda answer: answer(token for token in row), why, name=name)

    @t.for_all(ids=st.lists(st.sampled_from([*range(12), *FIELD_OF]), max_size=16), examples=20)
    def of_any_row(ids: list[int]) -> None:
        t.same(ids, name=name, why="whatever a model wrote, each character has one field or none")

    long = framed(t, 300, 4, 300, 900).tolist()
    t.same(long, name=name, why="fields may be long")


@check("midtraining.row_fields")
def types_of_the_fields(t: Trial) -> None:
    t.compare(
        lambda answer: kind_of(*answer([2, 3, 90, 54, 6, 40, 7]).values()),
        why=PLAIN.format("lists"),
        name="what the four fields are",
    )


# --- train_and_val ----------------------------------------------------------------------------


def true_train_and_val(rows: list, n_val: int, generator: torch.Generator) -> dict:
    order = torch.randperm(len(rows), generator=generator).tolist()
    chosen = {"val": order[:n_val], "train": order[n_val:]}
    packed = {}
    for split, numbers in chosen.items():
        ids = np.array([token for i in numbers for token in rows[i]], dtype=np.uint16)
        packed[split] = (ids, np.cumsum([0, *(len(rows[i]) for i in numbers)]))
    return packed


POEMS = [(2, *([20 + i] * (1 + i % 5)), 7) for i in range(24)]  # each other than all others


def split_poems(answer: Callable, rows: list, n_val: int, generator: torch.Generator) -> dict:
    """Both sets as lists of poems."""
    sets = answer([list(row) for row in rows], n_val, generator)
    return {
        name: [
            tuple(np.asarray(sets[name][0])[a:b].tolist())
            for a, b in itertools.pairwise(list(sets[name][1]))
        ]
        for name in ("train", "val")
    }


@check("midtraining.train_and_val", reference=true_train_and_val)
def poems_of_both_sets(t: Trial) -> None:
    def facts(n_val: int) -> Callable:
        def use(answer: Callable) -> dict:
            sets = split_poems(answer, POEMS, n_val, seeded(t.seed, n_val))
            used = {*sets["train"], *sets["val"]}
            return {
                "the number of poems in both sets": len(set(sets["train"]) & set(sets["val"])),
                "the number of poems in neither set": len(set(POEMS) - used),
                "the number of poems to validate": len(sets["val"]),
                "the number of poems to train": len(sets["train"]),
                "the number of different poems": len(used),
            }

        return use

    why = "a poem that was trained on cannot tell what the model does with a poem it has not seen"
    with in_words("the sets"):
        for n_val in (6, 1, 12, 20):
            t.compare(facts(n_val), why, name="@")
        for n_val in (0, len(POEMS)):
            t.compare(facts(n_val), "one of the two sets may be empty", name="@")


@check("midtraining.train_and_val")
def which_poems_validate(t: Trial) -> None:
    one, same, other = (
        t.ask(lambda answer, n=n: split_poems(answer, POEMS, 6, seeded(t.seed, n)))
        for n in (1, 1, 2)
    )
    t.require(
        sorted(one["val"]) == sorted(same["val"]),
        "equal generators give different sets",
        "poems that validate today must not be trained on tomorrow",
    )
    t.require(
        sorted(one["val"]) != sorted(other["val"]),
        "another generator gives the same set to validate",
        "the file may be sorted by author or form, so draw the poems that validate at random",
    )


@check("midtraining.train_and_val")
def equal_poems_and_many(t: Trial) -> None:
    def sizes(answer: Callable) -> list[int]:
        sets = split_poems(answer, POEMS * 3, 20, seeded(t.seed))
        return [len(sets["train"]), len(sets["val"])]

    t.compare(
        sizes,
        "equal rows are poems of their own: of 72 rows, 20 validate and 52 train",
        name="the list of sizes of the two sets, where each row comes three times,",
    )

    def of_many(answer: Callable) -> list[int]:
        sets = split_poems(answer, many, 50, seeded(t.seed))
        return sorted(token for row in sets["train"] + sets["val"] for token in row)

    many = [(2, *row, 7) for row in (t.randint(12_000, 600, 20) + N_ATOMS).tolist()]
    t.compare(of_many, "all poems are in the sets", name="the list of all ids of 600 poems")


# --- batches_with_progress --------------------------------------------------------------------


def true_batches_with_progress(batches: list, lengths: np.ndarray, n_epochs: int) -> list:
    run = [batch for _ in range(n_epochs) for batch in batches]
    tokens = [sum(int(lengths[i]) for i in batch) for batch in run]
    before = [0, *itertools.accumulate(tokens)]
    return [(batch, done / before[-1]) for batch, done in zip(run, before, strict=False)]


@check("midtraining.batches_with_progress", reference=true_batches_with_progress)
def batches_with_progress(t: Trial) -> None:
    def same(batches: list, lengths: np.ndarray, n_epochs: int, why: str) -> None:
        def use(answer: Callable) -> dict:
            given = [np.array(batch) for batch in batches]
            # Of a run without end, only a part.
            most = 60 + 2 * len(given)
            pairs = list(itertools.islice(answer(given, lengths.copy(), n_epochs), most))
            return {
                "the list of all progress": [round(float(progress), 9) for _, progress in pairs],
                "the list of all batches": [np.asarray(batch).tolist() for batch, _ in pairs],
            }

        with in_words("the run"):
            t.compare(use, why, name="@")

    even = np.array([6, 6, 6, 6])
    why = "progress is what was done before this batch: 0 at the first, below 1 at the last"
    same([[0, 1], [2, 3]], even, 1, why)
    why = "progress is that of the whole run: it must not fall when an epoch ends"
    same([[0, 1], [2, 3]], even, 2, why)
    why = "progress counts tokens, and a batch of long poems has more of them"
    same([[0, 2], [1], [3]], np.array([3, 20, 4, 9]), 3, why)
    why = "what the batches leave out is no part of the run"
    same([[4, 1], [2]], np.array([3, 20, 4, 900, 1]), 2, why)
    lengths = t.randint(60, 12).numpy() + 2
    same([[3, 1, 0], [2, 5], [4, 6, 7], [11]], lengths, 4, why)
    same([[0, 1], [2]], even, 0, "no epochs, no batches")
    t.compare(
        lambda answer: kind_of(*(done for _, done in answer([np.array([0])], even, 2))),
        why=PLAIN.format("a float"),
        name="what each progress is",
    )
    numbers = t.randint(3000, 300, 4).tolist()
    same(numbers, t.randint(300, 3000).numpy() + 2, 2, "a run may have many batches")


# --- field_losses -----------------------------------------------------------------------------


def true_field_losses(
    losses: torch.Tensor, idx: torch.Tensor, targets: torch.Tensor
) -> dict[str, float]:
    """Target after target, by the field that was read last."""
    found: dict[str, list[float]] = {field: [] for field in FIELDS}
    for row in zip(losses.tolist(), idx.tolist(), targets.tolist(), strict=True):
        field = None
        for loss, token, target in zip(*row, strict=True):
            field = FIELD_OF.get(token, field)
            if field and target != PAD_ID:
                found[field].append(loss)
    return {field: sum(of) / len(of) if of else float("nan") for field, of in found.items()}


def same_means(t: Trial, rows: list[np.ndarray], block_size: int, said: str, why: str) -> None:
    """Of a batch whose surprises are random, and larger from field to field."""
    idx, targets, _ = reference.pad_batch(rows, block_size)
    fields = torch.isin(idx, torch.tensor(list(FIELD_OF))).cumsum(dim=1)
    losses = t.randn(*idx.shape).abs() + fields
    with in_words(f"the result for {said}", "the mean of the {}"):
        t.same(losses, idx, targets, why=why, name="@")


@check("midtraining.field_losses", reference=true_field_losses)
def means_of_the_fields(t: Trial) -> None:
    why = "a target belongs to the field whose marker was read last; all targets weigh the same"
    row = torch.tensor([[2, 3, 9, 4, 9, 5, 6, 9, 7]])
    with in_words("the result for surprises of 1 to 8", "the mean of the {}"):
        t.same(torch.arange(1.0, 9)[None], row[:, :-1], row[:, 1:], why=why, name="@")
    same_means(t, [framed(t, 2, 4, 3, 24)], 64, "one row", why)
    same_means(t, [framed(t, *sizes) for sizes in ((3, 4, 2, 9),) * 3], 64, "equal rows", why)
    same_means(t, [framed(t, 3, 4, 9, 24), framed(t, 2, 4, 1, 5)], 64, "rows that differ", why)
    same_means(t, [framed(t, 1, 0, 0, 3)], 64, "a row with empty fields", "its end is its target")
    why = "a row that is cut may lack fields; what has no target has no mean"
    same_means(t, [np.array([2, 3, 9, 9, 4, 10])], 64, "a row without title and content", why)
    same_means(t, [np.array([2, 8, 9])], 64, "a row without a marker", why)


@check("midtraining.field_losses")
def floats_by_name(t: Trial) -> None:
    def kinds(answer: Callable) -> str:
        row = torch.tensor([[2, 3, 9, 4, 9, 5, 9, 6, 9, 7]])
        return kind_of(*answer(t.randn(1, 9), row[:, :-1], row[:, 1:]).values())

    t.compare(kinds, why=PLAIN.format("floats"), name="what the means are")


@check("midtraining.field_losses")
def a_batch_of_real_size(t: Trial) -> None:
    rows = [framed(t, *sizes) for sizes in ((3, 4, 300, 400), (2, 4, 12, 32), (4, 4, 40, 900))]
    same_means(t, rows, 1024, "rows of up to 953 tokens", "rows may be long")


# --- midtraining_rates ------------------------------------------------------------------------


def true_midtraining_rates(
    optimizer: torch.optim.Optimizer, init_lr_frac: float, mults: list[float]
) -> list[list[float]]:
    first = [group["lr"] * init_lr_frac for group in optimizer.param_groups]
    for group, lr in zip(optimizer.param_groups, first, strict=True):
        group["initial_lr"] = lr
    table = []
    for mult in mults:
        table.append([lr * mult for lr in first])
        for group, lr in zip(optimizer.param_groups, table[-1], strict=True):
            group["lr"] = lr
        optimizer.step()
    return table


def same_steps(
    t: Trial,
    rates: list[float],
    frac: float,
    mults: list[float],
    why: str,
    earlier: float | None = None,
) -> None:
    slopes = [t.randn(3) for _ in rates]

    @cache  # each answer is used once
    def use(answer: Callable) -> dict:
        weights = [torch.nn.Parameter(torch.zeros(3, dtype=torch.float64)) for _ in rates]
        for weight, slope in zip(weights, slopes, strict=True):
            weight.grad = slope.clone()
        groups = [{"params": [w], "lr": lr} for w, lr in zip(weights, rates, strict=True)]
        optimizer = torch.optim.SGD(groups, lr=1.0)
        if earlier is not None:
            for group in optimizer.param_groups:
                group["initial_lr"] = earlier
        returned = answer(optimizer, frac, list(mults))
        return {
            "list of rates returned": returned,
            "way the weights moved": [weight.detach().clone() for weight in weights],
            "initial_lr": [group.get("initial_lr") for group in optimizer.param_groups],
        }

    for part in ("list of rates returned", "way the weights moved", "initial_lr"):
        t.compare(lambda answer, part=part: use(answer)[part], why, name=f"the {part}")


@check("midtraining.midtraining_rates", reference=true_midtraining_rates)
def midtraining_rates(t: Trial) -> None:
    why = "the fraction must hold in every step: what is returned is what moved the weights"
    same_steps(t, [0.02], 0.5, [1.0, 1.0, 0.5], why)
    why = "every group has a rate of its own"
    same_steps(t, [0.02, 0.1, 0.004], 0.5, [0.5, 1.0, 1.0, 0.75, 0.25], why)
    why = "a multiplier multiplies the first rate, not that of the step before"
    same_steps(t, [3.0, 0.2], 0.3, [1.0, 0.0, 0.5, 0.9], why)
    why = "a number that an earlier stage left in initial_lr is not the rate of this stage"
    same_steps(t, [0.02, 0.1], 0.25, [1.0, 0.5], why, earlier=7.0)
    same_steps(t, [0.02, 0.1], 0.5, [], "no steps: the weights stay, and initial_lr is set")
    mults = [1 - i / 301 for i in range(300)]
    why = "a run has hundreds of steps, and its rates become small"
    same_steps(t, [0.02, 0.1, 0.004], 0.3, mults, why)


# --- swap_cost --------------------------------------------------------------------------------


class Request(NamedTuple):
    """As Poem in the exercises."""

    author: str
    form: str
    title: str
    content: str


class Reader:
    """A model of sorts: it knows the right request for each content, and how much it minds.

    A wrong field costs `minds[field]`, and a little more or less by the value that stands there.
    Nothing is known of contents but those of `poems`.
    """

    def __init__(self, poems: list[Request], seed: int, **minds: float) -> None:
        self.right, self.minds = {poem.content: poem for poem in poems}, minds
        self.seed = seed

    def number(self, *texts: str) -> float:
        """Between 0 and 1, the same for the same texts."""
        return zlib.crc32(f"{self.seed} {texts}".encode()) / 2**32

    def __call__(self, poems: list[Request]) -> torch.Tensor:
        losses = []
        for poem in poems:
            loss = 3 + 2 * self.number(poem.content)
            for field, cost in self.minds.items():
                asked = getattr(poem, field)
                if asked != getattr(self.right.get(poem.content, poem), field):
                    loss += cost * (0.5 + self.number(asked, poem.content))
            losses.append(loss)
        return torch.tensor(losses, dtype=torch.float64)


def true_swap_cost(loss_of: Callable, poems: list, field: str) -> float:
    values = [getattr(poem, field) for poem in poems]
    if field == "content" or len(set(values)) < 2:
        raise ValueError("nothing to exchange")
    costs: list[float] = []
    for i, poem in enumerate(poems):
        other = next(v for v in (values * 2)[i + 1 :] if v != values[i])
        costs += (loss_of([poem._replace(**{field: other})]) - loss_of([poem])).tolist()
    return sum(costs) / len(costs)


def requests(t: Trial, n: int) -> list[Request]:
    """Poems in runs of like form, with as many authors as fit, and some titles twice."""
    forms = sorted((t.random.choice(("五绝", "七绝")) for _ in range(n - 2)), reverse=True)
    forms = ["五绝", *forms[: n // 3], "七绝", *forms[n // 3 :]]
    authors = [f"author {t.random.randrange(1 + n // 2)}" for _ in range(n - 2)]
    authors = ["Li Bai", "Du Fu", *authors]
    return [Request(authors[i], forms[i], f"title {i // 2}", f"poem {i}") for i in range(n)]


@check("midtraining.swap_cost", reference=true_swap_cost)
def what_an_exchange_costs(t: Trial) -> None:
    poems, name = requests(t, 9), "the cost of the exchange"
    for field in ("form", "author", "title"):
        reader = Reader(poems, t.seed, **{field: 0.5})
        why = f"the wrong {field} costs this model about half a nat, and all else nothing"
        t.same(reader, poems, field, why=why, name=f"{name} ({field}, minded)")
        for other in {"form", "author", "title"} - {field}:
            why = f"this model reads the {field} alone; another {other} changes nothing"
            t.same(reader, poems, other, why=why, name=f"{name} ({other}; {field} is minded)")
    full = Reader(poems, t.seed, form=0.3, author=0.2, title=0.1)
    for field in ("form", "author", "title"):
        why = "one field is exchanged; the others, and the poem, stay"
        t.same(full, poems, field, why=why, name=f"{name} ({field}, all are minded)")
    odd = Reader(poems, t.seed, form=-0.4)
    why = "a model that likes the wrong form better: the loss falls, so the cost is below 0"
    t.same(odd, poems, "form", why=why, name=f"{name} (form, where the wrong one is liked)")
    two = [poems[0], poems[-1]._replace(form="七绝")]
    why = "the poem after the last is the first"
    t.same(Reader(two, t.seed, form=0.5), two, "form", why=why, name=f"{name} (two poems)")


@check("midtraining.swap_cost")
def what_is_refused_and_returned(t: Trial) -> None:
    poems = requests(t, 5)
    reader = Reader(poems, t.seed, form=0.5)
    for field in ("content", "dynasty"):
        t.refuses(reader, poems, field, why="author, form and title are what one asks for")
    alike = [poem._replace(form="五绝") for poem in poems]
    why = "a form exchanged for itself costs nothing, and 0 would look like a result"
    t.refuses(reader, alike, "form", why=why)
    t.refuses(reader, [], "form", why="no poems have no mean")
    kinds = "what is returned"
    t.compare(lambda f: kind_of(f(reader, poems, "form")), why=PLAIN.format("a float"), name=kinds)


@check("midtraining.swap_cost")
def many_poems(t: Trial) -> None:
    poems = requests(t, 300)
    reader = Reader(poems, t.seed, form=0.4, author=0.1)
    for field in ("form", "author"):
        said = f"the cost of the exchange ({field}, 300 poems)"
        t.same(reader, poems, field, why="all poems count", name=said)


# --- targets_that_count -----------------------------------------------------------------------


def true_targets_that_count() -> tuple[tuple[int, ...], tuple[int, ...]]:
    content = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
    poem = Poem("王之涣", "五言绝句", "登鹳雀楼", content)
    tokenizer = CharTokenizer(build_vocab([poem.author, poem.form, poem.title, poem.content]))
    row, longest = render_poem(tokenizer, poem), np.array([BOS_ID, *[N_ATOMS] * 43, END_ID])
    counts = []
    for rows, block_size in (([row, longest], 64), ([row], 32)):
        batches = [reference.pad_batch(rows, block_size, kind) for kind in reference.MASKS]
        counts.append(tuple(int(batch.mask[0].sum()) for batch in batches))
    return counts[0], counts[1]


@check("midtraining.targets_that_count", reference=true_targets_that_count)
def targets_that_count(t: Trial) -> None:
    whys = (
        (
            "a batch of 45 tokens has 44 targets in every row",
            "the first token of a row is nobody's target; every other token of the poem is one",
            "the characters with their stops, and the end",
        ),
        (
            "room for 32 inputs is room for 32 targets",
            "a row that is cut has no padding",
            "the inputs from <|content|> to the last one count, the end is the last target",
        ),
    )
    answer = t.ask(lambda function: function())
    triples = isinstance(answer, tuple | list) and [np.size(counts) for counts in answer] == [3, 3]
    t.require(
        triples,
        "the answer is not two triples",
        "one triple for the whole row, one for the row that is cut",
        "((…, …, …), (…, …, …))",
        repr(answer),
    )
    for i, case in enumerate(("the whole row", "the row that is cut")):
        for j, kind in enumerate(reference.MASKS):
            t.compare(
                lambda answer, i=i, j=j: answer()[i][j],
                whys[i][j],
                name=f"the number of targets of {case} under {kind!r}",
            )
