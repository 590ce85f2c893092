"""List the C libraries in a wheel, from its SBOMs and its shared objects."""

import hashlib
import json
import re
from collections.abc import Iterator
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from infra_cdk import licences

# A component of CycloneDX, as JSON.
Component = dict[str, Any]


def parts(info: Path, purl: str) -> list[Component]:
    """Return the libraries in the wheel whose `.dist-info` folder is `info`. `purl` is the wheel's.

    Raises: UnknownLicence, if the licence of one is unknown."""
    found: dict[tuple[str, str], Component] = {
        (part["name"], part.get("version", "")): part for part in _declared(info)
    }
    for file in _shared_objects(info):
        native = licences.native(file.name)
        keys = [key for key in found if key[0] == native.name]
        if not keys:
            keys = [(native.name, "")]
            found[keys[0]] = {"name": native.name, "version": ""}
        part = found[keys[0]]
        content = file.read_bytes()
        if not part["version"] and native.version and (said := native.version.search(content)):
            part["version"] = said[1].decode()
        hashes = [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
        part.setdefault("files", []).append({"type": "file", "name": file.name, "hashes": hashes})
    return sorted((_component(part, purl) for part in found.values()), key=lambda part: str(part["bom-ref"]))


def _declared(info: Path) -> Iterator[Component]:
    """Return the components of the wheel's own SBOMs, without the wheel itself."""
    itself = canonicalize_name(PathDistribution(info).metadata["Name"])
    for path in sorted((info / "sboms").glob("*.json")):
        for part in json.loads(path.read_text()).get("components", ()):
            if canonicalize_name(part["name"]) != itself:
                stated = [said.get("expression") or said["license"].get("id") for said in part.get("licenses", ())]
                yield {
                    "name": part["name"],
                    "version": part.get("version", ""),
                    "licence": _joined(stated),
                    # Without the download address.
                    "purl": re.split(r"[?#]", part.get("purl", ""))[0],
                }


def _joined(stated: list[str | None]) -> str:
    """Join licences with AND, or return nothing if one is no SPDX identifier."""
    known = [licence for licence in stated if licence]
    if len(known) != len(stated):
        return ""
    return known[0] if len(known) == 1 else " AND ".join(f"({licence})" for licence in known)


def _shared_objects(info: Path) -> list[Path]:
    """Return the shared objects in the wheel's folder of libraries."""
    name = canonicalize_name(PathDistribution(info).metadata["Name"]).replace("-", "_")
    return sorted((info.parent / f"{name}.libs").glob("*.so*"))


def _component(part: Component, purl: str) -> Component:
    version = part["version"]
    component: Component = {
        "type": "library",
        "bom-ref": f"{purl}#{part['name']}@{version}" if version else f"{purl}#{part['name']}",
        "name": part["name"],
        "version": version,
        "licenses": [{"expression": licences.of_part(part["name"], part.get("licence"))}],
        "purl": part.get("purl", ""),
        "components": part.get("files", []),
    }
    return {name: value for name, value in component.items() if value}
