#!/bin/sh
# As in AWS's image: the handler's name as argument, the emulator unless a runtime API is there already.
if [ $# -eq 1 ]; then export _HANDLER="$1"; fi
if [ -z "$AWS_LAMBDA_RUNTIME_API" ]; then
    exec /usr/local/bin/aws-lambda-rie "$LAMBDA_RUNTIME_DIR/bootstrap"
fi
exec "$LAMBDA_RUNTIME_DIR/bootstrap"
