"""`cass attention-maps`, `cass feature-maps` and `cass similarity` as users run them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from cass_cli.cli.app import run
from cass_cli.engine.looking.shown import arms_of_run, compared_arms, saved_settings
from cass_cli.errors import ModelError
from cass_cli.runs.directory import Run
from cass_cli.runs.names import find
from cass_cli.runs.trials import Trial
from tests.cli.conftest import TRAINED

pytestmark = pytest.mark.drawn

TINY = [
    *("--image-size", "32", "--epochs", "1", "--batch-size", "8", "--cnn", "test_resnet", "--vit", "test_vit"),
    *("--init", "random", "--device", "cpu", "--precision", "fp32", "--json", "--set", "data.check_leaks=false"),
]


def pictures(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for label, (name, number) in enumerate((("dark", 30), ("light", 15))):
        (root / name).mkdir(parents=True)
        for i in range(number):
            pixels = rng.integers(0, 128, (32, 32, 3)) + 100 * label
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i:02d}.png")
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of a CNN and a Transformer, `run`."""
    folder = tmp_path_factory.mktemp("maps")
    data = pictures(folder / "pictures")
    assert run(["pretrain", *TINY, "--data", str(data), "--runs", str(folder / "runs"), "--name", "run"]) == 0
    return folder / "runs"


@pytest.fixture(autouse=True)
def _small_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cass_cli.reports.map_plots.DPI", 30)


