"""Measure the command that uploads a folder with many files: `python -m tools.measure.load.many_files`.

The API is a stand-in that answers at once. Linux only.
"""

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from tools.template import ROOT

_FILES_PER_FOLDER = 100
_FILE_BYTES = 2000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CAPTION = "a photograph of a harbour with many small boats in front of a row of coloured houses"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the peak of the memory and the times, for a first run and for a second one."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--files", type=int, default=100_000, help="number of files (default: %(default)s)")
    files = parser.parse_args(arguments).files
    with TemporaryDirectory() as name, _stand_in() as api:
        folder = Path(name) / "pictures"
        for number in range(files):
            path = folder / f"{number // _FILES_PER_FOLDER:05}" / f"photograph-{number:06}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((_SIGNATURE + str(number).encode()).ljust(_FILE_BYTES))
        print("| run | files | first request | all | peak of the memory |")
        print("|---|---|---|---|---|")
        for run in ("first", "second"):
            seconds, peak = _run(api, folder)
            print(f"| {run} | {files:,} | {api.first:.1f} s | {seconds:,.0f} s | {peak:.0f} MB |", flush=True)


@dataclass
class _StandIn:
    """A server that makes an image of each upload at once."""

    url: str = ""
    started: float = 0.0
    first: float = 0.0
    is_first: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, body: bytes) -> dict[str, object]:
        if path.endswith("/stats"):
            return {"current_status": "success", "data": {}}
        with self.lock:
            if self.is_first:
                self.first, self.is_first = time.monotonic() - self.started, False
        if path.endswith("/check"):
            # The stand-in has no file at first, and all images.
            asked = json.loads(body)
            ids = asked.get("image_ids", [])
            if "sha256" in asked:
                return {"current_status": "success", "content": {}, "missing": [], "known": {}}
            return {"current_status": "success", "content": {name: _image(name) for name in ids}, "missing": []}
        return _image(str(uuid4()))


def _image(image_id: str) -> dict[str, object]:
    data = {"image_id": image_id, "caption": _CAPTION, "metadata": {"width": 4000, "height": 3000}}
    return {"image_status": "success", "data": data, "error": None}


@contextmanager
def _stand_in() -> Iterator[_StandIn]:
    api = _StandIn()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            content = json.dumps(api.answer(self.path, self.rfile.read(int(self.headers.get("Content-Length", 0)))))
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        do_GET = do_POST = do  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()


def _run(api: _StandIn, folder: Path) -> tuple[float, float]:
    """Run the command. Return its seconds, and the peak of its memory in MB."""
    command = [sys.executable, "-m", "clients.upload_folder", api.url, str(folder), "--workers", "8"]
    api.started, api.is_first, peak = time.monotonic(), True, 0.0
    command += ["--csv", str(folder.parent / "captions.csv")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if found := re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text()):
                peak = int(found[1]) / 1000
            time.sleep(0.05)
    if process.returncode:
        sys.exit(f"error: the command ended with status {process.returncode}")
    return time.monotonic() - api.started, peak


if __name__ == "__main__":
    main()
