"""The paragraph for a clinician: every number in it is of the run's files, and what they do not tell is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cass_cli.files import write_json
from cass_cli.reports.html import render
from cass_cli.reports.summary_in_words import in_words, told_of
from cass_cli.runs.directory import Run
from cass_cli.runs.facts import RunFacts, gather_report
from cass_cli.scores.metrics import METRICS
from tests.reports.runs_on_disk import CLASSES, add_trial, write_run


def facts_of(run: Path) -> RunFacts:
    return gather_report([Run(run)]).runs[0]


def words_of(run: Path) -> str:
    return " ".join(f"{lead}: {said}" for lead, said in in_words(facts_of(run)).items())


def changed(path: Path, **changes: Any) -> None:
    write_json(path, json.loads(path.read_text()) | changes)


def with_scores(trial: Path, name: str = "mean", **changes: Any) -> None:
    """Change what the trial's evaluation says of a candidate."""
    found = json.loads((trial / "evaluation-test.json").read_text())
    found["scores"][name] |= changes
    write_json(trial / "evaluation-test.json", found)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "one")


def test_what_it_was_trained_on_how_good_it_is_and_whom_to_trust(run: Path) -> None:
    add_trial(run)
    words = words_of(run)
    assert "resnet50) and a Transformer (vit_base_patch16_384) were pretrained by CASS" in words
    assert "without labels, on 4 images. " in words
    assert (
        "then learned the labels of 4 images (all of the labelled training images), and tell 2 classes apart: <b>& and"
        in words
    )
    assert "Of 12 images 4 were kept to choose by (validation) and 4 to test with" in words
    assert "It answered 3 of 4 test images rightly" in words  # the diagonal of [[2, 0], [1, 1]]
    assert (
        "On average over 2 classes it recognised 72 % of their images (95 % interval: 67 % to 77 %; guessing: 50 %)."
        in words
    )
    assert "macro F1, which counts false alarms too, is 0.72 of 1 (95 % interval: 0.67 to 0.77)" in words
    assert "The mean of both networks' answers, as validation images chose" in words
    assert "less than 50 % sure" in words and "off by about 72 percentage points" in words
    assert "not a medical device" in words and "not shown to be better" not in words


def test_it_stands_first_and_is_no_markup(run: Path) -> None:
    add_trial(run)
    page = render(gather_report([Run(run)]))
    assert page.index('<p class="words">') < page.index('class="contents"')
    assert "&lt;b&gt;&amp; and plain" in page and "<b>&" not in page
    several = render(gather_report([Run(run), Run(write_run(run.parent / "two"))]))
    assert several.count('<p class="words">') == 2


@pytest.mark.parametrize(("low", "said"), [(0.49, True), (0.51, False)])
def test_what_guessing_would_reach_is_not_called_better(run: Path, low: float, said: bool) -> None:
    trial = add_trial(run)
    metrics = {name: {"value": 0.6, "low": low, "high": 0.7} for name in METRICS}
    with_scores(trial, metrics=metrics)
    assert ("not shown to be better than guessing" in words_of(run)) == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.4, 0.8, "rough"),
        (0.55, 0.7, "any figure in that range"),
        (0.59, 0.62, "firm"),
        (None, None, "cannot be said"),
    ],
)
def test_how_sure_it_is_follows_the_interval(run: Path, low: float | None, high: float | None, said: str) -> None:
    with_scores(add_trial(run), metrics={name: {"value": 0.6, "low": low, "high": high} for name in METRICS})
    words = words_of(run)
    assert said in words and ("interval" in words) == (low is not None)


