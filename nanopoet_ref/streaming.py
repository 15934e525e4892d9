"""Chapter 08 · Streaming (流式): batches from conversations that come one after the other.

Two ways. `buffered_batches` lays all tokens end to end and cuts a batch wherever B·T are there:
nothing is padded, and a conversation may begin in one row and end in the next. `packed_batches`
keeps conversations whole: each row is filled with those that fit best, the rest is padding.

Neither knows how many steps there will be. What is known is how many examples: `State` says which
share of them is used up, and whether this is the last step.

Sources: Karpathy 2025 (nanochat: both ways); Johnson 1973 (best fit).
"""

import json
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from nanopoet_ref.conversation import Conversation, Rendered
from nanopoet_ref.files import replacing
from nanopoet_ref.midtraining import PAD_ID
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import Ids
from nanopoet_ref.training import Batch, StageBatches

CHAT_MASKS = ("all", "not_padding", "answer")


@dataclass(frozen=True)
class State:
    """How far a stream of `total` examples has come. Progress only grows, and ends at 1."""

    total: int
    consumed: int = 0  # examples that were taken for this batch and those before it
    lost: int = 0  # targets that are in no batch so far, and will be in none
    last_step: bool = False

    @property
    def progress(self) -> float:
        """The share of the examples, for a schedule that does not know the number of steps."""
        return self.consumed / self.total


Step = tuple[Batch, State]


def chat_batch(ids: NDArray, said: NDArray[np.bool_], mask: str = "answer") -> Batch:
    """Rows of T + 1 tokens as inputs, targets and mask; `said` is what the assistant says.

    >>> ids, said = np.array([[2, 9, 8, 1]]), np.array([[False, False, True, False]])
    >>> chat_batch(ids, said).mask.int().tolist()
    [[0, 1, 0]]
    """
    if mask not in CHAT_MASKS:
        raise ValueError(f"mask {mask!r} is not one of {CHAT_MASKS}")
    # Ids lie in 16 bits; an embedding wants int64.
    tokens, by_assistant = torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(said)
    idx, targets = tokens[:, :-1], tokens[:, 1:]  # (B, T) each
    counts = {
        "all": torch.ones_like(targets, dtype=torch.bool),
        "not_padding": targets != PAD_ID,
        # Shifted with the targets: what counts is what is predicted, not what predicts it.
        "answer": by_assistant[:, 1:],
    }
    return Batch(idx, targets, counts[mask])


def with_last(steps: Iterable[Step]) -> Iterator[Step]:
    """The same steps, the last of them marked: each is held back until there is another."""
    # Nobody knows that a batch was the last before asking for another one.
    held: Step | None = None
    for step in steps:
        if held:
            yield held
        held = step
    if held is None:
        raise ValueError("too few tokens for a single batch")
    batch, state = held
    yield batch, replace(state, last_step=True)


# --- End to end ----------------------------------------------------------------------------------


def buffered_batches(
    rendered: Iterable[Rendered], total: int, batch_size: int, block_size: int, mask: str = "answer"
) -> Iterator[Step]:
    """Batches of B · T targets from conversations laid end to end; `total`: how many there are.

    What is left at the end and fills no batch is lost, and counted in the last state.
    """
    needed = batch_size * block_size
    buffer = deque[tuple[int, bool]]()

    def steps() -> Iterator[Step]:
        state = State(total)
        # Known when the stream has ended, and not before: so the last batch is made last.
        for ids, said in rendered:
            state = replace(state, consumed=state.consumed + 1)
            buffer.extend(zip(ids.tolist(), said.tolist(), strict=True))
            # `while`: one conversation can hold many batches. One token more than is taken must be
            # there: it is the last target, and stays, to be the first input of the next batch.
            while len(buffer) > needed:
                taken = [buffer.popleft() for _ in range(needed)]
                tokens, counts = np.array([*taken, buffer[0]]).T
                # Row r is r · T … (r + 1) · T, both ends included: rows overlap by one token.
                rows = np.arange(batch_size)[:, None] * block_size + np.arange(block_size + 1)
                yield chat_batch(tokens[rows], counts[rows].astype(bool), mask), state

    for batch, state in with_last(steps()):
        if state.last_step:
            # The token that was kept was a target already; all behind it are lost.
            state = replace(state, consumed=total, lost=max(len(buffer) - 1, 0))
        yield batch, state


