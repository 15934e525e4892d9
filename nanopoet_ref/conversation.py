"""Chapter 08 · Conversations (对话): who says what, as ids, and which of them are to be learned.

    <|bos|> <|user_start|> question <|user_end|> <|assistant_start|> answer <|assistant_end|> …

A conversation is plain data: a list of {"role", "content"}, user and assistant in turn. What the
assistant says is a text, or a list of parts {"type", "text"}: text, a call of the calculator
(python), what it gave back (python_output). The model has to learn what the assistant says, calls
and end included. What is inserted is read, and not predicted.

Source: Karpathy 2025 (nanochat: its tokens, its rule of what is supervised).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import jinja2
import numpy as np
import torch
from numpy.typing import NDArray

from nanopoet_ref.gpt import GPT
from nanopoet_ref.tokenizer import BOS, SPECIAL, CharTokenizer, Ids

# A begin and an end for everybody who speaks, and for the tool: what one says can then hold any
# text, and a model that writes an end has given the word away.
USER_START, USER_END = "<|user_start|>", "<|user_end|>"
ASSISTANT_START, ASSISTANT_END = "<|assistant_start|>", "<|assistant_end|>"
PYTHON_START, PYTHON_END = "<|python_start|>", "<|python_end|>"
OUTPUT_START, OUTPUT_END = "<|output_start|>", "<|output_end|>"
CHAT_TOKENS = (
    *(USER_START, USER_END, ASSISTANT_START, ASSISTANT_END),
    *(PYTHON_START, PYTHON_END, OUTPUT_START, OUTPUT_END),
)
# What stands before and after each type of part.
FRAMES = {
    "text": ((), ()),
    "python": ((PYTHON_START,), (PYTHON_END,)),
    "python_output": ((OUTPUT_START,), (OUTPUT_END,)),
}

Conversation = Sequence[dict[str, Any]]
Rendered = tuple[Ids, NDArray[np.bool_]]  # ids, and which of them the assistant says


# --- A vocabulary and a model that can hold a conversation ---------------------------------------


def chat_tokenizer(tokenizer: CharTokenizer, texts: Iterable[str] = ()) -> CharTokenizer:
    """The same vocabulary, and after it the characters of `texts` that it lacks, and the tokens of
    a conversation. All ids that there were keep their meaning.

    >>> from nanopoet_ref.tokenizer import build_vocab
    >>> small = CharTokenizer(build_vocab(["春"]))
    >>> chat_tokenizer(small, ["春1"]).vocab[len(small):][:2]
    ['1', '<|user_start|>']
    """
    # Only what is missing, so that a vocabulary which has it all stays as it is.
    known = set(tokenizer.vocab)
    # Sorted: the same texts in another order must not give other ids.
    lacking = sorted(set("".join(texts)) - known)
    tokens = [token for token in CHAT_TOKENS if token not in known]
    return CharTokenizer([*tokenizer.vocab, *lacking, *tokens])


@torch.no_grad()
def extend_model(model: GPT, vocab_size: int) -> GPT:
    """The same model with more rows in embedding and head; the old ones are kept to the bit.

    New rows begin as those of a new model do.
    """
    if vocab_size < model.config.vocab_size:
        raise ValueError(
            f"a vocabulary of {model.config.vocab_size} tokens cannot become one of {vocab_size}"
        )
    # Built whole, so that new rows get what new rows get; then the old ones are written over.
    longer = GPT(replace(model.config, vocab_size=vocab_size)).to(model.wte.weight.device)
    new = longer.state_dict()
    # Only wte and head have grown, and they have grown at the end: of all others `[: len(old)]`
    # is the whole.
    for name, old in model.state_dict().items():
        new[name][: len(old)] = old
    return longer


# --- From a conversation to ids ------------------------------------------------------------------


def parts_of(content: str | list[dict[str, str]]) -> list[dict[str, str]]:
    """What an assistant says as parts; a plain text is one."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def check_conversation(conversation: Conversation) -> None:
    """Raise `ValueError` unless user and assistant speak in turn, the user first."""
    if not conversation:
        raise ValueError("an empty conversation")
    # In turn: a model that has seen two questions in a row would learn to expect them.
    for i, message in enumerate(conversation):
        role = ("user", "assistant")[i % 2]
        if message["role"] != role:
            raise ValueError(f"message {i} is by {message['role']!r}; it is the {role}'s turn")
        if role == "user" and not isinstance(message["content"], str):
            raise ValueError(f"message {i}: a user's content is a text")
        if unknown := {part["type"] for part in parts_of(message["content"])} - FRAMES.keys():
            raise ValueError(f"message {i}: parts of unknown types {sorted(unknown)}")


