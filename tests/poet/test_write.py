"""`nanopoet write`: what may be asked for, and what comes out."""

import json
import re
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
from rich.console import Console

from nanopoet.poet import write as write_module
from nanopoet.poet.run import Run
from nanopoet.poet.verse import print_poem, verses
from nanopoet.poet.write import FEW
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import lines_of, rhyme_group

ASK = ("write", "--author", "李白", "--form", "五言绝句", "--title", "春望")


def heading(done) -> tuple[str, str]:
    """Title, and author with form, of the first poem."""
    assert (done.code, done.err) == (0, "run tiny\n")
    title, author = [line.strip() for line in done.out.splitlines() if line.strip()][:2]
    return title, author


@pytest.mark.parametrize(
    ("author", "form", "title"),
    [
        ("李白", "五言绝句", "春望"),
        ("Li Bai", "jueju5", "spring view"),
        ("libai", "wuyanjueju", "chunwang"),
        ("LI BAI", "Five-character Quatrain", "Spring View"),
        ("李白", "五言絕句", "春望"),
    ],
)
def test_what_is_asked_for_stands_above_the_poem(nanopoet, poet, author, form, title):
    done = nanopoet("write", "--author", author, "--form", form, "--title", title)
    assert heading(done) == ("春望", "李白 · 五言绝句")


def test_traditional_names_are_understood(nanopoet, poet):
    done = nanopoet("write", "--author", "蘇軾", "--form", "七言律詩", "--title", "送友人")
    assert heading(done) == ("送友人", "苏轼 · 七言律诗")


def test_simplified_names_are_understood_by_a_run_on_the_original_script(nanopoet, poet):
    config = poet.config.as_dict()
    config["preset"]["script"] = "original"
    poet.config_path.write_text(json.dumps(config), "utf-8")
    catalog = poet.catalog()
    catalog["authors"] = {"蘇軾": 9, "杜甫": 9}
    poet.catalog_path.write_text(json.dumps(catalog), "utf-8")
    for typed in ("苏轼", "蘇軾", "Su Shi"):
        assert nanopoet("write", "--author", typed).out.count("蘇軾 · 五言绝句") == 1
    assert nanopoet("write", "--author", "杜甫", "--form", "五言絕句").code == 0


def test_a_poet_of_several_names_is_told_who_is_taken(nanopoet, poet):
    catalog = poet.catalog()
    catalog["authors"] |= {"李百": 1}
    poet.catalog_path.write_text(json.dumps(catalog), "utf-8")
    done = nanopoet("write", "--author", "Li Bai")
    assert "李白 · " in done.out
    count = catalog["authors"]["李白"]
    assert done.err == f"run tiny\nauthor 'Li Bai' is taken to be 李白 ({count}), not 李百 (1)\n"
    catalog["authors"]["李百"] = count
    poet.catalog_path.write_text(json.dumps(catalog), "utf-8")
    assert "write it in Chinese" in nanopoet("write", "--author", "Li Bai").error
    assert "李百 · " in nanopoet("write", "--author", "Lǐ Bǎi").out


def test_nothing_asked_is_an_answer_too(nanopoet, poet):
    assert heading(nanopoet("write"))[1].endswith("· 五言绝句")


def test_a_seed_decides_the_poems(nanopoet, poet):
    first = nanopoet(*ASK, "-n", 3)
    assert first.out.count("李白 · 五言绝句") == 3
    assert nanopoet(*ASK, "-n", 3).out == first.out
    assert nanopoet(*ASK, "-n", 3, "--seed", 1).out != first.out
    assert nanopoet(*ASK, "--temperature", 0).out == nanopoet(*ASK, "--top-k", 1).out


def test_the_smallest_top_p_leaves_the_likeliest(nanopoet, poet):
    assert nanopoet(*ASK, "--top-p", 1e-300).out == nanopoet(*ASK, "--top-k", 1).out


@pytest.mark.parametrize("n", [1, FEW + 1])
def test_a_model_that_gives_no_numbers_says_so(nanopoet, poet, monkeypatch, n):
    spoilt = poet.poet()
    spoilt.model.wte.weight.data.fill_(float("nan"))
    monkeypatch.setattr(Run, "poet", lambda _: spoilt)
    for order in ((), ("--free",)):
        assert "logits are not finite" in nanopoet("write", "-n", n, *order).error


def test_an_unknown_author_is_told_the_nearest(nanopoet, poet):
    assert "nearest: 李白 (libai)" in nanopoet("write", "--author", "李").error
    assert "nearest: 孟浩然 (menghaoran)" in nanopoet("write", "--author", "Meng Hao").error


