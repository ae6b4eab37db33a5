"""Make `import torchvision` work beside a CPU-only torch. Run it once after the group "train" was installed.

    .venv/bin/python scripts/deploy/fix_torchvision.py            # look, and mend if needed
    .venv/bin/python scripts/deploy/fix_torchvision.py --remove   # take it back

The package index has no CPU build of torchvision. The CUDA build cannot load its compiled operators beside a CPU-only
torch, and its import then stops with "operator torchvision::nms does not exist" because it registers a fake kernel for
an operator that nobody declared. Declaring the operators is enough: this project uses none of them. A hook in
site-packages does so just before torchvision is imported, and only where the compiled operators do not load.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
from pathlib import Path

HOOK = '''"""Declares torchvision's operators where theirs do not load: by scripts/deploy/fix_torchvision.py."""

import sys
from importlib.machinery import PathFinder

declared = []


class BeforeTorchvision:
    """Acts once, when torchvision is about to be imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            declare(spec)
        return None


def declare(spec):
    from pathlib import Path

    import torch

    for compiled in Path(spec.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(compiled)
        except OSError:
            continue
        return
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    # the declaration lives as long as this object
    declared.append(library)


sys.meta_path.insert(0, BeforeTorchvision())
'''


def _imports() -> bool:
    """Return whether a fresh interpreter can import torchvision."""
    command = [sys.executable, "-c", "import torchvision"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def mend(site_packages: Path) -> str:
    """Write the hook where torchvision does not import; return what was done.

    Raises
    ------
    RuntimeError
        It does not import with the hook either.

    """
    if _imports():
        return "torchvision imports: nothing to do"
    (site_packages / "_declare_torchvision.py").write_text(HOOK)
    # a .pth line that begins with "import" is executed when the interpreter starts; it costs no import of torch
    (site_packages / "_declare_torchvision.pth").write_text("import _declare_torchvision\n")
    if not _imports():
        remove(site_packages)
        raise RuntimeError("torchvision does not import even with its operators declared: are torch and it a pair?")
    return f"torchvision imports now: hook written to {site_packages}"


def remove(site_packages: Path) -> str:
    """Delete the hook; return what was done."""
    for name in ("_declare_torchvision.py", "_declare_torchvision.pth"):
        (site_packages / name).unlink(missing_ok=True)
    return f"no hook in {site_packages}"


def main() -> None:
    """Mend or take back."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--remove", action="store_true", help="delete the hook")
    arguments = parser.parse_args()
    site_packages = Path(sysconfig.get_paths()["purelib"])
    try:
        print(remove(site_packages) if arguments.remove else mend(site_packages))
    except RuntimeError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
