"""What a training shows while it runs: at a terminal what takes its time, in a file a line a minute."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest
from rich.console import Console

from cass_cli.reports import live, loading
from cass_cli.reports.finetuning import FinetuneDisplay
from cass_cli.reports.live import LiveDisplay
from cass_cli.reports.progress import stages, working


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Let stdout and stderr be a terminal, from within a test: pytest puts its own there before each."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "stderr", shown)
    return shown


def test_what_cannot_be_counted_is_shown_with_its_seconds_though_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = at_terminal(monkeypatch)
    monkeypatch.setattr(live, "PATIENCE", 0.5)
    with LiveDisplay() as display:
        display.doing("Measuring")
        time.sleep(2.5)  # as long as the work would take: the thread draws
    assert "Measuring …" in terminal.getvalue()
    assert len(re.findall(r"Measuring … \d+ s", terminal.getvalue())) >= 2, "before the last drawing, at its end"


def test_scoring_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    with FinetuneDisplay() as display:
        display.scoring(64, 10_000)
        display.draw(now=True)
    assert "Scoring" in terminal.getvalue() and "64/10000" in terminal.getvalue()


def test_a_file_gets_a_line_from_time_to_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FinetuneDisplay() as display:
        display.scoring(64, 10_000)
        assert capsys.readouterr().out == ""
        display.told -= live.PLAIN_SECONDS
        display.scoring(128, 10_000)
        display.scoring(192, 10_000)
    assert capsys.readouterr().out == "  Scoring 128/10,000\n"


def test_a_stage_shows_itself_before_anything_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    with stages() as told:
        time.sleep(0.6)
        assert "Beginning" in terminal.getvalue()
        told("Predicting", 3, 9)
        time.sleep(0.6)
    assert "3/9" in terminal.getvalue()
    with working("Drawing"):
        time.sleep(0.6)
    assert "Drawing" in terminal.getvalue()


def test_loading_is_said_at_a_terminal_alone_and_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = at_terminal(monkeypatch)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(loading, "PERIOD", 0.1)
    with loading.loading():
        time.sleep(0.35)
    said = terminal.getvalue()
    gone = " " * (len(loading.TEXT) + 8)
    assert re.match(r"Loading PyTorch …\rLoading PyTorch … \d s", said) and said.endswith(f"\r{gone}\r")
    monkeypatch.setenv("TERM", "dumb")
    with loading.loading():
        pass
    assert terminal.getvalue().removeprefix(said) == "Loading PyTorch …\n"
    monkeypatch.setattr(sys, "stderr", other := io.StringIO())
    with loading.loading():
        pass
    assert other.getvalue() == ""


@pytest.mark.parametrize("width", [40, 60, 80])
def test_bars_fit_their_terminal_and_say_all(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    display = FinetuneDisplay()
    status = "loss 1.4531  lr 4.1e-06"
    display.bars.update(display.batch_task, completed=12, total=27, visible=True, status=status)
    display.doing("Measuring which way to compute is fastest here")
    Console(file=terminal, width=width, no_color=True, force_terminal=False).print(display.foot())
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("Batch     ") and "12/27" in lines[0] and "…" not in lines[0]
    assert any(status in line for line in lines) and "fastest here …" in " ".join(lines)


def test_a_terminal_that_cannot_take_a_line_back_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    with FinetuneDisplay() as display:
        display.doing("Measuring")
        display.told -= live.PLAIN_SECONDS
        display.scoring(128, 10_000)
    with working("Drawing"):
        pass
    assert terminal.getvalue() == "  Scoring 128/10,000\nDrawing …\n"