@pytest.mark.parametrize("form", ["水调歌头", "水調歌頭", "shuidiaogetou", "sonnet"])
def test_a_form_that_the_run_has_never_seen_is_refused(nanopoet, poet, form):
    error = nanopoet("write", "--form", form).error
    assert "unknown form" in error
    assert "knows 4 forms" in error


def test_unreadable_characters_are_named(nanopoet, poet):
    error = nanopoet("write", "--title", " 春鑫 望🌙鑫春 ").error
    assert "does not know 鑫、🌙" in error


def test_an_unknown_title_in_english_is_refused(nanopoet, poet):
    assert "unknown title 'quantum'" in nanopoet("write", "--title", "quantum").error


@pytest.mark.parametrize("marker", ["<|end|>", "<|bos|>", "<|content|>", "<|unk|>", "春<|end|>"])
def test_no_title_can_become_a_control_token(nanopoet, poet, marker):
    assert re.search("does not know|unknown title", nanopoet("write", "--title", marker).error)


def test_a_marker_that_can_be_read_is_characters(nanopoet, use_corpus):
    title = "春<|end|>"
    poem = {"author": "李白", "form": "五言绝句", "title": title}
    pairs = permutations("春花秋月山水风", 2)
    use_corpus([poem | {"content": f"{a}{b}明月光，{b}{a}地上霜。" * 2} for a, b in pairs])
    assert nanopoet("train", "--preset", "tiny.toml", "--steps", 0).code == 0
    assert heading(nanopoet("write", "--free", "--author", "李白", "--title", title))[0] == title


def test_a_title_leaves_room_for_the_poem(nanopoet, poet):
    assert nanopoet("write", "--title", "春" * 20).code == 0
    for length in (21, 75, 10_000):
        error = nanopoet("write", "--title", "春" * length).error
        assert f"{length:,} characters" in error
        assert "20" in error


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--temperature", "-1"),
        ("--temperature", "nan"),
        ("--temperature", "inf"),
        ("--top-p", "0"),
        ("--top-p", "1.5"),
        ("--top-p", "nan"),
        ("--top-k", "0"),
        ("-n", "0"),
        ("-n", "101"),
    ],
)
def test_a_setting_out_of_range_is_refused(nanopoet, poet, option, value):
    done = nanopoet(*ASK, option, value)
    assert done.code in (1, 2)
    assert option.strip("-").replace("-", "_") in done.err.replace("-", "_")
    assert done.out == ""


def test_a_run_that_cannot_take_orders_yet_says_so(nanopoet):
    assert nanopoet("train", "--preset", "tiny.toml", "--stage", "pretrain").code == 0
    for order in ((), ("--run", "tiny", "--author", "李白")):
        error = nanopoet("write", *order).error
        assert "midtrain" in error
        assert "nanopoet train --resume --name tiny" in error


@pytest.mark.parametrize("field", ["--author", "--form", "--title", "--begin"])
def test_only_spaces_ask_for_nothing(nanopoet, poet, field):
    assert nanopoet("write", field, " \u3000").out == nanopoet("write").out


@pytest.mark.parametrize("begin", ["春", "雲山", "明月明月，", "归去来思望闻见落飞流照空寒"])
def test_a_poem_begins_as_asked(nanopoet, poet, begin):
    done = nanopoet("write", "--free", "--begin", begin, "-n", 3)
    assert done.out.count(f"· 五言绝句\n\n    {begin.replace('雲', '云')}") == 3


def test_a_beginning_that_cannot_be_read_or_is_too_long_is_refused(nanopoet, poet):
    assert (
        "beginning '春鑫': the run does not know 鑫" in nanopoet("write", "--begin", "春鑫").error
    )
    assert "21 characters leaves no room" in nanopoet("write", "--begin", "春" * 21).error


def test_a_poem_has_its_own_length(nanopoet, poet):
    assert "leave out --length" in nanopoet("write", "--length", 9).error


TEXT = ("write", "--run", "text")


@pytest.fixture
def text_run(nanopoet):
    """A run on a text of one's own: names, one a line."""
    Path("text.txt").write_text("anna\nbo\ncarla\n" * 200, "utf-8")
    assert nanopoet("train", "--preset", "tiny.toml", "--text", "text.txt").code == 0
    return Run("text")


def test_a_run_on_a_text_continues_text(nanopoet, text_run):
    done = nanopoet(*TEXT, "--begin", "anna\nb", "--length", 30)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("anna\nb")
    assert len(done.out) == 6 + 30 + 1
    assert set(done.out) <= set("anbocrl\n")
    assert len(nanopoet(*TEXT).out) == 200 + 1


