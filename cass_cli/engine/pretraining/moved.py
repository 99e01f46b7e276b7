"""Going on with a run whose images, or the CSV of their labels, lie elsewhere now."""

from __future__ import annotations

from cass_cli.config.load import read_saved
from cass_cli.config.schema import Config
from cass_cli.data.dataset import Dataset
from cass_cli.data.splits import label_text, split_rows
from cass_cli.errors import DataError
from cass_cli.runs.directory import Run
from cass_cli.words import count, shown_list


def moved(run: Run, config: Config, dataset: Dataset) -> str:
    """Return a sentence on what lies elsewhere than when `run` was last written; "" where nothing does.

    All images of its splits.csv are in `dataset`, or that could not have been read. Raises `DataError` where the labels
    of some are others than there, where the labels were moved or are probed with.
    """
    before, now = read_saved(run.config).config.data, config.data
    places = (("images", before.path, now.path), ("labels", before.labels, now.labels))
    changed = [f"{what} now at {place}, before at {was}" for what, was, place in places if was != place]
    if changed or config.train.probe_every:  # else no label has a part in it
        _check_labels(run, dataset)
    if not changed:
        return ""
    images = sum(split != "" for split in dataset.splits)
    return f"Moved: {'; '.join(changed)}. All {count(images, 'image')} of the run were found."


def _check_labels(run: Run, dataset: Dataset) -> None:
    labels = {row["image"]: row["label"] for row in split_rows(run.splits)}
    table = dataset.table
    other = [name for i, name in enumerate(table.names) if name in labels and labels[name] != label_text(table, i)]
    if other:
        raise DataError(
            f"{count(len(other), 'image')} in {table.root} are labelled otherwise than in {run.splits}: "
            f"{shown_list(other)}",
            hint="Name the labels that the run was made with, or start a new run.",
        )
