"""The process of S3 and SQS: ministack, without the routes of its own, which need no credentials.

One of them deletes all that is stored. The import of its S3 reads what is stored, before the first request.
"""

import asyncio
import sys
from typing import Any

import ministack.services.s3  # noqa: F401 - see above
from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app


async def _app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
    # The name of a bucket cannot begin like this.
    if scope.get("path", "").startswith("/_"):
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    else:
        await app(scope, receive, send)


def main(address: str) -> None:
    """Serve on `host:port` until the process ends."""
    config = Config()
    config.bind = [address]
    config.loglevel = "WARNING"
    asyncio.run(serve(_app, config))


if __name__ == "__main__":
    main(sys.argv[1])
