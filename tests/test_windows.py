"""What Windows lacks is not needed: of modules, names, and letters that a console can show. No test has run there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cass_cli.data.sources import load_samples
from cass_cli.errors import DataError
from tests.data.files import labels_of, touch
from tests.test_layout import EVERY_FILE, PACKAGE

REPO = PACKAGE.parent


def python(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run([sys.executable, *words], cwd=cwd, env=env, capture_output=True, check=False)


def test_every_module_can_be_imported_without_what_windows_lacks(tmp_path: Path) -> None:
    done = python("-m", "tests.windows_pretended", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert int(done.stdout.split()[0]) > len(EVERY_FILE) - 5


@pytest.mark.parametrize("words", [("--help",), ("presets", "list"), ("data", "list"), ("pretrain", "--help")])
def test_a_console_of_western_windows_can_show_it(words: tuple[str, ...], tmp_path: Path) -> None:
    """cp1252 has no lines to draw boxes with: what it cannot show is replaced."""
    done = python("-m", "cass_cli", *words, cwd=tmp_path, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr.decode("cp1252")[-2000:]
    assert len(done.stdout.decode("cp1252")) > 200


FOLDERS = ("images\\", "C:\\Users\\anna\\study\\images\\", "\\\\server\\share\\images\\", "")
ROWS = "image,label\r\n{0}größe.png,läsion\r\n{0}b.png,frei\r\n"


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("letters", ["utf-8", "utf-8-sig"])
def test_a_table_that_was_written_there_is_read(tmp_path: Path, folder: str, letters: str) -> None:
    """With its separators, drives and shares, its line ends, and its mark at the beginning."""
    touch(tmp_path, "images/größe.png", "images/b.png")
    (tmp_path / "labels.csv").write_bytes(ROWS.format(folder).encode(letters))
    table = load_samples(tmp_path)
    assert labels_of(table) == {"images/größe.png": "läsion", "images/b.png": "frei"}


def test_letters_of_an_older_windows_are_told_not_guessed(tmp_path: Path) -> None:
    touch(tmp_path, "größe.png", "b.png")
    (tmp_path / "labels.csv").write_bytes(ROWS.format("").encode("cp1252"))
    with pytest.raises(DataError, match=r"not UTF-8: byte 0xf6 at offset 15 \(line 2\)"):
        load_samples(tmp_path)
