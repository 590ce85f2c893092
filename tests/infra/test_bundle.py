"""A bundle's size is the largest function's with the two layers that it runs with."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra_cdk import bundle
from infra_cdk.entries import ENTRIES


def test_a_bundle_is_as_large_as_its_layers_and_its_largest_function(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {f"functions/{entry.name}": 50_000 for entry in ENTRIES} | {"functions/turns": 70_000}
    sizes |= {"dependencies": 3_000_000, "verification": 2_000_000, "core": 200_000}
    for name, size in sizes.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "content").write_bytes(b"x" * size)
    assert bundle.report(tmp_path) == pytest.approx(3.27)
    printed = capsys.readouterr().out
    assert all(name in printed for name in sizes)
    assert f"of {bundle.LIMIT_MB}" in printed


def test_the_limit_is_well_below_lambdas_own() -> None:
    assert bundle.LIMIT_MB == 80


@pytest.mark.parametrize(("size", "code"), [(79, 0), (81, 1)])
def test_what_is_larger_is_refused(size: int, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`make stack` bundles for real, as the gate does."""
    monkeypatch.setattr(bundle, "bundle", lambda *_: None)
    monkeypatch.setattr(bundle, "report", lambda _: size)
    monkeypatch.setattr("sys.argv", ["bundle", "--out", str(tmp_path)])
    assert bundle.main() == code


def test_a_layer_keeps_the_licence_and_the_sbom_of_each_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unpack(command: list[str | Path], **_: Any) -> None:
        target = Path(command[command.index("--target") + 1])
        for name in ("one-1.0.dist-info/licenses/LICENSE", "one-1.0.dist-info/sboms/parts.cdx.json"):
            (target / name).parent.mkdir(parents=True)
            (target / name).touch()
        for name in ("one-1.0.dist-info/RECORD", "one-1.0.dist-info/METADATA", "one-1.0.dist-info/NOTICE"):
            (target / name).touch()
        (target / "botocore/data/sqs").mkdir(parents=True)

    monkeypatch.setattr(subprocess, "run", unpack)
    bundle._install(tmp_path, "aarch64", ())
    kept = {str(path.relative_to(tmp_path / "one-1.0.dist-info")) for path in tmp_path.rglob("one-1.0.dist-info/**/*")}
    assert kept == {"METADATA", "NOTICE", "licenses", "licenses/LICENSE", "sboms", "sboms/parts.cdx.json"}


def test_a_bundle_has_its_notice_and_its_sbom(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundle, "_install", lambda *_: None)
    core = bundle.bundle(tmp_path / "out", "aarch64", None, None).core
    for committed in (bundle.ROOT / "NOTICE", bundle.ROOT / "functions/sbom.cdx.json"):
        assert (core / committed.name).read_bytes() == committed.read_bytes()
