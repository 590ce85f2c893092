"""Check a deployed stage on its account, and write build/confirm-STAGE.md.

It takes up to an hour. It posts a turn for about a cent, and puts one value into the metric of an alarm, which sends a
ticket. Exit codes: 0 no check failed, 1 a check failed, 2 the command cannot run.
"""

import argparse
import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import boto3
import httpx

from infra_cdk import stage_catalog
from infra_cdk.confirm.check import Deployment, Verdict
from infra_cdk.confirm.report import CHECKS, confirm, written
from infra_cdk.stages_file import chosen
from shared.commit import checked_out
from shared.errors import ConfigurationError
from shared.names import API_PREFIX

ROOT: Final = Path(__file__).parents[2]
_TIMEOUT_S: Final = 300.0


def main() -> int:
    given = _arguments()
    try:
        (stage,) = chosen([given.stage])
        catalog = stage_catalog.read(stage)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 2
    session = boto3.session.Session(region_name=stage.region)

    @cache
    def client(service: str) -> Any:
        return session.client(service)

    headers = {"Authorization": f"Bearer {given.token}"}
    base = f"{given.url.rstrip('/')}{API_PREFIX}/"
    with httpx.Client(base_url=base, headers=headers, timeout=_TIMEOUT_S) as http:
        deployment = Deployment(
            stage,
            catalog,
            http,
            client,
            given.commit or checked_out(ROOT),
            given.access_token,
            given.patience,
        )
        checks = [check for check in CHECKS if given.only in (None, check.name)]
        found = confirm(deployment, checks)
    report = written(stage.deployment, datetime.now(UTC), found)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / f"confirm-{stage.name}.md"
    path.write_text(report)
    print(report)
    print(f"Written to {path}.")
    return int(any(finding.verdict is Verdict.FAILED for _, finding in found))


def _arguments() -> argparse.Namespace:
    names = "\n".join(f"  {check.name:<24}{check.means}" for check in CHECKS)
    parser = argparse.ArgumentParser(
        prog="python -m infra_cdk.confirm",
        description=__doc__,
        epilog=f"checks:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", help="a stage: `make stages` prints them")
    parser.add_argument("--url", required=True, help="the output Url of the stack")
    parser.add_argument("--token", required=True, help="an API key or an ID token of an admin")
    parser.add_argument("--access-token", help="an access token of the same user, which the stage must refuse")
    parser.add_argument("--commit", help="the deployed commit (the commit of this checkout)")
    parser.add_argument("--patience", type=float, default=1200.0, help="the longest wait for AWS in seconds (1200)")
    parser.add_argument("--only", choices=[check.name for check in CHECKS], help="run one check")
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="the folder of the report (build)")
    given = parser.parse_args()
    if not given.url.startswith(("https://", "http://127.0.0.1")) or not given.token:
        parser.error("give the stage's address (https://...) and a token: make confirm STAGE=dev URL=... TOKEN=...")
    return given


if __name__ == "__main__":
    sys.exit(main())
