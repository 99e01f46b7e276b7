"""Which of the tables that lie beside the images is read, and why each other one is not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote

from cass_cli.data.layouts.columns import image_columns, is_tiles
from cass_cli.data.layouts.csv_layout import HowToRead, is_about_labels, open_table, read_labelled
from cass_cli.data.layouts.label_columns import is_isic
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.records import Records
from cass_cli.data.layouts.scan import SHEET_SUFFIXES, Scan
from cass_cli.data.layouts.tables import SAMPLED, Table
from cass_cli.data.layouts.vocabulary import split_in, tokens
from cass_cli.errors import DataError
from cass_cli.words import shown, shown_list

BEGINNING = 100_000  # letters of a text, which may be one endless line
SPLIT = "split of the file"  # the column that tables of one split each are given when they are joined


@dataclass
class Tables:
    """The tables beside the images: what each says, and what each can not say."""

    read: dict[str, Records] = field(default_factory=dict)  # by file name, those that name images
    unclear: dict[str, DataError] = field(default_factory=dict)  # name images, but may be read in several ways
    besides: dict[str, Records] = field(default_factory=dict)  # what the unclear say but for labels
    unread: dict[str, str] = field(default_factory=dict)  # no table of these images, and why
    other: set[str] = field(default_factory=set)  # those too short to be about the images
    tiles: str | None = None  # what `cass tile` wrote, which is read before all others

    @property
    def labelled(self) -> list[str]:
        """Return those with labels, or with what may be labels."""
        return [name for name, records in self.read.items() if records.labels is not None] + list(self.unclear)

    def records(self, name: str) -> Records:
        """Return what the table says; raises where it may be read in several ways."""
        if name in self.unclear:
            raise self.unclear[name]
        return self.read[name]


def find_tables(index: Index, how: HowToRead) -> Tables:
    """Read every table beside the images of the index."""
    found, scan = Tables(), index.scan
    opened: dict[str, Table] = {}
    for name in (*scan.tables, *_tables_among(scan)):
        if Path(name).suffix.lower() in SHEET_SUFFIXES:
            found.unread[name] = "in a format that is not read: save it as CSV"
        elif "submission" in tokens(name):
            found.unread[name] = "a form for answers"
        else:
            try:
                table = open_table(scan.root / name, index)
                if 2 * len(table) < len(scan.images):
                    found.other.add(name)
                opened[name] = _naming_images(table, index, how)
            except DataError as error:
                if name in scan.texts:  # any text may hold several columns
                    continue
                found.unread[name] = error.what.removeprefix(f"{shown(str(scan.root / name))} ").rstrip(".")
    joined = _joined(opened)
    for name, table in joined.items():
        found.tiles = name if is_tiles(table) else found.tiles
        try:
            found.read[name] = _alike(read_labelled(table, index, how), name)
        except DataError as error:
            found.unclear[name] = error
            with suppress(DataError):
                no_labels = replace(how, columns=replace(how.columns, label="none"))
                found.besides[name] = read_labelled(table, index, no_labels)
    return found


def _tables_among(scan: Scan) -> list[str]:
    """Return the texts that hold several columns: tables parted by blanks, as lists with labels are."""
    found = []
    for name in scan.texts:
        with suppress(OSError), (scan.root / name).open(encoding="utf-8", errors="replace") as file:
            lines = file.read(BEGINNING).splitlines()[:SAMPLED]
            widths = {len(line.replace(",", " ").split()) for line in lines if line.strip()}
            if len(widths) == 1 and widths.pop() > 1:
                found.append(name)
    return found


def _naming_images(table: Table, index: Index, how: HowToRead) -> Table:
    """Return the table; raises `DataError` where none of its columns names an image of the index."""
    images = image_columns(table, how.columns.image, index.has)
    if not any(index.has(cell) for image in images for cell in table.columns[image]):
        cell, file = next((c for c in table.columns[images[0]] if c), ""), index.scan.images[0].rpartition("/")[2]
        raise DataError(
            f"names no image in its column '{shown(images[0])}' ({shown(cell)}; files are as {shown(file)})."
        )
    return table


def _joined(tables: dict[str, Table]) -> dict[str, Table]:
    """Join tables of one split each that have the same columns, `train.csv` and `valid.csv`, into one."""
    splits = {
        name: split for name in tables if (split := split_in(Path(name).stem) or split_in(Path(name).parent.name))
    }
    if len(splits) < 2 or len(set(splits.values())) < len(splits) or "train" not in splits.values():
        return tables
    members = [name for name in splits if tables[name].columns.keys() == tables[next(iter(splits))].columns.keys()]
    if len(members) < len(splits) or any(is_isic(list(tables[name].columns)) for name in members):
        return tables
    columns = {c: [cell for name in members for cell in tables[name].columns[c]] for c in tables[members[0]].columns}
    columns[SPLIT] = [splits[name] for name in members for _ in range(len(tables[name]))]
    joined = replace(tables[members[0]], path=Path(" + ".join(members)), columns=columns)
    return {" + ".join(members): joined, **{n: t for n, t in tables.items() if n not in members}}


def _alike(records: Records, name: str) -> Records:
    """Return the records of joined tables; raises `DataError` where the one labels by other words than the other."""
    if " + " not in name or records.labels is None or records.splits is None:
        return records
    said: dict[str, set[str]] = {}
    for labels, split in zip(records.labels, records.splits, strict=True):
        said.setdefault(split, set()).update(labels)
    train = said.get("train", set())
    strange = [split for split, words in said.items() if words and train and words.isdisjoint(train)]
    if strange:
        theirs, ours = (shown_list(sorted(words), 4) for words in (said[strange[0]], train))
        raise DataError(
            f"{shown(name)} label by different words: {ours} in train, {theirs} in {strange[0]}.",
            hint="Choose one with --labels, or bring them to the same words.",
        )
    return records


def choose(tables: Tables, scan: Scan) -> str | None:
    """Return the table to read, None where none names images.

    That of tiles comes first, then `labels.csv`, then the only one with labels, then the only one. Raises `DataError`
    where the choice is open, and where one that is called as tables of labels are cannot be read.
    """
    usual = [n for n in tables.labelled if Path(n).name.lower() == "labels.csv"]
    best = ([tables.tiles] if tables.tiles else usual) or tables.labelled or list(tables.read)
    if len(best) > 1:
        raise DataError(f"Several CSV files lie in {scan.root}: {shown_list(best)}.", hint="Choose with --labels.")
    return best[0] if best else None


def check_unread(tables: Tables, scan: Scan) -> None:
    """Raise where a table called as tables of labels are cannot be used: no one meant these images as unlabelled."""
    meant = [name for name in tables.unread if is_about_labels(Path(name))]
    if meant:
        raise DataError(
            f"{shown(meant[0])} in {scan.root} cannot be used: {tables.unread[meant[0]]}.",
            hint="Mend it, name its column of images with --labels and --image-column, or pretrain without labels: "
            "--layout flat.",
        )


def check_called_labels(tables: Tables) -> None:
    """Raise where a table called labels cannot be read, although folders could be the classes.

    A table far shorter than the images, or a JSON file, is about something else: names of classes, say.
    """
    elsewhere = tables.other | {name for name in tables.unread if name.endswith(".json")}
    problems = tables.unread | {name: error.what for name, error in tables.unclear.items()}
    for name, why in problems.items():
        if name in elsewhere or {"label", "labels"}.isdisjoint(tokens(Path(name).stem)):
            continue
        hint = tables.unclear[name].hint if name in tables.unclear else ""
        raise DataError(
            f"The classes may be the folders, or those of {shown(name)}, which cannot be used: {why.rstrip('.')}.",
            hint=f"For the folders: --layout classes. For the table: --labels {quote(name)}. {hint}".strip(),
        )


def unused_notes(tables: Tables, used: Sequence[str]) -> list[str]:
    """Say of each table beside the images that is not read why not."""
    reasons = dict(tables.unread)
    for name in (*tables.read, *tables.unclear):
        if name not in used:
            why = (
                tables.unclear[name].what.rstrip(".")
                if name in tables.unclear
                else "another table is read (--labels chooses)"
            )
            reasons[name] = why
    return [f"{shown(name)} is not used: {why}." for name, why in reasons.items()]
