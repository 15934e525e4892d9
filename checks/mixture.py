"""Checks of chapter 08."""

import ast
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from nanopoet.checker.trial import Trial, check
from nanopoet_ref.conversation import (
    ASSISTANT_END,
    ASSISTANT_START,
    CHAT_TOKENS,
    OUTPUT_END,
    OUTPUT_START,
    PYTHON_END,
    PYTHON_START,
    USER_END,
    USER_START,
)
from nanopoet_ref.streaming import packed_rows
from nanopoet_ref.tokenizer import BOS, UNK

# --- multiple_choice --------------------------------------------------------------------------

POETS = ["杜甫", "李白", "王維", "白居易"]


def lettered(question: str, choices: Sequence[str], right: str) -> tuple[str, str]:
    lines = [question, *(f"- {choice}={c}" for choice, c in zip(choices, "ABCD", strict=False))]
    return "\n".join(lines), "ABCD"[choices.index(right)]


@check("mixture.multiple_choice", reference=lettered)
def multiple_choice(t: Trial) -> None:
    def same(choices: Sequence[str], right: str, why: str, question: str = "誰作：") -> None:
        t.same(question, choices, right, why=why, parts=("the question", "the answer"))

    asked = "床前明月光，疑是地上霜。誰作？"
    same(POETS[:2], "李白", "a line for each choice, its letter behind it", question=asked)
    for right in t.random.sample(POETS, 4):
        same(POETS, right, "the letter of the right choice, wherever it stands")
    for n in (1, 3):
        same(POETS[:n], POETS[n - 1], "there are as many letters as there are choices")
    same(tuple(POETS), "王維", "any sequence of choices will do")
    same(["4", "22", "2", "B"], "2", "what is right is the whole choice, not a part of it")
    same(["2", "=", "A", "B"], "B", "a choice may look like a letter", question="A?\n- B")


# --- mixture_order ----------------------------------------------------------------------------


def in_order(sizes: Sequence[int], seed: int = 42) -> list[tuple[int, int]]:
    order = [(t, i) for t, size in enumerate(sizes) for i in range(size)]
    random.Random(seed).shuffle(order)
    return order


def neighbours(order: list) -> tuple[int, int]:
    """How often the task changes from one example to the next, and how often the next follows."""
    pairs = list(itertools.pairwise(order))
    changes = sum(a[0] != b[0] for a, b in pairs)
    return changes, sum(b == (a[0], a[1] + 1) for a, b in pairs)


@check("mixture.mixture_order", reference=in_order)
def every_example_once(t: Trial) -> None:
    whys = {
        (2, 1): "each example of each task is there once",
        (3, 3): "a task that is listed twice comes twice, under two numbers",
        (2, 0, 4): "a task without examples has a number all the same",
        (): "no tasks, no examples",
        (50, 7, 120): "large tasks stay large: nothing is left out and nothing repeated",
    }
    for sizes, why in whys.items():
        t.compare(
            lambda f, sizes=sizes: sorted(f(list(sizes), 7)),
            why=why,
            name=f"the sorted examples of tasks of sizes {list(sizes)}",
        )
    t.compare(
        lambda f: f([5, 8]) == f([5, 8], 42), why="42 is the default", name="equal without a seed"
    )
    t.compare(
        lambda f: {type(f([2, 3])).__name__, *(type(pair).__name__ for pair in f([2, 3]))},
        why="a list that is made once can be read at any place",
        name="the set of types in the result",
    )


