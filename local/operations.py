"""Reaching a stack's database from outside of the stack, in the role for operations, whether the stack runs or not.

The rule this file protects: nothing is migrated and nothing is made; where there is no database, that is said.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from local import database, environment, postgres
from shared.errors import ConfigurationError
from shared.names import Env, LocalEnv


@contextmanager
def operations_url(environ: Mapping[str, str]) -> Iterator[str]:
    """The URL of PANTHEON_OPS_DATABASE_URL; else of the owner's database, or of the server in the data directory,
    which is started for as long as this lasts where no stack has done so. Raises ConfigurationError and
    PostgresError."""
    if url := environ.get(Env.OPS_DATABASE_URL):
        yield url
        return
    if owner := environ.get(LocalEnv.DATABASE_URL):
        yield database.role_urls(owner).ops
        return
    directory = environment.data_dir(environ) / "postgres"
    if not postgres.exists(directory):
        raise ConfigurationError(f"There is no database in {directory}: set {Env.OPS_DATABASE_URL}, or run Pantheon.")
    if running := postgres.find(directory):
        yield database.role_urls(running).ops
        return
    with postgres.start(directory) as server:
        yield database.role_urls(server.url).ops
