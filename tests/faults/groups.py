"""All attacks, in groups that a process each runs, and how many of each are among the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

from tests.faults import (
    attacks_archives,
    attacks_changed,
    attacks_disk,
    attacks_foreign,
    attacks_foreign_records,
    attacks_foreign_settings,
    attacks_foreign_states,
    attacks_images,
    attacks_links,
    attacks_medimeta,
    attacks_names,
    attacks_privacy,
    attacks_processes,
    attacks_slides,
    attacks_specials,
    attacks_tables,
    foreign,
    traps,
)
from tests.faults.outcome import Attack
from tests.faults.world import JOBS, READERS

Group = Callable[..., Iterator[Attack]]
SCENES = {
    "npz": attacks_archives.NPZ,
    "tables": attacks_tables.TABLES,
    "medimeta": attacks_medimeta.MEDIMETA,
}
if find_spec("h5py") is not None:
    from tests.faults.attacks_hdf5 import HDF5

    SCENES["hdf5"] = HDF5
FOREIGN = (
    *(attacks_foreign.cards, attacks_foreign.tensors, attacks_foreign_states.states),
    *(attacks_foreign_settings.settings, attacks_foreign_records.records, attacks_foreign_records.logs),
)
GROUPS: dict[str, Group] = {
    **{f"changed/{of}": partial(attacks_changed.attacks, of=of) for of in attacks_changed.SCENES},
    "signals": attacks_processes.signals,
    "pairs": attacks_processes.pairs,
    **{f"disk/{job.name}": partial(attacks_disk.attacks, job=job) for job in (*JOBS, *READERS)},
    "images": attacks_images.attacks,
    "slides": attacks_slides.attacks,
    **{f"hostile/{name}": partial(traps.attacks, scene=of, prefix=f"hostile/{name}") for name, of in SCENES.items()},
    **{f"foreign/{of.__name__}": partial(foreign.attacks, of=of) for of in FOREIGN},
    **{f"links/{of}": partial(attacks_links.attacks, of=of) for of in attacks_links.SCENES},
    **attacks_specials.GROUPS,
    **{f"names/{of}": partial(attacks_names.attacks, of=of) for of in attacks_names.CLASSES},
    "names/options": attacks_names.options,
    "names/runs": attacks_names.foreign,
    "privacy": attacks_privacy.attacks,
}
QUICK = {
    **{"disk/pretrain": 3, "disk/paper": 1, "disk/probe": 1, "changed/pretraining": 3, "changed/arms": 1},
    **{"images": 4, "slides": 2, "links/ensemble": 3, "links/predict": 2, "links/reading": 2},
    **{"names/options": 3, "names/runs": 3},
    **dict.fromkeys((f"hostile/{name}" for name in SCENES), 2),
    **dict.fromkeys((f"foreign/{of.__name__}" for of in FOREIGN), 2),
}
