"""The steps of an upload. Each is in the journal before the next one begins.

Only the request for a form has no identity. If its response is lost, an entry without a file stays in the API. It
expires after 30 days.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import httpx

from clients.upload_folder import files, verdicts
from clients.upload_folder.client import Client, Json
from clients.upload_folder.errors import FileError, FormRefusedError
from clients.upload_folder.journal import Entry, Journal

# The default of the parameter MaxUploadBytes. If an API has a lower limit, its status 413 says so.
_MAX_FORM_BYTES = 4_500_000
# The API remembers a key for 24 hours. A repeated upload needs some time too.
KEY_SECONDS = 23 * 3600
_OLD_FORM_SECONDS = 900
# The form of a direct upload must not end while the file is sent.
_FORM_MARGIN_SECONDS = 300
_START_BYTES = 16
# The key belongs to another file, or to an image that was deleted.
_ABOUT_KEY = {HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND}
_CHANGED = "The file changed while the command ran."


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file of any size. Raises OSError."""
    with path.open("rb") as file:
        return _digest(file)


@dataclass
class Uploader:
    """Uploads files, each of which differs from the others. Several threads may use it.

    `max_bytes` is the size of the largest file that the API takes, when it is known.
    """

    client: Client
    journal: Journal
    prompt: str = ""
    max_bytes: int | None = None

    def upload(self, path: Path, digest: str) -> Entry:
        """Upload the file with this SHA-256, and return its entry in the journal.

        The entry has `status`: success, or failure with the reason. If an earlier run began with the upload, this one
        goes on. Raises OSError, JournalError and the errors of `errors`.
        """
        with path.open("rb") as file:
            entry = self.journal.find(digest)
            if entry.get("status"):
                # It is to be uploaded again.
                entry = self.journal.update(digest, status=None, error=None, key=None, image_id=None, form=None)
            if os.fstat(file.fileno()).st_size <= _MAX_FORM_BYTES and "form" not in entry:
                response = self._post_form(file, path.name, digest, entry)
                # The function and API Gateway have limits that a direct upload does not have.
                if response.status_code != HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                    return self._settle(digest, response)
            return self._upload_directly(file, path.name, digest, entry)

    def _post_form(self, file: BinaryIO, name: str, digest: str, entry: Entry) -> httpx.Response:
        if "key" not in entry or self.client.now() - entry["begun"] > KEY_SECONDS:
            entry = self.journal.update(digest, key=str(uuid4()), begun=self.client.now())
        fields = {"prompt": self.prompt} if self.prompt else {}

        def body() -> Mapping[str, Any]:
            file.seek(0)
            return {
                "data": fields,
                "files": {"file": (_sendable(name), file)},
                "headers": {"Idempotency-Key": entry["key"]},
            }

        response = self.client.send("POST", "api/images", body)
        if _digest(file) != digest:
            self.journal.update(digest, key=None)
            if response.is_success:
                self.client.delete(response.json()["data"]["image_id"])
            raise FileError(_CHANGED)
        if response.status_code in _ABOUT_KEY:
            self.journal.update(digest, key=None)
            raise FileError(verdicts.error_of(response))
        return response

    def _upload_directly(self, file: BinaryIO, name: str, digest: str, entry: Entry) -> Entry:
        if "form" in entry:
            image = self.client.image(entry["image_id"])
            if image and image["image_status"] != "processing" and not _is_temporary(image):
                return self._finish(digest, image)
            if image is None or _is_temporary(image) or self._is_over(entry):
                entry = self._forget(digest, entry)
        if "form" not in entry:
            size = os.fstat(file.fileno()).st_size
            entry = self._request_form(file, name, digest, size)
            if "status" in entry:
                return entry
        if not entry.get("is_sent"):
            self._send(file, digest, entry)
        return self._wait(digest, entry["image_id"])

    def _is_over(self, entry: Entry) -> bool:
        """Tell whether the file was not sent, and S3 does not take it any more."""
        # Entries of older versions have only the time when the form was made.
        ends = entry["form_ends"] if "form_ends" in entry else entry["begun"] + _OLD_FORM_SECONDS
        return not entry.get("is_sent") and ends - _FORM_MARGIN_SECONDS < self.client.now()

    def _request_form(self, file: BinaryIO, name: str, digest: str, size: int) -> Entry:
        if self.max_bytes is not None and size > self.max_bytes:
            return self._refuse_size(digest)
        file.seek(0)
        wanted = {"filename": _sendable(name), "content_type": files.media_type(file.read(_START_BYTES), name)}
        if self.prompt:
            wanted["prompt"] = self.prompt
        response = self.client.send("POST", "api/uploads", lambda: {"json": wanted})
        if response.status_code != HTTPStatus.CREATED:
            return self._settle(digest, response)
        data = response.json()["data"]
        self.max_bytes = data["max_bytes"]
        if size > data["max_bytes"]:
            self.client.delete(data["image_id"])
            return self._refuse_size(digest)
        ends = datetime.fromisoformat(data["expires_at"]).timestamp()
        return self.journal.update(digest, image_id=data["image_id"], form=data["upload"], form_ends=ends)

    def _send(self, file: BinaryIO, digest: str, entry: Entry) -> None:
        form = entry["form"]

        def body() -> Mapping[str, Any]:
            file.seek(0)
            # S3 wants the file last. It takes the media type from the fields of the form.
            return {"data": form["fields"], "files": {"file": ("file", file)}}

        try:
            self.client.send_form(form["url"], body)
        except FormRefusedError:
            self._forget(digest, entry)
            raise
        if _digest(file) != digest:
            self._forget(digest, entry)
            raise FileError(_CHANGED)
        self.journal.update(digest, is_sent=True)

    def _wait(self, digest: str, image_id: str) -> Entry:
        image = self.client.finished(image_id)
        if image is None:
            raise FileError("The image was deleted while it was processed.")
        if _is_temporary(image):
            raise FileError(image["error"])
        return self._finish(digest, image)

    def _forget(self, digest: str, entry: Entry) -> Entry:
        """Give up a direct upload, so that another one cannot become a second image."""
        self.client.delete(entry["image_id"])
        return self.journal.update(digest, form=None, image_id=None, is_sent=None)

    def _settle(self, digest: str, response: httpx.Response) -> Entry:
        """Remember an answer of the API: a finished image, or a verdict on the file."""
        if response.is_success:
            return self._finish(digest, response.json())
        return self.journal.update(digest, status="failure", error=verdicts.error_of(response))

    def _finish(self, digest: str, image: Json) -> Entry:
        return self.journal.update(
            digest, status=image["image_status"], form=None, is_sent=None, error=image["error"], **described(image)
        )

    def _refuse_size(self, digest: str) -> Entry:
        error = f"The file is larger than {self.max_bytes:,} bytes. Please compress it more strongly."
        return self.journal.update(digest, status="failure", error=error)


def described(image: Json) -> Entry:
    """Return what the journal remembers about an image in any state."""
    data = image["data"]
    metadata = data.get("metadata", {})
    return {
        "image_id": data["image_id"],
        "caption": data.get("caption"),
        "width": metadata.get("width"),
        "height": metadata.get("height"),
    }


def _digest(file: BinaryIO) -> str:
    found = sha256()
    file.seek(0)
    while chunk := file.read(1 << 20):
        found.update(chunk)
    return found.hexdigest()


def _is_temporary(image: Json) -> bool:
    """Tell whether the pipeline failed, and not because of the file."""
    return bool(image.get("temporary"))


def _sendable(name: str) -> str:
    """Return a file name in which � stands for bytes that are not UTF-8."""
    return os.fsencode(name).decode(errors="replace")