def test_a_text_goes_on_beyond_what_the_model_sees_at_once(nanopoet, text_run):
    assert text_run.poet().model.config.block_size == 80
    for begin in ("", "a", "anna\n" * 40):
        done = nanopoet(*TEXT, "--begin", begin, "--length", 333)
        assert done.out.startswith(begin)
        assert len(done.out) == len(begin) + 333 + 1


def test_only_spaces_ask_a_text_run_for_nothing(nanopoet, text_run):
    assert nanopoet(*TEXT, "--title", " ", "--author", "\u3000").out == nanopoet(*TEXT).out


def test_a_seed_decides_the_text(nanopoet, text_run):
    first = nanopoet(*TEXT, "-n", 2, "--length", 90).out
    assert nanopoet(*TEXT, "-n", 2, "--length", 90).out == first
    assert nanopoet(*TEXT, "-n", 2, "--length", 90, "--seed", 1).out != first
    likeliest = nanopoet(*TEXT, "--temperature", 0).out
    assert nanopoet(*TEXT, "--top-k", 1).out == likeliest
    assert nanopoet(*TEXT, "-n", FEW + 1, "--length", 9).out.count("\n\n") >= FEW


def test_a_text_keeps_what_a_terminal_could_take_for_markup(nanopoet):
    text = "[bold]:moon:[/bold]\n"
    Path("text.txt").write_text(text * 100, "utf-8")
    assert nanopoet("train", "--preset", "tiny.toml", "--text", "text.txt", "--steps", 0).code == 0
    assert nanopoet(*TEXT, "--begin", text, "--length", 1).out.startswith(text)


def test_characters_that_a_text_run_does_not_know_are_named(nanopoet, text_run):
    assert "does not know z、春" in nanopoet(*TEXT, "--begin", "az春z").error


@pytest.mark.parametrize(
    "order",
    [
        ("--author", "李白"),
        ("--form", "五言绝句"),
        ("--title", "春望"),
        ("--pinyin",),
        ("--picture", "poet.png"),
    ],
)
def test_orders_that_a_text_run_cannot_take_are_refused(nanopoet, text_run, order):
    error = nanopoet(*TEXT, *order).error
    assert f"cannot take {order[0]}" in error
    assert "nanopoet train --preset quick" in error
    assert nanopoet("train", "--preset", "tiny.toml").code == 0
    assert "--run tiny" in nanopoet(*TEXT, *order).error
    assert not Path("poet.png").exists()


def test_a_poet_that_is_half_trained_continues_the_stream_of_poems(nanopoet):
    assert nanopoet("train", "--preset", "tiny.toml", "--stage", "pretrain").code == 0
    done = nanopoet("write", "--run", "tiny", "--begin", "春風", "--length", 300)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("春风")
    assert "<|" not in done.out


def test_pinyin_stands_under_each_verse(nanopoet, poet):
    plain, spelled = nanopoet(*ASK).out, nanopoet(*ASK, "--pinyin").out
    assert "chūn wàng" in spelled
    assert "lǐ bái" in spelled
    assert [line for line in spelled.splitlines() if line in plain.splitlines()] == (
        plain.splitlines()
    )


def test_a_poem_is_set_one_sentence_a_row(capsys):
    content = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"
    print_poem(Console(soft_wrap=True), Poem("李白", "五言绝句", "[b]静夜思[/b]", content), True)
    out = capsys.readouterr().out
    assert "[b]静夜思[/b]" in out
    assert (
        "    床前明月光，疑是地上霜。\n    chuáng qián míng yuè guāng yí shì dì shàng shuāng\n"
        in out
    )


def test_verses_lose_nothing():
    assert verses("") == []
    assert verses("山中") == ["山中"]
    assert "".join(verses("一，二。三！四")) == "一，二。三！四"


@pytest.mark.parametrize("name", ["poet.png", "poet", "new/folder/poet.svg"])
def test_a_poem_can_be_drawn(nanopoet, poet, tmp_path, name):
    done = nanopoet(*ASK, "--picture", tmp_path / name)
    assert (done.code, done.err) == (0, f"run tiny\npicture: {tmp_path / name}\n")
    assert (tmp_path / name).is_file()
    assert done.out == nanopoet(*ASK).out


