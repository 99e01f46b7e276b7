from __future__ import annotations

import errno
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from cass_cli import lock
from cass_cli.data.decode.facts import PixelRules
from cass_cli.data.decode.image import read_image
from cass_cli.data.sample_table import SampleTable
from cass_cli.data.samples import read_sample
from cass_cli.data.space import default_cache_dir
from cass_cli.data.store import decoding
from cass_cli.data.store.file import PAGE, PartialFile, header_of
from cass_cli.data.store.folder import clear_caches, image_folder, list_caches
from cass_cli.data.store.store import HELD_IN_MEMORY, ImageStore, build_store
from cass_cli.errors import DataError
from cass_cli.lock import locked

CPU = torch.device("cpu")
SIZE = 16
MODES = ("ram", "disk", "off")


def picture(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (20 + seed % 5, 30, 3), np.uint8)


@pytest.fixture
def table(tmp_path: Path) -> SampleTable:
    return write_table(tmp_path / "pictures", 30)


def write_table(root: Path, count: int) -> SampleTable:
    root.mkdir(exist_ok=True)
    names = tuple(f"{i:03d}.png" for i in range(count))
    for i, name in enumerate(names):
        Image.fromarray(picture(i)).save(root / name)
    return SampleTable(root, names)


def build(table: SampleTable, mode: Any = "disk", **options: Any) -> ImageStore:
    return build_store(table, mode=mode, **({"size": SIZE, "workers": 2} | options))


def expected(table: SampleTable, rows: Any = None) -> NDArray[np.uint8]:
    rows = range(len(table)) if rows is None else rows
    return np.stack([read_image(table.path(r), size=SIZE).pixels.transpose(2, 0, 1) for r in rows])


def everything(store: ImageStore) -> NDArray[np.uint8]:
    return store.batch(torch.arange(len(store)), CPU).numpy()


