"""Volumes, recordings and arrays on the whole way: looked over, pretrained, fine-tuned, evaluated, predicted, shown."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cass_cli.cli.app import run
from tests.cli.conftest import TINY

QUICK = ("--no-advice", "--set", "data.check_leaks=false")
HOW = ("--frames", "3", "--slices", "2", "--window", "-100,300")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four volumes, four recordings and an array in each of two classes, told apart by their brightness."""
    for extra in ("nibabel", "pydicom"):
        pytest.importorskip(extra, reason="an optional extra is not installed")
    from tests.data.decode.dicom_files import dicom, stored
    from tests.data.decode.nifti_files import nifti

    root, rng = tmp_path_factory.mktemp("formats") / "scans", np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (root / name).mkdir(parents=True)
        for i in range(4):
            values = (rng.integers(-100, 100, (4, 20, 20)) + 150 * label).astype(np.int16)
            nifti(root / name / f"v{i}.nii.gz", np.moveaxis(values, 0, 2))
            (root / name / f"r{i}.dcm").write_bytes(stored(dicom(values, frames=4)))
        np.save(root / name / "a.npy", values[0])
    return root


@pytest.fixture(scope="module")
def runs(folder: Path) -> Path:
    """A folder of runs with a pretraining, `p`, and a fine-tuning of it."""
    runs = folder.parent / "runs"
    assert run(["pretrain", *TINY, *HOW, *QUICK, "--data", str(folder), "--runs", str(runs), "--name", "p"]) == 0
    assert run(["finetune", "--runs", str(runs)]) == 0
    return runs


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8")))


def test_a_run_names_frames_and_keeps_those_of_a_file_together(runs: Path) -> None:
    found = rows(runs / "p/splits.csv")
    assert len(found) == 2 * (4 * 2 + 4 * 3 + 1)
    names = [row["image"] for row in found]
    assert names[:6] == ["dark/a.npy", *(f"dark/r0.dcm#frame=00{n}" for n in (0, 1, 3)),
                         *(f"dark/r1.dcm#frame=00{n}" for n in (0, 1))]  # fmt: skip
    assert {"dark/v0.nii.gz#slice=001", "dark/v0.nii.gz#slice=002"} <= {*names}
    homes: dict[str, set[str]] = {}
    for row in found:
        file = row["image"].partition("#")[0]
        homes.setdefault(file, set()).add(row["split"])
        assert row["label"] == file.partition("/")[0] and row["group"] == (file if "#" in row["image"] else "")
    assert all(len(splits) == 1 for splits in homes.values())


def test_predict_reads_as_the_run_did(runs: Path, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "predictions.csv"
    single = folder / "light/v1.nii.gz"
    paths = [str(folder / "dark"), str(single)]
    assert run(["predict", *paths, "--runs", str(runs), "--out", str(out)]) == 0
    found = rows(out)
    assert [row["image"] for row in found][-2:] == [f"{single}#slice=001", f"{single}#slice=002"]
    assert len(found) == 4 * 2 + 4 * 3 + 1 + 2 and {row["status"] for row in found} == {"ok"}


def test_a_run_is_evaluated_and_gone_on_with(runs: Path) -> None:
    assert run(["evaluate", "--runs", str(runs), "--resamples", "10"]) == 0
    predicted = rows(next((runs / "p").rglob("predictions-test.csv")))
    assert any("#slice=" in row["image"] for row in predicted)
    assert run(["finetune", "--runs", str(runs), "--resume", "--verify"]) == 0
    assert run(["pretrain", "--runs", str(runs), "--name", "p", "--resume", "--verify", "--epochs", "2"]) == 0


def test_maps_of_own_volumes_are_read_as_the_run_was(runs: Path, folder: Path, tmp_path: Path) -> None:
    asked = ["--run", "p", "--runs", str(runs), "--images", str(folder / "dark/v0.nii.gz"), "--compare", "none"]
    assert run(["attention-maps", *asked, "--out", str(tmp_path)]) == 0
    shown = {row["image"].rpartition("/")[2] for row in rows(next(tmp_path.glob("attention*.csv")))}
    assert shown == {"v0.nii.gz#slice=001", "v0.nii.gz#slice=002"}


def inspected(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["inspect", *args, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_inspect_repeats_the_options_and_its_table_is_read_back(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "images.csv"
    found = inspected(capsys, str(folder), *HOW, "--csv", str(table), "--no-duplicates")
    assert found["command"].endswith("--frames 3 --slices 2 --window -100,300")
    assert found["images"] == 42 and found["many_pages"] == 0
    again = inspected(capsys, str(folder), "--labels", str(table), "--no-duplicates")
    assert again["images"] == 42 and again["class_counts"] == found["class_counts"]
    plain = inspected(capsys, str(folder), "--no-duplicates")
    assert (plain["images"], plain["many_pages"]) == (18, 8)
    assert any("8 volumes: the middle slice of each" in note for note in plain["notes"])


def test_a_frame_that_cannot_be_read_is_named_or_skipped(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "scans"
    shutil.copytree(folder, copy)
    for path in copy.glob("*/r*.dcm"):  # whichever of them are trained on
        path.write_bytes(path.read_bytes()[:-200])
    np.save(copy / "light/a.npy", np.zeros((20, 20, 7)))
    bad = dict(inspected(capsys, str(copy), *HOW)["bad"])
    assert bad["light/a.npy"] == "has 7 channels: choose three (or one) with --channels 0,1,2" and len(bad) == 1 + 24
    asked = ["pretrain", *TINY, *HOW, *QUICK, "--data", str(copy), "--runs", str(tmp_path / "runs"), "--name", "q"]
    assert run(asked) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert re.search(r"dark/r\d\.dcm#frame=000: its pixel data are cut short", told) and "Traceback" not in told
    assert run([*asked, "--bad-images", "skip"]) == 0
    status = {row["image"]: row["status"] for row in rows(tmp_path / "runs/q/splits.csv") if row["split"] == "train"}
    assert any(said.startswith("unreadable: its pixel data") for said in status.values())
    assert all((said == "") == (".nii" in name or name == "dark/a.npy") for name, said in status.items())


@pytest.mark.parametrize(
    ("option", "told"),
    [
        (("--frames", "0"), "data.frames: input should be first, middle, all, or a number"),
        (("--frames", "last"), "data.frames: input should be first, middle, all, or a number"),
        (("--slices", "0"), "data.slices"),
        (("--window", "3"), "data.window: input should be two values, LOW,HIGH"),
        (("--window", "300,-100"), "window: two values, LOW,HIGH"),
        (("--window", "300"), "data.window"),
        (("--channels", "0,1"), "channels: one, or three"),
        (("--channels", "0,x,2"), "data.channels"),
        (("--channels", "-1"), "data.channels"),
    ],
)
def test_senseless_settings_are_refused_in_words(
    option: tuple[str, str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["inspect", str(folder), *option]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert told in shown and "Traceback" not in shown
