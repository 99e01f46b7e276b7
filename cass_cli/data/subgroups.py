"""What is known of the people and pictures beside their labels (sex, age, site, …): kept in the run, told nowhere."""

from __future__ import annotations

from pathlib import Path

from cass_cli.csv_cells import CellWriter
from cass_cli.data.sample_table import SampleTable
from cass_cli.files import whole_text


def write_subgroups(path: Path, table: SampleTable) -> bool:
    """Write a row an image: image, group, and the columns that its table has of it; return whether there are any.

    Whole or not at all; raises RunError when it cannot be written.
    """
    if not table.subgroups:
        return False
    with whole_text(path) as file:
        writer = CellWriter(file)
        writer.writerow(("image", "group", *table.subgroups))
        groups = table.groups or ("",) * len(table)
        writer.writerows(zip(table.names, groups, *table.subgroups.values(), strict=True))
    return True
