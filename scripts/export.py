"""Write a trained network as a model folder that the plugin can load: model.onnx, card.json, MODEL_CARD.md.

    .venv/bin/python scripts/export.py --checkpoint runs/all/checkpoint.pt \
        --about scripts/model_cards/figshare-gem.toml --out plugin/cbmir/models/figshare-gem \
        --figures "figshare, fold 4" fold4.json --temperature 1.1
    .venv/bin/python scripts/export.py ... --calibrate DIR/index.csv:patient_fold=4 --group patient_fold

--about holds what no program can know: licence, data with attribution, intended use, limits. --figures takes what
scripts/evaluate.py wrote. --calibrate fits the temperature on pictures that the checkpoint was not trained on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch

import _library  # noqa: F401 - before cbmir
import model_card
from cbmir.network import Architecture, Cells, Network, architecture_as_json, from_onnx
from cbmir.pixels import SIZE
from tables import TABLE_HELP, TableError, pictures, read
from training import embed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

OPSET = 18
"""Of ONNX: the first with ReduceMax and ReduceMean taking axes as input, known to every runtime since 2022."""

TOLERANCE = 1e-4
"""How far an output of the ONNX file may be from torch's, relative to the largest value of that output."""

OUTPUTS = ("embedding", "features", "logits")


class ExportError(Exception):
    """The checkpoint cannot be exported, or the exported file computes something else."""


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="checkpoint.pt of a run of scripts/train.py")
    add("--about", type=Path, required=True, metavar="TOML", help="the words of the card")
    add("--out", type=Path, required=True, metavar="DIR", help="the model folder; its name becomes the model's")
    add("--figures", nargs=2, action="append", default=[], metavar=("TITLE", "JSON"), help="from scripts/evaluate.py")
    add("--temperature", type=float, default=1.0, help="what logits are divided by (default: 1)")
    add("--calibrate", metavar="TABLE", help=f"fit the temperature on {TABLE_HELP}")
    add("--label", default="label", help="column of the class in --calibrate (default: label)")
    add("--group", default="group", help="column of the case in --calibrate (default: group)")
    return parser.parse_args(argv)


def network_of(state: dict[str, Any]) -> Network:
    """Return the averaged network of a checkpoint, in evaluation mode."""
    chosen = state["recipe"]["network"]
    if chosen["name"] != "googlenet-gem":
        raise ExportError(f"{chosen['name']} is measured by scripts/train.py only, never exported")
    architecture = Architecture(
        tuple(state["labels"]), dim=chosen["dim"], stride=chosen["stride"], guided=chosen["guided"]
    )
    network = Network(architecture)
    network.load_state_dict(state["averaged"])
    return network.eval()


def write_onnx(network: Network, path: Path) -> None:
    """Write the network as ONNX whose initialisers keep the names of its weights, so that torch can read them back."""
    _write(network, torch.zeros(2, 1, SIZE, SIZE), "image", OUTPUTS, path)


def write_cells(network: Network, path: Path) -> None:
    """Write what shows where a similarity comes from: from the features that the network answers, not the image."""
    with torch.inference_mode():
        features = network.outputs(torch.zeros(2, 1, SIZE, SIZE)).features
    _write(Cells(network).eval(), features, "features", ("cells",), path)