@check("mixture.mixture_order")
def shuffled_as_a_whole(t: Trial) -> None:
    seeds = [t.random.randrange(10**6) for _ in range(8)]

    def changes_of_task(function: Callable) -> str:
        # 299 pairs of neighbours, 150 changes on average, with a spread of 9.
        changes = sorted(neighbours(function([150, 150], seed))[0] for seed in seeds)
        return "few" if changes[0] < 105 else "many" if changes[-1] > 195 else "about every second"

    def examples_are_mixed(function: Callable) -> bool:
        # One of 150 examples is followed by the next, on average.
        return all(neighbours(function([150, 150], seed))[1] < 15 for seed in seeds)

    def small_tasks_are_anywhere(function: Callable) -> bool:
        # The place of a single example in a list of 101, for 60 seeds: 50 on average.
        places = [function([100, 1], seeds[0] + i).index((1, 0)) for i in range(60)]
        return 30 < sum(places) / 60 < 70 and len(set(places)) > 20

    mixed = "tasks follow one another as chance has it: not one by one, and not in turn"
    t.compare(changes_of_task, why=mixed, name="how often the task changes")
    anew = "the examples of a task are shuffled, too: their numbers may mean something"
    t.compare(examples_are_mixed, why=anew, name="whether the examples of a task are mixed")
    anywhere = "a task of one example may come at any place"
    t.compare(small_tasks_are_anywhere, why=anywhere, name="whether small tasks come anywhere")


@check("mixture.mixture_order")
def a_seed_is_an_order(t: Trial) -> None:
    first, second = t.random.sample(range(1000), 2)

    def among_others(function: Callable, seed: int) -> tuple[list, list[float]]:
        """The order when the global generators begin at `seed`, and what they give after it."""
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        for begin in (random.seed, np.random.seed, torch.manual_seed):
            begin(seed)
        order = function([20, 30], first)
        drawn = [random.random(), np.random.random(), torch.rand(1).item()]
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        return order, drawn

    t.compare(
        lambda f: among_others(f, 1)[0] == among_others(f, 2)[0],
        why="a seed means the same order, whatever was drawn before",
        name="whether a seed gives one order",
    )
    t.compare(
        lambda f: f([20, 30], first) == f([20, 30], second),
        why="another seed gives another order",
        name="whether two seeds give the same order",
    )

    def moved(function: Callable) -> list[str]:
        untouched = among_others(lambda sizes, seed: [], 1)[1]
        names = ("Python", "NumPy", "PyTorch")
        drawn = zip(names, among_others(function, 1)[1], untouched, strict=True)
        return [name for name, got, alone in drawn if got != alone]

    t.compare(
        moved,
        why="whoever draws from a global generator changes what all others draw after it",
        name="the list of global generators that draw something else afterwards",
    )


# --- What is predicted ------------------------------------------------------------------------


LISTED = {
    "conversations": 460_000,
    "choice": 100_000,
    "sums": 8_000,
    "identity": 1_000,
    "spelling": 200_000,
    "counting": 80_000,
}
TOKENS_A_STEP, TOKENS = 524_288, 95_000_000


def worked_out() -> dict[str, float]:
    listed = sum(LISTED.values())
    return {
        "listed": listed,
        "choice": LISTED["choice"] / listed,
        "spelling": (LISTED["spelling"] + LISTED["counting"]) / listed,
        "identity": 1000 * 2 * LISTED["identity"] / (listed + LISTED["identity"]),
        "tokens": 2000 * TOKENS_A_STEP,
        "steps": math.ceil(TOKENS / TOKENS_A_STEP),
        "length": TOKENS / listed,
    }


@check("mixture.shares", reference=worked_out)
def shares(t: Trial) -> None:
    whys = {
        "listed": "the six numbers of the list, added up",
        "choice": "100,000 of all that are listed: less than the text itself advises",
        "spelling": "spelling and counting together, of all: more than the text itself advises",
        "identity": "2,000 of 850,000, since identity comes twice and is counted twice",
        "tokens": "as many tokens as a step has, 2,000 times",
        "steps": "the last tokens take a step, too, though they do not fill it",
        "length": "the tokens are shared out among the examples listed",
    }
    t.predicts(whys, exact=["listed", "tokens", "steps"])


# --- render_conversation ----------------------------------------------------------------------

