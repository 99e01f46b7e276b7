"""What is printed fits its terminal: no line is longer, no model's name is broken, nothing that counts is cut off."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from cass_cli.cli.app import run
from cass_cli.data.corruptions import KINDS, STRENGTHS
from cass_cli.engine.finetuning.corrupted import Corrupted
from cass_cli.engine.finetuning.evaluate import Evaluation
from cass_cli.engine.finetuning.shared import Beginning
from cass_cli.reports.evaluation import show_evaluation
from cass_cli.reports.finetuning import FinetuneDisplay, scores_table
from cass_cli.reports.guide import show_guide
from cass_cli.reports.pretraining import PretrainDisplay
from cass_cli.reports.tables import print_table
from cass_cli.runs.directory import Run
from cass_cli.runs.trials import Variant
from cass_cli.scores.goals import Goal
from cass_cli.scores.metrics import score
from cass_cli.scores.operating import choose_thresholds, operating_point
from cass_cli.scores.robustness import fragilities, level
from cass_cli.scores.use import judge_use
from tests.cli.conftest import make_pictures
from tests.reports.runs_on_disk import add_trial, write_run
from tests.runs.summaries import ARMS, JUDGEMENT, summary_of

VIT = "vit_small_patch14_reg4_dinov2.lvd142m"
LONG = "benign keratosis-like lesions (solar lentigines, seborrhoeic keratoses)"
WIDTHS = (40, 80, 120)


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A terminal without colours, so many characters wide."""
    for name, value in (("COLUMNS", request.param), ("LINES", 40), ("FORCE_COLOR", 1), ("NO_COLOR", 1)):
        monkeypatch.setenv(name, str(value))
    return int(request.param)


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out)
    return [line.rstrip() for line in shown.splitlines()]


def joined(lines: list[str]) -> str:
    """All letters in their order, wherever lines were broken."""
    return "".join("".join(lines).split())


def evaluation(path: Path) -> Evaluation:
    rng = np.random.default_rng(0)
    classes = (LONG, "melanoma", "nevus")
    labels = np.arange(60) % 3
    names = ("cnn", "vit", "mean", "joint")
    given = {name: rng.dirichlet(np.ones(3), size=60) for name in names}
    arms = {arm: of | {"model": VIT} for arm, of in ARMS.items()}
    judged = JUDGEMENT | {"temperatures": {"cnn": 1.0, "vit": 1.0, "joint": 1.0}, "pick": "joint"}
    goal, places = Goal("sensitivity", 0.95), range(3)
    points = {}
    for name, p in given.items():
        chosen = choose_thresholds(goal, labels, p, classes, places)
        share = np.array([0.001, 0.02, np.nan])
        points[name] = (operating_point(chosen, labels, p, classes, places, assumed=share, resamples=20),)
    summary = summary_of(classes=classes, arms=arms, judgement=judged, recipe="probe", fraction=0.1, labels=42)
    return Evaluation(
        trial=Variant(Run(path), "pretrained-probe").trial(0.1, 0),
        summary=summary,
        split="test",
        scores={name: score(labels, p, classes, resamples=20) for name, p in given.items()},
        use={name: judge_use(labels, p, classes, places, resamples=20) for name, p in given.items()},
        operating_points=points,
        told=tuple(places),
        over_seeds=(),
        images=tuple(map(str, range(60))),
        groups=None,
        labels=labels,
        probabilities=given,
        notes=("A note that is long enough to be broken into two lines at any of these terminals, wider or not.",),
        older_than_arms=(),
        corrupted=corrupted(names, labels, given),
    )


def corrupted(names: tuple[str, ...], labels: np.ndarray, given: dict[str, np.ndarray]) -> Corrupted:
    """Every candidate answers at every strength as the one after it does on clean images."""
    clean = {name: level(labels, p, "macro_f1", resamples=20) for name, p in given.items()}
    worse = {name: clean[after] for name, after in zip(names, (*names[1:], names[0]), strict=True)}
    candidates = fragilities(clean, {kind: [worse] * len(STRENGTHS) for kind in KINDS}, "macro_f1", baseline="cnn")
    image = np.zeros((3, 8, 8), np.uint8)
    return Corrupted("macro_f1", "cnn", candidates, 60, 3600, 31, 121.0, 118.0, ("A note of corruption.",), image)


