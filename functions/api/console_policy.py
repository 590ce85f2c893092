"""The headers that every answer below `/console` has: a strict policy for its page, and no trust in other sites."""

from collections.abc import Mapping
from typing import Final

from shared.console_settings import ConsoleSettings

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # The gateway compresses if the client can read that.
    "Vary": "Accept-Encoding",
}


def policy_headers(settings: ConsoleSettings) -> Mapping[str, str]:
    """Return the headers. The page may reach this API and the issuer, and nothing else."""
    directives = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        " ".join(("connect-src 'self'", *settings.origins)),
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
    return {"Content-Security-Policy": "; ".join(directives), **_HEADERS}
