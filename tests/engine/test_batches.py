from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from cass_cli.engine.batches import batch_bounds, epoch_order, prefetch


@pytest.mark.parametrize("images", [2, 3, 15, 16, 17, 31, 33, 100])
@pytest.mark.parametrize("batch_size", [1, 2, 16, 64])
@pytest.mark.parametrize("smallest", [2, 4])
def test_every_image_once_and_no_tiny_tail(images: int, batch_size: int, smallest: int) -> None:
    bounds = batch_bounds(images, batch_size, smallest=smallest)
    assert [i for start, stop in bounds for i in range(start, stop)] == list(range(images))
    assert all(stop - start == batch_size for start, stop in bounds[:-1])
    if len(bounds) > 1:
        assert bounds[-1][1] - bounds[-1][0] >= min(smallest, batch_size)


def test_a_tail_of_one_joins_the_batch_before() -> None:
    assert batch_bounds(33, 16) == [(0, 16), (16, 33)]
    assert batch_bounds(34, 16) == [(0, 16), (16, 32), (32, 34)]
    assert batch_bounds(5, 16) == [(0, 5)]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first = epoch_order(50, seed=1, epoch=2)
    assert torch.equal(first, epoch_order(50, seed=1, epoch=2))
    assert not torch.equal(first, epoch_order(50, seed=1, epoch=3))
    assert not torch.equal(first, epoch_order(50, seed=2, epoch=2))
    assert sorted(first.tolist()) == list(range(50))


def test_prefetch_keeps_order_runs_ahead_and_passes_errors_on() -> None:
    fetched: list[int] = []

    def fetch(item: int) -> int:
        fetched.append(item)
        if item == 4:
            raise ValueError("four")
        return item * 10

    seen = prefetch(fetch, range(6), device=torch.device("cpu"))
    assert next(seen) == 0
    time.sleep(0.05)
    assert 1 in fetched  # made while the caller is at work
    assert [next(seen), next(seen), next(seen)] == [10, 20, 30]
    with pytest.raises(ValueError, match="four"):
        next(seen)


def test_on_mps_nothing_is_fetched_by_another_thread() -> None:
    """Two threads that use MPS at once end the process."""
    seen = prefetch(lambda _item: threading.current_thread(), range(3), device=torch.device("mps"))
    assert set(seen) == {threading.current_thread()}


def test_prefetching_takes_no_threads_from_the_caller() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen = list(prefetch(lambda _item: torch.get_num_threads(), range(3), device=torch.device("cpu")))
        assert seen == [1, 1, 1]
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)
