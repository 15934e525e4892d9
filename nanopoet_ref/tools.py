"""Chapter 08 · A tool (工具): a calculator, safe by construction, and a model that calls it.

An expression is parsed, and its tree is walked. What the walk does not name is an error, so nothing
that is written can reach the machine. There are no loops, an expression is short and no number may
grow beyond a length, so there is a bound to the time, too. Errors come back as text: whoever asked
can read them, and so can a model.
"""

import ast
import operator
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from nanopoet_ref.attention import KVCache
from nanopoet_ref.conversation import (
    ASSISTANT_END,
    OUTPUT_END,
    OUTPUT_START,
    PYTHON_END,
    PYTHON_START,
    Conversation,
    render_request,
)
from nanopoet_ref.gpt import GPT
from nanopoet_ref.runtime import evaluating
from nanopoet_ref.sampling import next_token_probs, sample
from nanopoet_ref.tokenizer import UNK, CharTokenizer

MAX_LENGTH = 500  # characters of an expression
MAX_BITS = 13_000  # of a number: 3,900 digits
PLACES = 6  # of a result that is no whole number

OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction | int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


class CalculatorError(ValueError):
    """What the calculator cannot do, in words."""


def small(number: Fraction | int) -> Fraction:
    """The same number, if it is not too long."""
    value = Fraction(number)
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise CalculatorError("number too long")
    return value


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """`base ** exponent`, whose length is known before it is computed."""
    if exponent.denominator != 1:
        raise CalculatorError("exponent is no whole number")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    # Of 9 ** 9 ** 9 nothing may be begun: it has 369 million digits. 1 and -1 stay as long as
    # they are, but are refused with the rest: nobody asks for them.
    if bits * abs(exponent) > MAX_BITS:
        raise CalculatorError("number too long")
    return Fraction(base) ** int(exponent)


def evaluate(node: ast.expr) -> Fraction:
    """The value of a tree of numbers, signs, operators, and `"text".count("c")`."""
    match node:
        # Fractions, not floats: 0.1 + 0.2 is 0.3, and no whole number is too large to be divided.
        # `type`, not isinstance: True is an int.
        case ast.Constant(value=number) if type(number) is int or type(number) is float:
            return small(Fraction(str(number)))
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -evaluate(inner)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return evaluate(inner)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return small(power(evaluate(left), evaluate(right)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return small(OPERATORS[type(op)](evaluate(left), evaluate(right)))
        # The one method there is, of a text that is written out, with a text that is written out.
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str(text)), attr="count"),
            args=[ast.Constant(value=str(part))],
            keywords=[],
        ):
            return Fraction(text.count(part))
    raise CalculatorError('only numbers, + - * / // % ** and "text".count("c")')


def show(value: Fraction) -> str:
    """A whole number as it is, another to some places after the point.

    >>> show(Fraction(6, 2)), show(Fraction(-2, 3)), show(Fraction(5, 2))
    ('3', '-0.666667', '2.5')
    """
    if value.denominator == 1:
        return str(value.numerator)
    # Rounded first: 0.9999999 is 1, not 0.1000000.
    # In whole numbers throughout: a float would end at 308 digits.
    scaled = round(abs(value) * 10**PLACES)
    whole, rest = divmod(scaled, 10**PLACES)
    text = f"{whole}.{rest:0{PLACES}}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 < scaled else text


def calculate(expression: str) -> str:
    """The value of an expression as text, or what is wrong with it as text.

    >>> calculate("3 * 56"), calculate('"月月山".count("月")'), calculate("7 / 0")
    ('168', '2', 'error: division by zero')
    >>> calculate("__import__('os').getcwd()")
    'error: only numbers, + - * / // % ** and "text".count("c")'
    """
    try:
        if len(expression) > MAX_LENGTH:
            raise CalculatorError("expression too long")
        # Only parsed, never run. The parser's warnings are for who writes programs.
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(expression.strip(), mode="eval")
        return show(evaluate(tree.body))
    except ZeroDivisionError:
        return "error: division by zero"
    except CalculatorError as error:
        return f"error: {error}"
    # A null character, 500 brackets, 1e999: the parser has an error of its own for each.
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return "error: not an expression"


# --- Answers that call it ------------------------------------------------------------------------


NO_END = "no end"


