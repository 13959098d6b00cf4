"""Run the whole API on this machine, without an AWS account, Docker or network: `python -m tools.local.serve`."""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from image_processing.captions import ModelFolderError
from tools import stopping, template
from tools.local import server, signatures
from tools.local.access import API_KEY, OTHER_API_KEY
from tools.local.dynamodb_local import DynamoDBLocalError
from tools.local.engines import EngineError
from tools.local.request_handler import RequestHandler

# The options of curl for each value of ApiAuth.
_CURL_OPTIONS = {
    "NONE": "",
    "API_KEY": f"-H 'x-api-key: {API_KEY}' ",
    "JWT": '-H "Authorization: Bearer $TOKEN" ',
    "AWS_IAM": (
        f"--aws-sigv4 aws:amz:us-east-1:{signatures.SERVICE} "
        f"--user {signatures.ACCESS_KEY_ID}:{signatures.SECRET_ACCESS_KEY} "
    ),
}
_CHECK_SECONDS = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    parser.add_argument("--model", type=Path, default=server.DEMO_MODEL, help="folder of an exported model")
    parser.add_argument("--data", type=Path, help="folder that keeps everything (default: memory, until the API stops)")
    parser.add_argument("--origins", default="", help="origins whose pages may use the API, separated by commas")
    parser.add_argument(
        "--auth", choices=list(_CURL_OPTIONS), default="NONE", help="what clients need (default: %(default)s)"
    )
    parser.add_argument(
        "--owners", choices=["shared", "caller"], default="shared", help="whose images a client sees (default: all)"
    )
    parser.add_argument("--issuer", default="", help="issuer of the tokens, with --auth JWT")
    parser.add_argument("--audience", default="image-pipeline", help="audience of the tokens (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.auth == "JWT" and not options.issuer:
        parser.error("--auth JWT needs the issuer of the tokens: make serve AUTH=JWT ISSUER=https://...")
    if options.owners == "caller" and options.auth == "NONE":
        parser.error("--owners caller needs --auth, which tells who calls: make serve AUTH=API_KEY OWNERS=caller")
    parameters = {
        "AllowedOrigins": options.origins,
        "ApiAuth": options.auth,
        "Owners": options.owners,
        "JwtIssuer": options.issuer,
        "JwtAudience": options.audience,
        "LargeThumbnail": "1600",
        "Duplicates": "find",
    }
    declared = template.raw()["Parameters"]
    for name in ("AllowedOrigins", "JwtAudience"):
        if broken := template.violation(declared[name], parameters[name]):
            parser.error(f"{name}={parameters[name]} {broken}")
    data = options.data and options.data.expanduser()
    try:
        with (
            stopping.by_signals(),
            server.run(options.model, options.host, options.port, _LoggingRequestHandler, parameters, data) as api,
        ):
            _say(_banner(api, options.auth, options.owners, data))
            while True:
                time.sleep(_CHECK_SECONDS)
                api.aws.check()
    except stopping.Stopped:
        _say("\nstopped")
        return 0
    except (ModelFolderError, server.AddressError, EngineError, DynamoDBLocalError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def curl_command(url: str, auth: str) -> str:
    """Return a command that works with this value of ApiAuth. It uploads a file, except if curl would have to sign it.

    curl signs no forms.
    """
    form = "" if auth == "AWS_IAM" else "-F file=@tools/exporter/samples/scene-03.png "
    return f"curl {_CURL_OPTIONS[auth]}{form}{url}/api/images"


def _as_another(url: str, auth: str, owners: str) -> list[str]:
    """Return the lines that show how another client sees only its own images."""
    if (auth, owners) != ("API_KEY", "caller"):
        return []
    return [
        "",
        "Each key sees only its own images. The same with another key:",
        f"  {curl_command(url, auth).replace(API_KEY, OTHER_API_KEY)}",
    ]


def _say(text: str) -> None:
    with suppress(BrokenPipeError):  # nobody reads the output any more
        print(text, flush=True)


class _LoggingRequestHandler(RequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:  # noqa: ARG002 - werkzeug's signature
        path = getattr(self, "path", "").partition("?")[0]  # missing if the request line is not valid
        _say(f"{self.log_date_time_string()}  {self.command} {path}  {code}")


def _banner(api: server.LocalApi, auth: str, owners: str, data: Path | None) -> str:
    model = api.captioner.model
    lines = [f"Image Processing Pipeline API on {api.url}", ""]
    lines += [f"  {method:5} {route.path}" for route in api.routes for method in route.methods]
    lines += ["", f"Captions by {model.id} ({model.revision}, {model.precision})"]
    if api.captioner.note:
        lines += [f"  {api.captioner.note}"]
    lines += [
        "",
        f"Open {api.url} in a browser, or try it from another shell:",
        f"  {curl_command(api.url, auth)}",
        *_as_another(api.url, auth, owners),
        "",
        f"Everything is kept in {data}. Ctrl-C stops the API."
        if data
        else "Everything is in memory. Ctrl-C stops the API and deletes all its data. DATA=folder keeps it.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
