"""Alignment: advantages, distances, losses, and batches that the model writes."""

import math
from contextlib import suppress
from dataclasses import replace

import pytest
import torch

from nanopoet_ref.alignment import (
    Rollouts,
    clipped_objective,
    dpo_loss,
    group_advantages,
    kept_mass,
    kl_k1,
    kl_k2,
    kl_k3,
    mean_of_sequences,
    mean_of_tokens,
    policy_loss,
    preference_loss,
    rewards_to_go,
    sequence_log_probs,
    several_updates,
)
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import masked_cross_entropy, token_losses
from nanopoet_ref.midtraining import CONTENT_ID, pad_batch
from nanopoet_ref.poem import Poem
from nanopoet_ref.rewards import Control, place_reward, with_control
from nanopoet_ref.rollouts import (
    GRPO,
    LONGEST,
    as_rollouts,
    grpo_batches,
    join,
    stack_rows,
    write_rows,
)
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import END, CharTokenizer, build_vocab, render_poem
from nanopoet_ref.training import BatchStream, TrainConfig, train

GOOSE = Poem("骆", "五言绝句", "鹅", "红豆生南国，春来发几枝。愿君多采撷，此物最相思。")
TOKENIZER = CharTokenizer(
    build_vocab([*map(str, (GOOSE.author, GOOSE.form, GOOSE.title)), GOOSE.content, "支东平仄"])
)
ASKED = with_control(Poem("骆", "五言绝句", "鹅", ""), Control("支", "仄"))


def small_model(seed=0):
    torch.manual_seed(seed)
    config = GPTConfig(len(TOKENIZER), block_size=96, n_layer=1, n_head=2, n_embd=16)
    model = GPT(config)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape)
    return model


def rollouts(log_probs_old, advantages, counts=None, reference=None):
    old = torch.as_tensor(log_probs_old, dtype=torch.float32)
    parts = [torch.ones_like(old) if counts is None else counts, advantages, old]
    parts += [old if reference is None else reference, torch.zeros_like(old)]
    return torch.stack([torch.as_tensor(part, dtype=torch.float32) for part in parts], dim=-1)


# --- Advantages -------------------------------------------------------------------------------


def test_equal_rewards_have_no_advantage_and_are_no_nan():
    for scale in (True, False):
        assert group_advantages(torch.full((8,), 3.7), 4, scale=scale).tolist() == [0.0] * 8
    nothing = group_advantages(torch.ones(4, 2), 2, counts=torch.zeros(4, 2))
    assert nothing.tolist() == [[0.0, 0.0]] * 4


def test_an_advantage_is_one_within_its_group():
    rewards = torch.tensor([0.0, 2.0, 10.0, 14.0])
    assert group_advantages(rewards, 2, scale=False).tolist() == [-1.0, 1.0, -2.0, 2.0]
    assert group_advantages(rewards, 2).tolist() == [-1.0, 1.0, -1.0, 1.0]
    assert group_advantages(rewards, 4).sum().abs() < 1e-6


def test_what_is_not_there_moves_no_mean():
    rewards, counts = torch.tensor([[1.0], [0.0], [7.0]]), torch.tensor([[1.0], [1.0], [0.0]])
    found = group_advantages(rewards, 3, counts, scale=False)
    assert found[:, 0].tolist() == [0.5, -0.5, 0.0]


def test_rewards_to_go_are_sums_of_what_follows():
    rewards = torch.tensor([[1.0, 2.0, 4.0]])
    assert rewards_to_go(rewards, 0.0).tolist() == [[1.0, 2.0, 4.0]]
    assert rewards_to_go(rewards, 1.0).tolist() == [[7.0, 6.0, 4.0]]
    assert rewards_to_go(rewards, 0.5).tolist() == [[3.0, 4.0, 4.0]]
    assert rewards.tolist() == [[1.0, 2.0, 4.0]]  # as it was


# --- Distances --------------------------------------------------------------------------------


def test_the_bias_of_each_estimator_by_exact_sums():
    p, q = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.3, 0.5]).double()
    kl = float((p * (p / q).log()).sum())
    mean = {f: float((p * f(p.log(), q.log())).sum()) for f in (kl_k1, kl_k2, kl_k3)}
    assert mean[kl_k1] == pytest.approx(kl, abs=1e-12)
    assert mean[kl_k3] == pytest.approx(kl, abs=1e-12)
    assert abs(mean[kl_k2] - kl) > 0.01
    assert min(kl_k3(p.log(), q.log())) >= 0 > min(kl_k1(p.log(), q.log()))

    def scatter(f):
        values = f(p.log(), q.log())
        return float((p * (values - mean[f]) ** 2).sum())

    assert scatter(kl_k3) < scatter(kl_k1)


