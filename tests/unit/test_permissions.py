"""The role of a function allows all that the function does, and nothing else."""

import json
import runpy
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from fnmatch import fnmatchcase
from io import BytesIO
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ReadTimeoutError

from image_pipeline import settings
from image_pipeline.errors import CaptionError
from image_pipeline.models import SHARED, CaptionModel, ThumbnailSize
from image_pipeline.storage import claims, clients, keys, records, search_index, table, thumbnail_store
from image_processing.captions import Captioner
from tests import callers
from tests.events import EVENTS, load_event, upload_event
from tests.permissions import Access, call, folder, recording, refused, roles, statements, unused
from tests.pictures import scene_png
from tests.transformed import core
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample
from tools.template import Template

Patch = pytest.MonkeyPatch
Scenario = Callable[[Patch], object]

# Permissions that no test can record, because AWS uses them for the function: patterns of roles, actions and resources.
NOT_RECORDED = {
    ("*", "logs:*", "*Logs"): "Lambda writes the log",
    ("*", "xray:*", "[*]"): "Lambda and X-Ray's daemon send the traces",
    ("*", "kms:*", "*KmsKeyArn*"): "S3 and DynamoDB use the key on behalf of the function",
    ("*", "sqs:ReceiveMessage", "*Queue"): "the event source mapping reads the queue",
    ("*", "sqs:DeleteMessage", "*Queue"): "the event source mapping reads the queue",
    ("*", "sqs:GetQueueAttributes", "*Queue"): "the event source mapping reads the queue",
    ("*", "dynamodb:*", "ImagesTable/stream/[*]"): "the event source mapping reads the stream",
    ("FollowImagesRole", "sqs:SendMessage", "*DeadLetterQueue"): "Lambda sends what failed",
    ("UploadImageRole", "s3:GetObject", "ThumbnailsBucket/*"): "clients use presigned URLs",
    ("ListImagesRole", "s3:GetObject", "ThumbnailsBucket/*"): "clients use presigned URLs",
    ("CheckImagesRole", "s3:GetObject", "ThumbnailsBucket/*"): "clients use presigned URLs",
    ("GetImageRole", "s3:GetObject", "ThumbnailsBucket/*"): "clients use presigned URLs",
    ("GetThumbnailRole", "s3:GetObject", "ThumbnailsBucket/*"): "clients use presigned URLs",
    ("CreateUploadRole", "s3:GetObject", "ThumbnailsBucket/*"): "clients use presigned URLs",
    ("CreateUploadRole", "s3:PutObject", "UploadsBucket/uploads/*"): "clients use presigned forms",
}


# What functions do: all events, and the situations that need other permissions


VERSION = "arn:aws:lambda:us-east-1:123456789012:function:UploadImageFunction:7"


def every_event(patch: Patch) -> None:
    """Each file in events/, for an image that exists and for one that does not."""
    patch.setenv("UPLOAD_VERSION_ARN", VERSION)
    folders = {folder(function): function for function in roles(core())}
    events = [path.stem for path in sorted(EVENTS.glob("*.json")) if path.stem != "env.local"]
    for name in events:
        # If several folders fit, the longest is right: events of get_image_caption also begin with get_image.
        function = folders[max((folder for folder in folders if name.startswith(folder)), key=len)]
        call(function, load_event(name))
        _remove_all_items()
        store_sample(sample_image(IMAGE_ID))
        call(function, load_event(name))
        _remove_all_items()


def upload(content: bytes, key: str | None = None) -> dict[str, Any]:
    event = upload_event(content)
    if key is not None:
        event["headers"]["Idempotency-Key"] = key
    response: dict[str, Any] = call("UploadImageFunction", event, 29)
    return response


def image_id_of(response: Mapping[str, Any]) -> str:
    assert response["statusCode"] == 200
    image_id: str = json.loads(response["body"])["data"]["image_id"]
    return image_id


def forms_that_fail(patch: Patch) -> None:
    """Without a caption: the failure is stored, the claim is given back, and the files are deleted."""
    patch.setattr(Captioner, "caption", Mock(side_effect=CaptionError))
    for days in ("0", "7"):
        patch.setenv("KEEP_ORIGINALS_DAYS", days)
        assert upload(scene_png())["statusCode"] == 500
        assert upload(scene_png(), "a-key-that-fails")["statusCode"] == 500


