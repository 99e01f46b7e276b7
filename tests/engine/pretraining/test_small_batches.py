"""No forward pass has fewer than two images: small last batches have fewer parts, and what cannot work is told."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from cass_cli.engine.batches import batch_bounds
from cass_cli.engine.distributed import World
from cass_cli.engine.pretraining.loop import _parts, pretrain
from cass_cli.engine.pretraining.plan import check_batches
from cass_cli.engine.signals import StopRequest
from cass_cli.errors import CassError
from tests.engine.tiny import tiny_config, tiny_session

METHODS: dict[str, dict[str, Any]] = {
    "cass": {},
    "byol": {"method__name": "byol"},
    "mae": {"method__name": "mae", "method__decoder_width": 32, "method__decoder_depth": 1},
    "dino": {"method__name": "dino", "method__prototypes": 16},
    "vicreg": {"method__name": "vicreg"},
    "distill": {"method__name": "distill"},
}


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_image_of_a_batch_is_in_one_part_of_two_or_more(processes: int) -> None:
    s = tiny_session()
    for accumulate, images in itertools.product((1, 2, 3), range(2 * processes, 40)):
        s.train = tiny_config(train__batch_size=2 * accumulate * processes, train__accumulate=accumulate).train
        for start, stop in batch_bounds(images, s.train.batch_size, smallest=2 * processes):
            parts = []
            for rank in range(processes):
                s.world = World(rank, processes)
                parts.append(_parts(s, stop - start))
            assert sorted(int(i) for of_rank in parts for part in of_rank for i in part) == list(range(stop - start))
            assert min(len(part) for of_rank in parts for part in of_rank) >= 2
            assert len({len(of_rank) for of_rank in parts}) == 1  # else the processes would wait for each other


@pytest.mark.parametrize("size", [4, 5, 8, 16, 17])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_full_batch_is_split_as_it_was(size: int, accumulate: int) -> None:
    s = tiny_session(train__accumulate=accumulate)
    before = torch.arange(size).tensor_split(accumulate)
    assert [part.tolist() for part in _parts(s, size)] == [part.tolist() for part in before]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("images", [5, 7])
def test_last_batches_of_any_size_train_in_parts(method: str, images: int) -> None:
    """The last batch has 2 or 3 images, or the only one has 5, in two parts each."""
    settings = {**METHODS[method], "train__batch_size": 4, "train__accumulate": 2, "train__epochs": 1}
    stats = list(pretrain(tiny_session(images=images, **settings), stop=StopRequest(), save=lambda _s: None))
    assert stats[0].images == images


@pytest.mark.parametrize(
    ("images", "batch", "accumulate", "processes", "said"),
    [
        (
            20,
            1,
            1,
            1,
            r"A batch of 1 leaves one image for a forward pass; batch norm needs two\.\nTake --batch-size 2\.$",
        ),
        (20, 4, 4, 1, r"A batch of 4, in 4 parts leaves one image.*\nTake --batch-size 8, or --accumulate 2\.$"),
        (20, 8, 2, 4, r"A batch of 8, in 2 parts for 4 processes .*\nTake --batch-size 16, or --accumulate 1\.$"),
        (20, 6, 1, 4, r"A batch of 6 for 4 processes .*\nTake --batch-size 8\.$"),
        (1, 16, 1, 1, "There is 1 training image, and at least 2 are needed"),
        (7, 16, 1, 4, "There are 7 training images for 4 processes, and at least 8 are needed"),
    ],
)
def test_what_leaves_one_image_is_told(images: int, batch: int, accumulate: int, processes: int, said: str) -> None:
    train = tiny_config(train__batch_size=batch, train__accumulate=accumulate).train
    with pytest.raises(CassError, match=said):
        check_batches(train, images, processes, fewest=2)


@pytest.mark.parametrize("method", METHODS)
def test_a_session_of_one_image_is_told_as_soon(method: str) -> None:
    """As where all but one image cannot be read, which the plan does not know."""
    with pytest.raises(CassError, match="1 training image"):
        tiny_session(images=1, **METHODS[method])
