"""The journal: what is known about each file, so that a later run does not upload it again."""

import json
import threading
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class Journal:
    """The entries of the files that were uploaded to the API at `url`, by the SHA-256 of the file.

    A change is on disk before the next request is sent.
    """

    def __init__(self, path: Path, url: str) -> None:
        self._lock = threading.Lock()
        self._path, self._url = path, url
        self.entries: dict[str, Entry] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                # A killed process may leave half a line.
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue
                if entry["url"] == url:
                    self.entries[entry["sha256"]] = entry

    def update(self, digest: str, **changes: object) -> Entry:
        """Change the entry of a file, and return it."""
        with self._lock:
            entry = {**self.entries.get(digest, {}), "url": self._url, "sha256": digest, **changes}
            self.entries[digest] = entry
            with self._path.open("a") as file:
                file.write(f"\n{json.dumps(entry)}")
            return entry
