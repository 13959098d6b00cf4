"""The examples of README and docs/api.md work as they are printed: the shell lines and the Python program."""

import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from image_pipeline.models import STANDARD_SIZES
from tests.contract.client import Client

_API = Path("docs/api.md").read_text()
[_PROGRAM] = re.findall(r"^```python\n(.*?)^```", _API, re.MULTILINE | re.DOTALL)
# A line that gets an error ends the script.
_STRICT = 'set -euo pipefail; curl() { command curl --fail "$@"; }'


def blocks(text: str) -> list[str]:
    """Return the shell lines of a page that call the API, block by block."""
    found = (dedent(block) for block in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE))
    return [block for block in found if "curl" in block and "aws " not in block]


[_UPLOAD, *_README] = blocks(Path("README.md").read_text())


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def paste(api: Client, lines: list[str]) -> str:
    return run("bash", "-c", "\n".join([_STRICT, *lines]).replace("http://127.0.0.1:8000", api.url))


def without_chance(body: Any) -> Any:
    """Replace ids, dates, times and URLs, which differ from upload to upload."""
    text = re.sub(
        r'"(image_id|processed_at|created_at|modified_at|small|medium)": "[^"]*"', r'"\1": ""', json.dumps(body)
    )
    return json.loads(re.sub(r'"time_taken": [\d.]+', '"time_taken": 0', text))


@pytest.mark.usefixtures("demo_model")
def test_the_upload_of_the_readme_prints_what_it_shows(api: Client) -> None:
    command, _, shown = _UPLOAD.removeprefix("$ ").partition("\n")
    printed = json.loads(paste(api, [command]))
    # The README shows the sizes that every image has.
    for size in STANDARD_SIZES:
        if not size.is_in_every_image:
            del printed["data"]["thumbnails"][size]
    assert without_chance(printed) == without_chance(json.loads(shown))


def test_the_repeated_upload_of_the_readme_makes_one_image_and_the_search_finds_it(api: Client) -> None:
    retry, search = _README
    first, second = re.findall(r'"image_id":"([^"]*)"', paste(api, [retry]))
    assert first == second
    api.wait_until_listed(first)
    api.wait_until(
        "the search does not find the image", lambda: first in json.loads(paste(api, [search])).get("content", {})
    )


def test_the_lines_of_the_api_page_work_as_pasted(api: Client) -> None:
    # Only make serve knows equal files without a setting (tests/integration/test_serve.py).
    lines = [block for block in blocks(_API) if "duplicates=return" not in block and "sha256" not in block]
    assert len(lines) == 3
    decoder, rest, responses = json.JSONDecoder(), paste(api, lines), []
    while rest:
        response, end = decoder.raw_decode(rest)
        responses.append(response)
        rest = rest[end:]
    prompted = responses.pop()["data"]
    assert prompted["caption_details"]["prompt"] == "a large"
    assert prompted["caption"].startswith("a large ")
    assert [response["current_status"] for response in responses] == ["success"] * 6
    details, direct = responses[1]["data"], responses[4]["data"]
    assert details["data"]["original_name"] == "chelsea.png"
    assert (direct["image_status"], direct["data"]["original_name"]) == ("success", "rocket.jpg")


@pytest.mark.usefixtures("demo_model")
@pytest.mark.parametrize(
    ("is_large", "caption"),
    [
        (False, "a small yellow star left of a large blue triangle on a white background"),
        (True, "a photograph in gray tones"),
    ],
    ids=["form", "direct"],
)
def test_the_python_program_uploads_and_lists(
    api: Client, noise: bytes, tmp_path: Path, *, is_large: bool, caption: str
) -> None:
    file = tmp_path / "python-example.png"
    file.write_bytes(noise if is_large else Path("tools/exporter/samples/scene-01.png").read_bytes())
    printed, *listed = run(sys.executable, "-c", _PROGRAM, api.url, str(file)).splitlines()
    assert printed == caption
    assert any(re.fullmatch(r".+ [0-9a-f-]{36}", line) for line in listed)
