"""Write what CloudFormation needs to import an existing table and buckets into a new stack: see docs/operations.md."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools import template

_FOLDER = Path("build/take_over")
# This property refers to another resource. The first deployment after the import adds it.
_ADDED_LATER = "NotificationConfiguration"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write `template.json` and `names.json`."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("table", help="name of the table")
    parser.add_argument("thumbnails", help="name of the bucket with the thumbnails")
    parser.add_argument("uploads", help="name of the bucket for direct uploads")
    options = parser.parse_args(arguments)
    names = {
        "ImagesTable": {"TableName": options.table},
        "ThumbnailsBucket": {"BucketName": options.thumbnails},
        "UploadsBucket": {"BucketName": options.uploads},
    }
    _FOLDER.mkdir(parents=True, exist_ok=True)
    stack = _retained(names)
    identified = [
        {"ResourceType": stack["Resources"][name]["Type"], "LogicalResourceId": name, "ResourceIdentifier": identifier}
        for name, identifier in names.items()
    ]
    for file, content in (("template", stack), ("names", identified)):
        path = _FOLDER / f"{file}.json"
        path.write_text(json.dumps(content, indent=2) + "\n")
        print(path)


def _retained(names: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return a template of only these resources, as template.yaml describes them with its defaults."""
    described = template.read()
    resources = {name: described["Resources"][name] for name in names}
    for resource in resources.values():
        # An import needs one of the older values.
        resource["DeletionPolicy"] = "Retain"
        resource.pop("DependsOn", None)
        resource["Properties"].pop(_ADDED_LATER, None)
    text = json.dumps(resources)
    used = {name: value for name, value in described["Parameters"].items() if f'{{"Ref": "{name}"}}' in text}
    return {"AWSTemplateFormatVersion": "2010-09-09", "Parameters": used, "Resources": resources}


if __name__ == "__main__":
    main()
