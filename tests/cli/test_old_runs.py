"""Runs made by earlier versions of cass, in `tests/old_runs`: every command still reads, resumes and reports them.

An archive is never made anew; a later version adds its own beside it. In `0.1.0.tar.xz` (made on 2026-11-26) lie
twenty pictures and these runs, of test_resnet and test_vit at 32 px, with weights of a pattern that compresses:

- `finished`: two epochs of CASS; fine-tuned as `pretrained-frozen` (two fractions, two seeds; one evaluated) and as
  `stopped`, which a signal ended after its first epoch
- `halfway`: the same pretraining, ended by a signal after its first epoch (of SGD without momentum at a rate of next
  to nothing: what tells whether its weights came back is that they are those of `finished`)
- `transfer`: a fine-tuning without pretraining

`@HERE@` in their text files stands for the folder that they lie in.
"""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cass_cli.cli.app import run
from cass_cli.scores.metrics import METRICS

ARCHIVES = sorted((Path(__file__).parents[1] / "old_runs").glob("*.tar.xz"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.removesuffix(".tar.xz"))
def runs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of runs, in the folder that the user is in."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    for path in tmp_path.rglob("*"):
        if path.suffix in {".yaml", ".json"} and not path.is_symlink():
            path.write_text(path.read_text().replace("@HERE@", str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return Path("runs")


def losses(path: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (path / "metrics.jsonl").read_text().splitlines()]


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def test_an_interrupted_pretraining_goes_on_as_the_old_version_would_have(runs: Path) -> None:
    assert run(["pretrain", "--resume", "--name", "halfway"]) == 0
    assert losses(runs / "halfway") == pytest.approx(losses(runs / "finished"), rel=1e-3)
    assert json.loads((runs / "halfway" / "summary.json").read_text())["epochs"] == 2
    for path in (runs / "finished/arms").glob("*.safetensors"):
        expected, found = load_file(path), load_file(runs / "halfway/arms" / path.name)
        for key, value in expected.items():
            torch.testing.assert_close(found[key], value, rtol=1e-3, atol=1e-5)


def test_a_finished_pretraining_can_be_lengthened(runs: Path) -> None:
    assert run(["pretrain", "--resume", "--name", "finished", "--epochs", "3"]) == 0
    assert len(losses(runs / "finished")) == 3


def test_an_interrupted_fine_tuning_goes_on(runs: Path) -> None:
    trial, twin = (runs / f"finished/finetune/{name}/1/seed0" for name in ("stopped", "pretrained-frozen"))
    assert run(["finetune", "--run", "finished", "--variant", "stopped", "--resume"]) == 0
    assert json.loads((trial / "summary.json").read_text())["init"] == "pretrained"
    rows, twins = (
        [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()] for path in (trial, twin)
    )
    assert [row["epoch"] for row in rows] == [1, 2]
    for row, other in zip(rows, twins, strict=True):
        for arm in ("cnn", "vit"):
            for loss in ("loss", "val_loss"):
                assert row["arms"][arm][loss] == pytest.approx(other["arms"][arm][loss], rel=1e-3)


def test_its_arms_can_be_fine_tuned(runs: Path) -> None:
    assert run(["finetune", "--run", "finished", "--epochs", "1"]) == 0
    assert (runs / "finished/finetune/pretrained-paper/1/seed0/summary.json").is_file()


def test_a_fine_tuning_keeps_its_name_from_before_there_were_recipes(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["finetune", "--run", "finished", "--freeze", "--epochs", "2", "--batch-size", "4", "--lr", "1e-3"]
    assert run(asked) == 2
    assert "finetune/pretrained-frozen/1/seed0 exists already" in capsys.readouterr().err.replace("\n", "")
    assert run([*asked, "--resume", "--seeds", "3", "--json"]) == 0
    assert told(capsys)["variant"].endswith("finished/finetune/pretrained-frozen")
    assert (runs / "finished/finetune/pretrained-frozen/1/seed2/summary.json").is_file()


def test_an_evaluation_finds_the_same_scores(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = runs / "finished/finetune/pretrained-frozen/1/seed0"
    before = json.loads((trial / "evaluation-test.json").read_text())
    assert run(["evaluate", "--run", "finished", "--json"]) == 0
    after = told(capsys)
    assert after["judgement"]["pick"] == before["judgement"]["pick"]
    assert after["scores"].keys() == before["scores"].keys()
    for candidate, scores in before["scores"].items():
        for metric in ("macro_f1", "accuracy", "ece"):
            expected = pytest.approx(scores["metrics"][metric]["value"], rel=1e-4)
            assert after["scores"][candidate]["metrics"][metric]["value"] == expected


def test_its_errors_are_shown_and_a_card_is_written(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("finished", "transfer"):
        assert run(["errors", "--run", name, "--count", "2", "--json"]) == 0
        value = told(capsys)
        assert value["maps"] and Path(value["page"]).is_file()
        assert value["labels"]["judged"] > 0 or any("not checked" in note for note in value["notes"])
        assert run(["card", name, "--json"]) == 0
        assert all(Path(path).is_file() for path in told(capsys)["files"])


def test_new_images_are_answered(runs: Path) -> None:
    assert run(["predict", "pictures", "--run", "finished"]) == 0
    rows = list(csv.DictReader(Path("predictions.csv").read_text().splitlines()))
    assert len(rows) == 20
    assert {row["status"] for row in rows} == {"ok"}


def test_fine_tunings_are_compared(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "finished", "transfer", "--json"]) == 0
    cells = told(capsys)["cells"]
    assert {(cell["method"], cell["fraction"]) for cell in cells} == {
        ("CASS, frozen", 0.5),
        ("CASS, frozen", 1.0),
        ("Transfer, frozen", 1.0),
    }


def test_a_report_tells_all(runs: Path) -> None:
    assert run(["report", "finished", "halfway", "transfer", "--out", "report.html"]) == 0
    page = Path("report.html").read_text()
    for words in ("finished", "halfway", "cass pretrain --resume", "pretrained-frozen", "Transfer, frozen"):
        assert words in page


def test_a_metric_that_came_later_is_unknown_not_a_fault(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(METRICS, "kappa", "Cohen's kappa")
    assert run(["compare", "finished", "transfer", "--metric", "kappa", "--json"]) == 0
    cells = told(capsys)["cells"]
    assert {value for cell in cells for value in cell["values"].values()} == {None}
    assert run(["report", "finished", "--out", "report.html"]) == 0
    assert "Cohen&#39;s kappa" in Path("report.html").read_text()


@pytest.mark.parametrize("of", ["runs/finished", "runs/finished/finetune/pretrained-frozen"])
@pytest.mark.parametrize("command", ["attention-maps", "feature-maps", "similarity"])
def test_its_arms_are_looked_into(runs: Path, command: str, of: str) -> None:
    assert run([command, "--run", of, "--split", "train", "--compare", "start"]) == 0
    assert list((Path(of) / "figures").glob("*.png")) or list(Path(of).rglob("figures/*.csv"))
