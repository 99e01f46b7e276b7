"""A file is written whole or not at all, and removed at once; what a killed process left is swept."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cass_cli import files
from cass_cli.errors import RunError
from cass_cli.files import HOST, OLD_AFTER, append_text, draft_of, remove, sweep, whole_file, write_text


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, *, after: int = 0) -> None:
    """Let the disk take `after` more bytes."""

    def write(descriptor: int, data: Any) -> int:
        nonlocal after
        if not after:
            raise OSError(number, os.strerror(number))
        written = os.write(descriptor, memoryview(data)[:after])
        after -= written
        return written

    monkeypatch.setattr(files, "_write", write)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("number", "said"), [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota"), (errno.EFBIG, "ulimit -f")]
)
def test_a_full_disk_is_said_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    refuse(monkeypatch, number, after=3)
    with pytest.raises(RunError, match=said) as error:
        write_text(path, "something new")
    assert str(path) in error.value.what
    assert "What was there before is kept" in error.value.what
    assert (path.read_text(), names(tmp_path)) == ("old", ["a.txt"])


def test_a_library_that_hides_why_it_could_not_write_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, errno.ENOSPC)
    with pytest.raises(RunError, match="disk is full"), whole_file(tmp_path / "a") as file:
        try:
            file.write(b"0" * (2 * files.BUFFER))
        except OSError:
            raise RuntimeError("inline_container.cc") from None
    assert names(tmp_path) == []


def test_another_error_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError), whole_file(tmp_path / "a") as file:
        file.write(b"half")
        raise KeyError("b")
    assert names(tmp_path) == []


def test_a_row_that_does_not_fit_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows"
    append_text(path, "one\n")
    refuse(monkeypatch, errno.ENOSPC, after=2)
    with pytest.raises(RunError, match="disk is full"):
        append_text(path, "two\n")
    assert path.read_text() == "one\n"


def test_links_and_devices_that_a_user_asks_for_stay(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_text(tmp_path / "link", "text", asked=True)
    assert ((tmp_path / "link").is_symlink(), (tmp_path / "target").read_text()) == (True, "text")
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / "pipe", "text", asked=True)
    assert os.read(reader, 10) == b"text"
    os.close(reader)
    assert not (tmp_path / "pipe").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="streams have no names")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_a_stream_that_is_a_file_is_gone_on_with(tmp_path: Path, name: str) -> None:
    program = (
        "import sys; from pathlib import Path; from cass_cli.files import write_text; "
        "print('before'); write_text(Path(sys.argv[1]), 'text\\n', asked=True); print('after')"
    )
    (tmp_path / "all.txt").write_text("earlier\n")
    with (tmp_path / "all.txt").open("a") as file:
        subprocess.run([sys.executable, "-c", program, name], stdout=file, check=True)
    assert (tmp_path / "all.txt").read_text() == "earlier\nbefore\ntext\nafter\n"
    assert names(tmp_path) == ["all.txt"]


@pytest.mark.parametrize("there", [True, False])
def test_no_other_link_is_written_through(tmp_path: Path, there: bool) -> None:
    others, link = tmp_path / "others", tmp_path / "link"
    if there:
        others.write_text("theirs")
    link.symlink_to(others)
    write_text(link, "ours")
    assert (link.is_symlink(), link.read_text()) == (False, "ours")
    assert others.exists() == there
    assert not there or others.read_text() == "theirs"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names here")
def test_a_pipe_is_neither_replaced_nor_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="no file, but a pipe or device"):
        write_text(tmp_path / "pipe", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def plant(path: Path, others: Path, how: str) -> None:
    if how == "pipe":
        os.mkfifo(path)
    elif how == "hard link":
        os.link(others, path)
    else:
        path.symlink_to(others if how == "link" else others.with_name("gone"))


@pytest.mark.skipif(sys.platform == "win32", reason="links are for administrators, and pipes have no names")
@pytest.mark.parametrize("how", ["link", "dangling link", "hard link", "pipe"])
def test_nothing_is_added_to_a_file_of_others(tmp_path: Path, how: str) -> None:
    others, path = tmp_path / "others", tmp_path / "rows"
    others.write_text("theirs\n")
    plant(path, others, how)
    with pytest.raises(RunError, match=r"'rows' (is a link|has another name|is no file)"):
        append_text(path, "ours\n")
    assert others.read_text() == "theirs\n"
    assert not (tmp_path / "gone").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_device_is_said() -> None:
    with pytest.raises(RunError, match="/dev/full: the disk is full"):
        write_text(Path("/dev/full"), "text", asked=True)


def test_what_is_removed_goes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run/deep").mkdir(parents=True)
    remove(tmp_path / "nothing")

    def killed(path: Path) -> None:
        raise KeyboardInterrupt(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_delete", killed)
        with pytest.raises(KeyboardInterrupt):
            remove(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert names(tmp_path) != []
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_only_what_nobody_writes_is_swept(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, others = tmp_path / f".a.{HOST}-{ended.pid}-0.part", tmp_path / f".a.{HOST}-{os.getppid()}-0.part"
    elsewhere, users = tmp_path / f".a.000000-{ended.pid}-0.part", tmp_path / ".mine.part"
    for path in (left, others, elsewhere, users):
        path.touch()
    with whole_file(tmp_path / "a"):
        sweep(tmp_path)
    assert names(tmp_path) == sorted(["a", others.name, elsewhere.name, users.name])
    before = time.time() - 2 * OLD_AFTER
    os.utime(elsewhere, (before, before))
    sweep(tmp_path)
    assert not elsewhere.exists()
    assert draft_of(tmp_path / "a") != draft_of(tmp_path / "a")
