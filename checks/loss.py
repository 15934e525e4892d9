"""Checks of chapter 05."""

import math
from collections.abc import Callable
from numbers import Real

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from nanopoet.checker.trial import Answer, Trial, check
from nanopoet_ref import loss as reference


def a_plain_number(*args: object) -> Callable[[Trial], None]:
    """A check of what kind of number comes back."""

    def kind(value: object) -> str:
        return "a float" if isinstance(value, Real) else f"a {type(value).__name__}"

    def a_plain_number(t: Trial) -> None:
        t.compare(
            lambda f: kind(f(*args)),
            why="the stub names a float: `math` gives one, `.item()` or float() makes one",
            name="what is returned",
        )

    return a_plain_number


@check("loss.uniform_loss", reference=reference.uniform_loss)
def uniform_loss(t: Trial) -> None:
    t.same(100, why="each token has probability 1/V; its surprise is -ln(1/V)", name="the loss")

    @t.for_all(vocab_size=st.integers(1, 200_000), examples=15)
    def any_vocabulary(vocab_size: int) -> None:
        t.same(vocab_size, why="the loss is in nats, and grows with V", name="the loss")


@check("loss.perplexity", reference=reference.perplexity)
def perplexity(t: Trial) -> None:
    t.same(math.log(100), why="a loss of ln 100 is that of 100 equal tokens", name="the perplexity")
    for loss in (0.5, 1.7, 5.3):
        t.same(loss, why="it is e to the loss, and need not be whole", name="the perplexity")

    @t.for_all(loss=st.floats(0, 12), examples=15)
    def any_loss(loss: float) -> None:
        t.same(loss, why="it undoes the logarithm, and need not be whole", name="the perplexity")


check("loss.uniform_loss")(a_plain_number(100))
check("loss.perplexity")(a_plain_number(1.5))


# --- From logits to one number -----------------------------------------------------------------


@check("loss.log_softmax", reference=reference.log_softmax)
def log_softmax(t: Trial) -> None:
    def same(logits: Tensor, why: str, atol: float = 1e-7) -> None:
        t.same(logits, why=why, name="the tensor of log-probabilities", atol=atol)

    of_three = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)
    same(of_three, "e to each of the three log-probabilities gives the softmax")
    for shape in [(4, 6), (2, 5, 3), (3, 2, 4, 2), (5, 1)]:
        same(
            3 * t.randn(*shape, grad=True),
            "softmax goes over the last axis; the axes before it only count rows",
        )
    large = torch.tensor([[1000.0, 999.5, 998.0], [0.0, 1000.0, -1000.0]], dtype=torch.float64)
    same(large.requires_grad_(), "e^1000 fits into no float: it must never be computed")
    same((-large).detach().requires_grad_(), "if every e^z rounds to 0, so does the sum of them")
    both = torch.tensor([[1000.0, 999.0], [-1000.0, -1001.0]], dtype=torch.float64)
    same(both.requires_grad_(), "each row needs its own largest logit")
    rare = torch.tensor([100.0, 50.0, -100.0], requires_grad=True)
    same(rare, "a probability may round to 0, its logarithm must not be taken then", atol=1e-4)


@check("loss.log_softmax")
def a_large_vocabulary(t: Trial) -> None:
    why = "a row has as many logits as there are tokens, and a batch has many rows"
    for shape in ((300, 40), (20, 12_000)):
        logits = 3 * t.randn(*shape, dtype=torch.float32)
        t.same(logits, why=why, name="the tensor of log-probabilities")


def examples(t: Trial, *shape: int, V: int = 7, grad: bool = True) -> tuple[Tensor, Tensor]:
    """Logits (*shape, V) and targets (*shape)."""
    return 3 * t.randn(*shape, V, grad=grad), t.randint(V, *shape)


def extreme(grad: bool = True) -> tuple[Tensor, Tensor]:
    """Logits (2, 3, 4) of ±1000, and targets that were thought likely and unlikely."""
    rows = [
        [1000.0, 999.0, 0.0, -1000.0],
        [-1000.0, -999.0, -1000.0, -1001.0],
        [0.0, 1e3, 0.0, 5.0],
    ]
    logits = torch.tensor([rows, rows[::-1]], dtype=torch.float64).requires_grad_(grad)
    return logits, torch.tensor([[0, 1, 2], [1, 2, 3]])


