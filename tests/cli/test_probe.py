"""`cass finetune` by its default recipe, the probe, and the guard of the other, as users run them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from cass_cli.cli.app import run
from cass_cli.data.sources import load_samples
from cass_cli.data.store.store import build_store
from cass_cli.engine import features
from cass_cli.errors import Interrupted
from cass_cli.models.heads import join
from tests.cli.conftest import TINY, make_pictures

ARMS = TINY[: TINY.index("--epochs")] + TINY[TINY.index("--cnn") : TINY.index("--init")]
QUICK = ("--epochs", "1", "--batch-size", "8", "--lr", "1e-3")


@pytest.fixture(scope="module")
def probed(pretrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pretraining with a probe: two fractions × two seeds."""
    runs = tmp_path_factory.mktemp("probed") / "runs"
    shutil.copytree(pretrained, runs, symlinks=True, ignore=shutil.ignore_patterns("finetune"))
    assert run(["finetune", "--runs", str(runs), "--label-fraction", "0.3,1", "--seeds", "2"]) == 0
    return runs


@pytest.fixture
def runs(probed: Path, tmp_path: Path) -> Path:
    """A copy of it, to be written into."""
    shutil.copytree(probed, tmp_path / "runs", symlinks=True)
    return tmp_path / "runs"


def summary(runs: Path, trial: str = "pretrained-probe/1/seed0", name: str = "p") -> dict[str, Any]:
    value: dict[str, Any] = json.loads((runs / name / "finetune" / trial / "summary.json").read_text())
    return value


def timeless(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in ("seconds", "run")}


def test_the_default_recipe_is_the_probe_and_names_the_fine_tuning(probed: Path) -> None:
    found = summary(probed)
    assert found["recipe"] == "probe"
    assert found["epochs"] == 0
    assert {arm["kept"] for arm in found["arms"].values()} == {"probe"}
    assert list(found["test"]) == ["cnn", "vit", "mean", "joint"]
    assert set(found["judgement"]["temperatures"]) == {"cnn", "vit", "joint"}
    variant = probed / "p" / "finetune" / "pretrained-probe"
    lines = (variant / "config.yaml").read_text().splitlines()
    assert "  recipe: probe  # default" in lines
    assert "  layers: 6  # recipe probe" in lines
    assert not list(variant.rglob("metrics.jsonl"))
    assert not list(variant.rglob("state.pt"))


