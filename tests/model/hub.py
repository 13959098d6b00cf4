"""A stand-in for the Hugging Face hub on this machine: one model, in the layout of the hub's HTTP API."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

REVISION = "5" * 40
MODEL = "owner/model"
_BLOCK = 1 << 20


class Hub(ThreadingHTTPServer):
    """Serves the files of `folder` as the model MODEL at REVISION.

    `requests` has the method and path of each request, `ranges` each Range header. The next `cuts` downloads of weights
    end half-way.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {path.name: path for path in sorted(folder.iterdir())}
        self.digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in self.files.items()}
        self.requests: list[str] = []
        self.ranges: list[str] = []
        self.cuts = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serve(folder: Path) -> Iterator[Hub]:
    """Run a hub until the block ends."""
    with Hub(folder) as hub:
        thread = Thread(target=hub.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self._response()

    def do_GET(self) -> None:
        self._response()

    def log_message(self, *_: object) -> None: ...

    def _response(self) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(f"{self.command} {path}")
        if path == f"/api/models/{MODEL}/tree/{REVISION}":
            self._json([self._entry(name) for name in self.server.files])
            return
        resolved = f"/{MODEL}/resolve/{REVISION}/"
        if path.startswith(resolved) and path.removeprefix(resolved) in self.server.files:
            self._file(path.removeprefix(resolved))
            return
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _entry(self, name: str) -> dict[str, object]:
        return {
            "type": "file",
            "path": name,
            "size": self.server.files[name].stat().st_size,
            "oid": self.server.digests[name][:40],
        }

    def _json(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, name: str) -> None:
        size = self.server.files[name].stat().st_size
        start = 0
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            self.server.ranges.append(wanted)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start))
        self.send_header("ETag", f'"{self.server.digests[name]}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command == "HEAD":
            return
        end = size
        if self.server.cuts and name.startswith(("model", "pytorch")):
            self.server.cuts -= 1
            end = (start + size) // 2
        with self.server.files[name].open("rb") as file:
            file.seek(start)
            while start < end:
                block = file.read(min(_BLOCK, end - start))
                self.wfile.write(block)
                start += len(block)
        if end < size:
            self.close_connection = True
