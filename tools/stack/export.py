"""Write everything of an owner to a folder: `python -m tools.stack.export STACK FOLDER --owner OWNER`.

`images.jsonl` and `images.csv` have what the table says about each image. Each image has a folder with its thumbnails,
and with its uploaded file if that is kept or not processed yet. The same command continues after an interruption: a
file with its final name is complete. Without an owner, the images are those that all clients share.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import TextIO

from clients import cells
from image_pipeline import settings
from image_pipeline.storage import keys, records, table
from tools.stack import command, deployed, refusals, whose
from tools.stack.tally import Ended, FailedError, LeftOut, Tally

_THREADS = 16
_EXPORTED, _GONE = "are exported", "were deleted meanwhile"
_CHUNK_BYTES = 1 << 20
_PART = ".part"
# How the table works with an item.
_INTERNAL = {"pk", "sk", "listing", "listed_at", "event", "attempt", "lease"}
_COLUMNS = (
    *("image_id", "status", "original_name", "processed_at", "time_taken"),
    *(f"metadata.{name}" for name in ("width", "height", "format", "size_bytes", "created_at", "modified_at")),
    *("caption", "caption_prompt", "caption_confidence"),
    *(f"caption_model.{name}" for name in ("id", "revision", "precision")),
    *("dominant_color", "sha256", "error", "expires_at", "owner"),
)


@dataclass(frozen=True)
class StoredFile:
    """An object, and where it is written. An image may lack a file that is not `is_required`."""

    bucket: str
    key: str
    path: Path
    is_required: bool = False


class Records:
    """The files with the records, which get their final names when they are complete."""

    def __init__(self, folder: Path) -> None:
        """Begin the files again. Raises OSError."""
        self._paths = folder / "images.jsonl", folder / "images.csv"
        lines, rows = (path.with_name(path.name + _PART) for path in self._paths)
        self._lines: TextIO = lines.open("w", encoding="utf-8")
        self._rows: TextIO = rows.open("w", encoding=cells.ENCODING, newline="")
        self._lock = Lock()
        cells.write_row(self._rows, _COLUMNS)

    def add(self, record: Mapping[str, object]) -> None:
        """Write one record. Several threads may do this. Raises OSError."""
        with self._lock:
            self._lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            cells.write_row(self._rows, [_cell(record, column) for column in _COLUMNS])

    def finish(self) -> None:
        """Give the files their names. Raises OSError."""
        self.close()
        for path in self._paths:
            path.with_name(path.name + _PART).replace(path)

    def close(self) -> None:
        """Close the files. Raises OSError."""
        self._lines.close()
        self._rows.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    parser.add_argument("folder", type=Path, help="folder of the files")
    parser.add_argument("--owner", default="", help="the owner (default: the images that all clients share)")
    options = parser.parse_args(arguments)
    tally = Tally("image", (_EXPORTED, _GONE))

    def work() -> None:
        deployed.use(options.stack)
        owner = whose.digest(options.stack, options.owner)
        print(f"images of {whose.shown(owner)}")
        with closing(_begin(options.folder, owner)) as written:
            tally.each(
                deployed.owned_images(owner),
                lambda item: [(keys.image_id(item["pk"]), _export(item, options.folder, written))],
                lambda item: [keys.image_id(item["pk"])],
                _THREADS,
            )
            written.finish()

    try:
        return command.run([tally], work)
    except OSError as error:
        print(f"error: the records are not complete: {error}. The same command continues", file=sys.stderr)
        return 1


def _begin(folder: Path, owner: str) -> Records:
    """Prepare the folder. Raises RefusedAccessError if it cannot be written, or has images of another owner."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        named = folder / "owner"
        if named.exists() and named.read_text() != f"{owner}\n":
            raise refusals.RefusedAccessError(f"{folder} has images of another owner. Name another folder")
        named.write_text(f"{owner}\n")
        return Records(folder)
    except OSError as error:
        raise refusals.RefusedAccessError(f"{folder} cannot be written: {error.strerror}. Check TO") from error


def _export(item: table.Item, folder: Path, written: Records) -> Ended:
    """Write the record and the files of an image. Raises FailedError, OSError and the errors of botocore."""
    if not records.exists(item):
        return LeftOut("deleted or expired images")
    missing = _fetch_all(item, folder)
    image_id = keys.image_id(item["pk"])
    if missing or item["status"] != "success":
        now = deployed.patiently(table.find, keys.image(image_id))
        if now is None or not records.exists(now):
            return _GONE
        # It was finished meanwhile, and its other files came before that.
        if now["status"] != item["status"]:
            item, missing = now, _fetch_all(now, folder)
    written.add({"image_id": image_id, **_described(item)})
    if missing:
        raise FailedError(f"the bucket lacks its {' and '.join(missing)}")
    return _EXPORTED


def _fetch_all(item: table.Item, folder: Path) -> list[str]:
    """Write the files of an image. Return the names of those that are missing."""
    return [each.path.name for each in _files(item, folder) if not deployed.patiently(_fetch, each)]


def _files(item: table.Item, folder: Path) -> list[StoredFile]:
    """Return the files that an image may have."""
    image_id = keys.image_id(item["pk"])
    own, uploads = folder / image_id, settings.uploads_bucket()
    if item["status"] != "success":
        return [StoredFile(uploads, keys.uploaded_file(image_id), own / "upload")]
    original = own / f"original.{item['metadata']['format'].lower()}"
    thumbnails = (
        StoredFile(settings.bucket_name(), key, own / key.rpartition("/")[2], is_required=True)
        for key in item["thumbnails"].values()
    )
    return [*thumbnails, StoredFile(uploads, keys.original(image_id), original)]


def _fetch(stored: StoredFile) -> bool:
    """Write a file, unless an earlier run has. Return False if it is missing. Raises OSError and others."""
    if stored.path.exists():
        return True
    s3 = deployed.s3()
    try:
        body = s3.get_object(Bucket=stored.bucket, Key=stored.key)["Body"]
    except s3.exceptions.NoSuchKey:
        return not stored.is_required
    stored.path.parent.mkdir(mode=0o700, exist_ok=True)
    part = stored.path.with_name(stored.path.name + _PART)
    with part.open("wb") as file:
        for chunk in body.iter_chunks(_CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        # After a power failure, a file with its final name must be complete.
        os.fsync(file.fileno())
    part.replace(stored.path)
    return True


def _described(item: table.Item) -> dict[str, object]:
    """Return what an item says about its image, in the types of JSON."""
    return {name: _value(item[name]) for name in sorted(item.keys() - _INTERNAL)}


def _value(value: object) -> object:
    match value:
        case Mapping():
            return {name: _value(inner) for name, inner in value.items()}
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
    return value


def _cell(record: Mapping[str, object], column: str) -> object:
    name, _, inner = column.partition(".")
    value = record.get(name, "")
    return value.get(inner, "") if isinstance(value, Mapping) else value


if __name__ == "__main__":
    sys.exit(main())