def test_a_picture_that_has_no_place_is_refused_before_the_poem_is_written(nanopoet, poet):
    for path in ("..", "tiny.toml/poet.png", "poet.docx"):
        done = nanopoet(*ASK, "--picture", path)
        assert path.rsplit("/")[0] in done.error
        assert done.out == ""


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyError("loss")])
def test_a_picture_that_fails_takes_no_poem_with_it(nanopoet, poet, monkeypatch, failure):
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(write_module, "draw_poet", fail)
    plain, done = nanopoet(*ASK), nanopoet(*ASK, "--picture", "poet.png")
    assert done.out == plain.out
    assert done.code == 1
    assert "error: the poem is written, its picture poet.png is not: " in done.err
    assert done.err.endswith(f"{failure}\n")


def test_few_poems_and_many_are_written_alike(nanopoet, poet):
    for n in (FEW, FEW + 1):
        assert nanopoet(*ASK, "-n", n).out.count("李白 · 五言绝句") == n


def test_a_reader_who_leaves_early_is_no_error(nanopoet, poet):
    command = [sys.executable, "-m", "nanopoet.cli", "write", "--run", "tiny", "-n", "9"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


# --- The rules of verse


def poems(done) -> list[dict]:
    assert done.code == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


@pytest.mark.parametrize("form", ["五言绝句", "七言绝句"])
def test_verse_keeps_its_rules_unless_the_model_is_asked_for_as_it_is(nanopoet, poet, form):
    order = ("write", "--form", form, "-n", 6, "--temperature", 2, "--json", "-")
    kept = poems(nanopoet(*order))
    assert [poem["faults"] for poem in kept] == [[]] * 6
    assert {poem["form"] for poem in kept} == {form}
    assert any(poem["faults"] for poem in poems(nanopoet(*order, "--free")))


def test_poems_go_to_a_file_and_are_printed_too(nanopoet, poet):
    done = nanopoet("write", "-n", 2, "--json", "made/poems.jsonl")
    rows = [json.loads(row) for row in Path("made/poems.jsonl").read_text("utf-8").splitlines()]
    assert [list(row) for row in rows] == [["author", "form", "title", "content", "faults"]] * 2
    assert all(row["title"] in done.out for row in rows)


def test_a_rhyme_and_the_first_characters_can_be_asked_for(nanopoet, poet):
    for poem in poems(nanopoet("write", "-n", 3, "--acrostic", "春雲山月", "--json", "-")):
        assert [line[0] for line in lines_of(poem["content"])] == list("春云山月")
    groups = ["东", "阳", "真", "先", "灰", "尤", "麻"]
    made = [nanopoet("write", "-n", 2, "--rhyme", group, "--json", "-") for group in groups]
    found = [(group, done) for group, done in zip(groups, made, strict=True) if done.code == 0]
    assert found, "the run has characters enough of one group"
    for group, done in found:
        assert {rhyme_group(lines_of(poem["content"])) for poem in poems(done)} == {group}


def test_a_beginning_that_keeps_the_rules_is_gone_on_with(nanopoet, poet):
    begin = poems(nanopoet("write", "--json", "-"))[0]["content"][:6]
    for poem in poems(nanopoet("write", "--begin", begin, "-n", 3, "--seed", 5, "--json", "-")):
        assert poem["content"].startswith(begin)
        assert poem["faults"] == []


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (["--begin", "明月明月，"], "can begin so; --free keeps no rules"),
        (["--rhyme", "云"], "the run knows too few characters that rhyme in 云; enough in 东"),
        (["--acrostic", "春山"], "春山 has 2 characters, and 五言绝句 has 4 lines"),
        (["--acrostic", "春山月鑫"], "the run does not know 鑫"),
        (["--acrostic", "春，山月"], "no line begins with '，'"),
        (["--free", "--rhyme", "东"], "--free keeps no rules: leave out --rhyme"),
        (["--json", "."], "is a folder"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused_in_a_sentence(nanopoet, poet, order, reason):
    done = nanopoet("write", *order)
    assert (done.code, done.out) == (1, "")
    assert reason in done.error


def test_a_run_of_few_characters_says_that_it_keeps_no_rules(nanopoet, use_corpus):
    poem = {"author": "李白", "form": "五言绝句", "title": "春"}
    pairs = permutations("春花秋月山水风", 2)
    use_corpus([poem | {"content": f"{a}{b}明月光，{b}{a}地上霜。" * 2} for a, b in pairs])
    assert nanopoet("train", "--preset", "tiny.toml", "--steps", 0).code == 0
    done = nanopoet("write", "--author", "李白")
    assert done.code == 0
    assert "rules are not kept: the run knows too few characters" in done.err


def test_a_text_run_takes_no_rules(nanopoet, text_run):
    assert "cannot take --rhyme" in nanopoet(*TEXT, "--rhyme", "东").error
