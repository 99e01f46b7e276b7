"""All public sets that cass knows, and which of them the files of a folder are."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath

from cass_cli.data.layouts.csv_layout import HowToRead
from cass_cli.data.layouts.folders import read_folders
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.records import Records
from cass_cli.data.sets import archives, chest, eye, isic, skin, tissue
from cass_cli.data.sets.public_set import PublicSet
from cass_cli.errors import ConfigError, DataError, did_you_mean

SETS: dict[str, PublicSet] = {
    public.name: public for field in (isic, skin, chest, eye, tissue, archives) for public in field.SETS
}


def recognise(index: Index, how: HowToRead) -> Records | None:
    """Return what the files say, read as the set that they are; None where they are none that cass knows.

    A table that the publisher does not ship may say otherwise: then the files are not taken for the set.
    """
    for public in SETS.values():
        if _ships(public, index) and (records := public.read(index, how)) is not None:
            return recognised_as(public, records) if _agree(public, records) else None
    return None


def _agree(public: PublicSet, records: Records) -> bool:
    """Whether a table labels as class folders do, where somebody has sorted the images into such."""
    if not records.listed or records.labels is None:
        return True
    try:
        folders = read_folders(records.names)
    except DataError:  # they tell nothing for certain
        return True
    if folders is None or folders.labels is None:
        return True
    if all(re.fullmatch(public.folders, label) for labels in folders.labels for label in labels):
        return True
    told = dict(zip(folders.names, folders.labels, strict=True))
    pairs = {(told[name], label) for name, label in zip(records.names, records.labels, strict=True) if name in told}
    return len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def _ships(public: PublicSet, index: Index) -> bool:
    pattern = re.compile(public.tables, re.IGNORECASE)
    return all(pattern.fullmatch(PurePosixPath(name).name) for name in index.scan.tables)


def read_as(name: str, index: Index, how: HowToRead) -> Records:
    """Return what the files say, read as the set called so; raises `DataError` where they are not that set."""
    public = SETS[name]
    records = public.read(index, how)
    if records is None:
        raise DataError(
            f"{index.scan.root} is not laid out as {public.title} is: {public.lies}.",
            hint=f"Without --layout cass looks what there is. More about the set: cass data show {name}",
        )
    return recognised_as(public, records)


def recognised_as(public: PublicSet, records: Records) -> Records:
    """Return the records with a note that says which set they are of."""
    note = f"Recognised: {public.title}. Its facts and traps: cass data show {public.name}."
    return replace(records, notes=[note, *records.notes])


def named_set(name: str) -> PublicSet:
    """Return the set called so, in any case; raises `ConfigError` for a name that is none."""
    found = SETS.get(name.lower())
    if found is None:
        raise ConfigError(
            f"cass knows no data set '{name}'.{did_you_mean(name.lower(), list(SETS))}",
            hint="cass data list names them.",
        )
    return found
