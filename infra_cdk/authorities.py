"""Select the reviewed certificates of the stages' Regions from a download of RDS's certificates.

python -m infra_cdk.authorities FILE             compare FILE with rds_authorities.txt
python -m infra_cdk.authorities FILE --record    write the certificates of these Regions to rds_authorities.txt

Only reviewed certificates get into a layer, so a changed download cannot add an authority.
"""

import argparse
import hashlib
import re
import ssl
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra_cdk.stages_file import load
from shared.errors import ConfigurationError

REVIEWED: Final = Path(__file__).with_name("rds_authorities.txt")
_HEADER: Final = "# SHA-256 of each reviewed certificate of RDS, and its name. docs/deploy.md explains the review.\n"
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# The name is plain text in the certificate. The version is one digit, because the next byte can be a digit.
_NAME: Final = re.compile(rb"Amazon RDS (?P<region>[a-z]{2}(-[a-z]+)+-\d) Root CA (RSA|ECC)\d+ G\d")


class UnreviewedAuthorities(Exception):
    """The download's certificates of a Region are not the reviewed ones. The message lists them and the next step."""


@dataclass(frozen=True)
class Authority:
    """A certificate of the download. `region` is empty if its name has no Region."""

    pem: str
    name: str
    region: str
    sha256: str
    sha1: str

    @classmethod
    def of(cls, pem: str) -> "Authority":
        content = ssl.PEM_cert_to_DER_cert(pem)
        named = _NAME.search(content)
        name, region = (named[0].decode(), named["region"].decode()) if named else ("", "")
        # People compare the SHA-1 that RDS's API shows. The check compares SHA-256.
        sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        return cls(pem, name, region, hashlib.sha256(content).hexdigest(), sha1)

    def __str__(self) -> str:
        return f"{self.name}\n    SHA-256 {self.sha256}\n    SHA-1   {self.sha1}"


def stage_regions() -> frozenset[str]:
    """Return the Regions of all stages. Raise ConfigurationError for a stages file with a mistake."""
    return frozenset(stage.region for stage in load().values())


def authorities(download: str) -> list[Authority]:
    """Parse the certificates of a PEM file."""
    return [Authority.of(pem) for pem in _PEM.findall(download)]


def reviewed() -> dict[str, str]:
    """Read the reviewed list, names by SHA-256."""
    lines = (line for line in REVIEWED.read_text().splitlines() if not line.startswith("#"))
    return dict(line.split("  ", 1) for line in lines)


def keep(file: Path, regions: Collection[str] | None = None) -> str:
    """Return as PEM the certificates of `file` that the functions of `regions` may trust.

    Raises: UnreviewedAuthorities, if they are not exactly the reviewed ones of these Regions."""
    regions = stage_regions() if regions is None else regions
    here = [authority for authority in authorities(file.read_text()) if authority.region in regions]
    found, wanted = {authority.sha256 for authority in here}, _of(regions)
    complaints = [f"not reviewed: {authority}" for authority in here if authority.sha256 not in wanted]
    complaints += [f"missing: {name}, SHA-256 {sha256}" for sha256, name in wanted.items() if sha256 not in found]
    served = {name.split()[2] for name in wanted.values()}
    complaints += [f"no certificate of {region} is reviewed" for region in sorted(set(regions) - served)]
    if complaints:
        raise UnreviewedAuthorities(
            f"The certificates of {file} are not the ones that infra_cdk/{REVIEWED.name} lists:\n  "
            + "\n  ".join(complaints)
            + '\nReview them: docs/deploy.md, "RDS\'s certificates". Then run `make rds-authorities`.'
            + f"\nIf the download is incomplete, remove {file} and deploy again."
        )
    return "".join(f"{authority.pem}\n" for authority in here)


def record(download: Iterable[Authority], regions: Collection[str] | None = None) -> None:
    """Write the download's certificates of `regions` to the reviewed list. Other Regions keep theirs."""
    regions = stage_regions() if regions is None else regions
    listed = {sha256: name for sha256, name in reviewed().items() if sha256 not in _of(regions)}
    listed |= {authority.sha256: authority.name for authority in download if authority.region in regions}
    lines = sorted(listed.items(), key=lambda item: (item[1], item[0]))
    REVIEWED.write_text(_HEADER + "".join(f"{sha256}  {name}\n" for sha256, name in lines))


def _of(regions: Collection[str]) -> dict[str, str]:
    return {sha256: name for sha256, name in reviewed().items() if name.split()[2] in regions}


def _record(file: Path) -> None:
    """Write the list and print the hashes to compare."""
    download, regions = authorities(file.read_text()), stage_regions()
    record(download, regions)
    for authority in download:
        if authority.region in regions:
            print(f"  {authority}")
    print(f"Written to {REVIEWED}. Compare each SHA-1 with `aws rds describe-certificates` before you commit it.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the download, as PEM")
    parser.add_argument("--record", action="store_true", help="write its certificates to the reviewed list")
    given = parser.parse_args()
    try:
        if given.record:
            _record(given.file)
        keep(given.file)
    except (ConfigurationError, UnreviewedAuthorities) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