def replies_that_are_lost(patch: Patch) -> None:
    """A write whose reply does not come. Each function then reads whether it was done."""
    put_item, transact = clients.dynamodb().put_item, clients.dynamodb().transact_write_items

    def lost(function: Callable[..., Any]) -> Callable[..., Any]:
        def write(**arguments: Any) -> None:
            function(**arguments)
            raise ReadTimeoutError(endpoint_url="test")

        return write

    store_sample(sample_image(IMAGE_ID))
    patch.setattr(clients.dynamodb(), "put_item", lost(put_item))
    assert call("CreateUploadFunction", load_event("create_upload"))["statusCode"] == 201
    assert call("DeleteImageFunction", load_event("delete_image"))["statusCode"] == 200
    patch.setattr(clients.dynamodb(), "transact_write_items", lost(transact))
    image_id_of(upload(scene_png(), "lost"))


def direct_uploads(patch: Patch) -> None:
    """A file that is processed, one whose original is kept, a damaged one, and one that is missing."""
    for days, content in (("0", scene_png()), ("7", scene_png()), ("0", scene_png()[:100]), ("0", None)):
        patch.setenv("KEEP_ORIGINALS_DAYS", days)
        clients.dynamodb().delete_item(
            TableName=settings.table_name(), Key={name: {"S": value} for name, value in keys.image(IMAGE_ID).items()}
        )
        claims.request(SHARED, IMAGE_ID, "scene.png")
        if content is not None:
            key = keys.uploaded_file(IMAGE_ID)
            clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=key, Body=content)
        assert call("ProcessUploadFunction", load_event("process_upload")) == {"batchItemFailures": []}


def direct_uploads_that_fail(patch: Patch) -> None:
    """The first attempt, the last one, and one after a redrive."""
    patch.setattr(Captioner, "caption", Mock(side_effect=CaptionError))
    claims.request(SHARED, IMAGE_ID, "scene.png")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(IMAGE_ID), Body=scene_png())
    event = load_event("process_upload")
    for number in (1, claims.MAX_ATTEMPTS, 1):
        event["Records"][0]["attributes"]["ApproximateReceiveCount"] = str(number)
        assert len(call("ProcessUploadFunction", event)["batchItemFailures"]) == 1


def new_captions(_: Patch) -> None:
    """From the thumbnail, and from the original if it is kept."""
    old = CaptionModel("an-older-model", "1", "fp32")
    for is_kept in (False, True):
        record = records.get(SHARED, image_id_of(upload(scene_png())))
        records.replace_caption(record, "an old caption", Decimal(1), old)
        if is_kept:
            key = keys.original(record.image_id)
            clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=key, Body=scene_png())
        event = load_event("process_upload")
        event["Records"][0]["body"] = json.dumps({"caption": record.image_id})
        assert call("ProcessUploadFunction", event) == {"batchItemFailures": []}
        assert records.get(SHARED, record.image_id).caption != "an old caption"


def waits_for_the_end(patch: Patch) -> None:
    patch.setattr(time, "sleep", lambda _: None)
    claims.request(SHARED, IMAGE_ID, "scene.png")
    assert call("GetImageFunction", load_event("get_image", wait="1"))["headers"]["Retry-After"]


def downloads(patch: Patch) -> None:
    """Of an image whose original is kept, and of one whose original is gone."""
    patch.setenv("KEEP_ORIGINALS_DAYS", "7")
    store_sample(sample_image(IMAGE_ID))
    bucket, key = settings.uploads_bucket(), keys.original(IMAGE_ID)
    clients.s3().put_object(Bucket=bucket, Key=key, Body=scene_png())
    assert call("GetImageFunction", load_event("get_image", details="download"))["statusCode"] == 200
    clients.s3().delete_object(Bucket=bucket, Key=key)
    assert call("GetImageFunction", load_event("get_image", details="download"))["statusCode"] == 200


