"""A server of Lambda's runtime API. The process of a function asks it for events, so it knows when init is done.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from uuid import uuid4

from tools.local.request_handler import serving

_TIMEOUT_SECONDS = 60


class RuntimeApi(ThreadingHTTPServer):
    """Gives events to the process of one function and receives its responses."""

    daemon_threads = True

    def __init__(self, host: str) -> None:
        super().__init__((host, 0), _Handler)
        self.ready: Queue[float] = Queue()
        self.events: Queue[bytes] = Queue()
        self.responses: Queue[tuple[float, str, bytes]] = Queue()

    def wait_ready(self) -> float:
        """Wait until the process asks for an event, or to be stored as a snapshot.

        Return that time in seconds since the boot of this machine.
        """
        return self.ready.get(timeout=_TIMEOUT_SECONDS)

    def invoke(self, event: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        """Send `event` to the function. Return the seconds until its response, and the response."""
        begun = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.events.put(json.dumps(event).encode())
        done, path, body = self.responses.get(timeout=_TIMEOUT_SECONDS)
        if not path.endswith("/response"):
            raise RuntimeError(f"the function failed: {body.decode()}")
        self.wait_ready()
        return done - begun, json.loads(body)


@contextmanager
def serve(host: str) -> Iterator[RuntimeApi]:
    """Serve on a free port until the block ends."""
    server = RuntimeApi(host)
    with serving(server):
        yield server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RuntimeApi

    def do_GET(self) -> None:
        """Respond to `…/invocation/next` with an event, and to `…/restore/next` as after a restored snapshot."""
        self.server.ready.put(time.clock_gettime(time.CLOCK_BOOTTIME))
        event = b"" if self.path.endswith("/restore/next") else self.server.events.get()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", str(uuid4()))
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + _TIMEOUT_SECONDS * 1000))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:local")
        # AWS's client exits without a message if one of these two headers is missing.
        self.send_header("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(event)))
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self) -> None:
        """Receive a response or an error."""
        done = time.clock_gettime(time.CLOCK_BOOTTIME)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.responses.put((done, self.path, body))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...
