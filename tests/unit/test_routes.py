"""Each route that a function declares has all that a route needs. A failure names the line to add.

CONTRIBUTING.md ("Add a route") has the same pieces in the order in which they are written.
"""

import json
import re
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest

from image_pipeline.errors import InvalidRequestError
from image_pipeline.http import cors
from image_pipeline.http.handler import Route, status_of
from tests.events import EVENTS
from tests.routes import Declared, declared
from tools import template
from tools.docs.openapi_examples import REFUSALS, SUCCESSES

DECLARED = list(declared())
DESCRIBED = template.raw()["Resources"]
TESTS = template.ROOT / "tests"


def properties(resource: str) -> dict[str, Any]:
    found: dict[str, Any] = DESCRIBED.get(resource, {}).get("Properties", {})
    return found


def routes_of(function: str) -> set[tuple[str, str]]:
    events = (event["Properties"] for event in properties(function).get("Events", {}).values())
    return {(event["Method"], event["Path"]) for event in events if "Path" in event}


def event_line(each: Declared, method: str) -> str:
    path = f'"{each.route.path}"' if "{" in each.route.path else each.route.path
    return f"{{Type: Api, Properties: {{RestApiId: !Ref Api, Path: {path}, Method: {method}}}}}"


def function(each: Declared) -> Iterator[str]:
    if each.function not in DESCRIBED:
        yield f"template.yaml: Resources: add {each.function}, like GetStatsFunction"
    described = f"{each.route.method} {each.route.path}"
    if properties(each.function).get("Description") != described:
        yield f"template.yaml: {each.function}: add `Description: {described}`"


def events_of_api_gateway(each: Declared) -> Iterator[str]:
    for method in each.methods:
        if (method, each.route.path) not in routes_of(each.function):
            yield f"template.yaml: {each.function}: Events: add `{method.capitalize()}: {event_line(each, method)}`"


def preflight(each: Declared) -> Iterator[str]:
    if ("OPTIONS", each.route.path) not in routes_of("AnswerPreflightFunction"):
        yield f"template.yaml: AnswerPreflightFunction: Events: add `{each.name}: {event_line(each, 'OPTIONS')}`"


def method_of_other_origins(each: Declared) -> Iterator[str]:
    if each.route.method not in cors._METHODS.split(", "):  # noqa: SLF001
        yield f"layers/pipeline/image_pipeline/http/cors.py: _METHODS: add {each.route.method} of {each.route.path}"


def access(each: Declared) -> Iterator[str]:
    """SAM copies the access of a route from here. A method that is missing here has no authentication at all."""
    paths = properties("Api")["DefinitionBody"]["paths"]
    clients = paths["/api/images"]["get"]
    missing = [name.lower() for name in each.methods if paths.get(each.route.path, {}).get(name.lower()) != clients]
    if missing:
        methods = ", ".join(f"{method}: *clients" for method in missing)
        yield f"template.yaml: Api: DefinitionBody: paths: add `{each.route.path}: {{{methods}}}`"


def log_group(each: Declared) -> Iterator[str]:
    if f"{each.name}Logs" not in DESCRIBED:
        yield f"template.yaml: Resources: add {each.name}Logs, like GetStatsLogs"
    if properties(each.function).get("LoggingConfig") != {"LogGroup": {"Ref": f"{each.name}Logs"}}:
        yield f"template.yaml: {each.function}: add `LoggingConfig: {{LogGroup: !Ref {each.name}Logs}}`"


def role(each: Declared) -> Iterator[str]:
    if f"{each.name}Role" not in DESCRIBED:
        yield f"template.yaml: Resources: add {each.name}Role, like GetStatsRole"
    if properties(each.function).get("Role") != {"Fn::GetAtt": [f"{each.name}Role", "Arn"]}:
        yield f"template.yaml: {each.function}: add `Role: !GetAtt {each.name}Role.Arn`"
    logs = {"Fn::GetAtt": [f"{each.name}Logs", "Arn"]}
    if not any(statement["Resource"] == logs for statement in statements(each)):
        line = f"{{Sid: WriteLogs, Effect: Allow, Action: *write_logs, Resource: !GetAtt {each.name}Logs.Arn}}"
        yield f"template.yaml: {each.name}Role: add `- {line}`"


