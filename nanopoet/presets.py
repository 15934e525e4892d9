"""Presets: named ways of training, kept as data in presets.toml."""

import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nanopoet_ref.corpus import Script
from nanopoet_ref.loss import fused_cross_entropy, masked_cross_entropy
from nanopoet_ref.midtraining import MASKS
from nanopoet_ref.schedule import SCHEDULES

FILE = Path(__file__).with_name("presets.toml")
STAGES = ("pretrain", "midtrain")
LOSSES = {"masked": masked_cross_entropy, "fused": fused_cross_entropy}


class PresetError(ValueError):
    """A preset that does not exist or does not make sense."""


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
        allowed = {
            "name": (self.name, STAGES),
            "precision": (self.precision, ("auto", "float32", "bfloat16")),
            "loss": (self.loss, tuple(LOSSES)),
            "mask": (self.mask, MASKS),
            "schedule": (self.schedule.get("name"), tuple(SCHEDULES)),
        }
        problems = [
            f"{key}={value!r} is not one of {choices}"
            for key, (value, choices) in allowed.items()
            if value not in choices
        ]
        if problems:
            raise PresetError("; ".join(problems))


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
    text: str | None = None  # a plain text file instead of poems

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a run's config.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, name: str, table: dict[str, Any]) -> "Preset":
        """Build from plain data; unknown and missing keys are errors."""
        try:
            stages = tuple(Stage(**stage) for stage in table.get("stages", ()))
            preset = cls(**{**table, "name": name, "stages": stages})
        except TypeError as error:
            raise PresetError(f"preset {name!r}: {error}") from error
        if not stages:
            raise PresetError(f"preset {name!r} has no stages")
        return preset


def load_presets(path: Path = FILE) -> dict[str, Preset]:
    """All presets of a TOML file, by name."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PresetError(f"{path}: {error}") from error
    return {name: Preset.from_dict(name, table) for name, table in tables.items()}


def find_preset(name: str) -> Preset:
    """A preset by name, or the only one in a TOML file of one's own."""
    if name.endswith(".toml"):
        presets = load_presets(Path(name))
        if len(presets) != 1:
            raise PresetError(f"{name} holds {len(presets)} presets; it must hold one")
        return next(iter(presets.values()))
    presets = load_presets()
    if name not in presets:
        raise PresetError(
            f"no preset {name!r}; there are {', '.join(presets)}, or the path of a .toml file"
        )
    return presets[name]