CHARACTERS = '問答春風月山水天地人一二三0123456789.+"count()<|>_userasitnpyhob'
MARKS = (BOS, UNK, *CHAT_TOKENS)
PART_MARKS = {
    "text": ("", ""),
    "python": (PYTHON_START, PYTHON_END),
    "python_output": (OUTPUT_START, OUTPUT_END),
}
Said = list[tuple[str, bool]]  # marks and characters in order, and whether the assistant says them


def spoken(text: str, by_assistant: bool, before: str = "", after: str = "") -> Said:
    return [(token, by_assistant) for token in (before, *text, after) if token]


def rendered(
    conversation: list[dict], special: dict[str, int], stoi: dict[str, int]
) -> tuple[list[int], list[bool]]:
    said = [(BOS, False)]
    for message in conversation:
        if message["role"] == "user":
            said += spoken(message["content"], False, USER_START, USER_END)
            continue
        said.append((ASSISTANT_START, False))
        for part in message["content"]:
            own = part["type"] != "python_output"
            said += spoken(part["text"], own, *PART_MARKS[part["type"]])
        said.append((ASSISTANT_END, True))
    ids = special | stoi
    return [ids.get(token, special[UNK]) for token, _ in said], [own for _, own in said]


def turn(question: str, *answer: str | tuple[str, str]) -> list[dict]:
    """A question and its answer, of texts and (type, text); without one the answer is to come."""
    parts = [("text", part) if isinstance(part, str) else part for part in answer]
    content = [{"type": kind, "text": text} for kind, text in parts]
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": content}]
    return messages if answer else messages[:1]


def some_ids(t: Trial) -> tuple[dict[str, int], dict[str, int]]:
    """Other ids in every trial: of marks, and of characters, one of which has id 0."""
    characters = sorted(set(CHARACTERS))
    numbers = t.random.sample(range(1, 500), len(MARKS) + len(characters) - 1)
    zero = t.random.choice("春風月")
    others = [c for c in characters if c != zero]
    special = dict(zip(MARKS, numbers, strict=False))
    return special, dict(zip(others, numbers[len(MARKS) :], strict=True)) | {zero: 0}


def compare_rendered(t: Trial, conversation: list[dict], why: str) -> None:
    parts = ("the list of ids", "the list of what the assistant says")
    t.same(conversation, *some_ids(t), why=why, name="the result", parts=parts)


@check("mixture.render_conversation", reference=rendered)
def questions_and_answers(t: Trial) -> None:
    def same(*conversation: dict, why: str) -> None:
        compare_rendered(t, list(conversation), why)

    same(*turn("問", "答"), why="the answer and its end are the assistant's; the rest is given")
    same(*turn("春風", "春風"), why="who says a text decides, not what it says")
    same(
        *turn("問", "答"),
        *turn("春", "月"),
        *turn("一", "二三"),
        why="BOS comes once; every answer counts, and its end",
    )
    same(*turn("春風"), why="a question alone: nobody has answered yet")
    same(*turn("問", "答"), *turn("山"), why="the last question may be without an answer")
    same(*turn("", "答"), why="an empty question has its two marks all the same")
    same(*turn("問", ""), why="an empty answer is one, and ends")
    same(*turn("問", "春", "風"), why="several texts stand one behind the other, unmarked")


@check("mixture.render_conversation")
def calls_of_the_calculator(t: Trial) -> None:
    call, output = ("python", "3+4"), ("python_output", "7")
    conversations = {
        "the call is the assistant's, its marks as well": turn("3+4", call),
        "what the calculator writes nobody has to predict": turn("3+4", call, output),
        "behind an output the assistant goes on": turn("3+4", "一", call, output, "7"),
        "an output is False, whatever stands around it": turn("一", output, call, output, call),
        "in every turn": [*turn("3+4", call, output, "7"), *turn("一", call, output, "二")],
    }
    for why, conversation in conversations.items():
        compare_rendered(t, conversation, why)

    kinds = st.sampled_from(list(PART_MARKS))
    texts = st.lists(st.sampled_from("春風月一12+"), max_size=4).map("".join)
    answers = st.lists(st.tuples(kinds, texts), min_size=1, max_size=4)

    @t.for_all(turns=st.lists(st.tuples(texts, answers), max_size=3), examples=15)
    def any_conversation(turns: list) -> None:
        conversation = [message for asked, answer in turns for message in turn(asked, *answer)]
        compare_rendered(t, conversation, "message by message, part by part")


