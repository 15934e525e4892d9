"""The calculator: right, safe and quick whatever is written; and answers that call it."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nanopoet_ref.conversation import render_conversation, render_request
from nanopoet_ref.sampling import generate
from nanopoet_ref.tokenizer import UNK
from nanopoet_ref.tools import MAX_LENGTH, answer, answer_tokens, calculate, parse_answer
from tests.reference.test_conversation import COUNTED, ENOUGH, TOKENIZER, assistant, user


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("12+30", "42"),
        (" 3 * 56 ", "168"),
        ("2+3*4", "14"),
        ("(2+3)*4", "20"),
        ("-7//2", "-4"),
        ("-7%3", "2"),
        ("+5", "5"),
        ("2**10", "1024"),
        ("2**-2", "0.25"),
        ("2**3**2", "512"),
        ("0.1+0.2", "0.3"),
        ("1/3", "0.333333"),
        ("-1/3000000000", "0"),
        ("10/4", "2.5"),
        ("1e3", "1000"),
        (f"{10**200}*{10**200}", str(10**400)),
        (f"{10**400}//3", str(10**400 // 3)),
        ('"床前明月光月".count("月")', "2"),
        ("'aaa'.count('b')", "0"),
        ('"月".count("月")*3', "3"),
    ],
)
def test_it_calculates(expression, result):
    assert calculate(expression) == result


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "not an expression"),
        ("1+", "not an expression"),
        ("x = 1", "not an expression"),
        ("1; 2", "not an expression"),
        ("1\x002", "not an expression"),
        ("1e999", "not an expression"),
        ("(" * 400, "not an expression"),
        ("-" * 400 + "x", "only numbers"),
        ("7/0", "division by zero"),
        ("7%0", "division by zero"),
        ("0**-1", "division by zero"),
        ("2**0.5", "no whole number"),
        ("9**9**9", "too long"),
        ("9**9**9**9", "too long"),
        ("10**4000", "too long"),
        ("1+" * 300 + "1", "expression too long"),
        ("1" * 501, "expression too long"),
        ("x", "only numbers"),
        ("True", "only numbers"),
        ("1j", "only numbers"),
        ("'a'", "only numbers"),
        ("'a'*10**9", "only numbers"),
        ("'a'.upper()", "only numbers"),
        ("'a'.count('a', 0)", "only numbers"),
        ("'a'.count(sub='a')", "only numbers"),
        ("'a'.count", "only numbers"),
        ("().__class__.__bases__", "only numbers"),
        ("__import__('os').system('true')", "only numbers"),
        ("[1 for _ in range(9)]", "only numbers"),
        ("f'{1}'.count('1')", "only numbers"),
        ("1 if 1 else 2", "only numbers"),
        ("1 << 999999999", "only numbers"),
        ("1is 2", "only numbers"),  # of which the parser warns
    ],
)
def test_what_it_cannot_do_is_said_in_words(expression, reason):
    said = calculate(expression)
    assert said.startswith("error: ")
    assert reason in said


@given(st.integers(), st.integers(), st.sampled_from(["+", "-", "*", "//", "%"]))
def test_whole_numbers_are_those_of_python(a, b, sign):
    if b or sign in "+-*":
        assert calculate(f"({a}){sign}({b})") == str(eval(f"a{sign}b"))


@given(st.text(max_size=40) | st.text("0123456789+-*/%.()e\"'count月 ", max_size=40))
def test_whatever_is_written_the_answer_is_one_line_of_text(expression):
    said = calculate(expression)
    assert said
    assert "\n" not in said


def test_the_slowest_expressions_known_end_at_once():
    number = "9" * 80
    slow = [
        "9**4000" + "*9**4000" * 50,
        "+".join(["7**-4000"] * 55),
        "**".join(["2"] * 166),
        "*".join([number] * 6),
        "1/" * 249 + "1",
        "-" * (MAX_LENGTH - 1) + "1",
    ]
    for expression in slow:
        assert len(expression) <= MAX_LENGTH, expression
        began = time.process_time()
        assert calculate(expression)
        assert time.process_time() - began < 0.2


# --- Answers


def written_ids(*parts):
    """What an assistant says, as ids from after <|assistant_start|> on."""
    conversation = [user(""), assistant(*parts)]
    ids, _ = render_conversation(TOKENIZER, conversation, ENOUGH)
    return ids[len(render_request(TOKENIZER, conversation)) :].tolist()


def test_an_answer_comes_back_from_its_ids():
    found = parse_answer(TOKENIZER, written_ids((0, "月"), (1, "1"), (2, "1"), (0, "有1个")))
    assert found.problem == ""
    assert found.parts == assistant((0, "月"), (1, "1"), (2, "1"), (0, "有1个"))["content"]
    assert found.text == "月有1个"
    assert parse_answer(TOKENIZER, written_ids((1, ""), (2, ""))).parts == [
        {"type": "python", "text": ""},
        {"type": "python_output", "text": ""},
    ]


@pytest.mark.parametrize(
    ("tokens", "text", "problem"),
    [
        (["月", "<|assistant_end|>", "山"], "月", ""),
        (["月"], "月", "no end"),
        ([], "", "no end"),
        (["月", "<|content|>", "山"], "月", "<|content|> is out of place"),
        (["月", "<|user_start|>"], "月", "<|user_start|> is out of place"),
        (["月", "<|python_end|>"], "月", "<|python_end|> is out of place"),
        (["月", "<|python_start|>", "1"], "月", "no end"),
        (["月", "<|python_start|>", "1", "<|assistant_end|>"], "月", "<|assistant_end|> is out"),
        (["月", "<|python_start|>", "1", "<|python_end|>", "山"], "月", "山 is out of place"),
        (["<|unk|>", "<|assistant_end|>"], "<|unk|>", ""),
    ],
)
def test_an_answer_says_what_is_wrong_with_its_form(tokens, text, problem):
    ids = [TOKENIZER.vocab.index(token) for token in tokens]
    found = parse_answer(TOKENIZER, ids)
    assert found.text == text
    assert found.problem.startswith(problem) if problem else not found.problem


class Scripted(nn.Module):
    """A model that says what it is told to, and notes what it has read."""

    def __init__(self, script, block_size=99):
        super().__init__()
        self.config = type("Config", (), {"block_size": block_size})
        self.wte = nn.Embedding(1, 1)
        self.blocks = ()
        self.script, self.read = list(script), []

    def forward(self, idx, positions, caches):
        assert positions.tolist() == list(range(len(self.read), len(self.read) + idx.shape[1]))
        self.read += idx[0].tolist()
        logits = torch.zeros(1, 1, len(TOKENIZER))
        # While an output is inserted, what the model would have said is not asked for.
        says = self.script.pop(0) if self.script else TOKENIZER.special["<|bos|>"]
        logits[..., says] = 99.0
        return logits


def test_a_call_is_run_and_its_output_inserted():
    said = written_ids((0, "月"), (1, '"月月".count("月")'), (2, "2"), (0, "有2个"))
    at = said.index(TOKENIZER.special["<|output_start|>"])
    nonsense = [
        TOKENIZER.special["<|unk|>"]
    ] * 3  # in the place of <|output_start|> 2 <|output_end|>
    model = Scripted([*said[:at], *nonsense, *said[at + 3 :]])
    expression = []
    options = {"temperature": 0.0, "calculator": lambda text: expression.append(text) or "2"}
    tokens = list(answer_tokens(model, TOKENIZER, COUNTED, **options))
    assert tokens == said
    assert expression == ['"月月".count("月")']
    request = render_request(TOKENIZER, COUNTED).tolist()
    assert model.read == [*request, *said[:-1]]  # the output is read as if it had been written


def test_an_error_of_the_calculator_is_read_like_a_result():
    said = written_ids((1, "1("), (2, ""), (0, "月"))
    model = Scripted(said[:4] + [0] * len("<error: not an expression>") + said[-2:])
    found = answer(model, TOKENIZER, [user("月")], temperature=0.0)
    assert found.parts[1]["type"] == "python_output"
    assert len(found.parts[1]["text"].replace(UNK, "x")) == len("error: not an expression")
    assert found.parts[2:] == [{"type": "text", "text": "月"}]
    assert found.problem == ""


def test_a_mark_out_of_place_ends_the_answer():
    for mark in ("<|bos|>", "<|output_start|>", "<|python_end|>", "<|end|>"):
        script = [TOKENIZER.vocab.index(token) for token in ("月", mark, "山")]
        found = answer(Scripted(script), TOKENIZER, [user("月")], temperature=0.0)
        assert (found.text, found.problem) == ("月", f"{mark} is out of place")


def test_a_full_block_ends_the_answer_even_within_an_output():
    call = written_ids((1, "2"), (2, ""))[:3]
    for block_size in range(6, 12):
        model = Scripted(call, block_size)
        options = {"temperature": 0.0, "calculator": lambda _: "1" * 99}
        found = list(answer_tokens(model, TOKENIZER, [user("月")], **options))
        assert len(found) + len(render_request(TOKENIZER, [user("月")])) == block_size
        assert parse_answer(TOKENIZER, found).problem == "no end"


def test_a_question_that_fills_the_block_is_refused():
    with pytest.raises(ValueError, match="6 tokens leave no room for an answer in 6"):
        answer(Scripted([], 6), TOKENIZER, [user("月月")])


def test_a_model_says_what_it_would_have_written_without_a_tool(make_gpt):
    marks = set(TOKENIZER.special.values()) - {TOKENIZER.special[UNK]}
    lengths = []
    for seed in range(5):
        model = make_gpt("modern", awake=True, seed=seed, vocab_size=len(TOKENIZER), block_size=40)
        model.train()
        tokens = list(answer_tokens(model, TOKENIZER, [user("月山")], temperature=0.0))
        assert model.training
        request = render_request(TOKENIZER, [user("月山")]).tolist()
        [row] = generate(model, [request], 99, temperature=0.0)
        until = next((i for i, t in enumerate(row[len(request) :]) if t in marks), 99)
        assert tokens[: until + 1] == row[len(request) :][: until + 1]
        lengths.append(until)
    assert max(lengths) > 5


def test_the_same_seed_gives_the_same_answer(make_gpt):
    model = make_gpt("modern", awake=True, vocab_size=len(TOKENIZER), block_size=40)

    def once():
        return answer(model, TOKENIZER, [user("月")], generator=torch.Generator().manual_seed(3))

    assert once() == once()
