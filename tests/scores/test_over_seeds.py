from __future__ import annotations

import json
from math import isnan, nan

import numpy as np
import pytest
from scipy import stats

from cass_cli.scores.over_seeds import (
    PairedTest,
    describe_difference,
    format_summary,
    holm,
    paired_test,
    summarise_seeds,
)


def test_interval_is_student_t() -> None:
    values = [0.81, 0.84, 0.79, 0.86, 0.80]
    summary = summarise_seeds(values)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(values), scale=stats.sem(values))
    assert (summary.n, summary.mean) == (5, pytest.approx(0.82))
    assert (summary.low, summary.high) == pytest.approx((low, high))
    # by hand: t(0.975, 4) = 2.776, s = 0.02915, so ± 0.0362
    assert format_summary(summary) == "0.820 ± 0.036 (n=5)"
    assert format_summary(summary, digits=4) == "0.8200 ± 0.0362 (n=5)"


def test_interval_covers_the_mean_of_five_normal_seeds_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    found = [summarise_seeds(list(rng.normal(size=5))) for _ in range(2000)]
    assert np.mean([s.low <= 0 <= s.high for s in found]) == pytest.approx(0.95, abs=0.015)


def test_one_seed_has_no_interval_and_says_so() -> None:
    summary = summarise_seeds([0.7])
    assert isnan(summary.low)
    assert isnan(summary.std)
    assert format_summary(summary) == "0.700 (n=1, no interval)"
    assert summary.as_dict() == {"n": 1, "mean": 0.7, "std": None, "low": None, "high": None}


def test_undefined_values_are_not_counted() -> None:
    assert summarise_seeds([0.7, nan, 0.9]).n == 2
    assert format_summary(summarise_seeds([nan])) == "undefined"
    assert format_summary(summarise_seeds([])) == "undefined"


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert format_summary(summarise_seeds([0.5, 0.5, 0.5])) == "0.500 ± 0.000 (n=3)"


def test_paired_test_equals_scipy_and_pairs_by_seed() -> None:
    rng = np.random.default_rng(1)
    seeds = list(range(8))
    hard = rng.normal(size=8)  # what a seed does to both
    a = {s: float(0.6 + hard[s] + 0.10 + 0.05 * rng.normal()) for s in seeds}
    b = {s: float(0.6 + hard[s] + 0.05 * rng.normal()) for s in reversed(seeds)}
    test = paired_test(a, b)
    x, y = ([m[s] for s in seeds] for m in (a, b))
    assert test.t_p == pytest.approx(stats.ttest_rel(x, y).pvalue)
    assert test.wilcoxon_p == pytest.approx(stats.wilcoxon(x, y).pvalue)
    assert test.t_p < 0.05 < stats.ttest_ind(x, y).pvalue, "pairing is what makes the difference visible"
    assert test.low < test.difference < test.high
    other = paired_test(b, a)
    assert (other.difference, other.t_p) == pytest.approx((-test.difference, test.t_p))


def test_seeds_without_a_partner_are_left_out_and_counted() -> None:
    test = paired_test({0: 0.7, 1: 0.8, 2: 0.9}, {1: 0.7, 2: 0.85, 3: 0.1, 4: nan})
    assert test.n == 2
    assert test.difference == pytest.approx(0.075)
    assert "3 seeds without a partner" in test.note


def test_wilcoxon_on_five_seeds_cannot_reach_significance_and_says_so() -> None:
    test = paired_test({s: 0.9 + s / 100 for s in range(5)}, {s: 0.5 + s / 50 for s in range(5)})
    assert test.wilcoxon_p == 0.0625
    assert "0.0625 at best" in test.note
    assert test.t_p < 1e-4
    assert "take it as an indication" in describe_difference(test, "cass", "dino", metric="macro F1")


def test_cases_without_a_test() -> None:
    same = paired_test({0: 0.5, 1: 0.6}, {0: 0.5, 1: 0.6})
    assert (same.t_p, same.wilcoxon_p) == (1, 1)
    assert "the same accuracy on all 2 seeds" in describe_difference(same, "a", "b", metric="accuracy")
    shifted = paired_test({0: 0.5, 1: 0.6, 2: 0.7}, {0: 0.4, 1: 0.5, 2: 0.6})
    assert isnan(shifted.t_p)
    assert "without any spread" in describe_difference(shifted, "a", "b", metric="accuracy")
    single = paired_test({0: 0.5}, {0: 0.4})
    assert isnan(single.t_p)
    assert "allows no conclusion" in describe_difference(single, "a", "b", metric="accuracy")
    assert "no seed in common" in describe_difference(paired_test({0: 1.0}, {1: 1.0}), "a", "b", metric="F1")
    json.dumps([t.as_dict() for t in (same, shifted, single)], allow_nan=False)


def test_words_follow_the_test() -> None:
    clear = PairedTest(8, 0.031, 0.01, 0.05, 0.004, 0.008)
    text = describe_difference(clear, "cass", "transfer", metric="macro F1")
    assert text == (
        "cass − transfer = +0.031 macro F1: cass is higher (95 % interval +0.010 to +0.050, "
        "paired t-test over 8 seeds p = 0.004)."
    )
    lower = PairedTest(8, -0.031, -0.05, -0.01, 0.004, 0.008)
    assert describe_difference(lower, "cass", "transfer", metric="macro F1").startswith(
        "cass − transfer = −0.031 macro F1: cass is lower (95 % interval −0.050 to −0.010"
    )
    unclear = describe_difference(PairedTest(5, 0.03, -0.01, 0.07, 0.11, 0.19), "a", "b", metric="macro F1")
    assert "not distinguishable" in unclear
    assert "higher" not in unclear
    adjusted = describe_difference(clear, "cass", "transfer", metric="macro F1", p=0.08)
    assert "not distinguishable" in adjusted
    assert "p = 0.08, adjusted" in adjusted


def test_holm() -> None:
    # Worked by hand: 0.01·4, 0.02·3, 0.03·2 raised to 0.06, 0.5·1.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    mixed = holm([nan, 0.04])
    assert isnan(mixed[0])
    assert mixed[1] == 0.04
    assert holm([]) == []
