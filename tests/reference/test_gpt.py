"""The model, and writing with it."""

import math
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.gpt import GPT, GPTConfig, count_parameters
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.sampling import generate, next_token_probs, sample

STYLES = ("gpt2", "modern")
PROMPTS = [[9, 3, 4], [5], [7, 7, 2, 1, 8], [6, 3]]
both_styles = pytest.mark.parametrize("style", STYLES)


def random_ids(*shape, seed=0, vocab_size=23):
    return torch.randint(vocab_size, shape, generator=make_generator(seed))


def loss_of(model, idx):
    return F.cross_entropy(model(idx[:, :-1]).flatten(0, 1), idx[:, 1:].flatten()).item()


def step_by_step(model, prompt, n, temperature=0.0, generator=None):
    """Write without a cache, reading the whole row again for each token."""
    row = list(prompt)
    for _ in range(n):
        logits = model(torch.tensor([row]))[:, -1].float()
        probs = next_token_probs(logits, temperature)
        row.append(sample(probs, generator).item())
    return row


# --- The model --------------------------------------------------------------------------------


def test_the_model_of_the_first_texts_has_12_466_268_parameters_and_starts_near_ln_v():
    model = GPT(GPTConfig(vocab_size=11_868))
    assert count_parameters(model) == 12_466_268
    idx = random_ids(2, 33, vocab_size=11_868)
    with torch.no_grad():
        assert abs(loss_of(model, idx) - math.log(11_868)) < 0.1


def test_the_modern_model_starts_at_ln_v_exactly(make_gpt):
    model = make_gpt("modern")
    idx = random_ids(4, 13)
    assert not model(idx[:, :-1]).any()
    assert loss_of(model, idx) == pytest.approx(math.log(23), abs=1e-6)


@both_styles
def test_one_batch_can_be_learned_by_heart(make_gpt, style):
    model = make_gpt(style)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    idx = random_ids(4, 13)
    idx[:, 0] = torch.arange(4)  # or the first target could not be known
    for _ in range(120):
        loss = F.cross_entropy(model(idx[:, :-1]).flatten(0, 1), idx[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


@pytest.mark.parametrize("fused", [True, False])
@both_styles
@given(changed=st.integers(0, 11), token=st.integers(1, 22))
def test_a_later_character_changes_no_earlier_logit(make_gpt, style, fused, changed, token):
    model = make_gpt(style, awake=True, dtype=torch.float64, fused=fused)
    idx = random_ids(2, 12)
    other = idx.clone()
    other[:, changed] = (other[:, changed] + token) % 23
    with torch.no_grad():
        before, after = model(idx), model(other)
    assert torch.allclose(before[:, :changed], after[:, :changed], rtol=0, atol=1e-12)
    assert not torch.allclose(before[:, changed], after[:, changed])


@both_styles
def test_fused_and_by_hand_are_the_same_model(make_gpt, style):
    results = []
    for fused in (True, False):
        model = make_gpt(style, awake=True, dtype=torch.float64, fused=fused)
        logits = model(random_ids(3, 12))
        logits.square().mean().backward()
        results.append([logits, *(p.grad for p in model.parameters())])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-6)


@both_styles
def test_every_weight_gets_a_gradient(make_gpt, style):
    model = make_gpt(style, awake=True)
    model(random_ids(4, 12)).square().mean().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@both_styles
def test_the_order_of_the_past_matters(make_gpt, style):
    model = make_gpt(style, awake=True)
    one, two = model(torch.tensor([[1, 2, 3]])), model(torch.tensor([[2, 1, 3]]))
    assert not torch.allclose(one[:, -1], two[:, -1])


def test_the_modern_model_sees_distances_not_places(make_gpt):
    idx, places = random_ids(1, 6), torch.arange(6)
    modern = make_gpt("modern", awake=True, dtype=torch.float64)
    assert torch.allclose(modern(idx, places), modern(idx, places + 50), atol=1e-9)
    gpt2 = make_gpt("gpt2", awake=True, dtype=torch.float64)
    assert not torch.allclose(gpt2(idx, places), gpt2(idx, places + 6))


@both_styles
def test_the_model_returns_logits_and_keeps_no_buffers(make_gpt, style):
    model = make_gpt(style)
    assert model(random_ids(3, 5)).shape == (3, 5, 23)
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


def test_a_text_longer_than_the_block_is_refused(make_gpt):
    with pytest.raises(ValueError, match=r"13 .*block_size=12"):
        make_gpt()(random_ids(1, 13))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"vocab_size": 0}, ["vocab_size=0"]),
        ({"n_layer": 0, "block_size": -4}, ["n_layer=0", "block_size=-4"]),
        ({"n_embd": 30, "n_head": 4}, ["n_embd=30", "n_head=4"]),
        ({"n_embd": 12, "n_head": 4, "style": "modern"}, ["3"]),
        ({"dropout": 1.0, "style": "llama"}, ["dropout=1.0", "llama"]),
    ],
)
def test_a_bad_shape_is_named(wrong, named):
    with pytest.raises(ValueError, match=re.escape(named[0])) as error:
        GPTConfig(**({"vocab_size": 10} | wrong))
    assert all(part in str(error.value) for part in named)


