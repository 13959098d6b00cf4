"""Fixtures for tests on the stack that `make e2e` has started."""

import os

import docker
import pytest


@pytest.fixture(scope="session")
def api_url() -> str:
    if "API_URL" not in os.environ:
        pytest.fail("these tests need the containers: run make e2e")
    return os.environ["API_URL"]


@pytest.fixture(scope="session")
def engine() -> docker.DockerClient:
    return docker.from_env()
