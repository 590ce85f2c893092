"""Lists catalogs of other stages as text, and the stages that have them."""

from dataclasses import replace
from pathlib import Path

from infra_cdk.stage import ALL_REACHED
from infra_cdk.stages import DEV, Egress, Stage
from tests.support.templates.assembly import synthesised
from tests.support.templates.template import Template

# Like dev, with a private endpoint of each service, so that only a provider needs a way to the internet.
CLOSED = replace(DEV, endpoints=ALL_REACHED)
BEDROCK = '[providers.bedrock]\nkind = "bedrock"\n'
SECRET = "pantheon/vendor"
VENDOR = f"""
[providers.vendor]
kind = "openai_compatible"
base_url = "https://models.example.org/v1"
api_key = "secret:{SECRET}"
"""
PROFILE = "global.amazon.nova-2-lite-v1:0"


def alias(name: str, provider: str, model_id: str = "model-1") -> str:
    return f"""
[aliases.{name}]
provider = "{provider}"
model_id = "{model_id}"
context_window = 64_000
max_output_tokens = 4096
rates = {{ input = "3", output = "15", cache_read = "0.3", cache_write = "3.75" }}
"""


BOTH = BEDROCK + VENDOR + alias("fast", "bedrock", PROFILE) + alias("deep", "vendor")
AWAY = VENDOR + alias("fast", "vendor") + alias("deep", "vendor", "model-2")
# It asks nobody.
SCRIPTED = '[providers.scripted]\nkind = "scripted"\n' + alias("fast", "scripted")


def with_catalog(text: str, folder: Path, egress: Egress = "none", stage: Stage = CLOSED) -> Stage:
    """The stage with a catalog of this text, which is written to `folder`."""
    file = folder / f"{stage.name}.toml"
    file.write_text(text)
    return replace(stage, catalog=str(file), egress=egress)


def with_roster(text: str, folder: Path, catalog: str = SCRIPTED) -> Stage:
    """A stage like dev with a roster of this text, which is written to `folder`."""
    file = folder / "tenants.toml"
    file.write_text(text)
    return replace(with_catalog(catalog, folder), roster=str(file))


def template_of(text: str, folder: Path, egress: Egress = "none") -> Template:
    """The template of a stage like dev."""
    return synthesised(with_catalog(text, folder, egress), folder)
