"""Downloads terraform or kubectl from where its makers publish it, and checks it. For the Dockerfile.

`python fetch_tool.py terraform 1.11.4 --arch amd64 --to /terraform`
"""

import argparse
import hashlib
import io
import platform
import re
import sys
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Final

TERRAFORM: Final = "https://releases.hashicorp.com"
KUBECTL: Final = "https://dl.k8s.io"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_SECONDS: Final = 60


class Refused(Exception):
    """Why the program is not installed, with what helps."""


def terraform(version: str, arch: str, *, base: str, sha256: str) -> bytes:
    """The program out of the checked archive."""
    name = f"terraform_{version}_linux_{arch}.zip"
    folder = f"{base}/terraform/{version}"
    archive = checked(
        download(f"{folder}/{name}"), name, download(f"{folder}/terraform_{version}_SHA256SUMS").decode(), sha256
    )
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.read("terraform")


def kubectl(version: str, arch: str, *, base: str, sha256: str) -> bytes:
    """The checked program."""
    url = f"{base}/release/v{version}/bin/linux/{arch}/kubectl"
    return checked(download(url), "kubectl", f"{download(f'{url}.sha256').decode().strip()}  kubectl", sha256)


def checked(content: bytes, name: str, published: str, pinned: str) -> bytes:
    """`content`, when its SHA-256 is the one that `published` has for `name`, and the pinned one where there is one."""
    found = hashlib.sha256(content).hexdigest()
    sums = {
        file.lstrip("*"): digest for digest, file in re.findall(r"^([0-9a-f]{64}) +(\S+)$", published, re.MULTILINE)
    }
    for source, wanted in (("published", sums.get(name, "")), ("pinned", pinned or found)):
        if wanted.lower() != found:
            raise Refused(f"`{name}` has the SHA-256 {found}; the {source} one is {wanted or 'missing'}.")
    return content


def download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - the base is ours or a test's
            return answer.read()
    except urllib.error.HTTPError as error:
        raise Refused(f"{url} answered {error.code}: is there such a version for this processor?") from error
    except OSError as error:
        raise Refused(f"{url} cannot be reached: {error}") from error


def install(content: bytes, place: Path) -> None:
    """Write the program whole or not at all, for everyone to run."""
    draft = place.with_name(f".{place.name}.part")
    draft.write_bytes(content)
    draft.chmod(0o755)
    draft.replace(place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", choices=["terraform", "kubectl"])
    parser.add_argument("version")
    parser.add_argument("--arch", default="", help="amd64 or arm64; this machine's unless given")
    parser.add_argument("--sha256", default="", help="what the download must have, beside what is published")
    parser.add_argument("--base", default="", help="a mirror of where it is published")
    parser.add_argument("--to", type=Path, required=True)
    given = parser.parse_args()
    arch = given.arch or _ARCHITECTURES.get(platform.machine(), platform.machine())
    version = given.version.removeprefix("v")
    try:
        if given.tool == "terraform":
            content = terraform(version, arch, base=given.base or TERRAFORM, sha256=given.sha256)
        else:
            content = kubectl(version, arch, base=given.base or KUBECTL, sha256=given.sha256)
        install(content, given.to)
    except Refused as refused:
        sys.exit(f"{given.tool} {version}: {refused}")


if __name__ == "__main__":
    main()
