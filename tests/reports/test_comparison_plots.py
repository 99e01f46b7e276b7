"""The figures of `cass compare`: what is drawn, read back from the axes."""

from __future__ import annotations

from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure

from cass_cli.reports import comparison_plots
from cass_cli.reports.comparison_plots import MOST_METHODS, look, plot_by_labels, plot_by_seconds
from cass_cli.runs.compare import Comparison, compare
from cass_cli.runs.cost import Costs
from tests.runs.summaries import JUDGEMENT, summary_of

METHODS = ("Transfer", "DINO", "CASS")
FRACTIONS = (0.01, 0.1, 1.0)


def made(
    *, methods: tuple[str, ...] = METHODS, fractions: tuple[float, ...] = FRACTIONS, seeds: int = 5, **more: Any
) -> Comparison:
    """A comparison of four classes whose scores are known: of method i, seed s and share f, .1 i + .01 s + .2 f."""
    metric = more.pop("metric", "macro_f1")
    found = {
        name: [
            summary_of(
                fraction=f,
                seed=s,
                metric=metric,
                classes=list("wxyz"),
                judgement=JUDGEMENT | {"metric": metric},
                test={c: {metric: more.get("score", 0.1 * i + 0.01 * s + 0.2 * f)} for c in ("cnn", "vit", "mean")},
                multilabel=more.get("multilabel", False),
            )
            for f in fractions
            for s in range(seeds)
        ]
        for i, name in enumerate(methods)
    }
    return compare(found)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn, and written as well."""
    kept: list[Figure] = []
    written = comparison_plots.save

    def keep(figure: Figure, path: Path) -> Path:
        kept.append(figure)
        return written(figure, path)

    monkeypatch.setattr(comparison_plots, "save", keep)
    return kept


def lines(axes: Any) -> list[ErrorbarContainer]:
    return [each for each in axes.containers if isinstance(each, ErrorbarContainer)]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_means_and_intervals_stand_where_they_belong(figures: list[Figure], tmp_path: Path) -> None:
    comparison = made()
    assert plot_by_labels(comparison, tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    panels = [axes for axes in figures[0].axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["cnn (model-cnn)", "vit (model-vit)", "mean", "pick"]
    for axes, candidate in zip(panels, ("cnn", "vit", "mean", "pick"), strict=True):
        assert axes.get_xscale() == "log"
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "10", "100"]
        assert len(lines(axes)) == len(METHODS)
        for method, drawn in zip(METHODS, lines(axes), strict=True):
            cells = [c for c in comparison.cells if (c.method, c.candidate) == (method, candidate)]
            x, y = np.array(drawn.lines[0].get_data(), dtype=float)
            np.testing.assert_allclose(y, [cell.summary.mean for cell in cells])
            np.testing.assert_allclose(x, FRACTIONS, rtol=0.12)  # moved apart, and still at their share
            bars = np.array([segment for part in drawn.lines[2] for segment in part.get_segments()])[:, :, 1]
            np.testing.assert_allclose(bars, [[cell.summary.low, cell.summary.high] for cell in cells])
    assert legend(figures[0]) == [*(f"{name}, n = 5" for name in METHODS), "guessing (at most 0.25)"]
    assert "Student t" in figures[0]._supxlabel.get_text()  # type: ignore[attr-defined]


def test_methods_are_told_apart_without_colour_and_more_are_left_out(figures: list[Figure], tmp_path: Path) -> None:
    assert len({look(i)["marker"] for i in range(MOST_METHODS)}) == MOST_METHODS
    plot_by_labels(made(methods=tuple(f"_m{i}" for i in range(11))), tmp_path / "f.png")
    axes = figures[0].axes[0]
    assert len({drawn.lines[0].get_marker() for drawn in lines(axes)}) == len(lines(axes)) == MOST_METHODS
    assert len(legend(figures[0])) == MOST_METHODS + 1  # a name with a _ in front is not hidden
    assert figures[0].legends[0].get_title().get_text() == "the first 8 of 11 methods"


def test_long_names_that_begin_alike_keep_what_tells_them_apart(figures: list[Figure], tmp_path: Path) -> None:
    names = tuple(f"CASS [pretrained-paper-f75a221d] (demo-cass-seed{i})" for i in range(2))
    plot_by_labels(made(methods=names), tmp_path / "f.png")
    assert [text.replace("\n", " ") for text in legend(figures[0])[:2]] == [f"{name}, n = 5" for name in names]
    assert max(len(line) for text in legend(figures[0]) for line in text.splitlines()) <= 40


def test_of_one_share_and_one_seed_there_are_points_without_intervals(figures: list[Figure], tmp_path: Path) -> None:
    plot_by_labels(made(fractions=(1.0,), seeds=3), tmp_path / "several.png")
    plot_by_labels(made(fractions=(1.0,), seeds=1), tmp_path / "one.png")
    for figure, bars in zip(figures, (1, 0), strict=True):
        for drawn in lines(figure.axes[0]):
            assert len(drawn.lines[0].get_xdata()) == 1
            segments = [segment for part in drawn.lines[2] for segment in part.get_segments()]
            assert sum(len(segment) == 2 for segment in segments) == bars  # a NaN has no ends
    assert legend(figures[1])[0] == "Transfer, n = 1"


def test_scores_stand_against_what_they_took(figures: list[Figure], tmp_path: Path) -> None:
    took = {(name, f): 100.0 * i + 20 + 60 * f for i, name in enumerate(METHODS) for f in FRACTIONS}
    took |= {("DINO", f): nan for f in FRACTIONS}  # not known
    plot_by_seconds(made(), Costs(took, ("cpu", "a GPU")), tmp_path / "f.svg")
    axes = figures[0].axes[0]
    transfer, dino, cass = lines(axes)
    np.testing.assert_allclose(np.asarray(transfer.lines[0].get_xdata(), dtype=float), [20.6, 26, 80])
    np.testing.assert_allclose(np.asarray(cass.lines[0].get_xdata(), dtype=float), [220.6, 226, 280])
    assert len(dino.lines[0].get_xdata()) == 0
    assert legend(figures[0])[:2] == ["Transfer, n = 5", "DINO, n = 5, time not known"]
    assert {"30 s", "10 min"} <= {label.get_text() for label in axes.get_xticklabels()}
    assert [text.get_text() for text in axes.texts] == ["1 %", "10 %", "100 %"] * 2
    assert "cpu and a GPU" in figures[0]._supxlabel.get_text()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("metric", "multilabel", "said"),
    [
        ("balanced_accuracy", False, "guessing (0.25)"),
        ("auroc", False, "guessing (0.5)"),
        ("macro_f1", True, None),
        ("ece", False, None),
    ],
)
def test_guessing_is_drawn_where_it_has_one_value(
    figures: list[Figure], tmp_path: Path, metric: str, multilabel: bool, said: str | None
) -> None:
    plot_by_labels(made(metric=metric, multilabel=multilabel), tmp_path / "f.png")
    assert [text for text in legend(figures[0]) if "guessing" in text] == ([said] if said else [])
    lower = figures[0]._supylabel.get_text()  # type: ignore[attr-defined]
    assert ("lower is better" in lower) == (metric == "ece")


def test_undefined_scores_and_wide_intervals_are_drawn_as_they_are(figures: list[Figure], tmp_path: Path) -> None:
    plot_by_labels(made(score=None), tmp_path / "none.png")
    assert legend(figures[0])[0] == "Transfer, n = 0, undefined"
    plot_by_labels(made(seeds=2), tmp_path / "two.png")
    low, high = figures[1].axes[0].get_ylim()
    assert -0.03 <= low < high <= 1.03


@pytest.mark.parametrize(("ending", "begins"), [(".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_its_ending_is_the_format(tmp_path: Path, ending: str, begins: bytes) -> None:
    assert plot_by_labels(made(), tmp_path / f"f{ending}").read_bytes().startswith(begins)
