"""What config.json says: whether it can be so, and whether the weights were trained like that."""

from collections.abc import Iterator, Mapping
from typing import Any

from nanopoet.poet.presets import Preset, find_problems
from nanopoet_ref.runtime import TRAINING_PRECISIONS


def check_config(config: dict[str, Any]) -> None:
    """Raise a `KeyError` for what is missing, a `ValueError` or `TypeError` for what cannot be."""
    problems = find_problems(
        config,
        at_least={"seed": 0, "threads": 1},
        one_of={"precision": TRAINING_PRECISIONS},
        kinds={"device": str, "data": str, "preset": dict},
    )
    if "mine" in config:
        problems += find_problems(config["mine"], kinds={"root": str, "own": list})
    if problems:
        raise ValueError("; ".join(problems))
    Preset.from_dict(config["preset"]["name"], config["preset"])


def binding(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that every step depends on, so that none may change on the way.

    Where a text lies, the device and the number of threads are free: a run may move.
    """
    preset = {k: v for k, v in config["preset"].items() if k not in ("name", "about", "text")}
    return {"preset": preset} | {key: config.get(key) for key in ("seed", "precision", "mine")}


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
