"""Did pretraining help, and which start suits each arm: the advice of `cass pretrain`, and `--init-from best`."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import timm
import torch
from safetensors.torch import save_file

from cass_cli.cli.app import run
from cass_cli.engine.finetuning.starts import Start
from cass_cli.engine.regression import fit_regression
from cass_cli.engine.starting_arms import chosen_arms
from cass_cli.errors import Interrupted, RunError
from cass_cli.models.arms import load_arm
from tests.cli.conftest import TINY, make_pictures

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {"cnn": ("test_resnet", {}), "vit": ("test_vit", {"img_size": 32})}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, and weights to start from."""
    folder = tmp_path_factory.mktemp("starts")
    torch.manual_seed(0)
    for arm, (name, options) in NETWORKS.items():
        save_file(timm.create_model(name, num_classes=0, **options).state_dict(), folder / f"{arm}.safetensors")
    make_pictures(folder / "pictures", per_class=25)
    return folder


def pretrain(base: Path, runs: Path, *more: str) -> int:
    weights = [word for arm in NETWORKS for word in ("--weights", f"{arm}={base / arm}.safetensors")]
    tiny = ["--image-size", "32", "--epochs", "1", "--batch-size", "8", "--cnn", "test_resnet", "--vit", "test_vit"]
    data = ["--data", str(base / "pictures"), "--device", "cpu", "--precision", "fp32", *weights]
    return run(["pretrain", *tiny, *data, "--method", "vicreg", "--runs", str(runs), "--name", "p", *more])


@pytest.fixture(scope="module")
def pretrained(base: Path) -> Path:
    """A pretraining at a rate that changes what the arms know."""
    assert pretrain(base, base / "runs", "--lr", "0.3") == 0
    return base / "runs"


def tune(runs: Path, *more: str) -> int:
    return run(["finetune", "--runs", str(runs), "--run", "p", "--recipe", "probe", *more])


def summary(runs: Path, variant: str, fraction: str = "1") -> Any:
    return json.loads((runs / "p" / "finetune" / variant / fraction / "seed0" / "summary.json").read_text())


# ---- advice


def test_advice_is_what_the_probes_of_a_fine_tuning_say(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On validation images, of both starts; and what it read of the images is not read again."""
    shutil.copytree(pretrained, tmp_path / "runs")
    advice = json.loads((pretrained / "p" / "summary.json").read_text())["advice"]
    assert (advice["metric"], advice["labels"], advice["images"]) == ("macro_f1", 34, 6)
    for start, told in (("pretrained", advice["after"]), ("imagenet", advice["before"])):
        capsys.readouterr()
        assert tune(tmp_path / "runs", "--init-from", start, "--dry-run", "--json") == 0
        unread = {
            arm: planned["unread"] for arm, planned in json.loads(capsys.readouterr().out)["plan"]["arms"].items()
        }
        assert max(unread.values()) < 50, "only batches of test images alone are left"
        assert tune(tmp_path / "runs", "--init-from", start) == 0
        validation = summary(tmp_path / "runs", f"{start}-probe")["validation"]
        for candidate in ("cnn", "vit", "joint"):  # the mean is of calibrated answers there
            assert told[candidate] == pytest.approx(validation[candidate]["macro_f1"])
    assert all(advice["before"][arm] != advice["after"][arm] for arm in ("cnn", "joint")), "or they could be mixed up"
    assert set(told) == set(advice["change"]) == {"cnn", "vit", "mean", "joint"}
    for name, change in advice["change"].items():
        assert change["value"] == pytest.approx(advice["after"][name] - advice["before"][name])
        assert change["low"] <= change["value"] <= change["high"]


def test_advice_is_shown_and_says_what_to_do(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An arm that did not move has not changed."""
    assert pretrain(base, tmp_path, "--arm", "vit", "--lr", "1e-30") == 0
    screen = capsys.readouterr().out
    assert "Probes fitted to 34 labels, scored on 6 validation images: macro F1" in screen
    assert "vit no clear change. For each arm the start that suits its labels: cass finetune --init-from best" in screen
    assert "cass finetune" in screen and "--init-from best --label-fraction 0.1" in screen.replace("\n", " ")
    advice = json.loads((tmp_path / "p" / "summary.json").read_text())["advice"]
    assert advice["change"] == {"vit": {"value": 0, "low": 0, "high": 0, "verdict": "no clear change"}}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--no-advice"], ""),
        (["--label-column", "none", "--layout", "flat"], None),
        (["--set", "data.fractions=[0.8,0,0.2]"], "were not compared with what they began as: There are no validation"),
    ],
    ids=["told not to", "no labels", "no validation images"],
)
def test_without_advice(
    more: list[str], said: str | None, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (base / "pictures").rglob("*.png"):
        shutil.copy(path, flat / f"{path.parent.name}-{path.name}")
    more = ["--data", str(flat)] if said is None else more
    assert pretrain(base, tmp_path / "runs", *more) == 0
    screen = capsys.readouterr().out
    assert (said or "") in screen
    assert ("were not compared" in screen) == bool(said) and "init-from best" not in screen
    assert json.loads((tmp_path / "runs" / "p" / "summary.json").read_text())["advice"] is None


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Interrupted(2), "Stopped before it was done."),
        (MemoryError(), "There is not enough memory for it."),
        (RunError("The disk is full."), "The disk is full."),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_becomes_of_the_advice_the_run_is_finished(
    error: BaseException,
    why: str,
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_given: Any, **_how: Any) -> None:
        raise error

    monkeypatch.setattr("cass_cli.engine.pretraining.advice.advise", fail)
    assert pretrain(base, tmp_path, "--arm", "vit") == 0
    screen = capsys.readouterr().out
    assert f"The arms were not compared with what they began as: {why}" in screen and "Next: cass finetune" in screen


