"""Upload all pictures of a folder to the API, and write their captions into a CSV file."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from itertools import chain
from pathlib import Path

import httpx

from clients import cells, stopping
from clients.progress import progress
from clients.stopping import StopRequest
from clients.upload_folder import credentials, dry_run, files, report
from clients.upload_folder.client import Client
from clients.upload_folder.credentials import API_KEY_VARIABLE, TOKEN_VARIABLE, CredentialsError
from clients.upload_folder.errors import RunError, StoppedError
from clients.upload_folder.journal import DONE, Journal, JournalError
from clients.upload_folder.report import ReportError
from clients.upload_folder.run import Run
from clients.upload_folder.uploader import Uploader
from image_pipeline.errors import ACCEPTED_FILES, InvalidRequestError
from image_pipeline.http import prompts

_MAX_WORKERS = 64
_JOURNAL = ".journal"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status: 0 if every file is a finished image."""
    for stream in (sys.stdout, sys.stderr):
        # The names of files may have any characters, and a terminal may not know all.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    options = parser.parse_args(arguments)
    with stopping.on_request() as stop:
        try:
            options.prompt = prompts.checked(options.prompt)
            url = _checked_url(options.url)
            _check_paths(options)
            host = url.host if options.aws_iam else None
            allowed = credentials.of(options.api_key_file, options.token_file, host)
        except (InvalidRequestError, ValueError, ReportError, CredentialsError) as error:
            parser.error(str(error))
        try:
            return _run(options, Client(str(url), allowed, stop=stop), parser)
        except (RunError, JournalError, ReportError) as error:
            print(f"error: {error}", file=sys.stderr)
        except StoppedError:
            print("stopped. Nothing was sent", file=sys.stderr)
        return stop.status or 1


def _run(options: argparse.Namespace, client: Client, parser: argparse.ArgumentParser) -> int:
    left = files.LeftOut()
    names = files.walk(options.folder, options.exclude, left, client.stop)
    first = next(names, None)
    if first is None and not left.unreadable_folders:
        parser.error("\n".join([f"{options.folder} contains no {ACCEPTED_FILES} file", *report.left_out(left)]))
    names = chain([] if first is None else [first], names)
    journal = Journal(options.csv.with_suffix(_JOURNAL), client.url, options.prompt)
    if options.dry_run:
        journal.read()
        return _show(options, journal, names, left, client.stop)
    with journal:
        _check_folder(options, journal)
        return _upload(options, client, journal, names, left)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m clients.upload_folder",
        description=__doc__,
        epilog="The same command goes on after an interruption. It uploads nothing twice.",
    )
    parser.add_argument("url", help="base URL of the API")
    parser.add_argument("folder", type=Path, help="folder with pictures; subfolders are included")
    parser.add_argument("--csv", type=Path, default=Path("captions.csv"), help="result (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="the same result as JSON")
    parser.add_argument("--prompt", default="", help="words with which each caption begins")
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN", help='files and folders to leave out: "*.png"'
    )
    parser.add_argument("--workers", type=_workers, default=4, help="files at the same time (default: %(default)s)")
    parser.add_argument("--retry-failed", action="store_true", help="try the files again that the API has refused")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be sent, and its cost")
    access = parser.add_argument_group("access", "What the API asks for. Without an option, the API is open.")
    access.add_argument("--api-key-file", type=Path, help=f"file with an API key (or set {API_KEY_VARIABLE})")
    access.add_argument("--token-file", type=Path, help=f"file with a token (or set {TOKEN_VARIABLE})")
    access.add_argument("--aws-iam", action="store_true", help="sign requests with your AWS credentials")
    return parser


def _workers(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= _MAX_WORKERS):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {_MAX_WORKERS}")
    return int(text)


def _checked_url(text: str) -> httpx.URL:
    """Return the URL of the API with a slash at its end. Raises ValueError."""
    try:
        url = httpx.URL(text.rstrip("/") + "/")
    except httpx.InvalidURL as error:
        raise ValueError(f"{text} is not a URL: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"{text} is not the URL of an API. It begins with https:// or http://")
    # The journal has the URL.
    if url.userinfo:
        raise ValueError("the URL must not contain a password. --help shows how to give a key or a token")
    return url


def _check_paths(options: argparse.Namespace) -> None:
    """Raise ValueError or ReportError if the folder cannot be read, or a result would replace another file."""
    if not options.folder.is_dir():
        raise ValueError(f"{options.folder} is not a folder")
    own = [options.csv, options.csv.with_suffix(_JOURNAL), options.csv.with_suffix(".lock")]
    if len({path.resolve() for path in [*own, options.json or Path()]}) <= len(own):
        raise ValueError("the journal, its lock, the CSV file and the JSON file need different names")
    report.require_replaceable_csv(options.csv)
    if options.json:
        report.require_replaceable_json(options.json)


def _check_folder(options: argparse.Namespace, journal: Journal) -> None:
    """Raise ReportError if the CSV file has the results of another folder."""
    folder = cells.shown(str(options.folder.resolve()))
    if options.csv.exists() and journal.folder not in {None, folder}:
        raise ReportError(f"{options.csv} has the results of {journal.folder}. Please name another file with --csv")


def _show(
    options: argparse.Namespace, journal: Journal, names: Iterator[str], left: files.LeftOut, stop: StopRequest
) -> int:
    with progress("file") as shown:
        found = list(dry_run.lines(options.folder, names, journal, shown, stop, retry_failed=options.retry_failed))
    print("\n".join([*found, *report.left_out(left)]))
    return stop.status or 0


def _upload(
    options: argparse.Namespace, client: Client, journal: Journal, names: Iterator[str], left: files.LeftOut
) -> int:
    with progress("file") as shown:
        client.tell = shown.write
        try:
            client.verify()
        except RunError as error:
            raise RunError(f"{error}\nNothing was sent, and {options.csv} is unchanged") from error
        uploader = Uploader(client, journal, options.prompt)
        run = Run(options.folder, uploader, shown, options.workers, retry_failed=options.retry_failed)
        run.upload(names)
    if run.stopped:
        print(f"error: {run.stopped}\nThe same command goes on from here", file=sys.stderr)
    is_written = _report(options, run, journal, left)
    is_complete = not left.unreadable_folders and all(result.status in DONE for result in run.results)
    return client.stop.status or (0 if is_written and is_complete else 1)


def _report(options: argparse.Namespace, run: Run, journal: Journal, left: files.LeftOut) -> bool:
    """Write the results, and print a summary. Return whether all results are written."""
    is_written, found = True, report.Report(run.results, journal, options.csv)
    try:
        found.write_csv()
        if options.json:
            found.write_json(options.json)
        journal.note_folder(cells.shown(str(options.folder.resolve())))
    except (ReportError, JournalError) as error:
        print(f"error: {error}", file=sys.stderr)
        is_written = False
    lines = [*found.summary(left)]
    if run.again:
        lines.append(f"uploaded again, because the API no longer had their images: {run.again:,}")
    if is_written:
        lines.append(f"captions are in {options.csv}")
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        # The program that reads the output has ended, for example `head`. Python writes to it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return is_written


if __name__ == "__main__":
    sys.exit(main())
