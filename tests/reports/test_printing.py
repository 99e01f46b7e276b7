"""Whatever is printed through a `Screen` leaves the terminal as it was."""

from __future__ import annotations

import io

import pytest
from rich.console import Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cass_cli.reports.printing import Screen

HOSTILE = "a\x1b]0;t\x07b\x9b2J\u202ec\udce9"


def _printed(what: object, *, terminal: bool = False) -> str:
    file = io.StringIO()
    Screen(file=file, width=100, force_terminal=terminal, no_color=True).print(what)
    return file.getvalue()


def _table() -> Table:
    table = Table(title=Text(HOSTILE))
    table.add_column(Text(HOSTILE))
    table.add_row(Text(HOSTILE))
    return table


@pytest.mark.parametrize("what", [Text(HOSTILE), HOSTILE, _table(), Panel(Group(Text(HOSTILE)))])
def test_nothing_acts_upon_the_terminal(what: object) -> None:
    said = _printed(what)
    assert {c for c in said if not c.isprintable()} <= {"\n"}
    assert "\\x9b2J" in said


def test_styles_and_what_moves_the_cursor_still_do() -> None:
    file = io.StringIO()
    screen = Screen(file=file, width=100, force_terminal=True, color_system="standard", legacy_windows=False)
    screen.print(Text(HOSTILE, style="red"))
    assert "\x1b[31m" in file.getvalue() and "\\x1b]0;t" in file.getvalue()
    with Live(Text(HOSTILE), console=screen, auto_refresh=False) as live:
        live.refresh()
    assert "\x1b[2K" in file.getvalue() and "\x1b]0;t" not in file.getvalue()


def test_a_smile_is_no_picture() -> None:
    assert ":smile:" in _printed(":smile:")
