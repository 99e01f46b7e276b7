"""`cass doctor`: seconds, one object, nothing private."""

from __future__ import annotations

import getpass
import json
import platform
from pathlib import Path

import pytest

from cass_cli.cli.app import run


def test_it_tells_what_a_report_needs_and_nothing_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders of a patient's name stand behind all that is looked at, and none is told."""
    private = tmp_path / "Miller-Anna-1953"
    (private / "weights").mkdir(parents=True)
    (private / "weights" / "resnet50.safetensors").write_bytes(b"any")
    monkeypatch.chdir(private)
    for name in ("HOME", "CASS_CACHE", "CASS_WEIGHTS", "CASS_DATA", "HF_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(private / name.lower()))
    monkeypatch.setenv("CASS_WEIGHTS", str(private / "weights"))
    monkeypatch.setenv("USER", "miller-anna")
    monkeypatch.setattr("platform.node", lambda: "ward-7-miller")
    assert run(["doctor", "--runs", str(private / "runs"), "--json"]) == 0
    machine = capsys.readouterr().out
    found = json.loads(machine)
    assert found["usable"] and found["installed"]["versions"]["torch"] and found["found"]["machine"]["memory"] > 10**8
    assert found["found"]["network"] == "HF_HUB_OFFLINE forbids it"
    assert [file["where"] for file in found["found"]["weights"] if file["model"] == "resnet50"] == ["folder"]
    assert found["found"]["chosen"]["device"] in ("cpu", "cuda:0")
    assert run(["doctor", "--runs", str(private / "runs")]) == 0
    screen = capsys.readouterr().out
    for part in (
        "cass 0.2.0 on Python",
        "torch ",
        "memory",
        "resnet50: in $CASS_WEIGHTS",
        "Paste this into a bug report",
    ):
        assert part in screen
    told = (machine + screen).lower()
    for secret in ("miller", "1953", "anna", str(tmp_path), str(Path.cwd()), "/", platform.node()):
        assert secret.lower() not in told.replace("0/1", "").replace("timm/", "").replace("fp32/", "")
    if (user := getpass.getuser()) not in ("root", "user"):  # words that may stand there for other reasons
        assert user not in told


def test_it_exits_with_2_where_cass_cannot_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str) -> None:
        raise ImportError(f"no {name} here")

    monkeypatch.setattr("cass_cli.engine.doctor.installed.import_module", broken)
    assert run(["doctor"]) == 2
    assert "torch cannot be imported: ImportError: no torch here" in " ".join(capsys.readouterr().out.split())
    assert run(["doctor", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["usable"] is False