def test_arms_load_with_timm_alone_and_heads_join_them_to_what_was_scored(probed: Path, tmp_path: Path) -> None:
    arms = probed / "p" / "finetune" / "pretrained-probe" / "1" / "seed0" / "arms"
    for name in ("cnn", "vit"):
        card = json.loads((arms / f"{name}.json").read_text())
        model = timm.create_model(card["model"], **card["options"])
        assert card["options"]["num_classes"] == 0
        model.load_state_dict(load_file(arms / f"{name}.safetensors"), strict=True)
    assert run(["evaluate", "--runs", str(probed)]) == 0
    with (arms.parent / "predictions-test.csv").open() as file:
        rows = list(csv.DictReader(file))
    spec = json.loads((arms / "vit.json").read_text())
    data = Path(yaml.safe_load((probed / "p" / "config.yaml").read_text())["data"]["path"])
    mean, std = (torch.tensor(spec[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    table = load_samples(data)
    at = [table.names.index(row["image"]) for row in rows]
    pixels = build_store(table, size=32, mode="ram").images[at].float() / 255
    temperatures = summary(probed)["judgement"]["temperatures"]
    for name in ("cnn", "vit", "joint"):
        logits = join(arms / f"{name}-head")((pixels - mean) / std)
        given = torch.softmax(logits / temperatures[name], dim=1)[:, 1]
        assert np.allclose(given.numpy(), [float(row[f"{name}:light"]) for row in rows], atol=1e-3)


def test_images_go_through_each_arm_once_whatever_fraction_or_seed_asks(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    read = features.read_batch

    def count(*arguments: Any) -> Any:
        seen.append(len(arguments[1]))
        return read(*arguments)

    monkeypatch.setattr(features, "read_batch", count)
    assert run(["finetune", "--runs", str(runs), "--label-fraction", "0.5", "--seeds", "3", "--resume"]) == 0
    assert seen == []  # another fraction and another seed of what is there
    shutil.rmtree(runs / "p" / "features")
    assert run(["finetune", "--runs", str(runs), "--variant", "again"]) == 0
    assert sum(seen) == 2 * 40  # both arms, all pictures, once
    assert timeless(summary(runs, "again/1/seed0")) | {"variant": 0} == timeless(summary(runs)) | {"variant": 0}


def test_stopped_between_batches_and_resumed_gives_the_same(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = timeless(summary(runs))
    for folder in ("features", "finetune"):
        shutil.rmtree(runs / "p" / folder)
    real, calls = features._save, 0

    def stop_after_one(*arguments: Any, **arrays: Any) -> None:
        nonlocal calls
        real(*arguments, **arrays)
        calls += 1
        if calls == 2:
            raise Interrupted(15)

    monkeypatch.setattr(features, "_save", stop_after_one)
    assert run(["finetune", "--runs", str(runs)]) == 143
    assert "cass finetune --resume" in capsys.readouterr().err
    monkeypatch.setattr(features, "_save", real)
    saved = sorted((runs / "p" / "features").rglob("*.npz"))
    assert len(saved) == 2
    times = [path.stat().st_mtime_ns for path in saved]
    assert run(["finetune", "--runs", str(runs), "--resume"]) == 0
    assert [path.stat().st_mtime_ns for path in saved] == times  # gone on with, not begun again
    assert timeless(summary(runs)) == before


def test_an_image_that_can_be_read_later_gets_features_of_its_own(tmp_path: Path) -> None:
    """Its features are not those of another image, which lay in the same batch without it."""
    data = make_pictures(tmp_path / "pictures")
    wide = Image.open(data / "dark" / "00.png").resize((64, 64))
    wide.save(data / "dark" / "00.png")
    asked = ["--init-from", "imagenet", "--runs", str(tmp_path / "runs"), "--name", "q", "--bad-images", "skip"]
    weights = [flag for arm in ("cnn", "vit") for flag in ("--weights", f"{arm}={tmp_path / arm}.safetensors")]
    for arm, model in (("cnn", "test_resnet"), ("vit", "test_vit")):
        save_file(timm.create_model(model).state_dict(), tmp_path / f"{arm}.safetensors")
    few = ["--max-pixels", "2000"]
    assert run(["finetune", "--data", str(data), *ARMS, *weights, *asked, *few]) == 0
    before = sorted((tmp_path / "runs" / "q" / "features").rglob("*.npz"))
    again = ["finetune", "--run", "q", "--runs", str(tmp_path / "runs"), "--init-from", "imagenet", "--variant", "all"]
    assert run([*again, "--max-pixels", "10000"]) == 0
    after = sorted((tmp_path / "runs" / "q" / "features").rglob("*.npz"))
    images = [summary(tmp_path / "runs", f"{name}/1/seed0", "q") for name in ("imagenet-probe", "all")]
    seen = [found["labels"] + sum(found["images"].values()) for found in images]
    assert (seen[1] - seen[0], len(after) - len(before)) == (1, 2)  # one more image, in another batch of each arm


def test_classes_that_cannot_be_read_are_none_to_learn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_pictures(tmp_path / "pictures", per_class=4)
    for path in (data / "dark").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    asked = ["--init-from", "random", "--runs", str(tmp_path / "runs"), "--name", "q", "--bad-images", "skip"]
    assert run(["finetune", "--data", str(data), *ARMS, *asked]) == 2
    assert "show fewer than two classes (light)" in capsys.readouterr().err
    assert not (tmp_path / "runs" / "q").exists()


def test_seeds_draw_other_labels_and_share_the_arms_weights(probed: Path) -> None:
    trials = probed / "p" / "finetune" / "pretrained-probe" / "0.3"
    first, second = (load_file(trials / seed / "arms" / "vit-head.safetensors") for seed in ("seed0", "seed1"))
    assert not torch.equal(first["weight"], second["weight"])
    bodies = [trials / seed / "arms" / "vit.safetensors" for seed in ("seed0", "seed1")]
    assert bodies[0].samefile(bodies[1])


def test_predict_answers_by_joint_as_evaluate_does(probed: Path, tmp_path: Path) -> None:
    data = yaml.safe_load((probed / "p" / "config.yaml").read_text())["data"]["path"]
    out = tmp_path / "p.csv"
    assert run(["evaluate", "--runs", str(probed)]) == 0
    assert run(["predict", data, "--runs", str(probed), "--answer-by", "joint", "--out", str(out)]) == 0
    trial = probed / "p" / "finetune" / "pretrained-probe" / "1" / "seed0"
    with (trial / "predictions-test.csv").open() as file:
        scored = {row["image"]: float(row["joint:light"]) for row in csv.DictReader(file)}
    with out.open() as file:
        given = {str(Path(row["image"]).relative_to(data)): row for row in csv.DictReader(file)}
    assert scored
    assert all(float(given[image]["p:light"]) == pytest.approx(value, abs=2e-3) for image, value in scored.items())


def test_compare_and_report_know_joint(probed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", "p", "--runs", str(probed)]) == 0
    told = capsys.readouterr().out
    assert "CASS, probe" in told
    assert "joint" in told
    assert run(["report", "p", "--runs", str(probed), "--out", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text()
    assert "joint" in page
    assert "CASS, probe" in page


def test_maps_of_a_probed_arm(probed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--run", str(probed / "p" / "finetune" / "pretrained-probe"), "--samples", "2", "--out", str(tmp_path)]
    assert run(["attention-maps", *asked, "--method", "gradcam"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Grad-CAM shows what the last of them adds" in told
    assert "probed with 28 labels after CASS" in told
    assert (tmp_path / "attention-images.png").is_file()


def test_multilabel_and_larger_mirrored_images(tmp_path: Path) -> None:
    data = make_pictures(tmp_path / "pictures")
    names = sorted(str(path.relative_to(data)) for path in data.rglob("*.png"))
    with (data / "labels.csv").open("w") as file:
        file.write("image,light,even\n")
        file.writelines(f"{name},{int('light' in name)},{int(name[-5]) % 2}\n" for name in names)
    settings = ["--init-from", "random", *ARMS, "--runs", str(tmp_path / "runs"), "--name", "q"]
    read = ["--probe-size", "48", "--mirrored"]
    assert run(["finetune", "--data", str(data), "--labels", "labels.csv", *settings, *read]) == 0
    runs = tmp_path / "runs"
    found = summary(runs, "random-probe/1/seed0", "q")
    assert found["multilabel"]
    assert set(found["judgement"]["thresholds"]) == {"cnn", "vit", "mean", "joint"}
    arms = runs / "q" / "finetune" / "random-probe" / "1" / "seed0" / "arms"
    assert json.loads((arms / "vit.json").read_text())["input_size"] == [3, 48, 48]
    assert json.loads((arms / "vit-head.json").read_text())["mirrored"]
    assert run(["evaluate", "--runs", str(runs)]) == 0
    scored = json.loads((arms.parent / "evaluation-test.json").read_text())["scores"]["joint"]["metrics"]["macro_f1"]
    assert scored["value"] == pytest.approx(found["test"]["joint"]["macro_f1"], abs=1e-6)


def test_without_a_run_it_starts_from_imagenet_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_pictures(tmp_path / "pictures", per_class=10)
    weights = []
    for arm, model in (("cnn", "test_resnet"), ("vit", "test_vit")):
        path = tmp_path / f"{arm}.safetensors"
        save_file(timm.create_model(model).state_dict(), path)
        weights += ["--weights", f"{arm}={path}"]
    assert run(["finetune", "--data", str(data), *ARMS, *weights, "--runs", str(tmp_path / "runs")]) == 0
    assert "From ImageNet weights: no pretraining run was named." in capsys.readouterr().out
    run_folder = (tmp_path / "runs" / "latest").resolve()
    assert (run_folder / "finetune" / "imagenet-probe").is_dir()
    assert "no pretraining run was named" in (run_folder / "config.yaml").read_text()


def test_an_empty_validation_split_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_pictures(tmp_path / "pictures")
    settings = ["--init-from", "random", *ARMS, "--runs", str(tmp_path / "runs"), "--name", "q"]
    assert run(["finetune", "--data", str(data), *settings, "--set", "data.fractions=[0.8, 0, 0.2]"]) == 0
    found = summary(tmp_path / "runs", "random-probe/1/seed0", "q")
    assert found["judgement"]["pick"] == "joint"
    assert "no validation images" in found["judgement"]["reason"].lower()
    assert "There are no validation images" in capsys.readouterr().out.replace("\n", " ")


def test_the_guard_keeps_what_validation_prefers_and_tells_what_was_set_aside(runs: Path) -> None:
    asked = ["finetune", "--runs", str(runs), "--recipe", "paper", *QUICK]
    assert run([*asked, "--lr", "1e-9", "--variant", "idle"]) == 0  # learns nothing: the probe is better
    found = summary(runs, "idle/1/seed0")
    assert {arm["kept"] for arm in found["arms"].values()} == {"probe"}
    assert found["guard"]["vit"]["probe"] > found["guard"]["vit"]["fine_tuned"]
    assert found["test"]["vit"] == pytest.approx(summary(runs)["test"]["vit"], abs=0.02)  # the same probe
    assert found["set_aside"]["vit"]["test"]["macro_f1"] is not None
    assert run([*asked, "--lr", "1e-9", "--no-guard", "--variant", "unguarded"]) == 0
    unguarded = summary(runs, "unguarded/1/seed0")
    assert {arm["kept"] for arm in unguarded["arms"].values()} == {"fine-tuned"}
    assert unguarded["guard"] == {}
    assert unguarded["test"]["vit"] == found["set_aside"]["vit"]["test"]
    assert run(["evaluate", "--runs", str(runs), "--variant", "idle"]) == 0
    folder = runs / "p" / "finetune" / "idle" / "1" / "seed0"
    scored = json.loads((folder / "evaluation-test.json").read_text())["scores"]
    assert scored["vit"]["metrics"]["macro_f1"]["value"] == pytest.approx(found["test"]["vit"]["macro_f1"])


def test_the_guard_judges_by_no_larger_a_share_than_was_seen(runs: Path) -> None:
    assert run(["finetune", "--runs", str(runs), "--recipe", "paper", *QUICK, "--label-fraction", "0.3"]) == 0
    found = summary(runs, "pretrained-paper/0.3/seed0")
    assert found["guard"]["cnn"]["images"] < found["images"]["val"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--recipe", "probe", "--epochs", "3"], "--epochs has no part in the recipe probe"),
        (["--recipe", "probe", "--freeze"], "add --recipe paper"),
        (["--recipe", "probe", "--no-guard"], "--no-guard has no part"),
        (["--recipe", "probe", "--set", "finetune.gamma=1"], "finetune.gamma (--set)"),
        (["--recipe", "paper", "--probe-size", "64"], "add --recipe probe"),
        (["--recipe", "prob"], "finetune.recipe"),
        (["--probe-size", "3"], "finetune.probe_size"),
    ],
)
def test_bad_input_says_what_where_and_what_to_try(
    probed: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["finetune", "--runs", str(probed), "--variant", "new", *more]) == 2
    assert said in capsys.readouterr().err
    assert not (probed / "p" / "finetune" / "new").exists()


def test_a_setting_of_training_chooses_the_recipe_that_trains(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["finetune", "--runs", str(runs), "--epochs", "1", "--batch-size", "4", "--overwrite"]) == 0
    assert "Recipe: paper, every weight is trained, as finetune.epochs asks" in " ".join(
        capsys.readouterr().err.split()
    )
    found = summary(runs, "pretrained-paper/1/seed0")
    assert (found["recipe"], found["epochs"]) == ("paper", 1)


def test_settings_saved_without_a_recipe_are_the_papers(runs: Path) -> None:
    """As a run of an earlier version has them: no recipe, no guard; and no manifest."""
    config = runs / "p" / "config.yaml"
    new = ("recipe", "layers", "mirrored", "probe_size", "guard")
    kept = [line for line in config.read_text().splitlines() if line.split(":")[0].strip() not in new]
    config.write_text("\n".join(kept) + "\n")
    (runs / "p" / "manifest.json").unlink()
    assert run(["finetune", "--runs", str(runs), *QUICK]) == 0
    found = summary(runs, "pretrained-paper/1/seed0")
    assert (found["recipe"], found["guard"], found["epochs"]) == ("paper", {}, 1)
    assert run(["finetune", "--runs", str(runs), "--recipe", "probe", "--variant", "asked"]) == 0
    assert summary(runs, "asked/1/seed0")["recipe"] == "probe"
