"""What every test has in common: one thread, fixed seeds, and models small enough to doubt."""

import os

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

import torch
from hypothesis import settings

from nanopoet_ref.corpus import Poem
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.runtime import make_generator, seed_everything
from nanopoet_ref.tokenizer import CharTokenizer, build_vocab

torch.set_num_threads(1)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("ci")

POEMS = [
    Poem("李白", "五言绝句", "静夜思", "床前明月光，疑是地上霜。举头望明月，低头思故乡。"),
    Poem("孟浩然", "五言绝句", "春晓", "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"),
    Poem("王维", "五言绝句", "鹿柴", "空山不见人，但闻人语响。返景入深林，复照青苔上。"),
    Poem(
        "李白",
        "七言绝句",
        "早发白帝城",
        "朝辞白帝彩云间，千里江陵一日还。两岸猿声啼不住，轻舟已过万重山。",
    ),
]


@pytest.fixture(autouse=True)
def fixed_seeds():
    seed_everything(0)


@pytest.fixture(scope="session")
def poems():
    return POEMS


@pytest.fixture(scope="session")
def tokenizer():
    texts = [text for p in POEMS for text in (p.author, p.form, p.title, p.content)]
    return CharTokenizer(build_vocab(texts))


@pytest.fixture(scope="session")
def make_gpt():
    """Build a tiny model. With `awake`, every weight is random, so that nothing hides behind the
    zeros a model begins with."""

    def build(style="gpt2", *, awake=False, seed=0, dtype=torch.float32, **sizes):
        shape = {
            "vocab_size": 23,
            "block_size": 12,
            "n_layer": 2,
            "n_head": 2,
            "n_embd": 16,
        } | sizes
        seed_everything(seed)
        model = GPT(GPTConfig(style=style, **shape)).to(dtype)
        if awake:
            generator = make_generator(seed)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.normal_(std=0.4, generator=generator)
        return model

    return build


# What learners' answers are checked with; tests/course/test_tasks.py sees to it.
collect_ignore = ["exercises", "misconceptions"]
