"""Chapter 08 · A mixture of tasks: worked answers."""

import ast
import operator
import random
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

# --- Given ------------------------------------------------------------------------------------

LETTERS = "ABCD"
UNK, BOS = "<|unk|>", "<|bos|>"
USER_START, USER_END = "<|user_start|>", "<|user_end|>"
ASSISTANT_START, ASSISTANT_END = "<|assistant_start|>", "<|assistant_end|>"
# The marks before and after each type of part.
FRAMES = {
    "text": ([], []),
    "python": (["<|python_start|>"], ["<|python_end|>"]),
    "python_output": (["<|output_start|>"], ["<|output_end|>"]),
}
OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}

# --- Tasks ------------------------------------------------------------------------------------


def multiple_choice(question: str, choices: Sequence[str], right: str) -> tuple[str, str]:
    """A question with lettered choices, and its answer.

    The question comes first. Under it each of the `choices` has a line of its own, in the order
    given: "- ", the choice, "=", its letter. The letter stands behind the choice, and nothing
    stands between the two but the sign. No line is ended that no other follows.

    Letters are taken from the front of `LETTERS`; there are at most as many choices. The answer is
    the letter of the choice `right`, which is one of them, and nothing else.

    >>> print(multiple_choice("谁作：床前明月光。", ["杜甫", "李白"], right="李白")[0])
    谁作：床前明月光。
    - 杜甫=A
    - 李白=B
    >>> multiple_choice("谁作：床前明月光。", ["杜甫", "李白"], right="李白")[1]
    'B'
    """
    lines = [f"\n- {choice}={c}" for choice, c in zip(choices, LETTERS, strict=False)]
    return question + "".join(lines), LETTERS[choices.index(right)]


def mixture_order(sizes: Sequence[int], seed: int = 42) -> list[tuple[int, int]]:
    """All examples of several tasks in one shuffled order, as pairs of numbers.

    Task number t has `sizes[t]` examples; both tasks and examples are numbered from 0. Every pair
    (t, i) comes exactly once, so a task that is listed twice comes twice, under two numbers.

    Every order is as likely as any other. The same `seed` gives the same order, another seed
    another one, whatever has been drawn elsewhere. And nothing drawn elsewhere is changed by it:
    the state of Python's, NumPy's and PyTorch's global generators stays as it is.

    >>> sorted(mixture_order([2, 1]))
    [(0, 0), (0, 1), (1, 0)]
    """
    order = [(t, i) for t, size in enumerate(sizes) for i in range(size)]
    random.Random(seed).shuffle(order)
    return order


def shares() -> dict[str, float]:
    """Predict: what is in a mixture. Work it out by hand, then compare with the text.

    A tutorial lists the tasks of its mixture and how many examples each has: conversations
    460,000, multiple choice 100,000, sums in words 8,000, identity 1,000, spelling a word 200,000,
    counting its letters 80,000. A step learns from 524,288 tokens. Return a dictionary with these
    keys; "listed", "steps" and "tokens" exactly, the others to three digits or more.

    - "listed": how many examples that is. (The text: 850,000);
    - "choice": the share of multiple choice, where 1 is all. (The text advises 0.15 to 0.2);
    - "spelling": the share of the last two tasks together. (The text advises 0.2 to 0.3);
    - "identity": how many of 1,000 shuffled examples are identity, on average, if identity is
      listed twice, as the text says elsewhere;
    - "tokens": how many tokens 2,000 steps learn from. (So long is the text's run);
    - "steps": how many steps it takes to see 95 million tokens, the last one included. (So many
      tokens follow from the text's table);
    - "length": how many tokens an example has on average, if the examples listed have 95 million.

    >>> found = shares()
    >>> sorted(found)[:3], len(found)
    (['choice', 'identity', 'length'], 7)
    """
    return {
        "listed": 849_000,
        "choice": 0.11779,  # 100 of 849
        "spelling": 0.3298,  # 280 of 849
        "identity": 2.3529,  # 2 of 850
        "tokens": 1_048_576_000,  # 2,000 · 524,288
        "steps": 182,  # 181.2, and a step that is begun is one
        "length": 111.9,  # 95,000 ÷ 849
    }


# --- Conversations ----------------------------------------------------------------------------


