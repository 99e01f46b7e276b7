"""Files that ask for too much: what is noticed, what is done apart, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cass_cli.data.decode import apart, picture, watched
from cass_cli.data.decode.facts import USUAL, DecodeError, PixelRules
from cass_cli.data.decode.image import describe_here, describe_image, read_here, read_image
from cass_cli.data.decode.watched import Costly, WatchedFile
from tests.data.decode.odd_files import OddFile, odd_files
from tests.faults.forged_images import jpeg_of_scans, png
from tests.faults.hostile_images import HOSTILE

ODD = odd_files()


@pytest.fixture
def all_costly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is done apart, whatever it is."""
    monkeypatch.setattr(watched, "PIECES", 0)


def whole(path: Path) -> np.ndarray:
    return read_image(path).pixels


def here(path: Path, *, size: int | None = None) -> np.ndarray:
    return read_here(path, frame=None, rules=USUAL, size=size, fit="squash").pixels


# ---- what is noticed


@pytest.mark.parametrize("limit", ["PIECES", "HEADER", "HEADER_SECONDS"])
def test_reading_is_stopped_beyond_a_limit(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, limit, {"PIECES": 3, "HEADER": 7, "HEADER_SECONDS": -1.0}[limit])
    path = tmp_path / "some.bin"
    path.write_bytes(bytes(100))
    with WatchedFile(path, alone=False) as file, pytest.raises(Costly):
        for _ in range(4):
            file.read(2)
    assert file.exceeded
    with WatchedFile(path, alone=True) as file:
        assert sum(len(file.read(2)) for _ in range(60)) == 100


def test_what_follows_a_header_may_be_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "HEADER", 10)
    path = tmp_path / "some.bin"
    path.write_bytes(bytes(100))
    with WatchedFile(path, alone=False) as file:
        file.header_is_read()
        assert len(file.read(50)) == 50
    monkeypatch.setattr(watched, "BYTES", 60)
    with WatchedFile(path, alone=False) as file, pytest.raises(Costly):
        file.read()


def test_ordinary_images_are_not_costly(tmp_path: Path) -> None:
    """A camera's picture, progressive or not, a slide's thumbnail, and a mammogram are decoded in threads."""
    photo = Image.new("RGB", (4000, 3000))
    photo.save(tmp_path / "a.jpg")
    photo.save(tmp_path / "b.jpg", progressive=True)
    photo.save(tmp_path / "c.png")
    Image.fromarray(np.zeros((4096, 3328), np.uint16)).save(tmp_path / "d.png")
    photo.save(tmp_path / "e.tif", compression="tiff_lzw")
    for path in tmp_path.iterdir():
        assert here(path, size=64).shape == (64, 64, 3)
        describe_here(path, USUAL)


def test_what_an_exception_becomes_on_its_way_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def swallowed(_path: Path, file: WatchedFile, **_: object) -> None:
        try:
            file.will_take(memory=2**40)
        except Exception as error:
            raise ValueError("cannot parse it") from error

    monkeypatch.setattr("cass_cli.data.decode.image.read_picture", swallowed)
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(Costly):
        here(tmp_path / "a.png")


# ---- what is done apart


