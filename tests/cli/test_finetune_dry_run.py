"""`cass finetune --dry-run` as users run it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file

from cass_cli.cli.app import run
from cass_cli.engine.compute import Compute
from cass_cli.engine.fastest import Way
from cass_cli.engine.timing import finetune_forecast
from tests.cli.conftest import make_pictures

PAPER = ["--recipe", "paper", "--epochs", "2", "--batch-size", "8"]
NEW = ["--image-size", "32", "--cnn", "test_resnet", "--vit", "test_vit", "--init-from", "random", "--device", "cpu"]
PICTURES = {"train": 28, "val": 4, "test": 8}


@pytest.fixture
def runs(pretrained: Path, tmp_path: Path) -> Path:
    """A copy of the pretraining alone, to be written into."""
    ignored = shutil.ignore_patterns("finetune", "features")
    shutil.copytree(pretrained, tmp_path / "runs", symlinks=True, ignore=ignored)
    return tmp_path / "runs"


def files(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def finetune(runs: Path, *more: str) -> int:
    return run(["finetune", "--runs", str(runs), *more])


def dry(capsys: pytest.CaptureFixture[str], runs: Path, *more: str) -> dict[str, Any]:
    """What a dry run says in JSON; it writes nothing."""
    before = files(runs)
    capsys.readouterr()
    assert finetune(runs, "--dry-run", "--json", *more) == 0
    assert files(runs) == before
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def test_a_probe(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = dry(capsys, runs, "--label-fraction", "0.3,1", "--seeds", "2")
    settings, origins, plan = value["settings"], value["origins"], value["plan"]
    assert settings.keys() == origins.keys()
    assert (settings["finetune.recipe"], settings["finetune.fractions"]) == ("probe", [0.3, 1.0])
    asked = {key: origins[key] for key in ("finetune.layers", "finetune.seeds", "finetune.metric", "arms.cnn")}
    assert asked == {
        "finetune.layers": "recipe probe",
        "finetune.seeds": "flag",
        "finetune.metric": "default",
        "arms.cnn": "flag",
    }
    assert plan["images"] == PICTURES
    trials = [(trial["fraction"], trial["seed"], trial["labels"], trial["epochs"]) for trial in plan["trials"]]
    assert trials == [(0.3, 0, 8, 0), (0.3, 1, 8, 0), (1.0, 0, 28, 0), (1.0, 1, 28, 0)]
    assert {name: arm["unread"] for name, arm in plan["arms"].items()} == {"cnn": 40, "vit": 40}
    assert plan["arms"]["vit"]["weights"].endswith("from vit.safetensors")
    assert plan["image_bytes"] == 40 * 3 * 32**2
    forecast = value["forecast"]
    assert forecast["training_seconds"] == 0 < min(forecast["reading_seconds"], forecast["fitting_seconds"])
    assert forecast["seconds"] == pytest.approx(forecast["reading_seconds"] + forecast["fitting_seconds"])


def test_settings_that_do_not_matter_are_left_out(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*more: str) -> set[str]:
        return set(dry(capsys, runs, "--label-fraction", "0.3", *more)["settings"])

    probe, guarded, paper = shown(), shown(*PAPER), shown(*PAPER, "--no-guard")
    of_training = {"finetune.lr", "finetune.epochs", "finetune.gamma", "finetune.class_weights", "augment.hue"}
    assert not probe & of_training
    assert of_training <= guarded & paper
    assert "finetune.layers" in probe & guarded
    assert "finetune.layers" not in paper
    for keys in (probe, guarded, paper):
        assert not keys & {"train.epochs", "optim.lr", "method.name", "data.fractions", "arms.init", "arms.weights"}


def test_the_recipe_paper(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = dry(capsys, runs, *PAPER, "--label-fraction", "0.3,1")
    plan = value["plan"]
    assert [(trial["labels"], trial["epochs"], trial["steps"]) for trial in plan["trials"]] == [(8, 2, 2), (28, 2, 8)]
    assert plan["arms"]["cnn"]["unread"] == 40  # for the guard
    assert value["forecast"]["training_seconds"] > 0 < value["forecast"]["reading_seconds"]
    assert value["origins"]["finetune.lr"] == "recipe paper"
    weights = 0
    for arm, name in (("cnn", "test_resnet"), ("vit", "test_vit")):
        size = {"img_size": 32} if arm == "vit" else {}
        begun, learned = (timm.create_model(name, num_classes=classes, **size) for classes in (1000, 2))
        count, trained = (sum(p.numel() for p in network.parameters()) for network in (begun, learned))
        assert plan["arms"][arm]["parameters"] == count
        weights += 4 * (3 * count + 3 * trained)
    assert plan["weight_bytes"] == weights
    frozen = dry(capsys, runs, *PAPER, "--label-fraction", "1", "--no-guard", "--freeze")["plan"]
    assert frozen["weight_bytes"] < plan["weight_bytes"]
    assert frozen["activation_bytes"] < plan["activation_bytes"]
    assert (frozen["arms"]["cnn"]["unread"], frozen["feature_bytes"]) == (0, 0)


def test_what_people_read(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finetune(runs, "--dry-run", "--seeds", "2") == 0
    text = capsys.readouterr().out
    for said in (
        "28 train, 4 val, 8 test",
        "28 labels (all training labels), seeds 0 to 1",
        "read 40 images",
        "Nothing was run",
    ):
        assert said in text
    assert "at most" not in text
    assert finetune(runs, "--dry-run", *PAPER) == 0
    text = capsys.readouterr().out
    assert "at most about" in text
    assert "recipe paper" in text


def test_what_is_finished_is_kept_and_not_forecast(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = dry(capsys, runs)
    assert finetune(runs) == 0
    summary = json.loads((runs / "p/finetune/pretrained-probe/1/seed0/summary.json").read_text())
    heads = runs / "p/finetune/pretrained-probe/1/seed0/arms"
    planned = before["plan"]["trials"][0]
    assert planned["path"] == str(heads.parent)
    assert (planned["labels"], planned["kept"]) == (summary["labels"], False)
    for name, arm in before["plan"]["arms"].items():
        assert arm["features"] == load_file(heads / f"{name}-head.safetensors")["weight"].shape[1]
    after = dry(capsys, runs, "--resume", "--label-fraction", "0.3,1")
    assert [trial["kept"] for trial in after["plan"]["trials"]] == [False, True]
    assert [arm["unread"] for arm in after["plan"]["arms"].values()] == [0, 0]  # the images were read for the other
    assert after["forecast"]["reading_seconds"] == 0 < after["forecast"]["fitting_seconds"]
    assert dry(capsys, runs, "--resume")["forecast"]["seconds"] == 0
    assert finetune(runs, "--resume", "--dry-run") == 0
    assert "everything is finished" in capsys.readouterr().out
    replaced = dry(capsys, runs, "--overwrite")
    assert replaced["plan"]["trials"][0]["kept"] is False
    assert any("1 trial in" in warning and "replaced" in warning for warning in replaced["warnings"])


def test_epochs_that_are_done_are_not_forecast(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trial = runs / "p/finetune/pretrained-paper/1/seed0"
    (trial / "checkpoints/last").mkdir(parents=True)
    (trial / "checkpoints/last/state.pt").touch()
    row = {"epoch": 1, "arms": {"cnn": {"loss": 1.0, "val_loss": 1.0, "val_score": 0.5}}}
    (trial / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    found = dry(capsys, runs, *PAPER, "--resume")["plan"]["trials"][0]
    assert (found["epochs"], found["steps"]) == (1, 4)


def test_the_forecast_is_times_times_counts(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second an image for each arm, and for a step of both; a regression takes a second."""
    monkeypatch.setattr(finetune_forecast, "_seconds_an_image", lambda *_a, most, **_k: (0.5, most))
    monkeypatch.setattr(finetune_forecast, "_timed", lambda *_: [1.0])
    monkeypatch.setattr(finetune_forecast, "_work", lambda *_: 1.0)
    probe = dry(capsys, runs, "--seeds", "2")["forecast"]
    assert probe["reading_seconds"] == 2 * 40 * 0.5
    assert probe["fitting_seconds"] == 2 * 3  # seeds; both arms and joint
    assert dry(capsys, runs, "--mirrored")["forecast"]["reading_seconds"] == 2 * 2 * 40 * 0.5
    paper = dry(capsys, runs, *PAPER)["forecast"]
    validated, scored = 4 * (0.5 + 0.5), 12 * (0.5 + 0.5)
    assert paper["training_seconds"] == 2 * (28 * 0.5 + validated) + scored
    assert (paper["reading_seconds"], paper["fitting_seconds"]) == (2 * 40 * 0.5, 2)
    assert finetune(runs, "--label-fraction", "0.3") == 0
    rest = dry(capsys, runs, "--resume", "--label-fraction", "0.3,1")["forecast"]
    assert (rest["seconds"], rest["fitting_seconds"]) == (3, 3)


