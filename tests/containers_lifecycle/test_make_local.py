"""`make local` leaves nothing behind, however it ends. Run `make e2e` first, because it builds the images."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import docker
import pytest
import requests

from tools.containers import base_image, storage

PORT = 3002


@contextmanager
def local() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tools.containers", "local", "--port", str(PORT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def wait_for_banner(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    read = []
    for line in process.stdout:
        read.append(line)
        if "Ctrl-C" in line:
            return
    pytest.fail("".join(read))


def containers() -> set[str]:
    return {container.id for container in docker.from_env().containers.list(all=True)}


def ports_in_use() -> set[int]:
    """Return the ports of the stack on which any process of this machine listens. See proc(5), /proc/net/tcp."""
    urls = [storage.variables()[name] for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_DYNAMODB")]
    lines = [line.split() for file in ("tcp", "tcp6") for line in Path("/proc/net", file).read_text().splitlines()[1:]]
    listening = {int(address.rpartition(":")[2], 16) for _, address, _, state, *_ in lines if state == "0A"}
    return listening & {PORT, PORT + 1, *(urlsplit(url).port for url in urls)}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After each test the same containers run as before it. No network, open port or stand-in image remains."""
    before = containers()
    yield
    assert containers() == before
    engine = docker.from_env()
    assert engine.networks.list(names=[f"^{storage.NETWORK}$"]) == []
    assert ports_in_use() == set()
    assert engine.images.list(base_image.REPOSITORY, filters={"label": base_image.STAND_IN_LABEL}) == []


def serves() -> bool:
    return requests.get(f"http://127.0.0.1:{PORT}/api/stats", timeout=60).status_code == 200


def stop(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output.endswith("stopped: containers, servers and network are gone\n")


def test_it_serves_and_stops_when_it_is_interrupted() -> None:
    before = containers()
    with local() as process:
        wait_for_banner(process)
        assert serves()
        # The worker may have started too: S3 sends a test event to its queue.
        assert containers() > before
        stop(process, signal.SIGINT)


def test_it_ends_when_sam_dies() -> None:
    with local() as process:
        wait_for_banner(process)
        assert serves()
        os.kill(child(process.pid, "start-api"), signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: sam local start-api ended" in output


def test_it_cleans_up_after_a_killed_run_is_not_harmed_by_a_second_one_and_stops_when_it_is_terminated() -> None:
    """One test, because each start takes half a minute."""
    with local() as killed:
        wait_for_banner(killed)
        # S3 and DynamoDB end with the process that started them.
        orphans = [child(killed.pid, name) for name in ("start-api", "start-lambda")]
        killed.kill()
        killed.wait()
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
    with local() as first:
        wait_for_banner(first)
        with local() as second:
            output, _ = second.communicate(timeout=60)
        assert second.returncode == 1
        assert "another make local or make e2e is running" in output
        assert serves()
        stop(first, signal.SIGTERM)


def child(pid: int, argument: str) -> int:
    """Return the process id of the child of `pid` that was started with `argument`."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for number in (task / "children").read_text().split():
            if argument in Path(f"/proc/{number}/cmdline").read_text().split("\0"):
                return int(number)
    pytest.fail(f"no child with {argument}")