@check("loss.token_losses", reference=reference.token_losses)
def token_losses(t: Trial) -> None:
    def same(examples: tuple[Tensor, Tensor], why: str) -> None:
        t.same(*examples, why=why, name="the tensor of losses")

    even = torch.zeros(3, 4, dtype=torch.float64)
    same((even, torch.tensor([2, 0, 3])), "four equal tokens: each surprises by ln 4")
    same(examples(t, 5), "each row is asked for the log-probability of its own target")
    same(examples(t, 2, 5), "targets (B, T) give losses (B, T)")
    same(examples(t, 3, 2, 4, V=5), "there may be any number of axes before the last")
    same(examples(t), "logits (V,) and a target () give one loss ()")
    same(examples(t, 1, 4), "one row keeps its axis: targets (1, T) give losses (1, T)")
    same(examples(t, 3, 1), "rows of one target keep theirs: (B, 1) gives (B, 1)")
    same(extreme(), "a loss may be 2000, but not infinite: stay in logarithms")
    logits, targets = examples(t, 2, 3, V=4)
    narrow = logits.detach().float().requires_grad_()
    same((narrow, targets), "the losses have the dtype of the logits")


def real_sizes(t: Trial) -> list[tuple[Tensor, Tensor]]:
    """Long rows, and rows of a large vocabulary, in float32."""
    shapes = ((2, 300, 40), (2, 10, 12_000))
    return [
        (3 * t.randn(*shape, dtype=torch.float32), t.randint(shape[-1], *shape[:-1]))
        for shape in shapes
    ]


@check("loss.token_losses")
def long_rows_and_a_large_vocabulary(t: Trial) -> None:
    for given in real_sizes(t):
        t.same(*given, why="ids go up to V - 1, in rows of any length", name="the tensor of losses")


@check("loss.cross_entropy", reference=reference.cross_entropy)
def cross_entropy(t: Trial) -> None:
    def same(examples: tuple[Tensor, Tensor], why: str) -> None:
        t.same(*examples, why=why, name="the loss")

    even = torch.zeros(3, 4, dtype=torch.float64)
    same((even, torch.tensor([2, 0, 3])), "four equal tokens surprise by ln 4, on average, too")
    same(examples(t, 6), "a mean over the targets, of -ln of what each of them was given")
    same(examples(t, 3, 5), "all B times T targets have the same say")
    same(examples(t, 4, 2, 3, V=5), "there may be any number of axes before the last")
    same(examples(t), "the mean over one target is its loss")
    same(extreme(), "logits of any size go in, and a finite loss comes out")
    logits, targets = examples(t, 2, 3, V=4)
    same(
        (logits.detach().float().requires_grad_(), targets), "the loss has the dtype of the logits"
    )


@check("loss.cross_entropy")
def a_mean_over_long_rows_and_a_large_vocabulary(t: Trial) -> None:
    for given in real_sizes(t):
        t.same(*given, why="ids go up to V - 1, in rows of any length", name="the loss")


def grad_by_autograd(logits: Tensor, targets: Tensor) -> Tensor:
    logits = logits.detach().clone().requires_grad_()
    V = logits.shape[-1]
    loss = F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))
    return torch.autograd.grad(loss, logits)[0]


