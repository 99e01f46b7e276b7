"""An embedding as a file: arrays of NumPy, or a table of Parquet. Whole or not at all, and readable without cass.

Shapes: n images, C classes, D features.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cass_cli.data.sample_table import SampleTable
from cass_cli.data.splits import label_text
from cass_cli.engine.embedding.job import Embedded
from cass_cli.errors import ConfigError, RunError
from cass_cli.files import OPENED, whole_file
from cass_cli.words import shown

FORMATS = (".npz", ".parquet")
PICTURES = (".png", ".pdf", ".svg")
HINT = "Choose another --out."


def check_out(out: Path | None, beside: Path | None, figure: Path | None, *, overwrite: bool) -> None:
    """Raise an error where the features, the CSV `beside` them or the figure cannot be written: before hours pass.

    That is `ConfigError` for another format, a stream or a missing part, `RunError` for what exists already.
    """
    for option, path, endings in (("--out", out, FORMATS), ("--figure", figure, PICTURES)):
        if path is None:
            continue
        if str(path) == "-" or OPENED.fullmatch(str(path)) or (path.exists() and not path.is_file()):
            raise ConfigError(
                f"{option} {shown(str(path))} is no file, and there is more to write beside it.",
                hint=f"Name a file with {option}.",
            )
        if path.suffix not in endings:
            raise ConfigError(
                f"{option} {shown(str(path))} is of no known format.", hint=f"It ends in {' or '.join(endings)}."
            )
    if out and out.suffix == ".parquet":
        _pyarrow()
    for option, path in (("--out", out), ("--out", beside), ("--figure", figure)):
        if path and path.exists() and not overwrite:
            raise RunError(
                f"{shown(str(path))} exists already.", hint=f"Choose another {option}, or replace it with --overwrite."
            )


def write_features(out: Path, found: Embedded) -> None:
    """Write features, names, labels, groups and splits to `out`, in the format that its ending names.

    A user has asked for this very path, so a link stays one.
    """
    if out.suffix == ".parquet":
        _write_parquet(out, found)
        return
    with whole_file(out, hint=HINT, asked=True) as file:
        np.savez(file, allow_pickle=False, **arrays(found))


def arrays(found: Embedded) -> dict[str, NDArray[Any]]:
    """Return the arrays of the .npz: features [n, D] by arm, and what is known of the n images.

    `labels` are the names of classes, "" where unknown; of several classes an image they are int8 [n, C] of 0 and 1, −1
    where unknown. `about` is one text of JSON: where the numbers come from.
    """
    table = found.table
    return {
        **{name: arm.values for name, arm in found.features.items()},
        "names": np.array(table.names),
        "labels": labels_of(table),
        "classes": np.array(table.classes, dtype=str),
        "groups": np.array(table.groups or [""] * len(table)),
        "splits": np.array(found.splits),
        "about": np.array(json.dumps(found.about)),
    }


def labels_of(table: SampleTable) -> NDArray[Any]:
    """Return what an .npz holds as labels."""
    if table.multilabel:
        assert table.labels is not None, "said above"
        return table.labels
    return np.array([label_text(table, row) for row in range(len(table))])


def _write_parquet(out: Path, found: Embedded) -> None:
    """Write a row an image; the features of an arm are a list in one column."""
    pa, parquet = _pyarrow()
    table = found.table
    columns: dict[str, Any] = {"name": [_utf8(name) for name in table.names]}
    if table.multilabel:
        assert table.labels is not None, "said above"
        for c, name in enumerate(table.classes):
            bits = table.labels[:, c]
            columns[f"label:{_utf8(name)}"] = pa.array(bits, pa.int8(), mask=bits < 0)
    else:
        columns["label"] = [_utf8(label) for label in labels_of(table).tolist()]
    columns["group"] = [_utf8(group) for group in table.groups or [""] * len(table)]
    columns["split"] = list(found.splits)
    for name, arm in found.features.items():
        flat = pa.array(arm.values.reshape(-1), pa.float32())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, arm.values.shape[1])
    made = pa.table(columns).replace_schema_metadata({"cass": json.dumps(found.about)})
    with whole_file(out, hint=HINT, asked=True) as file:
        parquet.write_table(made, file)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        command = "pip install 'cass-cli[parquet]'"
        raise ConfigError(
            f"Parquet needs an optional part: {command}", hint=f"Run: {command}, or name an .npz with --out."
        ) from error
    return pyarrow, pyarrow.parquet


def _utf8(name: str) -> str:
    """Return a name as text of UTF-8, which a name on a disk need not be."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
