"""Tests that a layer has only reviewed certificates of RDS."""

import datetime
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra_cdk import authorities, bundle
from infra_cdk.authorities import UnreviewedAuthorities, keep, record, reviewed
from infra_cdk.stages import STAGES

ROOT = Path(__file__).parents[2]
REGION = "eu-central-1"
HERE = f"Amazon RDS {REGION} Root CA RSA2048 G1"
ELSEWHERE = "Amazon RDS us-east-1 Root CA RSA2048 G1"


def certificate(name: str) -> str:
    """Make a self-signed certificate with a name like RDS's, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
            x509.NameAttribute(x509.NameOID.LOCALITY_NAME, "Seattle"),
        ]
    )
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=36500))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def fingerprint(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex()


@pytest.fixture
def ours() -> str:
    return certificate(HERE)


@pytest.fixture
def theirs() -> str:
    return certificate(ELSEWHERE)


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ours: str, theirs: str) -> Path:
    """Replace the repository's list by a list of two certificates."""
    path = tmp_path / "reviewed.txt"
    path.write_text(f"# of a test\n{fingerprint(ours)}  {HERE}\n{fingerprint(theirs)}  {ELSEWHERE}\n")
    monkeypatch.setattr(authorities, "REVIEWED", path)
    return path


def download(tmp_path: Path, *pems: str) -> Path:
    path = tmp_path / "download.pem"
    path.write_text("".join(pems))
    return path


def test_keep_returns_the_reviewed_certificates_of_the_region_and_no_other(
    tmp_path: Path, ours: str, theirs: str
) -> None:
    kept = keep(download(tmp_path, theirs, ours, certificate("Somebody's Root CA")), {REGION})
    assert kept == ours


def test_keep_refuses_a_certificate_of_the_region_that_is_not_reviewed(tmp_path: Path, ours: str) -> None:
    other = certificate(HERE)
    with pytest.raises(UnreviewedAuthorities) as refused:
        keep(download(tmp_path, ours, other), {REGION})
    assert f"not reviewed: {HERE}\n    SHA-256 {fingerprint(other)}" in str(refused.value)
    assert fingerprint(ours) not in str(refused.value)
    assert "make rds-authorities" in str(refused.value)


def test_keep_refuses_a_download_that_lacks_a_reviewed_certificate(tmp_path: Path, ours: str, theirs: str) -> None:
    with pytest.raises(UnreviewedAuthorities, match=f"missing: {HERE}, SHA-256 {fingerprint(ours)}"):
        keep(download(tmp_path, theirs), {REGION})


def test_keep_refuses_a_region_without_reviewed_certificates(tmp_path: Path, ours: str) -> None:
    with pytest.raises(UnreviewedAuthorities, match="no certificate of ca-west-1 is reviewed"):
        keep(download(tmp_path, ours), {REGION, "ca-west-1"})


def test_record_replaces_the_certificates_of_the_region_and_keeps_others(
    tmp_path: Path, ours: str, theirs: str
) -> None:
    new, unlisted = certificate(HERE), certificate("Amazon RDS ca-west-1 Root CA ECC384 G1")
    record(authorities.authorities(new + unlisted), {REGION})
    assert reviewed() == {fingerprint(new): HERE, fingerprint(theirs): ELSEWHERE}
    assert keep(download(tmp_path, new), {REGION}) == new


def test_bundle_is_refused_before_it_is_built_when_a_certificate_is_not_reviewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = download(tmp_path, certificate(HERE)), tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["bundle", "--out", str(out), "--authorities", str(file)])
    assert bundle.main() == 1
    assert "not reviewed" in capsys.readouterr().err
    assert not out.exists()


def test_the_repository_lists_three_certificates_for_the_region_of_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorities, "REVIEWED", ROOT / "infra_cdk/rds_authorities.txt")
    names = sorted(reviewed().values())
    for stage in STAGES.values():
        kinds = [name.split()[-2] for name in names if name.split()[2] == stage.region]
        assert kinds == ["ECC384", "RSA2048", "RSA4096"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Serve one file, `bundle.pem`, on this machine instead of AWS's server."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "bundle.pem").write_text("as published")
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing."""


def fetched(folder: Path, address: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-f", str(ROOT / "Makefile"), "build/rds-ca.pem", f"RDS_CERTIFICATES={address}"]
    command.append(f"PYTHON={sys.executable}")
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("curl") is None, reason="only a deployment needs curl")
def test_make_fetches_the_certificates_and_leaves_no_file_when_it_cannot(tmp_path: Path, site: str) -> None:
    file = tmp_path / "build/rds-ca.pem"
    assert fetched(tmp_path, f"{site}/no.pem").returncode != 0
    assert not file.exists()
    assert fetched(tmp_path, f"{site}/bundle.pem").returncode == 0
    assert file.read_text() == "as published"
