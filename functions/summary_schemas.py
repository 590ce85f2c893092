"""Bodies of answers about a session's summaries."""

from typing import Literal

from pydantic import BaseModel, Field

from functions.field_types import Id, Time
from functions.turn_schemas import FallbackView

_TEXTS = ["The trip is in May."]


class ItemView(BaseModel):
    """A short statement in a session's memory."""

    id: str = Field(description="Id of the item in its session. An id keeps its text.", examples=["F1"])
    list: Literal["key_facts", "decisions", "open_questions", "action_items"] = Field(
        description="The list that the item is in.", examples=["key_facts"]
    )
    text: str = Field(description="The statement.", examples=_TEXTS)
    turn_index: int = Field(description="Index of the turn that it comes from.", examples=[4])


class ArchivedView(ItemView):
    """An item that left memory."""

    reason: Literal["answered", "done", "outdated", "duplicate", "replaced", "no_room"] = Field(
        description="Why the item left memory.", examples=["answered"]
    )
    successor: str | None = Field(description="Id of the item that took its place. Null if none did.", examples=["F2"])
    archived_at: Time = Field(description="When the item left memory.")


class SummaryView(BaseModel):
    """A session's memory after a turn."""

    id: Id = Field(description="Id of the summary, a UUIDv7.")
    session_id: Id = Field(description="Id of its session.")
    through_turn_index: int = Field(description="Index of the last turn in the summary.", examples=[4])
    text: str = Field(description="The summary as text.", examples=["The user plans a trip to Paris."])
    key_facts: list[str] = Field(description="Texts of the items in this list.", examples=[_TEXTS])
    decisions: list[str] = Field(description="Texts of the items in this list.", examples=[["Go by train."]])
    open_questions: list[str] = Field(description="Texts of the items in this list.", examples=[["Which hotel?"]])
    action_items: list[str] = Field(description="Texts of the items in this list.", examples=[["Book seats."]])
    items: list[ItemView] = Field(description="All items in memory, oldest first.")
    fallbacks: list[FallbackView] = Field(description="Model answers that a fixed rule replaced.")
    created_at: Time = Field(description="When the summary was stored.")
