"""What `nanopoet compare --html` writes: one page that needs nothing else.

What comes from a submission is text, never markup; and should that ever fail, the page's own policy
lets a browser run and fetch nothing.
"""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from nanopoet.checker.comparison import Block, Comparison, summary
from nanopoet.checker.pieces import Row
from nanopoet.checker.progress import MARKS
from nanopoet.checker.verdict import Verdict
from nanopoet.files import printable

STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --page: #fff; --soft: #f3f3f0; --line: #767676;
  --differs: #fff0c2; --link: #0b4f9e; }
@media (prefers-color-scheme: dark) { :root { --text: #ececec; --page: #161616; --soft: #232323;
  --line: #8f8f8f; --differs: #4a3a08; --link: #9cc7ff; } }
body { color: var(--text); background: var(--page); font: 1rem/1.5 system-ui, sans-serif;
  margin: 0 auto; max-width: 90rem; padding: 1rem; }
a { color: var(--link); }
a:focus { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { position: static; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
table { border-collapse: collapse; width: 100%; }
caption { font-weight: bold; text-align: left; padding: .3rem 0; }
th, td { border: 1px solid var(--line); padding: .2rem .5rem; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
.wide { overflow-x: auto; margin: 1rem 0 2rem; position: relative; }
.wide:focus { outline: 3px solid var(--link); outline-offset: 2px; }
.wide th, .wide td { overflow-wrap: break-word; }
pre { font: .875rem/1.45 ui-monospace, monospace; margin: 0; white-space: pre-wrap;
  overflow-wrap: anywhere; unicode-bidi: isolate; }
.contract { background: var(--soft); padding: .7rem; }
.code { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; margin: 1rem 0; }
.code table { flex: 1 1 22rem; width: auto; }
.code table.two { flex: 2 1 40rem; table-layout: fixed; }
.code th.mark { width: 1.5rem; text-align: center; }
.code tbody th, .code tbody td { border-top-style: none; border-bottom-style: none;
  padding-top: 0; padding-bottom: 0; }
.code tbody { border-bottom: 1px solid var(--line); }
.code tr.differs > * { background: var(--differs);
  border-top: 1px dashed var(--line); border-bottom: 1px dashed var(--line); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { font-weight: bold; }
dd { grid-column: 2; margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
dd.as-written { font-family: ui-monospace, monospace; font-size: .875rem; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; }
  dd { grid-column: 1; margin-left: 1rem; } }
@media print { :root { color-scheme: light; --text: #000; --page: #fff; --soft: #fff;
  --line: #555; --differs: #eee; --link: #000; } .skip { display: none; } body { max-width: none; }
  .wide { overflow: visible; }
  article { break-inside: auto; } tr, dd, h3, h4 { break-inside: avoid; }
  h2, h3, h4, caption { break-after: avoid; } pre { font-size: 8pt; } }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
SAYS = {
    "pass": "passes",
    "fail": "fails",
    "error": "error",
    "timeout": "takes too long",
    "todo": "not written yet",
}


def text(value: str) -> str:
    return escape(printable(value))


def html_page(title: str, body: Iterable[str], style: str = "") -> str:
    """A whole page: one file, without scripts, which loads nothing."""
    inner = "\n".join(body)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{text(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
{inner}
</body>
</html>
"""


# --- A task --------------------------------------------------------------------------------------


def code_cell(lines: Sequence[str]) -> str:
    if not lines:
        return '<td><span class="unseen">nothing</span></td>'
    return f"<td><pre>{text(chr(10).join(lines))}</pre></td>"


def code_row(row: Row, marked: bool) -> str:
    """A row of a table of code; with a head that says whether it differs, not only by colour."""
    said, sign = ("differs", "≠") if row.differs else ("same", "=")
    head = (
        f'<th scope="row" class="mark"><span aria-hidden="true">{sign}</span>'
        f'<span class="unseen">{said}</span></th>'
    )
    cells = "".join(map(code_cell, row.sides))
    return f'<tr class="{said}">{head if marked else ""}{cells}</tr>'


def code_table(block: Block, task: str) -> str:
    """A block of code as a table, a column for each title."""
    marked = len(block.titles) > 1 or any(row.differs for row in block.rows)
    rows = block.rows if marked else [Row(False, (all_lines(block.rows),))]
    mark = '<th scope="col" class="mark"><span class="unseen">compared</span></th>'
    heads = "".join(f'<th scope="col">{title}</th>' for title in block.titles)
    body = "\n".join(code_row(row, marked) for row in rows)
    return (
        f'<table class="{"two" if len(block.titles) > 1 else "one"}">'
        f'<caption class="unseen">{" and ".join(block.titles)} of {text(task)}</caption>'
        f"<thead><tr>{mark if marked else ''}{heads}</tr></thead>\n<tbody>{body}</tbody></table>"
    )


def all_lines(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(line for row in rows for line in row.sides[0])


def verdict_rows(verdict: Verdict, file: str) -> list[tuple[str, str]]:
    """What a check says, by label, as in a terminal."""
    looks = f"{verdict.misconception}. {verdict.explanation}" if verdict.misconception else ""
    rows = {
        "verdict": said_of(verdict.status),
        "says": verdict.symptom,
        "in": f"{file}, line {verdict.line}" if verdict.line else file,
        "code": verdict.code,
        "given": verdict.given,
        "expected": verdict.expected,
        "got": verdict.got,
        "why": verdict.why,
        "first": f"{verdict.helper} fails its own check" if verdict.helper else "",
        "looks like": looks,
    }
    if verdict.status == "pass":
        rows = {"verdict": rows["verdict"]}
    return [(label, value) for label, value in rows.items() if value]


def said_of(status: str) -> str:
    """A verdict as a sign and a word: colour says nothing here."""
    return f"{MARKS[status]} {SAYS[status]}"


AS_WRITTEN = ("code", "given", "expected", "got")


def definitions(rows: Sequence[tuple[str, str]]) -> str:
    """Labels and what is said of each; a label that repeats is said once."""
    parts, before = [], ""
    for label, value in rows:
        kind = ' class="as-written"' if label in AS_WRITTEN else ""
        head = "" if label == before else f"<dt>{text(label)}</dt>"
        parts.append(f"{head}<dd{kind}>{text(value)}</dd>")
        before = label
    return f"<dl>{''.join(parts)}</dl>"


def article(found: Comparison) -> str:
    """A task from what it asks for to what is said of the answer."""
    task = found.task
    parts = [
        f'<article id="{task.name}">',
        f"<h3>{task.name} · {text(task.title)}</h3>",
        f'<pre class="contract">{text(found.contract)}</pre>',
        f'<div class="code">{"".join(code_table(b, task.name) for b in found.blocks)}</div>',
    ]
    if found.verdict:
        parts += ["<h4>The check</h4>", definitions(verdict_rows(found.verdict, task.file))]
    parts += ["<h4>The code</h4>", definitions(found.notes)]
    if found.explanation:
        parts += ["<h4>The solution</h4>", definitions(found.explanation)]
    return "\n".join([*parts, "</article>"])


# --- All of them ---------------------------------------------------------------------------------


def overview(comparisons: Sequence[Comparison]) -> str:
    """Every task in a table, with its verdict and a link to what there is to see."""
    rows = []
    for found in comparisons:
        name, verdict = found.task.name, found.verdict
        status = "todo" if found.untouched or not verdict else verdict.status
        link = f'<a href="#{name}">{name}</a>' if found.worth_showing else name
        unreadable = "" if found.answer is not None or found.untouched else found.remark
        named = unreadable or (verdict.misconception or verdict.symptom if verdict else "")
        cells = (found.task.title, said_of(status), named)
        shown = "".join(f"<td>{text(cell)}</td>" for cell in cells)
        rows.append(f'<tr><th scope="row">{link}</th>{shown}</tr>')
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("task", "title", "check", "why"))
    return (
        '<div class="wide" role="region" aria-label="The tasks" tabindex="0">'
        f"<table><caption>The tasks</caption><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def comparison_page(comparisons: Sequence[Comparison], root: Path | None, seed: int) -> str:
    """The page. Tasks that nobody has touched stand in its table only, if there are others."""
    title = f"{root.name} compared" if root else "Stubs and solutions"
    body = ['<a class="skip" href="#tasks">To the tasks</a>', f"<header><h1>{text(title)}</h1>"]
    if root:
        body.append(f"<p>{summary(comparisons)}; seed {seed}. ≠ marks code that differs.</p>")
    body += ["</header>", "<main>"]
    if len(comparisons) > 1:
        body.append(overview(comparisons))
    body.append('<div id="tasks" tabindex="-1">')
    shown = [found for found in comparisons if found.worth_showing or len(comparisons) == 1]
    for chapter, group in groupby(shown, key=lambda found: found.task.chapter):
        body += [f"<section><h2>Chapter {chapter:02d}</h2>", *map(article, group), "</section>"]
    return html_page(title, [*body, "</div></main>"])
