"""Tests who cancels and replays a turn of a shared session, and who learns of a running one."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tests.support.fake_provider import FakeProvider, moods
from tests.support.processes import eventually
from tests.support.stack.actors import WORD, Actors, make_session, post
from tests.support.stack.actors import actors as actors  # noqa: PLC0414 a fixture
from tests.support.stack.tenant import Tenant

WAITS: Final = "SELECT count(*) AS active FROM waits WHERE tenant_id = %s AND ends_at > clock_timestamp()"


@pytest.mark.parametrize(
    ("poster", "statuses"),
    [
        ("colleague", {"operator": 403, "colleague": 202, "creator": 202, "admin": 202}),
        ("creator", {"operator": 403, "colleague": 403, "creator": 202, "admin": 202}),
    ],
)
def test_a_turn_that_runs_is_cancelled_by_its_poster_the_sessions_creator_and_admins(
    actors: Actors, provider: FakeProvider, tenant: Tenant, poster: str, statuses: dict[str, int]
) -> None:
    shared = make_session(actors["creator"], "tenant")
    provider.add(moods.hold())
    turn_id = post(actors[poster], shared, Prefer="respond-async").json()["id"]
    tenant.wait_for_requests(1)
    asked = "SELECT cancel_requested_at IS NOT NULL AS asked FROM turns WHERE id = %s"
    for actor, status in statuses.items():
        assert actors[actor].post(f"turns/{turn_id}/cancel").status_code == status, actor
        # Callers without the right go first.
        assert tenant.row(asked, turn_id)["asked"] == (status == 202), actor
    provider.release()
    assert tenant.wait_for(turn_id)["status"] == "cancelled"


def test_a_conflict_names_the_active_turn_to_those_who_see_the_session(
    actors: Actors, provider: FakeProvider, tenant: Tenant
) -> None:
    private = make_session(actors["creator"], "private")
    provider.add(moods.hold())
    turn_id = post(actors["creator"], private, Prefer="respond-async").json()["id"]
    tenant.wait_for_requests(1)
    refused = {actor: post(actors[actor], private) for actor in ("admin", "colleague")}
    assert [answer.status_code for answer in refused.values()] == [409, 404]
    assert refused["admin"].json()["active_turn_id"] == turn_id
    assert turn_id not in refused["colleague"].text
    provider.release()
    tenant.wait_for(turn_id)


class TestReplays:
    KEY: Final = {"Idempotency-Key": "the same"}

    def test_a_colleague_meets_404_before_the_replay(self, actors: Actors) -> None:
        private = make_session(actors["creator"], "private")
        first = post(actors["creator"], private, **self.KEY)
        assert [post(actors[actor], private, **self.KEY).status_code for actor in ("colleague", "operator")] == [
            404
        ] * 2
        assert post(actors["creator"], private, **self.KEY).content == first.content
        assert post(actors["admin"], private, **self.KEY).content == first.content

    def test_a_key_of_another_private_session_tells_nothing_of_it(self, actors: Actors, tenant: Tenant) -> None:
        private, own = make_session(actors["creator"], "private"), make_session(actors["colleague"], "private")
        first = post(actors["creator"], private, **self.KEY).json()
        for _ in range(2):
            refused = post(actors["colleague"], own, **self.KEY)
            assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
            assert [text for text in (WORD, first["id"], private) if text in refused.text] == []
            # The answer does not tell that the session is gone either.
            actors["creator"].delete(f"sessions/{private}")
        assert len(tenant.rows("SELECT FROM turns WHERE tenant_id = %s", tenant.id)) == 1

    def test_a_colleague_gets_the_replay_in_a_session_that_both_see(self, actors: Actors) -> None:
        shared = make_session(actors["creator"], "tenant")
        first = post(actors["creator"], shared, **self.KEY)
        again = post(actors["colleague"], shared, **self.KEY)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["Idempotency-Replayed"] == "true"
        other = post(actors["colleague"], shared, "@writer another", **self.KEY)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")

    def test_deleted_session_is_410_only_for_users_who_saw_it(self, actors: Actors) -> None:
        for visibility, statuses in (("private", [410, 404, 410]), ("tenant", [410, 410, 410])):
            session_id, key = make_session(actors["creator"], visibility), {"Idempotency-Key": visibility}
            post(actors["creator"], session_id, **key)
            actors["creator"].delete(f"sessions/{session_id}")
            found = [post(actors[actor], session_id, **key).status_code for actor in ("creator", "colleague", "admin")]
            assert found == statuses


@pytest.mark.parametrize(
    ("read", "headers"), [("turns/{0}?wait=20", {}), ("turns/{0}/events", {"Last-Event-ID": "1.1"})]
)
def test_a_wait_ends_with_404_when_the_session_becomes_private(
    actors: Actors, provider: FakeProvider, tenant: Tenant, read: str, headers: dict[str, str]
) -> None:
    shared = make_session(actors["creator"], "tenant")
    provider.add(moods.hold())
    turn_id = post(actors["creator"], shared, Prefer="respond-async").json()["id"]
    tenant.wait_for_requests(1)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(actors["colleague"].get, read.format(turn_id), headers=headers)
        eventually(lambda: tenant.row(WAITS, tenant.id)["active"])
        assert actors["creator"].patch(f"sessions/{shared}", json={"visibility": "private"}).status_code == 200
        assert answer.result().status_code == 404
    provider.release()
    tenant.wait_for(turn_id)
