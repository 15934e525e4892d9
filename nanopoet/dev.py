"""`nanopoet dev`: the one door for those who keep the course."""

from pathlib import Path
from typing import Annotated

import typer

from nanopoet.commands import commands_of

app = typer.Typer(
    help="For those who keep the course: what is generated, proven, measured.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
command = commands_of(app, in_clone=True)


@command("nanopoet dev stubs")
def stubs() -> None:
    """Write exercises/ from solutions/; answers that stand there are kept as a backup."""
    from nanopoet.checker.stubs import write_stubs

    write_stubs()


@command("nanopoet dev notebooks\nnanopoet dev notebooks chapters/02_attention.ipynb")
def notebooks(
    paths: Annotated[list[Path] | None, typer.Argument(help="Chapters; all if none.")] = None,
) -> None:
    """Run chapters again, rewrite their outputs, and name the compared cells that changed."""
    from nanopoet.book.notebooks import refresh_all

    raise typer.Exit(refresh_all(paths or []))


@command("nanopoet dev glossary")
def glossary() -> None:
    """Write chapters/glossary.md from the terms in glossary.toml."""
    from nanopoet.book.glossary import write_glossary

    write_glossary()


@command("nanopoet dev features")
def features() -> None:
    """Write chapters/features.md, what is taught where, from the rows in features.toml."""
    from nanopoet.book.features import write_features

    write_features()


@command("nanopoet dev datacard\nnanopoet dev datacard --check")
def datacard(
    check: Annotated[bool, typer.Option("--check", help="Compare instead of writing.")] = False,
    raw: Annotated[
        Path | None, typer.Option(help="Folder of the corpus.", show_default="raw")
    ] = None,
) -> None:
    """Write raw/README.md from the prepared poems, or compare it."""
    from nanopoet.book.datacard import write_card

    raise typer.Exit(write_card(check, raw))


@command("nanopoet dev mutate\nnanopoet dev mutate attention loss.log_softmax")
def mutate(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tasks, files or chapters; all if none.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Only every n-th change.")] = 1,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many tasks are tried at once.")] = 2,
) -> None:
    """Change every solution a little: do the checks notice? Exit code 0 if 95 in 100 are."""
    from nanopoet.checker.mutation import try_changes

    raise typer.Exit(try_changes(names or [], every, as_json, workers))


@command(
    "nanopoet dev experiment seed --seeds 1\n"
    "nanopoet dev experiment chapters/experiments/pretraining.toml --seeds 5"
)
def experiment(
    name: Annotated[str, typer.Argument(help="A .toml file of presets, or a preset's name.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0, 1, 2 …")] = 3,
) -> None:
    """Train every preset of a file with several seeds, and log what came of it as JSON."""
    from nanopoet.bench.experiments import run_experiment

    run_experiment(name, seeds)


@command("nanopoet dev modifications\nnanopoet dev modifications --seeds 1")
def modifications(
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0, 1, …")] = 3,
) -> None:
    """Try what is said to help a small GPT on quick; what was tried already is not tried again."""
    from nanopoet.bench.modifications import write_modifications

    write_modifications(seeds)


@command("nanopoet dev budget")
def budget() -> None:
    """Train 100 steps of 16,384 tokens with the best settings known; log it for chapter 06."""
    from nanopoet.bench.token_budget import write_budget

    write_budget()


@command("nanopoet dev processes\nnanopoet dev processes --steps 1 --rounds 1")
def processes(
    steps: Annotated[int, typer.Option(min=1, help="Of training, in each turn.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="How many turns each way gets.")] = 7,
) -> None:
    """Measure two processes beside two threads and one; log it for "From 2 cores to a cluster"."""
    from nanopoet.bench.processes import write_processes

    write_processes(steps, rounds)


@command("nanopoet dev verse\nnanopoet dev verse quick -n 200 --json")
def verse(
    run: Annotated[
        str | None, typer.Argument(help="Which run; the newest finished one if not given.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=8, help="Poems, in each way.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same poems.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write verse freely, in form, and by all the rules: what do the masks cost?"""
    from nanopoet.bench.verse import verse_command

    verse_command(run, n, seed, as_json)
