"""From samples to decoded images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cass_cli.config.schema import Data
from cass_cli.data.dataset import Dataset, load_images, load_training_images
from cass_cli.data.sources import load_samples
from cass_cli.errors import DataError
from tests.cli.conftest import make_pictures


def test_one_image_can_be_looked_at_and_not_be_trained_on(tmp_path: Path) -> None:
    table = load_samples(make_pictures(tmp_path / "pictures", per_class=1))
    dataset = Dataset(table, ("train", "test"))
    data, cpu = Data(path=tmp_path / "pictures", image_size=32), torch.device("cpu")
    assert len(load_images(dataset, dataset.rows("test"), data, device=cpu)) == 1
    with pytest.raises(DataError, match="Only 1 image to train on"):
        load_training_images(dataset, data, device=cpu)
