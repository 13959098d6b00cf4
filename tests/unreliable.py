"""A server between a client and the API: it passes requests on, or fails as networks and other servers do."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Returns what happens to a request with this method and path: None if it is passed on, "request lost" or
# "response lost", or another response: its status, its body, and its headers.
Faults = Callable[[str, str], "str | tuple[int, str, dict[str, str]] | None"]

REDIRECT = (301, "", {"Location": "https://127.0.0.1:1/"})
FOREIGN = (200, "<html>Welcome</html>", {"Content-Type": "text/html"})
FOREIGN_JSON = (200, '{"status": "ok"}', {"Content-Type": "application/json"})
BUSY = (503, '{"current_status":"failure","error":"Please try again."}', {"Retry-After": "0"})
FIREWALL = (403, "<html>Forbidden</html>", {"Content-Type": "text/html"})


@contextmanager
def proxy(url: str, faults: Faults) -> Iterator[str]:
    """Listen on a port of this machine until the block ends, and yield the URL. `url` is that of the API."""
    host = urlsplit(url).netloc

    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = faults(self.command, self.path)
            # An abrupt end, as when a router restarts.
            self.close_connection = True
            if fault == "request lost":
                return
            status, content, headers = fault if isinstance(fault, tuple) else self.passed_on(body)
            if fault == "response lost":
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content.encode())))
            self.end_headers()
            self.wfile.write(content.encode())

        def passed_on(self, body: bytes) -> tuple[int, str, dict[str, str]]:
            connection = http.client.HTTPConnection(host, timeout=60)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
                connection.request(self.command, self.path, body, headers | {"Host": host})
                response = connection.getresponse()
                kept = ("Content-Type", "Retry-After", "Date")
                return (
                    response.status,
                    response.read().decode(),
                    {name: value for name, value in response.getheaders() if name in kept},
                )
            finally:
                connection.close()

        do_GET = do_POST = do_DELETE = do  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