def lists_and_searches(_: Patch) -> None:
    for minutes in range(9):
        record = replace(sample_image(minutes=minutes), caption="two dogs on a beach")
        store_sample(record)
        search_index.update(record.image_id)
    for words in ({}, {"q": "dog beach"}, {"q": "dog bea"}):
        event = load_event("list_images") | {"queryStringParameters": {"limit": "2"} | words}
        response = json.loads(call("ListImagesFunction", event)["body"])
        assert len(response["content"]) == 2
        event["queryStringParameters"]["cursor"] = response["next"].partition("cursor=")[2].partition("&")[0]
        assert len(json.loads(call("ListImagesFunction", event)["body"])["content"]) == 2


def images_that_end(patch: Patch) -> None:
    """The index of a new, a changed and a deleted image, its files, and files that S3 refuses to delete."""
    record = sample_image(IMAGE_ID)
    store_sample(record)
    assert call("FollowImagesFunction", load_event("follow_images_finished")) == {"batchItemFailures": []}
    records.replace_caption(record, "another caption", Decimal(1), record.caption_model)
    assert call("FollowImagesFunction", load_event("follow_images_finished")) == {"batchItemFailures": []}
    for size in ThumbnailSize:
        thumbnail_store.put(keys.thumbnail(IMAGE_ID, size, "jpg"), b"x")
    assert call("DeleteImageFunction", load_event("delete_image"))["statusCode"] == 200
    for event in ("follow_images_deleted", "follow_images_removed", "follow_images_leftover"):
        assert call("FollowImagesFunction", load_event(event)) == {"batchItemFailures": []}
    patch.setattr(clients.s3(), "delete_objects", Mock(side_effect=ReadTimeoutError(endpoint_url="test")))
    assert call("FollowImagesFunction", load_event("follow_images_removed")) == {"batchItemFailures": []}


def equal_files(patch: Patch) -> None:
    """A known file, one whose image is gone, and the end of a known one."""
    patch.setenv("DUPLICATES", "find")
    event = upload_event(scene_png())
    event["queryStringParameters"] = {"duplicates": "return"}
    image_id = image_id_of(call("UploadImageFunction", event, 29))
    assert call("UploadImageFunction", event, 29)["headers"]["Duplicate-Of"] == image_id
    sha256 = records.get(SHARED, image_id).sha256
    direct = load_event("create_upload")
    direct["body"] = json.dumps({"content_type": "image/png", "sha256": sha256})
    assert call("CreateUploadFunction", direct)["headers"]["Duplicate-Of"] == image_id
    check = load_event("check_images")
    check["body"] = json.dumps({"sha256": [sha256]})
    assert json.loads(call("CheckImagesFunction", check)["body"])["known"] == {sha256: image_id}
    deletion = load_event("delete_image")
    deletion["pathParameters"]["image_id"] = image_id
    assert call("DeleteImageFunction", deletion)["statusCode"] == 200
    direct_uploads(patch)
    checks_of_a_version(patch)


def images_of_owners(patch: Patch) -> None:
    """What a caller sees of its own image, and that it deletes it."""
    patch.setenv("DUPLICATES", "find")
    event = callers.sent_by("me", upload_event(scene_png()) | {"queryStringParameters": {"duplicates": "return"}})
    image_id = image_id_of(call("UploadImageFunction", event, 29))
    assert call("UploadImageFunction", event, 29)["headers"]["Duplicate-Of"] == image_id
    direct = load_event("create_upload")
    direct["body"] = json.dumps({"content_type": "", "sha256": records.get(None, image_id).sha256})
    assert call("CreateUploadFunction", callers.sent_by("me", direct))["statusCode"] == 200
    claims.request(callers.owner("me"), IMAGE_ID, "scene.png")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(IMAGE_ID), Body=scene_png())
    assert call("ProcessUploadFunction", load_event("process_upload")) == {"batchItemFailures": []}
    assert call("CheckImagesFunction", callers.sent_by("me", load_event("check_images")))["statusCode"] == 200
    for function, name in (
        ("GetImageFunction", "get_image"),
        ("GetThumbnailFunction", "get_thumbnail_small"),
        ("DeleteImageFunction", "delete_image"),
    ):
        event = callers.sent_by("me", load_event(name))
        event["pathParameters"]["image_id"] = image_id
        assert call(function, event)["statusCode"] == 200


