"""One run of the command: from the names of the files to the result of each."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from clients.progress import Progress
from clients.upload_folder.client import MAX_CHECKED, Json
from clients.upload_folder.errors import FileError, RunError, StoppedError
from clients.upload_folder.journal import Entry, JournalError
from clients.upload_folder.uploader import Uploader, described, digest_of

NOT_UPLOADED, NOT_TRIED = "not uploaded", "not tried"
# If none of so many files could be uploaded, the reason is not in the files.
_MAX_FAILURES_AT_FIRST = 50


@dataclass(frozen=True, slots=True)
class Result:
    """How the upload of a file ended. If the API gave a verdict, `digest` names its entry in the journal."""

    name: str
    digest: str | None
    status: str
    error: str | None = None


@dataclass
class Run:
    """Uploads files of a folder, several at the same time. `stopped` has the reason if the run was stopped.

    `again` counts the files whose images the API no longer had.
    """

    folder: Path
    uploader: Uploader
    progress: Progress
    workers: int
    retry_failed: bool = False
    results: list[Result] = field(default_factory=list)
    stopped: str | None = None
    again: int = 0
    # The names of the files that have no result yet, by digest: those of images that are to be checked, and those of
    # uploads that are running.
    _known: dict[str, list[str]] = field(default_factory=dict)
    _running: dict[str, list[str]] = field(default_factory=dict)
    _futures: dict[Future[Entry], str] = field(default_factory=dict)
    _failures_at_first: int | None = 0

    def upload(self, names: Iterable[str]) -> None:
        """Upload the files with these names, which are relative to the folder. Each gets a result."""
        names = iter(names)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="upload") as pool:
            try:
                self._upload(names, pool)
                self._check(pool)
            except Exception as problem:  # noqa: BLE001 - the report is written whatever happens
                self._stop(problem)
            self._collect(0)
        self._add_untried(names)
        self.results.sort(key=lambda result: result.name)

    def _add_untried(self, names: Iterator[str]) -> None:
        """After a stop, the other files are still wanted in the report."""
        for digest, unchecked in self._known.items():
            self.results += [Result(name, digest, NOT_TRIED) for name in unchecked]
        try:
            self.results += [Result(name, None, NOT_TRIED) for name in names]
        except Exception as problem:  # noqa: BLE001 - the report is written whatever happens
            self._stop(problem)

    def _upload(self, names: Iterator[str], pool: ThreadPoolExecutor) -> None:
        for name in names:
            try:
                digest = digest_of(self.folder / name)
            except Exception as error:  # noqa: BLE001 - one file must not end the run
                self._end(name, None, NOT_UPLOADED, _reason(error))
            else:
                self._begin(name, digest, pool)
            self._collect(2 * self.workers)
            if self.uploader.client.stop.is_set:
                return

    def _begin(self, name: str, digest: str, pool: ThreadPoolExecutor) -> None:
        """Upload a file, unless its result is known."""
        # Files with the same content are one image.
        if digest in self._running:
            self._running[digest].append(name)
            return
        self._known.setdefault(digest, []).append(name)
        status = self.uploader.journal.find(digest).get("status")
        if status == "success":
            if len(self._known) >= MAX_CHECKED:
                self._check(pool)
            return
        del self._known[digest]
        if status == "failure" and not self.retry_failed:
            self._end(name, digest, status)
        else:
            self._submit([name], digest, pool)

    def _submit(self, names: list[str], digest: str, pool: ThreadPoolExecutor) -> None:
        self._running[digest] = names
        self._futures[pool.submit(self.uploader.upload, self.folder / names[0], digest)] = digest

    def _check(self, pool: ThreadPoolExecutor) -> None:
        """Ask the API whether it still has the images that earlier runs have made, and upload the others again."""
        if not self._known:
            return
        entries = {digest: self.uploader.journal.find(digest) for digest in self._known}
        existing = self.uploader.client.existing([entry["image_id"] for entry in entries.values()])
        for digest, entry in entries.items():
            image, names = existing.get(entry["image_id"]), self._known.pop(digest)
            if image is None:
                self.again += len(names)
                self._submit(names, digest, pool)
                continue
            # Another model may have written another caption.
            if described(image).items() - entry.items():
                self._remember(digest, image)
            for name in names:
                self._end(name, digest, image["image_status"])

    def _remember(self, digest: str, image: Json) -> None:
        try:
            self.uploader.journal.update(digest, **described(image))
        except JournalError as problem:
            self._stop(problem)

    def _collect(self, max_running: int) -> None:
        """Wait until at most this many uploads are running, and take the results of the others."""
        while len(self._futures) > max_running:
            done, _ = wait(self._futures, return_when=FIRST_COMPLETED)
            for future in done:
                digest = self._futures.pop(future)
                self._take(future, digest, self._running.pop(digest))

    def _take(self, future: Future[Entry], digest: str, names: list[str]) -> None:
        error: str | None = None
        found: str | None = None
        try:
            status, found = future.result()["status"], digest
            self._failures_at_first = None
        except (RunError, JournalError, StoppedError) as problem:
            self._stop(problem)
            status = NOT_TRIED
        except Exception as problem:  # noqa: BLE001 - one file must not end the run
            status, error = NOT_UPLOADED, _reason(problem)
            self._note_failure(error)
        for name in names:
            self._end(name, found, status, error)

    def _note_failure(self, reason: str) -> None:
        if self._failures_at_first is not None:
            self._failures_at_first += 1
            if self._failures_at_first == _MAX_FAILURES_AT_FIRST:
                self._stop(RunError(f"none of the first {_MAX_FAILURES_AT_FIRST} files could be uploaded: {reason}"))

    def _stop(self, problem: Exception) -> None:
        if not isinstance(problem, StoppedError) and self.stopped is None:
            self.stopped = _reason(problem)
        self.uploader.client.stop.set()

    def _end(self, name: str, digest: str | None, status: str, error: str | None = None) -> None:
        self.results.append(Result(name, digest, status, error))
        self.progress.advance()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"The file cannot be read: {error.strerror or error}."
    return str(error) if isinstance(error, (FileError, RunError, JournalError)) else f"{type(error).__name__}: {error}"
