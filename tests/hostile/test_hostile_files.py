"""Every file of the corpus gets the right response, and no metadata leaks. test_costs.py measures the costs."""

import json
from http import HTTPStatus

import boto3
import pytest

from functions.upload_image import app
from image_pipeline import settings
from image_pipeline.models import STANDARD_SIZES
from tests.events import upload_event
from tests.hostile.corpus import SECRET, Hostile, files
from tests.pictures import opened
from tools.local.gateway import LocalContext

# Pillow warns about files that it repairs. The functions ignore these warnings.
pytestmark = [pytest.mark.usefixtures("aws"), pytest.mark.filterwarnings("ignore::UserWarning:PIL")]

CORPUS = files()


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
    assert len(thumbnails()) == len(STANDARD_SIZES)
    for content in thumbnails():
        for forbidden in (SECRET, b"Exif", b"<html", b"tEXt", b"iCCP"):
            assert forbidden not in content
        assert not {"exif", "icc_profile", "comment"} & set(opened(content).info)


def thumbnails() -> list[bytes]:
    bucket = boto3.resource("s3").Bucket(settings.bucket_name())
    return [item.get()["Body"].read() for item in bucket.objects.all()]
