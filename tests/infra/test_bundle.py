"""The bundle has a size limit, and the expected files beside its libraries."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra_cdk import app, bundle
from infra_cdk.assets import LOOP, TASK, WRAPPER, Assets
from infra_cdk.entries import API, ENTRIES, TURNS, WITH_GRAPHS
from infra_cdk.stages import DEV


def test_size_of_a_bundle_is_its_layers_and_its_largest_function(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = {f"functions/{entry.name}": 50_000 for entry in ENTRIES} | {"functions/turns": 70_000}
    sizes |= {"dependencies": 3_000_000, "verification": 2_000_000, "core": 200_000}
    for name, size in sizes.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "content").write_bytes(b"x" * size)
    assert bundle.report(tmp_path)
    printed = capsys.readouterr().out
    assert "the largest function and its layers: 3.3 MB" in printed
    assert all(name in printed for name in sizes)
    assert f"of {bundle.LIMIT_MB}" in printed


def test_size_limit_of_a_bundle_is_80_mb() -> None:
    assert bundle.LIMIT_MB == 80


@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ({"dependencies": 79}, 0),
        ({"dependencies": 81}, 1),
        ({"langgraph": 119}, 0),
        ({"langgraph": 121}, 1),
        ({"langgraph": 79, "dependencies": 81}, 1),
    ],
)
def test_bundle_is_refused_when_it_exceeds_its_limit(
    sizes: dict[str, int], code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`make stack` bundles for real, as the gate does."""
    for entry in WITH_GRAPHS if "langgraph" in sizes else ENTRIES:
        (tmp_path / "functions" / entry.name).mkdir(parents=True)
    for name in ("dependencies", "verification", "core", *sizes):
        (tmp_path / name).mkdir(exist_ok=True)
    for name, size in sizes.items():
        with (tmp_path / name / "content").open("wb") as content:
            content.truncate(size * 1_000_000)
    monkeypatch.setattr(bundle, "bundle", lambda *_, **__: None)
    monkeypatch.setattr(bundle, "digest", lambda _: "")
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
    bundle._install(tmp_path, "aarch64", (), "functions/requirements.txt")
    kept = {str(path.relative_to(tmp_path / "one-1.0.dist-info")) for path in tmp_path.rglob("one-1.0.dist-info/**/*")}
    assert kept == {"METADATA", "NOTICE", "licenses", "licenses/LICENSE", "sboms", "sboms/parts.cdx.json"}


def test_a_bundle_has_its_notice_and_its_sbom(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundle, "_install", lambda *_: None)
    core = bundle.bundle(tmp_path / "out", "aarch64", None, None).core
    for committed in (bundle.ROOT / "NOTICE", bundle.ROOT / "functions/sbom.cdx.json"):
        assert (core / committed.name).read_bytes() == committed.read_bytes()


def _copy_without_mode(source: Path, target: Path) -> None:
    """Copy without modes, like a checkout that keeps none."""
    shutil.copyfile(source, target / source.name if target.is_dir() else target)


def test_only_the_turns_function_has_the_executable_program_of_its_loop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bundle, "_install", lambda *_: None)
    monkeypatch.setattr(shutil, "copy", _copy_without_mode)
    assets = bundle.bundle(tmp_path / "out", "aarch64", None, None)
    programs = {entry.name: assets.function(entry.name) / LOOP for entry in ENTRIES}
    assert [name for name, program in programs.items() if program.exists()] == [TURNS.name]
    assert os.access(programs[TURNS.name], os.X_OK)
    for module in ("runtime", "chunks", "stream"):
        assert (assets.function(TURNS.name) / "functions" / f"{module}.py").exists()


def test_wrapper_variable_of_lambda_has_the_path_of_the_program() -> None:
    assert f"{TASK}/{LOOP}" == WRAPPER == "/var/task/functions/runtime.sh"


def test_program_is_executable_in_the_asset_that_the_cdk_uploads(tmp_path: Path) -> None:
    assets = Assets.empty(tmp_path / "build")
    program = assets.function(TURNS.name) / LOOP
    program.parent.mkdir()
    program.touch(0o755)
    app.build(tmp_path / "out", [DEV], assets).synth()
    (staged,) = (tmp_path / "out").glob(f"asset.*/{LOOP}")
    assert os.access(staged, os.X_OK)


def test_a_digest_depends_on_which_files_are_executable(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.touch(0o644)
    before = bundle.digest(tmp_path)
    program.chmod(0o755)
    assert bundle.digest(tmp_path) != before


@pytest.mark.parametrize("page", bundle.PAGES)
def test_bundle_has_only_the_build_of_a_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: str) -> None:
    source = tmp_path / "checkout"
    files = {f"functions/{name}/handler.py": "" for name in ("api", "turns")} | {
        f"{page}/{name}": name
        for name in (
            *("dist/index.html", "dist/assets/index-a1b2.js", "dist/assets/index-c3d4.css", "dist/icon.svg"),
            *("src/main.tsx", "node_modules/preact/index.js", "tests/ask.py", "package.json", "index.html"),
        )
    }
    for name, content in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(content)
    monkeypatch.setattr(bundle, "ROOT", source)
    packages = {}
    for entry in (API, replace(TURNS, streams=False)):
        bundle._copy_function(entry, tmp_path / entry.name)
        copied = (tmp_path / entry.name).rglob("*")
        packages[entry.name] = {path.relative_to(tmp_path / entry.name).as_posix() for path in copied if path.is_file()}
    dist = {name for name in files if name.startswith(f"{page}/dist/")}
    assert packages == {"api": {"functions/api/handler.py", *dist}, "turns": {"functions/turns/handler.py"}}
