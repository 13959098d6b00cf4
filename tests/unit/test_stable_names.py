"""Names that a deployed stack, its data and its clients depend on stay as they are.

stable_names.json has the names of the current version. New names are free until the next version: then
`RECORD_NAMES=1 .venv/bin/pytest tests/unit/test_stable_names.py --allow-hosts=127.0.0.1` adds them.
"""

import ast
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from image_pipeline import observability
from image_pipeline.models import SHARED
from image_pipeline.storage import claims, clients, keys, search_index, table
from tests.events import load_event, upload_event
from tests.permissions import call
from tests.pictures import scene_png
from tests.transformed import OPTIONS, option
from tools import template
from tools.local.sample_images import IMAGE_ID
from tools.template import Template

RECORDED = Path(__file__).with_name("stable_names.json")
Names = Iterator[str]


def templates() -> Iterator[tuple[str, Template]]:
    """Yield each template with the prefix of its names."""
    yield "", template.raw()
    for name in OPTIONS:
        yield f"{name}.", option(name)


def resources() -> Names:
    for prefix, described in templates():
        for name, resource in described["Resources"].items():
            yield f"{prefix}{name}: {resource['Type']}"


def parameters() -> Names:
    yield from template.raw()["Parameters"]


def outputs() -> Names:
    for prefix, described in templates():
        yield from (prefix + name for name in described.get("Outputs", {}))


def metrics() -> Names:
    """Yield each metric with its dimensions, from the calls of _emit."""
    for node in ast.walk(ast.parse(Path(str(observability.__file__)).read_text())):
        match node:
            case ast.Call(func=ast.Name("_emit"), args=[ast.Dict(keys=dimensions)], keywords=measurements):
                by = ", ".join(str(key.value) for key in dimensions if isinstance(key, ast.Constant))
                yield from (f"{each.arg} by {by}" for each in measurements)


def variables() -> Names:
    for name, properties in template.functions(template.raw()).items():
        yield from (f"{name}: {variable}" for variable in properties["Environment"]["Variables"])


def routes() -> Names:
    for properties in template.functions(template.raw()).values():
        for event in properties.get("Events", {}).values():
            if event["Type"] == "Api":
                yield f"{event['Properties']['Method']} {event['Properties']['Path']}"


def operations() -> Names:
    document = json.loads((template.ROOT / "functions" / "show_page" / "openapi.json").read_bytes())
    for path in document["paths"].values():
        yield from (operation["operationId"] for operation in path.values())


def fields_of_events() -> Names:
    pipe = option("events")["Resources"]["EventsPipe"]["Properties"]
    yield from re.findall(r'"(\w+)":', pipe["TargetParameters"]["InputTemplate"])


def stored() -> Names:
    """Yield the keys and attributes of all items, and the keys of all objects, in each state of an image."""
    upload, key = load_event("upload_image_jpeg"), "a-key"
    upload["headers"]["Idempotency-Key"] = key
    damaged = upload_event(scene_png()[:100])
    damaged["headers"]["Idempotency-Key"] = "another-key"
    steps: list[Callable[[], object]] = [
        lambda: claims.claim(SHARED, "a-running-request", "0" * 64),
        lambda: claims.request(SHARED, IMAGE_ID, "scene.png"),
        lambda: put_file(IMAGE_ID),
        lambda: call("ProcessUploadFunction", load_event("process_upload")),
        lambda: search_index.update(IMAGE_ID),
        lambda: call("UploadImageFunction", upload),
        lambda: call("UploadImageFunction", damaged),
        lambda: claims.request(SHARED, str(claims.image_of(SHARED, key))[::-1], "scene.png"),
        lambda: claims.take(str(claims.image_of(SHARED, key))[::-1]),
        lambda: call("DeleteImageFunction", load_event("delete_image")),
    ]
    for step in steps:
        step()
        yield from items()
        yield from objects()


def put_file(image_id: str) -> None:
    clients.s3().put_object(Bucket=os.environ["UPLOADS_BUCKET"], Key=keys.uploaded_file(image_id), Body=scene_png())


def items() -> Names:
    for item in clients.dynamodb().scan(TableName=os.environ["TABLE_NAME"])["Items"]:
        attributes = table.deserialize(item)
        kind = prefix_of(attributes["pk"]) + (f" {attributes['sk']}" if attributes["sk"].isupper() else "")
        for name, value in attributes.items():
            yield f"{kind}: {name}"
            if isinstance(value, dict):
                yield from (f"{kind}: {name}.{inner}" for inner in value)
            if name in {"status", "event", "listing"}:
                yield f"{kind}: {name}={prefix_of(value)}"


def prefix_of(value: str) -> str:
    return re.sub("#.*", "#", value)


def objects() -> Names:
    for variable in ("BUCKET_NAME", "UPLOADS_BUCKET"):
        for found in clients.s3().list_objects_v2(Bucket=os.environ[variable]).get("Contents", []):
            yield f"{variable}: {re.sub('[0-9a-f-]{36}', '<image id>', found['Key'])}"


# The damage to a deployed stack if a name disappears.
KINDS: dict[Callable[[], Names], str] = {
    resources: "an update deletes the resource, or fails: a table and a bucket stay behind with all images",
    parameters: "samconfig.toml of an existing stack can no longer be deployed",
    outputs: "the commands of make, and scripts that read the output, fail",
    metrics: "alarms and dashboards that users have made stay without data",
    variables: "files for sam local --env-vars, such as events/env.local.json, no longer set it",
    routes: "clients get 404",
    operations: "generated clients lose a function",
    fields_of_events: "receivers of events do not find the field",
    stored: "images that were stored before are not found, or lose data",
}


def version() -> str:
    found: str = tomllib.loads((template.ROOT / "pyproject.toml").read_text())["project"]["version"]
    return found


@pytest.mark.usefixtures("aws", "quiet")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_name_disappears(kind: Callable[[], Names], monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in ("KEEP_ORIGINALS_DAYS", "RETENTION_DAYS"):
        monkeypatch.setenv(setting, "7")
    recorded: dict[str, Any] = json.loads(RECORDED.read_text())
    names = sorted(set(kind()))
    if "RECORD_NAMES" in os.environ:
        added = {kind.__name__: sorted({*recorded.get(kind.__name__, []), *names}), "version": version()}
        RECORDED.write_text(json.dumps(recorded | added, indent=1, sort_keys=True) + "\n")
    missing = sorted(set(recorded.get(kind.__name__, names)) - set(names))
    assert names
    assert not missing, f"{KINDS[kind]}. Missing: {', '.join(missing)}"


def test_the_names_of_each_version_are_recorded() -> None:
    recorded = json.loads(RECORDED.read_text())
    assert recorded["version"] == version(), f"record the names of version {version()}: see {Path(__file__).name}"
