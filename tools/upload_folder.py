"""Upload all JPEGs and PNGs of a folder to the API: `python tools/upload_folder.py URL FOLDER`.

Files of up to 4.5 MB go to POST /api/images, larger ones to POST /api/uploads. A journal next to the CSV file remembers
each step. So after Ctrl-C or a lost connection, the same command goes on where it stopped, and uploads nothing twice.
"""

import argparse
import csv
import json
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from uuid import uuid4

import requests
from tqdm import tqdm
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

Json = dict[str, Any]
CONTENT_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}
# The default of the parameter MaxUploadBytes.
_MAX_FORM_BYTES = 4_500_000
# The API remembers a key for 24 hours. A repeated upload needs some time too.
_KEY_SECONDS = 23 * 3600
_TIMEOUT_SECONDS = 60
_TRIES = 12
_MAX_PAUSE_SECONDS = 60
_WAIT_SECONDS = 20
_MAX_PROCESSING_SECONDS = 3600


class UnreachableError(Exception):
    """The API gave no useful answer, also after many tries."""


class StoppedError(Exception):
    """The user stopped the command."""


class Journal:
    """What is known about each file, by its digest, at the API at `url`.

    A change is on disk before the next request is sent.
    """

    def __init__(self, path: Path, url: str) -> None:
        self._lock = threading.Lock()
        self._path, self._url = path, url
        self.entries: dict[str, Json] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                # A killed process may leave half a line.
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if entry["url"] == url:
                    self.entries[entry["sha256"]] = entry

    def update(self, digest: str, **changes: object) -> Json:
        """Change the entry of a file, and return it."""
        with self._lock:
            entry = {**self.entries.get(digest, {}), "url": self._url, "sha256": digest, **changes}
            self.entries[digest] = entry
            with self._path.open("a") as file:
                file.write(f"\n{json.dumps(entry)}")
            return entry


