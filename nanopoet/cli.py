"""The command line. Every command is thin: it reads arguments, calls the program, prints."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from nanopoet import dev
from nanopoet.commands import commands_of

app = typer.Typer(
    help="Build a GPT that writes classical Chinese poems, and let it write.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


app.add_typer(dev.app, name="dev")
command = commands_of(app)

Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Same seed, same result.")]
Temperature = Annotated[
    float, typer.Option(min=0.0, max=10.0, help="0: the likeliest; 1: as learned.")
]

RhymeBook = Annotated[
    Literal["pingshui", "xinyun"], typer.Option(help="平水韵 of old, or 中华新韵 of today.")
]


@command(
    "nanopoet corpus\nnanopoet corpus --from chinese-poetry-2.0.1.tgz\n"
    "nanopoet corpus --text names.txt"
)
def corpus(
    from_: Annotated[
        Path | None, typer.Option("--from", help="A tarball at hand: no network needed.")
    ] = None,
    text: Annotated[Path | None, typer.Option(help="Look at a plain text instead.")] = None,
    script: Annotated[
        Literal["simplified", "original"], typer.Option(help="Characters as learned from.")
    ] = "simplified",
) -> None:
    """Prepare the poems in raw/, once; say what there is."""
    from nanopoet.poet.corpus import corpus_command

    corpus_command(from_, text, script)


@command(
    "nanopoet train\nnanopoet train --preset seed --name seed-1 --seed 1\n"
    "nanopoet train --text names.txt\nnanopoet train --mine\nnanopoet train --resume\n"
    "torchrun --nproc-per-node 2 -m nanopoet train"
)
def train(
    preset: Annotated[
        str | None,
        typer.Option(
            help="quick, evening, seed, chat, aligned, convenient, text, or a .toml file.",
            show_default="quick",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the run.", show_default="the preset's")
    ] = None,
    stage: Annotated[
        str | None, typer.Option(help="Stop after this stage, such as pretrain.")
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="Learn from this UTF-8 text, as a plain stream.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=0, help="Steps per stage.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Same seed, same run.", show_default="0"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or mps.", show_default="cpu")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.", show_default="one per core")
    ] = None,
    mine: Annotated[
        bool, typer.Option("--mine", help="Train with your own code, where it passes.")
    ] = False,
    root: Annotated[
        Path | None,
        typer.Option(help="With --mine: a folder like exercises/.", show_default="exercises"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start a run over.")] = False,
    track: Annotated[
        Literal["tensorboard", "wandb"] | None,
        typer.Option(help="Where else the numbers go; wandb offline.", show_default="nowhere"),
    ] = None,
) -> None:
    """Train a poet in runs/NAME. Ctrl-C saves; --resume goes on to the same bits."""
    from nanopoet.mine import noted_components, own_components
    from nanopoet.poet.order import Order, train_command

    order = Order(
        *(preset, name, stage, text, steps, seed, device, threads),
        *(mine, root, resume, overwrite, track),
    )
    raise typer.Exit(train_command(order, own_components, noted_components))


@command(
    "nanopoet write\nnanopoet write --author 李白 --form 五言绝句 --title 春望 -n 4\n"
    'nanopoet write --author "Li Bai" --form jueju5 --title "spring view" --pinyin\n'
    "nanopoet write --begin 床前\nnanopoet write --rhyme 东 --acrostic 春夏秋冬\n"
    "nanopoet write --run names --begin A --length 300"
)
def write(
    author: Annotated[str, typer.Option(help="李白, libai or 'Li Bai'.")] = "",
    form: Annotated[str, typer.Option(help="五言绝句, 五绝, wuyanjueju or jueju5.")] = "",
    title: Annotated[str, typer.Option(help="春望, chunwang or 'spring view'.")] = "",
    begin: Annotated[str, typer.Option(help="How the poem, or the text, begins.")] = "",
    length: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, help="Characters, for a run on a text.", show_default="200"
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, max=100, help="How many poems or texts.")] = 1,
    seed: Seed = 0,
    temperature: Temperature = 0.8,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw from the k likeliest.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the likeliest that hold p.")
    ] = None,
    pinyin: Annotated[bool, typer.Option("--pinyin", help="Pinyin under each verse.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option(help="Also draw the loss curve and the first poem here, as a PNG."),
    ] = None,
    free: Annotated[
        bool, typer.Option("--free", help="The model as it is: no rules are kept for it.")
    ] = False,
    rhyme: Annotated[str, typer.Option(help="A rhyme group, such as 东 or 阳.")] = "",
    rhyme_book: RhymeBook = "pingshui",
    acrostic: Annotated[str, typer.Option(help="The first character of each line.")] = "",
    as_json: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE", help="A line a poem, with faults; - prints them."),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Which run; the newest finished one that writes poems if not given."),
    ] = None,
) -> None:
    """Write poems. What is not given, the model makes up. A run on a text continues text.

    Regulated verse keeps its rules of form, rhyme and tone.
    """
    from nanopoet.poet.write import Rules, write_command
    from nanopoet_ref.poem import Poem

    options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    asked = Poem(author, form, title, begin)
    rules = Rules(free, rhyme, acrostic, rhyme_book)
    write_command(run, asked, length, n, seed, pinyin, picture, rules, as_json, **options)


@command(
    'nanopoet chat\nnanopoet chat --ask "三首七言律诗共几字？"\n'
    'nanopoet chat --run chat --ask "写一首五言绝句，题为春望。" --temperature 0.8'
)
def chat(
    ask: Annotated[
        str | None, typer.Option(help="One question; without it, ask in the terminal.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Which run; the newest finished one that answers if not given."),
    ] = None,
    seed: Seed = 0,
    temperature: Temperature = 0.5,
    top_k: Annotated[int | None, typer.Option(min=1, help="Draw from the k likeliest.")] = None,
) -> None:
    """Ask a poet that has learned to answer: nanopoet train --preset chat."""
    from nanopoet.poet.chat import chat_command

    chat_command(run, ask, seed, {"temperature": temperature, "top_k": top_k})


@command(
    "nanopoet check\nnanopoet check attention.causal_mask\nnanopoet check 2\n"
    "nanopoet check exercises/attention.py --next\n"
    "nanopoet check --all --junit report.xml\nnanopoet check --watch\n"
    "nanopoet check loss --root solutions --json -"
)
def check(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(help="Tasks, files or chapters; the next unsolved task if none is given."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every task.")] = False,
    only_next: Annotated[
        bool, typer.Option("--next", help="Of these, the next that does not pass yet.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Check again at every save.")] = False,
    root: Annotated[
        Path | None, typer.Option(help="A folder like exercises/.", show_default="exercises")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="Inputs as in another check.", show_default="new"),
    ] = None,
    as_json: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Rows as JSON; - prints them.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="A JUnit report for CI.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Where matrices differ, draw them as a PNG.")
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", help="With the traceback of an error.")] = False,
) -> None:
    """Check your own code against the reference. Exit code 0 only if all asked for passes."""
    from nanopoet.checker.check import check_command
    from nanopoet.checker.watch import watch_command

    if watch:
        if everything or only_next or root or seed is not None or as_json or junit or picture:
            raise ValueError("--watch goes with names of tasks only")
        watch_command(tasks or [])
        return
    if tasks and everything:
        raise ValueError("either names or --all, not both")
    raise typer.Exit(
        check_command(
            tasks or [], everything, root, seed, as_json, junit, picture, verbose, only_next
        )
    )


@command(
    "nanopoet hint\nnanopoet hint attention.attention\nnanopoet hint attention.attention --all"
)
def hint(
    task: Annotated[
        str | None, typer.Argument(help="A task; the next unsolved one if none is given.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All three at once.")] = False,
) -> None:
    """Show a hint for a task: a nudge, then the idea, then nearly there."""
    from rich.console import Console

    from nanopoet.checker.progress import Memory, next_tasks, show_hint
    from nanopoet.checker.tasks import find_tasks

    found = next(iter(find_tasks([task]) if task else next_tasks(Memory())), None)
    if found:
        show_hint(found, everything, Console())
    else:
        typer.echo("all tasks pass")


@command(
    "nanopoet compare attention.causal_mask\nnanopoet compare 2 --solution\n"
    "nanopoet compare --all --submission DIR --html report.html"
)
def compare(
    tasks: Annotated[list[str] | None, typer.Argument(help="Tasks, files or chapters.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every task.")] = False,
    submission: Annotated[
        Path | None, typer.Option(help="A folder like exercises/.", show_default="exercises")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page instead, in one file.")
    ] = None,
    solution: Annotated[
        bool, typer.Option("--solution", help="Our way, also where the answer does not pass.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="Inputs as in another check.", show_default="new"),
    ] = None,
) -> None:
    """Show stub, answer and our way side by side. Our way comes with an answer that passes."""
    from nanopoet.checker.compare import compare_command

    compare_command(tasks or [], everything, submission, html, solution, seed)


@command(
    "nanopoet grade class --out grades\n"
    "nanopoet grade class --out grades --workers 4 --resume\n"
    "nanopoet grade class --out grades --weights points.toml --due 2026-11-30\n"
    "nanopoet grade class --out first --shard 1/2\nnanopoet grade --merge first second --out all"
)
def grade(
    folders: Annotated[
        list[Path],
        typer.Argument(help="A folder with a folder, zip, .py or .ipynb for each learner."),
    ],
    out: Annotated[Path, typer.Option(help="A folder for the grades, which may be new.")],
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Same seed, same inputs for all.")
    ] = 0,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=256, help="How many at once.", show_default="one per core, at most 8"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Judge only what is new or not judged yet.")
    ] = False,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="The I-th of N parts, for N machines.")
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Put the grades of shards together.")
    ] = False,
    weights: Annotated[
        Path | None, typer.Option(metavar="TOML", help="Points by task, factors by chapter.")
    ] = None,
    due: Annotated[
        str | None, typer.Option(help="A day or a moment: what was modified later is called late.")
    ] = None,
    similar: Annotated[
        bool, typer.Option("--similar", help="Also show which answers are alike, side by side.")
    ] = False,
) -> None:
    """Grade a class: a table, a page, JUnit, and feedback for each learner.

    A task is worth 1 point, or what --weights says, times the share of its checks that hold.
    """
    from nanopoet.checker.grade import grade_command

    grade_command(folders, out, seed, workers, resume, shard, merge, weights, due, similar)


@command("nanopoet progress\nnanopoet progress 2\nnanopoet progress attention loss")
def progress(
    tasks: Annotated[
        list[str] | None, typer.Argument(help="Chapters or files; all if none is given.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="A folder like exercises/.", show_default="exercises")
    ] = None,
) -> None:
    """Show tasks, and which of yours pass."""
    from rich.console import Console

    from nanopoet.checker.progress import show_progress
    from nanopoet.checker.tasks import find_tasks
    from nanopoet.paths import is_own

    folder = None if root is None or is_own(root) else root
    show_progress(Console(), find_tasks(tasks) if tasks else None, folder)


@command("nanopoet exercises my-answers")
def exercises(
    folder: Annotated[Path, typer.Argument(help="A folder, which may be new.")],
) -> None:
    """Write the exercises into a folder of your own; what is there stays. No clone is needed."""
    from nanopoet.checker.stubs import exercises_command

    exercises_command(folder)


@command("nanopoet reset attention.causal_mask\nnanopoet reset attention")
def reset(
    task: Annotated[str, typer.Argument(help="A task, or a file of exercises without .py.")],
) -> None:
    """Put a task, or a whole file, back to its stub; what was there is kept as a backup."""
    from nanopoet.checker.reset import reset_file, reset_task
    from nanopoet.checker.tasks import find_tasks, modules
    from nanopoet.paths import refuse_other_clone

    refuse_other_clone("NANOPOET_EXERCISES")
    kept = reset_file(task) if task in modules() else reset_task(find_tasks([task])[0])
    typer.echo(f"{task} is back to its beginning" + (f"; what was there: {kept}" if kept else ""))


@command(
    "nanopoet evaluate\nnanopoet evaluate quick --json\n"
    "nanopoet evaluate quick --samples 500 --best-of 8\nnanopoet evaluate quick --masked"
)
def evaluate(
    run: Annotated[
        str | None, typer.Argument(help="Which run; the newest finished one if not given.")
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="How many poems, and answers a task.")] = 200,
    seed: Seed = 0,
    temperature: Temperature = 0.8,
    rhyme_book: RhymeBook = "pingshui",
    best_of: Annotated[
        int, typer.Option(min=1, help="Write so many, judge the one that breaks the fewest rules.")
    ] = 1,
    masked: Annotated[
        bool, typer.Option("--masked", help="Verse, held to its rules as write does.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a poet: loss on unseen poems, form, rhyme, tone, variety; and its answers, if any."""
    from nanopoet.poet.evaluate import evaluate_run, print_evaluation
    from nanopoet.poet.run import find_trained

    found = find_trained(run)
    result = evaluate_run(
        found, samples, seed, temperature, book=rhyme_book, best_of=best_of, masked=masked
    )
    if as_json:
        if run is None:
            typer.secho(f"run {found.name}", dim=True, err=True)
        typer.echo(json.dumps(result))
    else:
        print_evaluation(found.name, result)


