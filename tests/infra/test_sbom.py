"""The SBOM and NOTICE list the bundle's packages, and every licence in them is known."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from infra_cdk import console_packages, licences, notice, reference_page, sbom
from infra_cdk.licences import UnknownLicence, conditions
from infra_cdk.sbom import StaleBundle

ROOT = Path(__file__).parents[2]
COMMITTED: dict[str, Any] = json.loads((ROOT / "functions/sbom.cdx.json").read_text())
SHA = "0" * 64
OPENSSL = b"..OpenSSL 3.5.9 29 Sep 2026.."


def schema(name: str) -> Any:
    return json.loads((files("cyclonedx.schema") / "_res" / f"{name}.SNAPSHOT.schema.json").read_text())


def put(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def package(folder: Path, name: str, version: str, *lines: str) -> Path:
    """Lay out the `.dist-info` folder of a package with its licence."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    put(info / "METADATA", "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines, ""]))
    put(info / "licenses/LICENSE", "Copyright (c) 2026 Ada <ada@example.org>\nDo as you like.\n")
    return info


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a bundle of two packages: `web` in both layers, `driver` with two libraries in one."""
    monkeypatch.setattr(sbom, "ROOT", tmp_path)
    monkeypatch.setattr(sbom, "SBOM", tmp_path / "sbom.json")
    monkeypatch.setattr(sbom, "NOTICE", tmp_path / "NOTICE")
    put(tmp_path / "pyproject.toml", '[project]\ndependencies = ["web[fast]"]\n')
    marker = "sys_platform == 'win32'"
    lock = [("driver==2.0", ""), ("web==1.0", " ; python_version >= '3.11'"), ("zone==3.0", f" ; {marker}")]
    text = "".join(f"{name}{where} \\\n    --hash=sha256:{SHA}\n" for name, where in lock)
    put(tmp_path / "functions/requirements.txt", text)
    for layer in ("dependencies", "verification"):
        extra = 'Requires-Dist: driver; extra == "fast"'
        package(tmp_path / layer / "python", "web", "1.0", "License-Expression: MIT", extra, "Requires-Dist: zone")
    info = package(tmp_path / "dependencies/python", "driver", "2.0", "License: LGPL-3.0-only")
    itself, rust = {"name": "driver"}, {"name": "crate", "version": "4.0", "licenses": [{"expression": "Zlib"}]}
    put(
        info / "sboms/rust.json",
        json.dumps({"components": [itself, rust | {"purl": "pkg:cargo/crate@4.0?from=there"}]}),
    )
    (tmp_path / "dependencies/python/driver.libs").mkdir()
    (tmp_path / "dependencies/python/driver.libs/libcrypto-5e36fb0e.so.3").write_bytes(OPENSSL)
    return tmp_path


def test_the_committed_sbom_is_valid_cyclonedx() -> None:
    bom = schema("bom-1.6")
    beside = {name: f"{bom['$id'].rsplit('/', 1)[0]}/{name}.SNAPSHOT.schema.json" for name in ("spdx", "jsf-0.82")}
    registry = jsonschema_rs.Registry([(address, schema(name)) for name, address in beside.items()])
    validator = jsonschema_rs.validator_for(bom, registry=registry)
    assert [error.message for error in validator.iter_errors(COMMITTED)] == []
    assert list(validator.iter_errors(COMMITTED | {"specVersion": 1.6})) != []


def test_the_committed_sbom_has_the_locked_packages_with_their_hashes() -> None:
    found = {
        (part["name"], part["version"], tuple(hashed["content"] for hashed in part["hashes"]))
        for part in COMMITTED["components"]
    }
    console = {(package.name, package.version, (package.sha512,)) for package in console_packages.packages()}
    redoc = reference_page.component()
    page = {(redoc["name"], redoc["version"], (redoc["hashes"][0]["content"],))}
    assert found == set(sbom._locked()) | console | page


def test_a_package_of_the_console_is_refused_without_the_text_of_its_licence() -> None:
    preact = next(package for package in console_packages.packages() if package.name == "preact")
    texts = (console_packages.SOURCE / "dist" / console_packages.TEXTS).read_text()
    assert preact.component(texts)["copyright"] == "Copyright (c) 2015-present Jason Miller"
    with pytest.raises(UnknownLicence, match="preact"):
        preact.component(texts.replace(preact.title, "another"))


def test_the_committed_notice_is_made_from_the_committed_sbom() -> None:
    """So each licence in the SBOM is on a list."""
    assert (ROOT / "NOTICE").read_text() == notice.text(COMMITTED)


def test_the_committed_sbom_has_no_address_and_no_time() -> None:
    text = re.sub(r'"copyright": ".*"', "", (ROOT / "functions/sbom.cdx.json").read_text())
    for word in ("://", "externalReferences", "timestamp", "serialNumber"):
        assert word not in text


@pytest.mark.parametrize(
    ("expression", "met"),
    [
        ("MIT", set()),
        ("Apache-2.0 WITH LLVM-exception OR Apache-2.0", set()),
        ("Apache-2.0 OR GPL-2.0-only", set()),
        ("MIT OR LGPL-3.0-only", set()),
        ("(MIT OR GPL-2.0-only) AND MPL-2.0", {"MPL-2.0"}),
        ("GPL-3.0-only", None),
        ("MIT AND AGPL-3.0-only", None),
        ("(MIT AND GPL-2.0-only) OR AGPL-3.0-only", None),
        ("Apache-2.0 WITH Some-exception", None),
        ("(MIT", None),
        ("MIT MIT", None),
        ("", None),
    ],
)
def test_conditions_accepts_only_licences_that_may_go_to_lambda(expression: str, met: set[str] | None) -> None:
    assert conditions(expression) == met


def test_notice_refuses_a_licence_that_is_on_no_list() -> None:
    """In a package, and in a library of a package."""
    part = {"name": "part", "version": "1", "licenses": [{"expression": "SSPL-1.0"}]}
    whole = {"name": "whole", "version": "2", "licenses": [{"expression": "MIT"}]}
    for component in (part, whole | {"components": [part]}):
        with pytest.raises(UnknownLicence, match=r"part 1: SSPL-1\.0 is on no list"):
            notice.text({"components": [component]})


def test_document_describes_packages_and_their_libraries(bundle: Path) -> None:
    made = sbom.document(bundle)
    driver, web = [part for part in made["components"] if part["purl"].startswith("pkg:pypi/")]
    assert (driver["purl"], web["purl"]) == ("pkg:pypi/driver@2.0", "pkg:pypi/web@1.0")
    assert [said["value"] for said in web["properties"]] == ["dependencies", "verification"]
    assert web["copyright"] == "Copyright (c) 2026 Ada"
    assert web["hashes"] == [{"alg": "SHA-256", "content": SHA}]
    crate, openssl = driver["components"]
    assert (crate["purl"], crate["licenses"]) == ("pkg:cargo/crate@4.0", [{"expression": "Zlib"}])
    assert (openssl["name"], openssl["version"]) == ("openssl", "3.5.9")
    assert openssl["components"][0]["name"] == "libcrypto-5e36fb0e.so.3"
    graph = {node["ref"]: node["dependsOn"] for node in made["dependencies"]}
    assert graph[made["metadata"]["component"]["bom-ref"]] == [web["purl"]]
    assert graph[web["purl"]] == [driver["purl"]]


@pytest.mark.parametrize(
    ("stated", "licence"),
    [
        ([{"license": {"id": "MIT"}}], "MIT"),
        ([{"expression": "MIT OR Zlib"}, {"license": {"id": "MIT-0"}}], "(MIT OR Zlib) AND (MIT-0)"),
    ],
)
def test_document_reads_a_library_licence_in_each_form_of_cyclonedx(
    bundle: Path, stated: list[Any], licence: str
) -> None:
    parts = {"components": [{"name": "crate", "version": "4.0", "licenses": stated}]}
    put(bundle / "dependencies/python/driver-2.0.dist-info/sboms/rust.json", json.dumps(parts))
    assert sbom.document(bundle)["components"][0]["components"][0]["licenses"] == [{"expression": licence}]


@pytest.mark.parametrize("stated", [[], [{"license": {"name": "As you like"}}]])
def test_document_refuses_a_library_without_a_licence(bundle: Path, stated: list[Any]) -> None:
    parts = {"components": [{"name": "crate", "version": "4.0", "licenses": stated}]}
    put(bundle / "dependencies/python/driver-2.0.dist-info/sboms/rust.json", json.dumps(parts))
    with pytest.raises(UnknownLicence, match="crate: the wheel does not say its licence"):
        sbom.document(bundle)


def test_document_refuses_a_bundle_that_does_not_have_the_locked_versions(bundle: Path) -> None:
    put(bundle / "functions/requirements.txt", f"driver==2.1 \\\n    --hash=sha256:{SHA}\n")
    with pytest.raises(StaleBundle, match=r"\('driver', '2.0'\), \('driver', '2.1'\), \('web', '1.0'\)"):
        sbom.document(bundle)


def test_document_refuses_a_package_without_the_text_of_its_licence(bundle: Path) -> None:
    (bundle / "dependencies/python/driver-2.0.dist-info/licenses/LICENSE").unlink()
    with pytest.raises(UnknownLicence, match="driver: the layer has no text of its licence"):
        sbom.document(bundle)


@pytest.mark.parametrize("line", ["License: as you like", "Classifier: License :: Other"])
def test_document_refuses_a_package_without_a_valid_spdx_expression(bundle: Path, line: str) -> None:
    package(bundle / "dependencies/python", "driver", "2.0", line)
    with pytest.raises(UnknownLicence, match="driver: no SPDX expression"):
        sbom.document(bundle)


def test_document_refuses_a_library_that_is_not_reviewed(bundle: Path) -> None:
    put(bundle / "dependencies/python/driver.libs/libnew-0.so.1")
    with pytest.raises(UnknownLicence, match=r"libnew-0\.so\.1"):
        sbom.document(bundle)


def test_known_library_has_a_known_licence() -> None:
    assert [library.name for library in licences.NATIVE if conditions(library.licence) is None] == []


def test_check_fails_until_the_differences_are_written(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*options: str) -> int:
        monkeypatch.setattr("sys.argv", ["sbom", str(bundle), *options])
        return sbom.main()

    assert run("--check") == 1
    assert "sbom.json does not say what goes to Lambda: run `make sbom`" in capsys.readouterr().err
    assert (run(), run("--check")) == (0, 0)
    (bundle / "NOTICE").write_text("another")
    assert run("--check") == 1
    assert capsys.readouterr().err.startswith("NOTICE does not say")
    put(bundle / "dependencies/python/driver.libs/libnew-0.so.1")
    assert run() == 1
