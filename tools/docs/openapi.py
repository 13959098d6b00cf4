"""Describe the API in OpenAPI 3.1, in functions/show_page/openapi.json: `python -m tools.docs.openapi`.

The handlers declare the routes: the path, the type of the body, and the errors.
"""

import inspect
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from http import HTTPStatus
from importlib.metadata import metadata
from itertools import combinations
from typing import Any, get_args, get_type_hints

from openapi_spec_validator import validate
from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import is_typeddict

from image_pipeline.errors import UNEXPECTED, ImageNotFoundError, PipelineError
from image_pipeline.http import bodies, handler, prompts, requests, schemas
from image_pipeline.models import STANDARD_SIZES, Detail, ImageFormat, ThumbnailSize, any_of
from image_pipeline.storage.claims import KEY_RETENTION
from tools import template
from tools.docs.openapi_examples import DUPLICATES, REFUSALS, SUCCESSES

DOCUMENT = template.ROOT / "functions" / "show_page" / "openapi.json"
Json = dict[str, Any]

_PATH_PARAMETERS = {
    "image_id": {
        "description": "The UUID from the response to the upload, in upper or lower case.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "size": {"description": "Which thumbnail.", "schema": {"$ref": "#/components/schemas/ThumbnailSize"}},
}


def _combined(names: Iterable[str]) -> list[str]:
    """Return the values of a parameter that takes one or several names, separated by commas."""
    possible = [*names]
    numbers = range(1, len(possible) + 1)
    return [",".join(chosen) for number in numbers for chosen in combinations(possible, number)]


# functions/show_page adds the sizes that not every stack makes.
_DETAIL_NAMES = [each for each in get_args(Detail) if each not in [*ThumbnailSize]]
# The values of parameters. Here they have names, so that generated clients have one type for each.
_CHOICES: dict[str, list[str]] = {
    "ContentType": [*requests.CONTENT_TYPES],
    "Details": _combined(each for each in _DETAIL_NAMES if each != "download"),
    "DetailsOfOneImage": _combined(_DETAIL_NAMES),
    "Duplicates": ["keep", "return"],
    "Redirect": ["0", "1"],
    "ThumbnailSize": [*STANDARD_SIZES],
}
# Group names in the reference, by the second part of a path. Other groups have that part as their name.
_TAGS = {"uploads": "Direct uploads", "stats": "Statistics"}
_KEY_HOURS = KEY_RETENTION // timedelta(hours=1)
_LIMIT = {"type": "integer", "minimum": 1, "maximum": requests.MAX_PAGE_SIZE, "default": requests.DEFAULT_PAGE_SIZE}
_DETAILS = {
    "name": "details",
    "in": "query",
    "description": (
        "What to add to the data of the image, separated by commas: `caption` adds how the caption was made, and "
        "`placeholder` adds a colour to show until a thumbnail is loaded."
    ),
    "schema": {"$ref": "#/components/schemas/Details"},
}
_DETAILS_OF_ONE_IMAGE = _DETAILS | {
    "description": f"{_DETAILS['description']} `download` adds the URL of the best file that there is.",
    "schema": {"$ref": "#/components/schemas/DetailsOfOneImage"},
}
_PROMPT = {
    "type": "string",
    "maxLength": prompts.MAX_CHARACTERS,
    "default": "",
    "description": "The words with which the caption begins, such as `a photograph of`.",
}
_DIGEST = {"type": "string", "pattern": f"^{requests.DIGEST_PATTERN}$"}
_ONLY_WITH_FIND = "Only if the parameter Duplicates of the stack is `find`."
_FILE = {
    "type": "string",
    "format": "binary",
    "description": f"A {any_of(ImageFormat)} by its content. Its name and its declared type do not matter.",
}


def _in_any_case(text: str) -> str:
    """Return a regular expression that matches a text in upper and lower case."""
    return "".join(f"[{each.upper()}{each}]" if each.isalpha() else each for each in text)


_CONTENT_TYPE = {
    "description": "The media type of the file. The worker detects the format from the content.",
    "anyOf": [
        {"$ref": "#/components/schemas/ContentType"},
        {
            "type": "string",
            "pattern": rf"^\s*({'|'.join(map(_in_any_case, requests.FORM_TYPES))})\s*(;[\s\S]*)?$",
            "description": (
                "Another spelling: upper case, parameters, or an older name such as `image/jpg`. If the type is "
                f"unknown, `{requests.UNKNOWN_TYPE}` or an empty text."
            ),
        },
    ],
}
# The parameters and bodies of operations, without the parameters in the path.
_REQUESTS: dict[str, Json] = {
    "listImages": {
        "parameters": [
            {
                "name": "q",
                "in": "query",
                "description": "Words that must all be in the caption or the file name, such as `dog beach`.",
                "schema": {"type": "string", "maxLength": requests.MAX_SEARCH_CHARACTERS},
            },
            {"name": "limit", "in": "query", "description": "Images per page.", "schema": _LIMIT},
            {
                "name": "cursor",
                "in": "query",
                "description": "The start of the page. Take it from the `next` of the previous page.",
                "schema": {"type": "string", "format": "cursor"},
            },
            _DETAILS,
        ]
    },
    "checkImages": {
        "parameters": [_DETAILS],
        "requestBody": {
            "required": True,
            "description": "The images and the files to look for.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "image_ids": {
                                "type": "array",
                                "items": {"type": "string", "format": "uuid"},
                                "minItems": 1,
                                "maxItems": requests.MAX_IMAGE_IDS,
                                "description": "In upper or lower case. An id that comes twice counts once.",
                            },
                            "sha256": {
                                "type": "array",
                                "items": _DIGEST,
                                "minItems": 1,
                                "maxItems": requests.MAX_DIGESTS,
                                "description": ("The SHA-256 digests of files that may be known. " + _ONLY_WITH_FIND),
                            },
                        },
                        # Generators of clients do not understand `anyOf` here.
                        "minProperties": 1,
                    }
                }
            },
        },
    },
    "getImage": {
        "parameters": [
            {
                "name": "wait",
                "in": "query",
                "description": "How many seconds to wait until the image is finished or has failed.",
                "schema": {"type": "integer", "minimum": 0, "maximum": requests.MAX_WAIT_SECONDS, "default": 0},
            },
            _DETAILS_OF_ONE_IMAGE,
        ]
    },
    "getThumbnail": {
        "parameters": [
            {
                "name": "redirect",
                "in": "query",
                "description": (
                    "`1` asks for a redirect to the thumbnail, and `0` for JSON. Without it, a client whose "
                    "Accept header prefers images, such as an `<img>`, gets the redirect."
                ),
                "schema": {"$ref": "#/components/schemas/Redirect"},
            }
        ]
    },
    "createUpload": {
        "requestBody": {
            "required": True,
            "description": "The file that will be uploaded.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "filename": {"type": "string", "description": "Shown to clients, never used as a path."},
                            "content_type": _CONTENT_TYPE,
                            "prompt": _PROMPT,
                            "sha256": {
                                **_DIGEST,
                                "description": (
                                    "The SHA-256 digest of the file. If the file is known with this prompt, the "
                                    "response has status 200 and its image, and no form. " + _ONLY_WITH_FIND
                                ),
                            },
                        },
                        "required": ["content_type"],
                    }
                }
            },
        },
    },
    "uploadImage": {
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": (
                    "A name for this upload. A second request with this key, file and prompt, within "
                    f"{_KEY_HOURS} hours, gets the response to the first request."
                ),
                "schema": {"type": "string", "pattern": f"^{requests.KEY_PATTERN}$"},
            },
            {
                "name": "duplicates",
                "in": "query",
                "description": (
                    "With `return`, a file that is known makes no image: the response is the image that has the same "
                    "file and prompt. " + _ONLY_WITH_FIND
                ),
                "schema": {"$ref": "#/components/schemas/Duplicates"},
            },
            _DETAILS,
        ],
        "requestBody": {
            "required": True,
            "description": (
                "The form with the file. API Gateway refuses a request that is too large for Lambda (6 MB in base64) "
                'or for itself (10 MB), with status 413 and a body of its own: `{"message":"Request Too Long"}` or '
                "`HTTP content length exceeded 10485760 bytes.` Send a larger file with POST /api/uploads."
            ),
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "properties": {"file": _FILE, "prompt": _PROMPT},
                        "required": ["file"],
                    },
                    "encoding": {"file": {"contentType": ", ".join(requests.CONTENT_TYPES)}},
                }
            },
        },
    },
}
_ID_OF_RESPONSE = {"image_id": "$response.body#/data/image_id"}
_LINKS: dict[str, Json] = {
    "uploadImage": {
        "image": {"operationId": "getImage", "parameters": _ID_OF_RESPONSE, "description": "The image again."},
        "thumbnail": {
            "operationId": "getThumbnail",
            "parameters": {**_ID_OF_RESPONSE, "size": "small"},
            "description": "A fresh URL of its small thumbnail.",
        },
        "deletion": {"operationId": "deleteImage", "parameters": _ID_OF_RESPONSE, "description": "Delete the image."},
    },
    "createUpload": {
        "image": {"operationId": "getImage", "parameters": _ID_OF_RESPONSE, "description": "The state of the image."},
        "deletion": {"operationId": "deleteImage", "parameters": _ID_OF_RESPONSE, "description": "Delete the image."},
    },
}
# The responses that API Gateway makes itself, before it calls a function or if the function gives no response.
_GATEWAY = {
    HTTPStatus.TOO_MANY_REQUESTS: ("Too many requests.", "Too many requests. Please try again in a moment."),
    HTTPStatus.BAD_GATEWAY: ("A function failed without a response.", UNEXPECTED),
    HTTPStatus.GATEWAY_TIMEOUT: ("A function took too long.", UNEXPECTED),
}
_HEADERS = {
    "Cache-Control": {
        "description": "Bodies contain presigned URLs.",
        "required": True,
        "schema": {"const": "no-store"},
    },
    "Location": {
        "description": "The URL in the body.",
        "required": True,
        "schema": {"type": "string", "format": "uri"},
    },
    "Retry-After": {"description": "Seconds to wait.", "required": True, "schema": {"type": "integer"}},
}
# Only some responses have these headers.
_DUPLICATE_OF = {
    "description": "The image id of an earlier upload of the same file and prompt. The body is that image.",
    "schema": {"type": "string", "format": "uuid"},
}
_RETRY_LIMIT = {"description": "Seconds to wait, if waiting is enough.", "schema": {"type": "integer"}}
_RETRY_UNFINISHED = {
    "description": "Seconds to wait, while the image is still processed.",
    "schema": {"type": "integer"},
}


