"""Where images and labels come from: a folder, a folder with a CSV, or an archive of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cass_cli.data.decode.facts import USUAL, PixelRules
from cass_cli.data.frames import FIRST, FrameRules, with_frames
from cass_cli.data.layouts.columns import Columns, is_tiles
from cass_cli.data.layouts.csv_layout import HowToRead, named_table, open_table, read_labelled
from cass_cli.data.layouts.folders import looks_like_dermofit, read_dermofit, read_flat, read_folders
from cass_cli.data.layouts.found_tables import (
    Tables,
    check_called_labels,
    check_unread,
    choose,
    find_tables,
    unused_notes,
)
from cass_cli.data.layouts.hdf5 import find_pcam, read_pcam
from cass_cli.data.layouts.label_columns import is_none
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.npz import read_npz
from cass_cli.data.layouts.overlays import (
    grouped_by,
    groups_are_labels,
    split_by_lists,
    supplemented,
    without,
)
from cass_cli.data.layouts.records import Records
from cass_cli.data.layouts.scan import Scan, scan_folder
from cass_cli.data.sample_table import SampleTable, table_of
from cass_cli.data.sets.archives import is_medmnist
from cass_cli.data.sets.catalogue import SETS, read_as, recognise, recognised_as
from cass_cli.errors import ConfigError, DataError, did_you_mean
from cass_cli.words import shown, shown_list

RECOGNISED = Columns()
LAYOUTS = ("auto", "classes", "flat", "csv", "npz", *SETS)
TABLES = (".csv", ".tsv")


def load_samples(
    root: Path,
    *,
    labels: Path | None = None,
    layout: str = "auto",
    columns: Columns = RECOGNISED,
    allow_outside: bool = False,
    class_level: int | None = None,
    group_pattern: str | None = None,
    split_lists: Mapping[str, Path] | None = None,
    skip_missing: bool = False,
    frames: FrameRules = FIRST,
    rules: PixelRules = USUAL,
) -> SampleTable:
    """Return the images under `root` and what is known of them, sorted by name; `notes` say how it was read.

    `root` is a folder, an .npz archive, or a table lying in its folder. `labels` (a CSV, looked for in the current
    folder, then in `root`) and named columns select the table layout; `layout` names one outright. In "auto", class
    folders and a table beside the images are both read; without either the images are unlabelled. `class_level`:
    see `read_folders`; `group_pattern`: see `grouped_by`; `split_lists`: split → text file of image names;
    `frames`: see `with_frames`.
    Raises DataError for anything missing or outside `root`, and for what can be read in two ways, naming the option
    that chooses; ConfigError for an unknown layout.
    """
    if layout not in LAYOUTS:
        close = did_you_mean(layout, LAYOUTS)
        raise ConfigError(f"Unknown layout '{layout}'.{close}", hint=f"Layouts: {', '.join(LAYOUTS)}.")
    root = root.expanduser()
    if (archive := _archive(root, layout)) is not None:
        if labels or columns.named or group_pattern or class_level or split_lists:
            raise ConfigError(
                f"{shown(archive.name)} holds its own labels and splits: options of folders and tables have no part.",
                hint="Leave them out, or unpack the archive into image files.",
            )
        return replace(table_of(archive.absolute(), without(_read_archive(archive), columns)), rules=rules)
    if root.suffix.lower() in TABLES and root.is_file() and labels is None:
        root, labels = root.parent, root.absolute()
    scan = scan_folder(root, allow_outside=allow_outside, all_masks=layout == "dermofit")
    index, how = Index(scan), HowToRead(columns, allow_outside, skip_missing)
    records: Records | None
    if labels is not None:
        records = _from_named(scan, index, labels, how)
    elif layout in SETS and layout != "dermofit":
        records = read_as(layout, index, how)
    elif layout == "auto" and class_level is None and (of_a_set := recognise(index, how)) is not None:
        records = of_a_set
    elif columns.named or layout == "csv":
        records = _from_tables(find_tables(index, how), scan, demanded=True)
    elif layout != "auto" or class_level is not None:
        records = _from_folders(scan, layout, class_level)
    else:
        tables = find_tables(index, how)
        records = _from_tables(tables, scan, demanded=True) if tables.tiles else _recognised(scan, tables)
    assert records is not None, "a demanded table is read or missed aloud"
    if split_lists or not is_none(columns.split):
        records = split_by_lists(records, index, split_lists)
    records = without(records, columns)
    records = grouped_by(records, group_pattern) if group_pattern else records
    masks = [(name, "a mask of a segmentation") for name in scan.masks]
    unread = [(name, "in a format that is not read") for name in scan.unread]
    left_out = [*records.left_out, *masks, *unread]
    table = table_of(scan.root, replace(records, left_out=left_out, notes=[*records.notes, *scan.notes]))
    return with_frames(replace(table, rules=rules), frames)


def _archive(root: Path, layout: str) -> Path | None:
    """Return the file that holds all images, None where each is a file of its own."""
    if layout == "npz" or root.suffix.lower() == ".npz":
        return root
    return find_pcam(root) if layout in ("auto", "patchcamelyon") else None


def _read_archive(archive: Path) -> Records:
    """Read an archive; a note says which public set it is."""
    if archive.suffix == ".h5":
        return recognised_as(SETS["patchcamelyon"], read_pcam(archive))
    records = read_npz(archive)
    return recognised_as(SETS["medmnist"], records) if is_medmnist(archive) else records


def _from_folders(scan: Scan, layout: str, class_level: int | None) -> Records:
    """Read what the folders tell in the layout asked for; raises `DataError` where they do not tell it."""
    if layout == "flat":
        return read_flat(scan.images)
    if layout == "dermofit":
        records = read_dermofit(scan.images, unread=scan.unread)
    else:
        records = read_folders(scan.images, unread=scan.unread, class_level=class_level, forced=True)
    if records is None:
        raise DataError(
            f"There are no class folders under {scan.root} (layout '{layout}').",
            hint="Put the images of each class in a folder named after it, or give a CSV with --labels.",
        )
    unused = [f"{shown_list(scan.tables)} not used: the classes are the folders."] if scan.tables else []
    return replace(records, notes=[*records.notes, *unused])


def _from_tables(tables: Tables, scan: Scan, *, demanded: bool) -> Records | None:
    """Read the table beside the images, None where there is none and none is demanded."""
    chosen = choose(tables, scan)
    if chosen is None and demanded:
        why = "; ".join(f"{name}: {reason}" for name, reason in tables.unread.items())
        lying = f" with a column of image names ({why})" if why else ""
        raise DataError(f"There is no CSV{lying} in {scan.root}.", hint="Give it with --labels.")
    if chosen is None:
        return None
    records = tables.records(chosen)
    return replace(records, notes=[*records.notes, *unused_notes(tables, [chosen])])


def _recognised(scan: Scan, tables: Tables) -> Records:
    """Read class folders and tables; raises `DataError` where they contradict each other."""
    labelled = tables.labelled
    try:
        dermofit = scan.masks and looks_like_dermofit(scan.images)
        folders = (read_dermofit if dermofit else read_folders)(scan.images, unread=scan.unread)
    except DataError as error:
        if not labelled:
            why = "; ".join(unused_notes(tables, []))
            raise DataError(f"{error.what} {why}".strip(), hint=error.hint) from error
        folders = None
    if folders is None:
        records = _from_tables(tables, scan, demanded=False)
        if records is None:
            check_unread(tables, scan)
            records = read_flat(scan.images)
            records = replace(records, notes=[*records.notes, *unused_notes(tables, [])])
        return records
    check_called_labels(tables)
    for name, said in (tables.read | tables.besides).items():
        if name in tables.besides and groups_are_labels(folders, said):
            raise tables.unclear[name]  # the folders are the patients of the table
        folders = supplemented(folders, said, name)
    return replace(folders, notes=[*folders.notes, *unused_notes(tables, [*tables.read, *tables.besides])])


def _from_named(scan: Scan, index: Index, labels: Path, how: HowToRead) -> Records:
    """Read the table that the user names; without labels, it adds groups and splits to what the folders tell."""
    path = named_table(scan.root, labels)
    table = open_table(path, index)
    records = read_labelled(table, index, how)
    others = [name for name in scan.tables if scan.root / name != path]
    unused = [f"Other tables there are not used, --labels names one: {shown_list(others)}."] if others else []
    records = replace(records, notes=[*records.notes, *unused])
    if records.labels is not None or is_none(how.columns.label) or is_tiles(table):
        return records
    folders = read_folders(scan.images, unread=scan.unread)
    if folders is not None:
        return supplemented(folders, records, path.name)
    raise DataError(
        f"No column of {path.name} is a label. {next((n for n in records.notes if 'not used' in n), '')}".strip(),
        hint="Name it with --label-column; for groups and splits alone: --label-column none.",
    )
