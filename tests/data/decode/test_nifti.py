from __future__ import annotations

import gzip
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nibabel", reason="the optional extra 'nifti' is not installed")

import nibabel

from cass_cli.data.decode import nifti as reader
from cass_cli.data.decode.depth import percentile_window, to_uint8
from cass_cli.data.decode.facts import DecodeError, PixelRules
from cass_cli.data.decode.image import describe_image, read_image, squared_pixels
from cass_cli.data.decode.kept import Budget, Kept
from tests.data.decode.nifti_files import SHAPE, nifti, volume
from tests.data.decode.odd_files import rgb

VALUES = volume()
WINDOW = percentile_window(VALUES.astype(float))


def axial(values: Any, z: int) -> Any:
    """A slice as radiologists see it: the front up, the patient's right on the left."""
    return values[:, :, z][::-1, ::-1].T


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("orientation", ["RAS", "LPS", "ASR", "PIR", "SLA"])
def test_a_slice_is_the_same_however_the_file_stores_it(orientation: str, ending: str, tmp_path: Path) -> None:
    path = nifti(tmp_path / f"a{ending}", VALUES, orientation=orientation)
    for z in range(SHAPE[2]):
        decoded = read_image(path, frame=z)
        assert np.array_equal(decoded.pixels, rgb(to_uint8(axial(VALUES, z), WINDOW))) and not decoded.several_pages
    facts = describe_image(path)
    assert (facts.width, facts.height, facts.pages, facts.unit, facts.bit_depth) == (7, 9, 5, "slice", 16)


def test_right_is_on_the_left_and_front_head_are_up(tmp_path: Path) -> None:
    axes = {2: (1, 1, 3), 1: (1, 3, 1), 0: (3, 1, 1)}
    shown: dict[int, Any] = {}
    for axis, spacing in axes.items():
        path = nifti(tmp_path / f"{axis}.nii", VALUES, spacing=spacing)
        shown[axis] = read_image(path, frame=2, rules=PixelRules(window=(0, 690))).pixels[..., 0]
        assert np.array_equal(shown[axis], to_uint8(VALUES.take(2, axis)[::-1, ::-1].T, (0, 690)))
    assert shown[2][0, 0] > shown[2][0, -1] and shown[2][0, 0] > shown[2][-1, 0]  # axial: right left of left, front up
    assert shown[1][0, 0] > shown[1][0, -1] and shown[1][0, 0] > shown[1][-1, 0]  # coronal: the same, head up
    assert shown[0][0, 0] > shown[0][0, -1] and shown[0][0, 0] > shown[0][-1, 0]  # sagittal: front left, head up


@pytest.mark.parametrize(
    ("shape", "spacing", "slices"),
    [
        ((7, 9, 5), (1, 1, 3), 5),
        ((7, 9, 5), (1, 2, 1), 9),
        ((7, 9, 5), (1, 1, 1), 5),
        ((4, 9, 9), (1, 1, 1), 4),
        ((9, 9, 8), (2, 2, 2), 8),
        ((9, 1, 8), (5, 1, 1), 1),
        ((9, 8), (1, 1, 1), 1),
    ],
)
def test_slices_lie_along_the_widest_spacing(
    shape: tuple[int, ...], spacing: tuple[float, float, float], slices: int, tmp_path: Path
) -> None:
    path = nifti(tmp_path / "a.nii", np.random.default_rng(0).integers(0, 99, shape).astype(np.int16), spacing=spacing)
    assert describe_image(path).pages == slices


def test_the_middle_slice_is_read_where_none_is_asked_for(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz", VALUES)
    decoded = read_image(path)
    assert decoded.several_pages and np.array_equal(decoded.pixels, read_image(path, frame=2).pixels)
    assert np.array_equal(read_image(path, size=6, fit="crop").pixels, squared_pixels(decoded.pixels, 6, "crop"))
    with pytest.raises(DecodeError, match="no frame 5, counted from 0, only 5"):
        read_image(path, frame=5)


def test_a_window_is_in_the_values_of_the_file(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz", VALUES, slope=2.0, inter=-1024.0)
    shown = read_image(path, frame=1, rules=PixelRules(window=(-160, 240))).pixels
    assert np.array_equal(shown, rgb(to_uint8(axial(2.0 * VALUES - 1024, 1), (-160, 240))))
    assert np.array_equal(read_image(path, frame=1).pixels, rgb(to_uint8(axial(VALUES, 1), WINDOW)))


def test_8_bits_pass_unchanged_and_colours_are_colours(tmp_path: Path) -> None:
    small = (VALUES % 251).astype(np.uint8)
    assert np.array_equal(read_image(nifti(tmp_path / "a.nii", small), frame=3).pixels, rgb(axial(small, 3)))
    coloured = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    coloured["R"], coloured["B"] = small, 255 - small
    path = nifti(tmp_path / "b.nii.gz", coloured)
    expected = np.stack([axial(coloured[name], 3) for name in "RGB"], axis=-1)
    assert np.array_equal(read_image(path, frame=3).pixels, expected)
    assert np.array_equal(read_image(path, frame=3, rules=PixelRules(channels=(2,))).pixels, rgb(expected[..., 2]))


def test_channels_are_the_last_axis_and_times_only_where_they_are_chosen(tmp_path: Path) -> None:
    four = np.stack([VALUES, 700 - VALUES, VALUES * 2, VALUES * 3], axis=-1)  # [X, Y, Z, T]
    path = nifti(tmp_path / "times.nii.gz", four)
    assert describe_image(path).volumes == 4
    assert np.array_equal(read_image(path, frame=1).pixels, rgb(to_uint8(axial(VALUES, 1), WINDOW)))
    picked = read_image(path, frame=1, rules=PixelRules(window=(0, 700), channels=(3, 1, 0))).pixels
    assert np.array_equal(picked, to_uint8(np.stack([axial(four[..., c], 1) for c in (3, 1, 0)], -1), (0, 700)))
    path = nifti(tmp_path / "vectors.nii", four[:, :, :, None])  # [X, Y, Z, 1, C]
    with pytest.raises(DecodeError, match="has 4 channels: choose three"):
        read_image(path)
    assert np.array_equal(
        read_image(path, frame=1, rules=PixelRules(window=(0, 700), channels=(3, 1, 0))).pixels, picked
    )
    with pytest.raises(DecodeError, match="--channels 4 asks for others"):
        read_image(path, rules=PixelRules(channels=(4,)))


def test_a_packed_volume_is_unpacked_once_for_all_slices_and_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = nifti(tmp_path / "a.nii.gz", VALUES)
    opened: list[str] = []
    monkeypatch.setattr(reader.gzip, "open", lambda p: opened.append(str(p)) or gzip.GzipFile(p))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda z: read_image(path, frame=z % 5), range(40)))
    assert opened == [str(path)]