def document() -> Json:
    """Return the OpenAPI document of the routes that the handlers declare."""
    package = metadata("image-pipeline")
    paths: dict[str, Json] = defaultdict(dict)
    for name, properties in sorted(template.functions(template.read()).items()):
        operation = inspect.unwrap(template.handler(properties))
        # The pages are not part of the API. One sentence of the description is about HEAD.
        if route := handler.ROUTES.get(operation):
            operation_id = name[0].lower() + name[1:].removesuffix("Function")
            paths[route.path][route.method.lower()] = _operation(operation_id, route, operation)
    result = {
        "openapi": "3.1.0",
        "info": {
            "title": "Image Processing Pipeline API",
            "version": package["version"],
            "description": (
                f"{package['summary']}. Post a {any_of(ImageFormat)}; get its metadata, thumbnails and a caption. "
                "Every GET route also takes HEAD, with the same status and headers and no body."
            ),
            "license": {"name": package["license-expression"], "identifier": package["license-expression"]},
        },
        # This URL is relative to the document, which the API serves itself.
        "servers": [{"url": ".", "description": "This API"}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {name: {"type": "string", "enum": values} for name, values in _CHOICES.items()} | _schemas(),
            "headers": _HEADERS,
            "responses": {
                status.phrase.replace(" ", ""): _gateway_response(*texts) for status, texts in _GATEWAY.items()
            },
        },
    }
    validate(result)
    return result


