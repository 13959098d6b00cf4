"""The command that uploads a folder: a user finds out what is wrong, and nothing is lost or sent twice."""

import gc
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import requests
from PIL import Image

from functions.authorize import app as authorizer
from tests import oidc_issuer, unreliable
from tests.contract.client import Client
from tests.integration.uploading import listed, remembered, rows, scene, started, upload
from tests.pictures import encode
from tools.local import server, signatures
from tools.local.access import API_KEY
from tools.template import ROOT

# Its tests start many processes. In another process of pytest, they do not slow down those of this folder.
pytestmark = pytest.mark.xdist_group("upload folder")

FILE_COUNT = 12
# Within this time a user is told that a key or a URL is wrong.
SOON_SECONDS = 5


@pytest.fixture(scope="module")
def api() -> Iterator[Client]:
    """An API for these tests alone."""
    with server.run() as running:
        yield Client(running.url)


@pytest.fixture
def empty_api(api: Client) -> Client:
    """The API without images."""
    while ids := [*requests.get(f"{api.url}/api/images", timeout=60).json().get("content", {})]:
        for image_id in ids:
            requests.delete(f"{api.url}/api/images/{image_id}", timeout=60)
    return api


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, and a text."""
    path = tmp_path / "pictures"
    (path / "more").mkdir(parents=True)
    (path / "a.png").write_bytes(scene(1))
    (path / "more" / "b.png").write_bytes(scene(2))
    (path / "notes.txt").write_text("not a picture")
    return path


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Let the command notice SIGINT. A shell ignores it in background jobs, and their children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the API know which files it has. It runs in this process, and its functions read this variable."""
    monkeypatch.setenv("DUPLICATES", "find")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_interrupted_upload_goes_on_without_duplicates(empty_api: Client, folder: Path) -> None:
    drawn, rng = [scene(number) for number in range(FILE_COUNT)], Random(12)
    for number, content in enumerate(drawn):
        (folder / ("more" if number % 2 else ".") / f"{number}.PNG").write_bytes(content)
    (folder / "again.png").write_bytes(drawn[0])
    (folder / "large.png").write_bytes(encode(Image.frombytes("RGB", (1300, 1300), rng.randbytes(1300 * 1300 * 3))))
    (folder / "damaged.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    for interruption, status in (
        (signal.SIGINT, 128 + signal.SIGINT),
        (signal.SIGKILL, -signal.SIGKILL),
        (signal.SIGTERM, 128 + signal.SIGTERM),
    ):
        steps = remembered(folder)
        with started(empty_api.url, folder, "--workers", "1") as process:
            while process.poll() is None and remembered(folder) < steps + 3:
                time.sleep(0.01)
            process.send_signal(interruption)
            ended = process.communicate(timeout=60)
        assert process.returncode == status, ended
        if interruption != signal.SIGKILL:
            assert "not tried" in {row["status"] for row in rows(folder).values()}
    # The local API does not close the parts of a form that was cut. The garbage collector does.
    gc.collect()
    status, output, _ = upload(empty_api.url, folder)
    # The damaged file is a failure.
    assert status == 1
    # The two pictures of the fixture are two of the drawn ones.
    assert f"success: {FILE_COUNT + 4}  failure: 1" in output
    assert "damaged.jpg  failure: The image is damaged or incomplete" in output
    found = rows(folder)
    assert len(found) == FILE_COUNT + 5
    assert found["0.PNG"]["image_id"] == found["again.png"]["image_id"]
    assert all(row["caption"] for row in found.values() if row["status"] == "success")
    images = listed(empty_api.url)
    assert len(images) == FILE_COUNT + 1

    # Another run finds nothing to do.
    upload(empty_api.url, folder)
    assert listed(empty_api.url) == images


def test_remembered_images_are_checked(empty_api: Client, folder: Path) -> None:
    assert upload(empty_api.url, folder)[0] == 0
    first = rows(folder)
    requests.delete(f"{empty_api.url}/api/images/{first['a.png']['image_id']}", timeout=60)
    journal = folder.parent / "captions.journal"
    # As if another model had written the caption since then.
    journal.write_text(journal.read_text().replace(first["more/b.png"]["caption"], "an old caption"))
    status, output, _ = upload(empty_api.url, folder)
    assert status == 0
    assert "uploaded again, because the API no longer had their images: 1" in output
    second = rows(folder)
    assert second["a.png"]["image_id"] != first["a.png"]["image_id"]
    assert second["more/b.png"] == first["more/b.png"]
    assert len(listed(empty_api.url)) == 2


