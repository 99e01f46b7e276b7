"""A missing network is found in seconds, and a slow one is waited for."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from cass_cli.errors import ModelError
from cass_cli.models.hub import fetch_pretrained, why_unreachable


class Busy(BaseHTTPRequestHandler):
    """A hub that has no answer to give, after a while."""

    def do_HEAD(self) -> None:
        time.sleep(0.4)
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Let the hub's client ask, an endpoint of this machine's; its cache is empty."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine where nobody answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def at(patch: pytest.MonkeyPatch, port: int) -> None:
    hub, constants = f"http://127.0.0.1:{port}", "huggingface_hub.constants"
    patch.setattr(f"{constants}.ENDPOINT", hub)
    patch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", hub + "/{repo_id}/resolve/{revision}/{filename}")


def test_a_missing_network_is_an_error_in_seconds_that_says_what_to_get(
    online: pytest.MonkeyPatch, port: int, tmp_path: Path
) -> None:
    """The client by itself asks for a minute."""
    at(online, port)
    online.setattr("cass_cli.models.hub.PAUSE", 0.01)
    online.setenv("CASS_WEIGHTS", str(tmp_path / "stick"))
    began = time.monotonic()
    with pytest.raises(ModelError) as error:
        fetch_pretrained("resnet18", {})
    assert time.monotonic() - began < 5
    assert error.value.what == "Could not fetch timm's weights of 'resnet18' from the hub: Connection refused."
    for part in ("resnet18.a1_in1k.safetensors", "(timm/resnet18.a1_in1k)", "cass weights fetch resnet18"):
        assert part in error.value.hint
    assert f"$CASS_WEIGHTS (which is not there now: {tmp_path}/stick)" in error.value.hint


def test_whoever_answers_is_there_however_slowly(online: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        at(online, server.server_port)
        assert why_unreachable() == ""
        assert why_unreachable(seconds=0.2, tries=1) in ("no answer within 0.2 s", "timed out")
    finally:
        server.shutdown()
        server.server_close()


def test_a_name_that_is_never_resolved_costs_no_more_than_was_said(online: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        time.sleep(3)
        raise socket.gaierror(-2, "Name or service not known")

    online.setattr("socket.getaddrinfo", never)
    online.setattr("huggingface_hub.constants.ENDPOINT", "http://hub.invalid")
    began = time.monotonic()
    assert why_unreachable(seconds=0.3) == "no answer within 0.3 s"
    assert time.monotonic() - began < 2


def test_a_moment_without_a_network_is_not_the_end(online: pytest.MonkeyPatch, port: int) -> None:
    """The first try fails, the second is answered."""
    tries: list[str] = []

    class Session:
        def head(self, url: str, *, timeout: float) -> SimpleNamespace:
            assert timeout
            tries.append(url)
            if len(tries) == 1:
                raise OSError(101, "Network is unreachable")
            return SimpleNamespace(status_code=200)

    at(online, port)
    online.setattr("cass_cli.models.hub.PAUSE", 0.0)
    online.setattr("huggingface_hub.get_session", Session)
    assert why_unreachable() == "" and len(tries) == 2
    tries.clear()
    assert why_unreachable(tries=1) == "Network is unreachable"


def test_what_was_fetched_before_needs_no_network(online: pytest.MonkeyPatch, port: int, tmp_path: Path) -> None:
    """The hub is not even asked whether it is there, and timm decides."""
    at(online, port)
    folder = tmp_path / "models--timm--test_resnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (folder / "snapshots" / ("0" * 40) / "model.safetensors").write_bytes(b"damaged")
    online.setattr("cass_cli.models.hub.why_unreachable", lambda: pytest.fail("asked"))
    with pytest.raises(ModelError, match="Could not fetch timm's weights of 'test_resnet'"):
        fetch_pretrained("test_resnet", {})


def test_the_user_may_forbid_it() -> None:
    assert why_unreachable() == "HF_HUB_OFFLINE forbids it"
