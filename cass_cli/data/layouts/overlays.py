"""What is laid over a reading: a table's groups and splits, text lists of splits, a pattern of groups; its check."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote

from cass_cli.data.decode.kinds import stem_of
from cass_cli.data.layouts.columns import Columns, part_alike
from cass_cli.data.layouts.csv_layout import named_table
from cass_cli.data.layouts.label_columns import is_none
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.records import Records
from cass_cli.data.layouts.split_values import SPLITS, read_list, splits_of_lists, usual_lists
from cass_cli.errors import ConfigError, DataError
from cass_cli.words import count, shown, shown_list

_ENDING = re.compile(r"[ _.-]*(\(\d+\)|[A-Za-z]+[ _-]?\d*)$")
FEW = 3  # images of a split that may show one class by chance


def supplemented(folders: Records, table: Records, name: str) -> Records:
    """Return the class folders with the groups and splits that the table `name` gives their images.

    Raises `DataError` where the table has labels that part the images otherwise than the folders.
    """
    assert folders.labels is not None, "class folders label"
    places = {image: i for i, image in enumerate(table.names)}
    rows = [places.get(image) for image in folders.names]
    if table.labels is not None:
        said = {
            (a, table.labels[i]) for a, i in zip(folders.labels, rows, strict=True) if i is not None and table.labels[i]
        }
        if table.multilabel or len(said) != len({a for a, _ in said}) or len(said) != len({b for _, b in said}):
            raise _contradiction(folders, table, name)
    told = {name: why for name, why in table.left_out if not why.startswith("not in ")}
    kept = [i for i, name in enumerate(folders.names) if name not in told]
    if len(kept) < len(folders.names):
        folders, rows = folders.rows(kept), [rows[i] for i in kept]
        folders = replace(folders, left_out=[*folders.left_out, *told.items()])
    taken = []
    if table.groups is not None and folders.groups is None:
        groups = ["" if i is None else table.groups[i] for i in rows]
        folders = replace(folders, groups=groups, groups_by=table.groups_by)
        taken.append("groups")
    if table.splits is not None and folders.splits is None:
        folders = replace(folders, splits=["" if i is None else table.splits[i] for i in rows])
        taken.append("splits")
    if table.subgroups:
        held = {c: ["" if i is None else cells[i] for i in rows] for c, cells in table.subgroups.items()}
        folders = replace(folders, subgroups={**held, **folders.subgroups})
        taken.append("subgroups")
    what = ", ".join(taken) or "nothing"
    note = f"Class folders win over {shown(name)}, which gives {what}: --labels would use it instead."
    return replace(folders, notes=[*folders.notes, note])


def groups_are_labels(folders: Records, table: Records) -> bool:
    """Whether the class folders are but the groups of a table: one folder a patient."""
    if folders.labels is None or table.groups is None:
        return False
    places = dict(zip(table.names, table.groups, strict=True))
    return part_alike([places.get(name, "") for name in folders.names], folders.labels)


def _contradiction(folders: Records, table: Records, name: str) -> DataError:
    assert folders.labels is not None and table.labels is not None, "both label"
    in_folders = sorted({label for labels in folders.labels for label in labels})
    in_table = sorted({label for labels in table.labels for label in labels})
    return DataError(
        f"The classes may be the folders ({shown_list(in_folders, 5)}) or those of {shown(name)} "
        f"({shown_list(in_table, 5)}), and the two differ.",
        hint=f"Choose: --layout classes, or --labels {quote(name)}.",
    )


def split_by_lists(records: Records, index: Index, given: Mapping[str, Path] | None) -> Records:
    """Return the records with the splits of text lists: those `given`, else those usually called so beside the images.

    Lists that merely lie there are obeyed only where nothing else tells the splits. Images that no list names are
    left to be split. Raises `DataError` for a list that is missing, or names none of the images.
    """
    root = index.scan.root
    if given:
        files = {split: [named_table(root, path)] for split, path in given.items()}
    else:
        files = {split: [root / n for n in names] for split, names in usual_lists(index.scan.texts).items()}
        if records.splits is not None or not files:
            return records
    lists = {
        split: [_image(line, index) for path in paths for line in read_list(path)] for split, paths in files.items()
    }
    where = ", ".join(path.name for paths in files.values() for path in paths)
    if not given and not all(any(images) for images in lists.values()):
        return replace(records, notes=[*records.notes, f"{where}: not used, they name none of the images."])
    splits = splits_of_lists(records.names, lists, where)
    if "train" not in lists and "test" in lists:  # what the publisher does not test on is for training
        splits = [split or "train" for split in splits]
    open_ = splits.count("")
    notes = [f"Splits come from lists ({where})."]
    if open_:
        notes.append(f"{count(open_, 'image is', 'images are')} in none of the lists: split by cass.")
    return replace(records, splits=splits, notes=[*records.notes, *notes])


def _image(line: str, index: Index) -> str:
    """Return the image that a line of a list names, "" for none."""
    for raw in (line, *line.replace(",", " ").split()):
        if hits := index.hits(raw) or index.near(raw)[0]:
            return hits[0]
    return ""


def grouped_by(records: Records, pattern: str) -> Records:
    """Return the records grouped by what `pattern` finds in each path: its first group, or all of it.

    Raises `ConfigError` for a pattern that is none, `DataError` where it finds nothing, or what the labels are.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"--group-pattern {pattern!r} is no regular expression: {error}.") from error
    found = [expression.search(name) for name in records.names]
    groups = ["" if hit is None else (hit.group(1) if expression.groups else hit.group()) or "" for hit in found]
    sizes = Counter(group for group in groups if group)
    example = next((name for name in records.names), "")
    if not sizes:
        raise DataError(
            f"--group-pattern {pattern!r} finds nothing in any path, such as {shown(example)}.",
            hint=r"Example: 'patient(\d+)' finds 12 in a/patient12_3.png.",
        )
    if len(sizes) == 1 or (records.labels is not None and part_alike(groups, records.labels)):
        raise DataError(
            f"--group-pattern {pattern!r} finds {shown_list(sorted(sizes), 5)}: "
            + ("one group for all images." if len(sizes) == 1 else "the classes, and no patients."),
            hint="Let it find what tells one patient from another.",
        )
    name, group = next((n, g) for n, g in zip(records.names, groups, strict=True) if g)
    note = f"Grouped by --group-pattern: {len(sizes):,} groups, such as {shown(group)} in {shown(name)}"
    alone = groups.count("")
    rest = f"; {count(alone, 'image')} without one" if alone else ""
    notes = [*records.notes, f"{note}{rest}."]
    return replace(records, groups=groups, groups_by="--group-pattern", notes=notes)


