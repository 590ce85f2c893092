"""A bundle's size is the largest function's with the two layers that it runs with."""

from pathlib import Path

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
