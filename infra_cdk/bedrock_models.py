"""Derive the resources and conditions that a call of a Bedrock model needs from the model's id or ARN."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

from aws_cdk import Stack

Conditions = Mapping[str, Mapping[str, str]]
# A profile of a geography sends a call to one of its Regions. AWS chooses the Regions and adds new ones.
_GEOGRAPHIES: Final = ("apac", "au", "ca", "eu", "jp", "us", "us-gov")
_GLOBAL: Final = "global"
_PROFILE: Final = "inference-profile"
# The ARN does not contain the model.
_APPLICATION: Final = "application-inference-profile"
_FOUNDATION: Final = "foundation-model"
_OWNED: Final = (_PROFILE, _APPLICATION, "provisioned-model", "imported-model", "custom-model-deployment")
_ID: Final = re.compile(r"[a-z0-9-]+(\.[A-Za-z0-9_-]+)+(:[A-Za-z0-9_-]+)*")
_ARN: Final = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):bedrock:(?P<region>[a-z0-9-]+):(?P<account>\d{12})?:(?P<kind>[a-z-]+)/(?P<name>[A-Za-z0-9._:-]+)"
)


@dataclass(frozen=True)
class BedrockModel:
    """A model or a profile in one Region. `account` is that of its ARN, or None for the stage's or AWS's."""

    kind: str
    name: str
    account: str | None = None

    @classmethod
    def of(cls, model_id: str, region: str) -> Self:
        """Parse an id or an ARN. Raise ValueError with its mistake."""
        if arn := _ARN.fullmatch(model_id):
            if arn["region"] != region:
                raise ValueError(f"is in {arn['region']}, and the stage is in {region}")
            if arn["kind"] not in (_FOUNDATION, *_OWNED) or (arn["account"] is None) is not (
                arn["kind"] == _FOUNDATION
            ):
                raise ValueError("is an ARN of a kind that the stack cannot allow")
            return cls(arn["kind"], arn["name"], arn["account"])
        # An id with a star would grant a right on every model.
        if not _ID.fullmatch(model_id):
            raise ValueError("must be the id or the ARN of a model or an inference profile")
        return cls(_PROFILE if _place(model_id) else _FOUNDATION, model_id)

    @property
    def destinations(self) -> str | None:
        """Return the end of the ARN of the models that a profile reaches in any Region. None for other kinds."""
        if self.kind == _APPLICATION:
            return "*"
        if self.kind == _PROFILE and _place(self.name) != _GLOBAL:
            return self.name.partition(".")[2]
        return None

    def needs(self, stack: Stack) -> Iterator[tuple[str, Conditions]]:
        """Yield each resource that AWS checks for a call, with the conditions of the right."""
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
            # AWS checks a global profile's model in this Region, and with an unspecified Region.
            foundation = self.name.removeprefix(f"{_GLOBAL}.")
            yield f"{start}:{region}::{_FOUNDATION}/{foundation}", {"StringEquals": {**here, **through}}
            nowhere = {"aws:RequestedRegion": "unspecified"}
            yield f"{start}:::{_FOUNDATION}/{foundation}", {"StringEquals": {**nowhere, **through}}


def _place(model_id: str) -> str | None:
    """Return the geography of a profile's id. None for the id of a model."""
    place = model_id.partition(".")[0]
    return place if place in (_GLOBAL, *_GEOGRAPHIES) else None
