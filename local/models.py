"""List the models of the catalog, try them, and look up prices, for `pantheon models`."""

import argparse
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from local import environment, model
from shared.catalog import Catalog, Model, Provider, build
from shared.domain.money import cost, format_usd
from shared.errors import ConfigurationError
from shared.llm.port import Completion, Message, Request
from shared.llm.providers import Providers, connect
from shared.names import Env
from shared.settings import aws_environment

if TYPE_CHECKING:
    from rich.console import Console

_QUESTION: Final = "Answer with the one word: ready"
# Enough for a model that thinks first.
_MOST_TOKENS: Final = 512
_WORD: Final = 40


class ModelsError(Exception):
    """The price list does not know the model. The text is one line."""


# The exceptions of `run`. Each text is written for the user.
MODELS_ERRORS: Final = (ModelsError, ConfigurationError, model.ModelError)


def add_parser(commands: Any) -> None:
    models = commands.add_parser(
        "models",
        help="list the models of the catalog, try them, look up a price",
        description="List the models of the catalog: the file of PANTHEON_CATALOG, or the packaged one of "
        "PANTHEON_LLM_PROVIDER.",
    )
    actions = models.add_subparsers(dest="action", metavar="action")
    check = actions.add_parser(
        "check",
        help="ask each alias for one word, and show its answer, its cost and the provider's message",
        description="Ask each alias for one word. The calls cost money at the provider and are charged to no tenant. "
        "The exit code is 1 if an alias does not answer.",
    )
    check.add_argument("alias", nargs="*", help="the aliases to ask (all)")
    price = actions.add_parser(
        "price",
        help="look up the price of a model",
        description="Look up a model in the price list of genai-prices, and print lines for a catalog.",
    )
    price.add_argument("model", help="the provider's id of the model, such as gpt-5-mini")
    price.add_argument("--provider", help="the provider in the price list, such as openai or aws")


def run(given: argparse.Namespace, environ: Mapping[str, str], console: "Console") -> bool:
    """Run the command, and return whether every alias answered. Raises one of MODELS_ERRORS."""
    if given.action == "price":
        console.out(price(given.model, given.provider), highlight=False)
        return True
    settings = environment.read(environ)
    if given.action != "check":
        _list(settings.catalog, console)
    for line in warnings(settings):
        console.out(line, highlight=False)
    return given.action != "check" or _check(settings, given.alias, console)


