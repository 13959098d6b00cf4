"""The curl lines of README work when they are pasted one after the other."""

import json
import re
import subprocess
from pathlib import Path
from textwrap import dedent

from tests.contract.client import Client

README = Path("README.md").read_text()
BLOCKS = [dedent(block) for block in re.findall(r"(?:^ {4}.*\n)+", README, re.MULTILINE) if "curl" in block]
PASTED = [block for block in BLOCKS if "$API" in block]
# A line that gets an error ends the script.
STRICT = 'set -euo pipefail; curl() { command curl --fail "$@"; }'


def test_the_lines_work_as_pasted(api: Client) -> None:
    assert len(PASTED) == 3
    script = "\n".join([STRICT, *PASTED]).replace("http://127.0.0.1:8000", api.url)
    done = subprocess.run(["bash", "-c", script], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    decoder, rest, responses = json.JSONDecoder(), done.stdout, []
    while rest:
        response, end = decoder.raw_decode(rest)
        responses.append(response)
        rest = rest[end:]
    prompted = responses.pop(4)
    assert prompted["data"]["caption_details"]["prompt"] == "a photograph in"
    assert [response["current_status"] for response in responses] == ["success"] * 7
    details, direct = responses[1]["data"], responses[5]["data"]
    assert details["data"]["original_name"] == "chelsea.png"
    assert (direct["image_status"], direct["data"]["original_name"]) == ("success", "rocket.jpg")
