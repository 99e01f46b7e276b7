"""What `attention-maps`, `feature-maps` and `similarity` begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def look(*, run: str | None, runs: Path, split: str, arm: str | None = None, **settings: Any) -> Any:
    """Open the run and load what the options name, as a `Look`; a fine-tuning's path means its tuned arms."""
    from cass_cli.data.splits import check_split
    from cass_cli.engine.looking.look import look_at
    from cass_cli.runs.names import find

    check_split(split)
    named = find(runs, run)
    trial = named.trial() if named.variant else None
    return look_at(named.run, runs=named.run.path.parent, trial=trial, arm=arm, split=split, **settings)