def test_the_gradient_of_k2_is_that_of_kl_where_samples_are_the_policys():
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    q = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).log()
    p = logits.log_softmax(0)
    true = torch.autograd.grad((p.exp() * (p - q)).sum(), logits, retain_graph=True)[0]
    by_k2 = torch.autograd.grad((p.exp().detach() * kl_k2(p, q)).sum(), logits)[0]
    torch.testing.assert_close(by_k2, true)


# --- The policy loss --------------------------------------------------------------------------


def test_on_a_two_armed_bandit_the_gradient_is_that_of_the_expected_reward():
    logits = torch.tensor([0.4, -0.1], dtype=torch.float64, requires_grad=True)
    rewards = torch.tensor([1.0, 0.0], dtype=torch.float64)
    expected = (logits.softmax(0) * rewards).sum()
    true = torch.autograd.grad(expected, logits)[0]
    # Every arm as often as it is drawn: the mean over samples without samples.
    probs = logits.detach().softmax(0)
    for baseline in (0.0, 0.6):  # a baseline changes nothing of the mean
        arms = torch.tensor([[0], [1]])
        stack = rollouts(probs.log()[:, None], (rewards - baseline)[:, None], probs[:, None])
        loss = policy_loss(logits.expand(2, 1, 2), arms, stack.double(), clip=None, kl=0.0)
        found = torch.autograd.grad(loss, logits)[0]
        torch.testing.assert_close(-found, true, atol=1e-6, rtol=1e-5)


def test_the_gradient_agrees_with_finite_differences():
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 3, 5, dtype=torch.float64), torch.randint(5, (2, 3))
    old = -token_losses(logits, targets) + 0.3 * torch.randn(2, 3)
    stack = torch.stack(
        [torch.ones(2, 3), torch.randn(2, 3), old, old - 0.2, 0 * old], dim=-1
    ).double()

    def loss(x):
        log_probs = -token_losses(x, targets)
        counts, advantages, before, reference, _ = stack.unbind(-1)
        gain = clipped_objective(log_probs, before, advantages)
        return mean_of_tokens(0.1 * kl_k3(log_probs, reference) - gain, counts)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())
    ours = policy_loss(logits, targets, stack, kl=0.1)
    torch.testing.assert_close(ours.double(), loss(logits), atol=1e-5, rtol=1e-5)


def test_the_clip_ends_the_gain_and_never_the_way_back():
    log_probs = torch.tensor([math.log(1.5), math.log(0.5)] * 2, requires_grad=True)
    advantages = torch.tensor([1.0, -1.0, -1.0, 1.0])
    clipped_objective(log_probs, torch.zeros(4), advantages).sum().backward()
    assert log_probs.grad[:2].tolist() == [0.0, 0.0]
    assert log_probs.grad[2:].tolist() == pytest.approx([-1.5, 0.5])


def test_with_one_update_the_clip_changes_nothing():
    torch.manual_seed(1)
    logits, targets = torch.randn(2, 3, 5, requires_grad=True), torch.randint(5, (2, 3))
    stack = rollouts(-token_losses(logits, targets).detach(), torch.randn(2, 3))
    clipped, free = (
        torch.autograd.grad(policy_loss(logits, targets, stack, clip=clip), logits)[0]
        for clip in (0.2, None)
    )
    torch.testing.assert_close(clipped, free)


def test_other_batches_have_the_loss_of_surprise():
    logits, targets = torch.randn(2, 3, 5), torch.randint(5, (2, 3))
    mask = torch.tensor([[True, True, False], [True, False, False]])
    torch.testing.assert_close(
        policy_loss(logits, targets, mask), masked_cross_entropy(logits, targets, mask)
    )


def test_tokens_and_sequences_weigh_rows_differently():
    values, mask = (
        torch.tensor([[1.0, 1.0, 1.0], [5.0, 0.0, 0.0]]),
        torch.tensor([[1, 1, 1], [1, 0, 0]]),
    )
    assert mean_of_tokens(values, mask).item() == 2.0
    assert mean_of_sequences(values, mask).item() == 3.0
    assert mean_of_sequences(values, torch.zeros(2, 3)).item() == 0.0
    assert sequence_log_probs(values, mask).tolist() == [3.0, 5.0]


def test_dpo_wants_the_chosen_to_gain_more_than_the_rejected():
    chosen, rejected = (torch.zeros(1, requires_grad=True) for _ in range(2))
    loss = dpo_loss(chosen, rejected, torch.zeros(1), torch.zeros(1), beta=0.5)
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    assert chosen.grad.item() == pytest.approx(-0.25) == -rejected.grad.item()


