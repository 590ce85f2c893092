"""Read a stage's catalog, and derive its needs: models on Bedrock, secrets, and ports of providers on the internet.

The layer of the catalog also contains the roster of new tenants. An unusable file is refused with one line before the
stack is made.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_

from infra_cdk.bedrock_models import BedrockModel
from infra_cdk.endpoints import HTTPS
from infra_cdk.layers import layer
from infra_cdk.stages import Stage
from shared.catalog import Catalog, Provider
from shared.catalog.file import read_catalog
from shared.errors import ConfigurationError
from shared.roster.file import read_roster
from shared.settings import CatalogSettings

ROOT: Final = Path(__file__).parents[1]
_NAME: Final = "catalog.toml"
# The path on Lambda.
DEPLOYED: Final = f"/opt/{_NAME}"
_ROSTER_NAME: Final = "roster.toml"
DEPLOYED_ROSTER: Final = f"/opt/{_ROSTER_NAME}"
_SECRET: Final = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_SECRET_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:secretsmanager:(?P<region>[a-z0-9-]+):\d{12}:secret:(?P<name>[A-Za-z0-9/_+=.@-]{1,519})"
)
# Secrets Manager adds a hyphen and six characters to each ARN. In a policy, ? is any one character.
_SUFFIX: Final = "-??????"


@dataclass(frozen=True)
class StageCatalog:
    """The catalog of a stage and its needs.

    Attributes:
        models: the models on Bedrock by id, each with the first alias that uses it.
        secrets: names or ARNs.
        ports: ports of providers on the internet.
        roster: the file of new tenants' agents and councils, if any.
    """

    file: Path
    known: Catalog
    models: Mapping[str, tuple[str, BedrockModel]]
    secrets: tuple[str, ...]
    ports: tuple[int, ...]
    roster: Path | None

    def secret_arns(self, stack: Stack) -> list[str]:
        """Return the ARN of each secret for a policy."""
        found = []
        for secret in self.secrets:
            arn = secret
            if not _SECRET_ARN.fullmatch(secret):
                arn = f"arn:{stack.partition}:secretsmanager:{stack.region}:{stack.account}:secret:{secret}{_SUFFIX}"
            elif not re.search(r"-[A-Za-z0-9]{6}$", secret):
                arn = f"{secret}{_SUFFIX}"
            found.append(arn)
        return found

    def layer(self, stack: Stack) -> lambda_.LayerVersion:
        """Make the layer with the files at `DEPLOYED` and `DEPLOYED_ROSTER`."""
        with TemporaryDirectory() as folder:
            shutil.copyfile(self.file, Path(folder) / _NAME)
            if self.roster is not None:
                shutil.copyfile(self.roster, Path(folder) / _ROSTER_NAME)
            return layer(stack, "Catalog", Path(folder))


def read(stage: Stage) -> StageCatalog:
    """Read the stage's catalog and roster. Raise ConfigurationError with one line that names the mistake."""
    file = ROOT / stage.catalog
    known = read_catalog(file)
    _check_helpers(file, known, stage)
    models: dict[str, tuple[str, BedrockModel]] = {}
    for alias, model in known.items():
        if model.kind == "bedrock":
            try:
                models.setdefault(model.model_id, (alias, BedrockModel.of(model.model_id, stage.region)))
            except ValueError as error:
                raise ConfigurationError(f"{file}: [aliases.{alias}] model_id {error}.") from None
    asked = {model.provider for model in known.values()}
    used = [each for name, each in known.providers.items() if name in asked]
    for provider in used:
        _check(file, provider, stage)
    away = [provider for provider in used if provider.kind == "openai_compatible"]
    _check_egress(file, away, stage)
    secrets = [each.api_key.removeprefix("secret:") for each in used if each.api_key is not None]
    ports = {urlsplit(each.base_url or "").port or HTTPS for each in away}
    roster = None if stage.roster is None else ROOT / stage.roster
    if roster is not None:
        read_roster(roster, known, stage.graphs.names if stage.graphs else ())
    return StageCatalog(file, known, models, tuple(dict.fromkeys(secrets)), tuple(sorted(ports)), roster)


def _check_helpers(file: Path, known: Catalog, stage: Stage) -> None:
    """Raise ConfigurationError unless the aliases of routing and summaries exist."""
    for name in ("routing_alias", "summary_alias"):
        alias = stage.settings.get(name, CatalogSettings.model_fields[name].default)
        if alias not in known:
            raise ConfigurationError(f"{file}: [aliases.{alias}] is missing; routing and summaries use it.")


def _check(file: Path, provider: Provider, stage: Stage) -> None:
    """Raise ConfigurationError unless functions of the stage can use the provider."""
    where = f"{file}: [providers.{provider.name}]"
    if provider.kind == "local":
        raise ConfigurationError(f"{where} kind 'local' is the model of `make run`, which a stage does not have.")
    if provider.region not in (None, stage.region):
        raise ConfigurationError(
            f"{where} region is {provider.region}; stage {stage.name} reaches Bedrock in {stage.region} only."
        )
    if provider.kind == "openai_compatible":
        _check_address(where, provider.base_url or "")
    if provider.api_key is not None:
        _check_key(where, provider.api_key, stage)


def _check_address(where: str, base_url: str) -> None:
    address = urlsplit(base_url)
    if address.scheme != "https":
        raise ConfigurationError(f"{where} base_url must begin with https:// on a stage.")
    if address.username is not None:
        raise ConfigurationError(f"{where} base_url must hold no name and no password; use api_key.")
    try:
        usable = address.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{where} base_url has no port from 1 to 65535.")


def _check_key(where: str, api_key: str, stage: Stage) -> None:
    """Raise ConfigurationError unless the key is one secret. The message does not repeat the key's source."""
    source, _, name = api_key.partition(":")
    if source != "secret":
        raise ConfigurationError(
            f"{where} api_key must be secret:NAME on a stage; the environment of a function holds no secrets."
        )
    arn = _SECRET_ARN.fullmatch(name)
    if arn is None and not _SECRET.fullmatch(name):
        raise ConfigurationError(f"{where} api_key must be secret: and the name or the ARN of one secret.")
    if arn is not None and arn["region"] != stage.region:
        raise ConfigurationError(
            f"{where} api_key is a secret in {arn['region']}; stage {stage.name} reads those in {stage.region} only."
        )


def _check_egress(file: Path, away: list[Provider], stage: Stage) -> None:
    """Raise ConfigurationError unless `egress` is set exactly if a provider needs it."""
    if away and stage.egress == "none":
        raise ConfigurationError(
            f"{file}: [providers.{away[0].name}] is on the internet; stage {stage.name} needs egress 'nat' or 'ipv6'."
        )
    if not away and stage.egress != "none":
        raise ConfigurationError(
            f"{file}: no provider is on the internet; stage {stage.name} needs egress 'none', not '{stage.egress}'."
        )