@command(
    "nanopoet scan 白日依山尽，黄河入海流。欲穷千里目，更上一层楼。\n"
    "nanopoet scan '床前明月光 疑是地上霜 举头望明月 低头思故乡'\n"
    "nanopoet scan - --rhyme-book xinyun\n"
    "nanopoet scan - --form 如梦令"
)
def scan(
    poem: Annotated[str, typer.Argument(help="A poem in either script; - reads it from a pipe.")],
    rhyme_book: RhymeBook = "pingshui",
    form: Annotated[str, typer.Option(help="A tune, such as 如梦令: judge a lyric by it.")] = "",
) -> None:
    """Set a poem with its tones and rhyme, and name the rules it breaks."""
    from nanopoet.poet.scan import scan_command

    scan_command(poem, rhyme_book, form)


@command("nanopoet bench\nnanopoet bench --json\nnanopoet bench --full")
def bench(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Also 100 steps of learning.")] = False,
) -> None:
    """Compare this project's speed and memory with the baseline's, side by side."""
    from nanopoet.bench.speed import bench_command

    bench_command(as_json, full)


@command("nanopoet doctor", announced=False)  # it has a line about that
def doctor() -> None:
    """Look at this machine: what is there, what is missing, how to mend it."""
    from nanopoet.doctor import doctor_command

    raise typer.Exit(doctor_command())


def main() -> None:
    """Entry point; text goes out as UTF-8 whatever the terminal says."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    app()


if __name__ == "__main__":
    main()
