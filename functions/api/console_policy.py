"""Make the security headers of every answer below `/console` and `/docs`."""

from collections.abc import Mapping
from typing import Final

from shared.console_settings import ConsoleSettings

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # The gateway compresses answers for clients that accept it.
    "Vary": "Accept-Encoding",
}


def policy_headers(settings: ConsoleSettings) -> Mapping[str, str]:
    """Return the headers. The page may connect only to this API and to the issuer."""
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


# Redoc writes its styles into the page, and searches in a worker that it makes of its own script.
_REFERENCE: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "worker-src blob:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)
REFERENCE_HEADERS: Final[Mapping[str, str]] = {"Content-Security-Policy": "; ".join(_REFERENCE), **_HEADERS}
