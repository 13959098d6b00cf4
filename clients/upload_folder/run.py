"""One run of the command: from the names of the files to the result of each."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from clients.progress import Progress
from clients.upload_folder.client import MAX_CHECKED, Json
from clients.upload_folder.errors import FileError, RunError, StoppedError
from clients.upload_folder.journal import ALREADY_THERE, DONE, Entry, JournalError
from clients.upload_folder.uploader import Uploader, described, digest_of
from image_pipeline.models import digest as with_prompt

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
    # The names of the files that have no result yet, by digest: those of images that are to be checked, those that the
    # API may have already, and those of uploads that are running.
    _remembered: dict[str, list[str]] = field(default_factory=dict)
    _unasked: dict[str, list[str]] = field(default_factory=dict)
    _running: dict[str, list[str]] = field(default_factory=dict)
    _futures: dict[Future[Entry], str] = field(default_factory=dict)
    _failures_at_first: int | None = 0
    # About how many files the API is asked at once. The first question shows whether it tells which files it has. If
    # not, this is 0.
    _asked_at_once: int = 1

    def upload(self, names: Iterable[str]) -> None:
        """Upload the files with these names, which are relative to the folder. Each gets a result."""
        names = iter(names)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="upload") as pool:
            try:
                self._upload(names, pool)
                self._check(pool)
                self._ask(pool)
            except Exception as problem:  # noqa: BLE001 - the report is written whatever happens
                self._stop(problem)
            self._collect(0)
        self._add_untried(names)
        self.results.sort(key=lambda result: result.name)

    def _add_untried(self, names: Iterator[str]) -> None:
        """After a stop, the other files are still wanted in the report."""
        for digest, waiting in (self._remembered | self._unasked).items():
            self.results += [Result(name, digest, NOT_TRIED) for name in waiting]
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
        for waiting in (self._running, self._remembered, self._unasked):
            if digest in waiting:
                waiting[digest].append(name)
                return
        entry = self.uploader.journal.find(digest)
        status = entry.get("status")
        if status in DONE:
            self._remembered[digest] = [name]
            if len(self._remembered) >= MAX_CHECKED:
                self._check(pool)
        elif status == "failure" and not self.retry_failed:
            self._end(name, digest, status)
        elif "form" in entry:
            # A direct upload has begun, and goes on.
            self._submit([name], digest, pool)
        else:
            self._want([name], digest, pool)

    def _want(self, names: list[str], digest: str, pool: ThreadPoolExecutor) -> None:
        """Upload files with the same content, unless the API has this content already."""
        if not self._asked_at_once:
            self._submit(names, digest, pool)
            return
        self._unasked[digest] = names
        if len(self._unasked) >= self._asked_at_once:
            self._ask(pool)

    def _ask(self, pool: ThreadPoolExecutor) -> None:
        """Ask the API which files it has already, and upload the others."""
        if not self._unasked:
            return
        client, journal = self.uploader.client, self.uploader.journal
        digests = {with_prompt(digest, self.uploader.prompt): digest for digest in self._unasked}
        known = client.known([*digests])
        self._asked_at_once = 0 if known is None else MAX_CHECKED
        images = client.existing([*known.values()]) if known else {}
        found = {digests[file]: images[image_id] for file, image_id in (known or {}).items() if image_id in images}
        for digest, image in found.items():
            journal.update(digest, status=ALREADY_THERE, key=None, begun=None, error=None, **described(image))
            for name in self._unasked.pop(digest):
                self._end(name, digest, ALREADY_THERE)
        for digest in [*self._unasked]:
            self._collect(2 * self.workers)
            if client.stop.is_set:
                return
            self._submit(self._unasked.pop(digest), digest, pool)

    def _submit(self, names: list[str], digest: str, pool: ThreadPoolExecutor) -> None:
        if self.uploader.journal.find(digest).get("status") in DONE:
            self.again += len(names)
        self._running[digest] = names
        self._futures[pool.submit(self.uploader.upload, self.folder / names[0], digest)] = digest

    def _check(self, pool: ThreadPoolExecutor) -> None:
        """Ask the API whether it still has the images that earlier runs have made, and upload the others again."""
        if not self._remembered:
            return
        entries = {digest: self.uploader.journal.find(digest) for digest in self._remembered}
        existing = self.uploader.client.existing([entry["image_id"] for entry in entries.values()])
        for digest, entry in entries.items():
            image, names = existing.get(entry["image_id"]), self._remembered.pop(digest)
            if image is None:
                self._want(names, digest, pool)
                continue
            # Another model may have written another caption.
            if described(image).items() - entry.items():
                self._remember(digest, image)
            for name in names:
                self._end(name, digest, entry["status"])

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
