"""Caption images again if another model wrote their caption: `python -m tools.stack.recaption STACK MODEL.JSON`.

MODEL.JSON is the file of the exported model that the stack now has. Deploy that model first.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from image_pipeline.models import CaptionModel
from tools.stack import deployed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    parser.add_argument("model", type=Path, help="model.json of the exported model")
    options = parser.parse_args(arguments)
    described = json.loads(options.model.read_text())
    model = CaptionModel(described["id"], described["revision"], described["precision"])
    values = deployed.outputs(options.stack)
    os.environ["TABLE_NAME"] = values["TableName"]
    old = [record.image_id for record in tqdm(deployed.images(), unit="image") if record.caption_model != model]
    try:
        deployed.send(values["UploadsQueueUrl"], [json.dumps({"caption": image_id}) for image_id in old])
    except deployed.MessageRefusedError as error:
        print(f"error: SQS refused a message: {error}. Please try again", file=sys.stderr)
        return 1
    print(f"{len(old):,} images are queued")
    return 0


if __name__ == "__main__":
    sys.exit(main())
