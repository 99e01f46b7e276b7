"""A table of slides, a row each: what it says of the slides that are tiled, to be said of each of their tiles."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cass_cli.data.layouts.columns import TILE_COLUMNS
from cass_cli.data.layouts.tables import Table, read_table
from cass_cli.data.layouts.vocabulary import GROUP_COLUMNS, MISSING, plain
from cass_cli.data.slides.found import SLIDE_SUFFIXES, slide_name
from cass_cli.errors import DataError
from cass_cli.words import count, shown, shown_list

SLIDE_COLUMNS = (
    *("slide", "slide_id", "slide_name", "slide_file", "image", "image_id", "image_name", "image_file", "filename"),
    *("file_name", "file", "filepath", "file_path", "path", "name"),
)
PATIENT_COLUMNS = ("patient", *(c for c in GROUP_COLUMNS if c not in ("group", "case", "lesion_id", "patient")))
TCGA = "TCGA"  # barcodes: TCGA-tissue source site-participant-sample-…


@dataclass(frozen=True)
class Told:
    """What is known of the slides besides their pixels."""

    columns: tuple[str, ...] = ()  # of the table, those that are taken along
    cells: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by slide
    patients: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def told_of(slides: Mapping[str, Path], path: Path | None) -> Told:
    """Return what the table at `path` says of each of the slides; without one, whose they are by their names.

    Raises `DataError` for a table that cannot be read, names no slide, or says two things of one.
    """
    if path is None:
        return Told(patients={slide: patient_of(slide) for slide in slides})
    table = read_table(path.expanduser())
    key = _slide_column(table, slides)
    rows = _rows_by_slide(table, key, slides)
    patient = next((c for word in PATIENT_COLUMNS for c in table.columns if plain(c) == word and c != key), None)
    kept = tuple(c for c in table.columns if c not in {key, patient, *TILE_COLUMNS})
    whose = {slide: table.columns[patient][rows[slide]] if patient and slide in rows else "" for slide in slides}
    return Told(
        columns=kept,
        cells={slide: tuple(table.columns[c][rows[slide]] if slide in rows else "" for c in kept) for slide in slides},
        patients={slide: who if who.lower() not in MISSING else patient_of(slide) for slide, who in whose.items()},
        notes=tuple(_notes(table, key, patient, kept, slides, rows)),
    )


def patient_of(slide: str) -> str:
    """Return the patient that a slide's name tells: of TCGA the first three parts, else the slide itself."""
    parts = slide.split("-")
    return "-".join(parts[:3]) if parts[0].upper() == TCGA and len(parts) > 3 else slide


def _slide_column(table: Table, slides: Collection[str]) -> str:
    """Return the column that names slides: of the usual names, the first whose cells do."""
    usual = [c for word in SLIDE_COLUMNS for c in table.columns if plain(c) == word]
    names = shown_list(list(table.columns))
    if not usual:
        raise DataError(
            f"No column of {shown(table.path.name)} names slides: {names}.",
            hint="Call the one that does 'slide', in the table of --table.",
        )
    known = _spellings(slides)
    found = next((c for c in usual if any(_key(cell, known) for cell in table.columns[c])), None)
    if found is None:
        example = next((cell for cell in table.columns[usual[0]] if cell), "")
        raise DataError(
            f"{shown(table.path.name)} names none of the slides in its column '{shown(usual[0])}' ({shown(example)}; "
            f"slides are as {shown(next(iter(slides)))}). Its columns: {names}.",
            hint="A slide is named by its file, with or without suffix.",
        )
    return found


def _rows_by_slide(table: Table, key: str, slides: Collection[str]) -> dict[str, int]:
    """Return the row of each slide that the table names."""
    known, rows = _spellings(slides), dict[str, int]()
    for row, cell in enumerate(table.columns[key]):
        slide = _key(cell, known)
        if slide is None:
            continue
        first = rows.setdefault(slide, row)
        other = [c for c, cells in table.columns.items() if c != key and cells[first] != cells[row]]
        if other:
            said, again = (shown(table.columns[other[0]][i]) for i in (first, row))
            raise DataError(
                f"{shown(table.path.name)} says two things of slide {shown(slide)}: {shown(other[0])} is {said} in one "
                f"row and {again} in another.",
                hint="Leave one row a slide.",
            )
    return rows


def _spellings(slides: Collection[str]) -> dict[str, str]:
    return {slide.casefold(): slide for slide in slides}


def _key(cell: str, known: Mapping[str, str]) -> str | None:
    """Return the slide that a cell names, by its name or file, whatever folder stands before it."""
    file = cell.replace("\\", "/").rpartition("/")[2]
    named = known.get(file.casefold())
    if named is None and file.lower().endswith((*SLIDE_SUFFIXES, ".dcm")):
        named = known.get(slide_name(file).casefold())
    return named


def _notes(
    table: Table, key: str, patient: str | None, kept: Collection[str], slides: Collection[str], rows: Collection[str]
) -> list[str]:
    name = shown(table.path.name)
    by = f", patients by '{shown(patient)}'" if patient else ""
    notes = [f"{name}: slides by '{shown(key)}'{by}; taken along: {shown_list(list(kept)) or 'nothing'}."]
    dropped = [c for c in table.columns if c in TILE_COLUMNS and c not in {key, patient}]
    if dropped:
        notes.append(f"{name}: not taken along, as tiles have columns of that name: {shown_list(dropped)}.")
    absent = [slide for slide in slides if slide not in rows]
    if absent:
        said = count(len(absent), "slide is", "slides are")
        notes.append(f"{said} not in {name}, which leaves their tiles without a label: {shown_list(absent, 5)}.")
    return notes