@dataclass(frozen=True)
class Answer:
    """What a model has answered: its parts, and what is wrong with their form ("": nothing)."""

    parts: list[dict[str, str]]
    problem: str = ""

    @property
    def text(self) -> str:
        """What was said, without calls and what they gave back."""
        return "".join(part["text"] for part in self.parts if part["type"] == "text")


def parse_answer(tokenizer: CharTokenizer, ids: Iterable[int]) -> Answer:
    """The parts of an answer from its ids, which begin after <|assistant_start|>.

    Right in form is: text and calls in any order, every call closed and followed by its output,
    <|assistant_end|> at the end. Reading stops at the first mark that is out of place.
    """
    name_of = {i: token for token, i in tokenizer.special.items() if token != UNK}
    # Which mark may come next in each type of part, and which type it opens.
    follows = {
        "text": {PYTHON_START: "python", ASSISTANT_END: "end"},
        "python": {PYTHON_END: "called"},
        "called": {OUTPUT_START: "python_output"},
        "python_output": {OUTPUT_END: "text"},
    }
    parts: list[dict[str, str]] = []
    state, written = "text", list[int]()

    # An empty text is no part; an empty call is a call.
    def close() -> None:
        if written or state not in ("text", "called"):
            parts.append({"type": state, "text": tokenizer.decode(written)})
            written.clear()

    for token in map(int, ids):
        mark = name_of.get(token)
        # Characters belong to the part that is open, <|unk|> too: it is one that was not known.
        if mark is None and state != "called":
            written.append(token)
            continue
        # A call is followed by its output, with nothing in between.
        if mark not in follows[state]:
            close()
            return Answer(parts, f"{mark or tokenizer.decode([token])} is out of place")
        close()
        state = follows[state][mark]
        if state == "end":
            return Answer(parts)
    close()
    return Answer(parts, NO_END)


@torch.no_grad()
def answer_tokens(
    model: GPT,
    tokenizer: CharTokenizer,
    conversation: Conversation,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
    calculator: Callable[[str], str] = calculate,
) -> Iterator[int]:
    """The answer to the last question, token by token as it is written.

    When a call is closed it is run, and its output is inserted with its marks. Ends at
    <|assistant_end|>, at any other mark that is out of place, or when the block is full.
    """
    special, block_size = tokenizer.special, model.config.block_size
    # The conversation is rendered as in training: another format would be another language.
    row = render_request(tokenizer, conversation).tolist()
    if len(row) >= block_size:
        raise ValueError(f"{len(row)} tokens leave no room for an answer in {block_size}")
    marks = set(special.values()) - {special[UNK]}
    device = model.wte.weight.device
    caches = [KVCache(block_size) for _ in model.blocks]
    idx, length = torch.tensor([row], device=device), len(row)
    inserted = deque[int]()  # of an output: tokens that are put there, not drawn
    call: list[int] | None = None  # what a call that is open has written
    while length < block_size:
        # First the whole request, then one token: an inserted one is read as any other.
        positions = torch.arange(length - idx.shape[1], length, device=device)
        # Only around this call: between two tokens, others may train the model.
        with evaluating(model):
            logits = model(idx, positions, caches)[:, -1]  # (1, V)
        # What the model would say next is not asked while an output is put in its place.
        if given := bool(inserted):
            token = inserted.popleft()
        else:
            token = int(sample(next_token_probs(logits, temperature, top_k, top_p), generator))
        yield token
        # Only marks that were drawn decide; those of an output were put there by this function.
        if not given and token in marks:
            if call is None and token == special[PYTHON_START]:
                call = []
            # The call is closed: now it is run, and not before.
            elif call is not None and token == special[PYTHON_END]:
                output = tokenizer.encode(calculator(tokenizer.decode(call))).tolist()
                inserted.extend([special[OUTPUT_START], *output, special[OUTPUT_END]])
                call = None
            # The end, or a mark that has no place here: what follows would mean nothing.
            else:
                return
        elif call is not None:
            call.append(token)
        idx, length = torch.tensor([[token]], device=device), length + 1


def answer(
    model: GPT, tokenizer: CharTokenizer, conversation: Conversation, **options: Any
) -> Answer:
    """The whole answer to the last question; `options` as of `answer_tokens`."""
    return parse_answer(tokenizer, answer_tokens(model, tokenizer, conversation, **options))
