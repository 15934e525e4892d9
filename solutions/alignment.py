"""Chapter 10 · Alignment: worked answers."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

# --- What a program can judge -----------------------------------------------------------------


def tone_faults(tones: Sequence[str]) -> list[int]:
    """The places of a line whose tone is wrong.

    `tones` has one entry for each character: "平" (level), "仄" (oblique), or "平仄" where it may
    be either. Places count from 1. Only the even ones have a rule: their tones alternate. So a line
    of seven has 平仄平 at the places 2, 4, 6, or it has 仄平仄. A character that may be either is
    never wrong.

    Of the two, the one counts that makes fewer places wrong. If both make as many wrong, it is the
    one whose first wrong place comes later: what is heard first decides. (`nanopoet scan` hears a
    line within its poem, and lets the second character weigh more: it may blame another place.)

    Returns the wrong places as a list, in rising order. The line may have any length.

    >>> tone_faults(["仄", "仄", "仄", "仄", "平"])  # 疑是地上霜
    [4]
    >>> tone_faults(["平", "平", "仄", "平仄", "仄"])
    []
    """
    found = []
    for asked in ("平仄", "仄平"):  # at the places 2, 4, 6, 8, …
        evens = enumerate(tones[1::2])
        found.append([2 * i + 2 for i, tone in evens if asked[i % 2] not in tone])
    return min(sorted(found, reverse=True), key=len)  # of two as long, the one that begins later


def rhyme_holds(ends: Sequence[str], groups: Mapping[str, Collection[str]]) -> bool:
    """Whether a poem rhymes as regulated verse should.

    `ends` has the last character of each line, in order; there are two lines or more. `groups` says
    in which rhyme groups (韵部) a character is: in several if it has several readings. One that is
    no key there rhymes with nothing.

    The even lines rhyme, the second, the fourth and so on: there is one group in which all their
    ends are. None of these ends is the same character as that of another even line, or of the first
    line. What the other odd lines end in does not matter.

    >>> groups = {"光": ["阳"], "霜": ["阳"], "乡": ["阳"]}
    >>> rhyme_holds(["光", "霜", "月", "乡"], groups), rhyme_holds(["光", "霜", "月", "霜"], groups)
    (True, False)
    """
    rhymes = ends[1::2]
    shared = set.intersection(*(set(groups.get(end, ())) for end in rhymes))
    return bool(shared) and len({ends[0], *rhymes}) == 1 + len(rhymes)


# --- What the rules leave ---------------------------------------------------------------------


def may_follow(
    groups: Tensor, open_groups: Tensor, used: Tensor, level: Tensor, to_come: int
) -> Tensor:
    """Which characters may stand at the end of a line that rhymes, so that the poem can be ended.

    All tensors are boolean; V characters, G rhyme groups:

    - `groups` (V, G): which character is in which groups;
    - `open_groups` (G,): the groups in which all rhymes so far are;
    - `used` (V,): which characters have ended a line before, and must not again;
    - `level` (V,): which may have level tone, as a rhyme must;
    - `to_come`: how many more lines have to rhyme after this one.

    A character may follow if it is level and not used, and if it is in an open group that has at
    least `to_come` more such characters beside it. So there is never a dead end: whichever of
    them is drawn, the lines to come can still rhyme with it.

    Returns a boolean tensor (V,).

    >>> groups = torch.tensor([[True, False], [True, False], [False, True]])
    >>> none, all_of_them = torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    >>> may_follow(groups, torch.tensor([True, True]), none, all_of_them, to_come=1).tolist()
    [True, True, False]
    """
    free = level & ~used  # (V,)
    enough = (groups & free.unsqueeze(1)).sum(dim=0) > to_come  # (G,): one for this line, too
    return free & (groups & open_groups & enough).any(dim=1)


# --- Learning from a number -------------------------------------------------------------------


def expected_reward(logits: Tensor, rewards: Tensor) -> Tensor:
    """What a model that writes one character earns on average, without drawing any.

    `logits` (V,) is what it says of each of V characters, `rewards` (V,) what each is worth.
    Returns one number: each reward, weighed by the probability of its character. Gradients flow
    to the logits.

    >>> expected_reward(torch.zeros(2), torch.tensor([1.0, 0.0])).item()
    0.5
    """
    return (logits.softmax(dim=-1) * rewards).sum()


def policy_loss(log_probs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    """A loss whose gradient makes likelier what was worth more: REINFORCE.

    The model has written B poems. `log_probs` (B, T) are the log-probabilities of their tokens,
    with gradients. `advantages` (B,) says how much better each poem was than expected. It is a
    measured number: no gradient flows into it, even if it has one. `mask` (B, T) is True for the
    tokens that count, and there is at least one.

    Each token that counts contributes −(advantage of its poem) · (its log-probability). Returns the
    mean of these over all tokens that count, one number.

    >>> log_probs = torch.tensor([[-1.0, -2.0], [-6.0, 0.0]])
    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> policy_loss(log_probs, torch.tensor([1.0, -1.0]), mask).item()
    -1.0
    """
    gain = advantages.detach().unsqueeze(1) * log_probs  # (B, T)
    return -gain[mask].mean()


def group_advantages(rewards: Tensor, group_size: int) -> Tensor:
    """How much better each poem is than the others that answer the same request.

    `rewards` (B,): the first `group_size` of them are one group (组), the next another, and so on.
    From each reward its group's mean is taken, and what is left is divided by the group's spread:
    the root of the mean of its squares over the group. A spread below 0.001 counts as 0.001. So
    where all rewards are equal, each advantage is 0, and never NaN.

    Returns a tensor (B,), in the same order.

    >>> group_advantages(torch.tensor([1.0, 0.0, 5.0, 5.0]), group_size=2).tolist()
    [1.0, -1.0, 0.0, 0.0]
    """
    groups = rewards.view(-1, group_size)  # (groups, group_size)
    above = groups - groups.mean(dim=1, keepdim=True)
    spread = above.square().mean(dim=1, keepdim=True).sqrt()
    return (above / spread.clamp(min=0.001)).flatten()


# --- How far it may go ------------------------------------------------------------------------


def kl_estimates() -> dict[str, float]:
    """Predict: three estimates of one distance. By hand first, then compute it.

    A model p writes 天 or 地, each with probability 1/2. The model q that it began as says 1/4 for
    天 and 3/4 for 地. For a character that p has drawn, with r = q ÷ p of this character:

    - k1 = −ln r;
    - k2 = (ln r)² ÷ 2;
    - k3 = r − 1 − ln r.

    Work out their two values each. Then return a dictionary with these keys, each number to three
    digits or more:

    - "kl": KL(p, q), the sum of p · ln (p ÷ q) over both characters;
    - "other_way": KL(q, p), the sum of q · ln (q ÷ p);
    - "k2", "k3": the mean of k2, and that of k3, over what p draws. (That of k1 is KL(p, q).)
    - "spread_1", "spread_2", "spread_3": how far k1, k2 and k3 scatter about their means: the root
      of the mean squared distance from it, over what p draws;
    - "negative": the share of draws for which k1 is below 0.

    >>> found = kl_estimates()
    >>> sorted(found)[:3], len(found)
    (['k2', 'k3', 'kl'], 8)
    """
    return {
        "kl": 0.14384,  # ½ ln 2 + ½ ln ⅔
        "other_way": 0.13081,  # ¼ ln ½ + ¾ ln 1½
        "k2": 0.16121,  # ½ · 0.24023 + ½ · 0.08220: not KL
        "k3": 0.14384,  # ½ · 0.19315 + ½ · 0.09453: KL
        "spread_1": 0.54931,  # half the distance of 0.69315 and −0.40547
        "spread_2": 0.07901,
        "spread_3": 0.04931,
        "negative": 0.5,  # for 地, which q likes better
    }


def clipped_objective(
    log_probs: Tensor, old: Tensor, advantages: Tensor, clip: float = 0.2
) -> Tensor:
    """Mend this: what is gained by each token when one batch serves several updates (PPO).

    All tensors are (B, T). `log_probs` are those of the model as it is now, with gradients, `old`
    those of the model that wrote the poems. The ratio of a token is p now ÷ p when written. The
    gain is ratio · advantage, or the same with a ratio that is kept between 1 − `clip` and
    1 + `clip`: the smaller of the two counts, token by token.

    So a token that has moved far enough to where its advantage sends it earns no more, and gets no
    gradient. One that has moved the other way is always pulled back.

    Returns the gains (B, T). Gradients flow to `log_probs` alone.

    Symptom: after an update too large, tokens with an advantage of 1 have become three times less
    likely. All further updates of the batch leave them there.

    >>> old, advantages = torch.tensor([[-1.0, -1.0]]), torch.tensor([[1.0, -1.0]])
    >>> gain = clipped_objective(torch.tensor([[0.0, 0.0]]), old, advantages)
    >>> [round(x, 2) for x in gain[0].tolist()]
    [1.2, -2.72]
    """
    ratio = (log_probs - old.detach()).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    advantages = advantages.detach()
    return torch.minimum(ratio * advantages, clipped * advantages)


def mean_loss(losses: Tensor, mask: Tensor, unit: str) -> Tensor:
    """One loss for a batch of poems in which all tokens weigh the same, or all poems.

    `losses` (B, T) has one for each token, `mask` (B, T) is True for the tokens that count.

    - With `unit` "token": the mean over all tokens that count. A longer poem weighs more.
    - With `unit` "poem": the mean over the B poems of each one's mean over its tokens that count.
      A token of a longer poem weighs less. A poem in which none counts has a mean of 0.

    Any other `unit` is a ValueError. If no token counts at all, the loss is 0.

    Returns one number.

    >>> losses = torch.tensor([[0.0, 0.0], [3.0, 9.0]])
    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> mean_loss(losses, mask, "token").item(), mean_loss(losses, mask, "poem").item()
    (1.0, 1.5)
    """
    kept = losses * mask
    if unit == "token":
        return kept.sum() / mask.sum().clamp(min=1)
    if unit == "poem":
        return (kept.sum(dim=1) / mask.sum(dim=1).clamp(min=1)).mean()
    raise ValueError(f"{unit!r} is neither 'token' nor 'poem'")


# --- What the reward does not say -------------------------------------------------------------


def reward(
    lines: Sequence[str], form: tuple[int, int], groups: Mapping[str, Collection[str]]
) -> float:
    """Mend this: what a poem is worth, by its form and its rhyme.

    `lines` are the lines of the poem, without their stops. `form` says how many there should be,
    and how many characters each should have. `groups` says in which rhyme groups a character is;
    one that is no key there is in none.

    A poem that has another form is worth 0.0. One that has it is worth 1, and as much more as the
    share of its even lines that rhyme: of all groups the one counts in which most of their ends
    are. A character that ends several even lines rhymes once.

    Returns a float.

    Symptom: the mean reward rises to 2.0, which is all there is. In every poem, all even lines end
    in 生.

    >>> groups = {"霜": ["阳"], "乡": ["阳"], "枝": ["支"]}
    >>> reward(["床前明月光", "疑是地上霜", "举头望明月", "低头思故乡"], (4, 5), groups)
    2.0
    >>> reward(["床前明月光", "疑是地上霜"], (4, 5), groups)
    0.0
    """
    n, length = form
    if [len(line) for line in lines] != [length] * n:
        return 0.0
    ends = {line[-1] for line in lines[1::2]}
    counts = Counter(group for end in ends for group in groups.get(end, ()))
    return 1 + max(counts.values(), default=0) / len(lines[1::2])


def is_hacked(log: Sequence[Mapping[str, float]], spread: float = 0.05) -> int | None:
    """Whether a run has learned to be paid, and not what it was paid for: from which row on.

    `log` has a row for each time that the run was judged, at least one, in order. Of the columns
    of a row two are needed: "reward", the mean reward that the model is paid, and "kept", the
    share of its poems that keep the real rules. Others ("kl", "distinct", "largest") do not decide:
    a model may move far, and be right.

    Look at the row with the highest "kept", the first of them if there are several. The reward has
    been hacked if, in the last row, "reward" is above what it was there, and "kept" is below what
    it was there by more than `spread`. What is smaller may be chance.

    Returns the number of that row, counted from 0, if the reward has been hacked; else None.

    >>> rewards, kept = [1.9, 2.2, 2.5, 2.7], [0.1, 0.3, 0.2, 0.1]
    >>> is_hacked([{"reward": r, "kept": k} for r, k in zip(rewards, kept, strict=True)])
    1
    """
    best = max(range(len(log)), key=lambda row: log[row]["kept"])
    paid_more = log[-1]["reward"] > log[best]["reward"]
    fell = log[best]["kept"] - log[-1]["kept"] > spread
    return best if paid_more and fell else None


def log_probs(logits: Tensor, idx: Tensor, prompt: int) -> Tensor:
    """Mend this: the log-probabilities of what a model has written.

    `idx` (B, T) are token ids. The first `prompt` of each row, at least one, were given; the model
    wrote the others, one after the other. `logits` (B, T, V) are those of one pass over `idx`: at
    place t they say which token comes at place t + 1.

    Returns a tensor (B, T − prompt): the log-probability of each token that the model wrote, in
    order. Those of the prompt are not in it. Gradients flow to the logits.

    Symptom: before the first update nothing has moved, and the ratio to the probabilities that were
    noted while writing is not 1.

    >>> log_probs(torch.zeros(1, 4, 2), torch.tensor([[0, 1, 1, 0]]), prompt=2).exp().tolist()
    [[0.5, 0.5]]
    """
    before = logits[:, prompt - 1 : -1].log_softmax(dim=-1)  # each about the next token
    return before.gather(-1, idx[:, prompt:].unsqueeze(-1)).squeeze(-1)


# --- Pairs instead of rewards -----------------------------------------------------------------


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor,
    ref_rejected: Tensor,
    beta: float = 0.1,
) -> Tensor:
    """A loss that makes the better poem of each pair gain more on its start than the other (DPO).

    All tensors are (B,), log-probabilities of whole poems, a pair in each place. `chosen` and
    `rejected` are what the model says now of the better poem and of the other, `ref_chosen` and
    `ref_rejected` what the model that it began as says of the same two.

    The gain of a poem is how much its log-probability has grown since the start. The margin of a
    pair is the gain of the better poem less that of the other. Returns one number, the mean over
    pairs of −ln σ(beta · margin), with σ the sigmoid. At the start it is ln 2. However large a
    margin is, the loss is finite.

    >>> same = torch.tensor([-20.0])
    >>> round(dpo_loss(same, same, same, same).item(), 4)
    0.6931
    """
    margin = (chosen - ref_chosen) - (rejected - ref_rejected)
    return -F.logsigmoid(beta * margin).mean()
