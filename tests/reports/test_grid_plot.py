"""The figure of a grid shows every interval whole, and those of one place beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from cass_cli.config.grid_file import Grid
from cass_cli.engine.grid.results import GridResults, Score
from cass_cli.reports import grid_plot
from cass_cli.scores.over_seeds import summarise_seeds

SEEDS = {"cnn": (0.50, 0.51, 0.52), "vit": (0.2, 0.5, 0.8)}  # the second panel's are far wider


def figure_of(axis: str, labels: list[str], monkeypatch: pytest.MonkeyPatch) -> Figure:
    """Return the figure of two methods along an axis."""
    drawn: list[Figure] = []
    monkeypatch.setattr(grid_plot, "save", lambda figure, path: drawn.append(figure) or path)
    grid = Grid("g", "a grid", {axis: {label: {} for label in labels}, "method": {"cass": {}, "dino": {}}})
    scores = tuple(
        Score({axis: label, "method": method}, arm, 10, dict(enumerate(values)), summarise_seeds(values))
        for arm, values in SEEDS.items()
        for label in labels
        for method in ("cass", "dino")
    )
    grid_plot.plot_grid(grid, GridResults("macro_f1", scores, (), (axis, "method"), 12, 12), Path("figure.png"))
    return drawn[0]


def test_a_wide_interval_of_a_later_panel_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = figure_of("label_fraction", ["0.1", "1"], monkeypatch)
    reach = summarise_seeds(SEEDS["vit"])
    assert reach.low < 0 and reach.high > 1  # so the whole of a score's range is shown
    assert [axes.get_ylim() for axes in figure.axes] == [(0, 1), (0, 1)]


@pytest.mark.parametrize(
    ("axis", "labels"),
    [("label_fraction", ["0.01", "1"]), ("train.epochs", ["1", "2"]), ("recipe", ["probe", "paper"])],
)
def test_lines_stand_beside_each_other(axis: str, labels: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    axes = figure_of(axis, labels, monkeypatch).axes[0]
    first, second = (container.lines[0].get_xdata() for container in axes.containers)
    assert all(one < other for one, other in zip(first, second, strict=True))
    assert second[0] < first[1]  # and next to their own place
    assert [text.get_text() for text in axes.get_xticklabels()] == labels
    joined = [container.lines[0].get_linestyle() != "None" for container in axes.containers]
    assert joined == 2 * [axis != "recipe"]  # names have no order
