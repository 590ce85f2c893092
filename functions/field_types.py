"""Types of fields in answers, each with the example that the OpenAPI document shows."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

Id = Annotated[str, Field(examples=["019b7c8e-2f4a-7c31-9d5e-6f708192a3b4"])]
Key = Annotated[str, Field(examples=["writer"])]
Keys = Annotated[list[str], Field(examples=[["writer", "critic"]])]
CouncilKey = Annotated[str, Field(examples=["panel"])]
Alias = Annotated[str, Field(examples=["fast"])]
UserId = Annotated[str, Field(examples=["ada"])]
TenantId = Annotated[str, Field(examples=["acme"])]
ModeName = Annotated[str, Field(examples=["roundtable"])]
# An amount as a plain decimal string.
Amount = Annotated[str, Field(examples=["0.0004321"])]
Rate = Annotated[str, Field(examples=["0.25"])]
Time = Annotated[datetime, Field(examples=["2026-11-30T12:00:00.123456Z"])]
Count = Annotated[int, Field(examples=[412])]
Position = Annotated[int, Field(examples=[0])]
Version = Annotated[int, Field(examples=[3])]
Text = Annotated[str, Field(examples=["Paris is the capital of France."])]
