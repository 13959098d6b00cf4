"""The request handler of the local servers: werkzeug's handler, with two faults corrected."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from io import BufferedIOBase, BytesIO
from socketserver import BaseServer
from typing import TYPE_CHECKING

from werkzeug.serving import WSGIRequestHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_MAX_LINE_BYTES = 8192
# The size of a chunk. An extension may follow it.
_CHUNK_HEADER = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\r\n")


class ChunkError(ValueError):
    """The Transfer-Encoding is chunked, but the request body does not consist of chunks."""


class RequestHandler(WSGIRequestHandler):
    """Sends one `100 Continue`, and reads chunked bodies with chunk extensions and trailers."""

    def parse_request(self) -> bool:
        # Sends `100 Continue` to an HTTP/1.1 client that expects it.
        parsed = super().parse_request()
        if parsed:
            # Otherwise run_wsgi sends a second one.
            del self.headers["Expect"]
        return parsed

    def make_environ(self) -> "WSGIEnvironment":
        environ = super().make_environ()
        if environ.get("wsgi.input_terminated"):
            environ["wsgi.input"] = BytesIO(b"".join(_chunks(self.rfile)))
        return environ

    def run_wsgi(self) -> None:
        try:
            super().run_wsgi()
        except ChunkError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))


class QuietRequestHandler(RequestHandler):
    """A request handler that logs no requests."""

    def log_request(self, *_: object) -> None: ...


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """Run `server` in a thread of its own until the block ends."""
    # The server looks every 50 ms whether it should stop. Its default, 0.5 s, would delay the end.
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    """Yield the chunks of a body, without extensions and trailers (RFC 9112, section 7.1). Raises ChunkError."""
    while size := _chunk_size(stream.readline(_MAX_LINE_BYTES)):
        chunk = stream.read(size)
        if len(chunk) < size or stream.read(2) != b"\r\n":
            raise ChunkError("A chunk is shorter or longer than its size")
        yield chunk
    while stream.readline(_MAX_LINE_BYTES).strip():
        pass


def _chunk_size(line: bytes) -> int:
    found = _CHUNK_HEADER.fullmatch(line)
    if found is None:
        raise ChunkError("The size of a chunk is malformed")
    return int(found[1], 16)
