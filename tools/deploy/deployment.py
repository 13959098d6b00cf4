"""The steps of a deployment."""

import shlex
from collections.abc import Mapping
from dataclasses import replace

import boto3

from tools import template
from tools.deploy import checks, first_captions, first_upload, questions, rules, sam, settings_file
from tools.deploy.errors import DeployError
from tools.deploy.settings_file import Settings


def run(settings: Settings, *, interactive: bool, yes: bool) -> None:
    """Check, ask, build, deploy and try out. Nothing is changed before all checks pass. Raises DeployError."""
    if interactive and not settings.region:
        settings = replace(settings, region=questions.region())
    settings = _checked(settings, interactive=interactive, yes=yes)
    session = checks.session_of(settings)
    before = checks.describe(session, settings.stack)
    if interactive:
        settings = _answered(settings, before.parameters.get("ApiAuth"))
    if problems := rules.problems(template.raw(), settings.values, settings.region):
        raise DeployError("; ".join(problems))
    _write(settings)
    sam.build(settings)
    sam.deploy(settings, confirm=not yes)
    after = checks.describe(session, settings.stack)
    if after.change == before.change or not after.outputs:
        raise DeployError("nothing was deployed: the change set was not carried out. Run make deploy again to do it")
    _try_out(session, settings, after.outputs)
    _print_next_steps(session, settings, after.outputs)


def _checked(settings: Settings, *, interactive: bool, yes: bool) -> Settings:
    """Run all checks.

    Return the settings. If the quota of the account is too small and the user agrees, they are changed.
    """
    assumed = replace(settings, values={**settings.values, **_assumed(settings)}) if interactive else settings
    results = checks.run_all(assumed, template.raw())
    if not (interactive or yes):
        text = "there is no terminal to ask on: add YES=1, which deploys without asking"
        results.append(checks.Result("answers", text, is_problem=True))
    for result in results:
        print(result, flush=True)
    problems = [result for result in results if result.is_problem]
    if any(not result.proposal for result in problems):
        number = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise DeployError(f"{number}, nothing was changed: do what the lines with PROBLEM say, then deploy again")
    for result in problems:
        if not yes and not questions.agreed("\nWrite these values to samconfig.toml?"):
            raise DeployError("nothing was changed: set other values in samconfig.toml, then deploy again")
        settings = replace(settings, values={**settings.values, **result.proposal})
    return settings


def _assumed(settings: Settings) -> dict[str, str]:
    """Return a valid value for each open question, so that the checks can run before the questions."""
    values, assumed = settings.values, {}
    if values.get("ApiAuth") == rules.UNDECIDED:
        assumed["ApiAuth"] = "API_KEY"
    if values.get("ApiAuth") == "JWT" and values.get("JwtIssuer") == rules.EXAMPLE_ISSUER:
        assumed["JwtIssuer"] = "https://will.be.asked"
    return assumed


def _answered(settings: Settings, deployed: str | None) -> Settings:
    """Ask what the settings do not say."""
    values = dict(settings.values)
    if values["ApiAuth"] == rules.UNDECIDED:
        values["ApiAuth"] = questions.access(deployed)
    if values["ApiAuth"] == "JWT" and values["JwtIssuer"] == rules.EXAMPLE_ISSUER:
        values["JwtIssuer"] = questions.issuer()
        values["JwtAudience"] = questions.audience(values["JwtAudience"])
    return replace(settings, values=values)


def _write(settings: Settings) -> None:
    """Write the answers to samconfig.toml, so that nothing is asked twice and a plain sam deploy does the same."""
    written = settings_file.read(settings.environment)
    changed = {name: value for name, value in settings.values.items() if written.values[name] != value}
    region = settings.region if settings.region != written.region else None
    settings_file.write(settings.environment, changed, region)
    for name, value in ([("region", region)] if region else []) + list(changed.items()):
        print(f"samconfig.toml, {settings.environment}: {name}={value}")


def _try_out(session: boto3.Session, settings: Settings, outputs: Mapping[str, str]) -> None:
    function = outputs.get("CheckVersionFunctionName")
    if settings.values["UseCanary"] == "true":
        print("\nThe canary has tried out the new version.")
    elif function:
        first_captions.check(session, function)
    access = settings.values["ApiAuth"]
    if access == "JWT":
        print("\nTry it with one of your tokens:")
        print(f"  {first_upload.curl(outputs['ApiUrl'])}")
    else:
        print("\nOne picture goes to the public URL.", flush=True)
        print(f"  {first_upload.try_out(session, access, outputs)}")


def _print_next_steps(session: boto3.Session, settings: Settings, outputs: Mapping[str, str]) -> None:
    print(f"\nDone. The API: {outputs['ApiUrl']}\n\nNext:")
    print(f"  open the gallery: {outputs['ApiUrl']}/")
    if "FirstApiKeyId" in outputs:
        key = shlex.quote(outputs["FirstApiKeyId"])
        print(
            "  its API key: aws apigateway get-api-key --include-value --query value --output text "
            f"--region {session.region_name} --api-key {key}"
        )
    if not settings.values["AlarmTopicArn"]:
        print("  alarms: nobody learns of failures until AlarmTopicArn names a topic (docs/operations.md)")
    print(f"  other commands, such as make backfill: export AWS_DEFAULT_REGION={session.region_name}")
    print("  keep samconfig.toml in git: it has all settings of this stack")
    print("  docs/first-hour.md: what to look at, what it costs, how to remove everything")