@check("mixture.render_conversation")
def characters_and_marks(t: Trial) -> None:
    rare = "a character without an id is special[UNK], and has its place"
    compare_rendered(t, turn("髥問", "答髥髥"), rare)
    compare_rendered(t, turn("春風月", "月風春"), "0 is an id like any other")
    literal = "a text that spells a mark is a text: else whoever asks could answer himself"
    for mark in (USER_END, ASSISTANT_START, PYTHON_START, BOS):
        compare_rendered(t, turn(f"問{mark}答", "一"), literal)
        compare_rendered(t, turn("問", f"{mark}答", ("python", mark)), literal)


# --- answer_targets ---------------------------------------------------------------------------


def where_said(ids: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
    return ids[:, :-1], torch.where(said[:, 1:], ids[:, 1:], -1)


@check("mixture.answer_targets", reference=where_said)
def answer_targets(t: Trial) -> None:
    def same(ids: list[list[int]], said: list[list[int]], why: str) -> None:
        parts = ("inputs", "targets")
        t.same(torch.tensor(ids), torch.tensor(said) > 0, why=why, parts=parts)

    shifted = "what counts is who says the target, not who says its input"
    same([[1, 7, 4, 9, 5, 2]], [[0, 0, 0, 1, 1, 0]], why=shifted)
    same([[1, 7, 4, 9, 5], [2, 3, 4, 5, 6]], [[0, 0, 1, 1, 0], [0, 1, 0, 0, 1]], why=shifted)
    same([[3, 8]], [[1, 0]], why="the first token is no target, whoever says it")
    same([[3, 8]], [[0, 1]], why="the last token is a target")
    same([[3, 8, 8]], [[0, 0, 0]], why="where nobody answers nothing is to be learned")
    same([[3, 8, 8]], [[1, 1, 1]], why="where all is the answer, all targets count")
    same([[0, 0, 0, 0]], [[0, 1, 0, 1]], why="0 is an id like any other, and no mark of a gap")

    @t.for_all(B=st.integers(1, 4), T=st.integers(1, 9), examples=12)
    def any_rows(B: int, T: int) -> None:
        said = t.randint(2, B, T + 1) > 0
        t.same(t.randint(90, B, T + 1), said, why=shifted, parts=("inputs", "targets"))


# --- calculate --------------------------------------------------------------------------------


def value_of(node: ast.AST) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd | ast.USub):
        return value_of(node.operand) * (-1 if isinstance(node.op, ast.USub) else 1)
    if isinstance(node, ast.BinOp):
        left, right = value_of(node.left), value_of(node.right)
        results = {ast.Add: left + right, ast.Sub: left - right, ast.Mult: left * right}
        return results[type(node.op)]
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str(text)), attr="count"),
            args=[ast.Constant(value=str(part))],
            keywords=[],
        ):
            return text.count(part)
    raise ValueError("not allowed")


def calculated(expression: str) -> str:
    if len(expression) > 500:
        return "error: too long"
    try:
        return str(value_of(ast.parse(expression.strip(), mode="eval").body))
    except (SyntaxError, ValueError, KeyError):
        return "error"


def compare_calculated(t: Trial, expression: str, why: str) -> None:
    def result(function: Callable) -> object:
        got = function(expression)
        # Which words stand behind "error" is up to the answer.
        return "error" if isinstance(got, str) and got.startswith("error") else got

    shown = expression if len(expression) < 50 else f"{expression[:20]}… ({len(expression)})"
    t.compare(result, why=why, name=f"the value of {shown!r}")