def text() -> str:
    """Return the document as the text of the file."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _operation(operation_id: str, route: handler.Route, operation: Callable[..., Any]) -> Json:
    group = route.path.split("/")[2]
    request = _REQUESTS.get(operation_id, {})
    parameters = [
        {"name": name, "in": "path", "required": True, **described}
        for name, described in _PATH_PARAMETERS.items()
        if f"{{{name}}}" in route.path
    ] + request.get("parameters", [])
    body = get_type_hints(operation, localns={"schemas": schemas})["return"]
    special = {handler.Redirect, handler.Unfinished, handler.Duplicate}
    returned = [part for part in get_args(body) or (body,) if part not in special]
    refusals = _refusals(operation_id, route.errors)
    may_be_duplicate = handler.Duplicate in get_args(body)
    # Then the response of a duplicate has another status, and another body.
    is_instead = may_be_duplicate and route.success != HTTPStatus.OK
    success: Json = {
        "description": " ".join(str(inspect.getdoc(body)) for body in returned),
        "headers": _headers("Cache-Control")
        | ({"Retry-After": _RETRY_UNFINISHED} if handler.Unfinished in get_args(body) else {})
        | ({"Duplicate-Of": _DUPLICATE_OF} if may_be_duplicate and not is_instead else {}),
        "content": _json(*returned, examples=SUCCESSES[operation_id]),
    }
    if operation_id in _LINKS:
        success["links"] = _LINKS[operation_id]
    return {
        "operationId": operation_id,
        "tags": [_TAGS.get(group, group.capitalize())],
        "summary": str(inspect.getdoc(inspect.getmodule(operation))).partition("\n")[0],
        **request,
        **({"parameters": parameters} if parameters else {}),
        "responses": {
            **({"200": _known_image(operation_id)} if is_instead else {}),
            str(int(route.success)): success,
            **({"302": _redirect(success)} if handler.Redirect in get_args(body) else {}),
            **refusals,
            **{
                str(int(status)): _reference("responses", status.phrase.replace(" ", ""))
                for status in _GATEWAY
                if str(int(status)) not in refusals
            },
        },
    }


def _known_image(operation_id: str) -> Json:
    return {
        "description": "The image that has this file and prompt already.",
        "headers": _headers("Cache-Control") | {"Duplicate-Of": _DUPLICATE_OF},
        "content": _json(schemas.Image, examples=DUPLICATES[operation_id]),
    }


def _redirect(success: Json) -> Json:
    return {
        "description": "The same body, for clients that follow the Location header.",
        "headers": _headers("Cache-Control", "Location"),
        "content": success["content"],
    }


def _refusals(operation_id: str, raises: tuple[type[PipelineError], ...]) -> dict[str, Json]:
    """Return the error responses, by status."""
    descriptions: dict[HTTPStatus, list[str]] = defaultdict(list)
    examples: dict[HTTPStatus, Json] = defaultdict(dict)
    for error in (*raises, *handler.COMMON_ERRORS):
        descriptions[handler.status_of(error)].append(str(inspect.getdoc(error)))
        body = bodies.image_missing if error is ImageNotFoundError else bodies.failure
        message = error.message or REFUSALS[error][operation_id]
        examples[handler.status_of(error)][error.__name__] = body(message)
    descriptions[HTTPStatus.INTERNAL_SERVER_ERROR].append("Anything unforeseen.")
    examples[HTTPStatus.INTERNAL_SERVER_ERROR]["Unforeseen"] = bodies.failure(UNEXPECTED)
    for status in _GATEWAY.keys() & descriptions.keys():
        description, message = _GATEWAY[status]
        descriptions[status].append(description)
        examples[status]["Gateway"] = bodies.failure(message)
    responses: dict[str, Json] = {}
    for status in sorted(descriptions):
        missing = ImageNotFoundError in raises and status == handler.status_of(ImageNotFoundError)
        content = _json(schemas.ImageMissing if missing else schemas.Failure, examples=examples[status])
        headers = ["Cache-Control", "Retry-After"] if handler.may_be_repeated(status) else ["Cache-Control"]
        responses[str(int(status))] = {
            "description": " ".join(descriptions[status]),
            "headers": _headers(*headers) | ({"Retry-After": _RETRY_LIMIT} if status in _GATEWAY else {}),
            "content": content,
        }
    return responses


def _gateway_response(description: str, message: str) -> Json:
    return {
        "description": description,
        "headers": _headers("Cache-Control", "Retry-After"),
        "content": _json(schemas.Failure, examples={"Gateway": bodies.failure(message)}),
    }


def _json(*types: type, examples: Mapping[str, object]) -> Json:
    references = [_reference("schemas", body.__name__) for body in types]
    return {
        "application/json": {
            "schema": references[0] if len(references) == 1 else {"anyOf": references},
            "examples": {name: {"value": example} for name, example in examples.items()},
        }
    }


def _headers(*names: str) -> Json:
    return {name: _reference("headers", name) for name in names}


def _reference(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _schemas() -> Json:
    """Return the schemas of all bodies, by name."""
    types = [found for found in vars(schemas).values() if is_typeddict(found)]
    for found in types:
        with_config(ConfigDict(use_attribute_docstrings=True))(found)
    _, made = TypeAdapter.json_schemas(
        [(found.__name__, "serialization", TypeAdapter(found)) for found in types],
        ref_template="#/components/schemas/{model}",
    )
    definitions: Json = made["$defs"]
    for definition in definitions.values():
        for described in (definition, *definition["properties"].values()):
            described.pop("title", None)
    return definitions


if __name__ == "__main__":
    DOCUMENT.write_text(text())
