"""The command behind `make serve`, as a user runs it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import requests

from tests.pictures import scene_png
from tools.local import server

START_SECONDS = 60


@contextmanager
def serve(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tools.local.serve", *arguments]
    environment = os.environ | (environment or {})
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def banner_of(process: subprocess.Popen[Any]) -> str:
    lines = []
    assert process.stdout
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    return "".join(lines)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_announces_itself_serves_and_stops_cleanly(stop: signal.Signals) -> None:
    # Nothing listens there: requests to this machine must not use a proxy.
    with serve("--port", "0", environment={"HTTP_PROXY": "http://127.0.0.1:9"}) as process:
        banner = banner_of(process)
        for route in ("POST  /api/images", "GET   /api/images/{image_id}/thumbnails/{size}", "GET   /api/stats"):
            assert route in banner
        assert "Captions by demo" in banner
        assert "Not BLIP-base" in banner
        sample = "tools/exporter/samples/scene-03.png"
        found = re.search(rf"curl -F file=@{sample} (http://127.0.0.1:\d+/api/images)", banner)
        assert found
        document = requests.get(found[1].replace("/api/images", "/openapi.json"), timeout=60).json()
        assert document["components"]["schemas"]["ThumbnailSize"]["enum"] == ["small", "medium", "large"]
        first, again = (
            requests.post(f"{found[1]}?duplicates=return", files={"file": ("a.png", scene_png())}, timeout=60)
            for _ in range(2)
        )
        assert first.status_code == again.status_code == 200
        assert again.headers["Duplicate-Of"] == first.json()["data"]["image_id"]
        process.send_signal(stop)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "POST /api/images  200" in output
    assert output.endswith("stopped\n")
    assert errors == ""


def test_it_goes_on_when_nobody_reads_its_output() -> None:
    with serve("--port", "0") as process:
        found = re.search(r"API on (http://\S+)", banner_of(process))
        assert found
        assert process.stdout
        process.stdout.close()
        assert requests.get(f"{found[1]}/api/stats", timeout=60).ok
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_taken_port_gives_one_clear_error_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with serve("--port", port) as process:
            _, errors = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert errors.startswith(f"error: cannot listen on 127.0.0.1:{port}")
    assert "make serve PORT=" in errors


def test_an_origin_with_a_slash_at_the_end_is_refused() -> None:
    with serve("--port", "0", "--origins", "https://app.example/") as process:
        _, errors = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 2
    assert "without a slash at the end" in errors


@pytest.mark.parametrize(
    ("host", "port", "reason"), [("127.0.0.1", 65536, "PORT="), ("127.0.0.1", -1, "PORT="), ("0.0.0.0", 0, "HOST=")]
)
def test_an_impossible_address_is_refused_in_one_line(host: str, port: int, reason: str) -> None:
    with pytest.raises(server.AddressError, match=reason) as refused, server.run(host=host, port=port):
        pass
    assert "\n" not in str(refused.value)


def test_a_broken_model_folder_gives_one_clear_error_line(tmp_path: Path) -> None:
    with serve("--port", "0", "--model", str(tmp_path)) as process:
        _, errors = process.communicate(timeout=START_SECONDS)
    assert process.returncode == 1
    assert errors.count("\n") == 1
    assert errors.startswith(f"error: {tmp_path} is not a usable model folder")


def test_the_lines_of_the_api_page_about_equal_files_work_as_pasted() -> None:
    section = Path("docs/api.md").read_text().partition("### Equal files\n")[2].partition("\n## ")[0]
    upload, ask = (dedent(block) for block in re.findall(r"(?:^ {4}.*\n)+", section, re.MULTILINE))
    with serve("--port", "0") as process:
        url = re.search(r"http://127.0.0.1:\d+", banner_of(process))
        assert url
        script = f"set -euo pipefail\n{upload}\n{upload}\n{ask}".replace("http://127.0.0.1:8000", url[0])
        done = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True, timeout=60)
    (image_id,) = re.findall(r"(?i)^duplicate-of: (\S+)", done.stdout, re.MULTILINE)
    assert re.search(rf'"known":{{"[0-9a-f]{{64}}":"{image_id}"}}', done.stdout)
