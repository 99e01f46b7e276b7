"""The checklists are whole, and an item is answered only by what a run knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cass_cli.reports.card_facts import card_facts
from cass_cli.reports.card_files import NAMES, write_card
from cass_cli.reports.card_known import Known, gather_known
from cass_cli.reports.checklists import BLANK, fill, lines
from cass_cli.runs.names import find
from tests.conftest import REPO
from tests.reports.runs_on_disk import add_trial, write_run

IMAGES = (("train", "plain", "p1"), ("train", "<b>&", "p2"), ("val", "plain", "p3"), ("test", "plain", "p4"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = write_run(tmp_path / "one", splits=IMAGES)
    add_trial(path)
    return path


def known_of(run: Path) -> Known:
    return gather_known(find(run.parent, run.name).trial())


def test_every_item_of_each_is_there_once(run: Path) -> None:
    filled = fill(card_facts(known_of(run)))
    wanted = {
        "tripod-ai": [*range(1, 28)],
        "claim": [*range(1, 45)],
        "stard": [*range(1, 31)],
    }
    parts = {
        "tripod-ai": {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab"}
        | {27: "abc"},
        "claim": {},
        "stard": {10: "ab", 12: "ab", 13: "ab", 21: "ab"},
    }
    for name, numbers in wanted.items():
        items = [f"{n}{part}" for n in numbers for part in parts[name].get(n, " ")]
        assert [item.item for item in filled[name].items] == [item.strip() for item in items]
        assert all(item.known or item.blank for item in filled[name].items), "none is passed over"
        assert len({item.topic for item in filled[name].items}) > 8


def test_every_fact_is_asked_for(run: Path) -> None:
    text = (REPO / "cass_cli" / "reports" / "checklists.yaml").read_text()
    assert set(re.findall(r"^ +fact: (\w+)$", text, re.MULTILINE)) == set(card_facts(known_of(run)))


def test_the_page_counts_what_is_answered(run: Path) -> None:
    page = (REPO / "docs" / "report.md").read_text()
    for name, of in fill(card_facts(known_of(run))).items():
        whole = sum(bool(item.known) and not item.blank for item in of.items)
        partly = sum(bool(item.known and item.blank) for item in of.items)
        told = f"{whole}, {partly}, {len(of.items) - whole - partly} |"
        row = next(line for line in page.splitlines() if line.startswith(f"| `checklist-{name}.md`"))
        assert row.endswith(told), told
        assert f"{whole} are answered by the run and {partly} in part" in "\n".join(lines(of, "cass card"))


def test_what_is_not_measured_is_not_answered(run: Path) -> None:
    measured = card_facts(known_of(run))
    assert "macro F1 0.723 (0.673 to 0.773)" in measured["performance"]
    assert "over whole patients or lesions" in measured["uncertainty"]
    assert "plain 1" in measured["crosstab"] and "recall 0.723" in measured["crosstab"]
    next(run.rglob("evaluation-test.json")).unlink()
    facts = card_facts(known_of(run))
    for name in ("performance", "uncertainty", "crosstab", "internal"):
        assert facts[name].startswith("Not measured: cass evaluate"), name
    assert facts["failure"].startswith("Not made: cass errors")
    assert "0.7" not in facts["performance"]


def test_patients_are_counted_and_leaks_are_told(run: Path) -> None:
    facts = card_facts(known_of(run))
    assert "train 2 images of 2 known patients or lesions" in facts["flow"]
    assert facts["disjoint"].startswith("Patients or lesions: none that is known is in two splits.")
    leaking = (*IMAGES[:3], ("test", "plain", "p1"))
    other = write_run(run.parent / "other", splits=leaking)
    add_trial(other)
    assert "1 known patient or lesion is in several splits" in card_facts(known_of(other))["disjoint"]
    unknown = write_run(run.parent / "unknown")
    add_trial(unknown)
    facts = card_facts(known_of(unknown))
    assert "is not known to the run" in facts["disjoint"] and "no patients are known" in facts["uncertainty"]


def test_what_was_left_out_is_told_with_why(run: Path) -> None:
    with (run / "splits.csv").open("a") as file:
        file.write("x.png,train,plain,p9,unreadable: cut off\ny.png,,,,left out: no such file\n")
    facts = card_facts(known_of(run))
    assert facts["excluded"] == "Left out: 1 (could not be read), 1 (no such file)."
    assert "6 images" in facts["flow"]


def test_the_card_is_markdown_that_acts_upon_nothing(run: Path, tmp_path: Path) -> None:
    files = write_card(known_of(run), tmp_path / "out")
    assert [path.name for path in files] == [*NAMES, "model-card.json"]
    assert files[0].name == "model-card.md"
    text = files[0].read_text()
    assert "<b>" not in text.replace(r"\<b", "") and r"\<b\>\&" in text
    assert text.count(BLANK) == 3 and "## Limits" in text
    assert "| found | 4 | 4 |" in text and "| train, used | 2 | 2 |" in text
    assert "| macro F1 | 0.712 (0.662 to 0.762) | 0.612 (0.562 to 0.662) | 0.723 (0.673 to 0.773) |" in text
    assert "not a medical device" in text
    for path in files:
        assert str(tmp_path) not in path.read_text() and "/my images" not in path.read_text()


def test_damage_elsewhere_in_the_run_is_told_in_the_card(run: Path) -> None:
    (run / "environment.json").write_text("{")
    assert "environment.json" in card_facts(known_of(run))["limits"]