def test_the_mass_of_a_rule_is_the_mean_reward_and_repeated_rhymes_are_none():
    torch.manual_seed(2)
    logits, targets = torch.randn(1, 5, 6), torch.tensor([[3, 0, 4, 5, 3]])
    members = torch.zeros(5, 6, dtype=torch.bool)
    members[1, 0], members[4, 3:] = True, True  # the mark 0; the rhymes 3, 4, 5
    asked = torch.tensor([[-1, 1, 4, 0, 4]])  # 3 ends the first line, 4 the second
    probs = logits[0].softmax(-1)
    expected = [probs[1, 0], probs[2, 4] + probs[2, 5], probs[4, 5]]
    found = kept_mass(logits, targets, asked, members)
    torch.testing.assert_close(found, torch.stack(expected))
    sharp = kept_mass(logits, targets, asked, members, temperature=0.5)
    torch.testing.assert_close(sharp[0], (2 * logits[0, 1]).softmax(-1)[0])
    # Of the loss, what it adds is pay · mass, shared out over the tokens that count.
    counts = torch.ones(1, 5)
    stack = torch.stack([counts, 0 * counts, 0 * counts, 0 * counts, asked.float()], dim=-1)
    pay = torch.tensor([0.0, 2.0, 0.0, 0.0, 3.0])
    loss = policy_loss(logits, targets, stack, kl=0.0, pay=pay, members=members)
    torch.testing.assert_close(loss, -(2 * found[0] + 3 * found[1:].sum()) / 5)


# --- Batches that the model writes --------------------------------------------------------------


def ask(i):
    return [
        ASKED,
        with_control(GOOSE, Control("东", "平")).__class__("骆", "五言绝句", "鹅，东平", ""),
    ]


def some_reward(texts, asked):
    return place_reward(texts, asked, {"form": 1.0, "rhyme": 4.0, "tone": 1.0})


def maker(model, settings, real=None, reward=some_reward, note=None):
    reference = small_model()
    return grpo_batches(
        model, reference, TOKENIZER, ask, reward, settings, real=real, seed=3, note=note
    )


def test_nothing_of_the_prompt_is_trained_and_all_that_was_written_is():
    model = small_model()
    written = write_rows(model, TOKENIZER, [ASKED] * 3, 1.0, make_generator(0))
    values = [[1.0] * len(content) for _, content in written]
    batch, counts, _ = stack_rows(written, values, 96)
    for row, (prompt, content) in enumerate(written):
        counted = batch.targets[row][counts[row] > 0].tolist()
        assert counted == content
        assert prompt[-1] == CONTENT_ID
        assert len(content) <= LONGEST
    batch = maker(model, GRPO(group_size=2, real=0))(0)
    in_prompt = (batch.idx == CONTENT_ID).cumsum(1) == 0
    assert not batch.mask[in_prompt][:, :2].any()  # neither counted nor worth anything


