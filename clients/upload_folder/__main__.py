"""Upload all pictures of a folder to the API, and write their captions into a CSV file."""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from clients.upload_folder import files, report
from clients.upload_folder.client import Client, UnreachableError
from clients.upload_folder.journal import Entry, Journal
from clients.upload_folder.uploader import Uploader
from image_pipeline.models import MEDIA_TYPES, any_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status: 0 if every file is a finished image."""
    parser = argparse.ArgumentParser("python -m clients.upload_folder", description=__doc__)
    parser.add_argument("url", help="base URL of the API")
    parser.add_argument("folder", type=Path, help="folder with pictures; subfolders are included")
    parser.add_argument("--csv", type=Path, default=Path("captions.csv"), help="result (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=4, help="files at the same time (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    pictures = list(files.pictures(options.folder))
    if not pictures:
        parser.error(f"{options.folder} contains no {any_of(f'.{extension}' for extension in MEDIA_TYPES)}")
    url = options.url.rstrip("/") + "/"
    client = Client(url)
    uploader = Uploader(client, Journal(options.csv.with_suffix(".journal"), url))
    pool = ThreadPoolExecutor(options.workers)
    try:
        futures = {pool.submit(uploader.upload, picture): picture for picture in pictures}
        results = {
            futures[done]: _result(done) for done in tqdm(as_completed(futures), total=len(futures), unit="file")
        }
    except KeyboardInterrupt:
        client.stop.set()
        pool.shutdown(cancel_futures=True)
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    report.write_csv(options.csv, options.folder, results)
    report.print_summary(options.folder, results)
    print(f"captions are in {options.csv}")
    return 0 if all(result["status"] == "success" for result in results.values()) else 1


def _result(done: Future[Entry]) -> Entry:
    try:
        return done.result()
    except (UnreachableError, OSError) as error:
        return {"status": "not uploaded", "error": str(error)}


if __name__ == "__main__":
    sys.exit(main())
