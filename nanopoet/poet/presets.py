"""Presets: named ways of training, kept as data in presets.toml."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, get_args

import torch

from nanopoet.errors import lacks_memory
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import fused_cross_entropy, masked_cross_entropy
from nanopoet_ref.midtraining import MASKS
from nanopoet_ref.mixture import TASKS
from nanopoet_ref.optim import configure_optimizers
from nanopoet_ref.poem import Script
from nanopoet_ref.rollouts import GRPO
from nanopoet_ref.runtime import TRAINING_PRECISIONS
from nanopoet_ref.schedule import SCHEDULES
from nanopoet_ref.streaming import CHAT_MASKS
from nanopoet_ref.tokenizer import SPECIAL_TOKENS
from nanopoet_ref.training import TrainConfig

FILE = Path(__file__).with_name("presets.toml")
ANSWERING = ("mixture", "sft")  # of conversations: both are the same, but for what comes before
CONTROLLED = ("curate", "align")  # whose poems have controls behind their titles
STAGES = ("pretrain", "midtrain", *CONTROLLED, *ANSWERING)
FORMS = ("all", "regulated")
RENAMED = {"know_frequencies": "init_head_bias"}  # what older runs call a key
LOSSES = {"masked": masked_cross_entropy, "fused": fused_cross_entropy}


class PresetError(ValueError):
    """A preset that does not exist or does not make sense."""


def is_number(value: object) -> bool:
    """Whether something can be counted with; True and NaN cannot."""
    return type(value) in (int, float) and isfinite(value)  # type: ignore[arg-type]


def find_problems(
    table: Mapping[str, Any],
    at_least: Mapping[str, int] | None = None,
    one_of: Mapping[str, Iterable[str]] | None = None,
    kinds: Mapping[str, type] | None = None,
) -> list[str]:
    """What is wrong with whole numbers, choices and types, in words."""
    problems = []
    for key, least in (at_least or {}).items():
        if type(value := table[key]) is not int or not least <= value < 2**63:
            problems.append(f"{key}={value!r} is not a whole number from {least} up to 2**63 - 1")
    for key, choices in (one_of or {}).items():
        if (value := table[key]) not in list(choices):
            problems.append(f"{key}={value!r} is not one of {', '.join(choices)}")
    for key, kind in (kinds or {}).items():
        if type(value := table[key]) is not kind:
            problems.append(f"{key}={value!r} is not of type {kind.__name__}")
    return problems


@dataclass(frozen=True)
class Stage:
    """One stage of training. What each key means: `TrainConfig`, `configure_optimizers`,
    `nanopoet_ref.schedule`, `target_mask`."""

    name: str
    max_steps: int
    batch_size: int
    micro_steps: int = 1
    eval_interval: int = 50
    eval_iters: int = 4
    save_interval: int = 50
    keep_last: int = 0  # of the states that were saved, how many stay beside checkpoint.pt
    keep_best: bool = False  # also the weights with the lowest validation loss
    grad_clip: float = 1.0  # 0: no clipping
    precision: str = "float32"  # or bfloat16, or auto: the faster one here
    loss: str = "masked"
    mask: str = "not_padding"
    pool: int = 64  # of how many batches the poems are sorted by length; 1: not at all
    tasks: list[str] = field(default_factory=lambda: list(TASKS))  # of a mixture; twice: twice
    examples: int = 3000  # of each task, or poems that keep the rules; or all there are
    controls: float = 1.0  # which share of these poems says what it keeps
    weights: dict[str, float] = field(default_factory=dict)  # of the rules, in their loss
    grpo: dict[str, Any] = field(default_factory=dict)  # of the stage align: see GRPO
    optimizer: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=lambda: {"name": "constant"})
    text_losses: dict[str, float] = field(default_factory=dict)  # to print beside ours

    def __post_init__(self) -> None:
        counts = (
            "batch_size",
            "micro_steps",
            "eval_interval",
            "eval_iters",
            "save_interval",
            "pool",
            "examples",
        )
        problems = find_problems(
            vars(self),
            at_least={"max_steps": 0, "keep_last": 0} | dict.fromkeys(counts, 1),
            one_of={
                "name": STAGES,
                "loss": LOSSES,
                "mask": CHAT_MASKS if self.name in ANSWERING else MASKS,
                "precision": ("auto", *TRAINING_PRECISIONS),
            },
            kinds={
                "optimizer": dict,
                "text_losses": dict,
                "tasks": list,
                "keep_best": bool,
                "weights": dict,
                "grpo": dict,
            },
        )
        if type(self.tasks) is list and (unknown := [t for t in self.tasks if t not in TASKS]):
            problems.append(f"tasks={unknown!r} are not of {', '.join(TASKS)}")
        if not self.tasks:
            problems.append("tasks are none")
        if not is_number(self.controls) or not 0 <= self.controls <= 1:
            problems.append(f"controls={self.controls!r} is not a share")
        if type(self.weights) is dict and not all(map(is_number, self.weights.values())):
            problems.append(f"weights={self.weights!r} are not all numbers")
        if not is_number(self.grad_clip) or self.grad_clip < 0:
            problems.append(f"grad_clip={self.grad_clip!r} is not a number from 0 up")
        if not isinstance(self.schedule, dict) or self.schedule.get("name") not in list(SCHEDULES):
            problems.append(f"schedule={self.schedule!r} has no name of {list(SCHEDULES)}")
        if not problems and not all(map(is_number, self.text_losses.values())):
            problems.append(f"text_losses={self.text_losses!r} are not all numbers")
        if problems:
            raise PresetError("; ".join(problems))

    def train_config(self, auto_precision: str) -> TrainConfig:
        """The settings of the loop; `auto_precision` is what "auto" comes to here."""
        return TrainConfig(
            self.max_steps,
            self.micro_steps,
            self.eval_interval,
            self.grad_clip or None,
            auto_precision if self.precision == "auto" else self.precision,
        )

    def lr_mult(
        self, schedules: Mapping[str, Callable[..., float]] = SCHEDULES
    ) -> Callable[[int], float]:
        """The learning-rate multiplier of each step."""
        options = dict(self.schedule)
        return partial(schedules[options.pop("name")], max_steps=self.max_steps, **options)


@dataclass(frozen=True)
class Preset:
    """Which poems, which model, which stages."""

    name: str
    about: str
    model: dict[str, Any]
    stages: tuple[Stage, ...]
    script: Script = "simplified"
    forms: str = "all"  # or regulated
    min_count: int = 1
    init_head_bias: bool = False  # begin with how often each token occurs
    text: str | None = None  # a plain text file instead of poems
    start: str = ""  # the run whose last weights it begins with; "": with new ones

    def __post_init__(self) -> None:
        problems = find_problems(
            vars(self),
            at_least={"min_count": 1},
            one_of={"script": get_args(Script), "forms": FORMS},
            kinds={
                "name": str,
                "about": str,
                "model": dict,
                "init_head_bias": bool,
                "start": str,
            },
        )
        if self.text is not None and not isinstance(self.text, str):
            problems.append(f"text={self.text!r} is not the path of a file")
        if self.text and self.start:
            problems.append(f"start={self.start!r} is a poet, and a text has none")
        if not self.stages:
            problems.append("it has no stages")
        if len(set(self.stage_names)) < len(self.stages):
            problems.append(f"a stage comes twice: {', '.join(self.stage_names)}")
        if problems:
            raise PresetError("; ".join(problems))

    @property
    def stage_names(self) -> list[str]:
        return [stage.name for stage in self.stages]

    @property
    def takes_controls(self) -> bool:
        """Whether it learns to keep to a rhyme group and a tone that stand behind a title."""
        return any(stage.name in CONTROLLED and stage.controls for stage in self.stages)

    @property
    def block_size(self) -> int:
        """How many tokens the model sees at once."""
        return self.model.get("block_size", GPTConfig.block_size)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a run's config.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, name: str, table: dict[str, Any]) -> "Preset":
        """Build from plain data; unknown and missing keys are errors."""
        try:
            table = {RENAMED.get(key, key): value for key, value in table.items()}
            stages = tuple(Stage(**stage) for stage in table.get("stages", ()))
            return cls(**{**table, "name": name, "stages": stages})
        except (TypeError, AttributeError, PresetError) as error:
            raise PresetError(f"preset {name!r}: {error}") from error


def make_optimizers(model: GPT, table: dict[str, Any]) -> list[torch.optim.Optimizer]:
    """As `configure_optimizers`, or `{ plain_adamw = 3e-4 }`: PyTorch's AdamW as it comes."""
    if set(table) == {"plain_adamw"}:
        return [torch.optim.AdamW(model.parameters(), lr=table["plain_adamw"])]
    return configure_optimizers(model, **table)