@pytest.mark.usefixtures("all_costly")
@pytest.mark.parametrize("case", ODD, ids=[case.name for case in ODD])
def test_apart_is_as_here(case: OddFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = case.write(tmp_path)
    monkeypatch.setattr("cass_cli.data.decode.image.read_here", lambda *_args, **_how: _stop())
    found, facts = _result(lambda: whole(path)), _result(lambda: np.array(str(describe_image(path))))
    monkeypatch.undo()
    assert _same(found, _result(lambda: here(path)))
    assert _same(facts, _result(lambda: np.array(str(describe_here(path, USUAL)))))


def _stop() -> None:
    raise Costly


def _result(read: object) -> np.ndarray | str:
    try:
        return read()  # type: ignore[operator, no-any-return]
    except DecodeError as error:
        return f"{error.reason} | {error.hint}"


def _same(one: np.ndarray | str, other: np.ndarray | str) -> bool:
    return one == other if isinstance(one, str) or isinstance(other, str) else np.array_equal(one, other)


@pytest.mark.usefixtures("all_costly")
def test_rules_sizes_and_frames_go_along(tmp_path: Path) -> None:
    path = tmp_path / "some.tif"
    pages = [Image.fromarray(np.full((40, 60), 40 * page, np.uint8)) for page in range(3)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    for frame in range(3):
        found = read_image(path, frame=frame, rules=PixelRules(channels=(0,)), size=16, fit="pad")
        assert found.pixels.shape == (16, 16, 3)
        assert (found.pixels == 40 * frame).all()
    assert read_image(path).several_pages
    with pytest.raises(DecodeError, match="--max-pixels 10 allows"):
        read_image(path, rules=PixelRules(max_pixels=10))


@pytest.mark.usefixtures("all_costly")
def test_at_most_two_processes_read_for_many_threads(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (1, 2, 3)).save(tmp_path / "a.png")
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(whole(tmp_path / "a.png"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all((pixels == (1, 2, 3)).all() for pixels in found)
    assert 1 <= len(apart._idle) <= apart.MOST


@pytest.mark.usefixtures("all_costly")
def test_one_that_was_ended_is_replaced(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    whole(tmp_path / "a.png")
    apart._idle[-1].kill()
    apart._idle[-1].wait()
    assert whole(tmp_path / "a.png").shape == (20, 30, 3)


@pytest.mark.usefixtures("all_costly")
def test_a_process_that_another_thread_took_first_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Taken(list[Any]):
        def __len__(self) -> int:
            return 1  # as it was a moment ago

    monkeypatch.setattr(apart, "_idle", Taken())
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    assert whole(tmp_path / "a.png").shape == (20, 30, 3)
    apart._end(apart._idle.pop())


@pytest.mark.usefixtures("all_costly")
def test_a_clock_counts_nothing_of_how_a_process_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the clock limits it (Windows), a process that imports for longer than it may read is no fault."""
    apart._end_all()
    begin = subprocess.Popen

    def slowly(command: list[str], **options: Any) -> Any:
        run = f"import time, runpy; time.sleep(1); runpy.run_module({command[-1]!r}, None, '__main__')"
        return begin([command[0], "-P", "-c", run], **options)

    monkeypatch.setattr(subprocess, "Popen", slowly)
    monkeypatch.setattr(apart, "LIMITED", False)
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    assert describe_image(tmp_path / "a.png").width == 30
    apart._end_all()


def test_a_larger_file_may_take_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JPEG 2000 of 12 million pixels, or the header of 2,000 frames of an MR, takes longer than any file may."""
    monkeypatch.setattr(watched, "PASSES", 0)
    monkeypatch.setattr(apart, "SECONDS", 0.0)
    path = tmp_path / "scans.jpg"
    path.write_bytes(jpeg_of_scans(2000, 300))
    with pytest.raises(DecodeError, match="reading it takes more than 0 s"):
        read_image(path, size=32)
    monkeypatch.setattr(apart, "PACE", path.stat().st_size / 60)
    assert read_image(path, size=32).pixels.shape == (32, 32, 3)
    with path.open("ab") as file:
        file.truncate(500_000_000)
    assert apart._held(path) < 100_000_000 or sys.platform == "win32"


def test_the_process_takes_nothing_from_the_folder_it_stands_in(tmp_path: Path) -> None:
    """A file called as a module, among somebody's images, is not imported."""
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    (tmp_path / "numpy.py").write_text("open('taken', 'w')")
    code = (
        "from pathlib import Path; from cass_cli.data.decode import watched; watched.PIECES = 0;"
        "from cass_cli.data.decode.image import read_image; print(read_image(Path('a.png')).pixels.shape)"
    )
    known = os.pathsep.join(place for place in sys.path if place)
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": known},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "(20, 30, 3)\n"
    assert not (tmp_path / "taken").exists()


def test_what_another_thread_found_costly_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads wait for the volume that one of them unpacks, and all get what it raised."""

    def found(*_: Any, **__: Any) -> None:
        raise Costly  # as of a file that is not watched by this thread

    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr("cass_cli.data.decode.image.read_picture", found)
    assert whole(tmp_path / "a.png").shape == (20, 30, 3)


# ---- what is refused


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory hold on Linux")
def test_time_and_memory_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "SECONDS", 1.0)
    path = tmp_path / "scans.jpg"
    path.write_bytes(jpeg_of_scans(4000, 500))
    with pytest.raises(DecodeError, match="reading it takes more than 1 s"):
        read_image(path)
    monkeypatch.setattr(apart, "SECONDS", 30.0)
    path = tmp_path / "large.png"
    path.write_bytes(png(7000, 7000, 8, 6))
    assert read_image(path, size=32).pixels.shape == (32, 32, 3)
    monkeypatch.setattr(apart, "MEMORY", 300_000_000)
    with pytest.raises(DecodeError, match=r"more than 0\.3 GB of memory \(--max-pixels"):
        read_image(path, size=32)
    twice = PixelRules(max_pixels=400_000_000)
    assert read_image(path, size=32, rules=twice).pixels.shape == (32, 32, 3)


def test_a_process_that_cannot_begin_costs_one_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "PIECES", 0)
    apart._end_all()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(DecodeError, match="no process could be begun"):
        whole(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["larger-inside.jp2", "tiles.j2k"])
def test_jpeg_2000_is_held_against_its_header(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    HOSTILE[name](tmp_path / name)
    monkeypatch.setattr(picture, "to_rgb", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(DecodeError, match="damaged: it"):
        here(tmp_path / name)


# ---- DICOM


def test_a_deflated_data_set_is_read_and_no_further_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pydicom")
    from tests.faults.hostile_dicom import deflated

    path = tmp_path / "some.dcm"
    path.write_bytes(deflated(256))
    assert here(path).shape == (16, 16, 3)
    assert describe_here(path, USUAL).width == 16
    path.write_bytes(deflated(600_000_000))
    monkeypatch.setattr(zlib, "decompress", lambda *_: pytest.fail("it was inflated without a limit"))
    assert describe_here(path, USUAL).width == 16
    with pytest.raises(Costly):
        here(path)
    small = PixelRules(max_file_mb=100)
    with pytest.raises(DecodeError, match="MB inflated, more than --max-file-mb 100 allows"):
        read_here(path, frame=None, rules=small, size=None, fit="squash", alone=True)


@pytest.mark.parametrize("name", ["jpeg-claims.dcm", "jpeg-larger.dcm", "j2k-claims.dcm", "jpeg-ls-claims.dcm"])
def test_a_compressed_frame_is_held_against_the_header(name: str, tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    from tests.faults.hostile_dicom import HOSTILE_DICOM

    HOSTILE_DICOM[name](tmp_path / name)
    with pytest.raises(DecodeError, match=r"its pixels are [\d]+ × [\d]+, its header says 16 × 16"):
        here(tmp_path / name)
