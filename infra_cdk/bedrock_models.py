"""The resources and conditions of AWS that a call of a model on Bedrock takes, by the model's id or ARN."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from aws_cdk import Stack

Conditions = Mapping[str, Mapping[str, str]]
# A profile of a geography sends a call to a Region of that geography. AWS says which Regions, and adds some.
_GEOGRAPHIES: Final = ("apac", "au", "ca", "eu", "jp", "us", "us-gov")
_GLOBAL: Final = "global"
_PROFILE: Final = "inference-profile"
# Its owner says which model it stands for, and the ARN does not.
_APPLICATION: Final = "application-inference-profile"
_FOUNDATION: Final = "foundation-model"
_OWNED: Final = (_PROFILE, _APPLICATION, "provisioned-model", "imported-model", "custom-model-deployment")
_ID: Final = re.compile(r"[a-z0-9-]+(\.[A-Za-z0-9_-]+)+(:[A-Za-z0-9_-]+)*")
_ARN: Final = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):bedrock:(?P<region>[a-z0-9-]+):(?P<account>\d{12})?:(?P<kind>[a-z-]+)/(?P<name>[A-Za-z0-9._:-]+)"
)


@dataclass(frozen=True)
class BedrockModel:
    """A model or a profile in one Region. `account` is the one in its ARN; None for the stage's own or AWS's."""

    kind: str
    name: str
    account: str | None = None

    @classmethod
    def of(cls, model_id: str, region: str) -> Self:
        """Read an id or an ARN. Raise ValueError that says what is wrong with it."""
        if arn := _ARN.fullmatch(model_id):
            if arn["region"] != region:
                raise ValueError(f"is in {arn['region']}, and the stage is in {region}")
            if arn["kind"] not in (_FOUNDATION, *_OWNED) or (arn["account"] is None) is not (
                arn["kind"] == _FOUNDATION
            ):
                raise ValueError("is the ARN of nothing that the stack knows how to allow")
            return cls(arn["kind"], arn["name"], arn["account"])
        # A star would be a right on every model.
        if not _ID.fullmatch(model_id):
            raise ValueError("must be the id or the ARN of a model or an inference profile")
        return cls(_PROFILE if _place(model_id) else _FOUNDATION, model_id)

    @property
    def destinations(self) -> str | None:
        """Which foundation models a profile may reach in any Region, as the end of an ARN. None for other kinds."""
        if self.kind == _APPLICATION:
            return "*"
        if self.kind == _PROFILE and _place(self.name) != _GLOBAL:
            return self.name.partition(".")[2]
        return None

    def needs(self, stack: Stack) -> Iterator[tuple[str, Conditions]]:
        """Yield each resource that a call is checked against, with the conditions that it is allowed under."""
        region, start = stack.region, f"arn:{stack.partition}:bedrock"
        here = {"aws:RequestedRegion": region}
        if self.kind == _FOUNDATION:
            yield f"{start}:{region}::{_FOUNDATION}/{self.name}", {"StringEquals": here}
            return
        own = f"{start}:{region}:{self.account or stack.account}:{self.kind}/{self.name}"
        yield own, {"StringEquals": here}
        through = {"bedrock:InferenceProfileArn": own}
        if self.destinations is not None:
            yield f"{start}:*::{_FOUNDATION}/{self.destinations}", {"StringEquals": through}
        elif self.kind == _PROFILE:
            # A global profile takes the model in this Region, and in none.
            foundation = self.name.removeprefix(f"{_GLOBAL}.")
            yield f"{start}:{region}::{_FOUNDATION}/{foundation}", {"StringEquals": {**here, **through}}
            nowhere = {"aws:RequestedRegion": "unspecified"}
            yield f"{start}:::{_FOUNDATION}/{foundation}", {"StringEquals": {**nowhere, **through}}


def _place(model_id: str) -> str | None:
    """Where the profile with this id sends calls. None for the id of a model."""
    place = model_id.partition(".")[0]
    return place if place in (_GLOBAL, *_GEOGRAPHIES) else None
