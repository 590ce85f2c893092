"""Tests how a stage's roster is read and exported."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.deployment import Deployment, DeploymentError
from local.roster import toml
from local.roster.entries import Place
from local.roster.file import read_fields
from local.roster.plan import make_plan
from local.roster.stage import read_entries, read_stage
from tests.support.fake_stage import URL, FakeStage
from tests.support.rosters import agent, council

ODD = st.sampled_from("\"\\\n\r\t'#= \x1b\x7f\x85\u2028\u200d\u202e[]{}")
# No NUL, and no lone surrogate: the stage stores neither.
PROMPTS = st.text(
    st.one_of(ODD, st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=30
)
NAMES = st.text(st.sampled_from("Aé'\"\\#[]= 名Ω😀"), min_size=1, max_size=9).filter(str.strip)
AGENTS = st.builds(
    agent,
    name=NAMES,
    role_prompt=PROMPTS,
    max_output_tokens=st.none() | st.integers(1, 4096),
    temperature=st.none() | st.floats(0, 2),
    enabled=st.booleans(),
)


def exported(stage: FakeStage) -> str:
    entries = read_entries(stage.deployment())
    return toml.document({f"{place.group}.{place.key}": stored.fields for place, stored in entries.items()})


@given(AGENTS, AGENTS, NAMES, st.sampled_from([None, "writer", "critic"]))
def test_an_export_applied_again_changes_nothing(
    writer: dict[str, Any], critic: dict[str, Any], name: str, chair: str | None
) -> None:
    board = council(name=name, chair_key=chair)
    stage = FakeStage(agents__writer=writer, agents__critic=critic, councils__board=board)
    with TemporaryDirectory() as folder:
        path = Path(folder, "roster.toml")
        path.write_bytes(exported(stage).encode())
        plan = make_plan(path, read_fields(path), read_stage(stage.deployment()))
    assert (plan.changes, plan.unchanged) == ((), 3)


def test_export_has_the_same_order_for_every_order_of_the_stage() -> None:
    one = FakeStage(agents__writer=agent(), agents__critic=agent(), councils__board=council())
    other = FakeStage(councils__board=council(), agents__critic=agent(), agents__writer=agent())
    assert exported(one) == exported(other)
    assert [str(place) for place in read_entries(one.deployment())] == [
        str(Place("agents", "critic")),
        str(Place("agents", "writer")),
        str(Place("councils", "board")),
    ]


@pytest.mark.parametrize(
    "item",
    [
        {"key": "writer"},
        "writer",
        {"key": "writer", **agent(), "version": "x"},
        {"key": "writer", **agent(), "version": float("inf")},
        {"key": "writer", **agent(role_prompt={"a": 1}), "version": 1},
        {"key": "x]\n[agents.y", **agent(), "version": 1},
        {"key": 7, **agent(), "version": 1},
        None,
    ],
)
def test_answer_of_another_shape_is_refused_in_one_line(item: object) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=json.dumps({"items": [item], "next_cursor": None}))

    http = httpx.Client(base_url=f"{URL}/api/v1/", transport=httpx.MockTransport(answer))
    with pytest.raises(DeploymentError, match="does not answer as this release of Pantheon does"):
        read_stage(Deployment(URL, http))
    with pytest.raises(DeploymentError, match="does not answer as this release of Pantheon does"):
        read_entries(Deployment(URL, http))
