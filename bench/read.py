"""Measure `GET /turns/{id}` of the API function against a bare FastAPI route with one SELECT behind Mangum.

    python -m bench.read                writes its table, from 500 reads of each side
    python -m bench.read --reads 100 --print

Both sides take turns in one run. The bare route knows no caller and no tenant, and answers no error. Both give the same
stored text of an ended turn.
"""

import argparse
import io
import json
import statistics
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import psycopg
from fastapi import FastAPI, Response
from mangum import Mangum

from bench import report
from bench.turn import WARM_UP, compare
from bench.world import KEYS, Case, Handler, World
from shared.names import API_PREFIX

CASE = Case("orchestrator, manager and 3", "orchestrator", KEYS[:3])
COLUMNS = ("route", "bare", "Pantheon", "ratio", "CPU ratio")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reads", type=int, default=500, help="reads per side (500)")
    parser.add_argument("--print", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    with World.start(CASE) as world, psycopg.connect(world.server_url, autocommit=True, prepare_threshold=0) as owner:
        times, cpu = _measure(world, _bare(owner), arguments.reads)
    bare, pantheon = map(statistics.median, times)
    figures = [f"{bare:.2f} ms", f"{pantheon:.2f} ms", f"{pantheon / bare:.2f}", f"{cpu[1] / cpu[0]:.2f}"]
    rows = [["GET /turns/{id}", *figures]]
    report.write("read", COLUMNS, rows, f"{arguments.reads} reads of each side", only_print=arguments.print)


def _measure(world: World, bare: Handler, reads: int) -> tuple[list[list[float]], list[float]]:
    from functions.api.handler import handler

    with redirect_stdout(io.StringIO()):
        taken = world.handler(world.app_url)(next(world.posts()), world.context)
        event = world.read_event(json.loads(taken["body"])["id"])
        sides = [partial(side, event, world.context) for side in (bare, handler)]
        answers = [side() for side in sides]
        assert answers[0]["body"] == answers[1]["body"] == taken["body"]
        compare(sides, WARM_UP, 200)
        return compare(sides, reads, 200)


def _bare(connection: psycopg.Connection[Any]) -> Handler:
    app = FastAPI()

    @app.get(API_PREFIX + "/turns/{turn_id}")
    async def read_turn(turn_id: str) -> Response:
        rows = connection.execute("SELECT response FROM turns WHERE id = %s", (turn_id,)).fetchall()
        return Response(rows[0][0], media_type="application/json")

    adapter: Any = Mangum(app, lifespan="off")
    handler: Handler = adapter
    return handler


if __name__ == "__main__":
    main()
