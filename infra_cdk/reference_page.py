"""Build the API's reference page from functions/api/reference: Redoc, and what starts it.

The built files are part of the repository, so only this program needs Node.js. `--check` builds again and compares.
"""

import argparse
import base64
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from infra_cdk.built_files import differences
from infra_cdk.node_packages import NodePackages

SOURCE: Final = Path(__file__).parents[1] / "functions/api/reference"
BUILT: Final = SOURCE / "dist"
TEXTS: Final = "licences.txt"
_PACKAGES: Final = NodePackages(SOURCE)
_REDOC: Final = SOURCE / "node_modules/redoc"
# Redoc shows this picture of another origin, which the page's policy forbids.
_LOGO: Final = "https://cdn.redoc.ly/redoc/logo-mini.svg"


def build(out: Path) -> None:
    """Write the page to `out`. A script has a hash of its content in its name."""
    (out / "assets").mkdir(parents=True, exist_ok=True)
    for old in (out / "assets").iterdir():
        old.unlink()
    redoc = (_REDOC / "bundles/redoc.standalone.js").read_text("utf-8")
    if redoc.count(_LOGO) != 1:
        raise SystemExit("Redoc has changed its pictures of other origins. Read its bundle again.")
    page = (SOURCE / "index.html").read_text("utf-8")
    for name, script in (("redoc", redoc.replace(_LOGO, "data:,")), ("start", (SOURCE / "start.js").read_text())):
        file = f"assets/{name}-{hashlib.sha256(script.encode()).hexdigest()[:8]}.js"
        (out / file).write_text(script, "utf-8")
        page = page.replace(f'"{name.upper()}"', f'"{file}"')
    (out / "index.html").write_text(page, "utf-8")
    notices = (_REDOC / "LICENSE", _REDOC / "bundles/redoc.standalone.js.LICENSE.txt")
    (out / TEXTS).write_text("\n\n".join(path.read_text("utf-8").strip() for path in notices) + "\n", "utf-8")


def component() -> dict[str, Any]:
    """Return Redoc as a CycloneDX component. The notices of the libraries inside it are in `licences.txt`."""
    locked = json.loads((SOURCE / "package-lock.json").read_text())["packages"]["node_modules/redoc"]
    algorithm, _, digest = locked["integrity"].partition("-")
    assert algorithm == "sha512"
    purl = f"pkg:npm/redoc@{locked['version']}"
    holders = [line for line in (BUILT / TEXTS).read_text("utf-8").splitlines() if line.startswith("Copyright")]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": "redoc",
        "version": locked["version"],
        "hashes": [{"alg": "SHA-512", "content": base64.b64decode(digest).hex()}],
        "licenses": [{"expression": locked["license"]}],
        "purl": purl,
        "properties": [{"name": "pantheon:reference", "value": "functions/api/reference/dist"}],
        "copyright": "\n".join(holders),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m infra_cdk.reference_page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the built files differ")
    asked = parser.parse_args(arguments)
    _PACKAGES.install()
    if not asked.check:
        build(BUILT)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        changed = differences(Path(folder), BUILT)
    for name in changed:
        print(f"functions/api/reference/dist/{name} differs from what the source builds. Run make reference.")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