def validate(preset: Preset, source: str = "") -> None:
    """Build all that a preset describes, once, so that a mistake is found before a run begins.

    Raises `PresetError`, which begins with `source`: by default the preset's name.
    """
    part = f"model = {preset.model}"
    try:
        model = GPT(GPTConfig(vocab_size=len(SPECIAL_TOKENS), **preset.model))
        for stage in preset.stages:
            part = f"stage {stage.name!r}"
            make_optimizers(model, stage.optimizer)
            stage.train_config("float32")
            lr_mult = stage.lr_mult()
            for step in {0, stage.max_steps // 2, stage.max_steps - 1} if stage.max_steps else ():
                lr_mult(step)
            GRPO(**stage.grpo)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        reason = str(error).partition("\n")[0]
        if lacks_memory(error):
            reason = "not enough memory: make n_embd, n_layer or block_size smaller"
        source = source or f"preset {preset.name!r}"
        raise PresetError(f"{source}, {part}: {reason}") from error


def load_tables(path: Path) -> dict[str, Any]:
    """What is written in a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise PresetError(f"{path}: {error}") from error


def make_presets(tables: Mapping[str, Any], source: Path) -> dict[str, Preset]:
    """The presets of tables, by name."""
    try:
        return {name: Preset.from_dict(name, table) for name, table in tables.items()}
    except ValueError as error:
        raise PresetError(f"{source}: {error}") from error


def load_presets(path: Path = FILE) -> dict[str, Preset]:
    """All presets of a TOML file, by name."""
    return make_presets(load_tables(path), path)


def find_preset(name: str) -> Preset:
    """A preset by name, or the only one in a TOML file of one's own; it has been rehearsed."""
    own = name.endswith(".toml")
    presets = load_presets(Path(name) if own else FILE)
    if own and len(presets) != 1:
        raise PresetError(f"{name} holds {len(presets)} presets; it must hold one")
    if not own and name not in presets:
        raise PresetError(
            f"no preset {name!r}; there are {', '.join(presets)}, or the path of a .toml file"
        )
    preset = next(iter(presets.values())) if own else presets[name]
    validate(preset, f"{name}: preset {preset.name!r}" if own else "")
    return preset
