"""Make the security headers of every answer below `/console`."""

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
