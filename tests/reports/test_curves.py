from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from cass_cli.reports.curves import (
    COLOURS,
    _name_ticks,
    plot_confusion,
    plot_reliability,
    plot_roc,
    plot_training,
    training_figure,
)
from cass_cli.reports.use_plots import plot_calibration, plot_decision, plot_precision_recall, plot_risk_coverage
from cass_cli.scores.calibration import to_probabilities
from cass_cli.scores.metrics import confusion
from cass_cli.scores.use import judge_use

pytestmark = pytest.mark.drawn

REPO = Path(__file__).parents[2]
CLASSES = ("glioma", "meningioma", "none", "pituitary")


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def share_of(colour: str, drawn: np.ndarray) -> float:
    """Share of the pixels that have exactly this colour."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return float((drawn == rgb).all(axis=2).mean())


def assert_readable(path: Path) -> np.ndarray:
    """The picture has something on it, on a white ground, at the width of a README column."""
    drawn = pixels(path)
    assert 500 < drawn.shape[1] < 2500
    assert (drawn[0, 0] == 255).all()
    assert 0.01 < (drawn < 128).any(axis=2).mean() < 0.9
    return drawn


def predictions(images: int = 400, *, multilabel: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(images, 4))
    if multilabel:
        p = to_probabilities(logits, multilabel=True)
        return (rng.random(p.shape) < p).astype(np.uint8), p
    labels = rng.choice(4, size=images, p=[0.3, 0.3, 0.3, 0.1])
    logits[np.arange(images), labels] += 1.5
    return labels, to_probabilities(logits, multilabel=False)


@pytest.mark.parametrize("multilabel", [False, True])
def test_confusion(tmp_path: Path, multilabel: bool) -> None:
    path = tmp_path / "figures" / "confusion.png"
    assert plot_confusion(confusion(*predictions(multilabel=multilabel)), CLASSES, path) == path
    assert_readable(path)


def test_confusion_colours_follow_the_counts(tmp_path: Path) -> None:
    right = plot_confusion(np.diag([50, 5]), ("a", "b"), tmp_path / "right.png")
    wrong = plot_confusion(np.diag([50, 5])[::-1], ("a", "b"), tmp_path / "wrong.png")
    a, b = pixels(right), pixels(wrong)
    middle = slice(a.shape[0] // 4, a.shape[0] // 2)
    assert a[middle, : a.shape[1] // 2].mean() < b[middle, : b.shape[1] // 2].mean()  # dark where the diagonal is


@pytest.mark.parametrize("multilabel", [False, True])
def test_a_matrix_of_many_classes_has_no_text_in_its_cells_and_no_more_room(
    tmp_path: Path, multilabel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(Axes, "text", lambda _axes, _x, _y, text, **_style: written.append(text))
    sizes = set()
    for classes in (4, 31, 114, 400):
        written.clear()
        matrix = np.tile([[[30, 1], [2, 7]]], (classes, 1, 1)) if multilabel else 9 * np.eye(classes, dtype=np.int64)
        drawn = assert_readable(plot_confusion(matrix, [f"class {c}" for c in range(classes)], tmp_path / "c.png"))
        assert len(written) == (matrix.size if classes == 4 else 0)
        sizes |= {drawn.shape[0]} if classes > 4 else set()
    assert max(sizes) < 1.1 * min(sizes)


def test_of_many_names_some_stand_beside_an_axis_and_it_says_so() -> None:
    axes = Figure().add_subplot()
    _name_ticks(axes.yaxis, [f"class {c}" for c in range(100)], "true class")
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"class {c}" for c in range(0, 100, 3)]
    assert list(axes.get_yticks()) == list(range(0, 100, 3))
    assert axes.get_ylabel() == "true class (one in 3 is named)"


@pytest.mark.parametrize("multilabel", [False, True])
def test_roc(tmp_path: Path, multilabel: bool) -> None:
    labels, p = predictions(multilabel=multilabel)
    drawn = assert_readable(plot_roc(labels, p, CLASSES, tmp_path / "roc.png"))
    assert all(share_of(colour, drawn) > 1e-4 for colour in COLOURS[:4])


def test_curves_leave_unknown_labels_out(tmp_path: Path) -> None:
    """What is answered there is not seen, and a class of unknown labels alone has no curve."""
    labels, p = predictions(multilabel=True)
    unknown = np.random.default_rng(1).random(labels.shape) < 0.3
    unknown[:, 3] = True
    labels = np.where(unknown, -1, labels).astype(np.int8)
    for plot in (
        lambda p, path: plot_roc(labels, p, CLASSES, path),
        lambda p, path: plot_reliability(labels, {"": p}, path),
    ):
        first, second = (pixels(plot(given, tmp_path / "a.png")) for given in (p, np.where(unknown, 1 - p, p)))
        assert np.array_equal(first, second)
    drawn = pixels(plot_roc(labels, p, CLASSES, tmp_path / "roc.png"))
    assert share_of(COLOURS[3], drawn) < share_of(COLOURS[2], drawn) / 2


def test_roc_without_a_class(tmp_path: Path) -> None:
    labels, p = predictions()
    drawn = assert_readable(plot_roc(labels[labels < 3], p[labels < 3], CLASSES, tmp_path / "roc.png"))
    assert share_of(COLOURS[3], drawn) < share_of(COLOURS[2], drawn) / 2, "only its key in the legend is left"


def test_roc_of_many_classes_shows_their_mean_and_the_lowest(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels, logits = np.arange(300) % 60, rng.normal(size=(300, 60))
    logits[np.arange(300), labels] += 2
    names = [f"class {c}" for c in range(60)]
    drawn = assert_readable(plot_roc(labels, to_probabilities(logits, multilabel=False), names, tmp_path / "roc.png"))
    assert all(share_of(colour, drawn) > 1e-4 for colour in COLOURS[:5])
    assert share_of(COLOURS[5], drawn) == 0
    one = np.zeros(1, dtype=np.int64)  # of one image no curve is defined
    assert_readable(plot_roc(one, np.full((1, 60), 1 / 60), names, tmp_path / "none.png"))


@pytest.mark.parametrize("multilabel", [False, True])
def test_reliability(tmp_path: Path, multilabel: bool) -> None:
    labels, p = predictions(multilabel=multilabel)
    path = plot_reliability(labels, {"raw": p, "calibrated": 0.8 * p + 0.05}, tmp_path / "reliability.png")
    drawn = assert_readable(path)
    assert all(share_of(colour, drawn) > 1e-4 for colour in COLOURS[:2])


def test_training(tmp_path: Path) -> None:
    panels = {
        "focal loss": {
            "training": np.geomspace(1, 0.01, 50),
            "validation": np.r_[np.geomspace(1, 0.2, 30), [np.nan] * 20],
        },
        "learning rate (1/step)": {"lr": np.geomspace(1e-3, 1e-6, 50)},
    }
    path = plot_training(panels, tmp_path / "training.png", best_epoch=30, logarithmic=["focal loss"])
    drawn = assert_readable(path)
    assert all(share_of(colour, drawn) > 1e-4 for colour in COLOURS[:3])


def test_one_epoch_is_a_visible_point(tmp_path: Path) -> None:
    drawn = assert_readable(plot_training({"loss": {"cnn": [0.4]}}, tmp_path / "one.png"))
    bare = pixels(plot_training({"loss": {"cnn": [np.nan]}}, tmp_path / "none.png"))
    assert share_of(COLOURS[0], drawn) > share_of(COLOURS[0], bare)


def test_of_one_epoch_the_axis_names_that_alone() -> None:
    figure = training_figure({"loss": {"cnn": [0.4]}, "score": {"cnn": [0.1]}}, first=3)
    assert list(figure.axes[-1].get_xticks()) == [3]


def test_many_and_odd_class_names(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    names = ("$x_1$", "_hidden", "100% sure", "two\nlines", "細胞", "a name that goes on and on and on", *"ghijklmnop")
    labels = np.arange(160) % 16
    p = np.random.default_rng(0).dirichlet(np.ones(16), size=160)
    assert_readable(plot_roc(labels, p, names, tmp_path / "roc.png"))
    assert_readable(plot_confusion(confusion(labels, p), names, tmp_path / "confusion.png"))
    assert not [w for w in recwarn if issubclass(w.category, UserWarning)]


def test_no_global_state(tmp_path: Path) -> None:
    """Drawing never loads pyplot, whose figures and settings belong to whoever calls us."""
    code = (
        "import sys; from pathlib import Path; from cass_cli.reports.curves import plot_training; "
        f"plot_training({{'loss': {{'cnn': [1.0, 0.5]}}}}, Path({str(tmp_path / 'x.png')!r})); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=REPO).returncode == 0


MODELS = ("cnn", "vit")


@pytest.mark.parametrize("several", [False, True])
def test_figures_of_use(tmp_path: Path, several: bool) -> None:
    labels, p = predictions(multilabel=several)
    labels = labels.astype(np.int8) - (np.arange(400) < 40)[:, None] * labels.astype(np.int8) * 2 if several else labels
    told, models = range(4), {"cnn": p, "vit": p**2 / (p**2 + (1 - p) ** 2)}
    path = plot_precision_recall(labels, p, CLASSES, told, tmp_path / "precision.png")
    assert all(share_of(colour, assert_readable(path)) > 1e-4 for colour in COLOURS[:4])
    use = judge_use(labels, p, CLASSES, told, resamples=20)
    assert_readable(plot_calibration(labels, p, use, CLASSES, told, tmp_path / "calibration.png"))
    for path in (
        plot_decision(labels, models, CLASSES, told, tmp_path / "decision.png"),
        plot_risk_coverage(labels, models, dict.fromkeys(MODELS), dict.fromkeys(MODELS, 0.1), tmp_path / "risk.png"),
    ):
        assert all(share_of(colour, assert_readable(path)) > 1e-4 for colour in COLOURS[:2])


def test_figures_of_use_where_little_is_known(tmp_path: Path) -> None:
    """One image; a class that nobody shows; more classes than panels; names that would be formulas."""
    labels, p = np.zeros(1, dtype=np.int64), np.full((1, 2), 0.5)
    use = judge_use(labels, p, "ab", [1])
    assert_readable(plot_precision_recall(labels, p, "ab", [1], tmp_path / "one.png"))
    assert_readable(plot_calibration(labels, p, use, "ab", [1], tmp_path / "one.png"))
    assert_readable(plot_decision(labels, {"cnn": p}, "ab", [1], tmp_path / "one.png"))
    assert_readable(plot_risk_coverage(labels, {"cnn": p}, {"cnn": None}, {"cnn": 0.0}, tmp_path / "one.png"))
    rng = np.random.default_rng(0)
    names = ["$x_1$", "_hidden", "a name that goes on and on and on", *map(str, range(37))]
    labels, p = rng.integers(0, 39, 300), rng.dirichlet(np.ones(40), size=300)
    drawn = assert_readable(plot_precision_recall(labels, p, names, range(40), tmp_path / "many.png"))
    assert share_of(COLOURS[5], drawn) == 0  # of many the lowest
    assert_readable(plot_decision(labels, {"cnn": p}, names, range(40), tmp_path / "many.png"))
