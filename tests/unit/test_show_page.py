"""GET /, /docs and /openapi.json as functions. tests/browser looks at them in a browser."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest
from openapi_spec_validator import validate

from functions.show_page import app
from image_pipeline.errors import ACCEPTED_FILES
from image_pipeline.http.requests import CONTENT_TYPES
from image_pipeline.models import ImageFormat
from tests.events import load_event
from tools.docs import openapi
from tools.local.gateway import LocalContext

BUCKETS = "https://{}.s3.us-east-1.amazonaws.com"


def get(resource: str, file: str | None = None, **others: Any) -> dict[str, Any]:
    event = load_event("show_page") | {"resource": resource, "pathParameters": {"file": file} if file else None}
    response: dict[str, Any] = app.lambda_handler(event | others, LocalContext("ShowPageFunction"))
    assert response["headers"]["X-Content-Type-Options"] == "nosniff"
    return response


def policy_of(response: dict[str, Any]) -> dict[str, str]:
    directives = (directive.partition(" ") for directive in response["headers"]["Content-Security-Policy"].split("; "))
    return {name: sources for name, _, sources in directives}


@pytest.fixture(autouse=True)
def buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBNAILS_URL", BUCKETS.format("thumbnails"))
    monkeypatch.setenv("UPLOADS_URL", BUCKETS.format("uploads"))
    monkeypatch.setenv("API_AUTH", "NONE")
    monkeypatch.setenv("LARGE_THUMBNAIL", "0")
    monkeypatch.setenv("MAX_UPLOAD_BYTES", "4500000")
    monkeypatch.setenv("MAX_DIRECT_UPLOAD_BYTES", "50000000")


def test_the_gallery_runs_its_own_style_and_script_and_no_others() -> None:
    response = get("/")
    assert response["statusCode"] == 200
    assert response["headers"]["Content-Type"] == "text/html; charset=utf-8"
    policy = policy_of(response)
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        ((_, inline),) = re.findall(f"<{tag}( [^>]*)?>(.*?)</{tag}>", response["body"], re.DOTALL)
        assert policy[directive] == f"'sha256-{b64encode(sha256(inline.encode()).digest()).decode()}'"
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == f"data: {BUCKETS.format('thumbnails')}"
    assert policy["connect-src"] == f"'self' {BUCKETS.format('uploads')}"


def test_the_gallery_knows_the_limits_of_the_stack_and_the_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_UPLOAD_BYTES", "1000000")
    monkeypatch.setenv("MAX_DIRECT_UPLOAD_BYTES", "7500000")
    body = get("/")["body"]
    assert 'data-max-upload-bytes="1000000" data-max-direct-upload-bytes="7500000"' in body
    assert f"Drop or paste {ACCEPTED_FILES} files, up to 7.5 MB each" in body
    assert f'accept="{",".join(CONTENT_TYPES)}"' in body
    assert f'data-signatures="{",".join(row.signature.hex() for row in ImageFormat)}"' in body
    assert "{{" not in body


def test_a_stack_with_large_thumbnails_describes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LARGE_THUMBNAIL", "1600")
    document = json.loads(get("/openapi.json")["body"])
    validate(document)
    schemas = document["components"]["schemas"]
    assert schemas["ThumbnailSize"]["enum"] == ["small", "medium", "large"]
    assert schemas["Thumbnails"]["properties"]["large"] == {
        "description": "Fits in 1600 by 1600 pixels. Only with `?details=large`, and not in every image.",
        "format": "uri",
        "type": "string",
    }
    assert schemas["Thumbnails"]["required"] == ["small", "medium"]
    assert schemas["Details"]["enum"] == [
        "caption",
        "placeholder",
        "caption,placeholder",
        "caption,large",
        "placeholder,large",
        "caption,placeholder,large",
        "large",
    ]
    assert len(schemas["DetailsOfOneImage"]["enum"]) == 15
    thumbnail = document["paths"]["/api/images/{image_id}/thumbnails/{size}"]["get"]
    (refused,) = [
        example["value"]["error"]
        for name, example in thumbnail["responses"]["400"]["content"]["application/json"]["examples"].items()
        if name == "InvalidThumbnailSizeError"
    ]
    assert refused == "Invalid input size. Please use 'small', 'medium' or 'large'."


def test_the_gallery_says_that_it_needs_javascript() -> None:
    assert re.search(r"<noscript>.*This page needs JavaScript.*</noscript>", get("/")["body"])


def test_the_script_is_served_without_comments() -> None:
    ((script,),) = [re.findall(r"<script type=module>(.*?)</script>", get("/")["body"], re.DOTALL)]
    assert not [line for line in script.splitlines() if line.startswith(("//", "/*", "*", " "))]


def test_the_gallery_is_a_small_file() -> None:
    assert len(get("/")["body"].encode()) <= 60_000


@pytest.mark.parametrize(
    ("source", "served"),
    [
        ("const a = [\n1, 2,\n];\nif (a) {\nb();\n}", "const a=[1,2];if(a){b()}"),
        ('find("#a , b") / 2 + 1', 'find("#a , b")/2+1'),
        ("`${a ? 1 : 2} = b`", "`${a ? 1 : 2} = b`"),
        ("x.replace(/[\"'`/] = a/g, y)", "x.replace(/[\"'`/] = a/g,y)"),
        ("a - -b + +c", "a - -b + +c"),
        ("for (;;) { }", "for(;;){}"),
        ("f((a) => b, (c, d) => e, async (g) => h)", "f(a=>b,(c,d)=>e,async(g)=>h)"),
        ("const A = 1;\nconst B = 2.5;\nconst C = 3;", "const A=1,B=2.5,C=3;"),
        ("a.b = 1;\nconst B = 2;\nconst C = f(3);", "a.b=1;const B=2;const C=f(3);"),
    ],
)
def test_the_script_loses_only_spaces_without_a_meaning(source: str, served: str) -> None:
    assert app.compact_script(source) == served


@pytest.mark.parametrize("side", ["1600", "0"])
def test_the_gallery_knows_the_side_of_large_thumbnails(monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    monkeypatch.setenv("LARGE_THUMBNAIL", side)
    assert f'data-large-thumbnail="{side}"' in get("/")["body"]


@pytest.mark.parametrize(
    ("variables", "is_said"), [(None, False), ({"owners": "shared"}, False), ({"owners": "JWT"}, True)]
)
def test_the_gallery_says_whose_images_it_shows(variables: dict[str, str] | None, *, is_said: bool) -> None:
    assert ("Your images only" in get("/", stageVariables=variables)["body"]) == is_said


def test_the_gallery_refers_to_no_other_host_and_no_absolute_path() -> None:
    references = re.findall(r' (?:href|src)="?([^" >]*)', get("/")["body"])
    assert references
    assert all(reference in {"", "docs"} or reference.startswith(("#", "data:")) for reference in references)


def test_the_reference_loads_files_that_exist() -> None:
    response = get("/docs")
    assert policy_of(response)["script-src"] == "'self'"
    files = re.findall(r'(?:src|href)="docs/([^"]*)"', response["body"])
    assert len(files) == 3
    for file in files:
        assert get("/docs/{file}", file)["statusCode"] == 200


@pytest.mark.parametrize("file", ["missing.js", "..", "app.py", "../app.py"])
def test_other_files_are_not_served(file: str) -> None:
    assert get("/docs/{file}", file)["statusCode"] == 404


def test_the_document_is_the_one_of_the_repository() -> None:
    response = get("/openapi.json")
    assert response["headers"]["Content-Type"] == "application/json"
    assert json.loads(response["body"]) == json.loads(openapi.DOCUMENT.read_text())


@pytest.mark.parametrize(("auth", "header"), [("API_KEY", "x-api-key"), ("AWS_IAM", "Authorization"), ("JWT", None)])
def test_the_document_says_what_clients_need(monkeypatch: pytest.MonkeyPatch, auth: str, header: str | None) -> None:
    monkeypatch.setenv("API_AUTH", auth)
    document = json.loads(get("/openapi.json")["body"])
    validate(document)
    scheme = document["components"]["securitySchemes"]["client"]
    assert (scheme.get("name"), document["security"]) == (header, [{"client": []}])
    assert f'data-api-auth="{auth}"' in get("/")["body"]
