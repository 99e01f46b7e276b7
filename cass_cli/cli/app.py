"""The command line: which subcommands there are, and how an error reaches the user."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from cass_cli import __version__
from cass_cli.cli import cache, data, presets, weights
from cass_cli.cli.attention_maps import attention_maps
from cass_cli.cli.benchmark_time import benchmark_time
from cass_cli.cli.card import card
from cass_cli.cli.compare import compare
from cass_cli.cli.doctor import doctor
from cass_cli.cli.embed import embed
from cass_cli.cli.ensemble import ensemble
from cass_cli.cli.errors import errors
from cass_cli.cli.evaluate import evaluate
from cass_cli.cli.export import export
from cass_cli.cli.fallback import lacking_operator
from cass_cli.cli.feature_maps import feature_maps
from cass_cli.cli.finetune import finetune
from cass_cli.cli.grid import grid
from cass_cli.cli.inspect import inspect
from cass_cli.cli.memory import memory_error, memory_message
from cass_cli.cli.predict import predict
from cass_cli.cli.pretrain import pretrain
from cass_cli.cli.report import report
from cass_cli.cli.similarity import similarity
from cass_cli.cli.tile import tile
from cass_cli.errors import CassError, Interrupted

app = typer.Typer(
    name="cass",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command(rich_help_panel="Train")(pretrain)
app.command(rich_help_panel="Measure")(finetune)
app.command(rich_help_panel="Measure")(ensemble)
app.command(rich_help_panel="Measure")(evaluate)
app.command(rich_help_panel="Measure")(predict)
app.command(rich_help_panel="Measure")(export)
app.command(rich_help_panel="Measure")(compare)
app.command(rich_help_panel="Measure")(benchmark_time)
app.command(rich_help_panel="Measure")(grid)
app.command(rich_help_panel="Look")(attention_maps)
app.command(rich_help_panel="Look")(feature_maps)
app.command(rich_help_panel="Look")(similarity)
app.command(rich_help_panel="Look")(embed)
app.command(rich_help_panel="Look")(errors)
app.command(rich_help_panel="Look")(report)
app.command(rich_help_panel="Look")(card)
app.command(rich_help_panel="Data")(inspect)
app.add_typer(data.app, name="data", rich_help_panel="Data")
app.command(rich_help_panel="Data")(tile)
app.add_typer(presets.app, name="presets", rich_help_panel="Data")
app.command(rich_help_panel="Machine")(doctor)
app.add_typer(weights.app, name="weights", rich_help_panel="Machine")
app.add_typer(cache.app, name="cache", rich_help_panel="Machine")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cass {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, epilog="A first try, without any data: cass pretrain --preset demo")
def cass(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - acts by itself
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[  # noqa: ARG001 - read by `run`
        bool,
        typer.Option("--debug", help="Show the traceback of an error (also after the subcommand, or CASS_DEBUG=1)."),
    ] = False,
) -> None:
    """Pretrain a CNN and a Transformer together on your images, and measure them honestly."""
    if context.invoked_subcommand is None:
        from cass_cli.reports.guide import show_guide

        show_guide(Path("runs"))


ENDLESS = re.compile(r"\S{600,}")  # a word of which beginning and end are enough
LONGEST_MESSAGE = 1000  # characters on a wrong option, which may be as long as it likes
RENAMED = {"--out": "--runs"}
WITH_OLD_NAMES = ("pretrain", "finetune", "evaluate", "compare")  # commands whose options had these names


def run(arguments: list[str]) -> int:
    """Run `cass arguments` and return its exit code: 0, 1 (a fault of ours), 2 (yours), 128 + a signal (stopped)."""
    arguments = _renamed(arguments)
    debug = "--debug" in arguments or os.environ.get("CASS_DEBUG", "") not in ("", "0")
    try:
        from cass_cli.engine.job_step import join_step

        join_step(_command(arguments))
        words = [a for a in arguments if a != "--debug"]
        return int(_built()(words, prog_name="cass", standalone_mode=False) or 0)
    except (typer.Abort, KeyboardInterrupt):  # Ctrl-C where no state is at stake: decoding, exporting, …
        return _stopped(130)
    except SystemExit as stopped:  # another signal, see `engine/signals.py`; or Click's, of a broken pipe
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
        return _stopped(code) if code > 128 else code
    except Exception as error:
        from cass_cli.reports.streams import StreamError

        if isinstance(error, StreamError | BrokenPipeError):
            return 0  # `close_streams` tells whether that matters
        if debug and not isinstance(error, Interrupted):
            raise
        return _explain(error, _options(arguments))


@functools.cache
def _built() -> Any:
    """Return all commands as Click knows them, which takes a tenth of a second to make of their functions."""
    return typer.main.get_command(app)


def _stopped(code: int) -> int:
    _show_error("stopped.", "A run that had begun goes on with --resume.", title="Interrupted")
    return code


def _renamed(arguments: list[str]) -> list[str]:
    """Return the arguments with old options by their new names, and say so."""
    if _command(arguments) not in WITH_OLD_NAMES:
        return arguments
    found = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in RENAMED:
            sys.stderr.write(f"{name} is called {RENAMED[name]} now.\n")
        found.append(RENAMED.get(name, name) + equals + value)
    return found


def _explain(error: Exception, options: Collection[str]) -> int:
    """Tell the user about `error` of a command with these `options`, and return the exit code."""
    code = 1
    if short := memory_error(error):
        _show_error(*memory_message(short, options))
        code = 2
    elif isinstance(error, CassError):
        _show_error(error.what, error.hint)
        code = 2
    elif lacking := lacking_operator(error):
        _show_error(*lacking)
        code = 2
    elif isinstance(error, Interrupted):
        _show_error(
            "stopped; everything up to here is saved.",
            f"Go on with: {error.resume}" if error.resume else "Go on with --resume.",
            title="Interrupted",
        )
        code = error.exit_code
    elif isinstance(error, OSError) and error.strerror and error.filename:  # a full disk, no permission, …
        _show_error(f"{error.filename}: {error.strerror}.", _elsewhere(error, options))
        code = 2
    elif hasattr(error, "exit_code") and hasattr(error, "format_message"):  # a wrong option; Typer hides the class
        from typer import rich_utils

        from cass_cli.words import shown

        said = shown(error.format_message(), LONGEST_MESSAGE)
        error.format_message = lambda: said
        rich_utils.rich_format_error(error)  # type: ignore[arg-type]  # it is Click's ClickException
        code = int(error.exit_code)
    else:
        _show_error(f"{type(error).__name__}: {error}", "This is a fault of cass; --debug shows where.", title="Failed")
    return code


def _command(arguments: list[str]) -> str:
    """Return the subcommand among the arguments."""
    return next((argument for argument in arguments if not argument.startswith("-")), "pretrain")


def _options(arguments: list[str]) -> Collection[str]:
    """Return the options of the subcommand among the arguments."""
    commands = getattr(_built(), "commands", {})
    parameters = commands[_command(arguments)].params if _command(arguments) in commands else []
    return {option for parameter in parameters for option in parameter.opts}


def _elsewhere(error: OSError, options: Collection[str]) -> str:
    """Return what to try where a file cannot be written or read, by the options that the command has."""
    from cass_cli.files import FULL

    if error.errno in FULL:
        return "Make room on the disk."
    instead = ""
    if "--out" in options:
        instead = ", or write elsewhere with --out"
    elif "--runs" in options:
        instead = ", or work in another folder of runs with --runs, which may be a copy"
    return f"Check the folder's permissions{instead}."


def _show_error(what: str, hint: str, *, title: str = "Error") -> None:
    from rich.text import Text

    from cass_cli.reports.printing import Screen
    from cass_cli.words import shown

    console = Screen(stderr=True, soft_wrap=True)
    what, hint = (ENDLESS.sub(lambda word: shown(word[0]), text) for text in (what, hint))
    console.print(Text(f"{title}: ", style="bold red").append(what, style="default not bold"))
    if hint:
        console.print(Text(hint, style="cyan"))
