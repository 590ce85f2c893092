"""A check, what it finds, and what it may use."""

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
    # The stage has no such part, or the caller gave nothing to try it with.
    SKIPPED = "not tried"


@dataclass(frozen=True)
class Finding:
    """`evidence` is what was seen, in one line."""

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
    """A deployed stage. `client` gives a client of an AWS service, `http` is signed in as an admin.

    `commit` is what should be deployed. `access_token` is one that the authorizer must refuse. `pause` waits for
    seconds, `clock` is in seconds, `patience_s` bounds each wait for AWS."""

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
        """The physical ids of the stack's resources of a type."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        every = (one for page in pages for one in page["StackResourceSummaries"])
        return [one["PhysicalResourceId"] for one in every if one["ResourceType"] == kind]

    def eventually(self, holds: Callable[[], bool], every_s: float = 20.0) -> bool:
        """Whether `holds` became true in time."""
        until = self.clock() + self.patience_s
        while not holds():
            if self.clock() >= until:
                return False
            self.pause(every_s)
        return True


@dataclass(frozen=True)
class Check:
    """`means` is what a confirmation proves, `otherwise` what to do without it."""

    name: str
    means: str
    otherwise: str
    run: Callable[[Deployment], Finding]
