from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cass_cli import __version__
from cass_cli.cli.app import run


@pytest.mark.parametrize("command", [[sys.executable, "-m", "cass_cli"]])
def test_version_and_help_as_a_module(command: list[str]) -> None:
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"cass {__version__}\n"
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    for name in ("pretrain", "inspect", "presets", "cache", "--install-completion"):
        assert name in shown


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cass_cli.cli.app import run; run(['pretrain', '--help']);"
        "heavy = {'torch', 'timm', 'numpy', 'pandas', 'sklearn', 'yaml'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_wrong_setting_is_told_before_anything_heavy_is_imported() -> None:
    code = (
        "import sys; from cass_cli.cli.app import run;"
        "codes = [run(['pretrain', '--preset', 'nope']), run(['pretrain', '--set', 'train.epoch=3'])];"
        "heavy = {'torch', 'timm', 'sklearn', 'pandas'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy or codes != [2, 2] else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_plan_of_a_grid_that_is_done_waits_for_nothing_heavy() -> None:
    code = (
        "import sys; import cass_cli.engine.grid.forecast, cass_cli.engine.grid.job, cass_cli.reports.grid;"
        "heavy = {'torch', 'timm', 'sklearn', 'pandas', 'matplotlib'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_option_says_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    run(["pretrain", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", "").split())
    for default in (
        "Default: 384",
        "Default: 100",
        "Default: 16",
        "Default: 1e-3",
        "Default: resnet50",
        "Default: auto",
    ):
        assert default in shown, default


def test_presets_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["presets"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("autoimmune", "brain-mri", "dermofit", "isic2019", "demo"))
    assert run(["presets", "show", "dermofit"]) == 0
    assert capsys.readouterr().out.startswith("# Dermofit")
    assert run(["presets", "show", "nothing"]) == 2
    assert "Presets: autoimmune" in capsys.readouterr().err


def test_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["pretrian"]) == 2
    assert "pretrain" in capsys.readouterr().err


def test_a_fault_of_ours_is_told_apart_from_one_of_yours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("cass_cli.config.presets.preset_names", broken)
    assert run(["presets"]) == 1
    message = capsys.readouterr().err
    assert "ZeroDivisionError: inside" in message
    assert "--debug" in message
    with pytest.raises(ZeroDivisionError):
        run(["presets", "--debug"])


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("cass pre", {"pretrain", "predict", "presets"}),
        ("cass weights ", {"list", "check", "fetch"}),
        ("cass doctor --j", {"--json"}),
    ],
)
def test_the_shell_completes_commands_and_options_without_pytorch(typed: str, offered: set[str]) -> None:
    """As the script that `cass --install-completion` writes asks for it."""
    code = (
        "import sys; sys.argv = ['cass']; from cass_cli.__main__ import main\n"
        "try: main()\n"
        "finally:\n"
        "    heavy = {'torch', 'timm', 'numpy', 'pandas', 'sklearn', 'yaml'} & set(sys.modules)\n"
        "    sys.stderr.write(' '.join(heavy))"
    )
    asked = {"_CASS_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    shell = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **asked}
    )
    assert set(shell.stdout.split()) == offered and shell.stderr == ""
