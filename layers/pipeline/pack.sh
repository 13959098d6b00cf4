#!/bin/sh
# Make a folder of installed packages ready for Lambda: `pack.sh FOLDER`, with the functions' python first on the PATH.
set -eu
cd "$1"
rm -rf bin
# Other services' descriptions, 20 MB that every cold start would fetch.
find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name dynamodb ! -name s3 -exec rm -rf {} +
# Lambda's file system is read-only: what is not compiled now is compiled at each cold start.
"${PYTHON:-python}" -m compileall -q -j 0 --invalidation-mode unchecked-hash .
chmod -R a+rX .
