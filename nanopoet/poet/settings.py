"""How a run was begun: what config.json says, checked once, and what of it may not change."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nanopoet.poet.presets import Preset, find_problems
from nanopoet_ref.runtime import TRAINING_PRECISIONS


@dataclass(frozen=True)
class RunConfig:
    """How a run was begun. What "auto" came to is in it, so that resuming gives the same bits."""

    preset: Preset
    seed: int
    device: str
    precision: str  # where a stage says "auto"
    data: str  # fingerprint of the poems or the text
    threads: int
    mine: dict[str, Any] | None = None  # whose components, where they are not the reference's
    begun: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> "RunConfig":
        """Read from plain data.

        Raises a `KeyError` for what is missing, a `ValueError` or `TypeError` for what cannot be.
        """
        problems = find_problems(
            table,
            at_least={"seed": 0, "threads": 1},
            one_of={"precision": TRAINING_PRECISIONS},
            kinds={"device": str, "data": str, "preset": dict},
        )
        if table.get("mine") is not None:
            problems += find_problems(table["mine"], kinds={"root": str, "own": list})
        if problems:
            raise ValueError("; ".join(problems))
        return cls(**table | {"preset": Preset.from_dict(table["preset"]["name"], table["preset"])})

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for config.json."""
        return asdict(self)

    @property
    def binding(self) -> dict[str, Any]:
        """The settings that every step depends on, so that none may change on the way.

        Where a text lies, the device and the number of threads are free: a run may move.
        """
        bound = {"seed": self.seed, "precision": self.precision, "mine": self.mine}
        return {"preset": bound_keys(self.preset), **bound}

    def change_since(self, saved: Mapping[str, Any]) -> str | None:
        """The first setting that is not what it was in a `binding` of before, in words."""
        # Through a preset, so that keys which came or changed their names since are no change.
        preset = Preset.from_dict("", {"about": "", **saved["preset"]})
        return first_change({**saved, "preset": bound_keys(preset)}, self.binding)


def bound_keys(preset: Preset) -> dict[str, Any]:
    """What of a preset may not change on the way."""
    return {k: v for k, v in preset.as_dict().items() if k not in ("name", "about", "text")}


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every single setting in a nest of them, by its full name.

    >>> dict(leaves({"stages": [{"lr": 0.1}], "seed": 0}))
    {'stages.0.lr': 0.1, 'seed': 0}
    """
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{name}.{key}" if name else key)
    elif isinstance(value, (list, tuple)):
        for i, part in enumerate(value):
            yield from leaves(part, f"{name}.{i}")
    else:
        yield name, value


def first_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first setting that is not what it was, in words; None if all are.

    >>> first_change({"seed": 0}, {"seed": 1})
    'seed is 1, and was 0'
    """
    old, new = dict(leaves(before)), dict(leaves(now))
    for name in old | new:
        if old.get(name, "not there") != new.get(name, "not there"):
            was = old.get(name, "not there")
            return f"{name} is {new.get(name, 'not there')}, and was {was}"
    return None
