"""Define a check, its finding, and the deployment that it examines."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from infra_cdk.stage_catalog import StageCatalog
from infra_cdk.stages import Stage


class Verdict(StrEnum):
    CONFIRMED = "confirmed"
    FAILED = "FAILED"
    # The stage has no such part, or an argument is missing.
    SKIPPED = "not tried"


@dataclass(frozen=True)
class Finding:
    """The result of a check. `evidence` is one line of observations."""

    verdict: Verdict
    evidence: str


def confirmed(evidence: str) -> Finding:
    return Finding(Verdict.CONFIRMED, evidence)


def failed(evidence: str) -> Finding:
    return Finding(Verdict.FAILED, evidence)


def skipped(why: str) -> Finding:
    return Finding(Verdict.SKIPPED, why)


@dataclass(frozen=True)
class Deployment:
    """A deployed stage.

    Attributes:
        http: a client with the token of an admin.
        client: returns a client of an AWS service.
        commit: the commit that should be deployed.
        access_token: a token that the authorizer must refuse.
        patience_s: the longest wait for AWS.
        pause, clock: wait and measure in seconds.
    """

    stage: Stage
    catalog: StageCatalog
    http: httpx.Client
    client: Callable[[str], Any]
    commit: str | None = None
    access_token: str | None = None
    patience_s: float = 1200.0
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @property
    def name(self) -> str:
        return self.stage.prefix

    def resources(self, kind: str) -> list[str]:
        """Return the physical ids of the stack's resources of a type."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        every = (one for page in pages for one in page["StackResourceSummaries"])
        return [one["PhysicalResourceId"] for one in every if one["ResourceType"] == kind]

    def eventually(self, holds: Callable[[], bool], every_s: float = 20.0) -> bool:
        """Return whether `holds` becomes true within the patience."""
        until = self.clock() + self.patience_s
        while not holds():
            if self.clock() >= until:
                return False
            self.pause(every_s)
        return True


@dataclass(frozen=True)
class Check:
    """A check. `means` is the meaning of a confirmation, and `otherwise` the step after a failure."""

    name: str
    means: str
    otherwise: str
    run: Callable[[Deployment], Finding]
