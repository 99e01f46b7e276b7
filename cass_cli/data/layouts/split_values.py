"""Who the publisher put into train, val and test: words or codes in a column, lists in text files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from cass_cli.data.layouts.cells import bit, is_bits, is_missing
from cass_cli.data.layouts.contents import contents
from cass_cli.data.layouts.vocabulary import SHORT_SPLITS, SPLIT_COLUMNS, plain, split_in, split_name, tokens
from cass_cli.errors import ConfigError, DataError
from cass_cli.words import count, shown, shown_list

SPLITS = ("train", "val", "test")
NONE = "none"  # what a value is mapped to whose images are left out
LONGEST_LINE = 10_000  # letters of a list: a path has 4,096 at most


def read_mapping(text: str) -> dict[str, str]:
    """Read `train=0,val=1,test=2,none=external` of --split-values as value → split; a split may come several times."""
    mapping: dict[str, str] = {}
    for pair in text.split(","):
        split, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or split not in (*SPLITS, NONE):
            raise ConfigError(
                f"--split-values: '{shown(pair)}' is not of the form split=value.",
                hint="Example: --split-values train=0,val=1,test=2; images of none=VALUE are left out.",
            )
        mapping[value.lower()] = split
    return mapping


def find_split_column(columns: Mapping[str, list[str]], free: Collection[str]) -> str | None:
    """Return the column that tells the split: by its name, by words of splits alone, or by 0/1 under `is_test`.

    Raises DataError where several would do.
    """
    named = next((c for word in SPLIT_COLUMNS for c in free if plain(c) == word), None)
    if named is not None and any(split_name(cell) for cell in set(columns[named])):
        return named
    worded = [c for c in free if _tells_splits(columns[c])]
    flags = [c for c in free if flag_split(c) and is_bits(columns[c], words=True)]
    found = worded or flags
    if len(found) > 1:
        raise DataError(
            f"Several columns tell splits: {shown_list(found)}.",
            hint="Choose with --split-column, or --split-column none.",
        )
    return found[0] if found else named


def _tells_splits(cells: Sequence[str]) -> bool:
    values = {c for c in set(cells) if not is_missing(c)}
    splits = {split_name(value) for value in values}
    return None not in splits and "train" in splits


def flag_split(column: str) -> str | None:
    """Return the split that a 0/1 column such as `is_test` or `train_set` marks, else None."""
    said = tokens(column)
    words = [word for word in said if word not in {"is", "in", "set", "split", "flag", "use", "for"}]
    split = split_name(words[0]) if len(words) == 1 else None
    return split if len(said) > 1 or split == "train" else None  # `valid` and `test` alone may be remarks, or labels


def split_cells(table: str, column: str, cells: Sequence[str], mapping: Mapping[str, str]) -> list[str]:
    """Return "train", "val", "test", "none" or "" (undecided) of each row.

    Raises DataError that names the values that are no splits and the mapping that would read them.
    """
    marked = flag_split(column)
    if marked and not mapping and is_bits(cells, words=True):
        other = "test" if marked == "train" else "train"
        return [{1: marked, 0: other}.get(bit(cell), "") for cell in cells]
    read = {c: mapping.get(c.lower()) or split_name(c) or ("" if is_missing(c) else None) for c in set(cells)}
    short = {c: SHORT_SPLITS.get(c.lower()) or split_in(c) for c, split in read.items() if split is None}
    if short and all(short.values()) and not mapping:  # TR, VA and TE; train_set
        read |= short
    unread = sorted(c for c, split in read.items() if split is None)
    if unread:
        raise DataError(
            f"Column '{shown(column)}' of {shown(table)} holds what names no split: {shown_list(unread)}.",
            hint=f"Say what they mean, for example {_example(unread, read)}; or let cass split: --split-column none.",
        )
    return [read[c] or "" for c in cells]


def _example(unread: Sequence[str], read: Mapping[str, str | None]) -> str:
    """Return a --split-values that would read the values: numbers in order, else what is missing, then left out."""
    numbers = all(re.fullmatch(r"-?[0-9]{1,9}", value) for value in unread)
    free = [split for split in SPLITS if split not in read.values()]
    if numbers and len(unread) == 2 and len(free) == 3:
        free = ["train", "test"]
    if not numbers:
        return _mapping((value, split_in(value) or NONE) for value in unread)
    return _mapping(zip(sorted(unread, key=int), [*free, *[NONE] * len(unread)], strict=False))


def _mapping(pairs: Iterable[tuple[str, str]]) -> str:
    return "--split-values " + ",".join(f"{split}={shown(value)}" for value, split in pairs)


def usual_lists(files: Collection[str]) -> dict[str, list[str]]:
    """Return split → text files called as lists of it: `train_val_list.txt`; {} for train alone.

    Whether they list images only their lines can tell.
    """
    lists: dict[str, list[str]] = {}
    for name in files:
        if name.lower().endswith(".txt") and (split := split_in(PurePosixPath(name).stem)):
            lists.setdefault(split, []).append(name)
    return lists if "test" in lists or {"train", "val"} <= lists.keys() else {}


def read_list(path: Path) -> list[str]:
    """Return the lines of a list, without blank ones; raises `DataError` as `contents` does, and for endless ones."""
    lines = re.split(r"\r\n?|\n", contents(path).decode("utf-8-sig", "surrogateescape"))
    if (longest := max(map(len, lines))) > LONGEST_LINE:
        raise DataError(
            f"{shown(str(path))} has a line of {longest:,} letters.", hint="A list names one image in each line."
        )
    return [line.strip() for line in lines if line.strip()]


def splits_of_lists(names: Sequence[str], lists: Mapping[str, Sequence[str]], where: str) -> list[str]:
    """Return the split of each image of `names` that the lists (split → images named in them) give, "" for none.

    Raises DataError where two lists name one image, and where a list names none of the images.
    """
    found: dict[str, str] = {}
    twice: list[str] = []
    for split, listed in lists.items():
        hits = set(listed) & set(names)
        twice += sorted(name for name in hits if found.get(name, split) != split)
        found |= dict.fromkeys(hits, split)
        if not hits:
            raise DataError(f"The list of {split} ({where}) names none of the images.", hint="Is it of this folder?")
    if twice:
        raise DataError(f"{count(len(twice), 'image is', 'images are')} in two lists ({where}): {shown_list(twice)}")
    return [found.get(name, "") for name in names]
