"""Tests many clients at once: a session runs one turn at a time, a key makes one turn, and refusals cost nothing."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice
from threading import Barrier

import httpx

from tests.support.fake_provider import FakeProvider, moods
from tests.support.stack.tenant import Tenant


@contextmanager
def posted_at_once(
    tenant: Tenant, session_ids: list[str], message: str, key: str | None = None
) -> Iterator[list["Future[httpx.Response]"]]:
    """Post to each of these sessions at the same moment. Returns the future answers."""
    start = Barrier(len(session_ids))

    def post(session_id: str) -> httpx.Response:
        start.wait()
        return tenant.post(session_id, message, key)

    with ThreadPoolExecutor(len(session_ids)) as threads:
        yield [threads.submit(post, session_id) for session_id in session_ids]


def assert_all_requests_are_of(tenant: Tenant, turn_id: str) -> None:
    """Check that this turn is the tenant's only one, and that every request to the provider is a call of it."""
    assert str(tenant.row("SELECT id FROM turns WHERE tenant_id = %s", tenant.id)["id"]) == turn_id
    calls = [str(call["call_id"]) for call in tenant.calls(turn_id)]
    assert [request.client_request_id for request in tenant.requests] == calls


def test_sixteen_posts_to_a_session_at_once_make_one_turn_and_fifteen_conflicts(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.hold(), times=None)
    with posted_at_once(tenant, [session_id] * 16, "@writer @critic hello") as answers:
        # Fifteen are refused while the provider still works on the first call of the accepted turn.
        conflicts = [answer.result() for answer in islice(as_completed(answers), 15)]
        provider.release()
    assert Counter(answer.result().status_code for answer in answers) == {201: 1, 409: 15}
    (turn,) = (answer.result().json() for answer in answers if answer.result().status_code == 201)
    for conflict in conflicts:
        assert (conflict.json()["code"], conflict.json()["active_turn_id"]) == ("turn_conflict", turn["id"])
        assert int(conflict.headers["Retry-After"]) >= 1
    assert_all_requests_are_of(tenant, turn["id"])


def test_one_key_from_eight_clients_at_once_makes_one_turn_that_all_read(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.hold(), times=None)
    with posted_at_once(tenant, [session_id] * 8, "@writer @critic hello", "once") as answers:
        waiting = [answer.result() for answer in islice(as_completed(answers), 7)]
        provider.release()
    # One request runs the turn. The others get the running turn instead of a conflict.
    assert Counter(answer.result().status_code for answer in answers) == {201: 1, 202: 7}
    (first,) = (answer.result() for answer in answers if answer.result().status_code == 201)
    assert {answer.json()["id"] for answer in waiting} == {first.json()["id"]}
    with posted_at_once(tenant, [session_id] * 8, "@writer @critic hello", "once") as replays:
        pass
    assert {(replay.result().status_code, replay.result().content) for replay in replays} == {(201, first.content)}
    assert_all_requests_are_of(tenant, first.json()["id"])


def test_one_key_for_eight_sessions_at_once_makes_one_turn(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.hold(), times=None)
    session_ids = [session_id, *(tenant.make_session("writer") for _ in range(7))]
    with posted_at_once(tenant, session_ids, "@writer hello", "once") as answers:
        refused = [answer.result() for answer in islice(as_completed(answers), 7)]
        provider.release()
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(422, "idempotency_key_reused")}
    (turn,) = (answer.result().json() for answer in answers if answer.result().status_code == 201)
    assert_all_requests_are_of(tenant, turn["id"])


def test_sixteen_sessions_at_once_do_not_wait_for_each_other(
    tenant: Tenant, session_id: str, provider: FakeProvider
) -> None:
    provider.add(moods.hold(), times=None)
    session_ids = [session_id, *(tenant.make_session("writer") for _ in range(15))]
    with posted_at_once(tenant, session_ids, "@writer hello") as answers:
        # All sixteen calls are at the provider at the same time.
        tenant.wait_for_requests(16)
        provider.release()
    assert {answer.result().status_code for answer in answers} == {201}
    assert len(tenant.requests) == 16


def test_the_same_agent_made_sixteen_times_at_once_is_made_once(tenant: Tenant) -> None:
    start = Barrier(16)
    body = {"key": "writer", "name": "Writer", "role_prompt": "You write.", "model_alias": "fast"}

    def make(_: int) -> int:
        start.wait()
        return tenant.http.post("agents", json=body).status_code

    with ThreadPoolExecutor(16) as threads:
        assert Counter(threads.map(make, range(16))) == {201: 1, 409: 15}
