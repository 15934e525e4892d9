"""A picture of a poet: how its loss fell, and a poem."""

import io
from collections.abc import Sequence
from pathlib import Path

from nanopoet.files import write_atomically
from nanopoet_ref.corpus import Poem
from nanopoet_ref.evaluation import lines_of
from nanopoet_ref.training import StepLog


def picture_format(path: Path) -> str:
    """What the suffix says; PNG without one, so that the file has exactly the name asked for.

    >>> picture_format(Path("poet.SVG")), picture_format(Path("poet"))
    ('svg', 'png')
    """
    return path.suffix.lower().removeprefix(".") or "png"


def check_picture_path(path: Path) -> None:
    """Find out before the work whether a picture can go there.

    Raises:
        ValueError: a folder or device, a path through a file, a suffix that is no format.
    """
    from matplotlib.backend_bases import FigureCanvasBase

    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file for the picture, {path / 'poet.png'}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a file, and a picture is one")
    there = next(parent for parent in path.absolute().parents if parent.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is a file, so nothing can be put into it: {path}")
    formats = FigureCanvasBase.get_supported_filetypes()
    if picture_format(path) not in formats:
        raise ValueError(
            f"{path}: {path.suffix} is no format of pictures; take .png, .svg, .pdf or no suffix"
        )


def draw_poet(logs: Sequence[StepLog], poem: Poem, path: Path) -> None:
    """Draw the loss curve with a poem beside it: `path` is written whole, its folder is made."""
    import matplotlib.pyplot as plt

    from nanopoet_ref.lesson import use_chinese_font

    use_chinese_font()
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4), width_ratios=[3, 2], layout="constrained"
    )
    steps = [log for log in logs if log.loss is not None]
    evals = [log for log in logs if log.val_loss is not None]
    left.plot([s.step for s in steps], [s.loss for s in steps], alpha=0.4, label="training batch")
    left.plot([e.step for e in evals], [e.val_loss for e in evals], "o-", label="validation")
    left.set(xlabel="step", ylabel="loss (nats per token)")
    left.legend()
    right.axis("off")
    rows = [poem.title, f"{poem.author} · {poem.form}", "", *lines_of(poem.content)]
    for number, row in enumerate(rows):
        size = 16 if number == 0 else 11 if number == 1 else 15
        right.text(
            0.5,
            0.95 - 0.9 * number / max(len(rows), 8),
            row,
            fontsize=size,
            color="0.4" if number == 1 else "black",
            ha="center",
            va="top",
        )
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120, format=picture_format(path))
    plt.close(figure)
    write_atomically(path, drawn.getvalue())
