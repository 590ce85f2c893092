"""Find the licence of each package in the bundle, and decide which licences the bundle may contain."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageMetadata
from pathlib import Path
from typing import Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

# Licences that only require their text and the holders' names to stay with the package.
PERMISSIVE: Final = frozenset(
    {
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSD-Attribution-HPND-disclaimer",
        "MIT",
        "MIT-0",
        "OLDAP-2.8",
        "PSF-2.0",
        "PostgreSQL",
        "Unicode-3.0",
        "Unicode-DFS-2016",
        "Zlib",
    }
)
# Licences with a condition on distribution, and how the bundle meets it. NOTICE prints this.
CONDITIONS: Final = {
    "LGPL-3.0-only": "Python imports the unmodified package from its own folder at run time. You can replace that "
    "folder in the layer. The source is the source distribution of the same version. The licence's text is in the "
    "layer.",
    "LGPL-2.1-or-later": "The unmodified library is a file of its own, which is linked at run time. You can replace it "
    "in the layer. The source is AlmaLinux's source package of the version that is named here.",
    "LGPL-2.0-or-later": "As LGPL-2.1-or-later.",
    "MPL-2.0": "The package is unmodified, and its files are their own source.",
}
# Licences of packages without an SPDX expression in their metadata, from their files.
_STATED: Final = {
    "awslambdaric": "Apache-2.0",
    "mangum": "MIT",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "s3transfer": "Apache-2.0",
    "snapshot-restore-py": "Apache-2.0",
}
_COPYRIGHT: Final = re.compile(r"(portions |modifications )?copyright (\(c\)|©|\d)", re.IGNORECASE)
_ADDRESS: Final = re.compile(r" <\S+@\S+>")
# It holds the copyright of licence texts only, not of a package.
_NO_HOLDER: Final = "Free Software Foundation"


class UnknownLicence(Exception):
    """A package's licence is unknown, or the bundle may not contain it."""


@dataclass(frozen=True)
class Native:
    """A C library in wheels that do not state its licence. `files` matches its shared objects."""

    name: str
    licence: str
    files: re.Pattern[str]
    version: re.Pattern[bytes] | None = None


NATIVE: Final = (
    Native("cyrus-sasl-lib", "BSD-Attribution-HPND-disclaimer", re.compile(r"libsasl2-")),
    Native("keyutils-libs", "LGPL-2.0-or-later", re.compile(r"libkeyutils-")),
    Native(
        "krb5",
        "MIT",
        re.compile(r"lib(gssapi_krb5|k5crypto|krb5|krb5support)-|libcom_err-\w+\.so\.3"),
        re.compile(rb"krb5-(\d+(?:\.\d+)+)-final"),
    ),
    Native("libcom_err", "MIT", re.compile(r"libcom_err-\w+\.so\.2")),
    Native("libxcrypt", "LGPL-2.1-or-later", re.compile(r"libcrypt-")),
    Native("openldap", "OLDAP-2.8", re.compile(r"lib(lber|ldap)-")),
    Native("openssl", "Apache-2.0", re.compile(r"lib(crypto|ssl)-"), re.compile(rb"OpenSSL (\d+\.\d+\.\d+)")),
    Native("postgresql", "PostgreSQL", re.compile(r"libpq-")),
)


def of_distribution(name: str, metadata: PackageMetadata) -> str:
    """Return the SPDX expression of a Python package.

    Raises: UnknownLicence, if its metadata and this module have none."""
    # Read only existing keys, because later versions of Python raise for a missing one.
    said = {key: metadata[key] for key in ("License-Expression", "License") if key in metadata}
    for stated in (said.get("License-Expression"), _STATED.get(name), said.get("License")):
        if stated:
            try:
                return str(canonicalize_license_expression(stated))
            except InvalidLicenseExpression:
                break
    raise UnknownLicence(
        f"{name}: no SPDX expression in its metadata. Read its files and add it to infra_cdk/licences.py."
    )


def of_part(name: str, stated: str | None) -> str:
    """Return the SPDX expression of a library in a wheel.

    Raises: UnknownLicence, if the wheel and `NATIVE` have none."""
    known = {native.name: native.licence for native in NATIVE}
    if licence := stated or known.get(name):
        return licence
    raise UnknownLicence(f"{name}: the wheel does not say its licence. Find it and add it to infra_cdk/licences.py.")


def native(file: str) -> Native:
    """Return the library that a shared object belongs to.

    Raises: UnknownLicence, if `NATIVE` does not know the file."""
    for library in NATIVE:
        if library.files.match(file):
            return library
    raise UnknownLicence(f"{file}: a library that infra_cdk/licences.py does not know.")


def conditions(expression: str) -> frozenset[str] | None:
    """Return the keys of `CONDITIONS` to meet, or None if the bundle may not contain the licence."""
    tokens = re.findall(r"[()]|[\w.+-]+(?: WITH [\w.+-]+)?", expression)
    met = _any(tokens)
    return None if tokens else met


def _any(tokens: list[str]) -> frozenset[str] | None:
    choices = [_all(tokens)]
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        choices.append(_all(tokens))
    allowed = [choice for choice in choices if choice is not None]
    return min(allowed, key=len) if allowed else None


def _all(tokens: list[str]) -> frozenset[str] | None:
    met = _one(tokens)
    while tokens and tokens[0] == "AND":
        tokens.pop(0)
        more = _one(tokens)
        met = None if met is None or more is None else met | more
    return met


def _one(tokens: list[str]) -> frozenset[str] | None:
    word = tokens.pop(0) if tokens else ""
    if word == "(":
        met = _any(tokens)
        return met if tokens and tokens.pop(0) == ")" else None
    if word in CONDITIONS:
        return frozenset({word})
    return frozenset() if word in PERMISSIVE else None


def texts(info: Path) -> list[Path]:
    """Return the files of a `.dist-info` folder with the licence, the holders and their notices."""
    names = ("LICEN", "COPYING", "NOTICE", "AUTHORS")
    found = [path for path in info.iterdir() if path.is_file() and path.name.upper().startswith(names)]
    return sorted([*found, *(path for path in (info / "licenses").rglob("*") if path.is_file())])


def holders(info: Path) -> list[str]:
    """Return the copyright lines in the files of a `.dist-info` folder."""
    return holders_in(line for path in texts(info) for line in path.read_text(errors="replace").splitlines())


def holders_in(lines: Iterable[str]) -> list[str]:
    """Return the copyright lines, each once and without e-mail addresses."""
    joined = [" ".join(line.split()) for line in lines]
    return list(
        dict.fromkeys(_ADDRESS.sub("", line) for line in joined if _COPYRIGHT.match(line) and _NO_HOLDER not in line)
    )
