"""Write the SBOM (CycloneDX) and the NOTICE of the bundle for Lambda.

python -m infra_cdk.sbom build/lambda            write functions/sbom.cdx.json and NOTICE
python -m infra_cdk.sbom build/lambda --check    exit with 1 if they differ from the bundle

The same bundle and lock file give the same bytes. The files contain no time and no random number.
"""

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra_cdk import console_packages, licences, notice, reference_page
from infra_cdk.entries import DEPENDENCIES, VERIFICATION
from infra_cdk.licences import UnknownLicence
from infra_cdk.wheel_parts import Component, parts
from shared.names import VERSION

ROOT: Final = Path(__file__).parents[1]
SBOM, NOTICE = ROOT / "functions/sbom.cdx.json", ROOT / "NOTICE"
_LOCKED: Final = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+?))? (?=--hash)")
_LAMBDA: Final = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "aarch64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}
_HASHES: Final = (
    "SHA-256 of each file that functions/requirements.txt accepts for the version, and SHA-512 of each archive of the "
    "pages' package-lock.json"
)


class StaleBundle(Exception):
    """The bundle does not have the packages of the lock file."""


@dataclass(frozen=True)
class Package:
    """A distribution in the bundle's layers, with the `hashes` of the lock file."""

    name: str
    info: Path
    layers: tuple[str, ...]
    hashes: tuple[str, ...]

    @property
    def distribution(self) -> PathDistribution:
        return PathDistribution(self.info)

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.distribution.version}"

    def component(self) -> Component:
        """Return the package and its parts as a component.

        Raises: UnknownLicence, if one of its licences is unknown or its text is not in the layer."""
        if not licences.texts(self.info):
            raise UnknownLicence(f"{self.name}: the layer has no text of its licence.")
        licence = licences.of_distribution(self.name, self.distribution.metadata)
        inside = parts(self.info, self.purl)
        component: Component = {
            "type": "library",
            "bom-ref": self.purl,
            "name": self.name,
            "version": self.distribution.version,
            "hashes": [{"alg": "SHA-256", "content": content} for content in self.hashes],
            "licenses": [{"expression": licence}],
            "purl": self.purl,
            "properties": [{"name": "pantheon:layer", "value": layer} for layer in self.layers],
        }
        if holders := licences.holders(self.info):
            component["copyright"] = "\n".join(holders)
        return component | ({"components": inside} if inside else {})


def packages(bundle: Path) -> list[Package]:
    """Read the packages of a bundle's layers.

    Raises: StaleBundle, if they differ from the lock file."""
    found: dict[str, tuple[Path, tuple[str, ...]]] = {}
    for layer in (DEPENDENCIES, VERIFICATION):
        for info in sorted((bundle / layer / "python").glob("*.dist-info")):
            name = canonicalize_name(PathDistribution(info).metadata["Name"])
            first, layers = found.get(name, (info, ()))
            found[name] = first, (*layers, layer)
    locked = {(name, version): hashes for name, version, hashes in _locked()}
    versions = {(name, PathDistribution(info).version) for name, (info, _) in found.items()}
    if versions != locked.keys():
        raise StaleBundle(f"The bundle does not have the packages of the lock file: {sorted(versions ^ locked.keys())}")
    hashes = {name: hashes for (name, _), hashes in locked.items()}
    return [Package(name, info, layers, hashes[name]) for name, (info, layers) in sorted(found.items())]


def _locked() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Read the lock file's packages for Lambda: name, version, hashes."""
    text = (ROOT / "functions/requirements.txt").read_text().replace("\\\n", " ")
    for line in (" ".join(line.split()) for line in text.splitlines()):
        match = _LOCKED.match(line)
        if match is None:
            raise StaleBundle(f"functions/requirements.txt has a line that is no locked package: {line}")
        if match["marker"] is None or Marker(match["marker"]).evaluate(_LAMBDA):
            yield canonicalize_name(match["name"]), match["version"], tuple(re.findall(r"sha256:(\w{64})", line))


def document(bundle: Path) -> dict[str, Any]:
    """Describe a bundle in CycloneDX 1.6."""
    found = packages(bundle)
    root = f"pkg:generic/pantheon@{VERSION}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "pantheon",
                "version": VERSION,
                "licenses": [{"expression": "Apache-2.0"}],
            },
            "properties": [{"name": "pantheon:hashes", "value": _HASHES}],
        },
        "components": [
            *(package.component() for package in found),
            *console_packages.components(),
            reference_page.component(),
        ],
        "dependencies": _dependencies(root, {package.name: package for package in found}),
    }


def _dependencies(root: str, found: Mapping[str, Package]) -> list[dict[str, Any]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {root: [Requirement(text) for text in project["dependencies"]]}
    for package in found.values():
        asked[package.purl] = [Requirement(text) for text in package.distribution.requires or ()]
    # Follow an extra only if a requirement names it.
    extras: dict[str, set[str]] = {name: {""} for name in found}
    for requirement in (requirement for requirements in asked.values() for requirement in requirements):
        extras.setdefault(canonicalize_name(requirement.name), {""}).update(requirement.extras)
    purls = {package.purl: name for name, package in found.items()}
    graph = []
    for ref, requirements in asked.items():
        wanted = extras[purls[ref]] if ref in purls else {""}
        names = {canonicalize_name(below.name) for below in requirements if _counts(below, wanted)}
        graph.append({"ref": ref, "dependsOn": sorted(found[name].purl for name in names if name in found)})
    return graph


def _counts(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**_LAMBDA, "extra": extra}) for extra in extras)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="the folder of the bundle")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file differs")
    given = parser.parse_args()
    try:
        made = document(given.bundle)
        written = {SBOM: json.dumps(made, indent=1, ensure_ascii=False) + "\n", NOTICE: notice.text(made)}
    except (StaleBundle, UnknownLicence) as problem:
        print(problem, file=sys.stderr)
        return 1
    if not given.check:
        for path, text in written.items():
            path.write_text(text)
        return 0
    stale = [path.relative_to(ROOT) for path, text in written.items() if not path.exists() or path.read_text() != text]
    for name in stale:
        print(f"{name} does not say what goes to Lambda: run `make sbom` and commit it.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
