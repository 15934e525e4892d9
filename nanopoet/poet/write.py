"""`nanopoet write`: ask a trained model for poems, or let it continue a text."""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from nanopoet.files import check_picture_path, check_place, write_atomically
from nanopoet.poet.components import signature
from nanopoet.poet.names import UnknownNameError, aliases, find_name, is_chinese
from nanopoet.poet.picture import draw_poet
from nanopoet.poet.run import Run, RunError, find_trained
from nanopoet.poet.verse import print_poem
from nanopoet_ref.checkpoint import Checkpoint
from nanopoet_ref.corpus import to_simplified
from nanopoet_ref.masks import RuleError, VerseMask
from nanopoet_ref.poem import Poem, fields_of
from nanopoet_ref.prosody import SHAPES, find_faults
from nanopoet_ref.rewards import without_control
from nanopoet_ref.runtime import limit_threads, make_generator
from nanopoet_ref.sampling import generate, write_poems
from nanopoet_ref.tokenizer import BOS, UNK, CharTokenizer

# A step for so few poems does little but read the weights once: half as many bytes take half as
# long, and two threads read them faster than one.
FEW = 4
LENGTH = 200  # characters, where none are asked for


@dataclass(frozen=True)
class Rules:
    """Which rules of verse a poem is to keep: all by default; `free` shows the model as it is."""

    free: bool = False
    group: str = ""
    acrostic: str = ""
    book: str = "pingshui"

    @property
    def orders(self) -> dict[str, object]:
        """What is asked for, by the name of its option."""
        return {"--rhyme": self.group, "--acrostic": self.acrostic, "--free": self.free}


def find_title(title: str, known: dict[str, int]) -> tuple[str, str]:
    """A title in Chinese is free; in pinyin or English it must be a known one. With a note."""
    if is_chinese(title):
        return "".join(title.split()), ""
    english = aliases("titles")
    return find_name("title", title, dict.fromkeys(english.values(), 0) | known, english)


def check_text(kind: str, text: str, tokenizer: CharTokenizer, limit: int | None = None) -> None:
    """Refuse what the run cannot read, and what leaves no room for the poem."""
    if limit is not None and len(text) > limit:
        raise ValueError(
            f"a {kind} of {len(text):,} characters leaves no room for the poem; "
            f"this run takes {limit} at most"
        )
    ids, unknown = tokenizer.encode(text), tokenizer.special[UNK]
    unreadable = [c for c, i in zip(text, ids, strict=True) if i == unknown]
    if unreadable:
        named = "、".join(dict.fromkeys(unreadable))
        raise UnknownNameError(f"{kind} {text!r}: the run does not know {named}; use other words")


