"""What each stage learns from. A stage is its batches; everything else is the same for all.

A new stage is a maker of batches in BATCHES, its name in `presets.STAGES`, and a table in a preset.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from nanopoet.poet.components import Components
from nanopoet.poet.data import Data
from nanopoet.poet.presets import ANSWERING, PresetError, Stage
from nanopoet_ref.alignment import several_updates
from nanopoet_ref.conversation import Conversation, Rendered, render_conversation
from nanopoet_ref.gpt import GPT
from nanopoet_ref.midtraining import count_truncated, poem_batches
from nanopoet_ref.mixture import TASKS, Task, TaskMixture, mixture_shares
from nanopoet_ref.poem import FIELDS, Poem
from nanopoet_ref.pretraining import window_batches
from nanopoet_ref.prosody import SHAPES
from nanopoet_ref.rewards import (
    Control,
    convenient_reward,
    curated,
    draw_control,
    kept_reward,
    pad_verse,
    place_members,
    place_numbers,
    place_reward,
    poem_reward,
    rule_reward,
    slots,
    with_control,
)
from nanopoet_ref.rollouts import GRPO, grpo_batches
from nanopoet_ref.streaming import mixture_batches
from nanopoet_ref.tokenizer import CharTokenizer, Ids
from nanopoet_ref.training import SPLITS, Batch, LossFn

OFTEN = 6  # times a poem is learned from whose title misleads: under such titles forms are broken
Note = Callable[[int, Sequence[Poem], dict[str, float]], None]


class StageData(NamedTuple):
    """All ids of both parts, for what frequencies alone would lose; and the batches."""

    ids: Ids
    val_ids: Ids
    batches: Callable[[int], Batch]  # to train on, by number
    fixed: dict[str, list[Batch]]  # to measure on, by split
    # Where the model itself writes what it learns from: the batches of a model, of its weights as
    # they first were, in a precision; what was written is noted.
    of_model: Callable[[GPT, GPT, str, Note], Callable[[int], Batch]] | None = None
    loss: LossFn | None = None  # where the stage's own is no other's
    parts: Mapping[str, Any] = MappingProxyType({})  # of the loop, where they differ


def windows(
    data: Data,
    tokenizer: CharTokenizer,
    block_size: int,
    stage: Stage,
    seed: int,
    components: Components,
) -> StageData:
    """Pre-training: windows cut anywhere from one long stream."""
    ids, val_ids = (data.stream(tokenizer, split, components.poem_stream) for split in SPLITS)
    batches = window_batches(
        ids,
        val_ids,
        block_size,
        stage.batch_size,
        eval_iters=stage.eval_iters,
        seed=seed,
        windows=components.random_windows,
    )
    return StageData(ids, val_ids, *batches)


def framed_poems(
    data: Data,
    tokenizer: CharTokenizer,
    block_size: int,
    stage: Stage,
    seed: int,
    components: Components,
) -> StageData:
    """Mid-training: whole poems, framed, one to a row."""
    framed, val_framed = (components.render_poems(tokenizer, data.poems(s)) for s in SPLITS)
    cut, poems = count_truncated(framed[1], block_size), len(framed[1]) - 1
    tqdm.write(f"{cut:,} of {poems:,} poems are longer than the block and are cut")
    batches = poem_batches(
        framed,
        val_framed,
        block_size,
        stage.batch_size,
        mask=stage.mask,
        pool=stage.pool,
        eval_iters=stage.eval_iters,
        seed=seed,
        pad=components.pad_batch,
        buckets=components.length_buckets,
    )
    return StageData(framed[0], val_framed[0], *batches)


def make_tasks(data: Data, split: str, names: Iterable[str], size: int) -> list[Task]:
    """The tasks of a mixture over one split; one that is named twice is there twice."""
    return [TASKS[name](data.poems(split), split, size) for name in names]


def render(tokenizer: CharTokenizer, talk: Conversation) -> Rendered:
    """A whole conversation; whoever packs it cuts what is too long for a row."""
    return render_conversation(tokenizer, talk, max_tokens=2**62)


def conversations(
    data: Data,
    tokenizer: CharTokenizer,
    block_size: int,
    stage: Stage,
    seed: int,
    components: Components,
) -> StageData:
    """The mixture: questions and answers of several tasks, packed whole into rows."""
    # Of the validation part no more than is measured.
    sizes = stage.examples, stage.eval_iters * stage.batch_size
    tasks = [make_tasks(data, s, stage.tasks, n) for s, n in zip(SPLITS, sizes, strict=True)]
    train, val = ([render(tokenizer, talk) for talk in TaskMixture(part)] for part in tasks)
    cut = sum(len(ids) > block_size + 1 for ids, _ in train)
    shares = ", ".join(f"{name} {share:.1%}" for name, share in mixture_shares(tasks[0]).items())
    tqdm.write(
        f"{len(train):,} conversations ({shares}); {cut:,} are longer than the block and cut"
    )
    batches = mixture_batches(
        train,
        val,
        block_size,
        stage.batch_size,
        mask=stage.mask,
        eval_iters=stage.eval_iters,
        seed=seed + ANSWERING.index(stage.name),  # each stage goes through them in its own order
    )
    answers, val_answers = (
        np.concatenate([ids[said] for ids, said in part]) for part in (train, val)
    )
    return StageData(answers, val_answers, *batches)


def curated_poems(
    data: Data,
    tokenizer: CharTokenizer,
    block_size: int,
    stage: Stage,
    seed: int,
    components: Components,
) -> StageData:
    """Poems that keep all the rules of verse, most of which say so behind their titles."""
    poems, counts = curated(data.poems("train"), stage.examples, stage.controls, seed)
    if not poems:
        raise PresetError(f"stage {stage.name!r}: no poem keeps the rules of regulated verse")
    misleading = [poem for poem in poems if misleads(poem)]
    tqdm.write(
        f"{len(poems):,} poems that keep the rules, under {len(counts)} controls; "
        f"{len(misleading):,} with a misleading title are taken {OFTEN} times"
    )
    poems += (OFTEN - 1) * misleading
    framed = components.render_poems(tokenizer, poems)
    val_framed = components.render_poems(tokenizer, data.poems("val"))
    pad = partial(pad_verse, tokenizer=tokenizer, weights=stage.weights, pad=components.pad_batch)
    batches = poem_batches(
        framed,
        val_framed,
        block_size,
        stage.batch_size,
        mask=stage.mask,
        pool=stage.pool,
        eval_iters=stage.eval_iters,
        seed=seed,
        pad=pad,
        buckets=components.length_buckets,
    )
    return StageData(framed[0], val_framed[0], *batches)


def written_poems(
    data: Data,
    tokenizer: CharTokenizer,
    block_size: int,
    stage: Stage,
    seed: int,
    components: Components,
) -> StageData:
    """What the model writes, rewarded by rules, beside poems that keep them (GRPO)."""
    grpo = GRPO(**stage.grpo)
    curate = replace(stage, batch_size=max(grpo.real, 1), weights={})
    real = curated_poems(data, tokenizer, block_size, curate, seed, components)
    ask = requests(data.poems("train"), tokenizer, block_size, stage, grpo, seed)
    rewards = {
        "places": partial(place_reward, worth=grpo.worth),
        "rules": partial(poem_reward, reward=rule_reward),
        "kept": partial(poem_reward, reward=kept_reward),
        "convenient": partial(poem_reward, reward=convenient_reward),
    }

    def of_model(model: GPT, reference: GPT, precision: str, note: Note) -> Callable[[int], Batch]:
        return grpo_batches(
            model,
            reference,
            tokenizer,
            ask,
            rewards[grpo.reward],
            grpo,
            real=real.batches,
            numbers=partial(place_numbers, names=names) if grpo.expected else None,
            seed=seed,
            precision=precision,
            note=note,
        )

    names, members = place_members(tokenizer)
    parts = {"step_fn": partial(several_updates, n=grpo.updates)} if grpo.updates > 1 else {}
    return real._replace(of_model=of_model, loss=grpo.loss(members), parts=parts)


def requests(
    poems: Sequence[Poem],
    tokenizer: CharTokenizer,
    block_size: int,
    stage: Stage,
    grpo: GRPO,
    seed: int,
) -> Callable[[int], list[Poem]]:
    """Of update i, the requests: author, form and title of poems, and a control for each.

    Controls are drawn as often as poems that keep the rules have them; forms equally often, since
    a rare one is broken most.
    """
    _, counts = curated(poems, 5000, seed=seed)
    fitting: dict[str, list[Poem]] = {form: [] for form in SHAPES}
    for poem in poems:
        if poem.form in SHAPES and needed(poem) <= block_size:
            fitting[poem.form].append(poem)
    forms = [form for form, some in fitting.items() if some]
    if not forms:
        raise PresetError(f"block_size={block_size} leaves no room for a poem behind its title")

    def ask(i: int) -> list[Poem]:
        draw = random.Random(f"{seed} {i}")
        found = []
        for _ in range(max(stage.batch_size // grpo.group_size, 1)):
            poem, control = draw.choice(fitting[draw.choice(forms)]), draw_control(counts, draw)
            request = replace(poem, content="")
            found.append(with_control(request, control) if stage.controls else request)
        return found

    return ask


def misleads(poem: Poem) -> bool:
    """Whether a title speaks of the length that the lines do not have, as 七夕 does above five.

    >>> misleads(Poem("", "五言绝句", "七夕", "")), misleads(Poem("", "七言绝句", "七夕", ""))
    (True, False)
    """
    lengths = {form[0] for form in SHAPES}
    return any(length in poem.title for length in lengths - {poem.form[0]})


def needed(poem: Poem) -> int:
    """The tokens of a framed poem of this author, form and title, with a control."""
    frame = len(FIELDS) + 1  # markers; the end is one of the slots
    given = len(poem.author + poem.form + poem.title + Control("东", "平").suffix)
    return frame + given + len(slots(poem.form))


BATCHES: dict[str, Callable[..., StageData]] = {
    # fine-tuning (SFT): the same, after a stage that has seen conversations already
    "sft": conversations,
    "pretrain": windows,
    "midtrain": framed_poems,
    "curate": curated_poems,
    "align": written_poems,
    "mixture": conversations,
}