# --- Whole conversations -------------------------------------------------------------------------


class Row(NamedTuple):
    """One row of T + 1 tokens, padded at the end, and what is in it."""

    ids: Ids
    said: NDArray[np.bool_]
    conversations: int
    lost: int  # tokens of a conversation that is longer than a row


def packed_rows(rendered: Iterable[Rendered], length: int, lookahead: int = 64) -> Iterator[Row]:
    """Rows of `length` tokens filled by best fit: the longest waiting conversation that still fits.

    `lookahead` conversations wait. The first row takes the oldest, so none waits for ever.

    >>> talks = [(np.full(n, n, np.uint16), np.ones(n, bool)) for n in (5, 3, 2, 4)]
    >>> [row.ids.tolist() for row in packed_rows(talks, 7)]
    [[5, 5, 5, 5, 5, 2, 2], [3, 3, 3, 4, 4, 4, 4]]
    """
    source, waiting = iter(rendered), list[Rendered]()
    while True:
        ids, said = np.full(length, PAD_ID, np.uint16), np.zeros(length, np.bool_)
        used = packed = lost = 0
        while used < length:
            # Refilled before every choice: the more there are to choose from, the less is padded.
            while len(waiting) < lookahead and (new := next(source, None)) is not None:
                waiting.append(new)
            room = length - used
            fitting = [i for i, (talk, _) in enumerate(waiting) if len(talk) <= room]
            if packed == 0 and waiting:
                best = 0
            elif fitting:
                best = max(fitting, key=lambda i: len(waiting[i][0]))
            else:
                break
            talk, by_assistant = waiting.pop(best)
            lost += max(len(talk) - room, 0)
            talk, by_assistant = talk[:room], by_assistant[:room]
            # One after the other, and no gap: padding is at the end, where nobody looks back from.
            ids[used : used + len(talk)], said[used : used + len(talk)] = talk, by_assistant
            used, packed = used + len(talk), packed + 1
        # Nothing came and nothing waits.
        if packed == 0:
            return
        yield Row(ids, said, packed, lost)


def stack(rows: Sequence[Row], mask: str = "answer") -> Batch:
    """Rows as a batch."""
    return chat_batch(np.stack([r.ids for r in rows]), np.stack([r.said for r in rows]), mask)


def packed_batches(
    rendered: Iterable[Rendered],
    total: int,
    batch_size: int,
    block_size: int,
    mask: str = "answer",
    lookahead: int = 64,
) -> Iterator[Step]:
    """Batches of rows that hold whole conversations; the last may have fewer rows.

    Lost are only targets of a conversation that is longer than a row.
    """

    def steps() -> Iterator[Step]:
        state, rows = State(total), list[Row]()
        for row in packed_rows(rendered, block_size + 1, lookahead):
            rows.append(row)
            # Counted when they are put into a row: those that wait are not used up yet.
            state = replace(
                state, consumed=state.consumed + row.conversations, lost=state.lost + row.lost
            )
            if len(rows) == batch_size:
                yield stack(rows, mask), state
                rows = []
        # A smaller batch rather than a lost one.
        if rows:
            yield stack(rows, mask), state

    return with_last(steps())


