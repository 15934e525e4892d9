"""Checks of chapter 08."""

import itertools
import operator
import random
from collections.abc import Callable, Sequence

import numpy as np
import torch

from nanopoet.checker.trial import Trial, check

# --- multiple_choice --------------------------------------------------------------------------

POETS = ["杜甫", "李白", "王維", "白居易"]


def lettered(question: str, choices: Sequence[str], right: str) -> tuple[str, str]:
    lines = [question, *(f"- {choice}={c}" for choice, c in zip(choices, "ABCD", strict=False))]
    if len(choices) > 4:
        raise ValueError("more choices than letters")
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


@check("mixture.multiple_choice")
def questions_that_cannot_be_asked(t: Trial) -> None:
    five = [*POETS, "杜牧"]
    t.refuses("誰作：", five, "杜甫", why="there is no letter for the fifth choice")
    t.refuses("誰作：", five, "杜牧", why="there is no letter for the fifth choice")
    t.refuses("誰作：", POETS, "杜牧", why="a question without a right choice teaches an error")


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

    def tasks_are_mixed(function: Callable) -> bool:
        # 299 pairs of neighbours, 150 changes on average, with a spread of 9.
        return all(105 < neighbours(function([150, 150], seed))[0] < 195 for seed in seeds)

    def examples_are_mixed(function: Callable) -> bool:
        # One of 150 examples is followed by the next, on average.
        return all(neighbours(function([150, 150], seed))[1] < 15 for seed in seeds)

    def small_tasks_are_anywhere(function: Callable) -> bool:
        # The place of a single example in a list of 101, for 60 seeds: 50 on average.
        places = [function([100, 1], seeds[0] + i).index((1, 0)) for i in range(60)]
        return 30 < sum(places) / 60 < 70 and len(set(places)) > 20

    mixed = "tasks follow one another as chance has it: not one by one, and not in turn"
    t.compare(tasks_are_mixed, why=mixed, name="whether the tasks are mixed")
    anew = "the examples of a task are shuffled, too: their numbers may mean something"
    t.compare(examples_are_mixed, why=anew, name="whether the examples of a task are mixed")
    anywhere = "a task of one example may come at any place"
    t.compare(small_tasks_are_anywhere, why=anywhere, name="whether small tasks come anywhere")


@check("mixture.mixture_order")
def a_seed_is_an_order(t: Trial) -> None:
    first, second = t.random.sample(range(1000), 2)

    def others_draw(function: Callable) -> list[list]:
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        orders = []
        for seed in (1, 2):
            random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
            orders.append(function([20, 30], first))
        random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])
        return orders

    def untouched(function: Callable) -> bool:
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        function([20, 30], first)
        after = random.getstate(), np.random.get_state(), torch.get_rng_state()
        random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])
        return str(states) == str(after)

    t.compare(
        lambda f: operator.eq(*others_draw(f)),
        why="a seed means the same order, whatever was drawn before",
        name="whether a seed gives one order",
    )
    t.compare(
        lambda f: f([20, 30], first) == f([20, 30], second),
        why="another seed gives another order",
        name="whether two seeds give the same order",
    )
    t.compare(
        untouched,
        why="whoever draws from a global generator changes what all others draw after it",
        name="whether the global generators stay as they were",
    )