def test_without_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left open is measured, at the size that the probe reads, and no run is made."""
    first = Compute(torch.device("cpu"), memory_format=torch.contiguous_format)
    ways = [Way("channels first", first, "channels_last", "off")]
    sizes: list[int] = []

    def measure(_networks: object, _usual: Way, others: list[Way], *, size: int, batch: int) -> dict[str, float]:
        sizes.append(size)
        return {way.name: 2.0 for way in others}

    monkeypatch.setattr("cass_cli.engine.fastest.other_ways", lambda _train: ways)
    monkeypatch.setattr("cass_cli.engine.fastest.measure_gains", measure)
    data, runs = make_pictures(tmp_path / "pictures"), tmp_path / "runs"
    value = dry(capsys, runs, "--data", str(data), *NEW, "--probe-size", "48", "--name", "new", "--seeds", "2")
    assert sizes == [48]
    assert value["settings"]["train.channels_last"] == "off"
    assert value["origins"]["train.channels_last"].startswith("measured with these arms")
    assert any(note.startswith("Measured with these arms") for note in value["notes"])
    assert value["settings"]["data.fractions"] == [0.7, 0.1, 0.2]  # a new run is split anew
    assert value["settings"]["train.seed"] == 0
    assert value["plan"]["images"] == PICTURES
    assert value["plan"]["arms"]["vit"]["weights"].startswith("random weights")
    assert value["plan"]["arms"]["vit"]["unread"] == 2 * 40  # each seed has arms of its own
    assert value["plan"]["image_bytes"] == 40 * 3 * 48**2
    assert not runs.exists()


def test_more_labels_than_asked_for_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_pictures(tmp_path / "pictures", classes=("dark", "light", "rare"))
    for path in sorted((data / "rare").iterdir())[1:]:
        path.unlink()
    value = dry(capsys, tmp_path / "runs", "--data", str(data), *NEW, "--label-fraction", "0.01")
    assert value["plan"]["trials"][0]["labels"] == 3
    assert any("at least one of every class" in note for note in value["notes"])


def test_multilabel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_pictures(tmp_path / "pictures")
    rows = ["image,bright,even"]
    for i, path in enumerate(sorted(data.rglob("*.png"))):
        rows.append(f"{path.relative_to(data)},{int('light' in str(path))},{int(i % 2 == 0)}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    given = ["--data", str(data), "--labels", str(tmp_path / "labels.csv"), *NEW]
    for recipe in ([], PAPER):
        value = dry(capsys, tmp_path / "runs", *given, *recipe)
        assert "finetune.thresholds" in value["settings"]
        assert "finetune.loss_form" not in value["settings"]
        assert value["forecast"]["fitting_seconds"] > 0


# What is wrong → a word of what is said, as the fine-tuning itself says it. A probe of {runs}'s `p` is finished.
WRONG = [
    (["--runs", "{runs}"], "exists already"),
    (["--runs", "{runs}", "--mirrored"], "finetune.mirrored was False, now True"),
    (["--runs", "{runs}", "--resume", "--arm", "vit"], "holds cnn and vit, not vit"),
    (["--runs", "{runs}", "--recipe", "probe", "--lr", "1"], "has no part in the recipe probe"),
    (["--runs", "{runs}", "--run", "q"], "no run 'q'"),
    (["--runs", "{runs}", "--variant", "n", "--data", "{tmp}"], "is empty"),
    (["--runs", "{runs}", "--variant", "n", "--run", "p", "--data", "{data}/dark"], "are not in"),
    (["--runs", "{runs}", "--variant", "n", "--init-from", "imagenet", "--weights", "vit={tmp}/no.pt", "--arm", "vit"],
     "no.pt"),
    (["--runs", "{runs}", "--data", "{data}/dark", *NEW], "no labels"),
    (["--runs", "{runs}", "--data", "{data}", "--name", "p", *NEW], "exists already"),
    (["--runs", "{runs}", "--data", "{data}", "--name", "latest", *NEW], "cannot name a run"),
    (["--runs", "{runs}", "--data", "{data}", "--name", "n", *NEW, "--probe-size", "40"], "no multiple of"),
]  # fmt: skip


@pytest.fixture(scope="module")
def probed(pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("probed") / "runs"
    shutil.copytree(pretrained, runs, symlinks=True, ignore=shutil.ignore_patterns("finetune", "features"))
    assert finetune(runs) == 0
    return runs


@pytest.mark.parametrize(
    ("arguments", "said"), WRONG, ids=lambda value: value if isinstance(value, str) else " ".join(value)[:48]
)
def test_what_is_wrong_is_said_as_by_the_fine_tuning_itself(
    probed: Path, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    filled = [text.format(runs=probed, data=pretrained.parent / "pictures", tmp=empty) for text in arguments]
    before, told = files(probed), []
    for dryly in ([], ["--dry-run"]):
        assert run(["finetune", *filled, *dryly]) == 2
        told.append(capsys.readouterr().err)
    assert told[0] == told[1]
    assert said in told[1].replace("\n", " ")
    assert files(probed) == before


def test_a_damaged_arm_is_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "p" / "arms" / "vit.safetensors").write_bytes(b"not weights at all")
    assert finetune(runs, "--dry-run") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "vit.safetensors with vit.json is not an arm saved by cass: its header is not that of a safetensors" in said
