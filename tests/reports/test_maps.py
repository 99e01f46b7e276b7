from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cass_cli.engine.looking.cka import Layer
from cass_cli.reports.layer_plots import plot_layers, plot_similarity
from cass_cli.reports.map_plots import averaged, plot_averages, plot_overlays

pytestmark = pytest.mark.drawn


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert 500 < image.width < 2500, "readable in a README column"
        return np.asarray(image.convert("RGB")).astype(int)


def test_images_count_alike_in_an_average() -> None:
    bright, dim = np.array([[9.0, 3.0], [0.0, 0.0]]), np.array([[0.0, 0.1], [0.1, 0.2]])
    expected = 4 * (bright / 12 + dim / 0.4) / 2
    np.testing.assert_allclose(averaged(np.stack([bright, dim])), expected)
    np.testing.assert_allclose(averaged(np.stack([bright, np.zeros((2, 2))])), bright / 3)  # an empty map says nothing


def test_panels_share_a_scale(tmp_path: Path) -> None:
    """Beside a map with a strong peak an almost even one looks even; a constant map is drawn too."""
    peak, flat = np.ones((4, 4)), np.ones((4, 4))
    peak[1, 1], flat[1, 1] = 4.0, 1.1
    drawn = pixels(*plot_averages([("kind", [("a", peak), ("b", flat)])], tmp_path / "a.png", title="t", side=32))
    yellow = (drawn == [253, 231, 36]).all(axis=2)  # viridis' last colour, in the peak and at the bar's end
    columns = np.flatnonzero(yellow.sum(axis=0) > 20)
    assert columns.max() < 0.3 * drawn.shape[1]
    plot_averages([("kind", [("a", np.ones((2, 2)))])], tmp_path / "constant.png", title="t", side=32)


def test_overlays_with_an_empty_map(tmp_path: Path) -> None:
    images = np.full((2, 16, 16, 3), 120, dtype=np.uint8)
    maps = np.zeros((2, 4, 4))
    maps[0, :2] = 1
    drawn = pixels(*plot_overlays(images, ["a", "b"], [("row", "vit", maps)], tmp_path / "o.png", title="t"))
    coloured = np.ptp(drawn, axis=2) > 60
    left, right = coloured[:, : drawn.shape[1] // 2], coloured[:, drawn.shape[1] // 2 : int(0.85 * drawn.shape[1])]
    assert left.mean() > 0.02
    assert not right.any(), "nothing is laid over an image whose map is empty"


def test_layers_and_similarity(tmp_path: Path) -> None:
    maps = [np.random.default_rng(0).random((n, n)) for n in (8, 4)]
    pixels(*plot_layers(["conv1", "conv2"], [("before", maps), ("after", maps)], tmp_path / "l.png", title="t"))
    layers = [Layer("cnn", f"c{i}") for i in range(30)] + [Layer("vit", f"v{i}") for i in range(12)]
    cka = np.eye(42)
    cka[3] = np.nan
    pixels(*plot_similarity([("before", layers, cka), ("after", layers, cka)], tmp_path / "s.png", title="t"))
