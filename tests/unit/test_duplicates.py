"""Nothing is stored twice: with Duplicates=find, the table knows which image of an owner has which file."""

import json
import time
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from threading import Barrier
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import pytest
from PIL import Image

from functions.check_images import app as check_images
from functions.create_upload import app as create_upload
from functions.delete_image import app as delete_image
from functions.upload_image import app
from image_pipeline import settings
from image_pipeline.errors import ImageNotFoundError
from image_pipeline.models import SHARED, STANDARD_SIZES, CaptionModel
from image_pipeline.storage import claims, clients, keys, records, table
from image_pipeline.storage import hashes as storage_hashes
from image_pipeline.threads import ThreadPool
from image_processing.captions import Captioner
from tests.events import load_event, send, upload_event
from tests.faults.injection import Call, Fault, faults, only
from tests.permissions import call
from tests.pictures import encode, scene_png
from tests.stored import bucket_keys, table_items
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws", "finding")
OTHER = encode(Image.new("L", (20, 20)))
KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
Uploaded = tuple[str, str | None]


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUPLICATES", "find")


def post(content: bytes, duplicates: str | None = None, key: str | None = None, prompt: str | None = None) -> Any:
    event = upload_event(content, prompt=prompt)
    event["queryStringParameters"] = {"duplicates": duplicates} if duplicates else None
    if key is not None:
        event["headers"]["Idempotency-Key"] = key
    return app.lambda_handler(event, LocalContext("UploadImageFunction"))


def upload(
    content: bytes, duplicates: str | None = "return", key: str | None = None, prompt: str | None = None
) -> Uploaded:
    """Return the image id of the response, and its header Duplicate-Of."""
    response = post(content, duplicates, key, prompt)
    assert response["statusCode"] == 200, response
    return json.loads(response["body"])["data"]["image_id"], response["headers"].get("Duplicate-Of")


def delete(image_id: str) -> int:
    event = load_event("delete_image")
    event["pathParameters"]["image_id"] = image_id
    return send(delete_image, event)[0]


def hashes() -> dict[str, str]:
    """Return the image ids of the stored hashes, by partition key."""
    return {item["pk"]: item["image_id"] for item in table_items("HASH#")}


def success() -> int:
    return records.statistics(SHARED).success


def expire(image_id: str) -> None:
    """Let the item of an image expire. DynamoDB has not removed it yet."""
    item = table.find(keys.image(image_id))
    assert item is not None
    table.put({**item, "expires_at": int(time.time()) - 1, "attempt": "expired"})


def test_by_default_nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUPLICATES", "keep")
    first, second = upload(scene_png(), None), upload(scene_png(), "keep")
    assert first != second
    assert first[1] is second[1] is None
    assert hashes() == {}
    response = post(scene_png(), "return")
    assert response["statusCode"] == 400
    assert "Please leave out duplicates=return" in json.loads(response["body"])["error"]
    assert success() == 2


def test_another_value_is_refused() -> None:
    response = post(scene_png(), "refuse")
    assert response["statusCode"] == 400
    assert json.loads(response["body"])["error"].startswith("Invalid duplicates.")


def test_an_equal_file_gets_the_first_image_before_the_model_runs(captioned: Mock) -> None:
    first = upload(scene_png())
    assert first[1] is None
    assert upload(scene_png()) == (first[0], first[0])
    assert captioned.call_count == success() == 1
    assert upload(OTHER)[1] is None


def test_the_details_are_those_of_the_first_image() -> None:
    image_id, _ = upload(scene_png())
    event = upload_event(scene_png(), "another name.png")
    event["queryStringParameters"] = {"duplicates": "return", "details": "caption"}
    status, body = send(app, event)
    assert (status, body["data"]["image_id"], body["data"]["original_name"]) == (200, image_id, "image.png")
    assert "caption_details" in body["data"]


def test_the_same_file_with_another_prompt_is_another_image() -> None:
    plain, prompted = upload(scene_png()), upload(scene_png(), prompt="a large")
    assert prompted[0] != plain[0]
    assert upload(scene_png(), prompt="a large") == (prompted[0], prompted[0])
    assert len(hashes()) == 2


def test_the_file_of_another_owner_is_not_known() -> None:
    mine = replace(sample_image(), owner="a" * 32)
    store_sample(mine)
    assert list(hashes()) == [f"HASH#{mine.owner}#{mine.sha256}"]
    assert records.find_equal(mine.owner, mine.digest) == mine
    assert records.find_equal(SHARED, mine.digest) is records.find_equal("b" * 32, mine.digest) is None


