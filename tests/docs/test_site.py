"""The pages: what they are filled from is there, links hold on GitHub and on the site, the site loads nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs.tools.capture import shown_commands
from docs.tools.diagrams import MERMAID, drawing
from docs.tools.fill import FILLED, filled
from docs.tools.places import PAGES, REPO, links, place, relinked

DOCS = sorted((REPO / "docs").glob("*.md"))
WRITTEN = [*(REPO / name for name in PAGES), *DOCS]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_a_page_is_filled_and_its_links_hold_on_github(page: Path) -> None:
    source = str(page.relative_to(REPO))
    text = page.read_text(encoding="utf-8")
    if page.name not in ("CHANGELOG.md", "architecture.md"):
        assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")] == []
    full = filled(text, source)
    assert not FILLED.search(full)
    assert [link for link in links(text, source) if not (REPO / link).exists()] == []


def test_every_page_is_in_the_navigation() -> None:
    nav = re.findall(r"[\w-]+\.md", yaml.dump(yaml.safe_load((REPO / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    assert sorted(nav) == sorted([*PAGES.values(), *(page.name for page in DOCS)])


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(links((REPO / "README.md").read_text(encoding="utf-8"), "README.md"))
    assert {f"docs/{page.name}" for page in DOCS} <= linked


def test_a_link_leads_to_the_same_file_on_the_site() -> None:
    text = (
        "[a](docs/faq.md#x) [b](CHANGELOG.md) ![c](docs/similarity.png) [d](https://e.f) [g](#h) "
        "[i](benchmarks/README.md)"
    )
    assert relinked(text, "README.md") == (
        "[a](faq.md#x) [b](changelog.md) ![c](similarity.png) [d](https://e.f) [g](#h) [i](files/benchmarks/readme.md)"
    )
    assert relinked("[a](../README.md) [b](../cass_cli/seeds.py)", "docs/faq.md") == (
        "[a](index.md) [b](files/cass_cli/seeds.py.md)"
    )
    assert relinked("```\n[a](README.md)\n```\n", "README.md") == "```\n[a](README.md)\n```\n", "no link, but code"
    assert place("benchmarks/results") == "files/benchmarks/results/index.md"
    assert relinked("[a](results/attacks.md)", "benchmarks/README.md") == "[a](results/attacks.md)"


def test_a_flowchart_is_drawn_with_all_its_boxes_and_arrows() -> None:
    svg = drawing('flowchart LR\n    one["a, b"] --> two --> three\n    one --> three\n')
    assert re.findall(r">([^<]+)</text>", svg) == ["a, b", "two", "three"]
    assert svg.count('class="arrow"') == 3 and "\n" not in svg
    x = [float(value) for value in re.findall(r'<rect x="(\d+)"', svg)]
    assert x == sorted(x) and len(set(x)) == 3, "along the arrows"
    with pytest.raises(ValueError, match="no line of a flowchart"):
        drawing("flowchart LR\n    a -.-> b\n")


def test_the_flowcharts_of_the_pages_can_be_drawn() -> None:
    charts = [chart for page in DOCS for chart in MERMAID.findall(page.read_text(encoding="utf-8"))]
    assert len(charts) == 3
    for chart in charts:
        boxes = {name for line in chart.splitlines()[1:] for name in re.findall(r"(\w+)(?:\[.+?\])?(?= *-->|$)", line)}
        assert drawing(chart).count("<rect") == len(boxes)


def test_what_the_tutorial_shows_was_captured() -> None:
    files = [file for _, file in shown_commands()]
    text = (REPO / "docs" / "tutorial.md").read_text(encoding="utf-8")
    assert len(files) == text.count("[Output](") > 5
    assert sorted(files) == sorted((REPO / "docs" / "captured").iterdir()), "one each, and none left over"
    for file in files:
        told = file.read_text(encoding="utf-8")
        assert told.strip() and "Traceback" not in told and "/tmp/" not in told and "\x1b" not in told
        assert max(map(len, told.splitlines())) < 300, "sentences may be long, tables are of 100 columns"


def test_the_site_is_built_and_loads_nothing_from_a_network(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "site").glob("*.html")}
    assert {f"{Path(name).stem}.html" for name in PAGES.values()} <= set(pages)
    assert (
        "--label-fraction" in pages["commands.html"] and pages["architecture.html"].count('<div class="flow"><svg') == 3
    )
    for name, html in pages.items():
        assert not re.search(r'<(script|img|iframe)[^>]* src="?(https?:)?//', html), name
        assert not re.search(r'<link[^>]* href="?(https?:)?//', html), name
        assert "mermaid" not in re.sub(r"<code>.*?</code>", "", html), "which the theme would fetch a script for"
    assert not list((tmp_path / "site").rglob("*.py")), "tools stay at home"