def make_request(run: Run, asked: Poem, poet: Checkpoint) -> tuple[Poem, list[str]]:
    """What is asked for, in the run's own words, with notes on names that could be another's.

    Empty fields are left to the model. The content asked for is the poem's beginning. Raises
    `UnknownNameError` for a form or author that the run has not seen, or one of several, and for
    characters it cannot read or too many of them.
    """
    catalog = run.catalog()
    author, form, title, begin = (field.strip() for field in fields_of(asked))
    if run.config.preset.script == "simplified":
        author, form, title, begin = map(to_simplified, (author, form, title, begin))
    form = form or default_form(catalog["forms"])
    author, who = find_name("author", author, catalog["authors"]) if author else ("", "")
    form, which = find_name("form", form, catalog["forms"])
    title, what = find_title(title, catalog["titles"]) if title else ("", "")
    block_size = poet.model.config.block_size
    check_text("title", title, poet.tokenizer, block_size // 4)
    check_text("beginning", begin, poet.tokenizer, block_size // 4)
    return Poem(author, form, title, begin), [note for note in (who, which, what) if note]


def default_form(forms: dict[str, int]) -> str:
    """The commonest form of a run, for when none is asked for."""
    return "五言绝句" if "五言绝句" in forms else max(forms, key=lambda form: forms[form])


def quickly(n: int, options: dict[str, Any]) -> tuple[AbstractContextManager, dict[str, Any]]:
    """How to write `n` texts at once: within this context, with these options."""
    if n > FEW:
        return nullcontext(), options
    return limit_threads(2), options | {"precision": "float16"}


def make_mask(poet: Checkpoint, request: Poem, n: int, rules: Rules) -> VerseMask | None:
    """The mask of `n` poems; None for forms without rules, and where none are to be kept.

    A run of few characters cannot keep the rules. It says so, and writes as it can.
    """
    asked = [option for option, value in rules.orders.items() if value and option != "--free"]
    if rules.free or request.form not in SHAPES:
        why = "--free keeps no rules" if rules.free else f"{request.form} has no rules to keep here"
        if asked:
            raise ValueError(f"{why}: leave out {' and '.join(asked)}")
        return None
    group, acrostic = to_simplified(rules.group.strip()), rules.acrostic.strip()
    if asked and poet.tokenizer.encode(acrostic).tolist().count(poet.tokenizer.special[UNK]):
        acrostic = to_simplified(acrostic)
    try:
        return VerseMask(
            poet.tokenizer,
            [request.form] * n,
            group=group,
            acrostic=acrostic,
            book=rules.book,
            device=poet.model.wte.weight.device,
        )
    except RuleError as error:
        if asked:
            raise
        tell(f"rules are not kept: {error}")
        return None


def in_json(poem: Poem, book: str) -> str:
    """A poem as a line of JSON, with the rules that it breaks in words."""
    faults = [str(fault) for fault in find_faults(poem, book)]
    return json.dumps(asdict(poem) | {"faults": faults}, ensure_ascii=False)


def compose(poet: Checkpoint, requests: Sequence[Poem], seed: int, **options: Any) -> list[Poem]:
    """A poem for each request, all of one beginning; the same seed gives the same poems.

    `options` are temperature, top_k, top_p and verse_mask of `write_poems`.
    """
    context, options = quickly(len(requests), options)
    with context:
        poems = write_poems(
            poet.model,
            poet.tokenizer,
            [replace(request, content="") for request in requests],
            begin=requests[0].content,
            generator=make_generator(seed),
            **options,
        )
    return list(map(without_control, poems))


def continue_text(
    run: Run, poet: Checkpoint, begin: str, length: int, n: int, seed: int, **options: Any
) -> list[str]:
    """`begin` and `length` more characters, `n` times; the same seed gives the same texts.

    A model reads no more than a block. So half a block is written at a time, with the half before
    it in view. A stream of poems has a marker between two poems, which becomes an empty line; a
    text is begun as a new line of it.
    """
    tokenizer, block_size = poet.tokenizer, poet.model.config.block_size
    if block_size < 2:
        raise RunError(f"run {run.name!r} sees one character at a time and can continue nothing")
    boundary = tokenizer.special[BOS]
    if of_poems := run.config.preset.text is None:
        begin = to_simplified(begin) if run.config.preset.script == "simplified" else begin
    check_text("beginning", begin, tokenizer)
    start = tokenizer.encode(begin).tolist()
    first = boundary if of_poems or "\n" not in tokenizer.vocab else tokenizer.vocab.index("\n")
    rows = [[first, *start] if of_poems or not start else start for _ in range(n)]
    lead, goal = len(rows[0]) - len(start), len(rows[0]) + length
    banned = [i for i in tokenizer.special.values() if not (of_poems and i == boundary)]
    generator, half = make_generator(seed), block_size // 2
    context, options = quickly(n, options)
    with context:
        while (missing := goal - len(rows[0])) > 0:
            seen = [row[-half:] for row in rows]
            room = min(missing, block_size - half)
            longer = generate(poet.model, seen, room, banned=banned, generator=generator, **options)
            for row, old, new in zip(rows, seen, longer, strict=True):
                row += new[len(old) :]
    spelled = ["\n\n" if i == boundary else token for i, token in enumerate(tokenizer.vocab)]
    return ["".join(spelled[i] for i in row[lead:]) for row in rows]


def refuse_orders(run: Run, given: dict[str, object]) -> None:
    """Options that only a poem has are refused by a run that continues text, with the way out."""
    strange = [option for option, value in given.items() if value]
    if not strange:
        return
    if run.writes_poems:
        way = f"it takes orders after its stage midtrain: nanopoet train --resume --name {run.name}"
    else:
        try:
            way = f"poems are written by --run {find_trained(able='writes_poems').name}"
        except RunError:
            way = "nanopoet train --preset quick makes a run that writes poems"
    raise RunError(f"run {run.name!r} continues text and cannot take {', '.join(strange)}; {way}")


def tell(note: str) -> None:
    """A note beside the poems: it stays out of a pipe."""
    typer.secho(note, dim=True, err=True)


def draw(run: Run, poem: Poem, path: Path) -> None:
    """The picture; whatever goes wrong with it, the poem has been printed."""
    try:
        draw_poet(run.logs(run.stage_names[-1]), poem, path)
    except Exception as error:  # drawing fails in as many ways as there are fonts and formats
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RunError(f"the poem is written, its picture {path} is not: {reason}") from error
    tell(f"picture: {path}")


def write_command(
    name: str | None,
    asked: Poem,
    length: int | None,
    n: int,
    seed: int,
    with_pinyin: bool,
    picture: Path | None,
    rules: Rules,
    as_json: str | None,
    **options: Any,
) -> None:
    """Print poems, or text that goes on; the content asked for is its beginning.

    Everything that can be refused is refused before anything is printed.
    """
    if picture:
        check_picture_path(picture)
    if as_json not in (None, "-"):
        check_place(Path(as_json))
    run = find_trained(name, "writes_poems")
    poet, orders = run.poet(), asdict(replace(asked, content=""))
    if not run.takes_orders(poet.notes["stage"]):
        given = rules.orders | {f"--{field}": text.strip() for field, text in orders.items()}
        refuse_orders(
            run, {**given, "--pinyin": with_pinyin, "--picture": picture, "--json": as_json}
        )
        texts = continue_text(run, poet, asked.content, length or LENGTH, n, seed, **options)
        typer.echo("\n\n".join(texts))
        return
    if length:
        raise RunError(
            f"run {run.name!r} writes poems, which end by themselves: leave out --length"
        )
    request, notes = make_request(run, asked, poet)
    mask = make_mask(poet, request, n, rules)
    try:
        requests = run.with_controls([request] * n, seed, to_simplified(rules.group.strip()))
        poems = compose(poet, requests, seed, verse_mask=mask, **options)
    except RuleError as error:
        raise ValueError(f"{error}; --free keeps no rules") from error
    for note in [f"run {run.name}", *notes] if name is None else notes:
        tell(note)
    if as_json:
        lines = "".join(in_json(poem, rules.book) + "\n" for poem in poems)
        if as_json == "-":
            typer.echo(lines, nl=False)
        else:
            write_atomically(Path(as_json), lines.encode())
    if as_json != "-":
        console = Console(soft_wrap=True, emoji=False)
        for poem in poems:
            print_poem(console, poem, with_pinyin)
    if noted := run.config.mine:
        tell(signature(noted))
    if picture:
        draw(run, poems[0], picture)
