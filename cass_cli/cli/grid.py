"""`cass grid`: data sets × methods × label fractions × seeds from one file, done one after another, and tabled."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import JSON, MACHINE, OUTPUT, RUNS


def grid(
    file: Annotated[
        str,
        typer.Argument(
            help="A YAML file of axes and settings (docs/grid.md), or one that ships with cass, as table-8.",
            metavar="FILE|NAME",
            show_default=False,
        ),
    ],
    runs: Annotated[Path, RUNS] = Path("runs"),
    small: Annotated[
        bool, typer.Option("--small", help="Do the file's small variant, as on the demo's pictures.")
    ] = False,
    gpus: Annotated[
        str | None,
        typer.Option(
            help="Work on several GPUs, a run on each at a time: 0,1. Default: one after another.",
            metavar="0,1,…",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show the cells, which are done, time and memory, then stop.", rich_help_panel=OUTPUT
        ),
    ] = False,
    price: Annotated[
        float | None,
        typer.Option(
            help="With --dry-run: what an hour of this machine costs, in any currency.",
            metavar="NUMBER",
            min=0,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Do nothing: show how far it is, until all is done.", rich_help_panel=OUTPUT),
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Do a whole table of experiments: data × methods × label fractions × seeds, or any other settings.

    Every cell is an ordinary run with its fine-tunings, below --runs, and is made once, whichever cells or grids share
    it. The same command goes on where it was stopped; a cell that fails is told and stops no other. Results, logs and
    what is known of each task lie in RUNS/NAME.grid.
    """
    from cass_cli.config.grid_file import find_grid, read_grid
    from cass_cli.errors import ConfigError
    from cass_cli.reports.loading import loading

    if price is not None and not dry_run:
        raise ConfigError("--price is told of a forecast.", hint="Add --dry-run.")
    if watch and (dry_run or gpus):
        raise ConfigError("--watch does nothing but watch.", hint="Leave --dry-run and --gpus out.")
    asked = read_grid(find_grid(file), small=small)
    with loading():
        from cass_cli.engine.grid.job import grid_job, plan_grid, watch_grid
        from cass_cli.reports.grid import GridDisplay, show_grid_plan, show_progress, show_results, write_results

    work = plan_grid(asked, runs)
    if dry_run:
        from cass_cli.engine.grid.forecast import foresee_grid
        from cass_cli.reports.progress import counting

        with counting("Timing on noise") as told:
            foreseen = foresee_grid(work.chains, told)
        show_grid_plan(asked, work.chains, foreseen, price=price, as_json=as_json)
        return
    if watch:
        from cass_cli.reports.printing import Screen

        screen = Screen(soft_wrap=True, stderr=as_json)
        watch_grid(work, lambda: show_progress(screen, work))
        failed = []
    else:
        command = shlex.join(["cass", "grid", file, *(["--small"] if small else []), "--runs", str(runs)])
        with GridDisplay(work.tasks, to_stderr=as_json) as display:
            failed = grid_job(work, watch=display, gpus=gpus.split(",") if gpus else (), again=command)
    results, found = work.results()
    show_results(asked, results, write_results(asked, results, found, work.records), as_json=as_json)
    work.tell_failures(failed)
