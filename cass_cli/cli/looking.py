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
    max_pixels: int | None,
    max_file_mb: int | None,
    **settings: Any,
) -> Any:
    """Open the run and load what the options name, as a `Look`; a fine-tuning's path means its tuned arms."""
    from cass_cli.config.load import flag_layer
    from cass_cli.data.splits import check_split
    from cass_cli.reports.loading import loading
    from cass_cli.reports.progress import working
    from cass_cli.runs.names import find

    check_split(split)
    named = find(runs, run)
    with loading():
        from cass_cli.engine.looking.look import look_at
        from cass_cli.engine.looking.sample import SampleRequest

    over = {"data.path": data, "data.max_pixels": max_pixels, "data.max_file_mb": max_file_mb}
    asked = SampleRequest(tuple(images or ()), split, samples, seed, flag_layer(over))
    with working("Loading arms and images"):
        return look_at(named.trial() if named.variant else named.run, asked, runs=runs, **settings)