def counting(length: int) -> str:
    """An expression of so many characters."""
    return '"' + "月" * (length - 13) + '".count("月")'


def some_expression(t: Trial, depth: int) -> str:
    form = t.random.choice(["{} + {}", "{} - {}", "{} * {}", "({})", "-({})", "{}"])
    if depth == 0 or form == "{}":
        return t.random.choice([str(t.random.randrange(100)), '"風月風".count("風")'])
    return form.format(*(some_expression(t, depth - 1) for _ in range(form.count("{"))))


@check("mixture.calculate", reference=calculated)
def sums(t: Trial) -> None:
    whys = {
        "3 * 56": "the value, as a text",
        "2 + 3 * 4": "products come before sums",
        "(2 + 3) * 4": "what is in brackets comes first",
        "20 - 3 - 4": "from left to right: 20 - 3, and 4 less",
        "3 - 20": "a result may be below 0",
        "-3 * -4": "a sign in front of an expression",
        "+3 - +5": "a sign may be a plus",
        "-(2 + 3)": "a sign in front of brackets turns all of them",
        "7": "a number is an expression",
        "0x10 + 1_000": "whole numbers as Python writes them",
        "0": "0 is a number",
        "  1 + 2 ": "blanks around an expression do not matter",
        "12345678901234567890 * 98765432109876543210": "exact, however large",
        counting(500): "500 characters are allowed",
    }
    for expression, why in whys.items():
        compare_calculated(t, expression, why)

    for _ in range(12):
        expression = some_expression(t, 3)
        compare_calculated(t, expression, "sums, differences, products, signs and brackets")


@check("mixture.calculate")
def counts(t: Trial) -> None:
    whys = {
        '"月月山".count("月")': "how often the part is in the text",
        '"山".count("月")': "not at all is 0",
        '"春風又春風".count("春風")': "a part may have several characters",
        '"風".count("春風")': "the text is what stands in front of the point",
        "'月山月'.count('月')": "quotes may be single",
        '"月月".count("月") * 3 - 1': "a count is an expression like others",
        '2 - "月月".count("月")': "a count is an expression like others",
        '-"月".count("月")': "a sign in front of a count",
        '"1 + 1".count("1")': "a text is not calculated",
        '"__import__".count("_")': "a text may hold anything",
    }
    for expression, why in whys.items():
        compare_calculated(t, expression, why)


CANNOT = {
    "no expression": (
        "7 +",
        "",
        "  ",
        "(1",
        "1)",
        "2 3",
        "x = 1",
        "1; 2",
        "import os",
        "1\0",
        "\ud800",
    ),
    "only + - * are named in the contract": (
        "3 / 2",
        "7 // 2",
        "7 % 2",
        "2 ** 3",
        "7 & 3",
        "1 << 2",
    ),
    "no sign of the contract": ("~1", "not 1"),
    "only whole numbers are": ("1.5", "2.0 * 3", "1e3", "1j"),
    "True is an int for Python, and no number here": ("True", "True + 1", "-False"),
    "a name could stand for anything": ("x", "None", "count", "__name__"),
    "a text is no number": ('"a"', '"a" * 3', '"a" + "b"', '-"a"', '"7"', "..."),
    "count is the only method": (
        '"a".upper()',
        '"a".index("a")',
        '"7".zfill(3)',
        "(1).bit_length()",
    ),
    "a text has count, nothing else has": ("[1, 2].count(1)", 'b"a".count(b"a")', '(1).count("1")'),
    "count takes one text": (
        *('"a".count', '"a".count()', '"a".count(1)', '"a".count("a", 0)', '"a".count(*["a"])'),
        *('"a".count("a", x="b")', '"a".count(part="a")', '"a".count(x)', '"a".count("a" + "b")'),
    ),
    "the text has to be written out": (
        '"ab".lower().count("a")',
        'str(7).count("7")',
        'x.count("a")',
    ),
    "a function could do anything": (
        'len("a")',
        "abs(-1)",
        "int('7')",
        "count('a')",
        "(lambda: 1)()",
    ),
    "nothing but the contract names": (
        "1 < 2",
        "1 if 1 else 2",
        "1 and 2",
        "[1]",
        "(1, 2)",
        "[1][0]",
    ),
    "nothing that is written may be run": (
        "__import__('os').getcwd()",
        "().__class__.__base__",
        "eval('1 + 1')",
        "[x for x in (1, 2)]",
    ),
    "more than 500 characters are an error": (counting(501), "1+" * 250 + "1", " " * 500 + "1"),
}