def test_a_dry_run_counts_the_reading(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, reads in (([], True), (["--no-advice"], False)):
        capsys.readouterr()
        assert pretrain(base, tmp_path, "--dry-run", "--json", *more) == 0
        assert (json.loads(capsys.readouterr().out)["forecast"]["reading_seconds"] > 0) == reads


# ---- the better start


def test_best_takes_for_each_arm_the_start_that_its_labels_prefer(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then is that start to the last bit; what it was and why is written down and shown by every command."""
    runs = shutil.copytree(pretrained, tmp_path / "runs")
    for start in ("pretrained", "imagenet"):
        assert tune(runs, "--init-from", start, "--label-fraction", "0.5,1") == 0
    told = iter([0.2, 0.5, 0.6, 0.3] * 2)  # cnn and vit, before and after

    def fitted(*given: Any, **how: Any) -> Any:
        found = fit_regression(*given, **how)
        return replace(found, scores={found.inverse_l2: next(told)})

    monkeypatch.setattr("cass_cli.engine.finetuning.starts.fit_regression", fitted)
    capsys.readouterr()
    assert tune(runs, "--init-from", "best", "--label-fraction", "0.5,1") == 0
    screen = capsys.readouterr().out
    assert "cnn is read as it was pretrained, or as before that, whichever the labels prefer" in screen
    assert (
        "50 % of the labels, seed 0: cnn starts from pretrained (held-out labels: imagenet 0.200, pretrained 0.500)"
        in screen
    )
    assert "all labels, seed 0: vit starts from imagenet (held-out labels: imagenet 0.600, pretrained 0.300)" in screen
    for fraction in ("0.5", "1"):
        best = summary(runs, "best-probe", fraction)
        for arm, start in (("cnn", "pretrained"), ("vit", "imagenet")):
            assert best["arms"][arm]["start"] == start and best["arms"][arm]["began"]
            assert best["validation"][arm] == summary(runs, f"{start}-probe", fraction)["validation"][arm]
    assert run(["compare", "--runs", str(runs), "p"]) == 0
    assert "VICREG (best start), probe" in capsys.readouterr().out
    assert run(["evaluate", "--runs", str(runs), "--run", "p", "--variant", "best-probe"]) == 0


def test_what_the_labels_prefer_is_asked_of_them_alone(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The true scores: those of the regression's own folds; and a dry run knows what is left to read."""
    runs = shutil.copytree(pretrained, tmp_path / "runs")
    shutil.rmtree(runs / "p" / "features")
    planned = ["--init-from", "best", "--dry-run", "--json"]
    capsys.readouterr()
    assert tune(runs, *planned) == 0
    arms = json.loads(capsys.readouterr().out)["plan"]["arms"]
    assert {name: arm["unread"] for name, arm in arms.items()} == dict.fromkeys(
        ("cnn", "vit", "cnn from imagenet", "vit from imagenet"), 50
    )
    assert tune(runs, "--init-from", "best") == 0
    for arm, told in summary(runs, "best-probe")["arms"].items():
        scores = told["start_scores"]
        assert set(scores) == {"imagenet", "pretrained"} and all(0 <= score <= 1 for score in scores.values())
        assert told["start"] == ("pretrained" if scores["pretrained"] > scores["imagenet"] else "imagenet"), arm
    capsys.readouterr()
    assert tune(runs, *planned, "--seeds", "2", "--resume") == 0
    arms = json.loads(capsys.readouterr().out)["plan"]["arms"]
    assert sum(arm["unread"] for arm in arms.values()) < 4 * 50


def test_an_arm_that_was_not_pretrained_joins_if_it_was_named(base: Path, tmp_path: Path) -> None:
    assert pretrain(base, tmp_path, "--arm", "cnn", "--no-advice") == 0
    assert tune(tmp_path, "--init-from", "best") == 0
    found = summary(tmp_path, "best-probe")
    assert set(found["validation"]) == {"cnn", "vit", "mean", "joint"}
    assert found["arms"]["vit"]["start"] == "imagenet" and found["arms"]["vit"]["start_scores"] == {}
    assert tune(tmp_path, "--init-from", "pretrained") == 0
    assert set(summary(tmp_path, "pretrained-probe")["validation"]) == {"cnn"}


def test_what_cannot_tell_does_not_choose(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held-out labels of which no score is defined: as before the pretraining, and the trial can be read."""

    def fitted(*given: Any, **how: Any) -> Any:
        found = fit_regression(*given, **how)
        return replace(found, scores={found.inverse_l2: float("nan")})

    runs = shutil.copytree(pretrained, tmp_path / "runs")
    monkeypatch.setattr("cass_cli.engine.finetuning.starts.fit_regression", fitted)
    assert tune(runs, "--init-from", "best") == 0
    assert "cnn starts from imagenet (too few labels to choose by)" in capsys.readouterr().out
    assert all(arm["start_scores"] == {} for arm in summary(runs, "best-probe")["arms"].values())


def test_an_interrupted_trial_goes_on_from_the_start_that_it_chose(
    pretrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the labels would prefer by now."""
    scores = {"cnn": ("pretrained", {"imagenet": 0.1, "pretrained": 0.2}), "vit": ("imagenet", {})}

    def chosen(job: Any, *_given: Any, **_how: Any) -> Any:
        bodies = {"cnn": job.bodies["cnn"], "vit": job.rivals["vit"]}
        return {arm: Start(bodies[arm], name, told) for arm, (name, told) in scores.items()}  # type: ignore[arg-type]

    runs = shutil.copytree(pretrained, tmp_path / "runs")
    paper = ["finetune", "--runs", str(runs), "--run", "p", "--recipe", "paper", "--no-guard", "--init-from", "best"]
    monkeypatch.setattr("cass_cli.engine.finetuning.trial.choose_starts", chosen)
    with monkeypatch.context() as patch:
        patch.setattr("cass_cli.engine.finetuning.trained._guarded", stopped)
        assert run([*paper, "--epochs", "2"]) == 130
    scores.update(cnn=("imagenet", {}), vit=("pretrained", {}))
    assert run(["finetune", "--resume", "--runs", str(runs), "--run", "p", "--variant", "best-paper"]) == 0
    found = summary(runs, "best-paper")["arms"]
    assert (found["cnn"]["start"], found["vit"]["start"]) == ("pretrained", "imagenet")
    assert found["cnn"]["start_scores"] == {"imagenet": 0.1, "pretrained": 0.2}


def stopped(*_given: Any) -> None:
    raise Interrupted(2)


def test_named_arms_are_those_of_which_somebody_said_something() -> None:
    assert chosen_arms({"arms.cnn": "flag", "arms.vit": "default"}) == ["cnn"]
    assert chosen_arms({"arms.cnn": "preset dermofit", "arms.vit": "file x"}) == ["cnn", "vit"]


def test_trained_arms_begin_with_the_better_start_too(pretrained: Path, tmp_path: Path) -> None:
    runs = shutil.copytree(pretrained, tmp_path / "runs")
    paper = ["finetune", "--runs", str(runs), "--run", "p", "--recipe", "paper", "--epochs", "1", "--no-guard"]
    assert run([*paper, "--init-from", "best"]) == 0
    best = summary(runs, "best-paper")
    starts = {arm: told["start"] for arm, told in best["arms"].items()}
    for start in set(starts.values()):
        assert run([*paper, "--init-from", start]) == 0
    for arm, start in starts.items():
        assert best["test"][arm] == summary(runs, f"{start}-paper")["test"][arm]
    trial = runs / "p" / "finetune" / "best-paper" / "1" / "seed0"
    assert run(["attention-maps", "--run", str(trial)]) == 0


BAD = [
    (["finetune", "--init-from", "best", "--data", "PICTURES"], "there are no pretrained arms to start from"),
    (["finetune", "--init-from", "beste", "--run", "p"], "finetune.init"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD)
def test_bad_input_is_explained(
    arguments: list[str], said: str, base: Path, pretrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("PICTURES", str(base / "pictures")) for word in arguments]
    assert run([*words, "--runs", str(pretrained)]) == 2
    assert said in capsys.readouterr().err


def test_random_starts_leave_no_choice(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(base / "pictures"), "--runs", str(tmp_path), "--name", "p", "--method", "vicreg"]
    assert run(["pretrain", *TINY, *data]) == 0
    assert "init-from best" not in capsys.readouterr().out
    assert tune(tmp_path, "--init-from", "best") == 0
    assert "none was pretrained from weights that knew something" in capsys.readouterr().out
    assert {arm["start"] for arm in summary(tmp_path, "best-probe")["arms"].values()} == {"pretrained"}


# ---- a finer last map


def test_every_start_has_the_output_stride_of_the_run(base: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert pretrain(base, runs, "--set", "arms.output_stride=16", "--no-advice") == 0
    for start in ("pretrained", "imagenet", "random"):
        assert tune(runs, "--init-from", start) == 0
        network, card = load_arm(runs / "p" / "finetune" / f"{start}-probe" / "1" / "seed0" / "arms" / "cnn")
        assert card.options["output_stride"] == 16
        assert cast(Any, network).forward_features(torch.zeros(1, 3, 32, 32)).shape[2:] == (2, 2)
        other = load_arm(runs / "p" / "finetune" / f"{start}-probe" / "1" / "seed0" / "arms" / "vit")[1]
        assert "output_stride" not in other.options, "a Transformer has none"
