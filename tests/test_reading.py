"""What is read whole has an end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cass_cli.reading import MOST_VALUES, TooMuch, any_json, check_amount, read_bytes


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", 5) == b"12345"
    with pytest.raises(ValueError, match="MB"):
        read_bytes(tmp_path / "a", 4)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes by name")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(ValueError, match="pipe"):
        read_bytes(tmp_path / "a")


def test_json_has_an_end() -> None:
    assert any_json(b'{"a": [1, {}]}') == {"a": [1, {}]}
    with pytest.raises(TooMuch):
        any_json(b"[" * 200_000)
    for text in ("," * (MOST_VALUES + 1), b"[" * (MOST_VALUES + 1)):
        with pytest.raises(TooMuch):
            check_amount(text)
