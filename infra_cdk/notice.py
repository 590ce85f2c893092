"""Write the licences and holders of an SBOM as NOTICE."""

import textwrap
from collections.abc import Iterator
from typing import Any, Final

from infra_cdk.licences import CONDITIONS, UnknownLicence, conditions

_HEAD: Final = """\
Pantheon is licensed under the Apache License 2.0, whose text is in LICENSE.

These packages go to Lambda with it. A Python package has the text of its licence in its folder NAME-VERSION.dist-info
of the layer. The console's packages in JavaScript have theirs in functions/api/console/dist/licences.txt, and Redoc,
the reference page at /docs/, has its own in functions/api/reference/dist/licences.txt.
A wheel can contain libraries, which are named below it by licence; functions/sbom.cdx.json has their versions and
hashes. `make sbom` writes both files.
"""
_CONDITIONS: Final = """\
Licences with conditions on passing the bundle on. A deployment to an account of yours passes it on to nobody.
"""


def text(document: dict[str, Any]) -> str:
    """Return the whole file.

    Raises: UnknownLicence, if the bundle may not contain a licence of the SBOM."""
    blocks, applied = [_HEAD], dict[str, list[str]]()
    for component in document["components"]:
        blocks.append("\n".join(_lines(component)) + "\n")
        for part in (component, *component.get("components", ())):
            for licence in _met(part):
                applied.setdefault(licence, []).append(_title(part))
    blocks.append(_CONDITIONS)
    for licence, names in sorted(applied.items()):
        wrapped = textwrap.fill(CONDITIONS[licence], 118, initial_indent="    ", subsequent_indent="    ")
        blocks.append(f"{licence}: {', '.join(dict.fromkeys(names))}\n{wrapped}\n")
    return "\n".join(blocks)


def _lines(component: dict[str, Any]) -> Iterator[str]:
    yield _title(component)
    yield f"    {_licence(component)}"
    yield from (f"    {line}" for line in component.get("copyright", "").splitlines())
    inside: dict[str, list[str]] = {}
    for part in component.get("components", ()):
        inside.setdefault(_licence(part), []).append(part["name"])
    for licence, names in sorted(inside.items()):
        listed = f"contains, under {licence}: {', '.join(dict.fromkeys(names))}"
        yield textwrap.fill(listed, 118, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False)


def _met(component: dict[str, Any]) -> list[str]:
    met = conditions(_licence(component))
    if met is None:
        raise UnknownLicence(
            f"{_title(component)}: {_licence(component)} is on no list of infra_cdk/licences.py. Read the licence "
            "before you add it there."
        )
    return sorted(met)


def _title(component: dict[str, Any]) -> str:
    return f"{component['name']} {component.get('version', '')}".rstrip()


def _licence(component: dict[str, Any]) -> str:
    return str(component["licenses"][0]["expression"])
