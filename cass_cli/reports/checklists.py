"""Reporting checklists, filled in with what a run knows: `checklists.yaml` has their items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

BLANK = "To be filled in by the authors"
IN_OUR_WORDS = (
    "Numbers and topics of the items are as published; what an item asks is put in words of cass, so read the "
    "published checklist beside it. An answer is here only where the run knows it."
)


@dataclass(frozen=True)
class Item:
    """One item of a checklist."""

    item: str  # its number, as published
    topic: str
    asks: str
    known: str  # what the run knows; "" for nothing
    blank: str  # what only the authors can say; "" for nothing


@dataclass(frozen=True)
class Checklist:
    """A checklist, filled in."""

    name: str
    title: str  # what it is for
    source: str
    count: str
    note: str
    items: tuple[Item, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "words": IN_OUR_WORDS}


def fill(facts: Mapping[str, str]) -> dict[str, Checklist]:
    """Return all checklists by the name of their file, filled in with `facts`."""
    return {
        name: Checklist(
            name=of["name"],
            title=of["title"],
            source=of["source"],
            count=of["count"],
            note=of.get("note", ""),
            items=tuple(
                Item(
                    item=item["item"],
                    topic=item["topic"],
                    asks=item["asks"],
                    known=facts[item["fact"]] if "fact" in item else "",
                    blank=item.get("authors", ""),
                )
                for item in of["items"]
            ),
        )
        for name, of in _published().items()
    }


@cache
def _published() -> Mapping[str, Mapping[str, Any]]:
    text = files("cass_cli.reports").joinpath("checklists.yaml").read_text(encoding="utf-8")
    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(text)
    return found


def lines(checklist: Checklist, generator: str) -> list[str]:
    """Return the checklist as lines of Markdown, an item a paragraph: answers are too long for a table."""
    answered = sum(bool(item.known) and not item.blank for item in checklist.items)
    partly = sum(bool(item.known and item.blank) for item in checklist.items)
    items = len(checklist.items)
    return [
        f"# {checklist.name}: {checklist.title}",
        "",
        f"{generator}. {checklist.count}. {checklist.source}.",
        "",
        IN_OUR_WORDS,
        "",
        *([f"**{checklist.note}**", ""] if checklist.note else []),
        f"Of {items}, {answered} are answered by the run and {partly} in part; the rest are the authors'.",
        "",
        *(line for item in checklist.items for line in _item(item)),
    ]


def _item(item: Item) -> list[str]:
    blank = [f"**{BLANK}:** {item.blank}: …", ""] if item.blank else []
    return [
        f"## {item.item}. {item.topic}",
        "",
        f"*{item.asks}*",
        "",
        *([item.known, ""] if item.known else []),
        *blank,
    ]
