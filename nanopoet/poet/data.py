"""What a run learns from: poems, or one plain text, in two parts."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nanopoet.paths import raw
from nanopoet.poet.presets import Preset
from nanopoet_ref.poem import (
    FIELDS,
    REGULATED,
    Poem,
    load_poems,
    read_text,
    split_hash,
    split_poems,
)
from nanopoet_ref.pretraining import poem_stream
from nanopoet_ref.tokenizer import UNK, CharTokenizer, Ids
from nanopoet_ref.training import SPLITS

MANY = 0.01  # of the validation part unknown: its loss is that of guessing <|unk|>


@dataclass(frozen=True)
class Data:
    """What a run learns from: poems, or one plain text."""

    train: Sequence[Poem] | str
    val: Sequence[Poem] | str
    fingerprint: str

    def poems(self, split: str) -> Sequence[Poem]:
        """The poems of a split; a plain text has none."""
        part = getattr(self, split)
        return [] if isinstance(part, str) else part

    def texts(self, split: str = "train") -> list[str]:
        """All text of a split; that of training makes the vocabulary."""
        part = getattr(self, split)
        if isinstance(part, str):
            return [part]
        return [getattr(poem, field) for poem in part for field in FIELDS]

    def unknown_share(self, tokenizer: CharTokenizer, split: str) -> float:
        """How much of a split's text the vocabulary does not have."""
        ids = tokenizer.encode("".join(self.texts(split)))
        return float((ids == tokenizer.special[UNK]).mean())

    def stream(
        self,
        tokenizer: CharTokenizer,
        split: str,
        lay: Callable[[CharTokenizer, Sequence[Poem]], Ids] = poem_stream,
    ) -> Ids:
        """One split as a stream of ids, for pre-training; `lay` lays poems end to end."""
        part = getattr(self, split)
        return tokenizer.encode(part) if isinstance(part, str) else lay(tokenizer, part)


def load_text(path: Path) -> Data:
    """One plain text, cut at nine tenths."""
    text = read_text(path)
    cut = len(text) * 9 // 10
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Data(text[:cut], text[cut:], f"text {digest}")


def unknown_in_words(data: Data, tokenizer: CharTokenizer) -> str:
    """How much of either split is unknown, with a warning where that spoils the validation."""
    train, val = (data.unknown_share(tokenizer, split) for split in SPLITS)
    line = f"unknown characters: {train:.2%} of the training part, {val:.2%} of the validation part"
    if val < MANY or val < 2 * train:
        return line
    return (
        f"{line}\nwarning: {val:.0%} of the validation part is unknown: its characters are rare or "
        "missing in the training part, so the validation loss says little. Put a text's parts in "
        "another order, so that its last tenth is like the rest"
    )


def load_data(preset: Preset) -> Data:
    """The poems a preset asks for, split; or its text, cut at nine tenths."""
    if preset.text is not None:
        return load_text(Path(preset.text))
    poems = load_poems(raw(), preset.script)
    if preset.forms == "regulated":
        poems = [poem for poem in poems if poem.form in REGULATED.values()]
    train, val = split_poems(poems)
    return Data(train, val, split_hash(train, val))
