"""A table beside the images that says more of them, or of their patients: sex, age, site, scanner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cass_cli.data.decode.kinds import stem_of
from cass_cli.data.frames import file_of
from cass_cli.data.layouts.columns import group_column
from cass_cli.data.layouts.tables import Table, read_table
from cass_cli.errors import DataError, did_you_mean
from cass_cli.words import count, shown, shown_list

PARTS = 3  # folders and file at the end of a path that may stand for it


def read_metadata(
    path: Path, names: Sequence[str], groups: Sequence[str] | None, wanted: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return the cells of the columns `wanted` for each image; "" where the table has no row for it.

    Rows are found by the column that names most of the images: by path, the end of one, file, or any of these without
    its suffix; or, where none does, by the one that names their patients (`groups`). Raises DataError where there is no
    such column, a column is not there, or rows of one image disagree.
    """
    table = read_table(path)
    return _cells(table, _joining(table, names, groups), wanted)


def read_groups(path: Path, names: Sequence[str], asked: str | None = None) -> tuple[str, ...]:
    """Return the patient of each image as the table says; "" where it has no row for the image, or the cell is empty.

    The column is the one that is `asked` for, else one with a usual name, else the only other one there is. Raises what
    `read_metadata` does.
    """
    table = read_table(path)
    joining = _joining(table, names, None)
    others = [column for column in table.columns if column != joining[0]]
    column = group_column(table, asked, others) or (others[0] if len(others) == 1 else None)
    if column is None:
        raise DataError(
            f"No column of {shown(path.name)} looks like patients ({shown_list(list(table.columns))}).",
            hint="Name it with --group-column.",
        )
    return _cells(table, joining, [column])[column]


def _cells(table: Table, joining: tuple[str, _Subjects], wanted: Sequence[str]) -> dict[str, tuple[str, ...]]:
    path, (column, subjects) = table.path, joining
    lacking = [column for column in wanted if column not in table.columns]
    if lacking:
        raise DataError(
            f"{shown(path.name)} has no column '{shown(lacking[0])}'.{did_you_mean(lacking[0], tuple(table.columns))}",
            hint=f"Its columns: {shown_list(list(table.columns))}",
        )
    found: dict[str, tuple[str, ...]] = {}
    disagreeing = []
    for cell, subject, *said in zip(
        table.columns[column], subjects.of_rows, *(table.columns[c] for c in wanted), strict=True
    ):
        if subject and found.setdefault(subject, tuple(said)) != tuple(said):
            disagreeing.append(cell)
    if disagreeing:
        raise DataError(
            f"{count(len(disagreeing), 'row')} of {shown(path.name)} contradict an earlier one in "
            f"{shown_list(list(wanted))}: {shown_list(disagreeing)}.",
            hint="Keep one row an image, or one a patient.",
        )
    nothing = ("",) * len(wanted)
    rows = [found.get(subject, nothing) if subject else nothing for subject in subjects.of_images]
    return {name: tuple(row[i] for row in rows) for i, name in enumerate(wanted)}


@dataclass(frozen=True)
class _Subjects:
    """Whom rows and images are about: the path of a file, or the name of a patient; "" for none."""

    of_rows: Sequence[str]
    of_images: Sequence[str]


def _joining(table: Table, names: Sequence[str], groups: Sequence[str] | None) -> tuple[str, _Subjects]:
    """Return the column that names most of the images, else of their patients, and whom its cells name."""
    paths = [file_of(name) for name in names]
    meant: dict[str, str] = {}
    for path in set(paths):
        for form in _forms(path):
            meant[form] = path if meant.get(form, path) == path else ""  # of several: of none
    meant |= {path: path for path in paths}
    for subjects, read in ((paths, meant), (groups or (), {group: group for group in groups or () if group})):
        several = set(subjects) - {""}
        said = {
            column: [next((read[form] for form in (cell, *_forms(cell)) if read.get(form)), "") for cell in cells]
            for column, cells in table.columns.items()
        }
        best = max(said, key=lambda column: len(several.intersection(said[column])))
        if several.intersection(said[best]):
            return best, _Subjects(said[best], subjects)
    raise DataError(
        f"No column of {shown(table.path.name)} names images or patients of this data.",
        hint="One row an image, named by its path, file or stem, or one a patient, is expected.",
    )


def _forms(name: str) -> tuple[str, ...]:
    """Return what may name an image: its path, the ends of it, and these without their suffix; the surest first."""
    path = file_of(name.replace("\\", "/")) if name else ""
    parts = path.rsplit("/", PARTS)
    ends = ["/".join(parts[i:]) for i in range(1, len(parts))]
    return tuple(dict.fromkeys(form for end in (path, *ends) for form in (end, stem_of(end)) if form))
