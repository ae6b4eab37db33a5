import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from cbmir import embedding
from model_folder import card as model_card

MODELS = Path(embedding.__file__).parent / "models"
LARGEST = 30_000_000

shipped = pytest.mark.parametrize("folder", sorted(MODELS.iterdir()), ids=lambda folder: folder.name)


@shipped
def test_a_shipped_model_loads_and_answers_unit_vectors(folder: Path) -> None:
    model = embedding.load(folder)
    assert model.name == folder.name
    vectors = model.embed(np.random.default_rng(0).random((2, 1, model.size, model.size), np.float32))
    assert vectors.shape == (2, model.dim)


@shipped
def test_a_shipped_model_is_small_and_every_file_is_the_one_its_card_names(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    assert hashlib.sha256((folder / card["file"]).read_bytes()).hexdigest() == card["sha256"]
    assert sum(file.stat().st_size for file in folder.iterdir()) <= LARGEST


@shipped
def test_the_readable_card_says_what_the_card_for_programs_says(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    assert (folder / "MODEL_CARD.md").read_text() == model_card.markdown(card)


@shipped
def test_a_card_names_licence_data_limits_and_figures_with_interval_and_chance(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    assert card["licence"]
    assert card["limits"]
    assert "diagnosis" in card["intendedUse"]
    for source in card["data"]:
        assert all(source[key] for key in ("name", "licence", "attribution", "url", "use"))
    assert card["figures"]
    for figure in card["figures"].values():
        low, high = figure["intervals"]["mAP"]
        assert figure["values"]["chance_mAP"] < low <= figure["values"]["mAP"] <= high
        assert figure["protocol"]


@shipped
def test_a_class_of_which_nothing_could_be_found_has_empty_cells(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    figure = next(iter(card["figures"].values()))
    figure["perClass"]["rare"] = {"n_queries": 3, "mAP": None, "P@10": None, "chance_mAP": None}
    assert "| rare | 3 |  |  |  |" in model_card.markdown(card)


@shipped
def test_no_shipped_file_tells_of_the_machine_it_was_made_on(folder: Path) -> None:
    for file in folder.iterdir():
        content = file.read_bytes()
        for trace in (b"/work/", b"/home/", b"/root/", b"/tmp/", b"site-packages"):
            assert trace not in content, f"{trace!r} in {file.name}"