@check("mixture.calculate")
def errors(t: Trial) -> None:
    for why, expressions in CANNOT.items():
        for expression in expressions:
            compare_calculated(t, expression, why)


# --- take_batch -------------------------------------------------------------------------------


def taken(buffer: deque[int], B: int, T: int) -> tuple[Tensor, Tensor] | None:
    if len(buffer) < B * T + 1:
        return None
    seen = torch.tensor([buffer.popleft() for _ in range(B * T)] + [buffer[0]])
    return seen[:-1].reshape(B, T), seen[1:].reshape(B, T)


def one_batch(function: Callable, tokens: Sequence[int], B: int, T: int) -> dict[str, object]:
    """What one call gives, and what it leaves in the buffer."""
    buffer = deque(tokens)
    batch = function(buffer, B, T)
    inputs, targets = (None, None) if batch is None else batch
    kinds = sorted({type(token).__name__ for token in buffer})
    return {"inputs": inputs, "targets": targets, "buffer": list(buffer), "types": kinds}


def all_batches(function: Callable, arriving: Sequence[Sequence[int]], B: int, T: int) -> list:
    """All batches as lists, taken whenever there is one, while tokens arrive in portions."""
    buffer, batches = deque[int](), []
    for portion in arriving:
        buffer.extend(portion)
        for _ in range(len(buffer)):  # more there cannot be
            if (batch := function(buffer, B, T)) is None:
                break
            batches.append([torch.as_tensor(part).tolist() for part in batch])
    return batches


@check("mixture.take_batch", reference=taken)
def one_call(t: Trial) -> None:
    def same(n: int, B: int, T: int, why: str) -> None:
        tokens = [t.random.randrange(500) for _ in range(n)]
        for part in ("inputs", "targets", "buffer"):
            t.compare(
                lambda f, part=part: one_batch(f, tokens, B, T)[part],
                why=why,
                name=f"{part} after one call ({B} · {T} targets, {n} tokens)",
            )

    t.compare(
        lambda f: one_batch(f, range(30), 2, 3)["types"],
        why="the buffer holds whole numbers before a call, and after it",
        name="the types of what is in the buffer",
    )
    same(7, 2, 3, why="7 tokens are 6 inputs and the last target, which stays in the buffer")
    same(6, 2, 3, why="6 tokens have 5 targets: too few for a batch, and none is taken out")
    same(30, 2, 3, why="what is used up is taken out: 6 tokens, since the seventh is an input next")
    same(0, 2, 3, why="an empty buffer has no batch")
    same(9, 1, 8, why="a batch may be one row")
    same(9, 8, 1, why="a batch may have rows of one token")
    same(2, 1, 1, why="two tokens are an input and its target")
    same(1, 1, 1, why="one token has no target")


