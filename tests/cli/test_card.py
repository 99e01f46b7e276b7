"""`cass card` as users run it, and what the report says of it and of `cass errors`."""

from __future__ import annotations

import html
import json
import shutil
from pathlib import Path

import pytest

from cass_cli.cli.app import run


@pytest.fixture
def runs(tuned: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "runs"
    shutil.copytree(tuned, copied, symlinks=True)
    return copied


def test_a_card_says_what_was_measured_once_it_was(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["card", "p", "--runs", str(runs), "--label-fraction", "0.3", "--seed", "1"]
    assert run(command) == 0
    said = capsys.readouterr().out
    assert "Not measured: cass evaluate" in said and "No page of wrong answers: cass errors" in said
    trial = runs / "p" / "finetune" / "pretrained-paper" / "0.3" / "seed1"
    assert "Not measured: cass evaluate" in (trial / "model-card.md").read_text()
    named = ["--runs", str(runs), "--label-fraction", "0.3", "--seed", "1"]
    assert run(["evaluate", *named, "--resamples", "20"]) == 0
    assert run(["errors", *named, "--count", "1", "--no-label-check"]) == 0
    capsys.readouterr()
    assert run([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["measured"] and all(Path(path).is_file() for path in told["files"])
    card = json.loads((trial / "model-card.json").read_text())
    evaluation = json.loads((trial / "evaluation-test.json").read_text())
    assert card["scores"]["test"]["vit"] == evaluation["scores"]["vit"]["metrics"]
    assert card["flow"]["seen"] == json.loads((trial / "summary.json").read_text())["labels"]
    assert card["seed"] == 1 and card["label_fraction"] == 0.3
    assert card["known"]["failure"].endswith("errors-test.html.")
    text = (trial / "model-card.md").read_text()
    assert "Not measured" not in text and str(runs.parent) not in text + json.dumps(card)


def test_the_report_names_both_or_the_commands_that_make_them(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def page() -> str:
        assert run(["report", "p", "--runs", str(runs)]) == 0
        return html.unescape((runs / "p" / "report.html").read_text())

    before = page()
    assert "not made: <code>cass errors --run" in before and "not made: <code>cass card " in before
    assert run(["card", "p", "--runs", str(runs)]) == 0
    assert run(["errors", "--runs", str(runs), "--count", "1", "--no-label-check"]) == 0
    after = page()
    assert "<code>1/seed0/model-card.md</code>" in after and "<code>1/seed0/errors-test.html</code>" in after


def test_files_of_others_are_kept(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "paper"
    command = ["card", "p", "--runs", str(runs), "--out", str(out)]
    assert run(command) == 0 and run(command) == 0
    (out / "checklist-claim.md").write_text("# filled in by me")
    before = (out / "model-card.md").read_bytes()
    (out / "model-card.json").unlink()
    assert run(command) == 2
    assert "no file of cass card" in capsys.readouterr().err
    assert (out / "checklist-claim.md").read_text() == "# filled in by me"
    assert (out / "model-card.md").read_bytes() == before and not (out / "model-card.json").exists()


@pytest.mark.parametrize("name", ["model-card.md", "checklist-tripod-ai.md", "model-card.json"])
def test_what_the_authors_filled_in_is_kept(
    runs: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "paper"
    command = ["card", "p", "--runs", str(runs), "--out", str(out)]
    assert run(command) == 0
    text = (out / name).read_text()
    (out / name).write_text(
        "{}" if name.endswith("json") else text.replace("the title: …", "A study").replace(": …", "x")
    )
    changed = (out / name).read_text()
    assert changed != text and run(command) == 2
    assert "is not overwritten" in " ".join(capsys.readouterr().err.split())
    assert (out / name).read_text() == changed
    (out / name).unlink()
    assert run(command) == 0


@pytest.mark.parametrize(
    ("words", "what"),
    [(["q"], "There is no run 'q'"), (["p", "--variant", "x"], "no fine-tuning 'x'"), (["p", "--seed", "7"], "seed 7")],
)
def test_what_is_not_there_is_named(
    tuned: Path, words: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["card", *words, "--runs", str(tuned)]) == 2
    assert what in " ".join(capsys.readouterr().err.split())


def test_a_run_without_fine_tuning_has_no_card(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(pretrained, runs, symlinks=True, ignore=shutil.ignore_patterns("finetune"))
    assert run(["card", "--runs", str(runs)]) == 2
    assert "has not been fine-tuned yet" in capsys.readouterr().err
