"""What every chapter's notebook begins with, and how it shows tables and figures.

One thread and one seed, so that a run can be repeated (on another processor the last digits
differ); figures that can write Chinese, with a packaged font; and for each figure a sentence for
those who cannot see it, which the regression tests compare in place of the pixels.
"""

import base64
import html
import io
import re
from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display, publish_display_data
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nanopoet_ref.corpus import to_simplified
from nanopoet_ref.figures import use_chinese_font
from nanopoet_ref.gloss import form_in_words, gloss
from nanopoet_ref.pinyin import name_in_pinyin, read_verse, spell
from nanopoet_ref.poem import Poem
from nanopoet_ref.runtime import seed_everything

MARKS = "，。！？；：、"
UNDECIDED = "? has another reading as well, and no word here decides"


def begin(seed: int = 0) -> None:
    """The same numbers on every run of a machine: one thread, one seed. Chinese in figures."""
    torch.set_num_threads(1)
    seed_everything(seed)
    use_chinese_font()
    plt.rcParams["figure.figsize"] = (8, 3.5)
    plt.rcParams["figure.constrained_layout.use"] = True


def show(figure: Figure, alt: str) -> None:
    """Show a figure as a PNG; `alt` says in a sentence what is to be seen."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    plt.close(figure)
    data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": f"[{alt}]"}
    publish_display_data(data, {"image/png": {"alt": alt}})


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Show rows of a table; numbers are as wide as they are written, so format them first."""
    lines = [headers, ["---"] * len(headers), *rows]
    cells = ([str(cell).replace("|", "\\|") for cell in line] for line in lines)
    display(Markdown("\n".join(f"| {' | '.join(line)} |" for line in cells)))


def spread(values: ArrayLike, digits: int = 2) -> str:
    """The mean of a few runs, and their standard deviation.

    >>> spread([1.0, 2.0, 3.0])
    '2.00 ± 1.00'
    """
    runs = np.asarray(values, dtype=float)
    return f"{runs.mean():.{digits}f} ± {runs.std(ddof=1):.{digits}f}"


def show_poem(poem: Poem | str) -> None:
    """Show a poem, or any text, to those who read no Chinese: a line a row, and under each
    character how it is read and one English word.

    Above a poem stand its title, author and form. A reading that nothing decides has a question
    mark; so has a character that no dictionary knows.
    """
    text = poem if isinstance(poem, str) else poem.content
    heading = [] if isinstance(poem, str) else heading_of(poem)
    lines = [spelled(line) for line in re.findall(f"[^{MARKS}\\s]+[{MARKS}]*", text)]
    cells = ("".join(f'<td align="center">{as_html(cell)}</td>' for cell in line) for line in lines)
    table = "<table>\n" + "\n".join(f"<tr>{row}</tr>" for row in cells) + "\n</table>"
    page = [f"<p>{as_html(heading)}</p>", table] if heading else [table]
    rows = ["  ".join(row).rstrip() for line in lines for row in zip(*line, strict=True)]
    plain = [*heading, *rows]
    if any(reading.endswith("?") for line in lines for _, reading, _ in line):
        page.append(f"<p>{UNDECIDED}</p>")
        plain.append(UNDECIDED)
    data = {"text/markdown": "\n\n".join(page), "text/plain": "\n".join(plain)}
    publish_display_data(data)


def heading_of(poem: Poem) -> list[str]:
    """The title, and the author and form, each with its pinyin and English."""
    words = " ".join(word for word in gloss(poem.title) if word)
    author = f"{poem.author} {name_in_pinyin(poem.author)}"
    form = f"{poem.form} {spell(poem.form)}: {form_in_words(poem.form)}"
    return [f"{poem.title} {spell(poem.title)}: {words}", f"{author} · {form}"]


def spelled(line: str) -> list[tuple[str, str, str]]:
    """Of each character of a line: itself, its pinyin, its English; the last one keeps the mark."""
    text = line.rstrip(MARKS)
    readings = read_verse(to_simplified(text))
    characters = [*text[:-1], line[len(text) - 1 :]]
    columns = zip(characters, readings, gloss(text), strict=True)
    return [(c, str(said) if word else "", word) for c, said, word in columns]


def as_html(texts: Iterable[str]) -> str:
    """Texts below each other as they are, signs that a page would take for markup included."""
    signs = {ord(sign): f"&#{ord(sign)};" for sign in "$[]\\*_`|"}
    return "<br>".join(html.escape(text).translate(signs) for text in texts)
