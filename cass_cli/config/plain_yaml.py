"""YAML as settings need it: tables, lists and plain values, read by one function wherever cass reads YAML.

A few lines of YAML can stand for gigabytes (aliases), hide what is said (a key that stands twice, a merge), or take
minutes (numbers of a million digits). All that is refused: settings may come from a stranger.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

from cass_cli.words import shown, shown_list

MOST_BYTES = 256_000  # of a file of settings; those of a run have 6,000
DEEPEST = 50  # lists and tables in each other
LONGEST = 100  # characters of a number
PREFIX = "tag:yaml.org,2002:"


def plain_yaml(text: str) -> Any:
    """Return what YAML says; raise `ValueError` saying what is wrong with it, and in which line."""
    if len(text) > MOST_BYTES:
        raise ValueError(f"it has {len(text) / 1000:,.0f} kB, and at most {MOST_BYTES / 1000:,.0f} kB are read")
    try:
        return yaml.load(text, _Plain)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise ValueError(f"{shown(str(error.problem or error.context))[:300]}{where}") from error
    except yaml.YAMLError as error:
        raise ValueError("it holds characters that are no text") from error


class _Plain(yaml.SafeLoader):
    """Reads what can be said without aliases, merges and tags of programs."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it out
        if isinstance(event, yaml.AliasEvent):
            raise self._wrong("an alias (*name) is not read: write the value out", event)
        if (tag := getattr(event, "tag", None)) is not None:  # PyYAML ends `!!bool maybe` with a KeyError
            raise self._wrong(f"a tag ({tag}) is not read: write the value alone", event)
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._wrong(f"more than {DEEPEST} lists and tables in each other", event)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: Any) -> None:
        if any(key.tag == f"{PREFIX}merge" for key, _ in node.value):
            raise self._wrong("a merge (<<) is not read: write the values out", node)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        found = super().construct_mapping(node, deep=deep)
        if len(found) < len(node.value):
            twice = [str(key) for key, times in Counter(str(key.value) for key, _ in node.value).items() if times > 1]
            raise self._wrong(f"stands twice: {shown_list(twice, 3)}", node)
        return found

    def number(self, node: Any) -> Any:
        """Read a number: YAML has whole ones in base 2, 8, 10, 16 and 60, of any length."""
        if len(node.value) > LONGEST:
            raise self._wrong(f"a number of {len(node.value):,} characters", node)
        return self.construct_yaml_int(node) if node.tag == f"{PREFIX}int" else self.construct_yaml_float(node)

    @staticmethod
    def _wrong(what: str, at: Any) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=what, problem_mark=at.start_mark)


_Plain.add_constructor(f"{PREFIX}int", _Plain.number)
_Plain.add_constructor(f"{PREFIX}float", _Plain.number)
