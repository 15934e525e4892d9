"""What `nanopoet check` leaves behind: reports as JSON and JUnit, and pictures."""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.text import Text

from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.verdict import Verdict
from nanopoet.files import picture_format, printable, write_atomically


def as_row(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a row of a report."""
    fields = asdict(verdict)
    chapter = load_tasks()[verdict.task].chapter
    message = "; ".join(
        text
        for text in (
            verdict.symptom,
            f"expected {verdict.expected}" if verdict.expected else "",
            f"got {verdict.got}" if verdict.got else "",
        )
        if text
    )
    kept = ("misconception", "checks", "seconds", "seed")
    row = {"task": verdict.task, "chapter": chapter, "status": verdict.status, "message": message}
    return row | {key: fields[key] for key in kept} | {"share": round(verdict.share, 4)}


def json_report(verdicts: Sequence[Verdict]) -> str:
    """All rows as a JSON list."""
    return json.dumps([as_row(verdict) for verdict in verdicts], ensure_ascii=False, indent=1)


def junit_suite(verdicts: Sequence[Verdict], name: str = "nanopoet") -> ElementTree.Element:
    """The same rows as a suite of JUnit."""
    failed = [verdict for verdict in verdicts if verdict.status in ("fail", "todo")]
    errors = [verdict for verdict in verdicts if verdict.status in ("error", "timeout")]
    suite = ElementTree.Element(
        "testsuite",
        name=name,
        tests=str(len(verdicts)),
        failures=str(len(failed)),
        errors=str(len(errors)),
        time=f"{sum(verdict.seconds for verdict in verdicts):.3f}",
    )
    for verdict in verdicts:
        row = as_row(verdict)
        module, _, function = verdict.task.partition(".")
        case = ElementTree.SubElement(
            suite, "testcase", classname=module, name=function, time=f"{verdict.seconds:.3f}"
        )
        if verdict.status != "pass":
            kind = "error" if verdict in errors else "failure"
            found = ElementTree.SubElement(case, kind, message=row["message"], type=verdict.status)
            found.text = "\n".join(
                filter(None, [verdict.why, verdict.misconception, verdict.explanation])
            )
    return suite


def junit_report(verdicts: Sequence[Verdict]) -> str:
    """The same rows as a JUnit report, which CI systems show."""
    return as_xml(junit_suite(verdicts))


def as_xml(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    # Not encoding="unicode": that would declare the encoding of the locale.
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True).decode()


def write_reports(verdicts: Sequence[Verdict], as_json: str | None, junit: Path | None) -> None:
    """Every report that can be written; for "-", JSON goes to standard output.

    Raises `OSError` for those that cannot be written, when the others are.
    """
    problems = []
    for target, report in ((as_json, json_report), (junit, junit_report)):
        try:
            if target and target != "-":
                write_atomically(Path(target), report(verdicts) + "\n")
        except OSError as error:
            problems.append(f"{target} is not written: {error}")
    if as_json == "-":
        print(json_report(verdicts))
    if problems:
        raise OSError("; ".join(problems))


def draw_images(verdict: Verdict, path: Path) -> bool:
    """Expected and got as heat maps side by side, if they are matrices.

    Raises whatever keeps a picture from being drawn or written.
    """
    if not verdict.images:
        return False
    import matplotlib.pyplot as plt
    import numpy as np

    images = np.array(verdict.images)
    images[~np.isfinite(images)] = np.nan  # drawn white
    figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
    try:
        for ax, title, image in zip(axes, ("expected", "got"), images, strict=True):
            shown = ax.imshow(image, vmin=np.nanmin(images), vmax=np.nanmax(images))
            ax.set_title(title)
            ax.xaxis.get_major_locator().set_params(integer=True)
            ax.yaxis.get_major_locator().set_params(integer=True)
        figure.colorbar(shown, ax=axes, shrink=0.8)
        # Dollar signs would be read as mathematics.
        title = f"{verdict.task}: {verdict.symptom}".replace("$", r"\$")
        figure.suptitle(title, fontsize=10)
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=100, format=picture_format(path))
        write_atomically(path, drawn.getvalue())
    finally:
        plt.close(figure)
    return True


def print_picture(verdict: Verdict, path: Path, console: Console) -> None:
    """Draw what can be drawn, and say where it is. A picture is not worth a verdict."""
    try:
        if not draw_images(verdict, path):
            return
        line = f"  picture    {path}"
    except Exception as error:  # of matplotlib's own many kinds
        line = f"  picture    not drawn: {' '.join(str(error).split())}"
    console.print(Text(printable(line)), soft_wrap=True)
