"""Shared fixtures: small generated images, tiny timm arms, and the real data of ../shared where present."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

# One thread a worker, so that as many workers as cores share them; `make test-everywhere` tries more. The same for the
# processes that tests start, as bits depend on it; said before the libraries are loaded that read it. So is that no
# test asks the hub.
THREADS = os.environ.get("CASS_TEST_THREADS", "1")
os.environ |= {"OMP_NUM_THREADS": THREADS, "OPENBLAS_NUM_THREADS": THREADS, "HF_HUB_OFFLINE": "1"}

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from cass_cli.config.schema import Config
from cass_cli.engine.pretraining import plan
from cass_cli.reports import pictures

REPO = Path(__file__).parents[1]
SAVE = pictures._save


@pytest.fixture(autouse=True, scope="session")
def _threads() -> None:
    torch.set_num_threads(int(THREADS))


@pytest.fixture(autouse=True, scope="session")
def _no_users_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep every test, and every fixture that many share, out of the user's cache, data and weights folders."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CASS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("CASS_DATA", raising=False)
        patch.delenv("CASS_WEIGHTS", raising=False)
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_measured() -> Iterator[None]:
    """All tests, and what they share, compute in the usual way, on every machine: see tests/engine/test_fastest.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cass_cli.engine.fastest.other_ways", lambda _train: [])
        yield


@pytest.fixture(autouse=True, scope="session")
def _a_cost_is_counted_once() -> Iterator[None]:
    """What a method costs is said by the settings alone; most tests have the same, and each would count it anew."""
    counted: dict[str, plan.Cost] = {}
    count = plan.count_cost

    def count_once(config: Config) -> plan.Cost:
        key = config.model_dump_json()
        if key not in counted:
            counted[key] = count(config)
        return counted[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "count_cost", count_once)
        yield


@pytest.fixture(autouse=True, scope="session")
def _pictures_are_blank() -> Iterator[None]:
    """Figures are composed, but their files are blank: to lay out and draw them was half of what tests computed.

    Those of tests that are marked `drawn`, and of processes that tests start, are drawn as they are for users.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "_save", _save_blank)
        yield


def _save_blank(_figure: Figure, file: IO[bytes], **how: Any) -> None:
    Figure(figsize=(0.1, 0.1)).savefig(file, format=how["format"])


@pytest.fixture(autouse=True)
def _drawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("drawn"):
        monkeypatch.setattr(pictures, "_save", SAVE)


@pytest.fixture
def shared() -> Path:
    """The folder of real images and weights; skips the test where there is none."""
    root = Path(os.environ.get("CASS_SHARED", REPO.parent / "shared"))
    if not (root / "data" / "README.md").is_file():
        pytest.skip(f"real images and weights are not at {root} (set CASS_SHARED)")
    return root


@pytest.fixture
def class_folders(tmp_path: Path) -> Path:
    """Forty 48-pixel pictures in two class folders, told apart by brightness and pattern."""
    root, rng = tmp_path / "pictures", np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (root / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 128, (48, 48, 3)) + 100 * label
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i:02d}.png")
    return root
