"""Run the LiteLLM proxy with Pantheon as its only backend."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.clients.program import python_of
from tests.processes import eventually

# The proxy's own key, which is nobody's anywhere else.
MASTER_KEY: Final = "sk-of-the-proxy"
_START_S: Final = 90.0
# The proxy's SDK sends a request again, and says so. A retry by the proxy's router would be a new turn.
# Each client's request brings its Pantheon token, as `api_key`. Otherwise there is one key for all of them.
_CONFIG: Final = """
model_list:
  - model_name: "*"
    litellm_params:
      model: "openai/*"
      api_base: "{address}"
      api_key: "nobodys"
      configurable_clientside_auth_params: ["api_key"]
      max_retries: 2
router_settings:
  num_retries: 0
general_settings:
  forward_client_headers_to_llm_api: true
"""


@contextmanager
def litellm_proxy(address: str, directory: Path, config: str = _CONFIG) -> Iterator[str]:
    """The proxy's address, once it answers. `address` is Pantheon's, and ends in /v1."""
    settings = directory / "config.yaml"
    settings.write_text(config.format(address=address))
    port = _free_port()
    proxy = str(python_of("litellm").with_name("litellm"))
    command = [proxy, "--config", str(settings), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    environ = {
        "HOME": str(directory),
        "LITELLM_MASTER_KEY": MASTER_KEY,
        # Nothing is asked of other machines.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "NO_PROXY": "127.0.0.1",
        "PATH": "/usr/bin:/bin",
    }
    with (
        (directory / "proxy.log").open("w") as log,
        subprocess.Popen(command, env=environ, stdout=log, stderr=log) as process,
    ):
        try:
            eventually(lambda: _answers(port), _START_S)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/liveliness").status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
