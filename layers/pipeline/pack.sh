#!/bin/sh
# Make a folder of installed packages ready for Lambda: `pack.sh FOLDER`. PYTHON is the functions' own version.
set -eu
cd "$1"
rm -rf bin
# What botocore knows of services that no function calls: 20 MB to fetch and 10 ms to parse at every cold start.
find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name dynamodb ! -name s3 -exec rm -rf {} +
"${PYTHON:-python}" - <<'END'
import json
from pathlib import Path

file = Path("botocore/data/endpoints.json")
endpoints = json.loads(file.read_bytes())
for partition in endpoints["partitions"]:
    partition["services"] = {name: partition["services"][name] for name in ("dynamodb", "s3")}
file.write_text(json.dumps(endpoints))
END
# Lambda's file system is read-only: what is not compiled now is compiled at every cold start.
"${PYTHON:-python}" -m compileall -q -j 0 --invalidation-mode unchecked-hash .
chmod -R a+rX .
