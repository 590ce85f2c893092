"""Tests that each page's commands work unchanged and print the output that the page shows."""

from pathlib import Path

import pytest

from local.stack import Stack
from tests.support.fake_provider import Mood, Received, moods
from tests.support.page_commands import PAGES, Ran, is_shown, read_blocks, run_blocks, run_page, shown_below
from tests.support.stack.tenant import Tenant

# A page cancels this turn while it runs. A real model also needs seconds for an answer.
LONG = "Plan everything."
LONG_S = 3.0
RUN = [page for page in PAGES if any(block.runs for block in read_blocks(page))]


@pytest.fixture
def demo(tenant: Tenant) -> Tenant:
    """A new tenant with the agents and the council of the demo."""
    tenant.make_agents("writer", "researcher", "critic", "planner")
    tenant.make_council("panel", "writer", "researcher", "critic", chair_key="writer")
    tenant.provider.answer_with(slow_if_long)
    return tenant


def slow_if_long(received: Received) -> Mood | None:
    return moods.slow(LONG_S) if LONG in received.text_of("user") else None


@pytest.mark.parametrize("page", RUN)
def test_commands_of_a_page_succeed_and_print_what_it_shows(
    page: str, stack: Stack, demo: Tenant, tmp_path: Path
) -> None:
    ran = {each.block: each for each in run_page(page, stack, stack.token(tenant=demo.id), tmp_path)}
    for each in ran.values():
        assert_statuses(each)
    for block, shown in shown_below(page):
        assert is_shown(shown, ran[block].printed), f"{block.section}: {ran[block].printed}"


def assert_statuses(ran: Ran) -> None:
    """Check that every request succeeds, except the last one if the block names another status."""
    assert bool(ran.statuses) == ("curl " in ran.block.text), ran
    *before, last = ran.statuses or ["200"]
    assert all(status.startswith("2") for status in before), ran
    assert last.startswith(ran.block.status), ran


def test_a_command_that_fails_names_its_section(stack: Stack, demo: Tenant, tmp_path: Path) -> None:
    (first, *_) = [block for block in read_blocks("docs/api.md") if block.runs]
    with pytest.raises(AssertionError, match=first.section):
        run_blocks([first, type(first)(first.section, "sh", "false\n")], stack, stack.token(tenant=demo.id), tmp_path)
