"""List the JavaScript packages in the built console with version, licence and hash, from its lock file."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra_cdk import licences
from infra_cdk.licences import UnknownLicence

SOURCE: Final = Path(__file__).parents[1] / "functions" / "api" / "console"
# The licences require their texts to be distributed with the built console.
TEXTS: Final = "licences.txt"
_MODULES: Final = "node_modules/"
_RULE: Final = "-" * 80


@dataclass(frozen=True)
class ConsolePackage:
    """A package of the console. `sha512` is the hash of npm's archive in hexadecimal."""

    name: str
    version: str
    licence: str
    sha512: str

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"

    def component(self, texts: str) -> dict[str, Any]:
        """Return the package as a CycloneDX component.

        Raises: UnknownLicence, if `texts` has no text of its licence."""
        text = re.search(rf"^{re.escape(self.title)}\n{_RULE}\n(.*?)(?:^{_RULE}$|\Z)", texts, re.MULTILINE | re.DOTALL)
        if text is None:
            raise UnknownLicence(f"{self.title}: the console has no text of its licence. Run make console.")
        purl = f"pkg:npm/{self.name.replace('@', '%40')}@{self.version}"
        component = {
            "type": "library",
            "bom-ref": purl,
            "name": self.name,
            "version": self.version,
            "hashes": [{"alg": "SHA-512", "content": self.sha512}],
            "licenses": [{"expression": self.licence}],
            "purl": purl,
            "properties": [{"name": "pantheon:console", "value": "functions/api/console/dist"}],
        }
        holders = licences.holders_in(text[1].splitlines())
        return component | ({"copyright": "\n".join(holders)} if holders else {})


def packages() -> Iterator[ConsolePackage]:
    """Yield the packages that the pages import, without those that only build the pages."""
    locked: dict[str, dict[str, Any]] = json.loads((SOURCE / "package-lock.json").read_text())["packages"]
    for path, package in sorted(locked.items()):
        if path and not package.get("dev"):
            algorithm, _, digest = package["integrity"].partition("-")
            if algorithm != "sha512":
                raise UnknownLicence(f"{path}: its hash is no SHA-512.")
            name = path.rpartition(_MODULES)[2]
            yield ConsolePackage(name, package["version"], package["license"], base64.b64decode(digest).hex())


def components() -> list[dict[str, Any]]:
    """Return the packages as CycloneDX components, by name."""
    texts = (SOURCE / "dist" / TEXTS).read_text()
    return [package.component(texts) for package in packages()]


def texts() -> str:
    """Return the texts of all licences. The packages must be installed."""
    return "\n".join(_text(package) for package in packages())


def _text(package: ConsolePackage) -> str:
    folder = SOURCE / _MODULES / package.name
    found = [path for path in sorted(folder.iterdir()) if path.name.upper().startswith("LICEN")]
    if not found:
        raise UnknownLicence(f"{package.title}: the package has no text of its licence.")
    text = "\n".join(path.read_text().strip() for path in found)
    return f"{package.title}\n{_RULE}\n{text}\n{_RULE}\n"
