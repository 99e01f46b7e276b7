"""What `attention-maps`, `feature-maps` and `similarity` begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def look(
    *,
    run: str | None,
    runs: Path,
    images: list[Path] | None,
    data: Path | None,
    split: str,
    samples: int | None,
    seed: int,
    **settings: Any,
) -> Any:
    """Open the run and load what the options name, as a `Look`; a fine-tuning's path means its tuned arms."""
    from cass_cli.data.splits import check_split
    from cass_cli.reports.loading import loading
    from cass_cli.reports.progress import working
    from cass_cli.runs.names import find

    check_split(split)
    named = find(runs, run)
    with loading():
        from cass_cli.engine.looking.look import look_at
        from cass_cli.engine.looking.sample import SampleRequest

    asked = SampleRequest(tuple(images or ()), split, samples, seed, data)
    with working("Loading arms and images"):
        return look_at(named.trial() if named.variant else named.run, asked, runs=runs, **settings)