def count_decoding(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the row of every image decoded from now on."""
    rows: list[int] = []
    read = decoding.read_decoded

    def counted(table: SampleTable, index: int, **options: Any) -> Any:
        rows.append(index)
        return read(table, index, **options)

    monkeypatch.setattr(decoding, "read_decoded", counted)
    return rows


# ---- what comes out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("workers", [1, 5])
def test_images_are_those_of_the_files_whatever_the_mode_and_workers(
    table: SampleTable, mode: str, workers: int
) -> None:
    store = build(table, mode, workers=workers)
    assert store.where == mode
    assert store.kept.tolist() == list(range(30))
    assert np.array_equal(everything(store), expected(table))


@pytest.mark.parametrize("mode", MODES)
def test_batch_takes_rows_in_the_order_asked_for(table: SampleTable, mode: str) -> None:
    store = build(table, mode)
    rows = torch.tensor([7, 3, 29, 3])
    batch = store.batch(rows, CPU)
    assert batch.dtype == torch.uint8
    assert batch.is_contiguous()
    assert np.array_equal(batch.numpy(), expected(table, rows.tolist()))
    assert torch.equal(batch, store.batch(rows.numpy(), CPU))


@pytest.mark.parametrize("mode", ["ram", "disk"])
def test_images_tensor_holds_the_same_as_the_batches(table: SampleTable, mode: str) -> None:
    store = build(table, mode)
    assert store.images.shape == (30, 3, SIZE, SIZE)
    assert store.images.is_contiguous()
    assert np.array_equal(store.images.numpy(), everything(store))


def test_progress_reaches_the_total(table: SampleTable) -> None:
    for mode in MODES:
        seen: list[tuple[int, int]] = []
        build(table, mode, on_progress=lambda done, total, seen=seen: seen.append((done, total)))
        assert seen[-1] == (30, 30)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("mode", MODES)
def test_archive_members_are_read(tmp_path: Path, mode: str) -> None:
    rng = np.random.default_rng(0)
    grey, colour = rng.integers(0, 256, (4, SIZE, SIZE), np.uint8), rng.integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    for save in (np.savez, np.savez_compressed):
        path = tmp_path / f"{save.__name__}.npz"
        save(path, train_images=grey, test_images=colour)
        found = everything(build(SampleTable(path, ("train/000003", "test/000001", "train/000000")), mode))
        assert np.array_equal(found[0], np.stack([grey[3]] * 3))
        assert np.array_equal(found[1], colour[1].transpose(2, 0, 1))
        assert np.array_equal(found[2], np.stack([grey[0]] * 3))


def test_archive_too_large_for_memory_is_unpacked_to_the_cache_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cass_cli.data.layouts.npz_members.fits_in_memory", lambda _: False)
    images = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE), np.uint8)
    np.savez_compressed(tmp_path / "a.npz", val_images=images)
    table = SampleTable(tmp_path / "a.npz", ("val/000002",))
    assert np.array_equal(read_sample(table, 0)[..., 1], images[2])
    assert list(default_cache_dir().iterdir()) == []  # the temporary file has no name


def test_archive_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train_images=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="pickled"):
        build(SampleTable(tmp_path / "a.npz", ("train/000000",)), "ram")


# ---- unreadable images


@pytest.mark.parametrize("mode", MODES)
def test_bad_images_stop_with_all_of_them_named(table: SampleTable, mode: str) -> None:
    for row in range(3, 17):
        table.path(row).write_bytes(b"" if row % 2 else b"words")
    with pytest.raises(DataError) as raised:
        build(table, mode)
    message = str(raised.value)
    assert "14 of 30 images" in message
    assert "003.png: the file is empty" in message
    assert "004.png: not an image but text" in message
    assert "012.png" in message
    assert "013.png" not in message
    assert "4 more" in message
    assert "--bad-images skip" in message


@pytest.mark.parametrize("mode", MODES)
def test_bad_images_are_left_out_when_asked(table: SampleTable, mode: str) -> None:
    table.path(0).write_bytes(b"")
    table.path(8).unlink()
    store = build(table, mode, bad_images="skip")
    kept = [row for row in range(30) if row not in (0, 8)]
    assert store.kept.tolist() == kept
    assert [(bad.index, bad.name) for bad in store.bad] == [(0, "000.png"), (8, "008.png")]
    assert any("2 of 30" in note for note in store.notes)
    assert np.array_equal(everything(store), expected(table, kept))
    again = build(table, mode, bad_images="skip")
    assert again.bad == store.bad
    assert np.array_equal(everything(again), everything(store))


def test_nothing_readable_is_an_error_even_with_skip(table: SampleTable) -> None:
    for row in range(30):
        table.path(row).write_bytes(b"")
    for mode in MODES:
        with pytest.raises(DataError, match="30 of 30"):
            build(table, mode, bad_images="skip")


def test_stopped_build_is_used_by_the_one_that_skips(table: SampleTable, monkeypatch: pytest.MonkeyPatch) -> None:
    table.path(4).write_bytes(b"")
    with pytest.raises(DataError):
        build(table, "disk")
    rows = count_decoding(monkeypatch)
    store = build(table, "disk", bad_images="skip")
    assert rows == [4]
    assert np.array_equal(everything(store), expected(table, store.kept))


def test_image_that_reads_after_all_is_taken_in(table: SampleTable) -> None:
    with pytest.raises(DataError, match="max-pixels"):
        build(replace(table, rules=PixelRules(max_pixels=30 * 23)), "disk")  # every fifth image is 30 × 24
    assert np.array_equal(everything(build(table, "disk")), expected(table))


def test_file_that_goes_bad_during_an_off_run_is_named(table: SampleTable) -> None:
    store = build(table, "off")
    table.path(2).write_bytes(b"")
    with pytest.raises(DataError, match=r"002\.png"):
        store.batch(torch.tensor([1, 2]), CPU)


def test_several_pages_are_said_once(table: SampleTable) -> None:
    for row in (1, 2):
        frames = [Image.fromarray(picture(row)), Image.fromarray(picture(row))]
        frames[0].save(table.path(row), "TIFF", save_all=True, append_images=frames[1:])
    for mode in ("ram", "disk", "disk", "ram", "off"):
        assert [note for note in build(table, mode).notes if "pages" in note] == [
            "Of the several pages or frames of 2 file(s), the first is used."
        ]


# ---- the file: found again, verified, resumed


def test_second_run_decodes_nothing(table: SampleTable, monkeypatch: pytest.MonkeyPatch) -> None:
    build(table, "disk")
    rows = count_decoding(monkeypatch)
    assert np.array_equal(everything(build(table, "disk")), expected(table))
    assert rows == []
    assert np.array_equal(everything(build(table, "ram")), expected(table))
    assert rows == []


def touch(table: SampleTable) -> SampleTable:
    os.utime(table.path(5), ns=(1, 1))
    return table


def rewrite(table: SampleTable) -> SampleTable:
    facts = table.path(5).stat()
    Image.fromarray(255 - picture(5)).resize((9, 9)).save(table.path(5))
    os.utime(table.path(5), ns=(facts.st_atime_ns, facts.st_mtime_ns))
    return table


@pytest.mark.parametrize("change", [touch, rewrite, lambda table: table.select(range(29))])
def test_other_files_make_another_cache(table: SampleTable, change: Callable[[SampleTable], SampleTable]) -> None:
    first = build(table, "disk")
    changed = change(table)
    second = build(changed, "disk")
    assert second.path != first.path
    assert np.array_equal(everything(second), expected(changed))


@pytest.mark.parametrize("other", [{"size": 8}, {"fit": "pad"}, {"fit": "crop"}])
def test_other_size_or_shape_makes_another_cache(table: SampleTable, other: dict[str, Any]) -> None:
    assert build(table, "disk").path != build(table, "disk", **other).path


def test_caches_from_before_there_was_a_choice_of_shape_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cass_cli.data.store.file.DECODE_RULES", 1)  # as it was then
    table = SampleTable(root=Path("/nowhere"), names=("a.png", "b.png"))
    assert header_of(table, 32, "squash").key == "7a859fdb7a645bd794507cf97182a4b0"


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def foreign(path: Path) -> None:
    path.write_bytes(b"not a cache file")


def other_key(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(path.stem[:8].encode(), b"00000000"))


def states_lost(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[PAGE + 3] = 0
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [truncated, lengthened, foreign, other_key, states_lost])
def test_damaged_file_is_built_anew_and_said(table: SampleTable, damage: Callable[[Path], None]) -> None:
    path = build(table, "disk").path
    assert path is not None
    damage(path)
    store = build(table, "disk")
    assert any("built anew" in note for note in store.notes)
    assert np.array_equal(everything(store), expected(table))
    assert not any("built anew" in note for note in build(table, "disk").notes)


@pytest.mark.parametrize("bad", [(), (0, 9)])
def test_interrupted_build_is_gone_on_with(
    table: SampleTable, monkeypatch: pytest.MonkeyPatch, bad: tuple[int, ...]
) -> None:
    for row in bad:
        table.path(row).write_bytes(b"")

    def interrupt(done: int, _total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(table, "disk", on_progress=interrupt)
    (entry,) = list_caches()
    assert not entry.complete
    assert entry.images == 20 - len(bad)
    rows = count_decoding(monkeypatch)
    store = build(table, "disk", bad_images="skip")
    assert sorted(rows) == [*bad, *range(20, 30)]
    assert np.array_equal(everything(store), expected(table, store.kept))


@pytest.mark.parametrize("lost", [1, 3 * SIZE**2, 3 * SIZE**2 * 12 + 5, 10**9])
def test_partial_file_that_lost_its_end_is_trusted_as_far_as_it_goes(table: SampleTable, lost: int) -> None:
    """As after a power cut: the states say more than the pixels that reached the disk."""

    def interrupt(done: int, _total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(table, "disk", on_progress=interrupt)
    (entry,) = list_caches()
    os.truncate(entry.path, max(0, entry.bytes - lost))
    assert np.array_equal(everything(build(table, "disk")), expected(table))


KILLED = """
import sys, time
from tests.data.store.test_store import build, write_table
from pathlib import Path
def slowly(done, total):
    print(done, flush=True)
    time.sleep(0.005)
build(write_table(Path(sys.argv[1]), 150), on_progress=slowly)
"""


def test_killed_build_leaves_no_lock_and_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "many")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.stdout is not None
    for line in run.stdout:
        if int(line) >= 100:
            break
    run.send_signal(signal.SIGKILL)
    run.wait()
    table = SampleTable(tmp_path / "many", tuple(f"{i:03d}.png" for i in range(150)))
    rows = count_decoding(monkeypatch)
    store = build(table, "disk")
    assert 0 < len(rows) <= 150 - 64  # states are written every 64 images
    assert np.array_equal(everything(store), expected(table))


def _build_in_process(root: Path, count: int, queue: Any) -> None:
    table = SampleTable(root, tuple(f"{i:03d}.png" for i in range(count)))
    decoded: list[int] = []
    store = build(table, "disk", on_progress=lambda done, _: decoded.append(done))
    queue.put((os.getpid(), len(decoded), int(everything(store).astype(np.int64).sum())))


def test_two_runs_at_once_build_one_file(tmp_path: Path) -> None:
    table = write_table(tmp_path / "many", 100)
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    runs = [context.Process(target=_build_in_process, args=(table.root, 100, queue)) for _ in range(3)]
    for run in runs:
        run.start()
    results = [queue.get(timeout=120) for _ in runs]
    for run in runs:
        run.join()
    assert {checksum for _, _, checksum in results} == {int(expected(table).astype(np.int64).sum())}
    assert sorted(decoded for _, decoded, _ in results)[:2] == [0, 0]  # one built, the others waited
    assert len(list_caches()) == 1


def test_full_disk_is_told_beforehand(table: SampleTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cass_cli.data.store.build.shutil.disk_usage", lambda _: _Usage(free=1000))
    with pytest.raises(DataError) as raised:
        build(table, "disk", size=512)
    assert "0.02 GB" in str(raised.value)  # 30 · 3 · 512²
    assert str(default_cache_dir()) in str(raised.value)
    assert "cass cache clear" in str(raised.value)
    assert list_caches() == ()


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def test_disk_that_fills_up_meanwhile_is_told_and_the_build_gone_on_with(
    table: SampleTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, added = PartialFile.add, []

    def full(self: PartialFile, state: int, pixels: Any) -> None:
        if len(added) == 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        added.append(state)
        add(self, state, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(PartialFile, "add", full)
        with pytest.raises(DataError, match="too full"):
            build(table, "disk")
    rows = count_decoding(monkeypatch)
    assert np.array_equal(everything(build(table, "disk")), expected(table))
    assert sorted(rows) == list(range(12, 30))


def test_images_are_held_in_memory_where_the_cache_directory_cannot_be_used(
    table: SampleTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CASS_CACHE", str(tmp_path / "file"))
    store = build(table, "disk")
    assert store.where == "ram"
    assert np.array_equal(everything(store), expected(table))
    assert [note for note in store.notes if "cannot be used" in note and note.endswith(HELD_IN_MEMORY)]
    monkeypatch.setattr("cass_cli.data.store.store.available_memory", lambda: 0)
    with pytest.raises(DataError, match="cannot be used"):
        build(table, "disk")


@pytest.mark.parametrize("ending", [".part", ".lock"])
@pytest.mark.parametrize("how", ["link", "dangling link", "hard link", "pipe"])
def test_nothing_is_written_through_what_others_left_in_the_cache(
    table: SampleTable, tmp_path: Path, ending: str, how: str
) -> None:
    build(table)
    made = next(image_folder().glob("*.img"))
    made.unlink()
    others, planted = tmp_path / "others", made.with_suffix(ending)
    planted.unlink(missing_ok=True)
    others.write_text("theirs")
    if how == "pipe":
        os.mkfifo(planted)
    elif how == "hard link":
        os.link(others, planted)
    else:
        planted.symlink_to(others if how == "link" else others.with_name("gone"))
    store = build(table)
    assert np.array_equal(everything(store), expected(table))
    assert re.search(rf"\{ending}' (is a link|has another name|is no file)", store.notes[0])
    assert others.read_text() == "theirs" and not (tmp_path / "gone").exists()
    list_caches(), clear_caches()
    assert others.read_text() == "theirs" and not (tmp_path / "gone").exists()


def test_cached_images_are_for_the_user_alone(table: SampleTable) -> None:
    build(table, "disk")
    assert image_folder().stat().st_mode & 0o077 == 0


# ---- where they are kept


def test_auto_takes_memory_up_to_half_of_what_is_available(table: SampleTable, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 30 * 3 * SIZE**2
    monkeypatch.setattr("cass_cli.data.space.available_memory", lambda: 2 * needed)
    assert build(table, "auto").where == "ram"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # two processes would keep their own
    assert build(table, "auto").where == "disk"
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    monkeypatch.setattr("cass_cli.data.space.available_memory", lambda: 2 * needed - 1)
    store = build(table, "auto")
    assert store.where == "disk"
    assert any("half of the available memory" in note for note in store.notes)


def test_memory_asked_for_but_not_there_is_an_error(table: SampleTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cass_cli.data.store.store.available_memory", lambda: 10)
    with pytest.raises(DataError, match="--cache disk"):
        build(table, "ram")


def test_device_without_one_stays_in_memory_and_says_so(table: SampleTable) -> None:
    store = build(table, "device")
    assert store.where == "ram"
    assert any("no CUDA device" in note for note in store.notes)


def test_device_too_small_stays_on_the_host_and_says_so(table: SampleTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2 * 30 * 3 * SIZE**2 - 1, 10**9))
    for mode, said in (("device", True), ("auto", False)):
        store = build(table, mode, device=torch.device("cuda"))
        assert store.where == "ram"
        assert any("device's free" in note for note in store.notes) == said


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", ["auto", "device", "ram", "disk", "off"])
def test_batches_on_a_device_equal_those_on_the_host(table: SampleTable, mode: str) -> None:
    device = torch.device("cuda")
    store = build(table, mode, device=device)
    assert store.where == ("device" if mode in ("auto", "device") else mode)
    rows = torch.tensor([4, 29, 0])
    batch = store.batch(rows, device)
    assert batch.device.type == "cuda"
    assert np.array_equal(batch.cpu().numpy(), expected(table, rows.tolist()))


# ---- the folder


def test_list_and_clear(table: SampleTable) -> None:
    assert list_caches() == ()
    assert clear_caches() == 0
    old, new = build(table, "disk", size=8), build(table, "disk")
    assert old.path is not None
    os.utime(old.path, (1e9, 1e9))
    first, second = list_caches()
    assert (first.path, first.images, first.size, first.complete) == (new.path, 30, SIZE, True)
    assert (second.path, second.size, second.last_used) == (old.path, 8, 1e9)
    assert first.bytes == os.path.getsize(first.path)  # noqa: PTH202
    assert first.root == str(table.root)
    assert clear_caches(partial_only=True) == 0
    assert clear_caches(unused_days=30) == second.bytes
    assert clear_caches() == first.bytes
    assert list(image_folder().iterdir()) == []
    assert np.array_equal(everything(new), expected(table))  # a run that reads it goes on


def test_opening_counts_as_use(table: SampleTable) -> None:
    path = build(table, "disk").path
    assert path is not None
    os.utime(path, (1e9, 1e9))
    build(table, "disk")
    assert time.time() - list_caches()[0].last_used < 3600


def test_clear_leaves_what_is_being_built(table: SampleTable) -> None:
    path = build(table, "disk").path
    assert path is not None
    with locked(path.with_suffix(".lock"), wait=False) as ours:
        assert ours
        assert clear_caches() == 0
    assert path.exists()


def test_lock_is_one_at_a_time_and_survives_its_removal(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with locked(path) as first, locked(path, wait=False) as second:
        assert (first, second) == (True, False)
        path.unlink()
        with locked(path, wait=False) as third:
            assert third
    with locked(path, wait=False) as later:
        assert later


def test_lock_file_removed_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, tries, try_lock = tmp_path / "a.lock", [], lock._try_lock

    def removed_first(file: Any) -> bool:
        if not tries:
            path.unlink()
        tries.append(file)
        return try_lock(file)

    monkeypatch.setattr(lock, "_try_lock", removed_first)
    with locked(path) as first, locked(path, wait=False) as second:
        assert (first, second) == (True, False)


def test_names_that_are_not_utf8_or_hold_newlines_are_cached(tmp_path: Path) -> None:
    names = (os.fsdecode(b"\xff\xfe.png"), "a\nb.png")
    for name in names:
        Image.fromarray(picture(1)).save(tmp_path / name, "PNG")
    table = SampleTable(tmp_path, names)
    assert np.array_equal(everything(build(table, "disk")), expected(table))
    (tmp_path / names[0]).write_bytes(b"")
    (tmp_path / names[1]).write_bytes(b"")
    with pytest.raises(DataError) as raised:
        build(table, "disk")
    str(raised.value).encode("utf-8")
    assert "a\\nb.png" in str(raised.value)


def test_cache_directory_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CASS_CACHE", str(tmp_path / "own"))
    assert default_cache_dir() == tmp_path / "own"
    monkeypatch.delenv("CASS_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "cass"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "cass"