def limits_of_owners(patch: Patch) -> None:
    """Uploads below and above a limit, and counts that follow an image that is moved and deleted."""
    patch.setenv("OWNER_MAX_IMAGES", "2")
    event, form = (callers.sent_by("me", each) for each in (upload_event(scene_png()), load_event("create_upload")))
    image_id = image_id_of(call("UploadImageFunction", event, 29))
    assert call("CreateUploadFunction", form)["statusCode"] == 201
    assert call("UploadImageFunction", event, 29)["statusCode"] == 429
    assert call("CreateUploadFunction", form)["statusCode"] == 429
    image = {**(table.find(keys.image(image_id)) or {}), "owner": callers.owner("other")}
    for changed in (image, image | {"status": "deleted"}):
        table.put(changed)
        follow = json.loads(json.dumps(load_event("follow_images_finished")).replace(IMAGE_ID, image_id))
        assert call("FollowImagesFunction", follow) == {"batchItemFailures": []}
    claims.request(callers.owner("other"), IMAGE_ID, "scene.png")
    clients.s3().put_object(Bucket=settings.uploads_bucket(), Key=keys.uploaded_file(IMAGE_ID), Body=scene_png())
    assert call("ProcessUploadFunction", load_event("process_upload")) == {"batchItemFailures": []}