def result_of(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*command, "--json"]) == 0
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_attention_maps(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figures"
    result = result_of(capsys, "attention-maps", "--run", str(runs / "run"), "--samples", "6", "--out", str(out))
    assert (result["split"], result["images"]) == ("test", 6)
    kinds = {(m["arm"], m["weights"]): m["map"] for m in result["models"]}
    assert kinds == {
        ("cnn", "before: random weights"): "Grad-CAM",
        ("cnn", "after CASS, 1 epoch"): "Grad-CAM",
        ("vit", "before: random weights"): "class-token attention",
        ("vit", "after CASS, 1 epoch"): "class-token attention",
    }
    assert sorted(path.name for path in out.iterdir()) == [
        "attention-average-cnn.png",
        "attention-average-vit.png",
        "attention-distance-vit.png",
        "attention-heads-vit.png",
        "attention-images.png",
        "attention-maps.csv",
    ]
    assert sorted(result["files"]) == sorted(str(path) for path in out.iterdir())
    rows = read_csv(out / "attention-maps.csv")
    assert len(rows) == 4 * 6
    assert [row["class"] for row in rows[:6]] == ["dark"] * 4 + ["light"] * 2, "two in three, as in the test split"
    after = [float(row["entropy"]) for row in rows if (row["arm"], row["weights"][:5]) == ("vit", "after")]
    estimate = result["models"][-1]["measures"]["entropy"]
    assert np.mean(after) == pytest.approx(estimate["value"], rel=1e-4)
    assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert set(result["changes"]) == {"cnn", "vit"}


def test_figures_go_into_the_run(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs.parent)
    assert run(["attention-maps", "--arm", "vit", "--averaged", "--samples", "2", "--pdf", "--compare", "none"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "class-token attention, 2 × 2" in shown
    assert "change" not in shown.split("distance")[0]
    figures = runs / "run" / "figures"
    assert (figures / "attention-average-vit.png").is_file()
    assert (figures / "attention-average-vit.pdf").read_bytes().startswith(b"%PDF")
    assert not (figures / "attention-average-cnn.png").exists()


def test_the_same_run_changes_nothing(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = result_of(
        capsys,
        "attention-maps",
        "--run",
        str(runs / "run"),
        "--compare",
        "run",
        "--samples",
        "4",
        "--out",
        str(tmp_path),
    )
    for change in result["changes"].values():
        assert {measure["value"] for measure in change.values()} <= {0.0, None}


def test_feature_maps_of_own_pictures(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.png"
    Image.new("RGB", (40, 30), (200, 20, 90)).save(own)
    result = result_of(
        capsys,
        *(
            "feature-maps",
            "--run",
            str(runs / "run"),
            "--images",
            str(own),
            "--images",
            str(runs.parent / "pictures/dark"),
        ),
        *("--layers", "3", "--compare", "random", "--arm", "vit", "--out", str(tmp_path / "out")),
    )
    assert (result["split"], result["images"]) == (None, 31)
    assert [len(m["layers"]) for m in result["models"]] == [3, 3]
    assert len(read_csv(tmp_path / "out" / "feature-maps.csv")) == 2 * 31 * 3
    for name in ("features-first-vit", "features-layers-vit"):
        assert (tmp_path / "out" / f"{name}.png").is_file()


def test_tables_are_for_people(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, said in (("features", "edges"), ("similarity", "features before the heads")):
        monkeypatch.setattr(f"cass_cli.reports.layer_results.draw_{name}", lambda *_, **__: [tmp_path / "figure.png"])
        command = "feature-maps" if name == "features" else name
        assert run([command, "--run", str(runs / "run"), "--compare", "none", "--samples", "4"]) == 0
        shown = capsys.readouterr().out
        assert said in shown
        assert "figure.png" in shown


def test_similarity(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(capsys, "similarity", "--run", str(runs / "run"), "--batch-size", "4", "--out", str(tmp_path))
    assert [pair["weights"] for pair in result["pairs"]] == ["before: random weights", "after CASS, 1 epoch"]
    rows = read_csv(tmp_path / "similarity.csv")
    own = [float(row["cka"]) for row in rows if (row["arm"], row["layer"]) == (row["other_arm"], row["other_layer"])]
    assert own == pytest.approx([1.0] * len(own), abs=1e-5)
    assert (tmp_path / "similarity.png").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "tset"], "Did you mean 'test'?"),
        (["--arm", "vti"], "Did you mean 'vit'?"),
        (["--images", "nowhere.png"], "no picture nowhere.png"),
        (["--compare", "rum"], "Did you mean 'run'?"),
        (["--device", "cuda:99"], "CUDA"),
    ],
)
def test_wrong_options(runs: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["attention-maps", "--run", str(runs / "run"), *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_weights_that_cannot_be_fetched(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object) -> None:
        raise ModelError("Could not fetch timm's weights.", hint="Offline, give a local file with --weights.")

    monkeypatch.setattr("cass_cli.models.arms.fetch_pretrained", offline)
    assert run(["attention-maps", "--run", str(runs / "run"), "--compare", "imagenet"]) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "Could not fetch" in message
    assert "--compare random" in message
    assert "--weights" not in message, "which is no option of this command"


def test_a_run_without_a_transformer(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = runs.parent / "pictures"
    two = ["--vit", "test_resnet", "--data", str(data), "--runs", str(tmp_path), "--name", "two"]
    assert run(["pretrain", *TINY, *two]) == 0
    assert run(["attention-maps", "--run", str(tmp_path / "two")]) == 2
    assert "has no Transformer" in capsys.readouterr().err
    assert not (tmp_path / "two" / "figures").exists()
    assert run(["attention-maps", "--run", str(tmp_path / "two"), "--arm", "cnn", "--samples", "2"]) == 0
    assert "Grad-CAM" in capsys.readouterr().out


def test_a_run_without_test_images_or_arms(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(runs / "run", copy)
    splits = copy / "splits.csv"
    splits.write_text(splits.read_text().replace(",test,", ",train,"))
    assert run(["attention-maps", "--run", str(copy)]) == 2
    message = capsys.readouterr().err
    assert "no test images" in message
    assert "--split" in message
    shutil.rmtree(copy / "arms")
    assert run(["similarity", "--run", str(copy)]) == 2
    assert "no arms yet" in capsys.readouterr().err


@pytest.fixture(scope="module")
def tuned(runs: Path) -> Path:
    """A fine-tuning of the run on all labels."""
    assert (
        run(["finetune", "--run", str(runs / "run"), "--label-fraction", "1", "--epochs", "1", *TRAINED, "--json"]) == 0
    )
    return runs / "run" / "finetune" / "pretrained-paper"


def test_fine_tuned_arms_beside_what_they_began_with(
    runs: Path, tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--samples", "4", "--out", str(tmp_path))
    result = result_of(capsys, "attention-maps", "--run", str(tuned), *out)
    before, after = "after CASS, 1 epoch", "fine-tuned on 32 labels after CASS"
    assert [m["weights"] for m in result["models"]] == [before, after] * 2
    assert not any("no classes yet" in note for note in result["notes"])
    assert result["run"] == str((tuned / "1" / "seed0").resolve())
    pretrained = result_of(capsys, "attention-maps", "--run", str(runs / "run"), *out)
    measured = {m["weights"]: m["measures"] for m in pretrained["models"] if m["arm"] == "vit"}
    assert result["models"][2]["measures"] == measured[before], "the same weights on the same images"


def test_compared_with_a_fine_tuning(
    runs: Path, tuned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = str(tuned / "1" / "seed0")
    command = ("similarity", "--samples", "4", "--batch-size", "4", "--out", str(tmp_path))
    result = result_of(capsys, *command, "--run", str(runs / "run"), "--compare", trial)
    assert [pair["weights"] for pair in result["pairs"]] == ["run, fine-tuned", "after CASS, 1 epoch"]
    monkeypatch.chdir(runs.parent)
    assert run(["feature-maps", "--run", "run/finetune/pretrained-paper", "--averaged"]) == 2
    assert "not averaged" in capsys.readouterr().err
    assert run(["feature-maps", "--run", str(tuned / "0.5"), "--compare", "none"]) == 2
    assert "no finished trial" in capsys.readouterr().err


def test_methods_of_mapping(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("attention-maps", "--run", str(runs / "run"), "--samples", "4", "--out", str(tmp_path), "--arm", "vit")
    kinds, numbers = [], []
    for method in ("cls", "rollout", "gradcam"):
        after = result_of(capsys, *command, "--method", method)["models"][-1]
        kinds.append(after["map"])
        numbers.append(after["measures"]["entropy"]["value"])
    assert kinds == ["class-token attention", "attention rollout", "Grad-CAM"]
    assert len(set(numbers)) == 3
    assert run([*command, "--method", "rolout"]) == 2
    assert "Did you mean 'rollout'?" in capsys.readouterr().err


def shown_before(run_: Path, trial: Trial | None = None) -> dict[str, torch.Tensor]:
    """The state of the Transformer that `--compare start` shows."""
    resolved = saved_settings(find(run_.parent, run_.name).run)
    after = arms_of_run(trial.files if trial else Run(run_), averaged=False)
    only = {"vit": after["vit"]}
    found = compared_arms("start", trial or Run(run_), resolved, only, runs=run_.parent, averaged=False)
    return found["vit"].network.state_dict()


def same_but_head(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Zeros have moved by the learning rate, 1e-30."""
    return all(torch.allclose(first[k], second[k], rtol=0, atol=1e-20) for k in first if not k.startswith("head"))


def test_the_start_is_what_the_training_began_with(runs: Path, tmp_path: Path) -> None:
    """With a learning rate of next to nothing, what came out is what went in: for CASS, BYOL and a fine-tuning."""
    data = ["--data", str(runs.parent / "pictures"), "--runs", str(tmp_path)]
    still = ["--set", "optim.lr_min=0", "--lr", "1e-30", "--name"]
    for method in ("cass", "byol"):
        assert run(["pretrain", *TINY, *data, "--method", method, *still, method]) == 0
        kept = load_file(tmp_path / method / "arms" / "vit.safetensors")
        assert same_but_head(shown_before(tmp_path / method), kept)
    assert run(["finetune", "--run", str(tmp_path / "cass"), "--init-from", "random", "--seed", "5", "--epochs", "1",
                "--lr", "1e-30", "--arm", "vit", *TRAINED, "--json"]) == 0  # fmt: skip
    trial = find(tmp_path, "cass/finetune/random-paper").trial()
    assert trial.seed == 5
    assert same_but_head(shown_before(tmp_path / "cass", trial), load_file(trial.files.arms / "vit.safetensors"))
    assert not same_but_head(shown_before(tmp_path / "cass"), load_file(trial.files.arms / "vit.safetensors"))