def _list(catalog: Catalog, console: "Console") -> None:
    heads = ("alias", "provider", "model", "window", "most output", "input", "output", "fallback")
    rows = [heads, *(_row(each) for each in catalog.values())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        console.out("  ".join(map(str.ljust, row, widths)).rstrip(), highlight=False)
    console.out("Windows are in tokens, prices in USD per million tokens.", highlight=False)


def _row(each: Model) -> tuple[str, ...]:
    sizes = (str(each.context_window), str(each.max_output_tokens))
    prices = (format_usd(each.rates.input), format_usd(each.rates.output))
    return (each.alias, each.provider, each.model_id, *sizes, *prices, each.fallback_alias or "-")


def warnings(settings: environment.Environment) -> Iterator[str]:
    """Yield a line for ignored variables, and a line for each fault of a provider that needs no call to be found."""
    catalog = settings.catalog
    if settings.ignored:
        yield f"Warning: {Env.CATALOG} is set, so these variables are ignored: {', '.join(settings.ignored)}."
    for name, provider in catalog.providers.items():
        aliases = ", ".join(each.alias for each in catalog.values() if each.provider == name)
        for fault in _faults(provider) if aliases else ():
            yield f"Warning: [providers.{name}] {fault}. Aliases: {aliases}."


def _faults(provider: Provider) -> Iterator[str]:
    if provider.kind == "bedrock":
        import boto3

        session = boto3.session.Session(region_name=provider.region or aws_environment().region)
        if session.region_name is None:
            yield "there is no AWS Region: set region in the catalog, or AWS_REGION"
        if session.get_credentials() is None:
            yield "there are no AWS credentials"
    if provider.kind == "openai_compatible" and provider.base_url is not None:
        if provider.base_url.rstrip("/").endswith("/chat/completions"):
            yield "base_url must end before /chat/completions, which every request adds"
        elif "/v1" not in provider.base_url:
            yield "base_url has no /v1, which most servers want"
        if provider.api_key is None and provider.base_url.startswith("https://"):
            yield "there is no api_key"


@dataclass(frozen=True)
class _Said:
    alias: Model
    provider: Provider
    completion: Completion

    @property
    def answered(self) -> bool:
        return self.completion.error is None and bool(self.completion.text.strip())

    def line(self) -> str:
        """Return the answer with its cost, or the error with the provider's message."""
        if self.answered:
            word = " ".join(self.completion.text.split())[:_WORD]
            return f'ok      {self.alias.alias}: "{word}", {self._cost()}'
        reason = self.completion.error or "an empty answer"
        billed = "" if self.completion.status == "unbilled" else f" ({self._cost()})"
        said = f": {self.completion.provider_message}" if self.completion.provider_message else ""
        place = self._place() if reason == "unavailable" and self.provider.base_url else ""
        return f"FAILED  {self.alias.alias}: {reason}{billed}{said}{place}"

    def _cost(self) -> str:
        if self.completion.status == "unknown":
            return "the cost is unknown"
        usage = self.completion.usage
        tokens = f"{usage.prompt_tokens} + {usage.output_tokens + usage.reasoning_tokens} tokens"
        return f"{tokens}, {format_usd(cost(self.alias.rates, usage))} USD"

    def _place(self) -> str:
        """Return the server's address without user and path, which may hold a secret."""
        url = urlsplit(self.provider.base_url or "")
        return f" [providers.{self.provider.name}] is at {url.scheme}://{url.netloc.rpartition('@')[2]}."


def _check(settings: environment.Environment, wanted: list[str], console: "Console") -> bool:
    if unknown := [alias for alias in wanted if alias not in settings.catalog]:
        raise ConfigurationError(f"There is no alias '{unknown[0]}'; there are {', '.join(settings.catalog)}.")
    answered = True
    # The printed line has the provider's message, so the log must not repeat it.
    logging.getLogger("shared").addHandler(logging.NullHandler())
    with _providers(settings) as (providers, catalog):
        for alias in wanted or catalog:
            asked = catalog[alias]
            said = _Said(asked, catalog.providers[asked.provider], providers.complete(_question(asked)))
            answered = answered and said.answered
            console.out(said.line(), highlight=False)
    return answered


@contextmanager
def _providers(settings: environment.Environment) -> Iterator[tuple[Providers, Catalog]]:
    """Connect the providers, and run the local model in the block if the catalog needs it."""
    with ExitStack() as resources:
        values = dict(settings.functions)
        if settings.needs_model:
            folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
            started = resources.enter_context(model.start(folder / "model.log"))
            values |= {Env.LOCAL_MODEL_URL: started.base_url, Env.LOCAL_MODEL_KEY: started.api_key}
        catalog = build(environment.catalog_settings(values))
        yield connect(catalog, values.get), catalog


def _question(alias: Model) -> Request:
    tokens = min(_MOST_TOKENS, alias.max_output_tokens)
    return Request(str(uuid4()), str(uuid4()), alias, (Message("user", _QUESTION),), tokens)


def price(model_id: str, provider_id: str | None) -> str:
    """Return lines for a catalog with the model's window and rates. Raises ModelsError."""
    import genai_prices
    from genai_prices import data_snapshot

    try:
        provider, found = data_snapshot.get_snapshot().find_provider_model(model_id, None, provider_id, None)
    except LookupError:
        raise ModelsError(f"The price list has no model '{model_id}'; --provider names where to look.") from None
    prices = found.prices if not isinstance(found.prices, list) else found.prices[-1].prices
    rates = {
        "input": prices.input_mtok,
        "output": prices.output_mtok,
        "cache_read": prices.cache_read_mtok or prices.input_mtok,
        "cache_write": prices.cache_write_mtok or prices.input_mtok,
        "cache_write_1h": getattr(prices, "cache_write_1h_mtok", None),
    }
    tiered = [name for name, rate in rates.items() if hasattr(rate, "base")]
    lines = [
        f"# {provider.id}, {found.id}, by genai-prices {genai_prices.__version__}; USD per million tokens.",
        *([f"# A longer prompt costs more: {', '.join(tiered)}. These are the lowest rates."] if tiered else []),
        f'model_id = "{model_id}"',
        *([f"context_window = {found.context_window}"] if found.context_window else []),
        f"rates = {{ {', '.join(_written(name, rate) for name, rate in rates.items() if rate is not None)} }}",
    ]
    return "\n".join(lines)


def _written(name: str, rate: Any) -> str:
    return f'{name} = "{getattr(rate, "base", rate)}"'
