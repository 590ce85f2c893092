"""Draw the pictures of docs/console.md from a tenant with some turns: `make screenshots`."""

import json
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from local.stack import Stack
from tests.e2e.console.conftest import token_of
from tests.support.fake_provider import FakeProvider, moods
from tests.support.pages.console import ROOT, Console, opened
from tests.support.pages.talk import talk
from tests.support.stack.tenant import Tenant

PICTURES: Final = ROOT / "docs" / "console"
SIZE: Final = (1200, 840)
MOST_BYTES: Final = 90_000

QUESTION: Final = "Should our API put jobs on a queue, or write them to a table that the worker polls?"
ANSWERS: Final = {
    "Writer": "Use the table. The job and its data commit **together**, so no job is lost and none runs without its"
    " data. One worker that polls each second is enough for 50 jobs a minute.",
    "Researcher": "1. A table and its rows share one transaction (*certain*).\n2. A queue needs an outbox for the same"
    " promise (*certain*).\n3. Polling costs about 1 query per second and worker (*likely*).",
    "Critic": "The table is the simpler choice, but three points are weak: no limit for retries, no alarm for old"
    " jobs, and `SELECT` without `SKIP LOCKED` lets workers wait for each other.",
}
CONCLUSION: Final = (
    "**Write the jobs to a table.** The job commits with its data, and a queue would need an outbox for the same"
    " promise.\n\n- Claim jobs with `FOR UPDATE SKIP LOCKED`.\n- Stop after five attempts.\n- Raise an alarm when the"
    " oldest job waits for two minutes."
)
RANKINGS: Final = {"A, B": "AB", "A, C": "AC", "B, C": "CB"}
OTHERS: Final = {
    "Names for the billing page": "@writer Suggest three names for the page that shows what people pay.",
    "Incident of 12 November": "@researcher @critic What could have caused the slow exports?",
    "Release notes": "@writer @critic Turn these commits into release notes for users.",
}


@pytest.fixture
def drawn(chromium: Browser, stack: Stack, tenant: Tenant, provider: FakeProvider) -> Iterator[Console]:
    """A tab of an administrator whose tenant has asked a council and, before that, some agents."""
    tenant.make_agents("writer", "researcher", max_output_tokens=600)
    tenant.make_agents("critic", model_alias="deep", max_output_tokens=600)
    tenant.make_council("panel", "writer", "researcher", "critic")
    for title, message in OTHERS.items():
        body = {"title": title, "mode": "tag", "agent_keys": ["writer", "researcher", "critic"]}
        tenant.take(tenant.http.post("sessions", json=body).json()["id"], message)
    with opened(chromium, stack.url, SIZE) as console:
        console.sign_in(token_of(tenant))
        yield console
        assert console.faults == []


def answer(provider: FakeProvider) -> None:
    """Let the models answer at the pace of people who read. The Researcher's first call fails."""
    for letters, ranking in RANKINGS.items():
        reviewed = moods.ok(json.dumps({"ranking": list(ranking)}))
        provider.add(replace(reviewed, delivery="slow", seconds=0.9), when=f"letters once: {letters}")
    provider.add(moods.status(429, retry_after=0.5), when="You are Researcher,")
    for pace, (name, text) in zip((0.03, 0.04, 0.06), ANSWERS.items(), strict=True):
        provider.add(moods.paced(text, pace), when=f"You are {name},")
    provider.add(moods.paced(CONCLUSION, 0.03), when="You are Writer,")


def test_draw(drawn: Console, tenant: Tenant, provider: FakeProvider) -> None:
    answer(provider)
    body = {"title": "Queue or table for jobs?", "council_key": "panel"}
    session_id = tenant.http.post("sessions", json=body).json()["id"]
    asked = talk(drawn, session_id)
    asked.send(QUESTION)
    asked.ended()
    expect(asked.replies.first).to_contain_text("Raise an alarm")
    drawn.page.reload()
    asked.ended()
    drawn.main.evaluate("main => main.scrollTo({top: 0})")
    draw(drawn, "conversation")
    (turn,) = tenant.http.get(f"sessions/{session_id}/turns").json()["items"]
    drawn.open(f"#/turns/{turn['id']}")
    expect(drawn.main.get_by_role("table", name="Who ranked whom")).to_be_attached()
    draw(drawn, "turn")
    drawn.open("#/usage?by=agent")
    expect(drawn.main.get_by_role("table", name="Usage by agent")).to_be_attached()
    draw(drawn, "usage")


def draw(console: Console, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    picture: Path = PICTURES / f"{name}.png"
    # Without the focus, no box has a ring.
    console.page.evaluate("document.activeElement.blur()")
    drawn = console.page.screenshot(animations="disabled", caret="hide")
    # Two hundred colours look the same and take half the space.
    Image.open(BytesIO(drawn)).convert("RGB").quantize(200, dither=Image.Dither.NONE).save(picture, optimize=True)
    assert picture.stat().st_size < MOST_BYTES
