"""What cass knows of a public data set: its facts for people, and how its files are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cass_cli.data.layouts.csv_layout import HowToRead
from cass_cli.data.layouts.lookup import Index
from cass_cli.data.layouts.records import Records

Reader = Callable[[Index, HowToRead], Records | None]
"""Read the files of a folder as the publisher of one set ships them; None where any of them is not of that set.

A reader raises `DataError` only for files that are the set's, and damaged or incomplete.
"""


@dataclass(frozen=True)
class PublicSet:
    """A data set as its publisher describes it. Every fact is the page's or the paper's, both named."""

    name: str  # as --layout takes it
    title: str
    kind: str  # what the pictures are
    holds: str  # how many images, of how many people, of which classes
    paper: str
    page: str  # where it is had
    licence: str
    size: str  # of the download
    lies: str  # what lies where once it is unpacked
    groups: str  # what tells the images of one patient or lesion
    split: str  # the publisher's own
    traps: tuple[str, ...]  # duplicates, noise, what is easily done wrong
    read: Reader
    folders: str = r"(?!)"  # regular expression of folders of images that look like classes, and are none
    tables: str = r"(?!)"  # regular expression of the names of all tables that the publisher ships
    data: str = ""  # what --data is given, where that is not the folder
