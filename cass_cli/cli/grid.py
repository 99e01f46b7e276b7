"""`cass grid`: data sets × methods × label fractions × seeds from one file, done one after another, and tabled."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cass_cli.cli.options import JSON, MACHINE, OUTPUT, RUNS

CLUSTER = "Cluster"


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
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Do this task alone, as --dry-run --json names it; * stands for anything. Repeatable.", metavar="TASK"
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Submit what is not done to SLURM, to workers of this machine, or do it as jobs at once (debug).",
            metavar="slurm|local|debug",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    partition: Annotated[
        str | None, typer.Option(help="Partition of SLURM.", metavar="NAME", rich_help_panel=CLUSTER)
    ] = None,
    account: Annotated[
        str | None, typer.Option(help="Account of SLURM.", metavar="NAME", rich_help_panel=CLUSTER)
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            help="Time of a job, which saves before it is up and is queued again. Default: 24 hours.",
            metavar="[D-]HH:MM:SS",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    mem: Annotated[
        str | None, typer.Option(help="Memory of a job, as in 32G.", metavar="SIZE", rich_help_panel=CLUSTER)
    ] = None,
    cpus_per_task: Annotated[
        int | None, typer.Option(help="CPUs of a job.", min=1, metavar="N", rich_help_panel=CLUSTER)
    ] = None,
    gpus_per_node: Annotated[
        str | None,
        typer.Option(help="GPUs of a job: 1, or a100:1. Default: none.", metavar="N", rich_help_panel=CLUSTER),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Jobs at once, at most. Default: 256 in an array of SLURM, one worker of this machine.",
            min=1,
            metavar="N",
            rich_help_panel=CLUSTER,
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
    what is known of each task lie in RUNS/NAME.grid. With --cluster jobs are submitted, and go on when you log out.
    """
    from cass_cli.config.grid_file import find_grid, read_grid
    from cass_cli.engine.grid.cluster import asked_cluster
    from cass_cli.errors import ConfigError
    from cass_cli.reports.loading import loading

    if price is not None and not dry_run:
        raise ConfigError("--price is told of a forecast.", hint="Add --dry-run.")
    if watch and (dry_run or gpus or cluster or only):
        raise ConfigError("--watch does nothing but watch.", hint="Leave --dry-run, --gpus, --only and --cluster out.")
    if cluster and gpus:
        raise ConfigError("--gpus is for this machine alone.", hint="With --cluster: --gpus-per-node 1.")
    asked_of_jobs = {"partition": partition, "account": account, "mem": mem, "cpus_per_task": cpus_per_task}
    scheduler = asked_cluster(cluster, time=time, **asked_of_jobs, gpus_per_node=gpus_per_node, jobs=jobs)
    asked = read_grid(find_grid(file), small=small)
    with loading():
        from cass_cli.engine.grid.job import grid_job, only_tasks, plan_grid, submit_grid, watch_grid
        from cass_cli.reports.grid import (
            GridDisplay,
            show_grid_plan,
            show_jobs,
            show_progress,
            show_results,
            show_submitted,
            write_results,
        )

    work = only_tasks(plan_grid(asked, runs), only or [])
    if dry_run:
        from cass_cli.engine.grid.forecast import foresee_grid
        from cass_cli.reports.progress import counting

        with counting("Timing on noise") as told:
            foreseen = foresee_grid(work.chains, told)
        waves = work.waves(scheduler) if scheduler else []
        show_grid_plan(asked, work.chains, foreseen, price=price, waves=waves, as_json=as_json)
        if scheduler and not as_json:
            show_jobs(waves, scheduler, f"cass-{asked.name}")
        return
    if not watch and not only and any(task.kind == "pretrain" and task.state == "open" for task in work.tasks):
        from cass_cli.engine.grid.forecast import check_room
        from cass_cli.reports.progress import counting

        with counting("Counting memory") as told:
            check_room(work.chains, runs, scheduler, told)
    command = ["grid", file, *(["--small"] if small else []), "--runs", str(runs)]
    if watch:
        watch_grid(work, lambda: show_progress(work, to_stderr=as_json))
        failed = []
    elif scheduler:
        submitted = submit_grid(work, scheduler, command, shlex.join(["cass", *command, "--cluster", scheduler.kind]))
        show_submitted(submitted, work, scheduler, to_stderr=as_json)
        failed = work.failed() if scheduler.kind == "debug" else []
    else:
        again = shlex.join(["cass", *command, *(f"--only={name}" for name in only or [])])
        with GridDisplay(work.tasks, to_stderr=as_json) as display:
            on = gpus.split(",") if gpus else ()
            failed = grid_job(work, watch=display, gpus=on, again=again, part=bool(only))
    results, found = work.results()
    paths = [] if only else write_results(asked, results, found, work.records)  # one part may end beside another
    show_results(asked, results, paths, as_json=as_json)
    work.tell_failures(failed)