def test_all_problems_of_a_shape_are_reported_at_once():
    with pytest.raises(ValueError, match="vocab_size=0") as error:
        GPTConfig(vocab_size=0, n_embd=30, n_head=4, dropout=2.0)
    for part in ("n_embd=30", "dropout=2.0"):
        assert part in str(error.value)


# --- Which token next -------------------------------------------------------------------------

logit_rows = st.lists(st.integers(-80, 80), min_size=2, max_size=20, unique=True).map(
    lambda row: torch.tensor([row], dtype=torch.float64) / 10
)


@given(logit_rows, st.floats(0.1, 3))
def test_probabilities_are_the_softmax_of_logits_over_temperature(logits, temperature):
    probs = next_token_probs(logits, temperature)
    assert torch.allclose(probs, (logits / temperature).softmax(dim=-1))


@given(logit_rows)
def test_temperature_0_takes_the_likeliest(logits):
    probs = next_token_probs(logits, temperature=0)
    assert probs.argmax() == logits.argmax()
    assert probs.max() == probs.sum() == 1


@given(logit_rows, st.floats(0.1, 3), st.floats(0.1, 3))
def test_a_lower_temperature_favours_the_likeliest(logits, one, other):
    low, high = sorted((one, other))
    likeliest = logits.argmax()
    cold, warm = next_token_probs(logits, low), next_token_probs(logits, high)
    assert cold[0, likeliest] >= warm[0, likeliest] - 1e-12


@given(logit_rows, st.integers(1, 25))
def test_top_k_keeps_the_k_likeliest_in_their_proportions(logits, k):
    probs, full = next_token_probs(logits, top_k=k), logits.softmax(dim=-1)
    kept = probs > 0
    k = min(k, logits.shape[-1])
    assert kept.sum() == k
    assert set(kept.nonzero()[:, 1].tolist()) == set(logits.topk(k).indices[0].tolist())
    assert torch.allclose(probs[kept], full[kept] / full[kept].sum())


def test_top_k_keeps_k_of_equals():
    probs = next_token_probs(torch.zeros(2, 6), top_k=2)
    assert (probs > 0).sum(dim=-1).tolist() == [2, 2]


@given(logit_rows, st.floats(0.01, 1))
def test_top_p_keeps_the_fewest_tokens_that_reach_p(logits, top_p):
    probs, full = next_token_probs(logits, top_p=top_p), logits.softmax(dim=-1)
    kept = probs[0] > 0
    assert full[0, kept].sum() >= top_p - 1e-9
    assert full[0, kept].sum() - full[0, kept].min() < top_p + 1e-9
    assert kept.all() or full[0, kept].min() >= full[0, ~kept].max()
    assert torch.allclose(probs[0, kept], full[0, kept] / full[0, kept].sum())


def test_each_row_is_cut_by_itself():
    logits = torch.tensor([[5.0, 0.0, 0.0], [1.0, 1.1, 1.2]])
    kept = next_token_probs(logits, top_p=0.9) > 0
    assert kept.tolist() == [[True, False, False], [True, True, True]]


