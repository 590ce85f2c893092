"""Build the predicates of the sessions that an actor sees and may change.

`visible.sql` and `owned.sql` are the same predicates for `.sql` files. Here, nobody sees the session of a plain call.
"""

from uuid import UUID

from sqlalchemy import Boolean, ColumnElement, Text, and_, bindparam, cast, or_, select

from shared.db.compiler import compiled
from shared.db.engine import Params, Row
from shared.db.schema.tables import sessions
from shared.domain.actor import Actor
from shared.errors import Forbidden, NotFound

_is_admin: ColumnElement[bool] = cast(bindparam("a_is_admin", type_=Boolean), Boolean)


def acts_for(user_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether the actor is this user, or an admin."""
    return or_(_is_admin, user_id == bindparam("a_user_id", type_=Text))


_is_shown = sessions.c.origin != "call"
owned = and_(_is_shown, acts_for(sessions.c.user_id))
visible = and_(_is_shown, or_(acts_for(sessions.c.user_id), sessions.c.visibility == "tenant"))
this_session = (sessions.c.id == bindparam("b_id", type_=sessions.c.id.type), sessions.c.deleted_at.is_(None), visible)
# A row where the actor sees the session `b_id`, and whether it may change it.
FIND_SESSION = compiled(select(owned.label("owned")).where(*this_session))


def about(actor: Actor, object_id: UUID) -> Params:
    """The parameters of a statement about one session or turn."""
    return {"b_id": object_id, **actor.params}


def check_seen(found: list[Row]) -> None:
    """Raises NotFound if FIND_SESSION found nothing: the session does not exist, or the actor may not see it."""
    if not found:
        raise NotFound("There is no such session.")


def check_owned(found: list[Row]) -> None:
    """Raises NotFound. Raises Forbidden if the actor sees the session and may not change it."""
    check_seen(found)
    if not found[0]["owned"]:
        raise Forbidden("Only the user who created this session and admins of the tenant can change or delete it.")
