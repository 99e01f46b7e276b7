"""Tables whose every row names a pair of pictures, such as the left and the right fundus: a row an image."""

from __future__ import annotations

from cass_cli.data.layouts.tables import Table
from cass_cli.data.layouts.vocabulary import tokens

IMAGE, PAIR = "image of the pair", "pair of the row"  # the columns that each row is given instead


def one_row_each(table: Table, images: list[str]) -> tuple[Table, str]:
    """Return the table with two rows for each of its rows, and a sentence that says so.

    `images` are the two columns of pictures; the words in which their names differ are the sides. Columns that differ
    from each other by the same words, `left_grade` and `right_grade`, become one; all others are said of both sides.
    Column `pair` numbers the rows as they were: what comes of one patient.
    """
    first, second = (set(tokens(column)) for column in images)
    sides = (first - second, second - first)
    rest: dict[str, list[str]] = {
        _without(column, sides[0] | sides[1]): [] for column in table.columns if column not in images
    }
    for column in table.columns:
        if column not in images:
            rest[_without(column, sides[0] | sides[1])].append(column)
    columns: dict[str, list[str]] = {IMAGE: [], PAIR: []}
    sources: list[tuple[str, str]] = []  # for either side, the column that speaks of it
    for name, members in rest.items():
        if len(members) == 2 and all(_side(m, sides) is not None for m in members):
            left, right = sorted(members, key=lambda m: _side(m, sides) or 0)
            sources.append((left, right))
            columns[name] = []
        else:
            for member in members:
                sources.append((member, member))
                columns[member] = []
    targets = list(columns)[2:]
    for row in range(len(table)):
        for side, image in enumerate(images):
            if not table.columns[image][row]:
                continue
            columns[IMAGE].append(table.columns[image][row])
            columns[PAIR].append(f"row {row + 1}")
            for target, source in zip(targets, sources, strict=True):
                columns[target].append(table.columns[source[side]][row])
    note = f"Each row names two images ({images[0]}, {images[1]}): read as two of one patient."
    return Table(table.path, columns), note


def _without(column: str, words: set[str]) -> str:
    return "_".join(word for word in tokens(column) if word not in words) or column


def _side(column: str, sides: tuple[set[str], set[str]]) -> int | None:
    """Return 0 or 1 where the column speaks of the first or the second picture."""
    words = set(tokens(column))
    return next((i for i, side in enumerate(sides) if side and side <= words), None)
