"""Defines the fixtures of a stage to confirm and of its AWS account."""

from collections.abc import Iterator

import httpx
import pytest

from infra_cdk import stage_catalog
from infra_cdk.confirm.check import Deployment
from infra_cdk.stages import STAGING
from tests.support.confirmed_stage import Account, http


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account()
    yield made
    made.assert_all_was_asked()


@pytest.fixture
def deployment(account: Account) -> Deployment:
    """A stage with a proxy. Each look at the clock takes ten minutes, and a wait half an hour at most."""
    ticks = iter(range(0, 10**9, 600))
    return Deployment(
        STAGING,
        stage_catalog.read(STAGING),
        http(lambda _: httpx.Response(404)),
        account.client,
        patience_s=1800,
        pause=lambda _: None,
        clock=lambda: float(next(ticks)),
    )
