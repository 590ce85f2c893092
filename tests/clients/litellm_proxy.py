"""Run the LiteLLM proxy with Pantheon as its only backend."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.clients.page import ADDRESS, block
from tests.clients.server import serving

# The proxy's own key, which is nobody's anywhere else.
MASTER_KEY: Final = "sk-of-the-proxy"
_KEY: Final = 'api_key: "os.environ/PANTHEON_TOKEN"'
# The tests have many tenants: each request brings its Pantheon token, as `api_key`.
_KEY_OF_EACH: Final = """api_key: "nobodys"
      configurable_clientside_auth_params: ["api_key"]"""


@contextmanager
def litellm_proxy(address: str, directory: Path) -> Iterator[str]:
    """The proxy's address, once it answers, with the settings of docs/clients.md. `address` is Pantheon's. Both end in
    /v1."""
    documented = block("LiteLLM", "yaml")
    assert _KEY in documented
    settings = directory / "config.yaml"
    settings.write_text(documented.replace(f"{ADDRESS}/v1", address).replace(_KEY, _KEY_OF_EACH))
    options = ("--config", str(settings), "--telemetry", "False")
    # It would ask another machine for a list of prices.
    environ = {"LITELLM_MASTER_KEY": MASTER_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with serving("litellm/litellm", *options, health="/health/liveliness", directory=directory, environ=environ) as url:
        yield f"{url}/v1"
