"""Chapter 08 · Mixture (任务混合): seven tasks over the corpus, and how they are mixed.

A task has examples by number, each a conversation whose last message is a right answer, and says
whether another answer is right too. An example depends on its number and a seed, on nothing else.
A mixture shuffles the examples of all its tasks; a task listed twice is seen twice as often.

Sources: Cobbe et al. 2021 (GSM8K: word problems with a calculator); Hendrycks et al. 2021 (MMLU:
one of four); Karpathy 2025 (nanochat: Task, TaskMixture, SpellingBee).
"""

import itertools
import random
import re
import string
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence

from nanopoet_ref.conversation import Conversation
from nanopoet_ref.poem import REGULATED, Poem, words
from nanopoet_ref.prosody import lines_of
from nanopoet_ref.tools import calculate

LETTERS = "ABCD"
NUMERALS = "零一二三四五六七八九十"
LENGTHS = {form: lines * length for (lines, length), form in REGULATED.items()}  # in characters


def ask(question: str, *answer: str | tuple[str, str]) -> Conversation:
    """One question and its answer, of texts and (type, text).

    >>> ask("问", "答")[1]
    {'role': 'assistant', 'content': [{'type': 'text', 'text': '答'}]}
    """
    pairs = [("text", part) if isinstance(part, str) else part for part in answer]
    parts = [{"type": kind, "text": text} for kind, text in pairs]
    return [{"role": "user", "content": question}, {"role": "assistant", "content": parts}]


