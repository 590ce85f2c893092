"""Open psql on the local database as its owner, with the password from its file, for `pantheon psql`."""

import os
from collections.abc import Mapping
from typing import NoReturn

from local import environment, postgres
from local import postgres_access as access
from local import postgres_files as files
from shared.errors import PantheonError
from shared.names import LocalEnv


class PsqlError(Exception):
    """No local server runs. The text is one line."""


# The exceptions of `run`. Each text is written for the user.
PSQL_ERRORS = (PsqlError, postgres.PostgresError, PantheonError)


def run(environ: Mapping[str, str]) -> NoReturn:
    """Become psql, without the password in its arguments and its environment. Raises one of PSQL_ERRORS."""
    if environ.get(LocalEnv.DATABASE_URL):
        raise PsqlError(f"{LocalEnv.DATABASE_URL} names another database: connect to it with a psql of your own.")
    data_dir = (environment.data_dir(environ) / "postgres").resolve()
    if postgres.find(data_dir) is None:
        raise PsqlError(f"No PostgreSQL server runs on {data_dir}: start `pantheon run` first.")
    psql = files.find_programs(None) / "psql"
    address = ["--host=127.0.0.1", f"--port={files.read_port(data_dir / 'cluster')}", f"--username={access.OWNER}"]
    # libpq prefers PGPASSWORD and the like to a password file.
    told = {name: value for name, value in environ.items() if not name.startswith("PG")}
    told["PGPASSFILE"] = str(data_dir / access.PASSFILE)
    os.execve(psql, [str(psql), *address, "postgres"], told)  # noqa: S606 - no shell is the point
