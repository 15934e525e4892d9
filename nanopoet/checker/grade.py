"""`nanopoet grade`: a class at once, in shards or whole, begun anew or gone on with."""

import json
import os
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from tqdm import tqdm

from nanopoet.checker.box import unboxed
from nanopoet.checker.grade_page import grade_page
from nanopoet.checker.gradebook import Gradebook, csv_table, feedback, junit_class
from nanopoet.checker.graded import load_weights, program_version, read_graded
from nanopoet.checker.grading import Grading
from nanopoet.checker.similar_page import similar_page
from nanopoet.checker.similarity import Class
from nanopoet.checker.submissions import find_submissions, read_submission
from nanopoet.checker.tasks import TaskError
from nanopoet.files import ensure_writable, printable, write_atomically

RUN = "run.json"  # what was graded, and how; written last


def shard_of(said: str | None) -> tuple[int, int]:
    """The number of a shard, from 1, and how many there are.

    >>> shard_of("2/3"), shard_of(None)
    ((2, 3), (1, 1))
    """
    if said is None:
        return 1, 1
    found = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", said)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise TaskError(f"--shard {said}: it is 1/3, 2/3 or 3/3 for three machines")
    return int(found[1]), int(found[2])


def due_at(said: str | None) -> float | None:
    """A day or a moment in seconds; of a day, its end. Without a zone, that of this machine."""
    if said is None:
        return None
    try:
        moment = datetime.fromisoformat(said)
        if re.fullmatch(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}", said):
            moment = moment.replace(hour=23, minute=59, second=59)
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise TaskError(f"--due {said}: it is like 2026-11-30, or 2026-11-30T18:00") from None


def prepare(out: Path, classes: Sequence[Path], again: bool) -> None:
    """See to it that grades can go to a folder. Raises `TaskError`, `OSError`."""
    place = Path(os.path.realpath(out))
    for folder in classes:
        if place.is_relative_to(os.path.realpath(folder)):
            raise TaskError(f"{out} lies in {folder}: name a folder outside for the grades")
    if out.exists() and not out.is_dir():
        raise TaskError(f"{out} is a file: name a folder, which may be new")
    if not again and (out / "submissions").exists():
        raise TaskError(f"{out} holds grades: --resume goes on with them; or name another folder")
    ensure_writable(out / RUN)


def write_results(book: Gradebook, out: Path, run: dict) -> None:
    """All that is made of the verdicts."""
    write_atomically(out / "grades.csv", csv_table(book))
    write_atomically(out / "junit.xml", junit_class(book) + "\n")
    for graded in book:
        write_atomically(out / "feedback" / f"{graded.file}.md", feedback(book, graded))
    write_atomically(out / "report.html", grade_page(book, run["seed"]))
    write_atomically(out / RUN, json.dumps(run, indent=1) + "\n")


def write_similar(folder: Path, out: Path) -> None:
    """Compare the submissions of a whole class with each other."""
    paths = {printable(path.name): path for path in find_submissions(folder)[0]}
    whole = Class()
    for name, path in paths.items():
        whole.add(name, read_submission(path).sources)
    page = similar_page(whole.pairs(), lambda name: read_submission(paths[name]).sources)
    write_atomically(out / "similar.html", page)


def summarize(book: Gradebook, out: Path, console: Console) -> None:
    remarked = [graded for graded in book if graded.remarks]
    for graded in remarked:
        shown = "; ".join(graded.remarks)
        console.print(f"{graded.title}: {shown}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(book.files)} submissions graded: {out / 'grades.csv'}", highlight=False)


def grade_class(
    folder: Path,
    out: Path,
    seed: int,
    workers: int,
    resume: bool,
    shard: str | None,
    console: Console,
) -> dict:
    """Judge the submissions in a folder, or a shard of them; returns what was done."""
    number, shards = shard_of(shard)
    paths, others = find_submissions(folder)
    mine = paths[number - 1 :: shards]
    if not mine:
        raise TaskError(f"--shard {shard}: there are not so many submissions")
    prepare(out, [folder], resume)
    if reason := unboxed():
        console.print(
            f"answers run with your rights, and see your files: {reason}",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    if others:
        named = ", ".join(others[:10]) + (", …" if len(others) > 10 else "")
        console.print(f"no submissions: {named}", markup=False, highlight=False, soft_wrap=True)
    grading = Grading(out / "submissions", seed, resume)
    files = {}
    with tqdm(total=len(mine), unit="submission", disable=None, leave=False) as bar:
        try:
            for graded in grading.run(mine, workers):
                files[graded.name] = graded.file
                bar.update()
        except KeyboardInterrupt:
            bar.clear()
            done = f"{len(files)} of {len(mine)} submissions are graded"
            console.print(f"{done}: the same command with --resume goes on", highlight=False)
            raise
    return {
        "seed": seed,
        "program": program_version(),
        "files": [files[path.name] for path in mine],
    }


# --- Shards --------------------------------------------------------------------------------------


def read_run(folder: Path) -> dict:
    """What was graded into a folder. Raises `TaskError` if that was not finished."""
    try:
        run = json.loads((folder / RUN).read_bytes())
        names = [str(name) for name in run["files"]]
        return {"seed": int(run["seed"]), "program": str(run["program"]), "files": names}
    except OSError as error:
        raise TaskError(f"{folder} holds no finished grades (no {RUN}): --resume them") from error
    except (ValueError, KeyError, TypeError) as error:
        raise TaskError(f"{folder / RUN} is damaged: grade again with --resume") from error


def merge(folders: Sequence[Path], out: Path) -> dict:
    """Put the shards of a class together. Raises `TaskError` if they do not fit together."""
    runs = {folder: read_run(folder) for folder in folders}
    first = runs[folders[0]]
    for folder, run in runs.items():
        for what in ("seed", "program"):
            if run[what] != first[what]:
                raise TaskError(f"{folders[0]} and {folder} were graded with another {what}")
    kept: dict[str, Path] = {}
    for folder, run in runs.items():
        for name in run["files"]:
            path = folder / "submissions" / f"{name}.json"
            graded = read_graded(path)
            if name != graded.file:
                raise TaskError(f"{path} is that of {graded.title}")
            if name in kept and read_graded(kept[name]).key != graded.key:
                raise TaskError(f"{kept[name]} and {path} are of one name and differ")
            kept[name] = path
    prepare(out, folders, False)
    for name, path in kept.items():
        write_atomically(out / "submissions" / f"{name}.json", path.read_bytes())
    names = sorted(kept, key=lambda name: read_graded(kept[name]).name)
    return first | {"files": names}


def grade_command(
    folders: Sequence[Path],
    out: Path,
    seed: int,
    workers: int | None,
    resume: bool,
    shard: str | None,
    merging: bool,
    weights: Path | None,
    due: str | None,
    similar: bool,
) -> None:
    """Grade a class, or put together what was graded in shards."""
    points, until = load_weights(weights), due_at(due)
    console = Console()
    if similar and (merging or shard):
        raise TaskError("--similar needs the whole class: --resume with it, once that is graded")
    if merging:
        if resume or shard:
            raise TaskError("--merge goes with finished grades only")
        run = merge(folders, out)
    elif len(folders) == 1:
        cores = min(os.cpu_count() or 1, 8)
        run = grade_class(folders[0], out, seed, workers or cores, resume, shard, console)
    else:
        raise TaskError("name one folder of submissions; several with --merge")
    book = Gradebook(out / "submissions", run["files"], points, until)
    write_results(book, out, run)
    if similar:
        write_similar(folders[0], out)
    summarize(book, out, console)
