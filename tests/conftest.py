"""What tests have in common: one thread, fixed seeds, models small enough to doubt.

And the program in miniature: made-up poems, a preset of a few steps, and the command line
in-process. Importing torch takes seconds, so only tests of signals start another process.
"""

import os
import random
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

import torch
from hypothesis import settings
from typer.testing import CliRunner

from nanopoet import mine as mine_module
from nanopoet.checker import check as check_module
from nanopoet.checker import compare as compare_module
from nanopoet.checker.sandbox import Sandbox
from nanopoet.cli import app
from nanopoet.paths import ROOT
from nanopoet.poet import train as train_module
from nanopoet.poet.run import Run
from nanopoet_ref import figures
from nanopoet_ref.corpus import save_poems
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.poem import REGULATED, Poem
from nanopoet_ref.runtime import make_generator, seed_everything
from nanopoet_ref.tokenizer import CharTokenizer, build_vocab

torch.set_num_threads(1)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("ci")


POEMS = [
    Poem("李白", "五言绝句", "静夜思", "床前明月光，疑是地上霜。举头望明月，低头思故乡。"),
    Poem("孟浩然", "五言绝句", "春晓", "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"),
    Poem("王维", "五言绝句", "鹿柴", "空山不见人，但闻人语响。返景入深林，复照青苔上。"),
    Poem(
        "李白",
        "七言绝句",
        "早发白帝城",
        "朝辞白帝彩云间，千里江陵一日还。两岸猿声啼不住，轻舟已过万重山。",
    ),
]


@pytest.fixture(autouse=True)
def fixed_seeds():
    seed_everything(0)


@pytest.fixture(scope="session")
def poems():
    return POEMS


@pytest.fixture(scope="session")
def tokenizer():
    texts = [text for p in POEMS for text in (p.author, p.form, p.title, p.content)]
    return CharTokenizer(build_vocab(texts))


@pytest.fixture(scope="session")
def make_gpt():
    """Build a tiny model. With `awake`, every weight is random, so that nothing hides behind the
    zeros a model begins with."""

    def build(style="gpt2", *, awake=False, seed=0, dtype=torch.float32, **sizes):
        shape = {
            "vocab_size": 23,
            "block_size": 12,
            "n_layer": 2,
            "n_head": 2,
            "n_embd": 16,
        } | sizes
        seed_everything(seed)
        model = GPT(GPTConfig(style=style, **shape)).to(dtype)
        if awake:
            generator = make_generator(seed)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.normal_(std=0.4, generator=generator)
        return model

    return build


# --- The program in miniature --------------------------------------------------------------------

AUTHORS = ["李白", "杜甫", "王维", "孟浩然", "苏轼"]
TITLES = ["春望", "江雪", "静夜思", "秋夕", "送友人"]
CHARACTERS = "春花秋月山水风云江南天地人心雪雨夜日白青红明清长高远归去来思望闻见落飞流照空寒"
RHYMES = "光霜乡香长"  # one rhyme class
STAGE = """
batch_size = 8
eval_interval = 2
eval_iters = 1
save_interval = 2
optimizer = { lr = 0.02, muon_lr = 0.02 }
"""
PRESET = """
[tiny]
about = "both stages in a second"
forms = "regulated"
model = { style = "modern", n_layer = 1, n_head = 2, n_embd = 16, block_size = 80, dropout = 0.1 }

[[tiny.stages]]
name = "pretrain"
max_steps = 3
{stage}
[[tiny.stages]]
name = "midtrain"
max_steps = 4
schedule = { name = "warmup_warmdown", warmup_steps = 1 }
{stage}
""".replace("{stage}", STAGE)


