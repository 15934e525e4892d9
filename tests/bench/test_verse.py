"""What the masks cost: every way writes the same requests, and the rules are kept in one."""

import json


def test_all_ways_are_counted(nanopoet, poet):
    table = json.loads(nanopoet("dev", "verse", "tiny", "-n", "8", "--json").out)
    assert set(table) == {"as it is", "form", "all rules"}
    assert table["form"]["form"] == table["all rules"]["form"] == 1
    assert table["form"]["time"] == 1
    assert all(row["nats_per_char"] > 0 for row in table.values())
    assert table["all rules"]["both"] == 1
    assert "all rules" in nanopoet("dev", "verse", "tiny", "-n", "8").out


def test_the_same_seed_writes_the_same(nanopoet, poet):
    first, again = (
        json.loads(nanopoet("dev", "verse", "tiny", "-n", "8", "--json").out) for _ in range(2)
    )
    assert all(first[way]["distinct_2"] == again[way]["distinct_2"] for way in first)
