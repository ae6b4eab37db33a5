"""Write a trained network as a model folder that the plugin can load: model.onnx, card.json, MODEL_CARD.md.

    .venv/bin/python scripts/export.py --checkpoint runs/all/checkpoint.pt \
        --about scripts/model_folder/figshare-gem.toml --out plugin/cbmir/models/figshare-gem \
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
from cbmir.network import Architecture, Cells, Network, architecture_as_json, from_onnx
from cbmir.pixels import SIZE
from model_folder import card as model_card
from sources.csv_table import TableError
from sources.tables import TABLE_HELP, add_columns, columns_of, pictures, read
from training.trainer import embed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

OPSET = 18
"""Of ONNX: the first with ReduceMax and ReduceMean taking axes as input, known to every runtime since 2022."""

TOLERANCE = 1e-4
"""How far an output of the ONNX file may be from torch's, relative to the largest value of that output."""

MODEL, CELLS, CLASSIFIER = "model.onnx", "cells.onnx", "classifier.npy"
"""Files of a model folder, beside its card."""

FAR_SHARE = 0.01
"""Share of the calibration pictures that may count as none of the classes."""

OUTPUTS = ("embedding", "features", "logits")


PER_CLASS = ("n_queries", "mAP", "P@10", "chance_mAP")
"""What the card tells of each class."""


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
    add("--far-below", type=float, default=-1.0, help="cosine below which a slice is none of the classes (default: -1)")
    add("--calibrate", metavar="TABLE", help=f"fit the temperature on {TABLE_HELP}")
    add_columns(parser)
    return parser.parse_args(argv)


def network_of(state: dict[str, Any]) -> Network:
    """Return the averaged network of a checkpoint, in evaluation mode."""
    chosen = state["recipe"]["network"]
    if chosen["name"] != "googlenet-gem":
        raise ExportError(f"{chosen['name']} is measured by scripts/train.py only, never exported")
    architecture = Architecture(
        tuple(state["labels"]), dim=chosen["dim"], stride=chosen["stride"], side=chosen["side"], guided=chosen["guided"]
    )
    network = Network(architecture)
    network.load_state_dict(state["averaged"])
    return network.eval()


def write_onnx(network: Network, path: Path) -> None:
    """Write the network as ONNX whose initialisers keep the names of its weights, so that torch can read them back."""
    _write(network, {"image": torch.zeros(2, 1, SIZE, SIZE)}, OUTPUTS, path)


def write_cells(network: Network, path: Path) -> None:
    """Write what shows where a similarity comes from: from the features that the network answers, not the image."""
    with torch.inference_mode():
        features = network.outputs(torch.zeros(2, 1, SIZE, SIZE)).features
    _write(Cells(network).eval(), {"features": features, "region": features[:, :1]}, ("cells",), path)


def _write(module: Cells | Network, examples: dict[str, Tensor], outputs: Sequence[str], path: Path) -> None:
    network = module.network if isinstance(module, Cells) else module
    program = torch.onnx.export(
        module,
        tuple(examples.values()),
        input_names=list(examples),
        output_names=list(outputs),
        dynamic_shapes={name: {0: torch.export.Dim("batch")} for name in examples},
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
    features = found[OUTPUTS.index("features")]
    (places,) = session.run(["cells"], {"features": features, "region": np.zeros_like(features[:, :1])})
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


def calibrated(network: Network, options: argparse.Namespace) -> tuple[float, float]:
    """Return the temperature that fits the table --calibrate, and the cosine below which little of it lies."""
    labels = network.architecture.labels
    rows = read(options.calibrate, columns_of(options), labels)
    _, logits = embed(network, pictures(rows, SIZE), torch.device("cpu"))
    cosines = logits.max(axis=1) / network.classifier.log_scale.exp().item()
    targets = np.array([labels.index(row.label) for row in rows])
    return temperature(logits, targets), float(np.quantile(cosines, FAR_SHARE))


def write_classifier(network: Network, path: Path) -> None:
    """Write the direction of each class: (classes, dim) float32, rows of unit length."""
    with torch.inference_mode():
        directions = torch.nn.functional.normalize(network.classifier.weight, dim=1)
    np.save(path, directions.numpy(), allow_pickle=False)


def figure(path: Path) -> dict[str, Any]:
    """Return what the card keeps of an evaluation's JSON: values, intervals, protocol."""
    found = json.loads(path.read_text(encoding="utf-8"))
    names = ("mAP", "P@1", "P@5", "P@10", "mAP@10", "chance_mAP")
    return {
        "protocol": found["protocol"],
        "values": {name: found[name] for name in names},
        "intervals": {name: low_high for name, low_high in found["confidence_intervals"].items() if name in names},
        "perClass": {label: {name: row[name] for name in PER_CLASS} for label, row in found["per_class"].items()},
        "queries": found["n_queries"],
        "gallery": found["n_gallery"],
    }


def described(file: Path) -> dict[str, str]:
    """Return the name of a file and its SHA-256, by which the plugin knows it."""
    return {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def card(
    state: dict[str, Any], options: argparse.Namespace, folder: Path, network: Network, calibration: tuple[float, float]
) -> dict[str, Any]:
    """Return the card of a model."""
    about = tomllib.loads(options.about.read_text(encoding="utf-8"))
    chosen = state["recipe"]["network"]
    degrees, far_below = calibration
    scale = network.classifier.log_scale.exp().item() / degrees
    return {
        "name": options.out.name,
        **described(folder / MODEL),
        "cells": described(folder / CELLS),
        "classifier": {**described(folder / CLASSIFIER), "scale": scale, "farBelow": far_below},
        "network": chosen["name"],
        "size": SIZE,
        "dim": chosen["dim"],
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
        made = Path(folder)
        write_onnx(network, made / MODEL)
        write_cells(network, made / CELLS)
        write_classifier(network, made / CLASSIFIER)
        for name, difference in differences(network, made / MODEL, made / CELLS).items():
            print(f"{name}: largest difference from torch {difference:.2g}")
        calibration = calibrated(network, options) if options.calibrate else (options.temperature, options.far_below)
        print(f"temperature {calibration[0]:.3f}, far from all classes below a cosine of {calibration[1]:.3f}")
        written = card(state, options, made, network, calibration)
        for file in made.iterdir():
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
