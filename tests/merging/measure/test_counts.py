"""Intervals of shares, against scipy and in the corners."""

import pytest
from scipy.stats import binomtest

from merging.measure.counts import count_in_words, mean_interval, share_in_words, wilson


@pytest.mark.parametrize("passed, n", [(0, 8), (8, 8), (31, 32), (15, 32), (1, 1), (250, 500)])
def test_wilson_is_scipys(passed, n):
    theirs = binomtest(passed, n).proportion_ci(method="wilson")
    assert wilson(passed, n) == pytest.approx((theirs.low, theirs.high), abs=1e-4)


def test_a_count_stands_with_its_interval():
    assert count_in_words(0, 8) == "0 of 8 (0.00 to 0.32)" and count_in_words(43, 48) == "43 of 48 (0.78 to 0.95)"
    assert share_in_words(0.896, 0.778, 0.9549) == "0.90 (0.78 to 0.95)"


@pytest.mark.parametrize("passed, n", [(0, 0), (9, 8), (-1, 8)])
def test_no_share_of_nothing(passed, n):
    with pytest.raises(ValueError, match=f"{passed} of {n}"):
        wilson(passed, n)


def test_mean_interval_holds_the_mean_and_shrinks_with_the_root_of_n():
    few, many = mean_interval([0, 1] * 20), mean_interval([0, 1] * 320)
    assert few[1] < few[0] == 0.5 < few[2]
    assert (few[2] - few[1]) / (many[2] - many[1]) == pytest.approx(4, rel=0.15)


def test_mean_interval_is_never_certain_at_the_ends():
    assert mean_interval([0.0] * 8)[2] == wilson(0, 8)[1] > 0.3
    assert mean_interval([1.0] * 8)[1] == wilson(8, 8)[0]
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])