def test_no_more_than_the_first_volume_is_unpacked(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 99, (*SHAPE, 40)).astype(np.int16))
    path.write_bytes(path.read_bytes()[:6000])
    assert read_image(path).pixels.shape == (9, 7, 3)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DecodeError):
        read_image(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).header
    header.set_data_shape((2000, 2000, 30_000))
    header["vox_offset"] = 352
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(100_000)))
    monkeypatch.setattr(reader.gzip, "open", lambda _path: pytest.fail("it was unpacked"))
    with pytest.raises(DecodeError, match=r"240,000\.0 MB unpacked, more than --max-file-mb 2000 allows"):
        read_image(path, frame=0)
    with pytest.raises(DecodeError, match="--max-pixels"):
        read_image(path, frame=0, rules=PixelRules(max_pixels=1000))
    header["vox_offset"] = 1e12
    path.write_bytes(gzip.compress(header.binaryblock + bytes(100_000)))
    with pytest.raises(DecodeError, match="damaged: its values begin at byte"):
        read_image(path)


def test_damaged_volumes_say_so(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", VALUES)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DecodeError, match="cut short"):
        read_image(path)
    packed = nifti(tmp_path / "b.nii.gz", VALUES)
    whole = bytearray(packed.read_bytes())
    whole[-6] ^= 255  # of the checksum
    packed.write_bytes(whole)
    with pytest.raises(DecodeError):
        read_image(packed)
    for content, reason in ((b"1 2 3 4", "not a NIfTI"), (b"\0" * 600, "not a NIfTI"), (b"", "empty")):
        path.write_bytes(content)
        with pytest.raises(DecodeError, match=reason):
            describe_image(path)


def test_without_nibabel_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nifti(tmp_path / "a.nii.gz", VALUES)
    for name in [name for name in sys.modules if name.split(".")[0] == "nibabel"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delattr("cass_cli.data.decode.nifti")
    for ours in ("nifti", "nifti_file"):
        monkeypatch.delitem(sys.modules, f"cass_cli.data.decode.{ours}")
    for read in (read_image, describe_image):
        with pytest.raises(DecodeError, match=r"NIfTI needs an optional part: pip install 'cass-cli\[nifti\]'"):
            read(path)


class Weight:
    def __init__(self, held: int) -> None:
        self.bytes = held


def test_what_is_kept_is_bounded_and_errors_are_not_kept() -> None:
    kept: Kept[Weight] = Kept(most_bytes=10)
    made: list[int] = []

    def get(key: int, held: int) -> None:
        kept.get(key, lambda: made.append(key) or Weight(held))  # type: ignore[func-returns-value]

    for key, held in ((1, 4), (2, 4), (1, 4), (3, 4), (1, 4), (2, 4), (4, 99), (4, 99)):
        get(key, held)
    assert made == [1, 2, 3, 2, 4]  # 2 went when 3 came: 1 had been used later; 4 is kept though larger than all
    with pytest.raises(ZeroDivisionError):
        kept.get(5, lambda: Weight(1 // 0))
    get(5, 1)
    assert made[-1] == 5


def test_of_axes_alike_the_last_is_taken(tmp_path: Path) -> None:
    facts = describe_image(nifti(tmp_path / "a.nii", np.zeros((8, 9, 8), np.int16), spacing=(1, 1, 1)))
    assert (facts.pages, facts.height, facts.width) == (8, 9, 8)  # axial; sagittal would lie


def test_a_slope_of_colours_means_nothing(tmp_path: Path) -> None:
    colours = np.zeros((4, 5, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colours["R"] = 200
    image = nibabel.Nifti1Image(colours, np.eye(4))
    image.header.set_slope_inter(2, 0)
    nibabel.save(image, tmp_path / "c.nii")
    assert read_image(tmp_path / "c.nii").pixels.max() == 200


def test_a_budget_is_never_overdrawn() -> None:
    budget, most, lock = Budget(10), [0, 0], threading.Lock()

    def work(part: int) -> None:
        with budget.taking(part):
            with lock:
                most[0] += part
                most[1] = max(most)
            time.sleep(0.002)
            with lock:
                most[0] -= part

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [4, 4, 3, 10, 1, 6] * 4))
    assert most == [0, 10]
