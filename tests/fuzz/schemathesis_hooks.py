"""Values that schemathesis cannot generate: image files, and a cursor that the API has returned."""

import os
from typing import Any

import schemathesis
from hypothesis import strategies as st

from image_pipeline.http.requests import MAX_WAIT_SECONDS
from tests.hostile.corpus import files

_MAX_IMAGE_BYTES = 20_000
_IMAGES = sorted(
    {hostile.content for hostile in files() if hostile.status == 200 and len(hostile.content) < _MAX_IMAGE_BYTES}
)

for signature, media_type in ((b"\xff\xd8", "image/jpeg"), (b"\x89P", "image/png")):
    images = [content for content in _IMAGES if content.startswith(signature)]
    schemathesis.openapi.media_type(media_type, st.sampled_from(images))
schemathesis.openapi.format("cursor", st.just(os.environ["CURSOR"]))


@schemathesis.hook
def map_query(_: schemathesis.HookContext, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """Wait for one second at most, because a test that waits sends no requests."""
    if query and str(query.get("wait")) in map(str, range(MAX_WAIT_SECONDS + 1)):
        query["wait"] = min(1, int(query["wait"]))
    return query
