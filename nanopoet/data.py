"""What a run learns from: poems, or one plain text, in two parts."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nanopoet.paths import raw
from nanopoet.presets import Preset
from nanopoet_ref.corpus import (
    FIELDS,
    REGULATED,
    Poem,
    load_poems,
    read_text,
    split_hash,
    split_poems,
)
from nanopoet_ref.pretraining import poem_stream
from nanopoet_ref.tokenizer import CharTokenizer, Ids


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

    def texts(self) -> list[str]:
        """All training text, for the vocabulary."""
        if isinstance(self.train, str):
            return [self.train]
        return [getattr(poem, field) for poem in self.train for field in FIELDS]

    def stream(
        self,
        tokenizer: CharTokenizer,
        split: str,
        lay: Callable[[CharTokenizer, Sequence[Poem]], Ids] = poem_stream,
    ) -> Ids:
        """One split as a stream of ids, for pre-training; `lay` lays poems end to end."""
        part = getattr(self, split)
        return tokenizer.encode(part) if isinstance(part, str) else lay(tokenizer, part)


def load_data(preset: Preset) -> Data:
    """The poems a preset asks for, split; or its text, cut at nine tenths."""
    if preset.text is not None:
        text = read_text(Path(preset.text))
        cut = len(text) * 9 // 10
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return Data(text[:cut], text[cut:], f"text {digest}")
    poems = load_poems(raw(), preset.script)
    if preset.forms == "regulated":
        poems = [poem for poem in poems if poem.form in REGULATED.values()]
    train, val = split_poems(poems)
    return Data(train, val, split_hash(train, val))
