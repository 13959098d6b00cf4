"""The steps of an upload. Each is in the journal before the next one begins."""

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import requests

from clients.upload_folder import files
from clients.upload_folder.client import Client, Json, UnreachableError
from clients.upload_folder.journal import Entry, Journal

# The default of the parameter MaxUploadBytes. If an API has a lower limit, its status 413 says so.
_MAX_FORM_BYTES = 4_500_000
# The API remembers a key for 24 hours. A repeated upload needs some time too.
_KEY_SECONDS = 23 * 3600
# The form of a direct upload is valid for 15 minutes. It must not end while the file is sent.
_FORM_SECONDS = 600


@dataclass
class Uploader:
    """Uploads files. Several threads may use it."""

    client: Client
    journal: Journal
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def upload(self, file: Path) -> Entry:
        """Upload a file, unless this has happened before, and return its entry in the journal.

        A finished entry has `status`: success or failure. Raises UnreachableError, StoppedError and OSError.
        """
        content = file.read_bytes()
        digest = sha256(content).hexdigest()
        # Files with the same content are one image.
        with self._locks[digest]:
            return self._upload(file, content, digest)

    def _upload(self, file: Path, content: bytes, digest: str) -> Entry:
        entry = self.journal.entries.get(digest, {})
        if "status" in entry:
            return entry
        if len(content) <= _MAX_FORM_BYTES and "form" not in entry:
            response = self._post_form(file, content, digest, entry)
            # The function and API Gateway have limits that a direct upload does not have.
            if response.status_code != requests.codes.request_entity_too_large:
                return self.journal.update(digest, **_result(response))
        return self._upload_directly(file, content, digest, entry)

    def _post_form(self, file: Path, content: bytes, digest: str, entry: Entry) -> requests.Response:
        if "key" not in entry or time.time() - entry["begun"] > _KEY_SECONDS:
            entry = self.journal.update(digest, key=str(uuid4()), begun=time.time())
        return self.client.send(
            "POST", "api/images", files={"file": (file.name, content)}, headers={"Idempotency-Key": entry["key"]}
        )

    def _upload_directly(self, file: Path, content: bytes, digest: str, entry: Entry) -> Entry:
        if "form" in entry and entry["begun"] + entry["seconds"] < time.time():
            # S3 does not take the file any more. If it took the file before, the image is finished or will be.
            image = self.client.image(entry["image_id"])
            if image and image["image_status"] != "processing":
                return self.journal.update(digest, **_outcome(image))
            self.client.delete(entry["image_id"])
            del entry["form"]
        if "form" not in entry:
            body = {"filename": file.name, "content_type": files.media_type(file)}
            response = self.client.send("POST", "api/uploads", json=body)
            if response.status_code != requests.codes.created:
                return self.journal.update(digest, **_result(response))
            data = response.json()["data"]
            if len(content) > data["max_bytes"]:
                error = f"The file is larger than {data['max_bytes']:,} bytes. Please compress it more strongly."
                self.client.delete(data["image_id"])
                return self.journal.update(digest, status="failure", error=error)
            entry = self.journal.update(
                digest, image_id=data["image_id"], form=data["upload"], begun=time.time(), seconds=_FORM_SECONDS
            )
        sent = self.client.send("POST", entry["form"]["url"], data=entry["form"]["fields"], files={"file": content})
        if not sent.ok:
            raise UnreachableError(f"S3 returned status {sent.status_code}")
        return self.journal.update(digest, **_outcome(self.client.finished(entry["image_id"])))


def _result(response: requests.Response) -> Entry:
    """Return what the journal stores about a response of POST /api/images."""
    if response.ok:
        return _outcome(response.json())
    try:
        body = response.json()
    except ValueError:
        return {"status": "failure", "error": f"The API returned status {response.status_code}."}
    return {"status": "failure", "error": body.get("error") or body.get("data") or body.get("message")}


def _outcome(image: Json) -> Entry:
    data = image["data"]
    return {
        "status": image["image_status"],
        "image_id": data["image_id"],
        "caption": data.get("caption"),
        "width": data.get("metadata", {}).get("width"),
        "height": data.get("metadata", {}).get("height"),
        "error": image["error"],
    }