@check("loss.cross_entropy_grad", reference=grad_by_autograd)
def cross_entropy_grad(t: Trial) -> None:
    def same(examples: tuple[Tensor, Tensor], why: str) -> None:
        t.same(*examples, why=why, name="the gradient by the logits")

    one = torch.tensor([[2.0, 1.0, 0.0]], dtype=torch.float64), torch.tensor([1])
    same(one, "what was believed minus what happened")
    same(examples(t, 6, grad=False), "the loss is a mean over N targets: each has 1/N of a say")
    same(examples(t, 3, 5, grad=False), "N is the number of all targets, here 3 times 5")
    same(examples(t, 2, 3, 2, V=5, grad=False), "softmax goes over the last axis")
    same(examples(t, grad=False), "one target: N is 1")
    same(extreme(grad=False), "the belief must not overflow")
    logits, targets = examples(t, 2, 3, V=4, grad=False)
    same((logits.float(), targets), "a gradient has the dtype of what it belongs to")

    def twice(answer: Answer) -> list[Tensor]:
        given = logits.clone()
        return [answer(given, targets).clone() for _ in range(2)]

    def marks(answer: Answer) -> bool:
        given = logits.clone()
        answer(given, targets)
        return given.requires_grad

    why = "logits stay as they are, also their .grad: asked again, the answer is the same"
    t.compare(twice, why=why, name="the gradient, asked for twice,")
    why = "logits stay as they are: what wants a gradient is a copy"
    t.compare(marks, why=why, name="whether the logits want a gradient afterwards")


@check("loss.cross_entropy_grad")
def a_gradient_of_long_rows_and_a_large_vocabulary(t: Trial) -> None:
    for given in real_sizes(t):
        why = "ids go up to V - 1, in rows of any length"
        t.same(*given, why=why, name="the gradient by the logits", atol=1e-9)


# --- Only some targets count -------------------------------------------------------------------


@check("loss.masked_cross_entropy", reference=reference.masked_cross_entropy)
def masked_cross_entropy(t: Trial) -> None:
    def same(logits: Tensor, targets: Tensor, mask: Tensor | None, why: str, **kw: float) -> None:
        t.same(logits, targets, mask, why=why, name="the loss", **kw)

    # Two tokens, and logits that give the target 1/e, 1/e², … : surprises of 1, 2, 3, 4.
    surprises = torch.arange(1.0, 5.0, dtype=torch.float64)
    logits = torch.stack([-surprises, (1 - (-surprises).exp()).log()], dim=-1).unsqueeze(0)
    first_two = torch.tensor([[True, True, False, False]])
    by_hand = "surprises 1, 2, 3, 4 and mask 1, 1, 0, 0 give (1 + 2)/2"
    same(logits, torch.zeros(1, 4, dtype=torch.long), first_two, by_hand)

    # Rows of 5, 2, 1 and 0 targets that count.
    mask = torch.arange(5) < torch.tensor([[5], [2], [1], [0]])
    logits, targets = examples(t, 4, 5)
    targets[0, 1] = 0  # an id as any other
    every = "each target that counts has the same say, whichever row it stands in"
    same(logits, targets, mask, every)
    same(logits, targets, mask.double(), "the mask may hold 1.0 and 0.0 instead of True and False")
    same(logits, targets, None, "without a mask all targets count")
    flat, flat_targets = examples(t, 9, V=5)
    same(flat, flat_targets, torch.arange(9) % 3 == 1, "targets (N,) are as good as (B, T)")
    same(flat, flat_targets, torch.arange(9) == 4, "the mean over one target is its loss")
    wide, ids = extreme()
    some = torch.tensor([[True, False, True], [True, True, False]])
    same(wide, ids, some, "logits of any size go in, and a finite loss comes out")
    of_training = 3 * t.randn(2, 6, 11, grad=True, dtype=torch.float32)
    ids, some = t.randint(11, 2, 6), t.randint(2, 2, 6).bool()
    same(of_training, ids, some, "the loss has the dtype of the logits", atol=1e-6)
    same(of_training, ids, some.float(), "the loss has the dtype of the logits", atol=1e-6)
    nothing = torch.zeros(2, 6, dtype=torch.bool)
    why = "nothing to count: a loss of 0 that hangs on the logits, with a gradient of 0"
    same(of_training, ids, nothing, why)
    same(of_training, ids, nothing.float(), why)

    def reaches_logits(loss_fn: Answer) -> bool:
        logits = of_training.detach().clone().requires_grad_()
        loss_fn(logits, ids, nothing).backward()
        return logits.grad is not None

    t.compare(reaches_logits, why=why, name="whether backward() reaches the logits")


@check("loss.masked_cross_entropy")
def a_mask_over_long_rows_and_a_large_vocabulary(t: Trial) -> None:
    for logits, targets in real_sizes(t):
        mask = t.randint(2, *targets.shape).bool()
        t.same(logits, targets, mask, why="rows may be long, and V large", name="the loss")