def render_conversation(
    conversation: Sequence[dict[str, Any]], special: dict[str, int], stoi: dict[str, int]
) -> tuple[list[int], list[bool]]:
    """The ids of a conversation (对话), and which of them the assistant says.

    A conversation is a list of messages {"role", "content"}. What a "user" says is a text. What the
    "assistant" says is a list of parts {"type", "text"}: "text", a call of the calculator
    ("python"), or what it gave back ("python_output"). `special` has the ids of the marks, `stoi`
    those of single characters; for a character that it lacks, take `special[UNK]`.

    Ids come in this order:

    - BOS, once;
    - for a user: USER_START, the text, USER_END;
    - for an assistant: ASSISTANT_START, the parts, ASSISTANT_END. A part is its text between the
      marks that `FRAMES` has for its type.

    True are the assistant's texts, its calls with their marks, and ASSISTANT_END. All else is
    False: others write it, an output and its marks as well.

    A text is read character by character: if it spells a mark, it is no mark.

    >>> special = {BOS: 1, USER_START: 2, USER_END: 3, ASSISTANT_START: 4, ASSISTANT_END: 5}
    >>> answer = [{"type": "text", "text": "答"}]
    >>> asked = [{"role": "user", "content": "问"}, {"role": "assistant", "content": answer}]
    >>> ids, said = render_conversation(asked, special, {"问": 8, "答": 9})
    >>> ids, [int(s) for s in said]
    ([1, 2, 8, 3, 4, 9, 5], [0, 0, 0, 0, 0, 1, 1])
    """
    ids, said = [special[BOS]], [False]

    def add(before: list[str], text: str, after: list[str], by_assistant: bool) -> None:
        new = [special[mark] for mark in before]
        new += [stoi[c] if c in stoi else special[UNK] for c in text]
        new += [special[mark] for mark in after]
        ids.extend(new)
        said.extend([by_assistant] * len(new))

    for message in conversation:
        if message["role"] == "user":
            add([USER_START], message["content"], [USER_END], False)
            continue
        add([ASSISTANT_START], "", [], False)  # whoever asks gives the word
        for part in message["content"]:
            before, after = FRAMES[part["type"]]
            add(before, part["text"], after, part["type"] != "python_output")
        add([], "", [ASSISTANT_END], True)  # to stop is to be learned, too
    return ids, said


def answer_targets(ids: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
    """Mend this: inputs, and targets that are -1 where nothing is to be learned.

    `ids` (B, T + 1) are rows of tokens, `said` (B, T + 1) is True where the assistant says them.
    Returns inputs (B, T) and targets (B, T). A target is the token behind its input, if the
    assistant says this token; else it is -1, which the loss passes over. `ids` and `said` stay as
    they are.

    Symptom: a model is trained on questions that are answered by one letter. It learns to end its
    answers behind the first character. Which letter is right it never learns.

    >>> inputs, targets = answer_targets(torch.tensor([[7, 8, 9]]), torch.tensor([[0, 1, 1]]) > 0)
    >>> inputs.tolist(), targets.tolist()
    ([[7, 8]], [[8, 9]])
    """
    # Shifted with the targets: what counts is what is predicted, not what predicts it.
    return ids[:, :-1], ids[:, 1:].masked_fill(~said[:, 1:], -1)


# --- A tool -----------------------------------------------------------------------------------


def calculate(expression: str) -> str:
    """The value of an expression as text, or a text that begins with "error".

    Expressions are whole numbers, as Python writes them; sums, differences and products (+ - *) of
    expressions; an expression with a sign (+ -) in front of it or in brackets; and
    "text".count("part"), of two texts in quotes: how often the part is in the text. Products come
    before sums, as usual. Blanks around an expression do not matter.

    Everything else is an error, and so is an expression of more than 500 characters. A model may
    have written it: nothing in it may be run. So parse it (`ast.parse(…, mode="eval")`), walk the
    tree, and name what is allowed. Whatever is asked, a text is returned and nothing is raised.

    >>> calculate("2 + 3 * 56"), calculate('"月月山".count("月") - 3')
    ('170', '-1')
    >>> calculate("__import__('os').getcwd()")[:5], calculate("7 +")[:5]
    ('error', 'error')
    """
    if len(expression) > 500:
        return "error: more than 500 characters"

    def value(node: ast.AST) -> int:
        match node:
            case ast.Constant(value=number) if type(number) is int:  # True is an int as well
                return number
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -value(inner)
            case ast.UnaryOp(op=ast.UAdd(), operand=inner):
                return value(inner)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(left), value(right))
            case ast.Call(
                func=ast.Attribute(value=ast.Constant(value=str(text)), attr="count"),
                args=[ast.Constant(value=str(part))],
                keywords=[],
            ):
                return text.count(part)
        raise ValueError('only whole numbers, + - * and "text".count("part")')

    try:
        return str(value(ast.parse(expression.strip(), mode="eval").body))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"error: {error}"


