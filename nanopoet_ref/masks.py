"""Masks (格律的遮罩): which characters may come next, so that a poem keeps the rules.

A model that has learned form but not rhyme can still write verse that rhymes: at each step, what
would break a rule gets no probability. What the rules ask for depends on what is written so far,
and is kept in three small tensors a batch: the two schemes of tone that are still open, the rhyme
groups still open, the rhyme characters used up.

There is no dead end. A place of tone allows a character only if a scheme stays open, and both tones
have characters. A rhyme allows one only if a group stays open, and every group that is open at all
has more characters than a poem has rhymes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nanopoet_ref.pinyin import HAN_PATTERN
from nanopoet_ref.prosody import NAMES, OTHER, SHAPES, tones_at
from nanopoet_ref.rhymebook import BOOKS, LEVEL, OBLIQUE, level_rhyme, tone
from nanopoet_ref.tokenizer import END, CharTokenizer

RULES = ("rhyme", "tone")  # beside that of form, which every mask keeps
ANY = 0  # of the wanted tones: either will do; 1 and 2 are those of NAMES


class RuleError(ValueError):
    """What is asked for cannot be had under the rules; the message says why."""


class VerseMask:
    """What may come next in each row of a batch of poems in the four regulated forms.

    `allowed` is asked before each step, `advance` told what was drawn. `group` asks for a rhyme
    group, `acrostic` for the first character of each line.

    Raises:
        RuleError: the request cannot be satisfied, with the reason.
    """

    def __init__(
        self,
        tokenizer: CharTokenizer,
        forms: Sequence[str],
        *,
        rules: Sequence[str] = RULES,
        group: str = "",
        acrostic: str = "",
        book: str = "pingshui",
        device: torch.device | None = None,
    ) -> None:
        for form in forms:
            if form not in SHAPES:
                raise RuleError(f"{form or 'this form'} has no rules to keep here")
        self.vocab, self.forms, self.book = tokenizer.vocab, list(forms), book
        slots = [slots_of(form, rules) for form in forms]
        self.lengths = list(map(len, slots))  # tokens of each poem, its end included
        self.length = length = max(self.lengths)
        B = len(forms)
        self.forced = torch.full((B, length), -1)  # a mark, the end, or a character asked for
        self.tones = torch.zeros(B, length, 2, dtype=torch.long)  # wanted under each scheme
        self.rhyming = torch.zeros(B, length, dtype=torch.bool)  # ends of even lines
        self.rhymes = torch.zeros(B, length, dtype=torch.bool)  # and of the first, which may join
        for b, row in enumerate(slots):
            for t, (text, wanted, rhyming, ends) in enumerate(row):
                self.forced[b, t] = token_of(tokenizer, text) if text else -1
                self.tones[b, t] = torch.tensor(wanted)
                self.rhyming[b, t], self.rhymes[b, t] = rhyming, ends
            self.forced[b, len(row) :] = tokenizer.special[END]
            if acrostic:
                self.forced[b, line_starts(forms[b], acrostic)] = torch.tensor(
                    [token_of(tokenizer, character) for character in acrostic]
                )
        self.can, self.groups, self.names = tables(tokenizer, book)
        self.open_groups = self.enough(forms, group, rules).repeat(B, 1)  # (B, G)
        self.open_schemes = torch.ones(B, 2, dtype=torch.bool)  # the poem opens level, or oblique
        self.used = torch.zeros(B, len(self.vocab), dtype=torch.bool)
        self.t = 0
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))

    def enough(self, forms: Sequence[str], group: str, rules: Sequence[str]) -> Tensor:
        """The groups (G,) that have a character for every rhyme, and one to spare."""
        needed = max(SHAPES[form][0] // 2 + 1 for form in forms)
        found = self.groups.sum(0) >= needed
        enough = [name for name, n in zip(self.names, found, strict=True) if n]
        too_few = "the run knows too few characters that rhyme in"
        if not self.can[ANY].any():
            raise RuleError("the run knows no Chinese characters")
        if "rhyme" in rules and not enough:
            raise RuleError(f"{too_few} any group of {BOOKS[self.book]}")
        if "tone" in rules and not self.can.any(1).all():
            raise RuleError("the run knows no characters of one of the two tones")
        if not group:
            return found
        if group not in enough:
            raise RuleError(f"{too_few} {group}; enough in {' '.join(enough)}")
        return torch.tensor([name == group for name in self.names])

    def allowed(self) -> Tensor:
        """The tokens (B, V) that may come next; at least one in each row."""
        if self.t >= self.forced.shape[1]:
            forced = self.forced[:, -1:]  # rows that are done
            return torch.zeros_like(self.used).scatter(1, forced, True)
        forced, rhyming = self.forced[:, self.t], self.rhyming[:, self.t]
        wanted = self.tones[:, self.t]  # (B, 2)
        # The wanted tone under either scheme, (B, V) each, where that scheme is still open.
        first, second = (self.can[wanted[:, s]] & self.open_schemes[:, s : s + 1] for s in range(2))
        allowed = first | second
        if rhyming.any():
            # (B, G) @ (G, V): in how many open groups does a character rhyme?
            joins = self.open_groups.float() @ self.groups.float().T > 0
            allowed = torch.where(rhyming[:, None], allowed & joins & ~self.used, allowed)
        only = torch.zeros_like(allowed).scatter(1, forced.clamp(min=0)[:, None], True)
        return torch.where((forced >= 0)[:, None], only, allowed)

    def advance(self, tokens: Tensor) -> None:
        """What was drawn, (B,): schemes and groups that it does not fit are closed."""
        if self.t < self.forced.shape[1]:
            wanted = self.tones[:, self.t]
            fits = (wanted == ANY) | self.can[wanted, tokens[:, None]]  # (B, 2)
            self.open_schemes = self.open_schemes & fits
            joins = self.groups[tokens]  # (B, G)
            rhyming = self.rhyming[:, self.t, None]
            self.open_groups = torch.where(rhyming, self.open_groups & joins, self.open_groups)
            ends = self.rhymes[:, self.t]
            self.used[ends, tokens[ends]] = True
        self.t += 1

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """While this is open, the model gives what is not allowed next the logit -inf.

        Each call of the model but the first brings the column that was drawn since the last.
        """
        started = False

        def mask_logits(_: nn.Module, args: tuple[Tensor, ...], logits: Tensor) -> Tensor:
            nonlocal started
            if started:
                self.advance(args[0][:, -1])
            started = True
            logits[:, -1].masked_fill_(~self.allowed(), float("-inf"))
            return logits

        hook = model.register_forward_hook(mask_logits)
        try:
            yield
        finally:
            hook.remove()

    def begin(self, tokens: Sequence[int]) -> None:
        """What every poem begins with, as if it had been drawn; refused where it breaks a rule."""
        for place, token in enumerate(tokens):
            refused = ~self.allowed()[:, token]
            if refused.any():
                text = "".join(self.vocab[i] for i in tokens)
                wanted = int(self.forced[refused, min(self.t, self.length - 1)][0])
                why = f", where {self.vocab[wanted]} belongs" if wanted >= 0 else ""
                raise RuleError(
                    f"{text} breaks the rules at character {place + 1}, {self.vocab[token]}{why}: "
                    "no poem of this form can begin so"
                )
            self.advance(torch.full_like(self.forced[:, 0], token))


Slot = tuple[str, list[int], bool, bool]


def slots_of(form: str, rules: Sequence[str]) -> list[Slot]:
    """For each token of a poem: the text it must be, its tones, whether it rhymes, ends a line.

    Tones under the two schemes, 0 for any; a line end that must be oblique is so under both.

    >>> [slot[:2] for slot in slots_of("五言绝句", ["tone"])[:3]]
    [('', [0, 0]), ('', [1, 2]), ('', [0, 0])]
    """
    n, length = SHAPES[form]
    marks = {LEVEL: 1, OBLIQUE: 2}
    found: list[Slot] = []
    for i in range(n):
        # Lines 1, 4, 5, 8 open as the scheme does, 2, 3, 6, 7 in the other tone.
        openings = list(NAMES) if i % 4 in (0, 3) else [OTHER[scheme] for scheme in NAMES]
        wanted = [tones_at(length, opening) for opening in openings]
        for place in range(1, length + 1):
            tones = [marks[w[place]] if "tone" in rules and place in w else ANY for w in wanted]
            last = place == length
            if last and i and i % 2 == 0 and "tone" in rules:
                tones = [marks[OBLIQUE]] * 2
            elif last and i % 2 and "tone" in rules:
                tones = [marks[LEVEL]] * 2
            rhyming = last and i % 2 == 1 and "rhyme" in rules
            found.append(("", tones, rhyming, last and (i == 0 or i % 2 == 1)))
        found.append(("。" if i % 2 else "，", [ANY, ANY], False, False))
    return [*found, (END, [ANY, ANY], False, False)]


def line_starts(form: str, acrostic: str) -> list[int]:
    """Where the lines of a form begin; as many as the acrostic has characters."""
    n, length = SHAPES[form]
    if strange := HAN_PATTERN.sub("", acrostic):
        raise RuleError(f"no line begins with {strange!r}")
    if len(acrostic) != n:
        raise RuleError(f"{acrostic} has {len(acrostic)} characters, and {form} has {n} lines")
    return [i * (length + 1) for i in range(n)]


def token_of(tokenizer: CharTokenizer, text: str) -> int:
    """The id of a character or of the end; a character that the run does not know is refused."""
    if text == END:
        return tokenizer.special[END]
    if text not in tokenizer.vocab:
        raise RuleError(f"the run does not know {text}")
    return tokenizer.vocab.index(text)


def tables(tokenizer: CharTokenizer, book: str) -> tuple[Tensor, Tensor, list[str]]:
    """What a vocabulary's tokens can be: in any, level, oblique tone (3, V); in a group (V, G).

    A character that the book does not list has either tone, and rhymes with nothing.
    """
    vocab = tokenizer.vocab
    known = [bool(HAN_PATTERN.fullmatch(token)) for token in vocab]
    tones = [tone(token, book) or set(NAMES) for token in vocab]
    rhymes = [
        level_rhyme(token, book) if ok else set() for token, ok in zip(vocab, known, strict=True)
    ]
    names = sorted(set().union(*rhymes))
    pairs = list(zip(known, tones, strict=True))
    can = torch.tensor([known, *([ok and name in found for ok, found in pairs] for name in NAMES)])
    groups = torch.zeros(len(vocab), len(names), dtype=torch.bool)
    for token, joined in enumerate(rhymes):
        for name in joined:
            groups[token, names.index(name)] = True
    return can, groups, names