def test_without_return_each_upload_is_new_and_the_first_stays_known() -> None:
    first, second = upload(scene_png(), "keep"), upload(scene_png(), None)
    assert first[0] != second[0]
    assert first[1] is second[1] is None
    assert list(hashes().values()) == [first[0]]
    assert upload(scene_png()) == (first[0], first[0])
    assert success() == 2


def test_eight_equal_uploads_at_once_are_one_image_and_one_count(monkeypatch: pytest.MonkeyPatch) -> None:
    caption, all_there = Captioner.caption, Barrier(8)

    def at_once(*arguments: Any) -> Any:
        all_there.wait(60)
        return caption(*arguments)

    monkeypatch.setattr(Captioner, "caption", at_once)
    with ThreadPool(8) as pool:
        uploaded = list(pool.map(lambda key: upload(scene_png(), key=key), [None, *"1234567"]))
    (image_id,) = {image_id for image_id, _ in uploaded}
    assert Counter(duplicate for _, duplicate in uploaded) == {None: 1, image_id: 7}
    assert success() == 1
    assert [item["image_id"] for item in table_items("IMAGE#")] == [image_id]
    assert len(table_items("REQUEST#")) <= 1


def test_a_repeated_request_gets_its_own_image_not_a_duplicate() -> None:
    first = upload(scene_png(), key=KEY)
    assert upload(scene_png(), key=KEY) == first
    assert upload(scene_png(), key="another") == (first[0], first[0])
    # A key whose upload was not needed stays free.
    assert upload(OTHER, key="another")[1] is None
    assert post(OTHER, "return", KEY)["statusCode"] == 422


def test_a_deleted_image_takes_its_hash_with_it() -> None:
    first, _ = upload(scene_png())
    assert delete(first) == 200
    assert hashes() == {}
    second, duplicate = upload(scene_png())
    assert (second != first, duplicate) == (True, None)
    assert list(hashes().values()) == [second]
    assert delete(first) == 404
    assert list(hashes().values()) == [second]


def test_a_second_image_with_the_file_leaves_the_hash_of_the_first() -> None:
    first, second = (upload(scene_png(), "keep")[0] for _ in range(2))
    assert delete(second) == 200
    assert list(hashes().values()) == [first]
    assert upload(scene_png()) == (first, first)


def test_an_image_from_before_has_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("DUPLICATES", "keep")
        before = upload(scene_png(), None)[0]
    assert delete(before) == 200
    assert upload(scene_png())[1] is None


@pytest.mark.parametrize("is_unique", [False, True])
def test_an_image_that_is_deleted_at_the_same_time_does_not_prevent_an_equal_one(
    monkeypatch: pytest.MonkeyPatch, *, is_unique: bool
) -> None:
    first, second = sample_image(), sample_image()
    store_sample(first)
    image_of = storage_hashes.image_of

    def deleted_first(owner: str, file: str) -> str | None:
        # The transaction of the second image has just failed because of the first one.
        monkeypatch.setattr(storage_hashes, "image_of", image_of)
        records.delete(SHARED, first.image_id)
        return image_of(owner, file)

    monkeypatch.setattr(storage_hashes, "image_of", deleted_first)
    claim = claims.Claim(second.image_id, str(uuid4()), None)
    assert records.save(claim, second, is_unique=is_unique) == second
    assert list(hashes().values()) == [second.image_id]


@pytest.mark.parametrize("duplicates", ["keep", "return"])
def test_a_hash_whose_image_is_gone_is_taken_over(duplicates: str) -> None:
    first, _ = upload(scene_png())
    expire(first)
    second, duplicate = upload(scene_png(), duplicates)
    assert (second != first, duplicate) == (True, None)
    assert list(hashes().values()) == [second]
    assert upload(scene_png()) == (second, second)


def test_a_hash_expires_with_its_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_DAYS", "30")
    image_id, _ = upload(scene_png())
    (item,), image = table_items("HASH#"), table.find(keys.image(image_id))
    assert image is not None
    assert item["expires_at"] == image["expires_at"]


def test_a_lost_reply_about_the_end_of_an_upload_is_no_duplicate() -> None:
    with faults(only(Call("TransactWriteItems", 0), Fault.REPLY_LOST)):
        image_id, duplicate = upload(scene_png())
    assert duplicate is None
    assert list(hashes().values()) == [image_id]
    assert success() == 1


