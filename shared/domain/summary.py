"""A session's memory: a text, and a structure whose items are carried forward from summary to summary."""

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Structure:
    """Four lists of short statements, oldest first."""

    key_facts: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    open_questions: tuple[str, ...] = ()
    action_items: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, list[str]]:
        return {name: list(getattr(self, name)) for name in LISTS}

    def having(self, name: str, items: tuple[str, ...]) -> "Structure":
        """This structure with another list under `name`."""
        return replace(self, **{name: items})


LISTS = tuple(field.name for field in fields(Structure))


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known after turn `through_turn_index`. `archived` left the structure with this summary: superseded,
    answered, or too old for its cap; of one that was loaded, what left in the turns that are loaded with it."""

    through_turn_index: int
    text: str
    structure: Structure
    archived: Structure = Structure()