# --- What a loss value means -------------------------------------------------------------------


def texts(V: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, V - 1), min_size=1, max_size=30)


@check("loss.unigram_log_probs", reference=reference.unigram_log_probs)
def unigram_log_probs(t: Trial) -> None:
    def same(ids: object, V: int, why: str) -> None:
        t.same(ids, V, why=why, name="the array of log-probabilities")

    same([0, 0, 0, 1, 1, 2], 3, "counts 3, 2, 1 become 4, 3, 2; their shares add up to 1")
    same([2, 2, 0], 6, "a token that was not seen has a count of 1, and a place in the answer")
    longer = t.randint(7, 40).tolist()
    same(longer, 9, "count, add one to each of the 9, divide by the sum of all this")
    same(np.array(longer), 12, "ids may be an array, too")

    @t.for_all(ids=texts(8), V=st.integers(8, 11), examples=15)
    def any_text(ids: list[int], V: int) -> None:
        same(ids, V, "V ones were added to the counts, so V is added to their sum")
        same(np.array(ids), V, "ids may be an array, too")


@check("loss.unigram_log_probs")
def a_long_text(t: Trial) -> None:
    why = "a text has many tokens, and a vocabulary, too"
    ids = t.randint(11_000, 5000).numpy()
    t.same(ids, 12_000, why=why, name="the array of log-probabilities")


@check("loss.unigram_loss", reference=reference.unigram_loss)
def unigram_loss(t: Trial) -> None:
    def same(*args: object, why: str) -> None:
        t.same(*args, why=why, name="the loss")

    same([0, 0, 1, 2], 3, why="shares 1/2, 1/4, 1/4 on themselves: 1.5 bits, 1.04 nats")
    same([0, 0, 0, 3], 9, why="tokens that do not occur add nothing to the entropy")
    same([4, 4, 4], 5, why="a text of one token surprises nobody")
    same([0, 0, 0, 1], 4, [0, 1, 1], why="count in ids, be surprised by val_ids, a mean per token")
    same([0, 0, 0, 1], 4, [2, 2], why="one was added to all counts: what is new is not impossible")
    ids, val_ids = t.randint(7, 40).tolist(), t.randint(9, 25).tolist()
    same(ids, 9, why="without val_ids it is the entropy of ids")
    same(ids, 9, val_ids, why="count in ids, be surprised by val_ids")

    @t.for_all(ids=texts(6), val_ids=texts(8), V=st.integers(8, 11), examples=12)
    def any_texts(ids: list[int], val_ids: list[int], V: int) -> None:
        same(ids, V, why="without val_ids it is the entropy of ids")
        same(ids, V, val_ids, why="count in ids, be surprised by val_ids")
        same(np.array(ids), V, why="ids may be an array, too")
        same(np.array(ids), V, np.array(val_ids), why="both may be arrays, too")


check("loss.unigram_loss")(a_plain_number([0, 0, 1], 2))


@check("loss.unigram_loss")
def two_long_texts(t: Trial) -> None:
    ids, val_ids = t.randint(11_000, 5000).numpy(), t.randint(12_000, 3000).numpy()
    t.same(ids, 12_000, why="a text may be long", name="the loss")
    t.same(ids, 12_000, val_ids, why="both texts may be long", name="the loss")


@check("loss.bits_per_byte", reference=reference.bits_per_byte)
def bits_per_byte(t: Trial) -> None:
    t.same(24 * math.log(2), 12, why="24 bits over 12 bytes", name="bits per byte")
    t.same(8 * math.log(2), 1, why="a text may be one byte long", name="bits per byte")
    t.same(0.0, 12, why="a text that surprises nobody costs 0 bits", name="bits per byte")

    @t.for_all(nats=st.floats(0, 1e6), n_bytes=st.integers(1, 100_000), examples=15)
    def any_text(nats: float, n_bytes: int) -> None:
        t.same(nats, n_bytes, why="one bit is ln 2 = 0.693 nats", name="bits per byte")

    for n_bytes in (0, -3):
        t.refuses(5.0, n_bytes, why="no text has so few bytes: say so, instead of a number")


