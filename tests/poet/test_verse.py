"""Poems as they are printed, with pinyin."""

from rich.console import Console

from nanopoet.poet.verse import print_poem
from nanopoet_ref.poem import Poem


def test_a_mark_is_explained_once_and_survives_a_pipe(capsys):
    poem = Poem("曾巩", "五言绝句", "朝", "月还明在水，人重落成山。")
    print_poem(Console(soft_wrap=True), poem, with_pinyin=True)
    out = capsys.readouterr().out
    assert "    zēng gǒng wǔ yán jué jù\n" in out
    assert "    zhāo?\n" in out
    assert "    yuè huán? míng zài shuǐ rén chóng? luò chéng shān\n" in out
    assert out.count("? has another reading as well") == 1
    print_poem(Console(soft_wrap=True), poem)
    assert "?" not in capsys.readouterr().out


def test_a_poem_whose_readings_are_all_decided_needs_no_explanation(capsys):
    poem = Poem("李白", "五言绝句", "静夜思", "床前明月光，疑是地上霜。")
    print_poem(Console(soft_wrap=True), poem, with_pinyin=True)
    assert "?" not in capsys.readouterr().out