def render_conversation(
    tokenizer: CharTokenizer, conversation: Conversation, max_tokens: int
) -> Rendered:
    """The ids of a conversation, and which of them the assistant says.

    True are the assistant's texts and calls, with their marks, and its end. False are <|bos|>, the
    user, the mark that gives the assistant the word, and what a tool gave back. Of a longer
    conversation the first `max_tokens` are left: no end is made up where there was none.

    >>> from nanopoet_ref.tokenizer import build_vocab
    >>> tokenizer = chat_tokenizer(CharTokenizer(build_vocab(["问答"])))
    >>> asked = [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]
    >>> ids, said = render_conversation(tokenizer, asked, max_tokens=10)
    >>> tokenizer.decode(ids)
    '<|bos|><|user_start|>问<|user_end|><|assistant_start|>答<|assistant_end|>'
    >>> tokenizer.decode(ids[said])
    '答<|assistant_end|>'
    """
    check_conversation(conversation)
    special = tokenizer.special
    # Nobody says <|bos|>: it is where everything begins.
    ids, said = [special[BOS]], [False]

    def add(before: Sequence[str], text: str, after: Sequence[str], by_assistant: bool) -> None:
        # Marks by name, text through `encode`: no text can become a mark.
        new = [special[token] for token in before]
        new += tokenizer.encode(text).tolist()
        new += [special[token] for token in after]
        ids.extend(new)
        said.extend([by_assistant] * len(new))

    for message in conversation:
        # What is asked is given. It is read, and its end marks are not predicted either.
        if message["role"] == "user":
            add([USER_START], message["content"], [USER_END], False)
            continue
        # Whoever asks puts this mark: the assistant has not said anything yet.
        add([ASSISTANT_START], "", [], False)
        for part in parts_of(message["content"]):
            before, after = FRAMES[part["type"]]
            # A call is the assistant's decision, marks and all. Its result is not: whoever had to
            # predict it would have to calculate.
            add(before, part["text"], after, part["type"] != "python_output")
        # To stop is to be learned like all else.
        add([], "", [ASSISTANT_END], True)
    return np.array(ids[:max_tokens], np.uint16), np.array(said[:max_tokens], np.bool_)


def render_request(tokenizer: CharTokenizer, conversation: Conversation) -> Ids:
    """The ids that an answer is generated from: all up to the last question, and then the word is
    the assistant's. An answer that is there already is left out.
    """
    # Whoever generates from an answer that is there would be given what is to be found.
    asked = conversation[:-1] if conversation[-1]["role"] == "assistant" else conversation
    ids, _ = render_conversation(tokenizer, asked, max_tokens=2**62)
    return np.append(ids, np.uint16(tokenizer.special[ASSISTANT_START]))


# --- The same as a template ----------------------------------------------------------------------

# How chat formats are published today: one template that writes all marks out. A text goes through
# the filter `literal`, or whoever writes "<|user_end|>" could end his turn and speak as another.
CHAT_TEMPLATE = """<|bos|>
{%- for message in messages -%}
  {%- if message.role == "user" -%}
    <|user_start|>{{ message.content | literal }}<|user_end|>
  {%- else -%}
    <|assistant_start|>
    {%- for part in message.content | parts -%}
      {%- if part.type == "python" -%}
        <|python_start|>{{ part.text | literal }}<|python_end|>
      {%- elif part.type == "python_output" -%}
        <|output_start|>{{ part.text | literal }}<|output_end|>
      {%- else -%}
        {{ part.text | literal }}
      {%- endif -%}
    {%- endfor -%}
    <|assistant_end|>
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant_start|>{%- endif -%}
"""


def literal(text: str) -> str:
    r"""A text in which nothing can be taken for a mark, nor for the sign that says so.

    >>> literal("a<|bos|>"), literal("a\\b")
    ('a\\<|bos|>', 'a\\\\b')
    """
    return text.replace("\\", "\\\\").replace("<|", "\\<|")


@cache
def chat_template() -> jinja2.Template:
    """The template, compiled once."""
    # No escaping for HTML, and no silence about a name that is not there.
    environment = jinja2.Environment(autoescape=False, undefined=jinja2.StrictUndefined)
    environment.filters |= {"literal": literal, "parts": parts_of}
    return environment.from_string(CHAT_TEMPLATE)


def render_template(
    tokenizer: CharTokenizer, conversation: Conversation, add_generation_prompt: bool = False
) -> Ids:
    """The ids of a conversation by way of `CHAT_TEMPLATE`: those of `render_conversation`."""
    written = chat_template().render(
        messages=conversation, add_generation_prompt=add_generation_prompt
    )
    # In what is written out: \x is the character x, <|name|> a mark, and all else itself.
    ids: list[int] = []
    for escaped, mark, text in re.findall(
        rf"\\(.)|({SPECIAL.pattern})|([^\\<]+|<)", written, re.DOTALL
    ):
        ids += [tokenizer.special[mark]] if mark else tokenizer.encode(escaped or text).tolist()
    return np.array(ids, np.uint16)
