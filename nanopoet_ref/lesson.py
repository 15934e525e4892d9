"""What every chapter's notebook begins with, and how it shows tables and figures.

One thread and one seed, so that a run can be repeated (on another processor the last digits
differ); figures that can write Chinese, with a packaged font; and for each figure a sentence for
those who cannot see it, which the regression tests compare in place of the pixels.
"""

import base64
import io
from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display, publish_display_data
from matplotlib.figure import Figure

from nanopoet_ref.figures import use_chinese_font
from nanopoet_ref.runtime import seed_everything


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