@pytest.mark.usefixtures("finding")
def test_files_that_the_api_has_already_are_not_sent(empty_api: Client, folder: Path) -> None:
    (folder / "again.png").write_bytes((folder / "a.png").read_bytes())
    sent: list[str] = []
    with unreliable.proxy(empty_api.url, lambda method, path: sent.append(f"{method} {path}")) as url:
        assert upload(empty_api.url, folder, "--exclude", "more")[0] == 0
        (first,) = {row["image_id"] for row in rows(folder).values()}
        # To this URL, the command has sent nothing yet.
        status, output, _ = upload(url, folder, "--json", "captions.json")
        assert status == 0
        assert "already there: 2  success: 1" in output
        assert sent.count("POST /api/images") == 1
        found = rows(folder)
        assert {name: row["status"] for name, row in found.items()} == {
            "a.png": "already there",
            "again.png": "already there",
            "more/b.png": "success",
        }
        assert found["a.png"]["image_id"] == first
        assert found["a.png"]["caption"]
        written = json.loads((folder.parent / "captions.json").read_text())
        assert [row["status"] for row in written] == ["already there", "already there", "success"]
        assert len(listed(url)) == 2

        sent.clear()
        assert upload(url, folder)[0] == 0
        assert sent == ["GET /api/stats", "POST /api/images/check"]
        assert rows(folder) == found
        assert "0 files would be sent, 0.0 MB, 2 already there, 1 done before" in upload(url, folder, "--dry-run")[1]

        # Another prompt makes another image, which is found as well.
        for says in ("success: 3", "already there: 3"):
            (folder.parent / "captions.csv").unlink()
            (folder.parent / "captions.journal").unlink()
            assert says in upload(url, folder, "--prompt", "a small")[1]
        assert len(listed(url)) == 4


