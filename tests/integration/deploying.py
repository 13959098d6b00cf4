"""Runs `python -m tools.deploy` as a person does, at a pseudo-terminal, or without one. `sam` is a stub.

AWS is moto's server, and the URL of the stack is that of a local API. Lambda has a stand-in, because moto neither
knows the quota nor runs functions without Docker.
"""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moto.server import ThreadedMotoServer
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tools.local.request_handler import QuietRequestHandler, serving
from tools.template import ROOT

# Names the stub of SAM, and then runs the command.
_COMMAND = (
    "import sys; from tools.deploy import sam; sam.SAM = sys.argv.pop(1); "
    "from tools.deploy.__main__ import main; sys.exit(main())"
)
_SECONDS = 60
SMALL_ACCOUNT = {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}
ACCOUNT = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}
PICTURES = [
    {"name": "known.jpg", "seconds": 9.5, "status": 200, "caption": "a cup of coffee"},
    {"name": "known.png", "seconds": 0.75, "status": 200, "caption": "a red circle"},
]
CHECKED = {"passed": True, "pictures": PICTURES, "reason": None}


@dataclass
class Ended:
    status: int
    output: str


@dataclass
class Person:
    """Somebody at a pseudo-terminal, who reads what a command prints and types answers."""

    process: subprocess.Popen[bytes]
    terminal: int
    read: str = ""
    passed: int = 0

    def wait_for(self, text: str) -> None:
        """Read until `text` comes, after the last typed line."""
        deadline = time.monotonic() + _SECONDS
        while text not in self.read[self.passed :]:
            assert time.monotonic() < deadline, f"{text!r} did not come:\n{self.read}"
            assert self._read_more(), f"the command ended without {text!r}:\n{self.read}"
        self.passed += self.read[self.passed :].index(text) + len(text)

    def answer(self, prompt: str, typed: str) -> None:
        """Wait for a prompt, and type a line."""
        self.wait_for(prompt)
        os.write(self.terminal, f"{typed}\n".encode())

    def interrupt(self, prompt: str) -> None:
        """Wait for a text, and press Ctrl-C."""
        self.wait_for(prompt)
        self.press(b"\x03")

    def press(self, key: bytes) -> None:
        """Press a key after a short pause, so that the program already waits for it."""
        time.sleep(0.3)
        os.write(self.terminal, key)

    def end(self) -> Ended:
        """Read the rest of the output."""
        while self._read_more():
            pass
        return Ended(self.process.wait(_SECONDS), self.read)

    def _read_more(self) -> bool:
        if not select.select([self.terminal], [], [], _SECONDS)[0]:
            return False
        try:
            content = os.read(self.terminal, 65536)
        except OSError:  # Linux says so when the last process has closed the terminal
            return False
        self.read += content.decode().replace("\r\n", "\n")
        return bool(content)


@dataclass(frozen=True)
class Workspace:
    """A folder with a samconfig.toml, in which the command runs."""

    folder: Path
    stub: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> str:
        return (self.folder / "samconfig.toml").read_text()

    @property
    def sam_commands(self) -> list[str]:
        """The commands that the stub got, without the region."""
        log = self.folder / "sam.log"
        return log.read_text().splitlines() if log.exists() else []

    @contextmanager
    def person(self, *arguments: str) -> Iterator[Person]:
        """Run the command at a terminal of its own."""
        terminal, side = pty.openpty()
        # setsid makes it the terminal that Ctrl-C belongs to.
        with subprocess.Popen(
            ["setsid", "--ctty", *self._line(arguments)],
            cwd=self.folder,
            env=self._environment(),
            stdin=side,
            stdout=side,
            stderr=side,
        ) as process:
            os.close(side)
            try:
                yield Person(process, terminal)
            finally:
                process.kill()
                os.close(terminal)

    def alone(self, *arguments: str) -> Ended:
        """Run the command without a terminal."""
        done = subprocess.run(
            self._line(arguments),
            check=False,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
        )
        return Ended(done.returncode, done.stdout)

    def _line(self, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-c", _COMMAND, str(self.stub), *arguments]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in {"AWS_REGION", "AWS_DEFAULT_REGION"}}
        own = {"PYTHONPATH": str(ROOT), "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "STUB_ROOT": str(ROOT)}
        return kept | own | self.environment


@contextmanager
def aws_account() -> Iterator[str]:
    """Serve AWS, by moto, until the block ends. Yields the URL."""
    served = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    served.start()
    try:
        yield "http://{}:{}".format(*served.get_host_and_port())
    finally:
        served.stop()


@contextmanager
def lambda_stand_in(limit: dict[str, int], checked: dict[str, Any]) -> Iterator[str]:
    """Serve the quota of an account and the result of CheckVersionFunction until the block ends. Yields the URL."""

    @Request.application
    def respond(request: Request) -> Response:
        if request.path.startswith("/2016-08-19/account-settings"):
            return Response(json.dumps({"AccountLimit": limit}))
        assert (request.method, request.path) == ("POST", "/2015-03-31/functions/the-check/invocations")
        return Response(json.dumps(checked))

    server = make_server("127.0.0.1", 0, respond, threaded=True, request_handler=QuietRequestHandler)
    with serving(server):
        yield f"http://127.0.0.1:{server.port}"