@pytest.mark.parametrize("fault", [Fault.REPLY_LOST, Fault.ERROR])
def test_a_deletion_is_whole_or_not_at_all(fault: Fault) -> None:
    image_id, _ = upload(scene_png())
    with faults(lambda call: fault if call.operation == "TransactWriteItems" else None):
        assert delete(image_id) == (200 if fault == Fault.REPLY_LOST else 503)
    assert len(hashes()) == (0 if fault == Fault.REPLY_LOST else 1)
    assert delete(image_id) == (404 if fault == Fault.REPLY_LOST else 200)
    assert hashes() == {}


def test_of_two_deletions_at_once_one_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    image_id, _ = upload(scene_png())
    write = table.write

    def second(*arguments: Any) -> None:
        monkeypatch.setattr(table, "write", write)
        assert delete(image_id) == 200
        write(*arguments)

    monkeypatch.setattr(table, "write", second)
    assert delete(image_id) == 404


def test_an_image_that_is_remembered_while_it_is_deleted_leaves_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("DUPLICATES", "keep")
        before = upload(scene_png(), None)[0]
    write = table.write

    def remembered_first(*arguments: Any) -> None:
        monkeypatch.setattr(table, "write", write)
        records.remember(before)
        assert list(hashes().values()) == [before]
        write(*arguments)

    monkeypatch.setattr(table, "write", remembered_first)
    records.delete(SHARED, before)
    assert hashes() == {}


def test_an_item_that_does_not_name_its_file_can_be_deleted() -> None:
    image_id, _ = upload(scene_png())
    table.update(keys.image(image_id), "REMOVE sha256")
    assert delete(image_id) == 200


def test_a_new_caption_keeps_its_file_known() -> None:
    image_id, _ = upload(scene_png())
    record = records.get(SHARED, image_id)
    records.replace_caption(record, "another caption", Decimal("0.5"), CaptionModel("other", "1", "fp32"))
    known = records.find_equal(SHARED, record.digest)
    assert known is not None
    assert (known.image_id, known.caption) == (image_id, "another caption")
    assert upload(scene_png()) == (image_id, image_id)


def test_a_failed_upload_has_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    assert post(scene_png()[:100], "return")["statusCode"] == 400
    monkeypatch.delenv("MAX_CAPTION_TOKENS")
    assert post(scene_png(), "return")["statusCode"] == 500
    assert hashes() == {}


def test_the_files_of_an_upload_that_came_second_go_with_its_item(monkeypatch: pytest.MonkeyPatch) -> None:
    caption, stored = Captioner.caption, []

    def slow(*arguments: Any) -> Any:
        monkeypatch.setattr(Captioner, "caption", caption)
        stored.append(upload(scene_png())[0])
        return caption(*arguments)

    monkeypatch.setattr(Captioner, "caption", slow)
    assert upload(scene_png(), key=KEY) == (stored[0], stored[0])
    assert [item["image_id"] for item in table_items("IMAGE#")] == stored
    assert table_items("REQUEST#") == []
    (left,) = {key.partition("/")[0] for key in bucket_keys()} - set(stored)
    event = load_event("follow_images_removed")
    event["Records"][0]["dynamodb"]["Keys"] = table.serialize(keys.image(left))
    call("FollowImagesFunction", event)
    assert len(bucket_keys()) == len(STANDARD_SIZES)


def test_a_direct_upload_is_remembered_and_never_given_up() -> None:
    first, _ = upload(scene_png())
    claims.request(SHARED, IMAGE_ID, "scene.png")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(IMAGE_ID), Body=scene_png())
    call("ProcessUploadFunction", load_event("process_upload"))
    assert records.get(SHARED, IMAGE_ID).sha256 == records.get(SHARED, first).sha256
    assert list(hashes().values()) == [first]
    assert success() == 2


def request_upload(**fields: object) -> Any:
    event = load_event("create_upload")
    event["body"] = json.dumps({"content_type": "image/png", **fields})
    return create_upload.lambda_handler(event, LocalContext("CreateUploadFunction"))


def check(**fields: object) -> tuple[int, dict[str, Any]]:
    event = load_event("check_images")
    event["body"] = json.dumps(fields)
    return send(check_images, event)


def sha256_of(content: bytes) -> str:
    return sha256(content).hexdigest()


def test_a_known_file_needs_no_direct_upload() -> None:
    image_id, _ = upload(scene_png())
    for digest in (sha256_of(scene_png()), sha256_of(scene_png()).upper()):
        response = request_upload(sha256=digest)
        assert (response["statusCode"], response["headers"]["Duplicate-Of"]) == (200, image_id)
        assert json.loads(response["body"])["data"]["image_id"] == image_id
    assert len(table_items("IMAGE#")) == 1
    for fields in ({"sha256": sha256_of(OTHER)}, {"sha256": sha256_of(scene_png()), "prompt": "a large"}, {}):
        response = request_upload(**fields)
        assert response["statusCode"] == 201
        assert "Duplicate-Of" not in response["headers"]