def made_up_poems(n: int, seed: int = 0) -> list[dict[str, str]]:
    """Poems that have a form and rhyme, and mean nothing."""
    draw = random.Random(seed)
    poems = []
    for i in range(n):
        (n_lines, length), form = list(REGULATED.items())[i % 4]
        lines = ["".join(draw.choices(CHARACTERS, k=length - 1)) for _ in range(n_lines)]
        ends = [draw.choice(RHYMES if number % 2 else CHARACTERS) for number in range(n_lines)]
        stops = "，。" * (n_lines // 2)
        content = "".join(map("".join, zip(lines, ends, stops, strict=True)))
        poem = {"author": draw.choice(AUTHORS), "form": form, "title": draw.choice(TITLES)}
        poems.append(poem | {"content": content})
    return poems


def write_corpus(folder: Path, poems: list[dict[str, str]]) -> None:
    """The poems as `nanopoet corpus` leaves them."""
    save_poems([Poem(**poem) for poem in poems], folder, "simplified", {})


class Done(NamedTuple):
    """What a command left behind: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a refusal. Anything else, a traceback above all, fails the test."""
        assert self.code == 1, self
        assert self.err.startswith("error: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("error: ").strip()


Nanopoet = Callable[..., Done]


def run_command(*args: object) -> Done:
    """One command, in this process."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="nanopoet")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"nanopoet {args} ended in a traceback") from result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def train_in(home: Path, raw: Path, preset: Path) -> None:
    """Train a preset to its end, with its run and what was printed in `home`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NANOPOET_RAW", str(raw))
        patch.setenv("NANOPOET_RUNS", str(home / "runs"))
        result = run_command("train", "--preset", preset)
    assert result.code == 0, result
    (home / "printed.txt").write_text(result.out, "utf-8")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpus, preset and a run that was trained to its end, for all to copy."""
    home = tmp_path_factory.mktemp("trained")
    write_corpus(home / "raw", made_up_poems(300))
    (home / "tiny.toml").write_text(PRESET, "utf-8")
    train_in(home, home / "raw", home / "tiny.toml")
    return home


class Kept(Sandbox):
    """A sandbox that stays open when a command is done with it."""

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def kept_sandbox() -> Iterator[Kept]:
    """One judging process for all commands: starting one takes longer than most checks."""
    sandbox = Kept()
    yield sandbox
    sandbox.close()


@pytest.fixture
def one_sandbox(kept_sandbox: Kept, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """`check`, `compare` and `train --mine` use the process that is there."""
    for module in (check_module, compare_module, mine_module):
        monkeypatch.setattr(module, "Sandbox", lambda **_: kept_sandbox)
    return kept_sandbox


@pytest.fixture
def nanopoet(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nanopoet:
    """The command line in an empty folder: made-up corpus, no runs, `tiny.toml` at hand."""
    monkeypatch.setenv("NANOPOET_RAW", str(trained / "raw"))
    monkeypatch.setenv("NANOPOET_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("NANOPOET_MEMORY", str(tmp_path / "memory"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    here = tmp_path / "here"
    here.mkdir()
    shutil.copy(trained / "tiny.toml", here)
    monkeypatch.chdir(here)
    # Both take longer than training here; `trained` has real pictures.
    monkeypatch.setattr(train_module, "fast_precision", lambda device: "float32")
    monkeypatch.setattr(figures, "plot_curves", lambda logs, path, lines: path.touch())
    return run_command


@pytest.fixture
def poet(nanopoet: Nanopoet, trained: Path, tmp_path: Path) -> Run:
    """A copy of the trained run."""
    shutil.copytree(trained / "runs", tmp_path / "runs")
    return Run("tiny")


@pytest.fixture
def use_corpus(
    nanopoet: Nanopoet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Put other poems in the place of the corpus: those given, or newly made up."""

    def use(poems: list[dict[str, str]] | None = None) -> None:
        write_corpus(tmp_path / "raw", poems or made_up_poems(300, seed=1))
        monkeypatch.setenv("NANOPOET_RAW", str(tmp_path / "raw"))

    return use


def copy_of_the_course(folder: Path) -> Path:
    """What a clone would hold now: what git keeps, and what is new and not ignored."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@contextmanager
def files_limited_to(n: int) -> Iterator[None]:
    """Let no file grow beyond `n` bytes: what a full disk looks like from inside.

    For as short as can be: it holds for what pytest itself prints into a file, too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
