from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cass_cli.data.decode.depth import to_uint8
from cass_cli.data.decode.facts import DecodeError, PixelRules
from cass_cli.data.decode.image import describe_image, read_image, squared_pixels
from tests.data.decode.odd_files import colours, greys, rgb


def written(folder: Path, values: NDArray[Any], *, allow_pickle: bool = False) -> Path:
    np.save(folder / "a.npy", values, allow_pickle=allow_pickle)
    return folder / "a.npy"


def channels(*chosen: int) -> PixelRules:
    return PixelRules(channels=chosen)


C, G = colours(), greys()
MANY = np.stack([C[..., 0], C[..., 1], C[..., 2], G, 255 - G], axis=-1)  # [H, W, 5]


@pytest.mark.parametrize(
    ("values", "gives"),
    [
        (G, rgb(G)),
        (G[..., None], rgb(G)),
        (G[None], rgb(G)),
        (C, C),
        (np.moveaxis(C, 2, 0), C),
        (np.asfortranarray(C), C),
        (G > 90, rgb(np.where(G > 90, 255, 0).astype(np.uint8))),
        (G.astype(np.int16) - 100, rgb(to_uint8(G.astype(np.int16) - 100))),
        (G.astype(">u2") * 16, rgb(to_uint8(G.astype(np.uint16) * 16))),
        (C.astype(np.float64) / 255, to_uint8(C.astype(np.float64) / 255)),
        (C.astype(np.float16), to_uint8(C.astype(np.float16))),
    ],
)
def test_an_array_gives_its_pixels(values: NDArray[Any], gives: NDArray[np.uint8], tmp_path: Path) -> None:
    path = written(tmp_path, values)
    decoded = read_image(path)
    assert np.array_equal(decoded.pixels, gives) and not decoded.several_pages
    facts = describe_image(path)
    assert (facts.height, facts.width, facts.format, facts.pages) == (*gives.shape[:2], "NPY", 1)
    assert np.array_equal(read_image(path, size=10, fit="pad").pixels, squared_pixels(gives, 10, "pad"))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (MANY, "has 5 channels: choose three (or one) with --channels 0,1,2"),
        (MANY[..., :2], "has 2 channels"),
        (MANY[..., :4], "has 4 channels"),
        (np.moveaxis(MANY, 2, 0), "no single image"),
        (np.stack([G] * 30), "no single image"),
        (np.zeros((2, 9, 9, 3)), "no single image"),
        (np.zeros(9), "no single image"),
        (np.zeros((0, 4)), "empty"),
        (G.astype(complex), "no real numbers"),
        (np.zeros((4, 4), "M8[s]"), "no real numbers"),
    ],
)
def test_what_is_no_single_image_is_refused_with_the_reason(values: NDArray[Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(DecodeError) as raised:
        read_image(written(tmp_path, values))
    assert reason in str(raised.value)


class Boom:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was loaded",)


def test_objects_are_never_loaded(tmp_path: Path) -> None:
    values = np.empty((2, 2), object)
    values[:] = Boom()
    with pytest.raises(DecodeError, match="Python objects"):
        read_image(written(tmp_path, values, allow_pickle=True))


def test_channels_are_chosen_before_values_are_mapped(tmp_path: Path) -> None:
    path = written(tmp_path, MANY)
    assert np.array_equal(read_image(path, rules=channels(2, 1, 0)).pixels, C[..., ::-1])
    assert np.array_equal(read_image(path, rules=channels(3)).pixels, rgb(G))
    deep = MANY.astype(np.float32)
    deep[..., 4] = 1e6  # which has no say
    assert np.array_equal(read_image(written(tmp_path, deep), rules=channels(3)).pixels, rgb(to_uint8(deep[..., 3])))
    with pytest.raises(DecodeError, match="--channels 7 asks for others"):
        read_image(path, rules=channels(7))


def test_a_window_maps_values_exactly_and_leaves_8_bits_alone(tmp_path: Path) -> None:
    values = np.array([[-1000, -160, -60, 40, 240, 3000]], np.int16)
    shown = read_image(written(tmp_path, values), rules=PixelRules(window=(-160, 240))).pixels[0, :, 0]
    assert shown.tolist() == [0, 0, 64, 128, 255, 255]  # 63.75 and 127.5, rounded half up
    assert np.array_equal(read_image(written(tmp_path, G), rules=PixelRules(window=(0, 10))).pixels, rgb(G))


def test_limits_are_held_against_the_header(tmp_path: Path) -> None:
    path = written(tmp_path, C)
    path.write_bytes(path.read_bytes()[:200])  # no value is there
    with pytest.raises(DecodeError, match="--max-pixels 863 allows"):
        read_image(path, rules=PixelRules(max_pixels=863))
    with pytest.raises(DecodeError, match="cut short"):
        read_image(path)
    os.truncate(path, 1_200_000)
    with pytest.raises(DecodeError, match=r"1\.2 MB, more than --max-file-mb 1 allows"):
        read_image(path, rules=PixelRules(max_file_mb=1))
    path.write_bytes(b"\x93NUMPY\1\0" + b"\xff" * 9)
    for read in (read_image, describe_image):
        with pytest.raises(DecodeError, match="damaged"):
            read(path)
    path.write_bytes(b"1 2 3")
    with pytest.raises(DecodeError, match="not a NumPy array"):
        read_image(path)
