"""A browser, and the API that it talks to: once at the root of a server, and once below the path of a stage."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from tests.browser.controls import note_use
from tests.browser.engines import HOST, OFFLINE, program
from tests.oidc_issuer import issuer
from tools import template
from tools.local import engines, server
from tools.local.gateway import LocalGateway
from tools.local.request_handler import QuietRequestHandler, serving

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["issuer"]

# A machine that also runs other tests can be slow.
expect.set_options(timeout=15_000)


@pytest.fixture(scope="session", autouse=True)
def storage() -> Iterator[None]:
    """S3, SQS and DynamoDB for all sites of this process, because their start takes seconds. Each site is empty."""
    with engines.running(HOST) as aws, pytest.MonkeyPatch.context() as patch:

        @contextmanager
        def shared(*_: object) -> Iterator[engines.Aws]:
            yield aws
            empty(aws)

        patch.setattr(engines, "running", shared)
        yield


def empty(aws: engines.Aws) -> None:
    """Delete all tables, queues and buckets."""
    dynamodb, sqs, s3 = (aws.client(service) for service in ("dynamodb", "sqs", "s3"))
    for table in dynamodb.list_tables()["TableNames"]:
        dynamodb.delete_table(TableName=table)
    for url in sqs.list_queues().get("QueueUrls", []):
        sqs.delete_queue(QueueUrl=url)
    for bucket in (found["Name"] for found in s3.list_buckets()["Buckets"]):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for stored in page.get("Contents", []):
                s3.delete_object(Bucket=bucket, Key=stored["Key"])
        s3.delete_bucket(Bucket=bucket)


@dataclass
class Site:
    """A running API whose URLs begin with `url`. The server can be stopped and started again on its port."""

    url: str
    _app: "WSGIApplication"
    _stack: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        port = urlsplit(self.url).port
        server = make_server(HOST, port or 0, self._app, threaded=True, request_handler=QuietRequestHandler)
        self._stack.enter_context(serving(server))

    def stop(self) -> None:
        self._stack.close()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the server until the block ends."""
        self.stop()
        try:
            yield
        finally:
            self.start()


@contextmanager
def running_site(path: str = "", parameters: Mapping[str, str] | None = None) -> Iterator[Site]:
    """Run an empty API below a path, with these parameters of the template, until the block ends."""
    with server.run(parameters=parameters):
        gateway = LocalGateway(template.read(parameters), HOST, 0)
        app = DispatcherMiddleware(NotFound(), {path: gateway.app}) if path else gateway.app
        # Any free port. It stays free while the server is stopped for a moment.
        found = make_server(HOST, 0, app)
        found.server_close()
        running = Site(f"http://{HOST}:{found.port}{path}", app)
        running.start()
        try:
            yield running
        finally:
            running.stop()


@pytest.fixture(params=["", "/prod"], ids=["root", "stage"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """An empty API. A test that does not use `only_root` runs below the path of a stage as well."""
    with running_site(request.param) as running:
        yield running


only_root = pytest.mark.parametrize("site", [""], indirect=True, ids=["root"])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = program("chromium", "google-chrome", package="chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=OFFLINE, chromium_sandbox=False)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, expected_errors: list[str]) -> Iterator[Page]:
    """A new page. The test fails if there was an unexpected error, or a request to another host."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce") as context:
        opened = context.new_page()
        errors: list[str] = []
        hosts: set[str | None] = set()

        def note(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                errors.append(message.text)

        def note_host(request: Request) -> None:
            hosts.add(urlsplit(request.url).hostname)

        note_use(opened)
        opened.on("console", note)
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.on("request", note_host)
        yield opened
        assert hosts <= {HOST, None}  # a data: URL has no host
        unexpected = [error for error in errors if not any(part in error for part in expected_errors)]
        assert unexpected == []


@pytest.fixture
def expected_errors() -> list[str]:
    """Parts of the messages that Chromium itself writes in this test, such as "status of 415"."""
    return []


def accessibility_violations(page: Page) -> list[str]:
    """Return what axe-core finds wrong on the page, one line each."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]


def photograph(name: str) -> Path:
    return Path(__file__).parent.parent / "photos" / name