def without(records: Records, columns: Columns) -> Records:
    """Return the records without the labels, groups and splits that `columns` does not want: "none"."""
    if is_none(columns.label):
        records = replace(records, labels=None, unknown=None, lost=())
    if is_none(columns.group):
        records = replace(records, groups=None)
    return replace(records, splits=None) if is_none(columns.split) else records


def obstacles(records: Records) -> list[str]:
    """Return what of the reading no one would train on knowingly, a sentence each."""
    found = [
        f"Most files of the class {shown(name)}, if not all, are in formats that cass does not read: convert them."
        for name in records.lost
    ]
    ending = "" if records.listed else twin_ending(records.names)
    if ending:
        found.append(
            f"Half of the images bear the name of another and the ending {shown(ending)}, as masks and copies do: take "
            "them away; or write the reading with --csv of `cass inspect`, leave out there what is none (or nothing), "
            "and name the table with --labels."
        )
    if records.labels is None or records.splits is None or records.multilabel:
        return found
    return found if records.ours else found + _of_splits(records.labels, records.splits)


def _of_splits(labels: Sequence[tuple[str, ...]], splits: Sequence[str]) -> list[str]:
    """Return in which way given splits can not be meant: one of them shows one class, or classes that train lacks."""
    classes: dict[str, Counter[str]] = defaultdict(Counter)
    for label, split in zip(labels, splits, strict=True):
        classes[split].update(label)
    found = []
    most = max((len(held) for held in classes.values()), default=0)
    for split in SPLITS:
        held, new = classes[split], sorted(classes[split].keys() - classes["train"].keys())
        if len(held) == 1 and most > 1 and held.total() >= FEW:
            found.append(f"The given {split} split shows one class only ({shown(next(iter(held)))}), others more")
        elif classes["train"] and 2 * len(new) > len(held) and held.total() >= FEW:
            found.append(f"The given {split} split shows classes that train lacks ({shown_list(new, 4)})")
    return [f"{sentence}: --split-column none lets cass split anew." for sentence in found]


def twin_ending(names: Sequence[str]) -> str:
    """Return an ending by which nearly half of the names are another of them: `-d` of `7-d.bmp` beside `7.bmp`."""
    stems = {stem_of(name) for name in names}
    endings = Counter(
        match.group() for stem in stems if (match := _ENDING.search(stem)) and stem[: match.start()] in stems
    )
    times = endings.total()
    return endings.most_common(1)[0][0] if times >= FEW and times >= 0.45 * len(stems) else ""
