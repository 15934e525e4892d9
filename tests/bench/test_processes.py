"""Two processes are measured, and what was measured is shown."""

import pytest
import torch.distributed as dist

from nanopoet.bench.processes import SIZES, in_two_processes, tables, with_spread

HAS_GLOO = dist.is_available() and dist.is_gloo_available()
SPREAD = {"value": 2.0, "low": 1.0, "high": 4.0}


@pytest.mark.skipif(not HAS_GLOO, reason="this PyTorch has no gloo")
def test_all_ways_are_measured_by_two_processes():
    found = in_two_processes(steps=1, rounds=1, sizes=SIZES[:1])
    one, two, _ = found["speed"].values()
    assert one["beside_1_thread"] == two["beside_2_threads"] == {"value": 1, "low": 1, "high": 1}
    assert found["communication"].keys() == {SIZES[0]}
    assert len(tables(found).splitlines()) == 2 + 3 + 1 + 2 + 1


def test_a_figure_is_a_median_with_its_range():
    assert with_spread([4.0, 1.0, 2.0]) == SPREAD


def test_tables_show_value_and_range():
    way = {"tokens_per_second": {"value": 2000, "low": 1000, "high": 4000}}
    way |= {"beside_1_thread": SPREAD, "beside_2_threads": SPREAD}
    size = {"parameters": 1000, "megabytes": 0.0, "step_seconds": SPREAD}
    size["talk"] = {"value": 0.2, "low": 0.1, "high": 0.4}
    shown = tables({"speed": {"a": way}, "communication": {"quick": size}})
    ratio = "2.00 (1.00 to 4.00)"
    assert f"| a | 2,000 (1,000 to 4,000) | {ratio} | {ratio} |" in shown
    assert "| quick | 1,000 | 0.0 MB | 2.000 (1.000 to 4.000) s | 20% (10% to 40%) |" in shown
