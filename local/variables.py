"""List the environment variables of `pantheon run` for its help."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shared.names import Env, LocalEnv

VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        LocalEnv.PORT: "the port on 127.0.0.1 (8000)",
        LocalEnv.DATA_DIR: "the folder of the database, the keys and the logs (.pantheon)",
        LocalEnv.HOSTS: "host names of a proxy in front, with commas; other names than this machine's are refused",
        LocalEnv.DATABASE_URL: "the owner's URL of a PostgreSQL 18 database; unset: a server that Pantheon starts",
        Env.CATALOG: "the path of a TOML file with your models; it overrides the next three variables",
        Env.LLM_PROVIDER: "local, openai, bedrock or scripted (local, or openai if a base URL is set)",
        Env.LLM_BASE_URL: "any OpenAI-compatible endpoint, ending in /v1",
        Env.LLM_API_KEY: "the key of this endpoint",
        Env.TURN_SECONDS: "seconds until the worker takes over a posted turn (240)",
        Env.MAX_CALL_S: "the most seconds of one model call, for every alias",
        Env.TENANT_CLAIM: "the claim of a token that names the tenant (tenant_id)",
        Env.ROLES_CLAIM: "the claim of a token that lists the roles (roles)",
        Env.OPERATOR_ROLE: "the role that operates this deployment (operator)",
        Env.TENANT_OF_ONE: "true: a user without a tenant gets a tenant of their own (false)",
        Env.CORS_ORIGINS: "origins whose pages may read answers, with commas (localhost, any port)",
        Env.CONSOLE_ISSUER: "the issuer that signs users in to the console (none: use the printed link)",
        Env.CONSOLE_CLIENT_ID: "the console's public client at this issuer, with PKCE",
        Env.ROSTER: "the path of a TOML file with the agents and councils of each new tenant (the demo's)",
        Env.GRAPHS: "graphs of LangGraph, name=module:attribute with commas; needs `make graphs-setup`",
        Env.DEFAULT_CAP_USD: "USD that a tenant may spend in a month, unless the operator sets its cap (100)",
        Env.PLATFORM_ALLOWANCE_USD: "USD that the platform pays for one tenant in a month (5)",
    }
)