@check("mixture.take_batch")
def every_target_once(t: Trial) -> None:
    def same(arriving: list[list[int]], B: int, T: int, why: str, what: str) -> None:
        t.compare(
            lambda f: all_batches(f, arriving, B, T),
            why=why,
            name=f"the list of all batches of {B} · {T} targets, from {what}",
        )

    same([list(range(97))], 2, 8, "97 tokens have 96 targets: 6 batches", "97 tokens at once")
    once = "batch after batch goes on where the last one ended, and no target is left out"
    tokens = [t.random.randrange(500) for _ in range(200)]
    same([tokens[i : i + 7] for i in range(0, 200, 7)], 3, 4, once, "200 tokens, 7 at a time")
    same([tokens[:3], tokens[3:150], [], tokens[150:]], 2, 5, once, "200 tokens in 4 portions")

    @t.for_all(n=st.integers(0, 60), B=st.integers(1, 3), T=st.integers(1, 5), examples=12)
    def any_buffer(n: int, B: int, T: int) -> None:
        same([list(range(n))], B, T, once, f"{n} tokens at once")


# --- best_fit ---------------------------------------------------------------------------------


def fits_best(lengths: Sequence[int], room: int) -> int | None:
    longest = max((length for length in lengths if length <= room), default=None)
    return None if longest is None else list(lengths).index(longest)


@check("mixture.best_fit", reference=fits_best)
def best_fit(t: Trial) -> None:
    def same(lengths: Sequence[int], room: int, why: str) -> None:
        t.same(lengths, room, why=why, name=f"best_fit({lengths}, {room})")

    same([7, 3, 5, 4], 6, "the longest that fits: what is too long does not count")
    same([7, 3, 6, 4], 6, "what fills the room exactly fits, and nothing fits better")
    same([4, 9, 7, 2], 10, "the longest leaves the least room")
    same([9, 5, 3, 5, 5], 8, "of several of one length the oldest, so that none waits for ever")
    same([5, 2], 6, "the first has the number 0")
    same([7, 9], 6, "none fits")
    same([7, 9], 0, "a row that is full takes none")
    same([], 6, "nobody waits")
    same((6, 2, 5), 5, "any sequence of lengths will do")
    same([3], 3, "a single one that fits")

    @t.for_all(
        lengths=st.lists(st.integers(1, 12), max_size=8), room=st.integers(0, 14), examples=30
    )
    def any_row(lengths: list[int], room: int) -> None:
        same(lengths, room, "the longest that fits, and of several the oldest")


# --- lost_targets -----------------------------------------------------------------------------

LENGTHS = (150, 100, 300, 100)
WIDTH = 512  # targets of a row


def targets_of(n_tokens: int, taken_out: int) -> tuple[int, int]:
    """Batches of one row, and the targets in none, if each takes so many tokens out for good."""
    batches, left = 0, n_tokens
    while left > WIDTH:
        batches, left = batches + 1, left - taken_out
    return batches, n_tokens - 1 - batches * WIDTH


