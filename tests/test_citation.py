"""CITATION.cff names what this is: the version and licence of the package, and the paper with its authors."""

from __future__ import annotations

import tomllib

import yaml

from cass_cli import __version__
from tests.test_layout import PACKAGE

REPO = PACKAGE.parent


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((REPO / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert (citation["license"], citation["keywords"]) == (project["license"], project["keywords"])
    assert citation["title"] and citation["message"] and citation["authors"]
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Singh", "Cirrone"]
    readme = " ".join((REPO / "README.md").read_text(encoding="utf-8").split())
    assert paper["title"] in readme
