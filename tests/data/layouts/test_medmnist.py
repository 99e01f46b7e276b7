from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cass_cli.data.layouts.medmnist import download_medmnist
from cass_cli.errors import DataError


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """A stand-in for the medmnist package that writes the file its real class would fetch."""
    calls: list[dict[str, object]] = []

    def path_mnist(*, root: str, size: int, **options: object) -> None:
        calls.append({"root": root, "size": size, **options})
        if size == 64:
            raise RuntimeError("no network")
        name = "pathmnist.npz" if size == 28 else f"pathmnist_{size}.npz"
        np.savez(Path(root) / name, train_images=np.zeros((2, 4, 4), np.uint8))

    module = SimpleNamespace(INFO={"pathmnist": {"python_class": "PathMNIST"}}, PathMNIST=path_mnist)
    monkeypatch.setitem(sys.modules, "medmnist", module)
    return calls


@pytest.mark.parametrize(("name", "size"), [("pathmnist.npz", 28), ("pathmnist_224.npz", 224)])
def test_the_named_archive_lands_where_it_is_named(
    tmp_path: Path, package: list[dict[str, object]], name: str, size: int
) -> None:
    download_medmnist(tmp_path / "sets" / name)
    assert (tmp_path / "sets" / name).is_file()
    assert package[0]["size"] == size
    assert package[0]["download"] is True


@pytest.mark.parametrize(
    ("name", "said"),
    [("pathmnis.npz", "Did you mean 'pathmnist'"), ("pathmnist_64.npz", "no network"), ("x.csv", "x.csv")],
)
def test_errors(tmp_path: Path, package: list[dict[str, object]], name: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        download_medmnist(tmp_path / name)


def test_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "medmnist", None)
    with pytest.raises(DataError, match=r"pip install 'cass-cli\[medmnist\]'"):
        download_medmnist(tmp_path / "pathmnist.npz")
