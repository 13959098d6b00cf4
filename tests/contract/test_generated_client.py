"""A client that openapi-python-client generates from the OpenAPI document that the API serves."""

import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from io import BytesIO
from typing import Any
from uuid import UUID

import httpx
import pytest
import requests

from tests.contract.client import TIMEOUT_SECONDS, Client
from tests.pictures import scene_png

_PACKAGE = "generated_client"
_INDEXED_SECONDS = 20
UNKNOWN_ID = UUID("f0b6a9e0-6f0c-4e39-a0a4-2d5a5e0a1f11")


class Generated:
    """The generated client. An operation is called with the arguments that the generator gave it."""

    def __init__(self, url: str) -> None:
        self._client = self.module("client").Client(url, timeout=httpx.Timeout(TIMEOUT_SECONDS))

    @staticmethod
    def module(path: str) -> Any:
        return import_module(f"{_PACKAGE}.{path}")

    def call(self, operation: str, *arguments: Any, **options: Any) -> Any:
        """Call an operation, such as "images.get_image". Return the body as an object of a generated class."""
        return self.module(f"api.{operation}").sync(*arguments, client=self._client, **options)


@pytest.fixture(scope="module")
def generated(api: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    folder = tmp_path_factory.mktemp("client")
    document = folder / "openapi.json"
    document.write_bytes(requests.get(f"{api.url}/openapi.json", timeout=TIMEOUT_SECONDS).content)
    # Otherwise it also formats the code.
    config = folder / "config.json"
    config.write_text('{"post_hooks": []}')
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning", "--meta=none"]
    arguments = [f"--path={document}", f"--config={config}", f"--output-path={folder / _PACKAGE}"]
    done = subprocess.run([*generator, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield Generated(api.url)


def file_to_upload(generated: Generated, name: str) -> Any:
    return generated.module("types").File(BytesIO(scene_png()), name, "image/png")


def test_it_uploads_lists_searches_checks_and_deletes(generated: Generated) -> None:
    models = generated.module("models")
    form = models.UploadImageBody(file=file_to_upload(generated, "xylophone.png"), prompt="a small blue")
    image = generated.call("images.upload_image", body=form, details=models.Details.CAPTIONPLACEHOLDER)
    assert isinstance(image, models.Image)
    assert image.data.caption.startswith("a small blue ")
    assert image.data.caption_details.prompt == "a small blue"
    assert image.data.placeholder.color == "#ffffff"
    assert (image.data.metadata.width, image.data.metadata.height) == (240, 200)
    image_id = image.data.image_id
    wait_until_found(generated, "xylophones")
    assert str(image_id) in found(generated, limit=100)
    assert list(found(generated, q="xylophones blue")) == [str(image_id)]
    checked = generated.call("images.check_images", body=models.CheckImagesBody([image_id, UNKNOWN_ID]))
    assert checked.content[str(image_id)].data.caption == image.data.caption
    assert checked.missing == [UNKNOWN_ID]
    thumbnail = generated.call("images.get_thumbnail", image_id, models.ThumbnailSize.SMALL)
    assert httpx.get(thumbnail.data).headers["Content-Type"] == "image/png"
    assert generated.call("images.delete_image", image_id).data == "Image deleted."
    missing = generated.call("images.get_image", image_id)
    assert isinstance(missing, models.ImageMissing)
    assert isinstance(generated.call("images.list_images", q="xylophones"), models.NoImages)


def test_it_uploads_straight_to_the_bucket(generated: Generated) -> None:
    models = generated.module("models")
    wanted = models.CreateUploadBody(models.ContentType.IMAGEPNG, filename="zither.png")
    target = generated.call("direct_uploads.create_upload", body=wanted).data
    fields = target.upload.fields.additional_properties
    httpx.post(target.upload.url, data=fields, files={"file": scene_png()}).raise_for_status()
    details = generated.call("images.get_image", target.image_id, wait=20)
    assert isinstance(details.data, models.Image)
    assert details.data.data.original_name == "zither.png"


def test_a_refusal_is_an_object_with_a_message(generated: Generated) -> None:
    models = generated.module("models")
    text = generated.module("types").File(BytesIO(b"text"), "text.png", "image/png")
    refused = generated.call("images.upload_image", body=models.UploadImageBody(file=text))
    assert isinstance(refused, models.Failure)
    assert refused.error.startswith("Unsupported image file.")


def found(generated: Generated, **query: Any) -> dict[str, Any]:
    page = generated.call("images.list_images", **query)
    return getattr(getattr(page, "content", None), "additional_properties", {})


def wait_until_found(generated: Generated, words: str) -> None:
    end = time.monotonic() + _INDEXED_SECONDS
    while not found(generated, q=words):
        assert time.monotonic() < end, "the image is not in the search index"
        time.sleep(0.2)
