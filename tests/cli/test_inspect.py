from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cass_cli.cli.app import run


def picture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((48, 40), Image.Resampling.BICUBIC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes in three splits; one test image is also in train, one near-duplicate has another label."""
    root, seed = tmp_path / "pictures", 0
    for split, n in (("train", 8), ("val", 3), ("test", 4)):
        for label in ("a", "b"):
            folder = root / split / label
            folder.mkdir(parents=True)
            for i in range(n):
                picture(seed := seed + 1).save(folder / f"{i}.png")
    return root


def leak(root: Path) -> None:
    shutil.copy(root / "train/a/0.png", root / "test/a/copy.png")
    Image.open(root / "train/a/1.png").save(root / "train/b/again.jpg", quality=80)


def inspected(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    assert run(["inspect", *map(str, arguments), "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_sound_set_gets_a_clean_bill(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = inspected(capsys, data, "--fail-on", "leak", "--fail-on", "bad", "--fail-on", "duplicate")
    assert (found["images"], found["classes"], found["splits_by"]) == (30, ["a", "b"], "the data")
    assert found["class_counts"]["a"] == {"train": 8, "val": 3, "test": 4}
    assert found["sizes"] == {"48 × 40": 30}
    assert found["modes"] == {"PNG RGB, 8 bit": 30}
    assert found["bad"] == []
    assert found["near"]["pairs"] == found["exact"]["pairs"] == 0
    assert found["leaks"] is False
    assert "--group-pattern" in found["advice"]  # no one said which images are of one patient
    assert found["command"] == f"cass pretrain --data {data}"
    assert "rows" not in found


def test_the_command_that_trains_reads_the_folder_in_the_same_way(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data.rename(data.with_name("my data"))
    found = inspected(capsys, data, "--layout", "classes", "--seed", "3", "--no-duplicates")
    assert found["command"] == f"cass pretrain --data '{data}' --layout classes --seed 3"


def test_a_lost_class_is_named_and_stops_training(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (data / "train/c").mkdir()
    (data / "train/c/1.jxl").write_bytes(b"as no decoder here reads it")
    assert run(["inspect", str(data), "--no-duplicates"]) == 1
    assert "files of the class c" in capsys.readouterr().out
    for command in ("pretrain", "finetune"):
        assert run([command, "--data", str(data)]) == 2
        assert "files of the class c" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_leaks_and_label_disagreements_are_found(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leak(data)
    found = inspected(capsys, data)
    assert found["exact"]["crossing"] == {"test → train": 1, "test → train or val": 1, "train → test": 1}
    assert (found["exact"]["pairs"], found["near"]["pairs"], found["near"]["disagreements"]) == (1, 2, 1)
    assert "--split-by-duplicates" in found["advice"]
    assert "1 pair of duplicates with different labels" in found["advice"]


@pytest.mark.parametrize("kind", ["leak", "duplicate", "disagreement", "bad"])
def test_fail_on_exits_with_1(data: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    assert run(["inspect", str(data), "--fail-on", kind]) == 0
    leak(data)
    (data / "train/a/bad.png").write_bytes(b"no image")
    assert run(["inspect", str(data), "--fail-on", kind]) == 1
    capsys.readouterr()


def test_unreadable_files_are_named_with_the_reason(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (data / "train/a/0.png").read_bytes()
    (data / "train/a/cut.png").write_bytes(whole[: len(whole) // 2])  # its header is sound
    (data / "train/a/empty.png").touch()
    found = inspected(capsys, data)
    assert [name for name, _ in found["bad"]] == ["train/a/cut.png", "train/a/empty.png"]
    assert "empty" in found["bad"][1][1]
    headers = inspected(capsys, data, "--no-duplicates")
    assert [name for name, _ in headers["bad"]] == ["train/a/empty.png"]
    assert headers["pixels_checked"] is False
    assert headers["near"] is None
    assert run(["inspect", str(data)]) == 0
    screen = capsys.readouterr().out
    assert "train/a/empty.png: the file is empty" in screen
    assert "--bad-images skip" in screen


def test_the_screen_tells_it_all(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    leak(data)
    Image.new("I;16", (20, 20)).save(data / "train/a/deep.png")
    (data / "train/b/[red]bad\n.png").write_text("a text")
    assert run(["inspect", str(data)]) == 0
    screen = capsys.readouterr().out
    for words in (
        "34 images, 2 classes",
        "train/b/[red]bad\\n.png: not an image but text",
        "class folders in split folders",
        "1 of 9 test images have a duplicate in train or val (1 of them exact)",
        "PNG RGB, 8 bit (31)",
        "16 bit (1)",
        "1 image of nearly one colour left out",
        "none known",
        "→ Repair or remove the 1 unreadable image",
    ):
        assert words in screen


def test_of_many_classes_the_largest_and_the_smallest_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures").mkdir()
    lines = []
    for c in range(40):
        for i in range(3 + c % 2 + (c == 20)):
            picture(100 * c + i).save(tmp_path / "pictures" / f"{c}-{i}.png")
            lines.append(f"{c}-{i}.png,class {c:02d}")
    (tmp_path / "pictures" / "labels.csv").write_text("\n".join(["image,label", *lines]) + "\n")
    arguments = [str(tmp_path / "pictures"), "--no-duplicates"]
    assert run(["inspect", *arguments]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("class ")][1:]
    assert len(rows) == 20
    sizes = [int(row.split()[-1]) for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert (max(sizes), min(sizes)) == (4, 3)
    assert len(inspected(capsys, *arguments)["class_counts"]) == 40


def test_the_csv_has_a_row_an_image(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leak(data)
    inspected(capsys, data, "--csv", tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert len(rows) == 32
    assert rows["test/a/copy.png"]["leak"] == "train"
    assert rows["train/a/0.png"]["leak"] == "test"
    assert rows["test/a/copy.png"]["cluster"] == rows["train/a/0.png"]["cluster"] != "-1"
    assert rows["train/a/1.png"]["disagrees"] == "train/b/again.jpg"
    assert (rows["val/b/0.png"]["width"], rows["val/b/0.png"]["height"]) == ("48", "40")
    assert rows["val/b/0.png"]["cluster"] == "-1"


def test_groups_are_checked_against_the_given_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["image,label,patient_id,split"]
    for i in range(12):
        picture(i).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{'ab'[i % 2]},p{i // 3},{'train' if i < 7 else 'test'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    found = inspected(capsys, tmp_path, "--fail-on", "leak", code=1)
    assert (found["groups"], found["largest_group"]) == (4, 3)
    assert found["leaking_groups"] == ["p2"]
    assert found["splits_by"] == "the data, val carved from train by cass (seed 0)"
    assert "--split-column none" in found["advice"]
    own = inspected(capsys, tmp_path, "--split-column", "none", "--fail-on", "leak")
    assert (own["splits_by"], own["leaking_groups"]) == ("cass (seed 0)", [])
    assert inspected(capsys, tmp_path, "--group-column", "none", "--fail-on", "leak")["groups"] is None


def test_the_splits_of_a_run_can_be_checked(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(data / "train/a/0.png", data / "train/a/copy.png")
    inspected(capsys, data, "--fail-on", "leak")
    names = sorted(p.relative_to(data).as_posix() for p in data.rglob("*.png"))
    rows = [f"{name},{'test' if name == 'train/a/copy.png' else 'train'}" for name in names]
    (tmp_path / "splits.csv").write_text("image,split\n" + "\n".join(rows))
    found = inspected(capsys, data, "--splits", tmp_path / "splits.csv", "--fail-on", "leak", code=1)
    assert found["splits_by"] == str(tmp_path / "splits.csv")


def test_archives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.stack([np.asarray(picture(i).resize((28, 28))) for i in range(12)])
    np.savez(
        tmp_path / "set.npz",
        train_images=pixels[:8],
        train_labels=np.arange(8)[:, None] % 2,
        val_images=pixels[8:10],
        val_labels=np.array([[0], [1]]),
        test_images=pixels[[0, 10, 11]],
        test_labels=np.array([[1], [0], [1]]),
    )
    found = inspected(capsys, tmp_path / "set.npz")
    assert found["sizes"] == {"28 × 28": 13}
    assert found["exact"]["crossing"]["test → train"] == 1
    assert found["near"]["disagreements"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "no folder"),
        ([".", "--fail-on", "leaks"], "Did you mean 'leak'"),
        ([".", "--layout", "clases"], "Did you mean 'classes'"),
    ],
)
def test_what_cannot_be_looked_at_exits_with_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["inspect", *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err.replace("\n", " ")
    assert not captured.out
