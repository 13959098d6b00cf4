"""Write the search index of all images again: `python -m tools.reindex STACK`. It can be repeated."""

import argparse
import os
import sys
from collections.abc import Sequence

from tqdm import tqdm

from image_pipeline.storage import search_index
from image_pipeline.threads import ThreadPool
from tools import stack

_AT_ONCE = 16


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    options = parser.parse_args(arguments)
    os.environ["TABLE_NAME"] = stack.outputs(options.stack)["TableName"]
    image_ids = [record.image_id for record in stack.images()]
    with ThreadPool(_AT_ONCE) as pool:
        for _ in tqdm(pool.map(_rebuild, image_ids), total=len(image_ids), unit="image"):
            pass
    print(f"{len(image_ids):,} images are in the index")
    return 0


def _rebuild(image_id: str) -> None:
    search_index.update(image_id, rebuild=True)


if __name__ == "__main__":
    sys.exit(main())