def test_options(empty_api: Client, folder: Path) -> None:
    (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    status, output, _ = upload(empty_api.url, folder, "--dry-run")
    assert status == 0
    assert "3 files would be sent, 0.0 MB" in output
    assert "US dollars" in output
    assert listed(empty_api.url) == []

    prompted = ("--prompt", "a small", "--exclude", "more", "--json", "captions.json", "--workers", "2")
    status, output, _ = upload(empty_api.url, folder, *prompted)
    assert status == 1
    assert "left out: 1 excluded, 1 .txt files" in output
    written = {row["file"]: row for row in json.loads((folder.parent / "captions.json").read_text())}
    assert written["a.png"]["caption"].startswith("a small ")
    assert written["bad.png"]["status"] == "failure"

    # Another prompt is another caption, and so another image.
    status, output, _ = upload(empty_api.url, folder)
    assert "success: 2  failure: 1" in output
    assert len(listed(empty_api.url)) == 3

    sent: list[str] = []
    with unreliable.proxy(empty_api.url, lambda method, path: sent.append(f"{method} {path}")) as url:
        # The journal is about another URL.
        upload(url, folder)
        sent.clear()
        upload(url, folder)
        assert sent == ["GET /api/stats", "POST /api/images/check"]
        upload(url, folder, "--retry-failed")
        assert "POST /api/images" in sent
    before = sorted(folder.parent.iterdir())
    assert "0 files would be sent, 0.0 MB, 2 done before, 1 refused before" in upload(url, folder, "--dry-run")[1]
    assert "1 files would be sent" in upload(url, folder, "--dry-run", "--retry-failed")[1]
    assert sorted(folder.parent.iterdir()) == before


def test_names_of_any_bytes_are_sent_and_shown(empty_api: Client, folder: Path) -> None:
    names = [b"caf\xe9.jpg", b"new\nline.png", b'"quoted".png', b"=1+1.png", b"no extension"]
    for number, name in enumerate(names):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(scene(10 + number))
    status, _, _ = upload(empty_api.url, folder, "--json", "captions.json")
    assert status == 0
    assert {r"caf\xe9.jpg", "new\nline.png", '"quoted".png', "'=1+1.png", "no extension"} < set(rows(folder))
    assert len(json.loads((folder.parent / "captions.json").read_text())) == 7
    assert {"caf\ufffd.jpg", '"quoted".png', "=1+1.png"} < set(listed(empty_api.url))


def test_the_results_are_written_whatever_happens_to_the_output(empty_api: Client, folder: Path) -> None:
    (folder / "\u00e9.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    Path(os.fsdecode(os.fsencode(folder) + b"/letter.J\xe4nner")).write_text("no picture")
    for encoding in ("ascii:strict", "utf-8:strict"):
        status, output, _ = upload(empty_api.url, folder, PYTHONIOENCODING=encoding)
        assert status == 1
        assert "1 .j\\xe4nner files" in output
    (folder.parent / "captions.csv").unlink()
    with started(empty_api.url, folder) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.wait(60) == 1
        assert "Traceback" not in process.stderr.read()
    assert len(rows(folder)) == 3


def test_a_second_run_at_the_same_time_does_nothing(empty_api: Client, folder: Path) -> None:
    is_running, is_over = threading.Event(), threading.Event()

    def wait(*_: str) -> None:
        is_running.set()
        is_over.wait(60)

    with unreliable.proxy(empty_api.url, wait) as url, started(url, folder) as first:
        assert is_running.wait(60)
        status, _, errors = upload(url, folder)
        is_over.set()
        first.communicate(timeout=60)
    assert (status, first.returncode) == (1, 0)
    assert f"captions.journal: process {first.pid} on {socket.gethostname()}, since " in errors
    assert len(listed(empty_api.url)) == 2


def test_a_full_disk_stops_the_run_and_loses_nothing(empty_api: Client, folder: Path) -> None:
    for number in range(20):
        (folder / f"{number}.png").write_bytes(scene(40 + number))
    # Not the disk is full, but no file may get larger than 4 kB.
    script = (
        "import resource, sys; from clients.upload_folder.__main__ import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, empty_api.url, str(folder), "--csv", str(folder.parent / "captions.csv")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 1
    assert "captions.journal cannot be written: File too large\nThe same command goes on from here" in done.stderr
    assert "Traceback" not in done.stderr
    assert "not tried" in done.stdout
    assert upload(empty_api.url, folder)[0] == 0
    assert len(listed(empty_api.url)) == 22


def test_results_of_another_folder_and_other_files_are_not_replaced(empty_api: Client, folder: Path) -> None:
    assert upload(empty_api.url, folder)[0] == 0
    before = rows(folder)
    other = folder.parent / "other"
    other.mkdir()
    (other / "a.png").write_bytes(scene(3))
    status, _, errors = upload(empty_api.url, other)
    assert status == 1
    assert "captions.csv has the results of" in errors
    assert rows(folder) == before
    picture = (folder / "a.png").read_bytes()
    for name in ("pictures/a.png", "captions.journal", "captions.lock", "nowhere/a.csv"):
        assert upload(empty_api.url, folder, "--csv", name)[0] == 2
    for name in ("captions.csv", "captions.journal", str(folder.parent / "captions.journal"), "captions.lock"):
        assert upload(empty_api.url, folder, "--json", name)[0] == 2
    assert (folder / "a.png").read_bytes() == picture
    assert upload(empty_api.url, other, "--csv", "other.csv")[0] == 0


def test_a_file_of_any_size_is_refused_without_being_read_into_memory(empty_api: Client, folder: Path) -> None:
    with (folder / "huge.png").open("wb") as file:
        file.truncate(3_000_000_000)
    # macOS does not keep this limit.
    script = (
        "import resource, sys; from clients.upload_folder.__main__ import main;"
        "resource.setrlimit(resource.RLIMIT_AS, (700_000_000, 700_000_000)); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, empty_api.url, str(folder), "--csv", str(folder.parent / "captions.csv")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    assert "huge.png  failure: The file is larger than 50,000,000 bytes" in done.stdout
    assert rows(folder)["a.png"]["status"] == "success"


@pytest.fixture(scope="module")
def untrusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server with a certificate that nobody trusts."""
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
    subprocess.run(["openssl", *request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        stop.set()
        thread.join()


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def assert_told_soon(url: str, folder: Path, *says: str, **environment: str) -> None:
    """Assert that a run stops soon with one message, and remembers and writes nothing."""
    before, start = remembered(folder), time.monotonic()
    status, _, errors = upload(url, folder, **environment)
    assert time.monotonic() - start < SOON_SECONDS
    assert status in {1, 2}
    for words in says:
        assert words in errors
    assert remembered(folder) == before
    assert not (folder.parent / "captions.csv").exists()


def test_a_wrong_url_is_told_soon(api: Client, folder: Path, untrusted: str) -> None:
    host = api.url.removeprefix("http://")
    assert_told_soon(host, folder, "is not the URL of an API")
    assert_told_soon("ftp://127.0.0.1", folder, "is not the URL of an API")
    assert_told_soon("http://", folder, "is not the URL of an API")
    assert_told_soon("http://no-such-host.invalid", folder, "cannot be reached", "Please check the URL")
    assert_told_soon("http://127.0.0.1:1", folder, "cannot be reached", "Please check the URL")
    assert_told_soon(f"{api.url}/prod", folder, "This route does not exist")
    assert_told_soon(f"https://{host}", folder, "cannot be reached")
    assert_told_soon(untrusted, folder, "certificate of 127.0.0.1 is not trusted", "SSL_CERT_FILE")
    for answer, says in (
        (unreliable.REDIRECT, "redirects to https://127.0.0.1:1/"),
        (unreliable.FOREIGN, "does not answer as this API does"),
        (unreliable.FOREIGN_JSON, "does not answer as this API does"),
    ):
        with unreliable.proxy(api.url, lambda *_, answer=answer: answer) as url:
            assert_told_soon(url, folder, says)


def test_a_server_that_says_nothing_is_told_soon(folder: Path, silent: str) -> None:
    with started(silent, folder) as process:
        assert process.stderr
        start = time.monotonic()
        assert f"waiting for {silent}" in process.stderr.readline()
        assert time.monotonic() - start < SOON_SECONDS
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("answer", [unreliable.REDIRECT, unreliable.FOREIGN, unreliable.FOREIGN_JSON])
def test_an_answer_of_another_service_stops_the_run_in_the_middle(
    empty_api: Client, folder: Path, answer: tuple[int, str, dict[str, str]]
) -> None:
    for number in range(8):
        (folder / f"{number}.png").write_bytes(scene(30 + number))
    posts = 0

    def faults(method: str, path: str) -> Any:
        nonlocal posts
        posts += (method, path) == ("POST", "/api/images")
        return answer if posts > 3 else None

    with unreliable.proxy(empty_api.url, faults) as url:
        status, _, errors = upload(url, folder, "--workers", "1")
        assert status == 1
        assert "The same command goes on from here" in errors
        found = [row["status"] for row in rows(folder).values()]
        assert (found.count("success"), found.count("not tried")) == (3, 7)
        posts = -100
        assert upload(url, folder)[0] == 0
    assert len(listed(empty_api.url)) == 10


def test_a_firewall_that_refuses_one_file_does_not_stop_the_others(empty_api: Client, folder: Path) -> None:
    posts = 0

    def faults(method: str, path: str) -> Any:
        nonlocal posts
        is_upload = (method, path) == ("POST", "/api/images")
        posts += is_upload
        return unreliable.FIREWALL if posts == 1 and is_upload else None

    with unreliable.proxy(empty_api.url, faults) as url:
        status, output, _ = upload(url, folder, "--workers", "1")
        assert status == 1
        assert "not uploaded: Something refused this request with status 403" in output
        assert sorted(row["status"] for row in rows(folder).values()) == ["not uploaded", "success"]
        # It is not remembered.
        assert upload(url, folder)[0] == 0


def environment_of(mode: str, issuer: oidc_issuer.Issuer) -> tuple[list[str], dict[str, str]]:
    """Return options and variables that grant access."""
    match mode:
        case "API_KEY":
            return [], {"IMAGE_PIPELINE_API_KEY": API_KEY}
        case "JWT":
            return [], {"IMAGE_PIPELINE_TOKEN": issuer.token("first")}
        case _:
            keys = {
                "AWS_ACCESS_KEY_ID": signatures.ACCESS_KEY_ID,
                "AWS_SECRET_ACCESS_KEY": signatures.SECRET_ACCESS_KEY,
                "AWS_REGION": "eu-central-1",
            }
            return ["--aws-iam"], keys


@pytest.mark.parametrize("mode", ["API_KEY", "JWT", "AWS_IAM"])
def test_each_way_of_access(folder: Path, mode: str) -> None:
    authorizer.trusted_keys.cache_clear()
    rng = Random(1)
    (folder / "large.png").write_bytes(encode(Image.frombytes("RGB", (1300, 1300), rng.randbytes(1300 * 1300 * 3))))
    with oidc_issuer.running() as issuer:
        issuer.add_key("first")
        with server.run(parameters={"ApiAuth": mode, "JwtIssuer": issuer.url}) as running:
            assert_told_soon(running.url, folder, "The API refuses access", "--help")
            wrong = {"API_KEY": "IMAGE_PIPELINE_API_KEY", "JWT": "IMAGE_PIPELINE_TOKEN"}.get(mode)
            if wrong:
                assert_told_soon(running.url, folder, "The API refuses access", **{wrong: "wrong"})
            options, variables = environment_of(mode, issuer)
            status, output, errors = upload(running.url, folder, *options, **variables)
            assert status == 0, output + errors
            # Earlier runs with a wrong key have not spoiled anything, and this one checks what it remembers.
            assert upload(running.url, folder, *options, **variables)[0] == 0
            assert [row["status"] for row in rows(folder).values()] == ["success"] * 3


def test_the_older_name_of_the_command(folder: Path) -> None:
    script = str(ROOT / "tools" / "upload_folder.py")
    for command in ([sys.executable, script], [sys.executable, "-m", "tools.upload_folder"]):
        done = subprocess.run(
            [*command, "--help"], check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        assert "--retry-failed" in done.stdout
    command = [sys.executable, script, "http://127.0.0.1:1", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder.parent)
    assert (done.returncode, "cannot be reached" in done.stderr) == (1, True)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "notes.txt").write_text("not a picture")
    status, _, errors = upload("http://127.0.0.1:1", folder)
    assert status == 2
    assert "contains no JPG or PNG file" in errors
    assert "left out: 1 .txt files" in errors
