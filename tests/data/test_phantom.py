"""The demo set: the same bytes for the same seed, whole or absent, and hard for a linear model only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from cass_cli.data.phantom import pictures
from cass_cli.data.phantom.pictures import CLASSES, MANIFEST, VERSION, make_phantoms, phantom_image
from cass_cli.errors import DataError


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.png")}


def test_classes_are_balanced_and_images_coloured(tmp_path: Path) -> None:
    root = make_phantoms(tmp_path / "demo", images_per_class=3, size=32)
    assert root == tmp_path / "demo"
    assert sorted(path.name for path in root.iterdir()) == sorted([*CLASSES, MANIFEST])
    for label in CLASSES:
        assert sorted(path.name for path in (root / label).iterdir()) == [f"{label}_000{i}.png" for i in (1, 2, 3)]
        with Image.open(root / label / f"{label}_0001.png") as image:
            assert (image.mode, image.size) == ("RGB", (32, 32))


def test_an_image_depends_on_seed_class_and_number_alone(tmp_path: Path) -> None:
    few = contents(make_phantoms(tmp_path / "few", images_per_class=2, size=32))
    many = contents(make_phantoms(tmp_path / "many", images_per_class=4, size=32))
    other = contents(make_phantoms(tmp_path / "other", images_per_class=2, size=32, seed=1))
    assert few.items() <= many.items()
    assert len(set(many.values())) == 16
    assert not set(few.values()) & set(other.values())


THUMBNAILS = {
    "basal_cell_carcinoma": [[170, 141, 121, 123], [184, 137, 131, 135], [176, 150, 154, 148], [183, 168, 167, 158]],
    "keratosis": [[80, 131, 145, 85], [137, 107, 115, 151], [142, 140, 127, 144], [73, 139, 143, 85]],
    "melanoma": [[186, 180, 184, 179], [158, 148, 103, 146], [195, 77, 33, 116], [197, 200, 185, 206]],
    "nevus": [[175, 151, 138, 138], [168, 151, 133, 143], [161, 136, 99, 116], [160, 147, 123, 110]],
}
"""The first picture of each class, as 4 × 4 grey levels, under VERSION 2."""


@pytest.mark.parametrize("label", CLASSES)
def test_pictures_are_those_of_their_version(label: str) -> None:
    pixels = phantom_image(label, size=64, rng=np.random.default_rng([0, CLASSES.index(label), 0])).astype(float)
    seen = pixels.reshape(4, 16, 4, 16, 3).mean(axis=(1, 3, 4))
    assert VERSION == 2 and np.abs(seen - THUMBNAILS[label]).max() < 1, "other pictures need another VERSION"


def test_a_set_that_exists_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_phantoms(tmp_path / "demo", images_per_class=1, size=32)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    monkeypatch.setattr(pictures, "phantom_image", None)  # would fail if called
    make_phantoms(root, images_per_class=1, size=32)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_missing_images_are_drawn_again(tmp_path: Path) -> None:
    root = make_phantoms(tmp_path / "demo", images_per_class=2, size=32)
    before = contents(root)
    (root / "melanoma" / "melanoma_0002.png").unlink()
    assert contents(make_phantoms(root, images_per_class=2, size=32)) == before


def test_anything_else_in_the_folder_is_an_error_and_stays(tmp_path: Path) -> None:
    root = make_phantoms(tmp_path / "demo", images_per_class=1, size=32)
    before = contents(root)
    with pytest.raises(DataError, match="other than this demo set"):
        make_phantoms(root, images_per_class=1, size=32, seed=7)
    assert contents(root) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    (tmp_path / "file").write_text("keep me")
    for taken in ("mine", "file"):
        with pytest.raises(DataError):
            make_phantoms(tmp_path / taken, images_per_class=1, size=32)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"


def test_an_interrupted_set_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(100))

    def interrupted(label: str, *, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return phantom_image(label, size=size, rng=rng)

    monkeypatch.setattr(pictures, "phantom_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_phantoms(tmp_path / "demo", images_per_class=2, size=32)
    assert list(tmp_path.iterdir()) == []


def test_losing_a_race_to_the_same_set_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "demo"

    def write_and_be_overtaken(folder: Path, **parameters: int) -> None:
        monkeypatch.undo()
        make_phantoms(root, **parameters)
        (folder / "late").mkdir()

    monkeypatch.setattr(pictures, "_write_images", write_and_be_overtaken)
    make_phantoms(root, images_per_class=1, size=32)
    assert sorted(path.name for path in root.iterdir()) == sorted([*CLASSES, MANIFEST])
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert json.loads((root / MANIFEST).read_text())["images_per_class"] == 1


def test_a_linear_model_on_pixels_does_clearly_worse_than_a_small_network() -> None:
    """Held-out accuracy on 200 images after 400 for training (chance: .25)."""
    seen, held_out = draw_set(100, first=0), draw_set(50, first=100)
    linear = max(linear_accuracy(seen, held_out, strength) for strength in (0.01, 0.1, 1.0))
    network = network_accuracy(seen, held_out)
    assert 0.4 < linear < 0.75  # there is something to see in pixels, and not enough
    assert network > linear + 0.12


def draw_set(per_class: int, *, first: int) -> tuple[Tensor, Tensor]:
    images = [
        phantom_image(label, size=48, rng=np.random.default_rng([0, index, number]))
        for index, label in enumerate(CLASSES)
        for number in range(first, first + per_class)
    ]
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255 - 0.5
    return pixels, torch.arange(len(CLASSES)).repeat_interleave(per_class)


def linear_accuracy(seen: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], strength: float) -> float:
    (x, y), (x_new, y_new) = seen, held_out
    small, small_new = (F.interpolate(pixels, size=32, mode="area").flatten(1).numpy() for pixels in (x, x_new))
    return float(LogisticRegression(C=strength, max_iter=300).fit(small, y).score(small_new, y_new))


def network_accuracy(seen: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor]) -> float:
    """Four small convolutions, 15 epochs, mirrored images."""
    (x, y), (x_new, y_new) = seen, held_out
    generator = torch.Generator().manual_seed(0)
    epochs, batch = 15, 40
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        widths = [(3, 12, 5, 2), (12, 24, 3, 2), (24, 48, 3, 1), (48, 48, 3, 2)]
        blocks = [nn.Sequential(nn.Conv2d(a, b, k, s, k // 2), nn.BatchNorm2d(b), nn.ReLU()) for a, b, k, s in widths]
        net = nn.Sequential(*blocks, nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(192, len(CLASSES)))
    steps = epochs * (len(x) // batch)
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch):
            pixels = x[rows] if torch.rand((), generator=generator) < 0.5 else x[rows].flip(3)
            F.cross_entropy(net(pixels), y[rows]).backward()
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
    net.eval()
    with torch.no_grad():
        return float((net(x_new).argmax(1) == y_new).float().mean())