@dataclass
class Uploader:
    """Uploads files to the API at `url`."""

    url: str
    journal: Journal
    stop: threading.Event = field(default_factory=threading.Event)
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def upload(self, file: Path) -> Json:
        """Upload a file, unless this has happened before, and return its entry in the journal.

        A finished entry has `status`: success or failure. Raises UnreachableError and StoppedError.
        """
        content = file.read_bytes()
        digest = sha256(content).hexdigest()
        # Files with the same content are one image.
        with self._locks[digest]:
            return self._upload(file, content, digest)

    def _upload(self, file: Path, content: bytes, digest: str) -> Json:
        entry = self.journal.entries.get(digest, {})
        if "status" in entry:
            return entry
        if len(content) <= _MAX_FORM_BYTES and "form" not in entry:
            response = self._post_form(file, content, digest, entry)
            if response.status_code != requests.codes.request_entity_too_large:
                return self.journal.update(digest, **_result(response))
        return self._upload_directly(file, content, digest, entry)

    def _post_form(self, file: Path, content: bytes, digest: str, entry: Json) -> requests.Response:
        if "key" not in entry or time.time() - entry["begun"] > _KEY_SECONDS:
            entry = self.journal.update(digest, key=str(uuid4()), begun=time.time())
        return self._send(
            "POST", "api/images", files={"file": (file.name, content)}, headers={"Idempotency-Key": entry["key"]}
        )

    def _upload_directly(self, file: Path, content: bytes, digest: str, entry: Json) -> Json:
        if "form" in entry and entry["begun"] + entry["seconds"] < time.time():
            # S3 does not take the file any more. If it took the file before, the image is finished or will be.
            image = self._image(entry["image_id"])
            if image and image["image_status"] != "processing":
                return self.journal.update(digest, **_outcome(image))
            self._send("DELETE", f"api/images/{entry['image_id']}")
            del entry["form"]
        if "form" not in entry:
            body = {"filename": file.name, "content_type": CONTENT_TYPES[file.suffix.lower()]}
            response = self._send("POST", "api/uploads", json=body)
            if response.status_code != requests.codes.created:
                return self.journal.update(digest, **_result(response))
            data = response.json()["data"]
            if len(content) > data["max_bytes"]:
                error = f"The file is larger than {data['max_bytes']:,} bytes."
                self._send("DELETE", f"api/images/{data['image_id']}")
                return self.journal.update(digest, status="failure", error=error)
            # The form is valid for 15 minutes. It must not end while the file is sent.
            entry = self.journal.update(
                digest, image_id=data["image_id"], form=data["upload"], begun=time.time(), seconds=600
            )
        sent = self._send("POST", entry["form"]["url"], data=entry["form"]["fields"], files={"file": content})
        if not sent.ok:
            raise UnreachableError(f"S3 answers {sent.status_code}")
        return self.journal.update(digest, **_outcome(self._finished(entry["image_id"])))

    def _finished(self, image_id: str) -> Json:
        """Wait until the image is finished or has failed."""
        end = time.monotonic() + _MAX_PROCESSING_SECONDS
        while time.monotonic() < end:
            image = self._image(image_id, f"?wait={_WAIT_SECONDS}")
            if image is None:
                return {"image_status": "failure", "data": {"image_id": image_id}, "error": "The image was deleted."}
            if image["image_status"] != "processing":
                return image
        raise UnreachableError("the image is still being processed")

    def _image(self, image_id: str, query: str = "") -> Json | None:
        response = self._send("GET", f"api/images/{image_id}{query}")
        image: Json | None = response.json()["data"] if response.ok else None
        return image

    def _send(self, method: str, path: str, **arguments: Any) -> requests.Response:  # noqa: ANN401
        """Send a request. Wait and try again if the API asks for it or cannot be reached."""
        pause, reason = 0.5, ""
        for _ in range(_TRIES):
            try:
                response = requests.request(method, urljoin(self.url, path), timeout=_TIMEOUT_SECONDS, **arguments)
            except requests.RequestException as error:
                reason, wait = type(error).__name__, pause
            else:
                if response.status_code not in {409, 429} and response.status_code < requests.codes.server_error:
                    return response
                reason, wait = f"status {response.status_code}", _retry_after(response) or pause
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)
            if self.stop.wait(max(wait, 0.1)):
                raise StoppedError
        raise UnreachableError(reason)


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds in the header Retry-After, which may also be a date, or None."""
    try:
        return Retry().get_retry_after(response.raw)
    except InvalidHeader:
        return None


def _result(response: requests.Response) -> Json:
    """Return the journal entry for an answer of POST /api/images, or for a refusal."""
    if response.ok:
        return _outcome(response.json())
    try:
        body = response.json()
    except ValueError:
        return {"status": "failure", "error": f"The API answers {response.status_code}."}
    return {"status": "failure", "error": body.get("error") or body.get("data") or body.get("message")}


def _outcome(image: Json) -> Json:
    data = image["data"]
    return {
        "status": image["image_status"],
        "image_id": data["image_id"],
        "caption": data.get("caption"),
        "width": data.get("metadata", {}).get("width"),
        "height": data.get("metadata", {}).get("height"),
        "error": image["error"],
    }


def pictures(folder: Path) -> Iterator[Path]:
    """Yield the JPEGs and PNGs in a folder and its subfolders, in alphabetical order."""
    return (file for file in sorted(folder.rglob("*")) if file.suffix.lower() in CONTENT_TYPES and file.is_file())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status: 0 if every file is a finished image."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("url", help="base URL of the API")
    parser.add_argument("folder", type=Path, help="folder with JPEGs and PNGs; subfolders are included")
    parser.add_argument("--csv", type=Path, default=Path("captions.csv"), help="result (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=4, help="files at the same time (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    files = list(pictures(options.folder))
    if not files:
        parser.error(f"{options.folder} contains no .jpg, .jpeg or .png")
    url = options.url.rstrip("/") + "/"
    uploader = Uploader(url, Journal(options.csv.with_suffix(".journal"), url))
    results: dict[Path, Json] = {}
    pool = ThreadPoolExecutor(options.workers)
    futures = {pool.submit(uploader.upload, file): file for file in files}
    try:
        for future in tqdm(as_completed(futures), total=len(files), unit="file"):
            file = futures[future]
            try:
                results[file] = future.result()
            except (UnreachableError, OSError) as error:
                results[file] = {"status": "not uploaded", "error": str(error)}
    except KeyboardInterrupt:
        uploader.stop.set()
        pool.shutdown(cancel_futures=True)
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    _write(options.csv, options.folder, results)
    _print_table(options.folder, results)
    print(f"captions are in {options.csv}")
    return 0 if all(result["status"] == "success" for result in results.values()) else 1


def _write(path: Path, folder: Path, results: dict[Path, Json]) -> None:
    names = ("image_id", "status", "width", "height", "caption", "error")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", *names))
        for picture, result in sorted(results.items()):
            writer.writerow((picture.relative_to(folder), *(result.get(name) for name in names)))


def _print_table(folder: Path, results: dict[Path, Json]) -> None:
    counts = Counter(result["status"] for result in results.values())
    print("  ".join(f"{status}: {number}" for status, number in sorted(counts.items(), reverse=True)))
    for picture, result in sorted(results.items()):
        if result["status"] != "success":
            print(f"  {picture.relative_to(folder)}  {result['status']}: {result['error']}")


if __name__ == "__main__":
    sys.exit(main())
