"""Names for people: nothing in them acts upon a terminal."""

from __future__ import annotations

from cass_cli.words import LONGEST, printable, shown


def test_what_acts_upon_a_terminal_is_escaped_and_lines_stay_lines() -> None:
    assert printable("a\x1b[2J\nb\u202ec\x9b\udce9\t") == "a\\x1b[2J\nb\\u202ec\\x9b\\udce9\\t"
    assert shown("two\nlines\r") == "two\\nlines\\r"
    assert printable(printable("\x1b\\")) == printable("\x1b\\")


def test_usual_names_are_shown_as_they_are() -> None:
    for name in ("melanoma", "\u826f\u6027", "caf\u00e9", "[red]x[/red]", ":smile:", "\U0001f600", "a b"):
        assert shown(name) == printable(name) == name


def test_of_an_endless_name_beginning_and_end_are_shown() -> None:
    name = "a" * 5000 + "z" * 5000
    assert len(shown(name)) == LONGEST + 1
    assert shown(name).startswith("aaa") and shown(name).endswith("zzz") and "…" in shown(name)
