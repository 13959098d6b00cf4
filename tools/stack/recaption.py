"""Caption images again if another model wrote their caption: `python -m tools.stack.recaption STACK MODEL.JSON`.

MODEL.JSON is the file of the exported model that the stack now has. Deploy that model first.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from image_pipeline.models import CaptionModel
from image_pipeline.storage import keys, table
from tools.stack import command, deployed, messages, parallel
from tools.stack.tally import Ended, FailedError, Tally

_THREADS = 4
_QUEUED, _CURRENT = "are queued", "have a caption of this model"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("stack", help="name of the deployed stack")
    parser.add_argument("model", type=Path, help="model.json of the exported model")
    options = parser.parse_args(arguments)
    try:
        described = json.loads(options.model.read_text())
        model = CaptionModel(described["id"], described["revision"], described["precision"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"{options.model} is no model.json: {error}")
    tally = Tally("image", (_QUEUED, _CURRENT))

    def work() -> None:
        queue = deployed.use(options.stack)["UploadsQueueUrl"]
        tally.each(
            parallel.batches(deployed.images(), messages.MAX_BATCH),
            lambda items: _queue(queue, items, model),
            lambda items: [keys.image_id(item["pk"]) for item in items],
            _THREADS,
        )

    return command.run([tally], work)


def _queue(queue: str, items: Sequence[table.Item], model: CaptionModel) -> list[tuple[str, Ended]]:
    """Send the images whose caption is from another model to the queue."""
    ended: dict[str, Ended] = {}
    old: dict[str, str] = {}
    for item in items:
        image_id, writer = keys.image_id(item["pk"]), item.get("caption_model")
        if not isinstance(writer, Mapping) or not vars(model).keys() <= writer.keys():
            ended[image_id] = FailedError("its item cannot be read: it does not name the model of its caption")
        elif writer == vars(model):
            ended[image_id] = _CURRENT
        else:
            old[image_id] = json.dumps({"caption": image_id})
    return [*ended.items(), *messages.send_for_images(queue, old, _QUEUED).items()]


if __name__ == "__main__":
    sys.exit(main())