def statements(each: Declared) -> Iterator[dict[str, Any]]:
    for policy in properties(f"{each.name}Role").get("Policies", []):
        yield from policy.get("PolicyDocument", {}).get("Statement", [])


def policies_of_options(each: Declared) -> Iterator[str]:
    """Every function may write traces. Only functions that read or write stored data may use the KMS keys."""
    needed = {"UseTracing": "send_traces"}
    if any(re.search("ImagesTable|Bucket", str(statement["Resource"])) for statement in statements(each)):
        needed["HasKeys"] = "use_keys"
    policies = properties(f"{each.name}Role").get("Policies", [])
    conditions = {policy["Fn::If"][0] for policy in policies if "Fn::If" in policy}
    for condition, anchor in needed.items():
        if condition not in conditions:
            yield f"template.yaml: {each.name}Role: Policies: add `- *{anchor}`"


def variables(each: Declared) -> Iterator[str]:
    """The variables that `api_handler` reads. test_template.py compares the variables that the function reads."""
    given = properties(each.function).get("Environment", {}).get("Variables", {})
    for parameter in ("AllowedOrigins", "GatewayTimeoutSeconds"):
        variable = re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).upper()
        if variable not in given:
            yield f"template.yaml: {each.function}: Environment: Variables: add `{variable}: !Ref {parameter}`"


def example_event(each: Declared) -> Iterator[str]:
    sent = {"resource": each.route.path, "httpMethod": each.route.method}
    files = [json.loads(path.read_bytes()) for path in EVENTS.glob(f"{each.folder}*.json")]
    if not any(sent.items() <= event.items() for event in files):
        yield f"events/{each.folder}.json: add an event with {json.dumps(sent)}, like events/get_stats.json"


def examples(each: Declared) -> Iterator[str]:
    if each.operation not in SUCCESSES:
        yield f'tools/docs/openapi_examples.py: SUCCESSES: add `"{each.operation}": {{"<Name>": <body>}}`'
    for error in each.route.errors:
        if not error.message and each.operation not in REFUSALS[error]:
            yield f'tools/docs/openapi_examples.py: REFUSALS[{error.__name__}]: add `"{each.operation}": "<message>"`'


def page(each: Declared) -> Iterator[str]:
    heading = f"## {each.route.method} {each.route.path}"
    text = (template.ROOT / "docs" / "api.md").read_text()
    section = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if section is None:
        yield f"docs/api.md: add `{heading}`"
    for status in sorted({status_of(error) for error in each.route.errors}):
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and (section is None or str(int(status)) not in section[1]):
            yield f"docs/api.md: {heading}: say when the status is {status}"


def unit_test(each: Declared) -> Iterator[str]:
    if not (TESTS / "unit" / f"test_{each.folder}.py").exists():
        yield f"tests/unit/test_{each.folder}.py: add it"


def contract_test(each: Declared) -> Iterator[str]:
    sent = re.compile(re.sub(r"\{\w+\}", "[^/]+?", each.route.path) + r"""[?"']""")
    if not any(sent.search(path.read_text()) for path in (TESTS / "contract").glob("*.py")):
        yield f"tests/contract: add a test that sends {each.route.method} {each.route.path}"


PIECES: list[Callable[[Declared], Iterator[str]]] = [
    function,
    events_of_api_gateway,
    preflight,
    method_of_other_origins,
    access,
    log_group,
    role,
    policies_of_options,
    variables,
    example_event,
    examples,
    page,
    unit_test,
    contract_test,
]


@pytest.mark.parametrize("piece", PIECES)
def test_each_declared_route_is_complete(piece: Callable[[Declared], Iterator[str]]) -> None:
    missing = [line for each in DECLARED for line in piece(each)]
    assert not missing, "\n".join(["missing:", *missing])


@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_that_is_missing_is_named(piece: Callable[[Declared], Iterator[str]]) -> None:
    path = "/api/images/{image_id}/nothing"
    lines = list(piece(Declared("get_nothing", Route("PATCH", path, (InvalidRequestError,), HTTPStatus.OK))))
    assert lines
    assert all(re.match(r"[\w./]+: ", line) for line in lines)
    assert any(text in line for line in lines for text in ("GetNothing", "get_nothing", "getNothing", path))


def test_each_route_is_below_api_so_its_access_is_that_of_the_others() -> None:
    assert DECLARED
    assert not [each for each in DECLARED if not each.route.path.startswith("/api/")]
