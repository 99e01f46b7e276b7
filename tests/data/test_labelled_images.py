from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cass_cli.data.dataset import Dataset
from cass_cli.data.labelled_images import LabelledData, check_trainable, rows_digest
from cass_cli.data.sample_table import SampleTable
from cass_cli.errors import DataError


def labelled_data(labels: list[list[int]]) -> LabelledData:
    names = tuple(f"{i}.png" for i in range(len(labels)))
    table = SampleTable(Path("/data"), names, ("a", "b"), np.array(labels, dtype=np.int8))
    return LabelledData(Dataset(table, ("train",) * len(labels)), {"train": np.arange(len(labels))}, (), np.arange(0))


def test_a_digest_tells_unknown_from_absent() -> None:
    rows = np.arange(2)
    digests = {rows_digest(labelled_data(labels), rows) for labels in ([[1, 0], [0, 0]], [[1, -1], [0, 0]])}
    assert len(digests) == 2
    assert (
        rows_digest(labelled_data([[1, 0], [0, 0]]), rows) == "6e43cc78964f4d23"
    )  # as it was before labels could be unknown


def test_unknown_labels_are_nothing_to_learn_from() -> None:
    check_trainable(labelled_data([[1, -1], [0, -1]]), np.arange(2))
    with pytest.raises(DataError, match="fewer than two classes"):
        check_trainable(labelled_data([[0, -1], [-1, 0]]), np.arange(2))