def _write(module: Cells | Network, example: Tensor, source: str, outputs: Sequence[str], path: Path) -> None:
    network = module.network if isinstance(module, Cells) else module
    program = torch.onnx.export(
        module,
        (example,),
        input_names=[source],
        output_names=list(outputs),
        dynamic_shapes={source: {0: torch.export.Dim("batch")}},
        opset_version=OPSET,
        # batch norms stay apart from convolutions: runtimes fold them when they load the file
        optimize=False,
        verbose=False,
    )
    if program is None:
        raise ExportError("torch wrote no ONNX program")
    model = program.model_proto
    onnx.helper.set_model_props(model, {"architecture": architecture_as_json(network.architecture)})
    # the exporter's notes name source files and lines of the machine that ran it
    for node in model.graph.node:
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def differences(network: Network, path: Path, cells: Path) -> dict[str, float]:
    """Return, per output, the largest absolute difference of ONNX Runtime from torch over random pictures.

    Raises
    ------
    ExportError
        A difference is beyond the tolerance, or torch does not get the same weights back from the file.

    """
    pictures_ = torch.rand((3, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = network(pictures_)
        again = from_onnx(path)(pictures_)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(list(OUTPUTS), {"image": pictures_.numpy()})
    result = {}
    for name, ours, theirs, back in zip(OUTPUTS, expected, found, again, strict=True):
        result[name] = float(np.abs(ours.numpy() - theirs).max())
        if not result[name] <= TOLERANCE * max(1.0, float(ours.abs().max())) or not torch.equal(ours, back):
            raise ExportError(f"output {name!r} of the ONNX file differs from torch by {result[name]:.2g}")
    session = onnxruntime.InferenceSession(cells, providers=["CPUExecutionProvider"])
    (places,) = session.run(["cells"], {"features": found[OUTPUTS.index("features")]})
    result["cells"] = float(np.abs(places.sum(axis=(2, 3)) - found[OUTPUTS.index("embedding")]).max())
    if not result["cells"] <= TOLERANCE:
        raise ExportError(f"the cells do not add up to the embedding: they differ by {result['cells']:.2g}")
    return result


def temperature(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> float:
    """Return the T for which softmax(logits / T) is likeliest (Guo et al., ICML 2017): searched on a fine grid."""
    candidates = np.exp(np.linspace(np.log(0.1), np.log(10), 401))
    costs = []
    for candidate in candidates:
        scaled = logits / candidate
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        costs.append((np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(targets)), targets]).mean())
    return float(candidates[int(np.argmin(costs))])


def calibrated(network: Network, options: argparse.Namespace) -> float:
    """Return the temperature that fits the table --calibrate."""
    labels = network.architecture.labels
    rows = read(options.calibrate, options.label, options.group, labels)
    _, logits = embed(network, pictures(rows, SIZE), torch.device("cpu"))
    return temperature(logits, np.array([labels.index(row.label) for row in rows]))


def figure(path: Path) -> dict[str, Any]:
    """Return what the card keeps of an evaluation's JSON: values, intervals, protocol."""
    found = json.loads(path.read_text(encoding="utf-8"))
    names = ("mAP", "P@1", "P@5", "P@10", "mAP@10", "chance_mAP")
    return {
        "protocol": found["protocol"],
        "values": {name: found[name] for name in names},
        "intervals": {name: found["intervals"][name] for name in names if name in found["intervals"]},
        "queries": found["n_queries"],
        "gallery": found["n_gallery"],
    }


def card(
    state: dict[str, Any], options: argparse.Namespace, files: tuple[Path, Path], degrees: float
) -> dict[str, Any]:
    """Return the card of a model."""
    about = tomllib.loads(options.about.read_text(encoding="utf-8"))
    network = state["recipe"]["network"]
    model, cells = files
    return {
        "name": options.out.name,
        "file": model.name,
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "cells": {"file": cells.name, "sha256": hashlib.sha256(cells.read_bytes()).hexdigest()},
        "network": network["name"],
        "size": SIZE,
        "dim": network["dim"],
        "labels": list(state["labels"]),
        "temperature": degrees,
        **{key: about[key] for key in ("licence", "summary", "intendedUse", "limits", "data")},
        "recipe": {
            "name": state["origin"]["recipe_name"],
            "seed": state["seed"],
            "epochsDone": state["epoch"],
            "settings": state["recipe"],
        },
        "figures": {title: figure(Path(path)) for title, path in options.figures},
    }


def export(options: argparse.Namespace) -> None:
    """Write the model folder; what was there before stays until the new file has passed its checks."""
    state = torch.load(options.checkpoint, map_location="cpu", weights_only=True)
    network = network_of(state)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.out.parent) as folder:
        path, cells = Path(folder) / "model.onnx", Path(folder) / "cells.onnx"
        write_onnx(network, path)
        write_cells(network, cells)
        for name, difference in differences(network, path, cells).items():
            print(f"{name}: largest difference from torch {difference:.2g}")
        degrees = calibrated(network, options) if options.calibrate else options.temperature
        print(f"temperature {degrees:.3f}")
        written = card(state, options, (path, cells), degrees)
        for file in (path, cells):
            file.replace(options.out / file.name)
    model_card.write(written, options.out)
    print(f"{options.out}: {written['sha256'][:12]}, {(options.out / 'model.onnx').stat().st_size / 1e6:.1f} MB")


def main() -> None:
    """Run, or say in one sentence why not."""
    try:
        export(arguments(None))
    except (ExportError, TableError, OSError, KeyError, ValueError) as error:
        sys.exit(f"export.py: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
