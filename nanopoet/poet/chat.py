"""`nanopoet chat`: ask a model that has learned to answer, in the terminal."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import typer

from nanopoet.poet.run import LEARN_TO_ANSWER, Run, RunError, find_trained
from nanopoet.poet.write import tell
from nanopoet_ref.checkpoint import Checkpoint
from nanopoet_ref.conversation import (
    ASSISTANT_END,
    OUTPUT_END,
    OUTPUT_START,
    PYTHON_END,
    PYTHON_START,
)
from nanopoet_ref.corpus import to_simplified
from nanopoet_ref.runtime import limit_threads, make_generator
from nanopoet_ref.tokenizer import UNK, CharTokenizer
from nanopoet_ref.tools import answer_tokens, parse_answer

PROMPT = "? "
EXAMPLES = (
    "写一首五言绝句，题为春望。",
    "对下句：床前明月光，",
    "三首七言律诗共几字？",
    "你是谁？",
)
# How the tool at work looks: [3*56 = 168]
SHOWN = {
    PYTHON_START: "[",
    PYTHON_END: "",
    OUTPUT_START: " = ",
    OUTPUT_END: "] ",
    ASSISTANT_END: "",
}


def find_answering(name: str | None) -> Run:
    """The run of that name, or the newest finished one that answers."""
    run = find_trained(name, "answers")
    if not run.answers:
        raise RunError(f"run {run.name!r} has not learned to answer; {LEARN_TO_ANSWER}")
    return run


def unknown_characters(tokenizer: CharTokenizer, text: str) -> str:
    """The characters of a text that a run cannot read, each once."""
    known = tokenizer.encode(text) != tokenizer.special[UNK]
    return "".join(dict.fromkeys(c for c, k in zip(text, known, strict=True) if not k))


def spoken(poet: Checkpoint, question: str, **options: Any) -> Iterator[str]:
    """The answer to one question, piece by piece as it is written.

    Each question stands alone: single ones are what has been trained on.
    """
    conversation = [{"role": "user", "content": question}]
    written: list[int] = []
    for token in answer_tokens(poet.model, poet.tokenizer, conversation, **options):
        written.append(token)
        name = poet.tokenizer.decode([token])
        yield SHOWN.get(name, name)
    if problem := parse_answer(poet.tokenizer, written).problem:
        yield f" ({problem})"


def reply(run: Run, poet: Checkpoint, question: str, **options: Any) -> None:
    """Print the answer while it is written."""
    if run.config.preset.script == "simplified":
        question = to_simplified(question)
    if unknown := unknown_characters(poet.tokenizer, question):
        tell(f"the run cannot read {unknown}")
    with limit_threads(2):
        for piece in spoken(poet, question, **options):
            typer.echo(piece, nl=False)
    typer.echo()


def talk(run: Run, poet: Checkpoint, **options: Any) -> None:
    """Ask until Ctrl-D, or Ctrl-C where a question is due; in an answer, Ctrl-C ends the answer."""
    with suppress(ImportError):
        import readline  # noqa: F401 (arrow keys, and the questions before)
    tell(f"run {run.name}. Ask, for example: {'  '.join(EXAMPLES)}")
    tell("Each question stands alone. Ctrl-C ends an answer, Ctrl-D the talk.")
    while True:
        try:
            question = input(PROMPT).strip()
        except (EOFError, KeyboardInterrupt):
            typer.echo()
            return
        if not question:
            continue
        try:
            reply(run, poet, question, **options)
        except KeyboardInterrupt:
            typer.echo(" …")
        except ValueError as error:  # a question that fills the block
            tell(str(error))


def chat_command(
    name: str | None, question: str | None, seed: int, options: dict[str, Any]
) -> None:
    """Answer one question, or talk."""
    run = find_answering(name)
    poet, options = run.poet(), options | {"generator": make_generator(seed)}
    if question is None:
        talk(run, poet, **options)
    elif question.strip():
        reply(run, poet, question.strip(), **options)
    else:
        raise ValueError("--ask needs a question")