def test_the_weakest_class_is_counted(run: Path) -> None:
    trial = add_trial(run)
    f1 = {CLASSES[0]: 0.8, CLASSES[1]: 0.67}
    of = {
        kind: {c: {"value": f1[c], "low": None, "high": None} for c in CLASSES}
        for kind in ("f1", "precision", "recall")
    }
    per_class = json.loads((trial / "evaluation-test.json").read_text())["scores"]["mean"]["per_class"] | of
    with_scores(trial, per_class=per_class)
    words = words_of(run)
    assert "weakest on plain (1 of 2 test images found; 1 of 1 such answer right)" in words
    assert "Of each class there are fewer than 10 test images" in words


def test_several_findings_an_image_are_counted_by_finding(run: Path) -> None:
    trial = add_trial(run)
    tables = [[[1, 1], [0, 2]], [[2, 0], [2, 0]]]  # 2 hits of 4 there, 3 named
    for name in ("cnn", "vit", "mean"):
        with_scores(trial, name, multilabel=True, confusion=tables)
    judged = json.loads((trial / "summary.json").read_text())["judgement"]
    judged["thresholds"] = {name: [0.5, 0.5] for name in ("cnn", "vit", "mean")}
    changed(trial / "summary.json", multilabel=True, judgement=judged)
    words = words_of(run)
    assert (
        "On 4 test images it found 2 of the 4 findings that are there, and 2 of the 3 that it named are right" in words
    )
    assert "findings (an image may show several)" in words and "guessing" not in words


def test_one_arm_is_named_and_none_chosen(run: Path) -> None:
    trial = add_trial(run)
    saved = json.loads((trial / "summary.json").read_text())
    judged = saved["judgement"] | {"temperatures": {"cnn": 1.0}, "pick": "cnn"}
    changed(trial / "summary.json", arms={"cnn": saved["arms"]["cnn"]}, judgement=judged)
    found = json.loads((trial / "evaluation-test.json").read_text())
    write_json(
        trial / "evaluation-test.json", found | {"recommended": "cnn", "scores": {"cnn": found["scores"]["cnn"]}}
    )
    words = words_of(run)
    assert "That of the CNN (model-cnn), the only network here" in words and "macro F1" in words and "0.71" in words


def test_without_validation_images_nobody_chose_and_nothing_is_calibrated(run: Path) -> None:
    trial = add_trial(run)
    changed(trial / "summary.json", images={"val": 0, "test": 4})
    words = words_of(run)
    assert "as there were no validation images to choose by" in words and "not calibrated" in words
    assert "flags answers" not in words


def test_without_test_images_no_score_is_told_but_that_it_is_unknown(run: Path) -> None:
    trial = add_trial(run)
    (trial / "evaluation-test.json").unlink()
    validation = {name: dict.fromkeys(METRICS, 0.9) for name in ("cnn", "vit", "mean")}
    changed(trial / "summary.json", images={"val": 2, "test": 0}, test={}, validation=validation)
    words = words_of(run)
    assert "There are no test images" in words and "On 2 validation images" in words and "that flatters" in words


def test_without_an_evaluation_the_score_has_no_interval(run: Path) -> None:
    (add_trial(run) / "evaluation-test.json").unlink()
    words = words_of(run)
    assert "On 4 test images its macro F1 is 0.72 (1 is faultless)" in words and "cass evaluate tells" in words
    assert "weakest" not in words


def test_seeds_and_fractions_and_variants_are_told_apart(run: Path) -> None:
    add_trial(run, seed=1)
    add_trial(run)
    add_trial(run, variant="imagenet-paper", init="imagenet")
    (run / "finetune" / "latest").symlink_to("pretrained-paper")
    words = words_of(run)
    assert "fine-tuning pretrained-paper (one of 2), with all of the labels and seed 0" in words
    assert "Repeated with 2 draws of chance (seeds), the macro F1 is 0.73 on average" in words
    assert told_of(facts_of(run)).summary.seed == 0  # type: ignore[union-attr]
    assert "began with" not in words