@pytest.mark.parametrize(
    "wrong", [{"temperature": -0.5}, {"top_k": 0}, {"top_k": -3}, {"top_p": 0}, {"top_p": 1.5}]
)
def test_bad_sampling_settings_are_named(make_gpt, wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        generate(make_gpt(), [[1]], 3, **wrong)


# --- Writing ----------------------------------------------------------------------------------


def test_draws_are_as_frequent_as_their_probabilities_and_never_impossible():
    probs = torch.tensor([[0.0, 0.5, 0.0, 0.2, 0.3, 0.0]])
    tokens = sample(probs.expand(20_000, -1), make_generator(0))
    assert tokens.shape == (20_000, 1)
    share = tokens[:, 0].bincount(minlength=6) / 20_000
    assert torch.allclose(share, probs[0], atol=0.015)
    assert not share[probs[0] == 0].any()


def test_each_row_draws_from_its_own_probabilities():
    probs = torch.eye(4)[[2, 0, 3]]
    assert sample(probs, make_generator(0)).tolist() == [[2], [0], [3]]
    assert sample(5 * probs, make_generator(0)).tolist() == [[2], [0], [3]]  # need not sum to 1


@both_styles
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_cache_changes_nothing(make_gpt, style, temperature):
    model = make_gpt(style, awake=True, dtype=torch.float64)
    fast = generate(model, [PROMPTS[0]], 9, temperature=temperature, generator=make_generator(1))
    slow = step_by_step(model, PROMPTS[0], 9, temperature, make_generator(1))
    assert fast == [slow]


@both_styles
def test_prompts_of_different_lengths_are_written_as_if_alone(make_gpt, style):
    for seed in range(3):
        model = make_gpt(style, awake=True, dtype=torch.float64, seed=seed)
        together = generate(model, PROMPTS, 7, temperature=0)
        alone = [generate(model, [prompt], 7, temperature=0)[0] for prompt in PROMPTS]
        assert together == alone == [step_by_step(model, p, 7) for p in PROMPTS]


@both_styles
def test_a_long_neighbour_does_not_cut_a_short_row(make_gpt, style):
    model = make_gpt(style, awake=True, dtype=torch.float64)
    prompts = [[1] * 10, [2, 3]]
    together = generate(model, prompts, 8, temperature=0)
    assert together == [generate(model, [prompt], 8, temperature=0)[0] for prompt in prompts]


def test_each_row_stops_at_its_own_stop_token(make_gpt):
    model = make_gpt(awake=True, dtype=torch.float64)
    free = generate(model, PROMPTS, 7, generator=make_generator(0))
    stop = next(token for token in free[0][len(PROMPTS[0]) :] if token not in free[1])
    stopped = generate(model, PROMPTS, 7, stop_token=stop, generator=make_generator(0))
    for prompt, whole, row in zip(PROMPTS, free, stopped, strict=True):
        written = whole[len(prompt) :]
        length = written.index(stop) + 1 if stop in written else len(written)
        assert row == prompt + written[:length]
    assert len({len(row) - len(p) for row, p in zip(stopped, PROMPTS, strict=True)}) > 1


def test_a_stop_token_in_the_prompt_stops_nothing(make_gpt):
    rows = generate(make_gpt(), [[4, 4]], 3, stop_token=4, banned=[4])
    assert len(rows[0]) == 5


@pytest.mark.parametrize("temperature", [0.0, 1.0, 50.0])
def test_banned_tokens_are_never_drawn(make_gpt, temperature):
    allowed = {3, 8, 15}
    banned = [token for token in range(23) if token not in allowed]
    model = make_gpt("modern", n_layer=1, awake=True)
    for seed in range(5):
        rows = generate(
            model,
            [[1], [2, 9]],
            8,
            temperature=temperature,
            banned=banned,
            generator=make_generator(seed),
        )
        assert set(rows[0][1:] + rows[1][2:]) <= allowed


@both_styles
def test_writing_ends_where_the_block_does(make_gpt, style):
    model = make_gpt(style)
    assert len(generate(model, [[1, 2]], 1000)[0]) == 12
    assert len(generate(model, [[1] * 12], 5)[0]) == 12


def test_nothing_asked_for_is_nothing_written(make_gpt):
    assert generate(make_gpt(), PROMPTS, 0) == PROMPTS


def test_prompts_are_not_changed(make_gpt):
    prompts = [[1, 2], [3]]
    generate(make_gpt(), prompts, 4)
    assert prompts == [[1, 2], [3]]


@pytest.mark.parametrize("prompts", [[], [[]], [[1], []]])
def test_an_empty_prompt_is_refused(make_gpt, prompts):
    with pytest.raises(ValueError, match="token"):
        generate(make_gpt(), prompts, 3)


def test_a_prompt_longer_than_the_block_is_refused(make_gpt):
    with pytest.raises(ValueError, match=r"13 .*block_size=12"):
        generate(make_gpt(), [[1] * 13], 3)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_left_as_it_was(make_gpt, training):
    model = make_gpt(dropout=0.5).train(training)
    generate(model, PROMPTS, 3)
    assert [m.training for m in model.modules()] == [training] * len(list(model.modules()))


def test_the_mode_is_left_as_it_was_when_settings_are_refused(make_gpt):
    model = make_gpt().train()
    with pytest.raises(ValueError, match="temperature"):
        generate(model, [[1]], 3, temperature=-1)
    assert model.training


def test_dropout_is_off_while_writing(make_gpt):
    model = make_gpt(awake=True, dropout=0.9, dtype=torch.float64).train()
    rows = generate(model, PROMPTS, 5, temperature=0)
    assert rows == [step_by_step(model.eval(), prompt, 5) for prompt in PROMPTS]


def test_writing_builds_no_graph(make_gpt):
    model, seen = make_gpt(), []
    model.head.register_forward_hook(lambda *args: seen.append(args[2].requires_grad))
    generate(model, [[1]], 3)
    assert seen == [False] * 3


def test_with_a_cache_each_step_reads_one_token(make_gpt):
    model, seen = make_gpt(), []
    model.wte.register_forward_hook(lambda *args: seen.append(args[1][0].shape[1]))
    generate(model, [[1, 2, 3]], 4)
    assert seen == [3, 1, 1, 1]


def test_the_same_seed_writes_the_same_and_another_seed_something_else(make_gpt):
    model = make_gpt(awake=True)
    one, same, other = (
        generate(model, PROMPTS, 7, generator=make_generator(seed)) for seed in (5, 5, 6)
    )
    assert one == same != other


def test_draws_come_from_the_generator_alone(make_gpt):
    model = make_gpt(awake=True)
    state = torch.get_rng_state()
    first = generate(model, PROMPTS, 7, generator=make_generator(5))
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(10)
    assert generate(model, PROMPTS, 7, generator=make_generator(5)) == first
