"""Tests the memory that `pantheon run` takes on this machine, with its own model."""

import sys
from pathlib import Path

import pytest

from bench import local
from tests.support.processes import eventually

# MB of PSS, all processes together.
AT_REST, BUSY = 600, 1000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what processes share")
def test_local_stack_takes_at_most_600_mb_at_rest_and_1_gb_under_eight_clients(tmp_path: Path) -> None:
    with local.run(tmp_path / "data") as running:
        swept = tmp_path / "data" / "log" / "sweeper.log"
        eventually(lambda: swept.stat().st_size)
        at_rest, of_model = local.memory_mb(running)
        assert 100 < of_model < at_rest <= AT_REST
        local.ask_at_once(running)
        busy, _ = local.memory_mb(running)
        assert at_rest < busy <= BUSY
