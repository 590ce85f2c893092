"""A function has the same settings locally as on AWS."""

import pytest

from infra_cdk.entries import WITH_GRAPHS, Entry
from infra_cdk.settings import READS
from local import function_settings
from tests.infra.test_environment import aliases

LOCAL = [entry for entry in WITH_GRAPHS if entry.name in function_settings.READS]


@pytest.mark.parametrize("entry", LOCAL, ids=lambda entry: entry.name)
def test_local_function_gets_the_settings_that_it_reads_on_aws(entry: Entry) -> None:
    read = {name for name in set().union(*map(aliases, READS[entry.name])) if not name.endswith("DATABASE_URL")}
    assert function_settings.variables(entry.name) == read - (set() if entry.asks else function_settings.TO_ASK)


def test_functions_that_ask_models_are_the_same_locally_and_on_aws() -> None:
    assert {entry.name for entry in LOCAL if entry.asks} == function_settings.ASKS


def test_local_stack_runs_each_function_that_serves_or_works() -> None:
    elsewhere = {entry.name for entry in WITH_GRAPHS} - {entry.name for entry in LOCAL}
    assert elsewhere == {"reconciler", "jwks", "migrate"}
