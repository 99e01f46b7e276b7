from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="the optional extra 'dicom' is not installed")

from cass_cli.config.schema import FitName
from cass_cli.data.decode.facts import DecodeError, PixelRules
from cass_cli.data.decode.image import describe_image, read_image, squared_pixels
from tests.data.decode.dicom_files import dicom, dicom_table, stored
from tests.data.decode.field_files import field_table
from tests.data.decode.odd_files import MAX_PIXELS, OddFile, greys, rgb

TABLE = [*dicom_table(), *field_table()]
READABLE = [odd for odd in TABLE if not isinstance(odd.gives, str)]


def by_name(odd: OddFile) -> str:
    return odd.name


@pytest.mark.parametrize("odd", TABLE, ids=by_name)
def test_dicom_gives_its_pixels_or_its_reason(odd: OddFile, tmp_path: Path) -> None:
    path = odd.write(tmp_path)
    if isinstance(odd.gives, str):
        with pytest.raises(DecodeError) as raised:
            read_image(path, rules=PixelRules(max_pixels=MAX_PIXELS))
        assert odd.gives in str(raised.value)
        return
    pixels = read_image(path, rules=PixelRules(max_pixels=MAX_PIXELS)).pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == odd.gives.shape
    assert np.abs(pixels.astype(int) - odd.gives).max() <= odd.within


@pytest.mark.parametrize("odd", READABLE, ids=by_name)
def test_header_tells_the_size_of_the_decoded_image(odd: OddFile, tmp_path: Path) -> None:
    facts = describe_image(odd.write(tmp_path))
    assert (facts.height, facts.width) == odd.gives.shape[:2]  # type: ignore[union-attr]
    assert facts.format == "DICOM"


def test_first_of_several_frames_is_read_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(stored(dicom(np.stack([greys(), 255 - greys(), greys() * 0]), frames=3)))
    assert describe_image(path).pages == 3
    decoded = read_image(path)
    assert decoded.several_pages
    assert np.array_equal(decoded.pixels, rgb(greys()))


@pytest.mark.parametrize("fit", get_args(FitName))
def test_size_is_applied_to_dicom_too(fit: FitName, tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(stored(dicom(greys())))
    assert np.array_equal(read_image(path, size=10, fit=fit).pixels, squared_pixels(rgb(greys()), 10, fit))


@pytest.fixture
def no_pydicom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `import pydicom` fail, as on a machine without the extra."""
    for name in [n for n in sys.modules if n.split(".")[0] == "pydicom"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    monkeypatch.delattr("cass_cli.data.decode.dicom")
    for ours in ("dicom", "dicom_file"):
        monkeypatch.delitem(sys.modules, f"cass_cli.data.decode.{ours}")


@pytest.mark.usefixtures("no_pydicom")
def test_without_pydicom_the_error_says_what_to_install(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(b"\0" * 128 + b"DICM")
    with pytest.raises(DecodeError, match=r"pip install 'cass-cli\[dicom\]'"):
        read_image(path)
    with pytest.raises(DecodeError, match=r"pip install 'cass-cli\[dicom\]'"):
        describe_image(path)


@pytest.mark.parametrize(
    ("width", "shown"),
    [(5, [0, 0, 32, 96, 159, 223, 255, 255]), (1, [0, 0, 0, 0, 255, 255, 255, 255])],
)
def test_linear_window_is_the_standards_formula(width: int, shown: list[int], tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.2.1, worked out by hand for the values 36 to 43 and the window's center 40."""
    path = tmp_path / "a.dcm"
    values = np.arange(36, 44, dtype=np.uint16)[None]
    path.write_bytes(stored(dicom(values, WindowCenter=40, WindowWidth=width)))
    assert read_image(path).pixels[0, :, 0].tolist() == shown