# --- Batches ----------------------------------------------------------------------------------


def take_batch(buffer: deque[int], B: int, T: int) -> tuple[Tensor, Tensor] | None:
    """Mend this: inputs and targets (B, T) from the front of a buffer, or None.

    `buffer` holds tokens, each an int: conversations laid end to end, and more are put in at its
    end from time to time. Laid end to end again, the inputs of all batches are these tokens in
    their order, and each has the token behind it as its target. So every token but the first is a
    target, once.

    What is used up is taken out. If there is too little for a whole batch, return None and leave
    the buffer as it is.

    Symptom: a buffer of 97 tokens has 96 targets, enough for 6 batches of 2 · 8. It gives 5.

    >>> buffer = deque([1, 2, 3, 4, 5])
    >>> inputs, targets = take_batch(buffer, B=2, T=2)
    >>> inputs.tolist(), targets.tolist()
    ([[1, 2], [3, 4]], [[2, 3], [4, 5]])
    """
    if len(buffer) <= B * T:
        return None
    inputs = [buffer.popleft() for _ in range(B * T)]
    # The last target stays: it is the first input of the next batch.
    tokens = torch.tensor([*inputs, buffer[0]])
    return tokens[:-1].view(B, T), tokens[1:].view(B, T)


def best_fit(lengths: Sequence[int], room: int) -> int | None:
    """Which of the waiting conversations goes next into a row that has `room` tokens left.

    `lengths` are their lengths, that of the oldest first. It is the longest one that fits whole;
    of several such, the oldest. Returns its number, counted from 0, or None if none fits.

    >>> best_fit([7, 3, 5, 5], room=6), best_fit([7], room=6)
    (2, None)
    """
    fitting = [i for i, length in enumerate(lengths) if length <= room]
    return max(fitting, key=lambda i: lengths[i], default=None)


def lost_targets() -> dict[str, int]:
    """Predict: what becomes of short conversations. Work it out by hand, then compute it.

    A tutorial shows how four conversations of together 650 tokens fill a batch of 4 rows of 512.
    Say they have 150, 100, 300 and 100 tokens, marks included. Return a dictionary of whole
    numbers:

    - "needed": how many tokens must be in the buffer before a batch of 4 · 512 can be taken, its
      targets included;
    - "second_row": how many of the 650 tokens come into the second row of inputs, if they are laid
      end to end and the first row is full;
    - "rounds": how often such four conversations must come until the first batch is there;
    - "batches": how many batches of 1 row of 512 can be taken from 650 tokens;
    - "lost": how many of their targets are then in no batch;
    - "dropped": how many targets are in no batch, if 1,000 such rounds come in a row and each batch
      of 1 row takes 513 tokens out of the buffer for good;
    - "padding": how many places stay empty if the four are kept whole and put into as few rows of
      513 tokens as will do.

    >>> found = lost_targets()
    >>> sorted(found)[:3], len(found)
    (['batches', 'dropped', 'lost'], 7)
    """
    return {
        "needed": 2_049,  # 4 · 512 inputs, and the target of the last
        "second_row": 138,  # 650 - 512; rows 3 and 4 stay empty
        "rounds": 4,  # 3 rounds are 1,950 tokens
        "batches": 1,
        "lost": 137,  # 649 targets, and 512 of them are in the batch
        "dropped": 1_295,  # 649,999 - 1,267 · 512; with one token kept it would be 271
        "padding": 376,  # two rows: 150 + 300 and 100 + 100, or in other company
    }


# --- Progress ---------------------------------------------------------------------------------


def progress_falls(series: Iterable[float]) -> bool:
    """Whether the progress of a run falls back, or falls short of the end.

    `series` gives the progress at each step of a run, one after the other: the share of the
    examples that has been used. It can be gone through once. It is right if each is a number from 0
    to 1 (NaN is none), none is below the one before it, and the last is exactly 1. That one stays
    the same for some steps is right. A run without any step has not come to its end.

    Return True if something is wrong, False if all is right.

    >>> progress_falls([0.25, 0.5, 0.5, 1.0])
    False
    >>> progress_falls([0.25, 0.5, 0.75, 0.0]), progress_falls([0.25, 0.5, 0.75])
    (True, True)
    """
    before = 0.0
    for progress in series:
        if not before <= progress:
            return True
        before = progress
    return before != 1  # what never falls and ends at 1 was never above it
