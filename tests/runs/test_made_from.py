"""What a run was made from is read back, of as many images as cass reads."""

from __future__ import annotations

from pathlib import Path

from cass_cli.data.fingerprints import Fingerprint
from cass_cli.reading import MOST_VALUES
from cass_cli.runs.made_from import MadeFrom, read_made_from, write_made_from


def test_more_values_are_read_than_of_other_files_as_each_image_has_five(tmp_path: Path) -> None:
    written = MadeFrom({",abcd" * (MOST_VALUES + 1): Fingerprint(1, 2, "3")}, {"a": "b"})
    write_made_from(tmp_path, written)
    assert read_made_from(tmp_path) == written
