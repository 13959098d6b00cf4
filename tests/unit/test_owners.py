"""With Owners=caller, each caller sees, changes and counts only its own images, on every route."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from PIL import Image

from image_pipeline.http import owners
from image_pipeline.models import SHARED
from image_pipeline.storage import keys, records, search_index, table, terms
from tests import callers
from tests.deployed_stack import Call, instead
from tests.events import load_event, upload_event
from tests.pictures import encode
from tests.routes import declared
from tests.stored import table_items
from tools.local.gateway import LocalContext
from tools.local.sample_images import IMAGE_ID, sample_image, store_sample

pytestmark = pytest.mark.usefixtures("aws")
Event = dict[str, Any]
ROUTES = {f"{each.route.method} {each.route.path}": each for each in declared()}
UNKNOWN = "00000000-0000-4000-8000-000000000000"


class World:
    """Images of two callers, and one that all clients share. All have the same caption."""

    def __init__(self, auth: str) -> None:
        self.auth, self.callers = auth, ["me", "other"]
        self.own, self.foreign, self.deleted, self.shared = (
            self.stored(owner) for owner in (self.owner("me"), self.owner("other"), self.owner("me"), SHARED)
        )
        records.delete(self.owner("me"), self.deleted)
        search_index.update(self.deleted)

    def owner(self, name: str) -> str:
        return callers.owner(name, self.auth)

    def stored(self, owner: str) -> str:
        record = replace(sample_image(), owner=owner)
        store_sample(record)
        search_index.update(record.image_id)
        return record.image_id

    def send(self, route: str, event: Event, caller: str = "me") -> tuple[int, str]:
        response = ROUTES[route].handler(callers.sent_by(caller, event, self.auth), LocalContext(route))
        return response["statusCode"], response["body"]

    def read(self, route: str, event: Event, caller: str = "me") -> Any:
        status, body = self.send(route, event, caller)
        assert status < 300, body
        return json.loads(body)

    def for_image(self, route: str, event: str, image_id: str) -> tuple[int, str]:
        loaded = load_event(event)
        loaded["pathParameters"]["image_id"] = image_id
        return self.send(route, loaded)


def hides(route: str, event: str) -> Callable[[World], None]:
    """Return a check of a route to one image: the others are not there, in the same words."""

    def check(world: World) -> None:
        missing = {
            world.for_image(route, event, each) for each in (world.foreign, world.shared, world.deleted, UNKNOWN)
        }
        ((status, _),) = missing
        assert status == 404
        assert world.for_image(route, event, world.own)[0] == 200

    return check


def lists_own_images(world: World) -> None:
    for query in ({}, {"q": "city"}, {"q": "cit"}, {"q": "people city", "details": "caption"}):
        listed = world.read("GET /api/images", load_event("list_images", **query))
        assert list(listed["content"]) == [world.own]


def finds_own_images(world: World) -> None:
    event = load_event("check_images")
    asked = [world.own, world.foreign, world.shared, world.deleted, UNKNOWN]
    checked = world.read("POST /api/images/check", event | {"body": json.dumps({"image_ids": asked})})
    assert (list(checked["content"]), checked["missing"]) == ([world.own], asked[1:])


def counts_own_images(world: World) -> None:
    # The deleted one was counted too.
    assert world.read("GET /api/stats", load_event("get_stats"))["data"]["success"] == 2
    assert world.read("GET /api/stats", load_event("get_stats"), "other")["data"]["success"] == 1


def uploads_for_the_caller(world: World) -> None:
    """The same Idempotency-Key of two callers makes two images."""
    event = upload_event(encode(Image.new("L", (20, 20))))
    event["headers"]["Idempotency-Key"] = "the-same"
    mine, again, others = (world.read("POST /api/images", event, each) for each in ("me", "me", "other"))
    assert mine["data"]["image_id"] == again["data"]["image_id"] != others["data"]["image_id"]
    shown = {
        caller: set(world.read("GET /api/images", load_event("list_images"), caller)["content"])
        for caller in world.callers
    }
    assert shown == {
        "me": {world.own, mine["data"]["image_id"]},
        "other": {world.foreign, others["data"]["image_id"]},
    }


def requests_an_upload_for_the_caller(world: World) -> None:
    requested = world.read("POST /api/uploads", load_event("create_upload"))["data"]["image_id"]
    event = load_event("get_image")
    event["pathParameters"]["image_id"] = requested
    assert [world.send("GET /api/images/{image_id}", event, each)[0] for each in ("me", "other")] == [200, 404]


CHECKS: dict[str, Callable[[World], None]] = {
    "GET /api/images": lists_own_images,
    "POST /api/images": uploads_for_the_caller,
    "POST /api/images/check": finds_own_images,
    "POST /api/uploads": requests_an_upload_for_the_caller,
    "GET /api/stats": counts_own_images,
    "GET /api/images/{image_id}": hides("GET /api/images/{image_id}", "get_image"),
    "GET /api/images/{image_id}/thumbnails/{size}": hides(
        "GET /api/images/{image_id}/thumbnails/{size}", "get_thumbnail_small"
    ),
    "DELETE /api/images/{image_id}": hides("DELETE /api/images/{image_id}", "delete_image"),
}


@pytest.mark.parametrize("auth", callers.CONTEXTS)
@pytest.mark.parametrize("route", ROUTES)
def test_a_route_shows_only_images_of_the_caller(route: str, auth: str) -> None:
    assert route in CHECKS, f"add a check of {route} to CHECKS"
    CHECKS[route](World(auth))


@pytest.mark.parametrize("auth", callers.CONTEXTS)
def test_the_files_of_another_caller_are_not_known(auth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUPLICATES", "find")
    world = World(auth)
    world.callers.append("third")
    content = encode(Image.new("L", (20, 20)))
    event = upload_event(content) | {"queryStringParameters": {"duplicates": "return"}}
    mine, others, again = (
        world.read("POST /api/images", event, each)["data"]["image_id"] for each in ("me", "other", "me")
    )
    assert mine == again != others
    file = sha256(content).hexdigest()
    check = load_event("check_images") | {"body": json.dumps({"sha256": [file]})}
    known = {caller: world.read("POST /api/images/check", check, caller)["known"] for caller in world.callers}
    assert known == {"me": {file: mine}, "other": {file: others}, "third": {}}
    direct = load_event("create_upload") | {"body": json.dumps({"content_type": "image/png", "sha256": file})}
    for caller, image_id in (("me", mine), ("other", others)):
        status, body = world.send("POST /api/uploads", direct, caller)
        assert (status, json.loads(body)["data"]["image_id"]) == (200, image_id)
    assert world.send("POST /api/uploads", direct, "third")[0] == 201


@pytest.mark.parametrize("auth", [*callers.CONTEXTS, "NONE", ""])
@pytest.mark.parametrize("route", ROUTES)
def test_without_a_caller_no_route_does_anything(route: str, auth: str) -> None:
    each = ROUTES[route]
    event = load_event(
        {"upload_image": "upload_image_png", "get_thumbnail": "get_thumbnail_small"}.get(each.folder, each.folder)
    )
    # The caller of other credentials, and what a client sends.
    others = [make("me") for name, make in callers.CONTEXTS.items() if name != auth]
    for found in ({}, *others, {"identity": {"apiKeyId": "", "user": ""}, "authorizer": {"owner": ""}}):
        event["stageVariables"] = {"owners": auth}
        event["requestContext"] = {**found, "requestTimeEpoch": event["requestContext"]["requestTimeEpoch"]}
        event["headers"] = {**event["headers"], "owner": "me", "x-api-key": "me"}
        assert each.handler(event, LocalContext(each.function))["statusCode"] == 500
    assert table_items("") == []


def test_shared_images_have_no_owner_in_their_keys() -> None:
    for variables in (None, {}, {"owners": "shared"}):
        assert owners.of({"stageVariables": variables, "requestContext": callers.CONTEXTS["API_KEY"]("me")}) == SHARED
    record = sample_image()
    store_sample(record)
    search_index.update(record.image_id)
    assert {item["pk"].count("#") for item in table_items("")} == {1}
    assert {item["listing"].count("#") for item in table_items("IMAGE#") if "listing" in item} == {1}


def test_each_owner_has_a_digest() -> None:
    digests = [callers.owner(caller, auth) for auth in callers.CONTEXTS for caller in ("me", "other")]
    assert digests == [callers.owner(caller, auth) for auth in callers.CONTEXTS for caller in ("me", "other")]
    assert len(set(digests)) == len(digests)
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in digests)


def test_an_image_that_changes_its_owner_changes_lists_and_index() -> None:
    record = replace(sample_image(), owner="a" * 32)
    store_sample(record)
    search_index.update(record.image_id)
    (item,) = (each for each in table_items("IMAGE#") if each["sk"] == "IMAGE")
    table.put({**item, "owner": SHARED, "attempt": "another"})
    search_index.update(record.image_id)
    assert {each["pk"].count("#") for each in table_items("TERM#") + table_items("WORDS#")} == {1}
    found = search_index.search(SHARED, terms.wanted("city"), 10, None).records
    assert [each.image_id for each in found] == [record.image_id]
    assert search_index.search("a" * 32, terms.wanted("city"), 10, None).records == []


@pytest.mark.parametrize(
    ("user", "same"),
    [
        ("AIDAEXAMPLE", "AIDAEXAMPLE"),
        ("AROAEXAMPLE:one", "AROAEXAMPLE:two"),
        ("AROAEXAMPLE:one", "AROAEXAMPLE:AROA:two"),
        ("123456789012:federated", "123456789012:federated"),
    ],
)
def test_a_session_is_not_the_owner(user: str, same: str) -> None:
    variables = {"owners": "AWS_IAM"}
    first, second, third = (
        owners.of({"stageVariables": variables, "requestContext": {"identity": {"user": each}}})
        for each in (user, same, f"{user}x")
    )
    assert first == second
    assert (third == first) == user.startswith("AROA")


def test_the_same_subject_of_another_issuer_is_somebody_else() -> None:
    assert (
        len(
            {
                owners.of_token(*each)
                for each in [
                    (callers.ISSUER, "sub", "a"),
                    (f"{callers.ISSUER}/", "sub", "a"),
                    (callers.ISSUER, "oid", "a"),
                ]
            }
        )
        == 3
    )


def test_no_idempotency_key_that_clients_share_is_that_of_an_owner() -> None:
    owner = "0123456789abcdef" * 2
    shared = [keys.request(SHARED, f"{marks}{owner}#a-key") for marks in ("", "#", "##")]
    assert len({key["pk"] for key in [*shared, keys.request(owner, "a-key")]}) == 4
    assert {keys.owner(key) for key in shared} == {SHARED}
    assert keys.owner(keys.request(owner, "a-key")) == owner
    assert keys.request(SHARED, owner) == {"pk": f"REQUEST#{owner}", "sk": "REQUEST"}


READS = {
    "GET /api/images/{image_id}": "get_image",
    "GET /api/images/{image_id}/thumbnails/{size}": "get_thumbnail_small",
    "DELETE /api/images/{image_id}": "delete_image",
    "POST /api/images/check": "check_images",
}


@pytest.mark.parametrize("route", READS)
def test_the_table_returns_nothing_of_a_foreign_image(route: str) -> None:
    """What DynamoDB sends is the same as for an unknown id, so the response takes as long."""
    world, received = World("API_KEY"), dict[str, list[Any]]()
    for image_id in (world.foreign, world.shared, UNKNOWN):
        answers = received.setdefault(image_id, [])

        def noted(call: Call, operation: str, arguments: dict[str, Any]) -> Any:
            answer = call(operation, arguments)
            answers.append((operation, answer.get("Items"), answer.get("Responses")))  # noqa: B023 - used in this turn
            return answer

        event = json.loads(json.dumps(load_event(READS[route])).replace(IMAGE_ID, image_id))
        with instead(noted):
            world.send(route, event)
    assert received[world.foreign] == received[world.shared] == received[UNKNOWN]
    assert received[UNKNOWN]
    assert all(items == [] for _, items, _ in received[UNKNOWN])
