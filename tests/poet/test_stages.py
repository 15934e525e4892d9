"""The stages of alignment: what they learn from, and what they refuse."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from nanopoet.poet.components import REFERENCE
from nanopoet.poet.data import Data
from nanopoet.poet.presets import PresetError, Stage
from nanopoet.poet.stages import BATCHES, needed, requests
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.poem import Poem
from nanopoet_ref.rewards import Control, control_in, with_control
from nanopoet_ref.rollouts import GRPO
from nanopoet_ref.tokenizer import CharTokenizer, build_vocab, render_poem

BEAN = Poem("王维", "五言绝句", "相思", "红豆生南国，春来发几枝。愿君多采撷，此物最相思。")
FREE = replace(BEAN, content="红豆生南国，春来发几花。愿君多采撷，此物最相思。")
DATA = Data([BEAN, FREE] * 8, [BEAN] * 4, "made up")
TOKENIZER = CharTokenizer(build_vocab([*DATA.texts(), "支仄花"]))


def stage(name, **settings):
    return Stage(name, 2, 4, eval_iters=1, examples=6, **settings)


def made(name, block_size=64, **settings):
    return BATCHES[name](DATA, TOKENIZER, block_size, stage(name, **settings), 0, REFERENCE)


def test_only_poems_that_keep_the_rules_are_curated_and_say_so(capsys):
    data = made("curate", weights={"rhyme": 8.0})
    assert "6 poems that keep the rules, under 1 controls" in capsys.readouterr().out
    said = TOKENIZER.decode(data.batches(0).targets[0])
    assert "相思，支仄<|content|>红豆" in said
    assert "花" not in said
    assert data.batches(0).mask.unique().tolist() == [1.0, 8.0]
    assert "，支仄" not in TOKENIZER.decode(data.fixed["val"][0].targets[0])  # as for every stage


def test_without_controls_poems_are_what_they_were():
    assert "支仄" not in TOKENIZER.decode(made("curate", controls=0).batches(0).targets[0])


def test_where_no_poem_keeps_the_rules_there_is_nothing_to_curate():
    with pytest.raises(PresetError, match="no poem keeps the rules"):
        BATCHES["curate"](replace(DATA, train=[FREE]), TOKENIZER, 64, stage("curate"), 0, REFERENCE)


@pytest.mark.parametrize("reward", ["places", "rules", "convenient"])
def test_the_model_writes_what_it_learns_from(reward):
    torch.manual_seed(0)
    model, first = (GPT(GPTConfig(len(TOKENIZER), 64, 1, 2, 16)) for _ in range(2))
    data = made("align", grpo={"group_size": 2, "real": 2, "reward": reward, "expected": True})
    noted = []
    batches = data.of_model(model, first, "float32", lambda *row: noted.append(row))
    batch = batches(0)
    assert batch.idx.shape[0] == 4 + 2
    loss = data.loss(model(batch.idx), batch.targets, batch.mask)
    loss.backward()
    assert loss.isfinite()
    assert model.head.weight.grad.norm() > 0
    assert [len(poems) for _, poems, _ in noted] == [4]


def test_requests_fit_the_block_and_ask_for_controls_as_they_occur():
    grpo, settings = GRPO(group_size=2), replace(stage("align"), batch_size=40)
    ask = requests(DATA.train, TOKENIZER, 64, settings, grpo, 0)
    assert ask(3) == ask(3) != ask(4) or len(set(ask(3))) == 1
    assert Counter(control_in(poem.title) for poem in ask(0)) == {Control("支", "仄"): 20}
    assert all(poem.content == "" for poem in ask(0))
    full = with_control(BEAN, Control("支", "仄"))
    assert needed(BEAN) == len(render_poem(TOKENIZER, full))
    with pytest.raises(PresetError, match="no room"):
        requests(DATA.train, TOKENIZER, needed(BEAN) - 1, settings, grpo, 0)
    plain = replace(settings, controls=0.0)
    assert control_in(requests(DATA.train, TOKENIZER, 64, plain, grpo, 0)(0)[0].title) is None


def test_a_poem_with_a_title_that_misleads_is_learned_from_more_often(capsys):
    seventh = replace(BEAN, title="七夕")
    data = Data([BEAN] * 9 + [seventh], [BEAN] * 4, "made up")
    tokenizer = CharTokenizer(build_vocab([*data.texts(), "支仄"]))
    settings = replace(stage("curate"), examples=10, pool=1)
    found = BATCHES["curate"](data, tokenizer, 64, settings, 0, REFERENCE)
    assert "10 poems" in (said := capsys.readouterr().out)
    assert "1 with a misleading title are taken 6 times" in said
    rows = [tokenizer.decode(row) for i in range(40) for row in found.batches(i).targets]
    assert 0.2 < sum("七夕" in row for row in rows) / len(rows) < 0.6  # 6 of 15
