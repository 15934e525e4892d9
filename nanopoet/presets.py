"""Presets: named ways of training, kept as data in presets.toml."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch

from nanopoet_ref.corpus import Script
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import fused_cross_entropy, masked_cross_entropy
from nanopoet_ref.midtraining import MASKS
from nanopoet_ref.optim import configure_optimizers
from nanopoet_ref.schedule import SCHEDULES
from nanopoet_ref.tokenizer import SPECIAL_TOKENS
from nanopoet_ref.training import TrainConfig

FILE = Path(__file__).with_name("presets.toml")
STAGES = ("pretrain", "midtrain")
FORMS = ("all", "regulated")
LOSSES = {"masked": masked_cross_entropy, "fused": fused_cross_entropy}


class PresetError(ValueError):
    """A preset that does not exist or does not make sense."""


def misfits(table: object, at_least: dict[str, int], one_of: dict[str, Iterable[str]]) -> list[str]:
    """What is wrong with whole numbers and choices, in words."""
    problems = []
    for key, least in at_least.items():
        if type(value := getattr(table, key)) is not int or value < least:
            problems.append(f"{key}={value!r} is not a whole number from {least} up")
    for key, choices in one_of.items():
        if (value := getattr(table, key)) not in choices:
            problems.append(f"{key}={value!r} is not one of {', '.join(choices)}")
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
    grad_clip: float = 1.0  # 0: no clipping
    precision: str = "float32"  # or bfloat16, or auto: the faster one here
    loss: str = "masked"
    mask: str = "not_padding"
    optimizer: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=lambda: {"name": "constant"})
    text_losses: dict[str, float] = field(default_factory=dict)  # to print beside ours

    def __post_init__(self) -> None:
        problems = misfits(
            self,
            at_least={"max_steps": 0, "batch_size": 1, "eval_iters": 1, "save_interval": 1},
            one_of={"name": STAGES, "loss": LOSSES, "mask": MASKS},
        )
        if self.schedule.get("name") not in SCHEDULES:
            problems.append(f"schedule={self.schedule!r} has no name of {list(SCHEDULES)}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            problems.append(f"precision={self.precision!r} is not auto, float32 or bfloat16")
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
    know_frequencies: bool = False  # begin with how often each token occurs
    text: str | None = None  # a plain text file instead of poems

    def __post_init__(self) -> None:
        problems = misfits(
            self,
            at_least={"min_count": 1},
            one_of={"script": get_args(Script), "forms": FORMS},
        )
        if not self.stages:
            problems.append("it has no stages")
        if len(set(self.stage_names)) < len(self.stages):
            problems.append(f"a stage comes twice: {', '.join(self.stage_names)}")
        if problems:
            raise PresetError("; ".join(problems))

    @property
    def stage_names(self) -> list[str]:
        return [stage.name for stage in self.stages]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a run's config.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, name: str, table: dict[str, Any]) -> "Preset":
        """Build from plain data; unknown and missing keys are errors."""
        try:
            stages = tuple(Stage(**stage) for stage in table.get("stages", ()))
            return cls(**{**table, "name": name, "stages": stages})
        except (TypeError, AttributeError, PresetError) as error:
            raise PresetError(f"preset {name!r}: {error}") from error


def make_optimizers(model: GPT, table: dict[str, Any]) -> list[torch.optim.Optimizer]:
    """As `configure_optimizers`, or `{ plain_adamw = 3e-4 }`: PyTorch's AdamW as it comes."""
    if set(table) == {"plain_adamw"}:
        return [torch.optim.AdamW(model.parameters(), lr=table["plain_adamw"])]
    return configure_optimizers(model, **table)


def rehearse(preset: Preset) -> None:
    """Build all that a preset describes, once, so that a mistake is found before a run begins."""
    part = f"model = {preset.model}"
    try:
        model = GPT(GPTConfig(vocab_size=len(SPECIAL_TOKENS), **preset.model))
        for stage in preset.stages:
            part = f"stage {stage.name!r}"
            make_optimizers(model, stage.optimizer)
            stage.train_config("float32")
            lr_mult = stage.lr_mult()
            if stage.max_steps:
                lr_mult(0)
    except (TypeError, ValueError) as error:
        raise PresetError(f"preset {preset.name!r}, {part}: {error}") from error


def load_presets(path: Path = FILE) -> dict[str, Preset]:
    """All presets of a TOML file, by name."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: Preset.from_dict(name, table) for name, table in tables.items()}
    except (OSError, ValueError) as error:
        raise PresetError(f"{path}: {error}") from error


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
    try:
        rehearse(preset)
    except PresetError as error:
        raise PresetError(f"{name}: {error}" if own else str(error)) from error
    return preset
