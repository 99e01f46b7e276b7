"""No number is typed twice: the README's table is the committed result's, and the tables say what their files hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from docs.tools.fill import nth_table
from docs.tools.places import REPO
from docs.tools.tables import TABLES, markdown

RESULTS = REPO / "benchmarks" / "results"
AVX2, AVX512 = RESULTS / "amd-epyc-2-cores-avx2", RESULTS / "amd-epyc-2-cores-avx512"


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_table_of_the_readme_is_the_committed_result() -> None:
    readme = (REPO / "README.md").read_text(encoding="utf-8")
    assert TABLES["answers"](AVX512 / "answers.json") in readme


def test_a_score_of_one_seed_has_no_interval(tmp_path: Path) -> None:
    cell = {"set": "ham10000", "labels": 26, "fraction": 0.01, "recipe": "probe", "candidate": "pick", "mean": 0.5}
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"cells": [cell | {"n": 1, "low": None, "high": None}]}))
    assert cells(TABLES["answers"](path))[2] == ["HAM10000, 26 (1 %)", "", ".500", ""]


def test_answers_are_those_of_the_page_beside_the_result() -> None:
    """`benchmarks/answers.py` wrote answers.md from the same file: set, labels, recipe → pick."""
    theirs = {(row[0], row[1].split()[0], row[2]): row[8] for row in cells(nth_table(_path("answers.md"), 1))[2:]}
    names = {"HAM10000": "ham10000", "brain MRI": "brain_mri", "Chula RBC-12": "chula_rbc12"}
    compared = 0
    for labels, *ours in cells(TABLES["answers"](AVX512 / "answers.json"))[2:]:
        name, number = labels.split(",", 1)
        for recipe, cell in zip(("pooled", "probe", "paper"), ours, strict=True):
            known = theirs.get((names[name], number.split()[0], recipe))
            assert (known or "").replace("0.", ".").removesuffix(" ± .000") == cell
            compared += 1
    assert compared == 27


def _path(name: str) -> str:
    return str((AVX512 / name).relative_to(REPO))


def test_a_table_follows_its_file(tmp_path: Path) -> None:
    result = json.loads((AVX2 / "collapse.json").read_text(encoding="utf-8"))
    assert "0.326, healthy" in TABLES["collapse"](AVX2 / "collapse.json")
    result["runs"]["1e-5"][-1]["gauges"]["cnn"]["outputs"]["cosine"] = 0.77
    (tmp_path / "collapse.json").write_text(json.dumps(result))
    assert "0.770, healthy" in TABLES["collapse"](tmp_path / "collapse.json")


def test_fractions_and_starts_are_those_of_labels_md() -> None:
    """Each interval of our tables stands in the page that `benchmarks/labels.py` wrote from the same files."""
    page = (AVX2 / "labels.md").read_text(encoding="utf-8").replace("0.", ".").replace("-.", "−.")
    ours = TABLES["fractions"](AVX2) + TABLES["starts"](AVX2 / "labels-brain56-10.json")
    intervals = re.findall(r"[.\d]+ \[[−.\d]+, [.\d]+\]", ours)
    assert len(intervals) == 29
    assert [interval for interval in intervals if interval not in page] == []


def test_a_cell_that_is_empty_is_one() -> None:
    assert markdown(["a", "b"], [["", ""], ["1", ""]]).splitlines()[2:] == ["| | |", "| 1 | |"]


def test_the_nth_table_is_as_it_is_there() -> None:
    table = nth_table("benchmarks/results/attacks.md", 1)
    assert table.startswith("| kind | attacks |") and table.splitlines()[-1].startswith("| all |")
    assert table in (RESULTS / "attacks.md").read_text(encoding="utf-8")
    with pytest.raises(IndexError):
        nth_table("benchmarks/results/attacks.md", 2)
