"""Every file of the corpus gets the right response, in little time and memory. No metadata leaks."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from statistics import median

import boto3
import pytest

from functions.upload_image import app
from image_pipeline import settings
from image_pipeline.errors import PipelineError
from image_pipeline.http import forms
from image_pipeline.models import ThumbnailSize
from image_processing import pictures
from tests.events import upload_event
from tests.hostile.corpus import SECRET, Hostile, files
from tests.hostile.memory import peak_memory, reset_peak_memory
from tests.pictures import opened
from tools.local.gateway import LocalContext

# Pillow warns about files that it repairs. The functions ignore these warnings.
pytestmark = [pytest.mark.usefixtures("aws"), pytest.mark.filterwarnings("ignore::UserWarning:PIL")]

CORPUS = files()
REJECTIONS = [hostile for hostile in CORPUS if hostile.status != HTTPStatus.OK]
# Far more than a normal rejection takes. Only a serious problem exceeds these limits.
REJECTION_SECONDS = 0.25
REJECTION_BYTES = 50_000_000
SUMMARY = Path("build/hostile_rejections.md")


@pytest.fixture(scope="module")
def costs() -> Iterator[list[tuple[float, int]]]:
    """Seconds and bytes per rejection. At the end a summary is written for docs/reliability.md."""
    measured: list[tuple[float, int]] = []
    yield measured
    if measured:
        seconds, memory = zip(*measured, strict=True)
        SUMMARY.parent.mkdir(exist_ok=True)
        SUMMARY.write_text(
            f"{len(measured)} rejections: median {median(seconds) * 1e3:.1f} ms, "
            f"longest {max(seconds) * 1e3:.1f} ms, at most {max(memory) / 1e3:.0f} kB more memory\n"
        )


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    assert len(CORPUS) >= 60
    assert len({hostile.case for hostile in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("hostile", CORPUS, ids=str)
def test_a_hostile_file_gets_its_response_and_leaks_nothing(hostile: Hostile) -> None:
    event = upload_event(hostile.content, hostile.filename)
    response = app.lambda_handler(event, LocalContext("UploadImageFunction"))
    body = json.loads(response["body"])
    assert response["statusCode"] == hostile.status, body
    if hostile.status != HTTPStatus.OK:
        assert list(body) == ["current_status", "error"]
        assert thumbnails() == []
        return
    if hostile.shown is not None:
        assert body["data"]["original_name"] == hostile.shown
    assert len(thumbnails()) == len(ThumbnailSize)
    for content in thumbnails():
        for forbidden in (SECRET, b"Exif", b"<html", b"tEXt", b"iCCP"):
            assert forbidden not in content
        assert not {"exif", "icc_profile", "comment"} & set(opened(content).info)


@pytest.mark.parametrize("hostile", REJECTIONS, ids=str)
def test_a_rejection_takes_little_time_and_memory(hostile: Hostile, costs: list[tuple[float, int]]) -> None:
    event = upload_event(hostile.content, hostile.filename)
    resting = reset_peak_memory()
    start = time.perf_counter()
    with pytest.raises(PipelineError):
        # Everything that an upload does before it stores the failure.
        pictures.decode(forms.upload(event).content, datetime.now(UTC), settings.max_image_pixels())
    costs.append((time.perf_counter() - start, peak_memory() - resting))
    assert costs[-1][0] < REJECTION_SECONDS
    assert costs[-1][1] < REJECTION_BYTES


def thumbnails() -> list[bytes]:
    bucket = boto3.resource("s3").Bucket(settings.bucket_name())
    return [item.get()["Body"].read() for item in bucket.objects.all()]
