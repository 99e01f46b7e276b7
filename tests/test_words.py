"""Names for people: nothing in them acts upon a terminal."""

from __future__ import annotations

import pytest

from cass_cli.csv_cells import cell_of
from cass_cli.words import LONGEST, printable, seen, shown


def test_what_acts_upon_a_terminal_is_escaped_and_lines_stay_lines() -> None:
    assert printable("a\x1b[2J\nb\u202ec\x9b\udce9\t") == "a\\x1b[2J\nb\\u202ec\\x9b\\udce9\\t"
    assert shown("two\nlines\r") == "two\\nlines\\r"
    assert printable(printable("\x1b\\")) == printable("\x1b\\")


def test_usual_names_are_shown_as_they_are() -> None:
    for name in ("melanoma", "\u826f\u6027", "caf\u00e9", "[red]x[/red]", ":smile:", "\U0001f600", "a b"):
        assert shown(name) == printable(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "\U0001f469\u200d\u2695\ufe0f nurse",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u0915\u094d\u200d\u0937",
        "Grade\u00a0: 1",
        "Screenshot at 3.00\u202fPM.png",
        "\u5168\u3000\u3000\u540d",
        "\u05e9\u05dc\u05d5\u05dd",
        "e\u0301",
    ],
)
def test_names_in_any_language_are_shown_and_written_as_they_are(name: str) -> None:
    assert seen(name) and shown(name) == cell_of(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "mel\u200doma",
        "x\u200c",
        "\u200d\u00e9",
        "\u00e9\u200d\u200d\u00e9",
        "a\u3000",
        "\u00a0a",
        "a\u200e",
        "\u202eb",
        "\u2028",
    ],
)
def test_what_is_not_seen_elsewhere_is_escaped(name: str) -> None:
    assert not seen(name) and shown(name) != name
    assert shown(name).isprintable() and cell_of(name).isprintable()


def test_of_an_endless_name_beginning_and_end_are_shown() -> None:
    name = "a" * 5000 + "z" * 5000
    assert len(shown(name)) == LONGEST + 1
    assert shown(name).startswith("aaa") and shown(name).endswith("zzz") and "…" in shown(name)
