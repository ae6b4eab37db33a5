"""Write what the plugin and the viewer are made of, as a CycloneDX 1.6 document.

    .venv/bin/python scripts/sbom.py > sbom.cdx.json

Read from what installs them: the locks of the plugin's Python packages (those for PostgreSQL and the compressed index
are optional), the viewer's lockfile, the release of OHIF that is around our extension, and the cards of the shipped
models. Packages of Debian (Orthanc, its Python plugin) are the machine's own. Equal files give an equal document.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tomllib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[1]
LOCKS = REPOSITORY / "scripts" / "deploy" / "locks"
VIEWER = REPOSITORY / "ohif-extension" / "package-lock.json"
ASSEMBLE = REPOSITORY / "ohif-extension" / "scripts" / "assemble.mjs"
MODELS = REPOSITORY / "plugin" / "cbmir" / "models"

_PIN = re.compile(r"'(\d+\.\d+\.\d+)': '([A-Za-z0-9+/=]+)'")
_REQUIREMENT = re.compile(r"^([\w.-]+)==([\w.+!]+)")


def python_packages(locks: Path = LOCKS) -> Iterator[dict[str, Any]]:
    """Yield a component for each package of the locks; it has many files, of which pip takes the one that fits."""
    for lock, scope in (("postgresql", "optional"), ("compressed", "optional"), ("plugin", "required")):
        for line in (locks / f"{lock}.txt").read_text(encoding="utf-8").splitlines():
            if found := _REQUIREMENT.match(line):
                name, version = found.groups()
                purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
                yield _library(name, version, purl) | {"scope": scope}


def viewer_packages(lockfile: Path = VIEWER) -> Iterator[dict[str, Any]]:
    """Yield a component for each package in the viewer; tools that only build or test it are left out."""
    packages = json.loads(lockfile.read_text(encoding="utf-8"))["packages"]
    for path, package in packages.items():
        if not path or package.get("dev") or package.get("link"):
            continue
        name = path.rpartition("node_modules/")[2]
        component = _library(name, package["version"], f"pkg:npm/{name.replace('@', '%40')}@{package['version']}")
        yield component | _sha512(package["integrity"].removeprefix("sha512-"))


def ohif(script: Path = ASSEMBLE) -> Iterator[dict[str, Any]]:
    """Yield the release of OHIF that the viewer is assembled from: the newest that is pinned."""
    version, digest = next(_PIN.finditer(script.read_text(encoding="utf-8"))).groups()
    yield _library("@ohif/app", version, f"pkg:npm/%40ohif/app@{version}") | _sha512(digest)


def models(folder: Path = MODELS) -> Iterator[dict[str, Any]]:
    """Yield a component for each shipped model, with the SHA-256 of its network."""
    for card in sorted(folder.glob("*/card.json")):
        facts = json.loads(card.read_text(encoding="utf-8"))
        yield {
            "type": "machine-learning-model",
            "bom-ref": f"model:{facts['name']}",
            "name": facts["name"],
            "version": facts["sha256"][:12],
            "hashes": [{"alg": "SHA-256", "content": facts["sha256"]}],
        }


def _sha512(digest: str) -> dict[str, Any]:
    return {"hashes": [{"alg": "SHA-512", "content": base64.b64decode(digest).hex()}]}


def _library(name: str, version: str, purl: str) -> dict[str, Any]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def document() -> dict[str, Any]:
    """Return the whole document. Its serial number stands for its content."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    components = {one["bom-ref"]: one for one in (*python_packages(), *viewer_packages(), *ohif(), *models())}
    itself = {
        "type": "application",
        "bom-ref": project["name"],
        "name": project["name"],
        "version": project["version"],
        "description": project["description"],
        "licenses": [{"license": {"id": project["license"]}}],
    }
    content = {"metadata": {"component": itself}, "components": [components[name] for name in sorted(components)]}
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(content, sort_keys=True))
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": serial.urn, "version": 1, **content}


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1)
    print()
