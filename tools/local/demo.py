"""Upload photographs and drawn scenes to a new local API and print its responses: `python -m tools.local.demo`."""

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import requests
from PIL import Image

from tools.demo_model import photographs, scenes
from tools.local import server
from tools.local.dynamodb_local import DynamoDBLocalError
from tools.local.engines import EngineError
from tools.template import ROOT

PHOTOS = ROOT / "tests" / "photos"
SCENES = 6
_TIMEOUT_SECONDS = 60
_ROW = "{:<15} {:>9} {:>9} {:>7}  {:<17} {:<5} {}"


class DemoError(Exception):
    """A step failed. The message says which."""


@dataclass(frozen=True)
class Sample:
    """A file to upload, and the caption that the demo model should write."""

    name: str
    content: bytes
    caption: str


def main() -> int:
    """Run the command. Return its exit status."""
    try:
        with server.run() as api:
            print(
                f"The API runs on {api.url}, captions by the model '{api.captioner.model.id}'.\n{api.captioner.note}\n"
            )
            _demonstrate(api.url)
    except (DemoError, DynamoDBLocalError, EngineError) as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    return 0


def _demonstrate(url: str) -> None:
    print(_ROW.format("file", "pixels", "bytes", "seconds", "thumbnails", "right", "caption"))
    samples = list(_samples())
    wrong = 0
    for sample in samples:
        data = _upload(url, sample)
        metadata = data["metadata"]
        thumbnails = " ".join("{}x{}".format(*_fetch_image(link).size) for link in data["thumbnails"].values())
        right = sample.caption == data["caption"]
        wrong += not right
        print(
            _ROW.format(
                sample.name,
                f"{metadata['width']}x{metadata['height']}",
                metadata["size_bytes"],
                f"{data['time_taken']:.2f}",
                thumbnails,
                "yes" if right else "NO",
                data["caption"],
            ),
            flush=True,
        )
    listed = _get(f"{url}/api/images")["content"]
    print(f"\nGET /api/images  {len(listed)} images, newest first:")
    for image in listed.values():
        print(f"  {image['data']['processed_at']}  {image['data']['image_id']}  {image['data']['original_name']}")
    statistics = _get(f"{url}/api/stats")["data"]
    print(f"\nGET /api/stats   {statistics}")
    if len(listed) != len(samples) or statistics["success"] != len(samples) or statistics["failure"]:
        raise DemoError(f"{len(samples)} files were uploaded, but the list or the statistics have another number")
    if wrong:
        raise DemoError(f"{wrong} of {len(samples)} pictures have a wrong caption")


def _samples() -> Iterator[Sample]:
    for path in sorted([*PHOTOS.glob("*.jpg"), *PHOTOS.glob("*.png")]):
        yield Sample(path.name, path.read_bytes(), photographs.caption(Image.open(path).convert("RGB")))
    rng = random.Random(8)
    for number in range(1, SCENES + 1):
        scene = scenes.random_scene(rng)
        stream = BytesIO()
        scenes.draw(scene).save(stream, "PNG")
        yield Sample(f"scene-{number}.png", stream.getvalue(), scene.caption)


def _upload(url: str, sample: Sample) -> dict[str, Any]:
    response = requests.post(
        f"{url}/api/images", files={"file": (sample.name, sample.content)}, timeout=_TIMEOUT_SECONDS
    )
    data: dict[str, Any] = _checked(response).json()["data"]
    return data


def _fetch_image(url: str) -> Image.Image:
    return Image.open(BytesIO(_checked(requests.get(url, timeout=_TIMEOUT_SECONDS)).content))


def _get(url: str) -> dict[str, Any]:
    body: dict[str, Any] = _checked(requests.get(url, timeout=_TIMEOUT_SECONDS)).json()
    return body


def _checked(response: requests.Response) -> requests.Response:
    if response.status_code != requests.codes.ok:
        raise DemoError(
            f"{response.request.method} {response.request.path_url} returned {response.status_code}: {response.text}"
        )
    return response


if __name__ == "__main__":
    sys.exit(main())