def checks_of_a_version(patch: Patch) -> None:
    """A check that CodeDeploy starts."""
    patch.setenv("UPLOAD_VERSION_ARN", VERSION)
    report = call("CheckVersionFunction", {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook"})
    assert report["passed"]


def _invoke(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Stand in for a Lambda whose only function is the upload function."""
    response = call("UploadImageFunction", json.loads(arguments["Payload"]), 29)
    return {"StatusCode": 200, "Payload": BytesIO(json.dumps(response).encode())}


# moto cannot run functions without Docker, and knows no lifecycle hooks.
STAND_INS = {"lambda": _invoke, "codedeploy": lambda _: {}}

SCENARIOS: list[Scenario] = [
    every_event,
    forms_that_fail,
    replies_that_are_lost,
    direct_uploads,
    direct_uploads_that_fail,
    new_captions,
    waits_for_the_end,
    downloads,
    lists_and_searches,
    images_that_end,
    checks_of_a_version,
    equal_files,
    images_of_owners,
    limits_of_owners,
]
_done: set[Access] = set()


@pytest.fixture
def done(aws: None, quiet: None) -> set[Access]:  # noqa: ARG001 - they are needed first
    """What the functions do in all scenarios. They run once, because the tests only compare."""
    if not _done:
        with recording(STAND_INS) as record:
            for scenario in SCENARIOS:
                with pytest.MonkeyPatch.context() as patch:
                    scenario(patch)
                _remove_all_items()
        _done.update(record.accesses)
    return _done


def _remove_all_items() -> None:
    name = settings.table_name()
    for item in clients.dynamodb().scan(TableName=name)["Items"]:
        clients.dynamodb().delete_item(TableName=name, Key={"pk": item["pk"], "sk": item["sk"]})


def superfluous(described: Template, done: set[Access]) -> set[tuple[str, str, str]]:
    """Return the permissions that no function uses, apart from NOT_RECORDED."""
    return {
        found
        for found in unused(described, done)
        if not any(all(map(fnmatchcase, found, known)) for known in NOT_RECORDED)
    }


def test_each_function_may_do_what_it_does(done: set[Access]) -> None:
    assert {access.function for access in done} >= {"UploadImageFunction", "ProcessUploadFunction"}
    assert refused(core(), done) == set()


def test_a_limit_of_keys_also_refuses_calls_without_a_key() -> None:
    limited = [found for role in set(roles(core()).values()) for found in statements(core(), role) if found.keys]
    assert {statement.role for statement in limited} >= {"UploadImageRole", "GetImageRole", "GetStatsRole"}
    for statement in limited:
        assert statement.needs_key, f"{statement.role}: {statement.sid}: add a Null condition"


def test_each_statement_about_items_names_their_keys() -> None:
    for role in set(roles(core()).values()):
        for statement in statements(core(), role):
            if "ImagesTable" in statement.resources:
                assert statement.keys, f"{role}: {statement.sid}"


def test_waiting_requests_write_nothing_but_their_count() -> None:
    writing = [found for found in statements(core(), "GetImageRole") if "dynamodb:UpdateItem" in found.actions]
    assert [(found.actions, found.keys) for found in writing] == [(("dynamodb:UpdateItem",), ("WAITS#*",))]


def test_no_function_may_do_what_it_never_does(done: set[Access]) -> None:
    assert superfluous(core(), done) == set()


def test_the_layer_and_the_image_keep_the_data_of_each_service_that_a_function_calls(done: set[Access]) -> None:
    kept = runpy.run_path("layers/pipeline/pack.py")["_SERVICES"]
    called = {access.action.partition(":")[0] for access in done}
    assert called <= set(kept), f"layers/pipeline/pack.py: _SERVICES: add {sorted(called - set(kept))}"


def test_each_reason_why_a_permission_is_not_recorded_is_needed(done: set[Access]) -> None:
    found = unused(core(), done)
    for known in NOT_RECORDED:
        assert any(all(map(fnmatchcase, permission, known)) for permission in found), known


def statement_of(described: Template, role: str, sid: str) -> dict[str, Any]:
    (policy, *_) = described["Resources"][role]["Properties"]["Policies"]
    (statement,) = (each for each in policy["PolicyDocument"]["Statement"] if each["Sid"] == sid)
    found: dict[str, Any] = statement
    return found


def broken(role: str, sid: str, **changes: object) -> Template:
    """Return the template with another statement of a role. YAML aliases in the template are copied first."""
    described: Template = json.loads(json.dumps(core()))
    statement_of(described, role, sid).update(changes)
    return described


@pytest.mark.parametrize(
    ("role", "sid", "changes", "found"),
    [
        (
            "UploadImageRole",
            "CountForOwners",
            {"Action": "dynamodb:UpdateItem"},
            "UploadImageRole: dynamodb:BatchGetItem ImagesTable OWNER",
        ),
        (
            "ListImagesRole",
            "Search",
            {"Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["IMAGE#*", "WORDS#*"]}}},
            "ListImagesRole: dynamodb:Query ImagesTable TERM",
        ),
        (
            "ProcessUploadRole",
            "SeeMissingFiles",
            {"Action": "s3:ListAllMyBuckets"},
            "ProcessUploadRole: s3:ListBucket UploadsBucket",
        ),
        (
            "FollowImagesRole",
            "RemoveFiles",
            {"Resource": {"Fn::Sub": "${UploadsBucket.Arn}/*"}},
            "FollowImagesRole: s3:DeleteObject ThumbnailsBucket",
        ),
    ],
)
def test_a_missing_permission_is_noticed(
    done: set[Access], role: str, sid: str, changes: dict[str, Any], found: str
) -> None:
    assert refused(broken(role, sid, **changes), done) == {found}


@pytest.mark.parametrize(
    ("role", "sid", "changes", "found"),
    [
        (
            "GetImageRole",
            "ReadRecord",
            {"Action": ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"]},
            ("dynamodb:Scan", "ImagesTable"),
        ),
        (
            "GetStatsRole",
            "ReadStatistics",
            {"Condition": {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["STATS#*", "IMAGE#*"]}}},
            ("dynamodb:LeadingKeys", "IMAGE#*"),
        ),
        (
            "ProcessUploadRole",
            "TakeFiles",
            {"Resource": [{"Fn::Sub": "${UploadsBucket.Arn}/uploads/*"}, {"Fn::Sub": "${ThumbnailsBucket.Arn}/*"}]},
            ("s3:DeleteObject", "ThumbnailsBucket/*"),
        ),
    ],
)
def test_a_permission_that_no_function_uses_is_noticed(
    done: set[Access], role: str, sid: str, changes: dict[str, Any], found: tuple[str, str]
) -> None:
    assert superfluous(broken(role, sid, **changes), done) - superfluous(core(), done) == {(role, *found)}