@cache
def laid_out() -> dict[str, int]:
    n_tokens = sum(LENGTHS)
    rows = itertools.groupby(range(n_tokens), key=lambda place: place // WIDTH)
    talks = [(np.ones(n, np.uint16), np.ones(n, np.bool_)) for n in LENGTHS]
    batches, lost = targets_of(n_tokens, taken_out=WIDTH)
    return {
        "needed": 4 * WIDTH + 1,
        "second_row": [len(list(row)) for _, row in rows][1],
        "rounds": math.ceil((4 * WIDTH + 1) / n_tokens),
        "batches": batches,
        "lost": lost,
        "dropped": targets_of(1000 * n_tokens, taken_out=WIDTH + 1)[1],
        "padding": len(list(packed_rows(talks, WIDTH + 1))) * (WIDTH + 1) - n_tokens,
    }


@check("mixture.lost_targets", reference=laid_out)
def lost_targets(t: Trial) -> None:
    whys = {
        "needed": "each input needs the token behind it, the last one, too",
        "second_row": "what does not fit into the first row comes into the second",
        "rounds": "as many as it takes until the buffer holds what is needed",
        "batches": "a batch is there only when all its targets are",
        "lost": "every token but the first is a target, and a batch has those of its row",
        "dropped": "a token that is taken out as a target is no input any more: its target is lost",
        "padding": "the places of all rows, and the tokens that are in them",
    }
    t.predicts(whys, exact=list(whys))


# --- progress_falls ---------------------------------------------------------------------------


def falls(series: Iterable[float]) -> bool:
    steps = list(series)
    in_range = all(0 <= progress <= 1 for progress in steps)
    return not (in_range and steps == sorted(steps) and steps[-1:] == [1])


def verdict_on(t: Trial, series: Sequence[float], why: str, about: str = "") -> None:
    about = about or f"[{', '.join(map(str, series))}]"
    t.compare(lambda f: f(iter(series)), why=why, name=f"the verdict on {about}")


def on_no_steps(function: Callable) -> object:
    """The verdict on a run without steps; an error is a result, so that the run can be named."""
    try:
        return function(iter([]))
    except (IndexError, ValueError, TypeError, StopIteration) as error:
        return f"{type(error).__name__}: {error}"


@check("mixture.progress_falls", reference=falls)
def runs_of_the_field(t: Trial) -> None:
    asked = partial(verdict_on, t)
    asked([0.25, 0.5, 0.75, 1.0], "it rises and ends at 1: all is right")
    asked([0.25, 0.5, 0.75, 0.0], "at the last step it falls back to 0: the epoch has begun again")
    asked([0.25, 0.5, 0.75], "it never ends at 1: a schedule that decays to 0 does not get there")
    asked([0.5, 0.5, 1.0, 1.0], "that it stays the same for a step is right")
    asked([1.0], "a run may have one step")
    asked([0, 1], "0 and 1 are shares as well")
    asked([0.0], "one step, and not at the end")
    none = "a run without any step has not come to its end"
    t.compare(on_no_steps, why=none, name="the verdict on an empty series")
    asked([0.5, 1.0, 0.5, 1.0], "two epochs, and progress falls between them")
    asked([0.5, 0.4, 1.0], "a little below the one before is below it")
    asked([0.5, 0.8, 0.6, 1.0], "above the first, and still below the one before it")
    asked([0.5, 0.999999], "exactly 1 is asked for: nearly is not there")
    asked([0.5, math.nextafter(1.0, 0.0)], "exactly 1 is asked for: nearly is not there")
    asked([0.5, 1.0, 1.000001], "a little above 1 is above 1")
    asked([0.5, 1.0, 1.5], "more than all examples cannot be used")
    asked([0.5, 2.0, 1.0], "above 1, and then it falls")
    asked([-0.5, 0.0, 1.0], "less than none cannot be used")
    asked([-1e-6, 1.0], "a little below 0 is below 0")
    asked([math.nan, 1.0], "NaN is no number from 0 to 1")
    asked([0.5, math.nan, 1.0], "NaN is no number from 0 to 1")
    asked([0.5, math.nan], "NaN is no number from 0 to 1")


@check("mixture.progress_falls")
def runs_with_one_odd_step(t: Trial) -> None:
    @t.for_all(
        length=st.integers(2, 12),
        place=st.integers(0, 11),
        value=st.sampled_from([0.0, -0.1, 0.3, 0.9, 1.0, 1.01]),
        examples=25,
    )
    def one_odd_step(length: int, place: int, value: float) -> None:
        series = [(i + 1) / length for i in range(length)]
        series[place % length] = value
        why = "one step that is wrong is enough, wherever it is"
        verdict_on(t, series, why, f"{length} equal steps, but {value} at step {place % length}")

    for place in (500, 998):
        series = [(i + 1) / 1000 for i in range(1000)]
        series[place] = 0.0
        why = "one step that is wrong is enough, also in a long run"
        verdict_on(t, series, why, f"1,000 steps, of which only number {place} falls back to 0")
    verdict_on(t, [(i + 1) / 1000 for i in range(1000)], "all is right", "1,000 equal steps")