def call(expression: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """A call of the calculator, and what it gives back."""
    return ("python", expression), ("python_output", calculate(expression))


def said(conversation: Conversation) -> str:
    """The right answer in words, without calls and their output."""
    return "".join(part["text"] for part in conversation[-1]["content"] if part["type"] == "text")


def last_number(text: str) -> str | None:
    """The last number of a text.

    >>> last_number("3首共168字")
    '168'
    """
    found = re.findall(r"\d+", text, re.ASCII)
    return found[-1] if found else None


def numeral(n: int) -> str:
    """A number from 1 to 99 in Chinese.

    >>> [numeral(n) for n in (3, 10, 15, 42)]
    ['三', '十', '十五', '四十二']
    """
    tens, ones = divmod(n, 10)
    return (NUMERALS[tens] if tens > 1 else "") + "十" * (tens > 0) + NUMERALS[ones] * (ones > 0)


# --- Tasks ---------------------------------------------------------------------------------------


class Task(ABC):
    """Examples by number, and what is right.

    `poems` are those of one split, and no task looks at any other: what is asked in validation has
    not been seen in training. A task without poems holds out every tenth of its own examples. Of
    `size` examples, where there are more, the poems are spread evenly over the corpus.
    """

    templates: tuple[str, ...] = ()  # what a task says besides the words of poems

    def __init__(
        self, poems: Sequence[Poem], split: str = "train", size: int | None = None, seed: int = 42
    ) -> None:
        self.seed = seed
        self.poems = poems
        items = self.items(poems, split)
        n = len(items) if size is None else min(size, len(items))
        self.chosen = [items[i * len(items) // n] for i in range(n)]
        if not self.chosen:
            raise ValueError(f"{self.name}: not one of {len(poems)} poems can be asked about")

    @property
    def name(self) -> str:
        return type(self).__name__

    def items(self, poems: Sequence[Poem], split: str) -> Sequence:
        """What examples are made of, one each: here the poems that can be asked about."""
        return [poem for poem in poems if self.fits(poem)]

    def fits(self, poem: Poem) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, i: int) -> Conversation:
        if not 0 <= i < len(self):
            raise IndexError(f"{self.name} has examples 0 to {len(self) - 1}, not {i}")
        # A generator of its own, from a text: of -1 and 1 Python's would be the same.
        return self.example(self.chosen[i], random.Random(f"{self.name} {self.seed} {i}"))

    def __iter__(self) -> Iterator[Conversation]:
        return (self[i] for i in range(len(self)))

    @abstractmethod
    def example(self, item: Poem, draw: random.Random) -> Conversation:
        """One conversation; all chance comes from `draw`."""

    def evaluate(self, conversation: Conversation, answer: str) -> bool:
        """Whether an answer, in words, is right. Here: it is the one that stands there."""
        return answer == said(conversation)


class Compose(Task):
    """A poem from its fields. Right: as many lines, and as long, as the poet's own."""

    templates = ("写一首{form}", "，题为{title}", "，作者{author}", "。")

    def example(self, item: Poem, draw: random.Random) -> Conversation:
        form, title, author, stop = self.templates
        # Whoever asks need not know everything: title and author are given every other time.
        question = form + title * draw.randrange(2) + author * draw.randrange(2) + stop
        return ask(
            question.format(form=item.form, title=item.title, author=item.author), item.content
        )

    def evaluate(self, conversation: Conversation, answer: str) -> bool:
        shape, own = ([len(line) for line in lines_of(t)] for t in (answer, said(conversation)))
        return shape == own


def couplets(poem: Poem) -> list[list[str]]:
    """The sentences of two equal lines.

    >>> couplets(Poem("", "", "", "床前明月光，疑是地上霜。低头，思故乡。"))
    [['床前明月光', '疑是地上霜']]
    """
    found = [sentence.split("，") for sentence in poem.content.split("。")]
    return [pair for pair in found if len(pair) == 2 and len(pair[0]) == len(pair[1]) > 0]


class FinishCouplet(Task):
    """The second line to a first. Right: as long as the first, stopped, and not the first again."""

    templates = ("对下句：{first}，", "{second}。")

    def fits(self, poem: Poem) -> bool:
        return bool(couplets(poem))

    def example(self, item: Poem, draw: random.Random) -> Conversation:
        first, second = draw.choice(couplets(item))
        question, answer = self.templates
        return ask(question.format(first=first), answer.format(second=second))

    def evaluate(self, conversation: Conversation, answer: str) -> bool:
        first, own = conversation[0]["content"].partition("：")[2][:-1], said(conversation)
        return (
            len(answer) == len(own)
            and lines_of(answer) not in ([], [first])
            and (words(answer) + "。" == answer)
        )


class WhoWrote(Task):
    """One of four authors, as MMLU asks: a letter is the answer."""

    templates = ("谁作：{opening}", "\n- {author}={letter}")

    def items(self, poems: Sequence[Poem], split: str) -> Sequence:
        # Others are drawn as often as they wrote, so that fame alone gives nobody away.
        self.authors = [poem.author for poem in poems]
        self.choices = min(len(LETTERS), len(set(self.authors)))
        return list(poems) if self.choices > 1 else []

    def example(self, item: Poem, draw: random.Random) -> Conversation:
        authors = {item.author: None}  # a dict keeps the order, and so the seed's meaning
        while len(authors) < self.choices:
            authors[draw.choice(self.authors)] = None
        shuffled = draw.sample(list(authors), len(authors))
        question, choice = self.templates
        # Two sentences are enough to know a poet by, or not; a long poem would fill the block.
        opening = "".join(re.findall("[^。]*。", item.content)[:2])
        lines = [choice.format(author=a, letter=c) for a, c in zip(shuffled, LETTERS, strict=False)]
        return ask(
            question.format(opening=opening) + "".join(lines), LETTERS[shuffled.index(item.author)]
        )


class WhichForm(Task):
    """The form of a poem that is shown."""

    templates = ("此诗何体：{content}", "{form}")

    def example(self, item: Poem, draw: random.Random) -> Conversation:
        question, answer = self.templates
        return ask(question.format(content=item.content), answer.format(form=item.form))


class Count(Task):
    """How often a character stands in a quatrain: spell it, have it counted, say it.

    Right: the last number is. The model has to copy; counting is the calculator's.
    """

    templates = ("{content}有几个“{character}”？", '"{spelt}".count("{character}")', "有{n}个。")

    def fits(self, poem: Poem) -> bool:
        return 0 < len(words(poem.content)) <= 28

    def example(self, item: Poem, draw: random.Random) -> Conversation:
        # Half of the time a character of this poem, else one of any poem, which it may not have.
        source = item if draw.randrange(2) else draw.choice(self.chosen)
        character, spelt = draw.choice(words(source.content)), words(item.content)
        question, expression, answer = self.templates
        return ask(
            question.format(content=item.content, character=character),
            spelt,
            *call(expression.format(spelt=spelt, character=character)),
            answer.format(n=spelt.count(character)),
        )

    def evaluate(self, conversation: Conversation, answer: str) -> bool:
        return last_number(answer) == last_number(said(conversation))


class Arithmetic(Task):
    """How many characters some poems have together, in words. Right: the last number is."""

    templates = ("共几字？", "{n}首{form}", "和", "共{total}字。", NUMERALS)

    def items(self, poems: Sequence[Poem], split: str) -> Sequence:
        one = [[(n, form)] for n in range(1, 100) for form in LENGTHS]
        two = [
            [(n, first), (m, second)]
            for first, second in itertools.permutations(LENGTHS, 2)
            for n, m in itertools.product(range(1, 21), repeat=2)
        ]
        return hold_out(one + two, split)

    def example(self, item: list[tuple[int, str]], draw: random.Random) -> Conversation:  # type: ignore[override]
        ending, some, and_, answer, _ = self.templates
        question = and_.join(some.format(n=numeral(n), form=form) for n, form in item) + ending
        expression = "+".join(f"{n}*{LENGTHS[form]}" for n, form in item)
        return ask(question, *call(expression), answer.format(total=calculate(expression)))

    def evaluate(self, conversation: Conversation, answer: str) -> bool:
        return last_number(answer) == last_number(said(conversation))


ABOUT_ITSELF = {
    "你是谁": "我是nanopoet，一个作诗的小模型。",
    "你叫什么": "我叫nanopoet。",
    "你会什么": "我会作诗，对句，认诗人，辨诗体，数字。",
    "你从何学诗": "我读古人的诗，学着往下写。",
    "你是人吗": "不是，我是一个小模型。",
    "谁教你作诗": "学这门课的人。",
}


class Identity(Task):
    """Who it is, asked in some ways. Right: word for word."""

    templates = (
        "请问",
        "你好，",
        "喂，",
        "敢问",
        "？",
        "。",
        *ABOUT_ITSELF,
        *ABOUT_ITSELF.values(),
    )

    def items(self, poems: Sequence[Poem], split: str) -> Sequence:
        before, after = ("", *self.templates[:4]), ("", *self.templates[4:6])
        return hold_out(list(itertools.product(before, ABOUT_ITSELF, after)), split)

    def example(self, item: tuple[str, str, str], draw: random.Random) -> Conversation:  # type: ignore[override]
        return ask("".join(item), ABOUT_ITSELF[item[1]])


def hold_out(items: list, split: str) -> list:
    """The items of a split: every tenth, in an order that has no pattern, is for validation."""
    if split not in ("train", "val"):
        raise ValueError(f"split {split!r} is neither train nor val")
    shuffled = random.Random(42).sample(items, len(items))
    return shuffled[9::10] if split == "val" else [x for i, x in enumerate(shuffled) if i % 10 != 9]


TASKS: dict[str, type[Task]] = {
    task.__name__: task
    for task in (Compose, FinishCouplet, WhoWrote, WhichForm, Count, Arithmetic, Identity)
}
# Every character that a task may write besides those of poems, and what a user may type.
CHARACTERS = (
    string.printable[:-5]
    + "\n"
    + "".join(text for task in TASKS.values() for text in task.templates)
)


# --- Mixture -------------------------------------------------------------------------------------


class TaskMixture:
    """The examples of several tasks in one shuffled order.

    Every example comes exactly once for each time that its task is listed.

    >>> tasks = [Identity([]), Arithmetic([], size=10), Identity([])]
    >>> len(TaskMixture(tasks)) == 2 * len(tasks[0]) + 10
    True
    """

    def __init__(self, tasks: Sequence[Task], seed: int = 42) -> None:
        self.tasks = tasks
        self.order = [(task, i) for task in tasks for i in range(len(task))]
        random.Random(seed).shuffle(self.order)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, i: int) -> Conversation:
        task, number = self.order[i]
        return task[number]

    def __iter__(self) -> Iterator[Conversation]:
        return (self[i] for i in range(len(self)))


def mixture_shares(tasks: Sequence[Task]) -> dict[str, float]:
    """Which share of a mixture's examples each task has.

    >>> mixture_shares([Arithmetic([], size=30), Arithmetic([], size=30), Identity([], size=20)])
    {'Arithmetic': 0.75, 'Identity': 0.25}
    """
    counts = Counter[str]()
    for task in tasks:
        counts[task.name] += len(task)
    return {name: n / counts.total() for name, n in counts.items()}
