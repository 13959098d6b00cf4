"""A stub of `sam build` alone, because images need Docker. Every other command goes to the real SAM.

The test copies it to a program. AWS_ENDPOINT_URL is the URL of the emulator, REAL_SAM the path of SAM. The template is
transformed, because neither SAM nor the emulator does it.
"""

import json
import os
import sys
from pathlib import Path

import boto3

from tests.rehearsal.stack import ARTIFACTS, transformed
from tests.rehearsal.stub_of_sam import reachable
from tools.deploy import settings_file

BUILD = Path(".aws-sam/build")


def main() -> int:
    if sys.argv[1] != "build":
        os.execv(os.environ["REAL_SAM"], [os.environ["REAL_SAM"], *sys.argv[1:]])
    described, _ = transformed(os.environ["AWS_ENDPOINT_URL"], settings_file.read("default").values, change=reachable)
    BUILD.mkdir(parents=True, exist_ok=True)
    resources = described["Resources"]
    for name in [name for name, resource in resources.items() if resource["Type"] == "AWS::CloudFormation::Stack"]:
        # SAM uploads nested templates from files.
        key = resources[name]["Properties"]["TemplateURL"].rpartition("/")[2]
        content = boto3.client("s3").get_object(Bucket=ARTIFACTS, Key=key)["Body"].read()
        if json.loads(content)["Resources"]:
            (BUILD / f"{name}.json").write_bytes(content)
            resources[name]["Properties"]["TemplateURL"] = f"{name}.json"
        else:  # SAM takes no template without a resource; the emulator does not know the only one of this template
            del resources[name]
    (BUILD / "template.yaml").write_text(json.dumps(described))
    return 0


if __name__ == "__main__":
    sys.exit(main())