def test_a_batch_depends_on_its_number_the_seed_and_the_weights():
    settings = GRPO(group_size=2, real=0)
    first, again = (maker(small_model(), settings)(5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = maker(small_model(), settings)(6)
    assert other.idx.shape != first.idx.shape or not torch.equal(other.idx, first.idx)


def test_poems_of_poets_are_learned_as_in_mid_training():
    model = small_model()
    batch = pad_batch([render_poem(TOKENIZER, GOOSE)], 96)
    plain = torch.autograd.grad(
        masked_cross_entropy(model(batch.idx), batch.targets, batch.mask), model.head.weight
    )[0]
    as_written = as_rollouts(model, batch, 1.0)
    loss = policy_loss(model(batch.idx), as_written.targets, as_written.mask, kl=0.5)
    torch.testing.assert_close(torch.autograd.grad(loss, model.head.weight)[0], plain)


def test_pairs_of_poems_are_a_batch_of_the_loop():
    model = small_model()
    broken = Poem("骆", "五言绝句", "鹅", GOOSE.content.replace("枝", "君"))
    rows = [render_poem(TOKENIZER, poem) for poem in (GOOSE, broken)]
    batch = as_rollouts(small_model(), pad_batch(rows, 96, "content"), 0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(4):
        loss = preference_loss(model(batch.idx), batch.targets, batch.mask, beta=0.5)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert losses[-1] < losses[0]
    plain = preference_loss(model(batch.idx), batch.targets, batch.mask[..., 0] > 0)
    expected = masked_cross_entropy(model(batch.idx), batch.targets, batch.mask[..., 0] > 0)
    torch.testing.assert_close(plain, expected)


def test_pairs_are_the_best_and_the_worst_of_each_group_and_need_no_poets():
    model, settings = small_model(), GRPO(group_size=4, real=0, pairs=True, worth={"tone": 1.0})
    found = maker(model, settings)(0)
    alone = maker(model, replace(settings, pairs=False, baseline=False))(0)
    paid = (alone.mask[..., 1] * alone.mask[..., 0]).sum(dim=1).view(2, 4)
    assert found.idx.shape[0] == 4
    chosen, rejected = (found.mask[side::2, :, 1].sum(dim=1) for side in (0, 1))
    whole = maker(model, replace(settings, pairs=False))(0).mask[..., 1].sum(dim=1).view(2, 4)
    rows = paid.argmax(dim=1), paid.argmin(dim=1)
    for side, row in zip((chosen, rejected), rows, strict=True):
        torch.testing.assert_close(side, whole.gather(1, row.unsqueeze(1)).squeeze(1))
    assert settings.loss()(model(found.idx), *found[1:]).item() == pytest.approx(math.log(2))


def test_without_a_baseline_only_what_was_paid_is_learned_from():
    model = small_model()

    def reward(texts, asked):
        return [[0.0] * (len(t) - 1) + [float(i == 2)] for i, t in enumerate(texts)]

    settings = GRPO(group_size=2, real=0, baseline=False, discount=1.0, kl=0.0)
    batch = maker(model, settings, reward=reward)(0)
    counts, advantages = batch.mask[..., 0], batch.mask[..., 1]
    assert torch.equal(advantages[2], counts[2])
    assert not advantages[[0, 1, 3]].any()
    one = batch.idx[2:3], batch.targets[2:3]
    loss = settings.loss()(model(batch.idx), *batch[1:]) * counts.sum() / counts[2].sum()
    learned = torch.autograd.grad(loss, model.head.weight)[0]
    surprise = masked_cross_entropy(model(one[0]), one[1], counts[2:3] > 0)
    torch.testing.assert_close(learned, torch.autograd.grad(surprise, model.head.weight)[0])


def test_joined_rows_keep_what_counts():
    model = small_model()
    short, long = (
        as_rollouts(model, pad_batch([row], 96), 1.0)
        for row in (render_poem(TOKENIZER, ASKED), render_poem(TOKENIZER, GOOSE))
    )
    both = join(short, long)
    assert isinstance(both.to(torch.device("cpu")), Rollouts)
    assert both.n_tokens == short.n_tokens + long.n_tokens
    assert both.idx.shape == (2, long.idx.shape[1])
    assert both.mask.shape == (*both.idx.shape, 5)


def align(model, settings, steps, start=0, optimizer=None, stop=None):
    real = [pad_batch([render_poem(TOKENIZER, with_control(GOOSE, Control("支", "仄")))], 96)]
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=1e-2)
    logs = []

    def callback(log):
        logs.append(log)
        if log.step == stop:
            raise KeyboardInterrupt

    batches = maker(model, settings, real=lambda i: real[0])
    step = {"step_fn": lambda *args: several_updates(*args, n=settings.updates)}
    with suppress(KeyboardInterrupt):
        train(
            model,
            BatchStream(batches, start),
            settings.loss(),
            lambda step: 1.0,
            TrainConfig(steps, eval_interval=100),
            optimizers=[optimizer],
            callback=callback,
            start_step=start,
            **(step if settings.updates > 1 else {}),
        )
    return optimizer, logs


@pytest.mark.parametrize("updates", [1, 2])
def test_a_stage_that_was_stopped_goes_on_to_the_same_bits(updates):
    settings = GRPO(group_size=4, updates=updates)
    whole = small_model()
    align(whole, settings, 5)
    model = small_model()
    optimizer, _ = align(model, settings, 5, stop=3)
    saved, state = model.state_dict(), optimizer.state_dict()
    resumed = small_model(seed=9)
    resumed.load_state_dict(saved)
    again = torch.optim.AdamW(resumed.parameters(), lr=1e-2)
    again.load_state_dict(state)
    align(resumed, settings, 5, start=3, optimizer=again)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_model_learns_what_it_is_paid_for():
    def paid_for_the_end(texts, asked):
        return [[float(token == END) for token in tokens] for tokens in texts]

    model = small_model()
    settings = GRPO(group_size=16, real=0, kl=0.0, scale=True)
    batches = maker(model, settings, reward=paid_for_the_end)
    lengths, stream = [], BatchStream(batches)

    def next_batch():
        batch = stream()
        lengths.append(batch.n_tokens / len(batch.idx))
        return batch

    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-2)
    train(
        model,
        next_batch,
        settings.loss(),
        lambda step: 1.0,
        TrainConfig(12),
        optimizers=[optimizer],
    )
    assert sum(lengths[-3:]) < 0.5 * sum(lengths[:3])


def test_what_was_written_is_noted_every_tenth_batch():
    noted = []
    batches = maker(small_model(), GRPO(group_size=2), note=lambda *row: noted.append(row))
    for i in (0, 1, 10):
        batches(i)
    assert [row[0] for row in noted] == [0, 10]
    poems, facts = noted[0][1:]
    assert len(poems) == 4
    assert set(facts) == {"reward", "kl"}
    assert facts["kl"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"group_size": 0}, {"mean": "rows"}, {"reward": "taste"}, {"pairs": True}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GRPO(**wrong)
