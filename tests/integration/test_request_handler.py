"""Sends raw bytes to the local HTTP server."""

import socket
from collections.abc import Iterator

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tools.local.request_handler import QuietRequestHandler, serving

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TIMEOUT_SECONDS = 10


@Request.application
def echo(request: Request) -> Response:
    return Response(request.get_data())


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    server = make_server("127.0.0.1", 0, echo, threaded=True, request_handler=QuietRequestHandler)
    with serving(server):
        yield "127.0.0.1", server.port


def receive(connection: socket.socket) -> bytes:
    """Return all bytes that the server sends until it closes the connection."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def response(
    address: tuple[str, int], headers: bytes, body: bytes, version: bytes = b"HTTP/1.1"
) -> tuple[bytes, bytes]:
    """Send a request. Return what the server sends before it gets the body, and what it sends after that."""
    with socket.create_connection(address, TIMEOUT_SECONDS) as connection:
        connection.sendall(b"POST / " + version + b"\r\nHost: x\r\n" + headers + b"\r\n")
        early = b""
        if b"expect" in headers.lower() and version == b"HTTP/1.1":
            early = connection.recv(65536)
        connection.sendall(body)
        return early, receive(connection)


@pytest.mark.parametrize("expect", [b"Expect: 100-continue", b"expect: 100-Continue"])
@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 5", b"hello"), (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")],
    ids=["length", "chunked"],
)
def test_a_client_that_waits_for_100_continue_gets_it_once(
    address: tuple[str, int], expect: bytes, framing: bytes, body: bytes
) -> None:
    early, late = response(address, expect + b"\r\n" + framing + b"\r\n", body)
    assert early == CONTINUE
    assert late.startswith(b"HTTP/1.1 200 ")
    assert late.endswith(b"\r\n\r\nhello")
    assert CONTINUE not in late


@pytest.mark.parametrize(
    ("headers", "version"), [(b"", b"HTTP/1.1"), (b"Expect: 100-continue\r\n", b"HTTP/1.0")], ids=["1.1", "1.0"]
)
def test_no_other_client_gets_100_continue(address: tuple[str, int], headers: bytes, version: bytes) -> None:
    early, late = response(address, headers + b"Content-Length: 5\r\n", b"hello", version)
    assert CONTINUE not in early + late
    assert late.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"0005\r\nhello\r\n000\r\n\r\n",
        b"5;name=value\r\nhello\r\n0;last\r\n\r\n",
        b'5 ; a="b;c" ; d\r\nhello\r\n0\r\n\r\n',
        b"5;" + b"x" * 1000 + b"\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nDigest: abc\r\nMore: def\r\n\r\n",
    ],
)
def test_a_body_may_come_in_chunks_with_extensions_and_trailers(address: tuple[str, int], body: bytes) -> None:
    _, late = response(address, b"Transfer-Encoding: chunked\r\n", body)
    assert late.startswith(b"HTTP/1.1 200 ")
    assert late.endswith(b"\r\n\r\nhello")


def test_chunks_may_hold_any_bytes(address: tuple[str, int]) -> None:
    content = bytes(range(256)) * 400
    body = b"".join(b"%X;n=%d\r\n%b\r\n" % (len(content), n, content) for n in range(3))
    _, late = response(address, b"Transfer-Encoding: chunked\r\n", body + b"0\r\n\r\n")
    assert late.endswith(b"\r\n\r\n" + content * 3)


@pytest.mark.parametrize(
    "body",
    [
        b"hello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"\r\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"6\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_malformed_chunks_are_refused(address: tuple[str, int], body: bytes) -> None:
    _, late = response(address, b"Transfer-Encoding: chunked\r\n", body)
    assert late.startswith(b"HTTP/1.1 400 ")


def test_a_body_that_ends_inside_a_chunk_is_refused(address: tuple[str, int]) -> None:
    with socket.create_connection(address, TIMEOUT_SECONDS) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello")
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection).startswith(b"HTTP/1.1 400 ")
