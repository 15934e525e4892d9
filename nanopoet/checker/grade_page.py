"""The page of a class: who has how many points, which tasks fail, and what was misunderstood.

One file that needs nothing else. What comes from a submission is text, never markup.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nanopoet.checker.check import FAILED
from nanopoet.checker.compare_page import html_page, said_of, text
from nanopoet.checker.gradebook import Gradebook, number
from nanopoet.checker.graded import MISSING, Graded
from nanopoet.checker.tasks import Task, load_tasks
from nanopoet.checker.verdict import Verdict

STYLE = """
.wide td:last-child:not(.n) { min-width: 12rem; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td.n { white-space: nowrap; }
.wide tbody th { position: sticky; left: 0; background: var(--page); min-width: 8rem; }
tbody tr:nth-child(even) { background: var(--soft); }
.bar { font-family: ui-monospace, monospace; letter-spacing: -.05em; margin-right: .5rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; list-style: none; padding: 0; }
summary:focus { outline: 3px solid var(--link); outline-offset: 2px; }
@page { size: landscape; }
@media print { nav { display: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  thead { display: table-header-group; } table { font-size: 8pt; }
  .wide tbody th { position: static; min-width: 0; } td.n { white-space: normal; } }
"""
MOST_ERRORS = 50  # kinds of errors shown


@dataclass
class OfTask:
    """What a class did with a task."""

    statuses: Counter[str] = field(default_factory=Counter)
    shares: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def handed_in(self) -> int:
        return self.statuses.total() - self.statuses[MISSING]

    def add(self, graded: Graded, task: Task) -> None:
        self.statuses[graded.status(task)] += 1
        if task.name in graded.verdicts:
            self.shares.append(graded.share(task))
            self.seconds.append(graded.verdicts[task.name].seconds)


@dataclass
class Mistake:
    """A misconception or an error, and who has it."""

    task: str
    name: str
    explanation: str = ""
    who: list[str] = field(default_factory=list)


@dataclass
class Findings:
    """What is shown of a class, gathered from one submission after the other."""

    rows: list[list[str]] = field(default_factory=list)
    tasks: dict[str, OfTask] = field(default_factory=lambda: defaultdict(OfTask))
    misconceptions: dict[tuple[str, str], Mistake] = field(default_factory=dict)
    errors: dict[tuple[str, str], Mistake] = field(default_factory=dict)

    def add(self, book: Gradebook, graded: Graded) -> None:
        self.rows.append(class_row(book, graded))
        for task in load_tasks().values():
            self.tasks[task.name].add(graded, task)
        for verdict in graded.verdicts.values():
            self.add_mistake(graded, verdict)

    def add_mistake(self, graded: Graded, verdict: Verdict) -> None:
        found, name = self.misconceptions, verdict.misconception
        if not name and verdict.status in ("error", "timeout"):
            found, name = self.errors, verdict.symptom
        if name:
            blank = Mistake(verdict.task, name, verdict.explanation)
            found.setdefault((verdict.task, name), blank).who.append(graded.title)


def commonest(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """Those that most have come first, then in the order of the course."""
    order = list(load_tasks())
    return sorted(mistakes, key=lambda m: (-len(m.who), order.index(m.task), m.name))


# --- Tables --------------------------------------------------------------------------------------


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], numeric: int) -> str:
    """A table whose rows begin with a head; the next `numeric` columns hold numbers.

    Cells are HTML. It can be reached and scrolled by keyboard where it is wider than the window.
    """

    def kind(column: int) -> str:
        return ' class="n"' if 1 <= column <= numeric else ""

    top = "".join(f'<th scope="col"{kind(i)}>{text(head)}</th>' for i, head in enumerate(heads))
    body = []
    for first, *rest in rows:
        cells = "".join(f"<td{kind(i)}>{cell}</td>" for i, cell in enumerate(rest, 1))
        body.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return (
        f'<div class="wide" role="region" aria-label="{text(caption)}" tabindex="0">'
        f"<table><caption>{text(caption)}</caption><thead><tr>{top}</tr></thead>\n<tbody>"
        + "\n".join(body)
        + "</tbody></table></div>"
    )


def chapters(book: Gradebook) -> list[int]:
    """Those whose tasks have points."""
    return [n for n in sorted({t.chapter for t in load_tasks().values()}) if book.of_chapter(n)]


def class_row(book: Gradebook, graded: Graded) -> list[str]:
    """A line of the class's table."""
    counts = [graded.counts(*kind) for kind in (["pass"], FAILED, ["todo"], [MISSING])]
    seconds = sum(verdict.seconds for verdict in graded.verdicts.values())
    said = (["late"] if book.late(graded) else []) + graded.remarks
    return [
        text(graded.title),
        number(graded.points(book.weights)),
        *(number(graded.points(book.weights, chapter)) for chapter in chapters(book)),
        *map(str, counts),
        f"{seconds:.1f}",
        "<br>".join(map(text, said)),
    ]


def class_table(book: Gradebook, found: Findings) -> str:
    parts = [f"ch. {n:02d} (of {number(book.of_chapter(n))})" for n in chapters(book)]
    counts = ["pass", "fail", "not written", "not handed in", "seconds"]
    heads = ["submission", f"points (of {number(book.total)})", *parts, *counts, "remarks"]
    return table("Points and tasks by submission", heads, found.rows, len(heads) - 2)


def bar(share: float) -> str:
    full = round(10 * share)
    return f'<span class="bar" aria-hidden="true">{"█" * full}{"░" * (10 - full)}</span>'


def task_row(task: Task, of: OfTask) -> list[str]:
    passed, judged = of.statuses["pass"], of.handed_in
    rate = f"{bar(passed / judged)}{100 * passed / judged:.0f} %" if judged else "–"
    means = f"{statistics.mean(of.shares):.2f}" if judged else "–"
    times = (f"{pick(of.seconds):.2f}" for pick in (statistics.median, max)) if judged else "––"
    counts = (of.statuses[status] for status in ("pass", "fail", "error", "timeout", "todo"))
    return [
        f"{task.name}<br>{text(task.title)}",
        rate,
        means,
        *map(str, counts),
        str(judged),
        *times,
    ]


def task_table(found: Findings) -> str:
    statuses = [said_of(s) for s in ("pass", "fail", "error", "timeout", "todo")]
    heads = ["task", "pass rate", "mean share", *statuses, "handed in", "median s", "longest s"]
    rows = (task_row(task, found.tasks[name]) for name, task in load_tasks().items())
    return table("Each task: of those handed in, how many pass", heads, rows, len(heads) - 1)


def who(mistake: Mistake) -> str:
    """The names, folded: they can be unfolded by keyboard, too."""
    title = f'who<span class="unseen"> has: {text(mistake.name)} in {mistake.task}</span>'
    return f"<details><summary>{title}</summary>{'<br>'.join(map(text, mistake.who))}</details>"


def mistake_table(caption: str, what: str, mistakes: Sequence[Mistake], found: Findings) -> str:
    explained = any(mistake.explanation for mistake in mistakes)
    rows = []
    for mistake in mistakes:
        share = f"{len(mistake.who)} of {found.tasks[mistake.task].handed_in}"
        explanation = [text(mistake.explanation)] if explained else []
        rows.append([text(mistake.name), share, mistake.task, *explanation, who(mistake)])
    heads = [what, "how many", "task", *(["what it is"] if explained else []), "submissions"]
    return table(caption, heads, rows, 1)


# --- The page ------------------------------------------------------------------------------------


def section(name: str, title: str, *parts: str) -> list[str]:
    return [f'<section id="{name}"><h2>{title}</h2>', *parts, "</section>"]


def grade_page(book: Gradebook, seed: int) -> str:
    """The page of a class. Raises `ValueError` for a submission that cannot be read."""
    found = Findings()
    for graded in book:
        found.add(book, graded)
    known = commonest(found.misconceptions.values())
    errors = commonest(found.errors.values())
    titles = {
        "class": "The class",
        "tasks": "The tasks",
        "misconceptions": "What was misunderstood",
        "errors": "Errors",
    }
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title in titles.items())
    shown = errors[:MOST_ERRORS]
    more = f"<p>{len(errors) - len(shown)} more are rarer.</p>" if len(errors) > len(shown) else ""
    parts = {
        "class": class_table(book, found),
        "tasks": task_table(found),
        "misconceptions": mistake_table(
            "Misconceptions, the commonest first", "misconception", known, found
        )
        if known
        else "<p>No answer looks like a known mistake.</p>",
        "errors": mistake_table("Errors, the commonest first", "error", shown, found) + more
        if errors
        else "<p>No answer raises an error or takes too long.</p>",
    }
    body = [
        '<a class="skip" href="#class">To the class</a>',
        "<header><h1>Grades of a class</h1>",
        f"<p>{len(found.rows)} submissions; seed {seed}. A share is that of the checks that hold. "
        "Seconds differ from run to run.</p></header>",
        f'<nav aria-label="Parts of this page"><ul>{links}</ul></nav>',
        "<main>",
    ]
    for name, title in titles.items():
        body += section(name, title, parts[name])
    return html_page("Grades of a class", [*body, "</main>"], STYLE)