check("loss.bits_per_byte")(a_plain_number(5.0, 3))


# --- Bug hunts ---------------------------------------------------------------------------------


def hidden(targets: list[int], mask: list[int]) -> list[int]:
    return [target if counts else -1 for target, counts in zip(targets, mask, strict=True)]


@check("loss.hide_targets", reference=hidden)
def hide_targets(t: Trial) -> None:
    def same(targets: list[int], mask: list[int], why: str) -> None:
        t.same(targets, mask, why=why, name="the new list")

    same([7, 8, 9, 5, 5], [1, 1, 1, 0, 0], "the mask is 0 at the last two places, and only there")
    same([7, 8, 9, 5, 5, 3], [0, 0, 1, 0, 1, 1], "every place has its own say")
    same([7, 8, 9], [True, False, False], "True and False are as good as 1 and 0")
    same([7, 0, 9], [1, 1, 1], "nothing is hidden; 0 is an id as any other")
    same([7, 8], [0, 0], "all are hidden")

    pairs = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 1)), min_size=1, max_size=12)

    @t.for_all(pairs=pairs, examples=15)
    def any_row(pairs: list[tuple[int, int]]) -> None:
        targets, mask = ([*column] for column in zip(*pairs, strict=True))
        same(targets, mask, "hide a target where its mask is 0, and nowhere else")


@check("loss.hide_targets")
def a_list_of_any_length(t: Trial) -> None:
    def kind(value: object) -> str:
        return "a list" if isinstance(value, list | tuple) else "an array or a tensor"

    t.compare(
        lambda f: kind(f([7, 8], [1, 0])),
        why="the stub names a list: `.tolist()` makes one",
        name="what is returned",
    )
    targets, mask = t.randint(12_000, 1000).tolist(), t.randint(2, 1000).tolist()
    t.same(targets, mask, why="a row may be long", name="the new list")


# --- A test that the learner writes ------------------------------------------------------------

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def surprises(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.movedim(-1, 1), targets, reduction="none")


