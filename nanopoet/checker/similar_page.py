"""`nanopoet grade --similar`: pairs of submissions that are alike, side by side. No verdict."""

from collections.abc import Callable, Mapping, Sequence

from nanopoet.checker.compare_page import code_table, html_page, text
from nanopoet.checker.comparison import Block
from nanopoet.checker.grade_page import STYLE, table
from nanopoet.checker.pieces import side_by_side
from nanopoet.checker.similarity import RUN, Pair, answer_of, normal
from nanopoet.checker.tasks import load_tasks

SHOWN = 3  # tasks of a pair
NO_VERDICT = f"""This is no verdict. What is counted is runs of {RUN} tokens that both have written:
without names, comments, docstrings and layout, without what was handed out, and each by how few of
the class have it. A short function can be written in few ways, two learners may have read the same
book, and every class has a pair that is the most alike. Look at the code, and ask."""


def tasks_of(pair: Pair) -> list[str]:
    """The tasks in which most is shared first."""
    return sorted(pair.by_task, key=lambda task: (-pair.by_task[task], task))


def link(number: int, pair: Pair) -> list[str]:
    shown = [f"{task} {pair.by_task[task]:.0f}" for task in tasks_of(pair)[:SHOWN]]
    names = " · ".join(map(text, pair.names))
    rest = len(pair.by_task) - len(shown)
    more = f" and {rest} more" if rest > 0 else ""
    return [f'<a href="#pair-{number}">{names}</a>', f"{pair.total:.0f}", ", ".join(shown) + more]


def article(number: int, pair: Pair, sources: Callable[[str], Mapping[str, bytes]]) -> str:
    """The code of a pair, where most of it is shared."""
    one, other = (sources(name) for name in pair.names)
    names = tuple(map(text, pair.names))
    parts = [f'<article id="pair-{number}"><h2>{" · ".join(names)}</h2>']
    for name in tasks_of(pair)[:SHOWN]:
        task = load_tasks()[name]
        pieces = (normal(answer_of(source[task.module], task)) for source in (one, other))
        block = Block(names, side_by_side(*pieces))
        parts += [f"<h3>{name}</h3>", f'<div class="code">{code_table(block, name)}</div>']
    return "\n".join([*parts, "</article>"])


def similar_page(pairs: Sequence[Pair], sources: Callable[[str], Mapping[str, bytes]]) -> str:
    """The page. `sources` gives the files of a submission, by module, by its name."""
    rows = [link(number, pair) for number, pair in enumerate(pairs, 1)]
    heads = ["submissions", "shared", "most of it in"]
    body = [
        '<a class="skip" href="#pairs">To the pairs</a>',
        f"<header><h1>Answers that are alike</h1><p>{NO_VERDICT}</p></header>",
        '<main><div id="pairs" tabindex="-1">',
        table("Pairs, the most alike first", heads, rows, 1)
        if pairs
        else "<p>No two submissions share a run of tokens.</p>",
        "<p>= marks statements that are the same but for names, ≠ others.</p>",
        *(article(number, pair, sources) for number, pair in enumerate(pairs, 1)),
        "</div></main>",
    ]
    return html_page("Answers that are alike", body, STYLE)