def mixture_batches(
    train: Iterable[Rendered],
    val: Iterable[Rendered],
    block_size: int,
    batch_size: int,
    *,
    mask: str = "answer",
    eval_iters: int = 8,
    seed: int = 0,
) -> StageBatches:
    """The stage of the mixture: packed rows by number, in another order every epoch.

    Measured are the answers, whatever the mask, so that runs can be compared.
    """
    packed = {
        split: list(packed_rows(part, block_size + 1))
        for split, part in (("train", train), ("val", val))
    }
    # Packed once: which conversations share a row stays, the order of the rows does not.
    rows = packed["train"]
    per_epoch = -(-len(rows) // batch_size)

    def batch_at(i: int) -> Batch:
        # As in chapter 07: a batch has its place in an epoch, and nothing has to be remembered.
        epoch, number = divmod(i, per_epoch)
        order = torch.randperm(len(rows), generator=make_generator(seed, epoch)).tolist()
        chosen = order[number * batch_size : (number + 1) * batch_size]
        return stack([rows[j] for j in chosen], mask)

    fixed = {
        split: [stack(part[i : i + batch_size]) for i in range(0, len(part), batch_size)]
        for split, part in packed.items()
    }
    return batch_at, {split: batches[:eval_iters] for split, batches in fixed.items()}


# --- The next batch while the step runs ----------------------------------------------------------

T = TypeVar("T")


def prefetch(items: Iterable[T], ahead: int = 1) -> Iterator[T]:
    """The same items, the next `ahead` of them prepared in a thread meanwhile.

    An error in the thread is raised here, in its place. Whoever stops early (`close`, or letting go
    of the iterator) ends the thread with the item that it is at.

    >>> list(prefetch(range(3)))
    [0, 1, 2]
    """
    # Bounded, or a fast source would fill the memory.
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=ahead)
    abandoned = threading.Event()

    def fill() -> None:
        try:
            for item in items:
                ready.put(("item", item))
                if abandoned.is_set():
                    return
            ready.put(("end", None))
        except BaseException as error:  # also KeyboardInterrupt: it must not end here unheard
            ready.put(("error", error))

    # daemon: a source that never answers must not keep the program from ending.
    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        abandoned.set()
        # It may wait for room: make some until it has seen that nobody wants more.
        while thread.is_alive():
            with suppress(queue.Empty):
                ready.get_nowait()
            thread.join(timeout=0.01)


# --- Shards on disk ------------------------------------------------------------------------------


def parquet() -> Any:
    """pyarrow's reader and writer, which only shards need."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "shards need the package pyarrow: pip install 'nanopoet[mixture]'"
        ) from error
    return pyarrow


def write_shards(
    folder: Path, conversations: Iterable[Conversation], per_shard: int = 10_000
) -> list[Path]:
    """Write conversations as parquet files shard_00000, shard_00001 …, one JSON text a row.

    Only one shard is in memory at a time. A folder that has shards is refused: those of two
    collections would be read as one.
    """
    pyarrow = parquet()
    folder.mkdir(parents=True, exist_ok=True)
    if list(folder.glob("shard_*.parquet")):
        raise FileExistsError(f"{folder} holds shards already")
    paths: list[Path] = []
    texts: list[str] = []

    def write() -> None:
        paths.append(folder / f"shard_{len(paths):05}.parquet")
        with replacing(paths[-1]) as temporary:
            pyarrow.parquet.write_table(pyarrow.table({"messages": texts}), temporary)
        texts.clear()

    # Whatever gives them may give them one by one: no list of all is ever made.
    for conversation in conversations:
        texts.append(json.dumps(conversation, ensure_ascii=False))
        if len(texts) == per_shard:
            write()
    if texts:
        write()
    return paths


def read_shards(folder: Path, at_once: int = 256) -> Iterator[Conversation]:
    """The conversations of all shards in order, `at_once` in memory at a time."""
    pyarrow = parquet()
    paths = sorted(folder.glob("shard_*.parquet"))
    if not paths:
        raise FileNotFoundError(f"no shards in {folder}")
    for path in paths:
        with pyarrow.parquet.ParquetFile(path) as file:
            for rows in file.iter_batches(batch_size=at_once, columns=["messages"]):
                yield from map(json.loads, rows.column("messages").to_pylist())
