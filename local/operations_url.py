"""Find a stack's database for the role for operations, whether the stack runs or not.

It migrates and creates nothing. Without a database it raises an error.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from local import database, environment, postgres
from shared.errors import ConfigurationError
from shared.names import Env, LocalEnv


@contextmanager
def operations_url(environ: Mapping[str, str]) -> Iterator[str]:
    """Return a URL from PANTHEON_OPS_DATABASE_URL, PANTHEON_DATABASE_URL or the server in the data directory.

    If no stack runs this server, it runs only in the block. Raises ConfigurationError and PostgresError."""
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
