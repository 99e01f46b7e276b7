"""What figures say: names as they stand, without a warning for those that a font cannot show."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from cass_cli.reports.curves import plot_confusion, plot_roc
from cass_cli.reports.pictures import LONGEST_NAME, drawn, svg_of, write_picture

pytestmark = pytest.mark.drawn

NAMES = ("$\\frac{$", "\u826f\u6027 \u062d\u0645", "a\x1b[2J\u202eb\n\U0001f600")


def test_names_of_any_kind_are_drawn_without_a_word(tmp_path: Path) -> None:
    labels = np.array([0, 1, 2, 0, 1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_confusion(np.eye(3, dtype=np.int64), NAMES, tmp_path / "c.png", title=NAMES[0])
        plot_roc(labels, np.eye(3)[labels], NAMES, tmp_path / "r.png", title=NAMES[1])


def test_a_formula_is_a_name_and_a_power_of_ten_a_formula(tmp_path: Path) -> None:
    figure = Figure()
    axes = figure.add_subplot(title="$x^2$", yscale="log", ylim=(1e-5, 1))
    write_picture(figure, tmp_path / "a.pdf", dpi=50)
    assert not axes.title.get_parse_math()
    assert all(label.get_parse_math() for label in axes.get_yticklabels())
    assert svg_of(figure)


@pytest.mark.parametrize("name", [*NAMES, "x" * 5000, "_hidden"])
def test_a_name_is_drawn_on_one_short_line(name: str) -> None:
    line = drawn(name)
    assert len(line) <= LONGEST_NAME + 1 and "\n" not in line and not line.startswith("_")
    assert line.lstrip("\u200a").isprintable()
