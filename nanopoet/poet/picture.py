"""A picture of a poet: how its loss fell, and a poem."""

import io
from collections.abc import Sequence
from pathlib import Path

from nanopoet.files import picture_format, write_atomically
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import lines_of
from nanopoet_ref.training import StepLog


def draw_poet(logs: Sequence[StepLog], poem: Poem, path: Path) -> None:
    """Draw the loss curve with a poem beside it: `path` is written whole, its folder is made."""
    import matplotlib.pyplot as plt

    from nanopoet_ref.figures import use_chinese_font

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
