from __future__ import annotations

import pytest

from cass_cli.data.slides.reader import Resolution
from cass_cli.engine.tiling.request import asked_format, asked_resolution
from cass_cli.errors import ConfigError


@pytest.mark.parametrize(
    ("magnification", "mpp", "meant"),
    [
        (None, None, Resolution(20)),
        ("10", None, Resolution(10)),
        ("2.5x", None, Resolution(2.5)),
        ("40×", None, Resolution(40)),
        ("Base", None, Resolution()),
        (None, 0.5, Resolution(mpp=0.5)),
    ],
)
def test_a_resolution_is_what_was_said(magnification: str | None, mpp: float | None, meant: Resolution) -> None:
    assert asked_resolution(magnification, mpp) == meant


@pytest.mark.parametrize(
    ("magnification", "mpp", "said"),
    [
        ("20", 0.5, "say the same thing"),
        ("twenty", None, "is no magnification"),
        ("0", None, "is no magnification"),
        ("inf", None, "is no magnification"),
        (None, -1.0, "is no size of a pixel"),
        (None, float("nan"), "is no size of a pixel"),
    ],
)
def test_what_is_none_is_refused(magnification: str | None, mpp: float | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        asked_resolution(magnification, mpp)


def test_formats() -> None:
    assert [asked_format(name) for name in ("png", "JPG", "jpeg", ".png")] == ["png", "jpg", "jpg", "png"]
    with pytest.raises(ConfigError, match="not written as 'tiff'"):
        asked_format("tiff")
