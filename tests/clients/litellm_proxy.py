"""Run the LiteLLM proxy with Pantheon as its only backend."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.clients.server import serving

# The proxy's own key, which is nobody's anywhere else.
MASTER_KEY: Final = "sk-of-the-proxy"
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
def litellm_proxy(address: str, directory: Path) -> Iterator[str]:
    """The proxy's address, once it answers. `address` is Pantheon's. Both end in /v1."""
    settings = directory / "config.yaml"
    settings.write_text(_CONFIG.format(address=address))
    options = ("--config", str(settings), "--telemetry", "False")
    # It would ask another machine for a list of prices.
    environ = {"LITELLM_MASTER_KEY": MASTER_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with serving("litellm/litellm", *options, health="/health/liveliness", directory=directory, environ=environ) as url:
        yield f"{url}/v1"
