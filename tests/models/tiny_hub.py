"""A hub on this machine, which the hub's own client downloads from: one file a repository, behind a redirect."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
STORE = "/store/"  # where files lie, as those of the hub lie elsewhere


@dataclass
class Hub:
    """What is served, how it goes wrong, and what was asked."""

    files: dict[str, bytes]  # by path of their repository's file
    status: int = 200  # of every answer but those of the store
    code: str = ""  # the hub's word for it
    cuts: int = 0  # so many downloads end in the middle
    altered: bool = False  # a byte of each file
    port: int = 0
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, Range

    def stored(self, digest: str) -> bytes:
        data = next(data for data in self.files.values() if hashlib.sha256(data).hexdigest() == digest)
        return data[:-1] + bytes([data[-1] ^ 1]) if self.altered else data


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.hub.asked.append((self.command, self.path, self.headers.get("Range", "")))
        if self.path.startswith(STORE):
            self._stored(self.hub.stored(self.path.removeprefix(STORE)))
        elif self.hub.status != 200:
            self._end(self.hub.status, {"X-Error-Code": self.hub.code})
        elif (data := self.hub.files.get(self.path)) is None:
            self._end(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            digest = hashlib.sha256(data).hexdigest()
            linked = {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(data)), "X-Repo-Commit": COMMIT}
            self._end(302, {**linked, "Location": f"http://127.0.0.1:{self.hub.port}{STORE}{digest}"})

    def _stored(self, data: bytes) -> None:
        """Send all that is asked for, or half of it where the line is to break."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        part = data[start:]
        ranged = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        self._end(206 if start else 200, {**ranged, "Content-Length": str(len(part))})
        if self.command == "GET":
            cut, self.hub.cuts = self.hub.cuts > 0, max(self.hub.cuts - 1, 0)
            self.wfile.write(part[: len(part) // 2] if cut else part)

    def _end(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def tiny_hub(files: dict[str, Path], cache: Path, **wrong: Any) -> Iterator[Hub]:
    """Let the hub's client find `files`, as `timm/NAME/model.safetensors`, at an endpoint of this machine.

    `wrong` says what goes wrong, by the names of `Hub`.
    """
    served = {f"/{name.rpartition('/')[0]}/resolve/main/{name.rpartition('/')[2]}": files[name] for name in files}
    hub = Hub({url: path.read_bytes() for url, path in served.items()}, **wrong)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfThese", (Handler,), {"hub": hub}))
    hub.port = server.server_port
    Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://localhost:{hub.port}"  # another host than that of the store
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "HF_HUB_OFFLINE": False,
            "ENDPOINT": endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
            "HF_HUB_CACHE": str(cache),
            "DOWNLOAD_CHUNK_SIZE": 100_000,  # of which the client keeps whole ones where the line breaks
        }.items():
            patch.setattr(f"huggingface_hub.constants.{name}", value)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            patch.delenv(name, raising=False)
        try:
            yield hub
        finally:
            server.shutdown()
            server.server_close()
