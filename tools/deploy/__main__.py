"""Check everything that a deployment needs, ask what only the user knows, build, deploy, and upload one picture."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

from tools import stopping, template
from tools.deploy import checks, deployment, questions, settings_file
from tools.deploy.errors import DeployError
from tools.deploy.settings_file import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.deploy", description=__doc__)
    parser.add_argument("--environment", default="default", help="environment of samconfig.toml (default: %(default)s)")
    parser.add_argument("--region", help="region of the stack; samconfig.toml keeps it")
    parser.add_argument("--auth", type=str.upper, choices=questions.ACCESS, help="who may use the API; also kept")
    parser.add_argument("--issuer", help="issuer of the tokens, with --auth JWT")
    parser.add_argument("--audience", help="audience of the tokens, with --auth JWT")
    parser.add_argument("--yes", action="store_true", help="deploy without asking")
    parser.add_argument("--doctor", action="store_true", help="only check, and change nothing")
    parser.add_argument("--check-settings", action="store_true", help="only check samconfig.toml, without AWS")
    options = parser.parse_args(arguments)
    try:
        with stopping.by_signals():
            settings = _given(options)
            if options.check_settings:
                return _report([*checks.settings_file(settings, template.raw()), *_region_of_the_workflow(settings)])
            settings = replace(settings, region=settings.region or checks.own_region(settings))
            if options.doctor:
                return _report(checks.run_all(settings, template.raw()))
            deployment.run(settings, interactive=sys.stdin.isatty(), yes=options.yes)
    except DeployError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except stopping.Stopped:
        print("\nstopped")
        return 130
    return 0


def _given(options: argparse.Namespace) -> Settings:
    """Return the settings of the file. Options of the command replace them."""
    settings = settings_file.read(options.environment)
    given = {"ApiAuth": options.auth, "JwtIssuer": options.issuer, "JwtAudience": options.audience}
    values = {**settings.values, **{name: value for name, value in given.items() if value}}
    return replace(settings, values=values, region=options.region or settings.region)


def _region_of_the_workflow(settings: Settings) -> list[checks.Result]:
    other = os.environ.get("AWS_REGION")
    if not settings.region or other in {None, settings.region}:
        return []
    text = f"region is {settings.region} in samconfig.toml, but AWS_REGION is {other}: make them equal"
    return [checks.Result("region", text, is_problem=True)]


def _report(results: Sequence[checks.Result]) -> int:
    """Print what the checks found. Return 1 if something must be done."""
    for result in results:
        print(result)
    return int(any(result.is_problem for result in results))


if __name__ == "__main__":
    sys.exit(main())
