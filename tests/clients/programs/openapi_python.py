"""Post a turn by the client that openapi-python-client has generated, and print what it read as JSON."""

import json
import os
import sys

from pantheon_client import AuthenticatedClient
from pantheon_client.api.service import read_caller
from pantheon_client.api.sessions import create_session
from pantheon_client.api.turns import post_turn
from pantheon_client.models import GatewayMessage, NewSession, NewTurn, SessionView, TurnView

url = os.environ["PANTHEON_URL"]
client = AuthenticatedClient(base_url=url, token=os.environ["PANTHEON_TOKEN"])
made = create_session.sync(client=client, body=NewSession(agent_keys=["writer"]))
assert isinstance(made, SessionView), made
posted = post_turn.sync_detailed(made.id, client=client, body=NewTurn(message="hello"), idempotency_key="generated")
assert isinstance(posted.parsed, TurnView), posted
unknown = read_caller.sync_detailed(client=AuthenticatedClient(base_url=url, token="nonsense"))
assert isinstance(unknown.parsed, GatewayMessage), unknown
said = {
    "output": posted.parsed.output,
    "location": posted.headers["location"],
    "refused": {"status": unknown.status_code, "refusal": unknown.parsed.message},
}
sys.stdout.write(json.dumps(said))
