"""A function has the same settings locally as on AWS."""

import pytest

from infra_cdk.entries import WITH_GRAPHS, Entry
from infra_cdk.settings import READS
from local import told
from tests.infra.test_environment import aliases

LOCAL = [entry for entry in WITH_GRAPHS if entry.name in told.READS]


@pytest.mark.parametrize("entry", LOCAL, ids=lambda entry: entry.name)
def test_a_function_is_told_what_it_reads_on_aws(entry: Entry) -> None:
    read = {name for name in set().union(*map(aliases, READS[entry.name])) if not name.endswith("DATABASE_URL")}
    assert told.variables(entry.name) == read - (set() if entry.asks else told.TO_ASK)


def test_the_same_functions_ask_models() -> None:
    assert {entry.name for entry in LOCAL if entry.asks} == told.ASKS


def test_every_function_that_serves_or_works_runs_on_a_developers_machine() -> None:
    elsewhere = {entry.name for entry in WITH_GRAPHS} - {entry.name for entry in LOCAL}
    assert elsewhere == {"reconciler", "jwks", "migrate"}