def test_an_evaluation(tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str]) -> None:
    show_evaluation(evaluation(tmp_path))
    lines = lines_of(capsys)
    assert max(map(len, lines)) <= width, lines
    assert sum(VIT in line for line in lines) == 2, "each whole, on a line"
    text = joined(lines)
    assert "…" not in text and "10 % of the training labels".replace(" ", "") in text
    for name in (
        *("cnn", "vit", "mean", "joint"),
        *LONG.split(),
        "melanoma",
        "nevus",
        "macroF1",
        "AUROC",
        "ECE",
        "Brierscore",
        "sensitivity=0.95",
        "specificity",
        "LR+",
        "risk–coverage",
        *(title.replace(" ", "") for title in KINDS.values()),
        "60of3,600images,drawnintheclasses'shares,31wholegroups.Ittook2min01s;1min58swereforecast",
        "Anoteofcorruption",
    ):
        assert name in text, name
    assert len(re.findall(r"0\.\d{3}", text)) >= 4 * 8 + 3 * 5


def test_a_file_has_whole_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    show_evaluation(evaluation(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert any("macro F1" in line and line.count("(") == 4 for line in lines), "a row is a line"
    assert any(LONG in line and line.count(".") >= 4 for line in lines)
    assert any(line.startswith("• A note") and line.endswith("or not.") for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_a_fine_tuning(tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str]) -> None:
    scores = {name: {"macro_f1": 0.5, "balanced_accuracy": 0.25, "auroc": 0.75} for name in ("cnn", "vit", "mean")}
    trials = tuple(summary_of(test=scores, fraction=fraction, labels=n) for fraction, n in ((0.1, 42), (1.0, 420)))
    result: Any = SimpleNamespace(metric="macro_f1", trials=trials)
    print_table(Console(), scores_table(result), names=3)
    lines = lines_of(capsys)
    assert max(map(len, lines)) <= width
    text = joined(lines)
    assert "…" not in text and text.count("0.500") == 2 * 4 and "10%" in text and "100%" in text and "420" in text


@pytest.mark.parametrize(
    ("fraction", "said"), [(1.0, "42 labels (all training labels)"), (0.1, "42 labels (10 % of the training labels)")]
)
def test_it_is_said_which_labels_are_seen(
    fraction: float, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = Variant(Run(tmp_path), "pretrained-probe").trial(fraction, 0)
    compute: Any = "cpu, fp32"
    with FinetuneDisplay() as display:
        display.begins(Beginning(trial, 1, 2, ("cnn", "vit"), 42, compute, "macro_f1", 0, 0))
    lines = capsys.readouterr().out.splitlines()
    assert said in lines[0] and str(trial.path) in lines[1]


def test_a_pretraining_names_its_arms_whole(tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str]) -> None:
    session: Any = SimpleNamespace(
        arms={"cnn": SimpleNamespace(name="tf_efficientnet_lite0"), "vit": SimpleNamespace(name=VIT)},
        store=SimpleNamespace(images=np.zeros((1, 3, 112, 112))),
        train=SimpleNamespace(batch_size=16, epochs=4),
        world=SimpleNamespace(size=1),
        **{"compute": "cpu, fp32", "compiled": False, "images": 420, "steps": 108, "epoch": 0, "step": 0, "seen": 0},
        start_gauges={},
    )
    PretrainDisplay(4).started(session, SimpleNamespace(memory_bytes=2**30), Run(Path("r")))  # type: ignore[arg-type]
    lines = lines_of(capsys)
    assert max(map(len, lines)) <= width
    assert any(VIT in line for line in lines) and "420trainingimages" in joined(lines)


def test_an_inspection(tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str]) -> None:
    make_pictures(tmp_path / "pictures", per_class=6, classes=(LONG, "dark"))
    assert run(["inspect", str(tmp_path / "pictures")]) == 0
    lines = [line for line in lines_of(capsys) if "cass pretrain" not in line]  # a command is copied whole
    assert max(map(len, lines)) <= width
    assert all(word in joined(lines) for word in (*LONG.split(), "dark")) and "…" not in joined(lines)


def test_the_guide(tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str]) -> None:
    add_trial(write_run(tmp_path / "one"))
    (tmp_path / "latest").symlink_to("one")
    show_guide(tmp_path)
    lines = lines_of(capsys)
    assert max(map(len, lines)) <= width
    assert "Latestrun:one" in joined(lines)


@pytest.mark.parametrize("room", [20, 60])
def test_a_table_too_wide_becomes_a_block_a_row(room: int, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(box=None, pad_edge=False, title="of [b]all[/]")
    table.add_column("name", overflow="fold")
    for heading in ("first", "second"):
        table.add_column(heading, justify="right")
    table.add_row("a name that is long", "1.234567", "[dim]7.654321[/]")
    table.add_row("other", "", "2")
    print_table(Console(width=room, force_terminal=True, no_color=True), table)
    lines = lines_of(capsys)
    if room == 60:
        assert lines[0] == "of all" and lines[2].split() == ["a", "name", "that", "is", "long", "1.234567", "7.654321"]
    else:
        assert lines == [
            "of all",
            "a name that is long",
            "  first   1.234567",
            "  second  7.654321",
            "other",
            "  second  2",
        ]