def weighted(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return (surprises(logits, targets) * mask).sum() / mask.sum()


def selected(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return F.cross_entropy(logits[mask], targets[mask])


def in_a_loop(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    places = [tuple(place) for place in mask.nonzero().tolist()]
    return torch.stack([F.cross_entropy(logits[p], targets[p]) for p in places]).mean()


def all_minus_filler(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Right, but the last digits of a sum depend on the filler that was in it for a while."""
    losses = surprises(logits, targets)
    return (losses.sum() - losses[~mask].sum()) / mask.sum()


def in_bits(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return weighted(logits, targets, mask) / math.log(2)


def without_division(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return (surprises(logits, targets) * mask).sum()


def mean_of_rows(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return ((surprises(logits, targets) * mask).sum(1) / mask.sum(1)).mean()


def everything(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return surprises(logits, targets).mean()


def divided_by_all(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    return (surprises(logits, targets) * mask).mean()


def skips_token_0(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """As if 0 were the only filler, and no real token. The 1e-9 is for a batch of zeros."""
    counts = targets != 0
    return (surprises(logits, targets) * counts).sum() / (counts.sum() + 1e-9)


def longest(mask: Tensor) -> int:
    """How many columns there are without the filler that all rows share."""
    return int(mask.any(dim=0).nonzero().max()) + 1


def up_to_the_longest(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Cuts off the filler that all rows share, and counts the rest."""
    return surprises(logits, targets)[:, : longest(mask)].mean()


def half_masked(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """The same, but forgets the mask at the log-sum only: no target of filler counts."""
    chosen = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    log_sums = logits[:, : longest(mask)].logsumexp(-1)
    return (log_sums.sum() - (chosen * mask).sum()) / mask.sum()


def masked_logits(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """At filler all logits become 0, which costs ln V."""
    return surprises(logits * mask.unsqueeze(-1), targets).mean()


def one_place_too_many(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Counts the first filler of the shortest row; how much there is behind does not matter."""
    shortest = mask.sum(1) == mask.sum(1).min()
    following = F.pad(mask, (1, 0))[:, :-1] & shortest.unsqueeze(1)
    return selected(logits, targets, mask | following)


RIGHT: list[tuple[Loss, str]] = [
    (weighted, "multiplies by the mask and divides by its sum"),
    (selected, "picks the targets that count"),
    (in_a_loop, "visits the targets that count, one by one"),
    (all_minus_filler, "is right, up to rounding"),
    (in_bits, "is in bits, but blind to filler"),
    (without_division, "is a sum instead of a mean, but blind to filler"),
    (mean_of_rows, "takes the mean of the means of rows, but is blind to filler"),
]
WRONG: list[tuple[Loss, str]] = [
    (everything, "takes the mean over all places"),
    (divided_by_all, "divides by the number of all places"),
    (skips_token_0, "leaves out token 0 and does not look at the mask"),
    (up_to_the_longest, "counts the filler of all rows but the longest"),
    (half_masked, "counts the logits of filler in the shorter rows"),
    (masked_logits, "sets the logits of filler to 0"),
    (one_place_too_many, "counts the first filler of the shortest row as well"),
]


def oracle(loss_fn: Loss) -> bool:
    return loss_fn not in [loss for loss, _ in RIGHT]


@check("loss.counts_padding", reference=oracle)
def counts_padding(t: Trial) -> None:
    for loss_fn, what in [RIGHT[0], WRONG[0], WRONG[1], *RIGHT[1:], *WRONG[2:]]:
        t.compare(
            lambda test, loss_fn=loss_fn: test(loss_fn),
            why="True: it depends on what filler holds, or on how much there is"
            if (loss_fn, what) in WRONG
            else "False: neither what filler holds nor how much there is changes the number",
            name=f"the verdict on a loss that {what}",
        )


# --- Predictions -------------------------------------------------------------------------------


def measured() -> list[float]:
    sure = torch.tensor([10.0, 0.0], dtype=torch.float64)
    text = np.tile([0, 1, 0, 2], 500)  # 春花春月 again and again
    following = np.roll(text, -1)
    pairs = np.bincount(text * 3 + following, minlength=9).reshape(3, 3)
    after = (pairs / pairs.sum(1, keepdims=True))[text, following]
    two = torch.tensor([[1 / 4, 3 / 4], [1 / 16, 15 / 16]], dtype=torch.float64).log()
    return [
        reference.uniform_loss(11_868),
        reference.token_losses(torch.tensor([0.9, 0.1]).log(), torch.tensor(0)).item(),
        reference.token_losses(sure, torch.tensor(1)).item(),
        reference.unigram_loss(text, 3),
        float(-np.log(after).mean()),
        reference.perplexity(reference.cross_entropy(two, torch.tensor([0, 0])).item()),
        reference.bits_per_byte(math.log(64), 3),
    ]


def two_digits(value: float, right: float) -> float:
    """The right number if it is near enough, or else two digits, and all if they were right."""
    if abs(value - right) <= 6e-3 * abs(right):
        return right
    rounded = float(f"{value:.1e}")
    return value if abs(rounded - right) <= 6e-3 * abs(right) else rounded


@check("loss.losses_by_hand", reference=measured)
def losses_by_hand(t: Trial) -> None:
    truth = measured()
    t.compare(lambda answer: len(list(answer())), why="seven questions", name="how many numbers")
    whys = [
        "all are equally likely: the surprise is that at a probability of 1/V",
        "surprise is the negative natural logarithm of the probability",
        "the second token gets about e^-10; how surprising is it?",
        "the shares are 1/2, 1/4, 1/4; weigh the surprise of each by how often it comes",
        "after 春 there is doubt, after 花 and 月 there is none",
        "perplexity is e to the mean loss; the mean is taken of the surprises",
        "64 equal tokens are how many bits? A character shares them out over its bytes",
    ]
    for i, why in enumerate(whys):
        # In two digits: a wrong number has the same name however it was rounded.
        t.compare(
            lambda answer, i=i: two_digits(float(list(answer())[i]), truth[i]),
            why=why,
            name=f"number {i + 1}",
        )
