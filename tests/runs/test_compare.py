"""The table of methods, arms and fractions."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import pytest
from scipy import stats

from cass_cli.errors import ConfigError
from cass_cli.reports.comparison import as_csv, as_latex, as_markdown, table_rows
from cass_cli.runs.compare import compare
from cass_cli.runs.cost import costs_of
from cass_cli.runs.names import find_all
from cass_cli.runs.summary import TrialSummary
from cass_cli.runs.trials import method_name
from tests.reports.runs_on_disk import add_trial, write_run
from tests.runs.summaries import summary_of


def trial(
    seed: int, score: float | None, *, fraction: float = 0.1, init: str = "pretrained", digest: str = "d"
) -> TrialSummary:
    scores = {name: {"macro_f1": score, "accuracy": 0.5} for name in ("cnn", "vit", "mean")}
    arms = {name: {"model": model, "weights": "", "best_epoch": 1} for name, model in (("cnn", "a_b"), ("vit", "v"))}
    return summary_of(init=init, fraction=fraction, seed=seed, arms=arms, test=scores, test_digest=digest)


def test_tests_are_paired_by_seed_and_adjusted() -> None:
    first = {0: 0.7, 1: 0.8, 2: 0.75}
    second = {0: 0.6, 1: 0.72, 2: 0.68, 9: 0.1}  # seed 9 has no partner
    methods = {
        "CASS": [trial(seed, score) for seed, score in first.items()],
        "Transfer": [trial(seed, score, init="imagenet") for seed, score in second.items()],
    }
    comparison = compare(methods)
    assert len(comparison.tests) == 4  # cnn, vit, mean, pick
    test = comparison.tests[0]
    expected = stats.ttest_rel([0.7, 0.8, 0.75], [0.6, 0.72, 0.68]).pvalue
    assert test.test.t_p == pytest.approx(expected)
    assert test.p_adjusted == pytest.approx(min(1, 4 * expected))
    assert test.test.n == 3


def test_undefined_and_missing_scores_stay_out_of_means() -> None:
    comparison = compare({"CASS": [trial(0, 0.5), trial(1, None)]})
    cell = comparison.cells[0]
    assert (cell.summary.n, cell.summary.mean) == (1, 0.5)
    assert isnan(cell.values[1])


def test_other_test_images_are_warned_of() -> None:
    methods = {"CASS": [trial(0, 0.5)], "Transfer": [trial(0, 0.4, digest="other")]}
    assert "different images" in compare(methods).notes[0]
    assert not compare({"CASS": [trial(0, 0.5)], "Transfer": [trial(0, 0.4)]}).notes


def test_renderings_hold_the_same_table() -> None:
    methods = {"CASS": [trial(s, 0.5 + s / 10, fraction=f) for s in (0, 1) for f in (0.01, 1.0)]}
    comparison = compare(methods)
    header, *rows = table_rows(comparison)
    assert header == ["Technique", "Arm", "1 %", "100 %"]
    assert rows[0][:2] == ["CASS", "cnn (a_b)"]
    assert all("0.550 ±" in cell for cell in rows[0][2:])
    assert as_markdown(comparison).count("\n| CASS |") == len(rows) == 4
    latex = as_latex(comparison)
    assert "a\\_b" in latex
    assert "1 \\%" in latex
    assert len(as_csv(comparison).splitlines()) == 1 + 4 * 2 * 2


def test_an_unknown_metric_gets_its_neighbour() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'macro_f1'"):
        compare({"CASS": [trial(0, 0.5)]}, metric="macrof1")


@pytest.mark.parametrize(
    ("init", "name"), [("pretrained", "CASS"), ("averaged", "CASS (averaged)"), ("imagenet", "Transfer")]
)
def test_methods_have_the_papers_names(init: str, name: str) -> None:
    assert method_name(trial(0, 0.5, init=init)) == name


def test_costs_hold_the_pretraining_that_a_fine_tuning_begins_with(tmp_path: Path) -> None:
    """The run's three epochs took 2 s each, and every fine-tuning 3.5 s."""
    run = write_run(tmp_path / "r")
    add_trial(run, seed=0)
    add_trial(run, seed=1)
    add_trial(run, variant="imagenet-paper", init="imagenet")
    found = costs_of([trial for each in find_all(tmp_path, ["r"]) for trial in each.trials()])
    assert found.seconds == {("CASS", 1.0): 9.5, ("Transfer", 1.0): 3.5}
    assert found.devices == ("cpu",)
    (run / "metrics.jsonl").unlink()
    lost = costs_of([trial for each in find_all(tmp_path, ["r"]) for trial in each.trials()])
    assert isnan(lost.seconds["CASS", 1.0]) and lost.seconds["Transfer", 1.0] == 3.5