def test_a_file_with_its_prompt_needs_no_direct_upload() -> None:
    image_id, _ = upload(scene_png(), prompt="a large")
    response = request_upload(sha256=sha256_of(scene_png()), prompt="a large")
    assert response["headers"]["Duplicate-Of"] == image_id


def test_a_file_whose_image_is_gone_gets_a_form() -> None:
    image_id, _ = upload(scene_png())
    expire(image_id)
    assert request_upload(sha256=sha256_of(scene_png()))["statusCode"] == 201


def test_a_check_tells_which_files_are_known() -> None:
    scene, other = upload(scene_png())[0], upload(OTHER)[0]
    asked = [sha256_of(OTHER).upper(), "0" * 64, sha256_of(scene_png()), sha256_of(OTHER)]
    known = {sha256_of(OTHER): other, sha256_of(scene_png()): scene}
    status, body = check(sha256=asked)
    assert (status, body) == (200, {"current_status": "success", "content": {}, "missing": [], "known": known})
    assert list(body["known"]) == list(known)
    _, body = check(sha256=asked, image_ids=[scene, IMAGE_ID])
    assert (list(body["content"]), body["missing"], body["known"]) == ([scene], [IMAGE_ID], known)
    _, body = check(image_ids=[scene])
    assert "known" not in body
    delete(scene)
    expire(other)
    assert check(sha256=asked)[1]["known"] == {}


def test_a_check_takes_a_hundred_ids_and_a_hundred_digests() -> None:
    image_id, _ = upload(scene_png())
    digests = [f"{number:064x}" for number in range(99)] + [sha256_of(scene_png())]
    status, body = check(sha256=digests, image_ids=[str(uuid4()) for _ in range(100)])
    assert (status, body["known"], len(body["missing"])) == (200, {digests[-1]: image_id}, 100)


@pytest.mark.parametrize(
    ("digests", "message"),
    [
        ("0" * 64, "Please use a list of digests as texts."),
        (["0" * 63], "Please use a list of digests as texts."),
        (["g" * 64], "Please use a list of digests as texts."),
        (["0" * 64 + "\n"], "Please use a list of digests as texts."),
        ([1], "Please use a list of digests as texts."),
        (None, "Please use a list of digests as texts."),
        ([], "Please use 1 to 100 digests."),
        ([f"{number:064x}" for number in range(101)], "Please use 1 to 100 digests."),
    ],
)
def test_malformed_digests_are_refused(digests: object, message: str) -> None:
    status, body = check(sha256=digests)
    assert status == 400
    assert body["error"].startswith(f"Invalid sha256. {message}")


@pytest.mark.parametrize("digest", ["0" * 63, "g" * 64, "0" * 64 + "\n", 1, ["0" * 64], "", None])
def test_a_malformed_digest_is_refused(digest: object) -> None:
    response = request_upload(sha256=digest)
    assert response["statusCode"] == 400
    assert json.loads(response["body"])["error"] == "Invalid sha256. Please use 64 hexadecimal digits."


def test_by_default_nobody_is_told_about_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUPLICATES", "keep")
    for status, body in (
        check(sha256=["0" * 64]),
        check(sha256=["0" * 64], image_ids=[IMAGE_ID]),
        send(
            create_upload, load_event("create_upload") | {"body": '{"content_type": "", "sha256": "' + "0" * 64 + '"}'}
        ),
    ):
        assert status == 400
        assert "Please leave out sha256" in body["error"]
    assert "known" not in check(image_ids=[IMAGE_ID])[1]


def test_a_deletion_removes_the_hash_of_an_image_that_is_finished_meanwhile() -> None:
    claims.request(SHARED, IMAGE_ID, "a.png")
    item = table.find(keys.image(IMAGE_ID))
    assert item is not None
    claim, *_ = claims.take(IMAGE_ID)
    records.save(claim, sample_image(IMAGE_ID))
    assert list(hashes().values()) == [IMAGE_ID]
    # It was read before.
    records.bury(SHARED, item)
    assert hashes() == {}
    with pytest.raises(ImageNotFoundError):
        records.bury(SHARED, item)


def test_a_key_that_has_expired_does_not_hide_a_known_file(captioned: Mock) -> None:
    image_id, _ = upload(scene_png())
    table.put({**keys.request(SHARED, KEY), "image_id": image_id, "expires_at": int(time.time()) - 1})
    assert upload(scene_png(), key=KEY) == (image_id, image_id)
    assert captioned.call_count == 1
