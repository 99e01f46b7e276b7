"""The functions do what the commands do, hand back frames and arrays, print nothing and raise what can be mended."""

from __future__ import annotations

import doctest
import inspect
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

import cass_cli
from cass_cli.api import embed as embedding
from cass_cli.api import grid as gridding
from cass_cli.api import load, measure, train
from cass_cli.api.quiet import Quiet, QuietPretraining
from cass_cli.cli import embed, ensemble, evaluate, finetune, grid, predict, pretrain
from cass_cli.cli.app import run
from cass_cli.config.load import Resolved
from cass_cli.engine.grid import running
from cass_cli.errors import CassError, ConfigError, DataError, RunError
from cass_cli.scores.metrics import METRICS
from tests.api.conftest import SMALL

TRIAL = Path("p/finetune/pretrained-probe/1/seed0")


def untimed(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl without what depends on the clock."""
    timed = {"seconds", "waiting", "images_per_second"}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in timed} for row in rows]


def test_importing_cass_imports_nothing_heavy() -> None:
    code = (
        "import sys, cass_cli; assert 'pretrain' in dir(cass_cli);"
        "heavy = {'torch', 'timm', 'numpy', 'pandas', 'sklearn', 'yaml', 'pydantic', 'rich'} & set(sys.modules);"
        "assert not heavy, heavy;"
        "from cass_cli import load_run; assert cass_cli.load_run is load_run and 'torch' in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_package_names_what_it_has_and_nothing_else() -> None:
    assert {*cass_cli.__all__} == {*cass_cli._PLACES}
    for name in cass_cli.__all__:
        function = getattr(cass_cli, name)
        assert function.__name__ == name and function.__doc__
    with pytest.raises(AttributeError, match="no attribute 'pretrian'"):
        cass_cli.pretrian  # noqa: B018


def test_a_function_leaves_the_run_of_its_command(commanded: Path, called: Path) -> None:
    ours, theirs = (sorted(p.relative_to(runs) for p in (runs / "p").rglob("*")) for runs in (called, commanded))
    assert [p for p in ours if p.parts[1] != "features"] == [p for p in theirs if p.parts[1] != "features"]
    equal = [path for path in ours if path.suffix in (".safetensors", ".csv") or path.name == "config.yaml"]
    assert len(equal) > 12
    for path in equal:
        assert (called / path).read_bytes() == (commanded / path).read_bytes(), path
    assert untimed(called / "p/metrics.jsonl") == untimed(commanded / "p/metrics.jsonl")
    mine, other = (json.loads((runs / TRIAL / "evaluation-test.json").read_text()) for runs in (called, commanded))
    assert mine | {"trial": 0} == other | {"trial": 0}


WITHOUT_OPTION = {"settings", "progress", "write"}
FUNCTIONS = [
    (cass_cli.pretrain, pretrain.pretrain),
    (cass_cli.finetune, finetune.finetune),
    (cass_cli.ensemble, ensemble.ensemble),
    (cass_cli.evaluate, evaluate.evaluate),
    (cass_cli.predict, predict.predict),
    (cass_cli.embed, embed.embed),
    (cass_cli.grid, grid.grid),
]


@pytest.mark.parametrize(("function", "command"), FUNCTIONS, ids=lambda f: f.__module__)
def test_every_argument_has_the_name_of_an_option(function: Any, command: Any) -> None:
    arguments = {*inspect.signature(function).parameters} - WITHOUT_OPTION
    assert arguments <= {*inspect.signature(command).parameters}


@pytest.mark.parametrize("asked", [
    {"preset": "demo", "fit": "pad", "method": "vicreg", "arm": "cnn", "seed": 3},
    {"data": "x", "labels": "y.csv", "objective": "vicreg", "vit": "test_vit", "weights": {"cnn": "a.pt"}},
    {"data": "x", **SMALL},
], ids=str)  # fmt: skip
def test_pretrain_asks_for_what_its_command_asks_for(
    asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved: list[Resolved] = []

    class Asked(Exception):  # noqa: N818
        pass

    def job(settings: Resolved, **_how: object) -> None:
        resolved.append(settings)
        raise Asked

    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "y.csv").touch()
    monkeypatch.setattr("cass_cli.engine.pretraining.job.pretrain_job", job)
    monkeypatch.setattr(train, "pretrain_job", job)
    options = [
        *(f"--weights={arm}={path}" for arm, path in asked.get("weights", {}).items()),
        *(f"--{name.replace('_', '-')}={value}" for name, value in asked.items() if name != "weights"),
    ]
    with pytest.raises(Asked):
        cass_cli.pretrain(**asked)
    assert run(["pretrain", *options]) == 1
    assert resolved[0] == resolved[1]
    assert {"flag"} <= {*resolved[0].origins.values()}


def test_finetune_asks_for_what_its_command_asks_for(called: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Any] = []

    def job(settings: Resolved, of: Any, variant: Any, **_how: object) -> None:
        plans.append((settings, of.path.resolve(), variant.name))
        raise RunError("Seen.")

    monkeypatch.setattr("cass_cli.engine.finetuning.job.finetune_job", job)
    monkeypatch.setattr(train, "finetune_job", job)
    asked = {
        **{"label_fraction": 0.5, "seeds": 2, "seed": 4, "arm": "vit", "init_from": "random", "recipe": "paper"},
        **{"epochs": 3, "batch_size": 5, "lr": 1e-3, "device": "cpu", "precision": "fp32", "variant": "mine"},
    }
    options = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items()]
    with pytest.raises(RunError, match="Seen"):
        cass_cli.finetune("p", **asked, runs=called)
    assert run(["finetune", "--run", "p", "--runs", str(called), *options]) == 2
    assert plans[0] == plans[1]


def test_nothing_is_printed_unless_asked(pictures: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = cass_cli.pretrain(pictures, **SMALL, runs=tmp_path, name="silent")
    tuned = cass_cli.finetune(made, label_fraction=0.5)
    cass_cli.evaluate(tuned, resamples=10)
    cass_cli.predict(tuned, pictures)
    assert capfd.readouterr() == ("", "")
    cass_cli.pretrain(pictures, **SMALL, runs=tmp_path, name="shown", progress=True)
    assert "epoch 1/1" in capfd.readouterr().out


def test_a_run_as_frames(called: Path) -> None:
    view = cass_cli.load_run("p", runs=called)
    assert view == cass_cli.load_run(runs=called) == cass_cli.load_run(called / "p")
    history = view.history
    assert {"epoch", "loss", "lr", "states.cnn", "gauges.vit.features.rank"} <= {*history}
    assert history["epoch"].tolist() == [1] and history["loss"].dtype == np.float64
    assert list(view.splits) == ["image", "split", "label", "group", "status"]
    assert view.splits.groupby("split").size().to_dict() == {"test": 8, "train": 28, "val": 4}
    assert view.settings["optim.lr"] == 1e-5 and view.settings["optim.warmup"] == 0.1
    assert view.summary["epochs"] == 1 and {*view.summary["states"]} == {"cnn", "vit"}
    assert {"cnn", "vit"} <= {*view.arms()} and all(path.is_file() for path in view.arms().values())
    assert view.finetunings() == ["pretrained-probe"]


def test_scores_of_trials_are_a_frame(called: Path) -> None:
    tuned = cass_cli.load_run("p", runs=called).finetuning()
    assert tuned.settings["finetune.layers"] == 2
    scores = tuned.scores
    assert len(scores) == 2 * 4 * 2 * len(METRICS)  # fractions × candidates × splits × metrics
    assert not scores.duplicated(["fraction", "seed", "candidate", "split", "metric"]).any()
    assert {*scores["candidate"]} == {"cnn", "vit", "mean", "joint"} and {*scores["split"]} == {"val", "test"}
    for trial in tuned.trials:
        of = scores[(scores["fraction"] == trial.fraction) & (scores["metric"] == "accuracy")].set_index("candidate")
        assert of[of["split"] == "test"].loc["vit", "value"] == trial.test["vit"]["accuracy"]
        assert of[of["recommended"]].index.unique().tolist() == [trial.judgement.pick]
        assert {*of["labels"]} == {trial.labels}


def test_an_evaluation_as_frames(called: Path) -> None:
    found = cass_cli.evaluate(called / TRIAL, resamples=50, write=False)
    written = json.loads((called / TRIAL / "evaluation-test.json").read_text())
    assert found.recommended == written["recommended"]
    for _, row in found.scores.iterrows():
        told = written["scores"][row["candidate"]]["metrics"][row["metric"]]
        assert [row[k] for k in ("value", "low", "high")] == [told[k] for k in ("value", "low", "high")]
    assert len(found.per_class) == 4 * 5 * 2 and {*found.per_class["class"]} == {"dark", "light"}
    pd.testing.assert_frame_equal(found.predictions, pd.read_csv(called / TRIAL / "predictions-test.csv"))
    for name, given in found.probabilities.items():
        assert np.array_equal(given, found.predictions[[f"{name}:{c}" for c in found.classes]])
    assert [found.classes[c] for c in found.labels] == found.predictions["label"].tolist()
    chosen = found.probabilities["mean"].argmax(axis=1)
    value = found.scores.query("candidate == 'mean' and metric == 'accuracy'")["value"].item()
    assert value == (chosen == found.labels).mean()


def test_writing_can_be_left_out(called: Path) -> None:
    assert not (called / TRIAL / "evaluation-val.json").exists()
    found = cass_cli.evaluate("p", runs=called, split="val", resamples=0, write=False)
    assert found.scores["low"].isna().all() and not (called / TRIAL / "evaluation-val.json").exists()


def test_predict_answers_as_its_command(called: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no image")
    out = tmp_path / "answers.csv"
    images = [pictures / "dark", tmp_path / "bad.png"]
    assert run(["predict", *map(str, images), "--runs", str(called), "--out", str(out)]) == 0
    told, found = pd.read_csv(out), cass_cli.predict(None, images, runs=called)
    assert list(found) == list(told)
    bad = found[found["image"] == str(tmp_path / "bad.png")]
    assert bad["status"].item().startswith("unreadable: ") and bad.drop(columns=["image", "status"]).isna().all(
        axis=None
    )
    for name in ("low_confidence", "arms_agree"):
        assert found[name].map({True: "yes", False: "no"}).fillna("").tolist() == told[name].fillna("").tolist()
        found, told = found.drop(columns=name), told.drop(columns=name)
    numbers = ["confidence", "p:dark", "p:light"]
    assert np.allclose(found[numbers], told[numbers], rtol=1e-5, atol=0, equal_nan=True)
    assert found.drop(columns=numbers).fillna("").equals(told.drop(columns=numbers).fillna(""))


def test_pixels_in_memory_are_answered_as_their_files(called: Path, pictures: Path, tmp_path: Path) -> None:
    files = sorted(pictures.rglob("*.png"))[:6]
    Image.fromarray(np.arange(30 * 50, dtype=np.uint8).reshape(30, 50)).save(tmp_path / "grey.png")
    stack = np.stack([np.asarray(Image.open(path)) for path in files])  # [6, 40, 40, 3]
    mixed = [Image.open(tmp_path / "grey.png"), *stack]  # of another size, and grey
    answers = cass_cli.predict("p", [tmp_path / "grey.png", *files], runs=called).drop(columns="image")
    by_pixels = cass_cli.predict("p", mixed, runs=called)
    assert by_pixels["image"].tolist() == [str(i) for i in range(7)]
    pd.testing.assert_frame_equal(by_pixels.drop(columns="image"), answers)
    of_stack = cass_cli.predict("p", stack, runs=called).drop(columns="image")
    pd.testing.assert_frame_equal(of_stack, answers[1:].reset_index(drop=True), rtol=1e-5)


@pytest.mark.parametrize(("images", "said"), [
    (np.zeros((40, 40, 3), np.uint8), r"\[40, 40, 3\], not \[N, H, W, 3\]"),
    ([np.zeros((40, 40, 3))], "Image 0 is float64"),
    ([np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40, 4), np.uint8)], r"Image 1 is uint8 \[40, 40, 4\]"),
    ([np.zeros((0, 40, 3), np.uint8)], "Image 0 is uint8"),
    ([], "There is no image"),
    ("nowhere", "There is no image, folder or CSV at nowhere"),
], ids=["one image", "floats", "transparent", "empty", "none", "no path"])  # fmt: skip
def test_what_is_no_image_is_refused(called: Path, images: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        cass_cli.predict("p", images, runs=called)


def test_predict_raises_where_no_image_can_be_read(called: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no image")
    with pytest.raises(DataError, match="The image cannot be read"):
        cass_cli.predict("p", tmp_path / "bad.png", runs=called)


def test_a_pretrained_arm_is_what_timm_loads(called: Path) -> None:
    for name, path in cass_cli.load_run("p", runs=called).arms().items():
        network, card = cass_cli.load_arm("p", name, runs=called)
        by_path, _ = cass_cli.load_arm(path)
        by_timm = timm.create_model(card.model, **card.options).eval()
        by_timm.load_state_dict(load_file(path), strict=True)
        images = torch.rand(2, 3, card.spec.size, card.spec.size)
        assert not network.training and not by_path.training
        assert torch.equal(network(images), by_timm(images)) and torch.equal(by_path(images), by_timm(images))


@pytest.mark.parametrize("arm", ["cnn", "vit", "joint"])
def test_a_fine_tuned_arm_is_the_classifier_that_predicts(called: Path, pictures: Path, arm: str) -> None:
    tuned = cass_cli.load_run("p", runs=called).finetuning()
    network, card = cass_cli.load_arm(tuned, arm)
    files = sorted(pictures.rglob("*.png"))[:4]
    size = (card.spec.size, card.spec.size)
    pixels = np.stack([np.asarray(Image.open(path).resize(size, Image.Resampling.BILINEAR)) for path in files])
    mean, std = np.array(card.spec.mean), np.array(card.spec.std)
    images = torch.from_numpy(((pixels / 255 - mean) / std).transpose(0, 3, 1, 2)).float()
    logits = network(images) / tuned.trials[-1].judgement.temperatures[arm]
    answers = cass_cli.predict(tuned, files, answer_by=arm)
    assert card.classes == ("dark", "light")
    assert np.allclose(logits.softmax(dim=1).numpy(), answers[["p:dark", "p:light"]], atol=1e-5)


def test_errors_are_those_of_the_commands(called: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(error: CassError) -> str:
        return " ".join(f"{error.what} {error.hint}".split())

    cases: list[tuple[Any, list[str]]] = [
        (lambda: cass_cli.pretrain(tmp_path / "none"), ["pretrain", "--data", str(tmp_path / "none")]),
        (lambda: cass_cli.pretrain(preset="dmeo"), ["pretrain", "--preset", "dmeo"]),
        (
            lambda: cass_cli.pretrain(preset="demo", settings={"train.epoch": 3}),
            ["pretrain", "--preset", "demo", "--set", "train.epoch=3"],
        ),
        (
            lambda: cass_cli.pretrain(preset="demo", runs=called, name="p"),
            ["pretrain", "--preset", "demo", "--runs", str(called), "--name", "p"],
        ),
        (lambda: cass_cli.pretrain(verify=True), ["pretrain", "--verify"]),
        (lambda: cass_cli.finetune("q", runs=called), ["finetune", "--run", "q", "--runs", str(called)]),
        (
            lambda: cass_cli.evaluate("p", runs=called, label_fraction=0.7),
            ["evaluate", "--run", "p", "--runs", str(called), "--label-fraction", "0.7"],
        ),
    ]
    for call, command in cases:
        with pytest.raises(CassError) as caught:
            call()
        capsys.readouterr()
        assert run(command) == 2
        assert told(caught.value) in " ".join(capsys.readouterr().err.split()), command


def test_an_arm_that_is_not_there_is_named(called: Path) -> None:
    with pytest.raises(RunError, match=r"There is no arm 'cn' in .* Did you mean 'cnn'"):
        cass_cli.load_arm("p", "cn", runs=called)
    with pytest.raises(RunError, match="Which arm of"):
        cass_cli.load_arm(cass_cli.load_run("p", runs=called))
    with pytest.raises(ConfigError, match="has no 'resnet'"):
        cass_cli.predict("p", np.zeros((1, 8, 8, 3), np.uint8), answer_by="resnet", runs=called)


TWO = SMALL | {"epochs": 2}


def test_a_notebooks_interrupt_saves_and_raises(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes on from there ends with the very arms of a training that nobody interrupted."""
    steps: list[int] = []

    def interrupt(_watch: Quiet, stats: Any) -> None:
        steps.append(stats.batch)
        if len(steps) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    whole = cass_cli.pretrain(pictures, **TWO, runs=tmp_path, name="whole")
    with monkeypatch.context() as patch:
        patch.setattr(Quiet, "step", interrupt)
        with pytest.raises(KeyboardInterrupt, match="saved"):
            cass_cli.pretrain(pictures, **TWO, runs=tmp_path, name="parts")
    assert len(steps) == 2 and not cass_cli.load_run("parts", runs=tmp_path).arms()
    parts = cass_cli.pretrain(runs=tmp_path, name="parts", resume=True)
    for name, path in whole.arms().items():
        assert path.read_bytes() == parts.arms()[name].read_bytes(), name


def test_another_signal_does_what_it_would_have_done(pictures: Path, tmp_path: Path) -> None:
    """SIGTERM, which no handler of its own awaits, ends the process once the training is saved."""
    code = (
        "import os, signal, sys, cass_cli\nfrom cass_cli.api.quiet import Quiet\n"
        "def step(watch, stats):\n    Quiet.step = lambda *_: None\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        f"Quiet.step = step\ncass_cli.pretrain({str(pictures)!r}, **{TWO!r}, runs={str(tmp_path)!r}, name='ended')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGTERM, ended.stderr
    assert (tmp_path / "ended" / "checkpoints" / "last" / "state.pt").is_file()


def test_a_thread_trains_the_same_arms(pictures: Path, called: Path, tmp_path: Path) -> None:
    found: list[Any] = []
    settings = {"optim.warmup": 0.1}

    def train_there() -> None:
        torch.set_num_threads(1)
        try:
            found.append(cass_cli.pretrain(pictures, **SMALL, runs=tmp_path, name="p", settings=settings))
        except BaseException as error:  # shown by the assertion
            found.append(error)

    thread = threading.Thread(target=train_there)
    thread.start()
    thread.join()
    assert isinstance(found[0], cass_cli.api.views.RunView), found
    for name, path in found[0].arms().items():
        assert path.read_bytes() == (called / "p" / "arms" / path.name).read_bytes(), name


def test_a_collapse_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = QuietPretraining()
    for state in ("healthy", "collapsed", "collapsed"):
        watch.epoch(SimpleNamespace(states={"cnn": "healthy", "vit": state}))  # type: ignore[arg-type]
    assert [(r.levelno, r.name) for r in caplog.records] == [(logging.WARNING, "cass_cli")]
    assert caplog.messages[0].startswith("vit has collapsed.")


def run_unheard(arguments: list[str]) -> int:
    with redirect_stdout(io.StringIO()):
        return run(arguments)


def test_the_examples_in_the_docstrings_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("pretrain", "finetune", "evaluate", "predict", "load_run", "load_arm", "ensemble", "embed", "grid")
    small = "data: demo, data.image_size: 32, arms.cnn: test_resnet, arms.vit: test_vit, arms.output_stride: null"
    Path("starts.yaml").write_text(f"settings: {{{small}}}\naxes: {{method: [transfer], finetune_seed: [0, 1]}}\n")
    monkeypatch.setattr(running, "_watched", lambda arguments, *_how: run_unheard(arguments[3:]))
    given: dict[str, Any] = {"np": np, "torch": torch, **{name: getattr(cass_cli, name) for name in names}}
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    for name in names:
        (test,) = finder.find(given[name], name, globs=dict(given))
        assert test.examples, name
        runner.run(test)
    assert runner.summarize().failed == 0
    assert {train, measure, load, embedding, gridding} == {sys.modules[given[name].__module__] for name in names}