def test_the_largest_share_of_the_labels_is_told_of(run: Path) -> None:
    whole = add_trial(run)
    tenth = run / "finetune" / "pretrained-paper" / "0.1" / "seed0"
    shutil.copytree(whole, tenth)
    changed(tenth / "summary.json", fraction=0.1, labels=1)
    assert told_of(facts_of(run)).summary.fraction == 1  # type: ignore[union-attr]
    assert "fine-tuning pretrained-paper, with all of the labels and seed 0" in words_of(run)


def test_another_start_is_named_and_a_better_one_pointed_to(run: Path) -> None:
    first = add_trial(run, variant="imagenet-paper", init="imagenet")
    other = add_trial(run, variant="random-paper", init="random")
    for trial, start, score in ((first, "imagenet", 0.6), (other, "random", 0.7)):
        arms = json.loads((trial / "summary.json").read_text())["arms"]
        validation = {"mean": dict.fromkeys(METRICS, score)}
        changed(trial / "summary.json", arms={n: a | {"start": start} for n, a in arms.items()}, validation=validation)
    (run / "finetune" / "latest").symlink_to("imagenet-paper")
    words = words_of(run)
    assert "Fine-tuning began with ImageNet weights. " in words
    assert "On validation images random-paper scored higher (0.70 against 0.60)" in words


def test_networks_that_were_not_pretrained_are_named_too(run: Path) -> None:
    arms = {"cnn": "imagenet", "vit": "imagenet"}
    trial = add_trial(run, variant="imagenet-probe", init="imagenet")
    saved = json.loads((trial / "summary.json").read_text())["arms"]
    changed(trial / "summary.json", recipe="probe", arms={n: saved[n] | {"start": start} for n, start in arms.items()})
    for name in ("metrics.jsonl", "summary.json"):
        (run / name).unlink()
    words = words_of(run)
    assert "Nothing was pretrained on these images: a CNN (model-cnn) and a Transformer (model-vit) were taken" in words
    assert "Fine-tuning began with ImageNet weights. A regression on what they see was fitted to the labels" in words


def test_what_nobody_showed_is_named(run: Path) -> None:
    trial = add_trial(run)
    changed(trial / "summary.json", unseen=["plain"], untested=["<b>&"])
    words = words_of(run)
    assert "No training image shows plain" in words and "No test image shows <b>&" in words


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (("", "", ""), "Which images are of one patient is not known"),
        (("a", "b", "c"), "No known patient or lesion is in two splits"),
        (("a", "a", "c"), "1 patient or lesion is in more than one split, so the figures may be"),
    ],
)
def test_what_the_groups_say(tmp_path: Path, groups: tuple[str, ...], said: str) -> None:
    images = tuple((split, CLASSES[0], group) for split, group in zip(("train", "val", "test"), groups, strict=True))
    run = write_run(tmp_path / "one", splits=images)
    add_trial(run)
    assert said in words_of(run)


def test_a_run_without_a_fine_tuning_says_that_nothing_is_known(tmp_path: Path) -> None:
    words = words_of(write_run(tmp_path / "one", epochs=9, done=2, state="collapsed"))
    assert "That is unfinished: 2 of 9 epochs are done. The CNN collapsed" in words
    assert "How good: That is not known: nothing was taught to tell classes apart yet" in words
    assert "Which answer" not in words and "weakest" not in words
    assert "No epoch" in words_of(write_run(tmp_path / "none", done=0))


def test_what_cannot_be_read_is_said_and_the_rest_told(run: Path) -> None:
    add_trial(run)
    (run / "config.yaml").write_text("train: [")
    words = words_of(run)
    assert "Pretrained without labels on 4 images: the CNN and the Transformer. With which settings cannot be" in words
    assert "It answered 3 of 4 test images rightly" in words
    (run / "metrics.jsonl").unlink()
    (run / "splits.csv").unlink()
    words = words_of(run)
    assert "What the pretraining did cannot be read." in words
    assert "Which images it was trained on cannot be read." in words and "It answered 3 of 4" in words
