"""Whether an answer says that nothing like the query is here."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_files import mr_slice
from parts import DIM, MODEL, Workplace, series, tiny_embedder
from readers import Reader

from cbmir.instance import Limits, read
from cbmir.pixels import prepare, sketch
from cbmir.records import CataloguedSlice
from cbmir.watching.calibration import FEWEST_PATIENTS, gallery, scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SHARED = Path(__file__).parents[3] / "shared" / "data"
PATIENTS = 30


def head(seed: int) -> NDArray[np.uint16]:
    """Return a bright disc in black, each a little different."""
    y, x = np.mgrid[:64, :64] - 31.5
    noise = np.random.default_rng(seed).random((64, 64))
    return np.where(np.hypot(x, y * 1.2) < 25, 2000 + 1500 * noise, 30 * noise).astype(np.uint16)


def stripes() -> NDArray[np.uint16]:
    """Return what is no head."""
    x = np.arange(64)
    return np.tile(4000 * (x // 8 % 2), (64, 1)).astype(np.uint16)


def filled(workplace: Workplace, patients: int = PATIENTS) -> list[str]:
    """Store some slices of each patient, and have the worker look at them; return their Orthanc ids."""
    stored = workplace.store(
        *(
            mr_slice(f"P{patient}", number=number, pixels=head(10 * patient + number))
            for patient in range(patients)
            for number in range(4)
        )
    )
    workplace.work()
    workplace.indexer._check()
    return stored


def asked(workplace: Workplace, name: str, **query: str) -> dict[str, Any]:
    response = workplace.get(f"similar/{name}", **query)
    assert response.status == 200, response.body
    found: dict[str, Any] = json.loads(response.body)
    return found


def add(workplace: Workplace, pixels: Any, patient: str = "odd") -> str:
    (stored,) = workplace.store(mr_slice(patient, pixels=pixels))
    workplace.work()
    return stored


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    workplace = Workplace(tmp_path)
    yield workplace
    workplace.close()


def test_a_slice_like_the_others_is_not_unusual(workplace: Workplace) -> None:
    filled(workplace)
    found = asked(workplace, add(workplace, head(9999)))
    assert found["calibration"] == {"known": True, "message": None, "patients": PATIENTS, "slices": 4 * PATIENTS}
    assert found["unusual"] is None or found["unusual"]["by"] == "similarity"
    assert all(0 <= case["percentile"] <= 100 for case in found["cases"])
    assert all(0 <= one["percentile"] <= 100 for case in found["cases"] for one in case["slices"])


def test_nothing_like_it_is_said_of_what_is_no_head(workplace: Workplace) -> None:
    filled(workplace)
    found = asked(workplace, add(workplace, stripes()))
    assert found["unusual"] is not None
    assert found["unusual"]["similarity"] < found["unusual"]["usualFrom"]
    assert found["unusual"]["message"].startswith("Nothing looks much like this slice")


def test_a_network_that_finds_everything_alike_is_not_believed(tmp_path: Path) -> None:
    """The shipped network calls a fruit as near to a head as one head to another."""
    one = np.eye(1, DIM, dtype=np.float32)

    def blind(_outputs: Any, /, *, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [np.repeat(one, len(image), axis=0)]

    workplace = Workplace(tmp_path, embedder=tiny_embedder(blind))
    filled(workplace)
    found = asked(workplace, add(workplace, stripes()))
    assert found["cases"][0]["similarity"] == 1
    assert found["unusual"]["by"] == "picture"
    assert asked(workplace, add(workplace, head(77), "new"))["unusual"] is None
    workplace.close()


def test_a_slice_that_is_not_indexed_is_looked_at_too(workplace: Workplace) -> None:
    filled(workplace)
    stored = workplace.orthanc.store(mr_slice("odd", pixels=stripes()))
    found = asked(workplace, stored)
    assert not found["query"]["indexed"]
    assert found["unusual"] is not None


def test_of_a_small_archive_it_is_said_that_nothing_can_be_told(workplace: Workplace) -> None:
    stored = filled(workplace, FEWEST_PATIENTS - 1)
    found = asked(workplace, stored[0])
    assert not found["calibration"]["known"]
    assert found["calibration"]["message"].startswith("Whether a slice is unusual here cannot be told yet")
    assert (found["unusual"], found["cases"][0]["percentile"]) == (None, None)


@pytest.mark.parametrize("query", [{"roi": "0,0,30,30"}, {"more": "{first}"}, {"less": "{first}"}])
def test_regions_and_refinements_have_no_scale(workplace: Workplace, query: dict[str, str]) -> None:
    first, *_ = filled(workplace)
    odd = add(workplace, stripes())
    found = asked(workplace, odd, **{name: text.format(first=first) for name, text in query.items()})
    assert (found["calibration"]["known"], found["unusual"], found["cases"][0]["percentile"]) == (False, None, None)
    assert "not of series, regions" in found["calibration"]["message"]


@pytest.mark.parametrize("query", [{"Modality": "MR"}, {"class": "predicted"}, {"samePatient": "only"}])
def test_what_filters_chose_is_not_called_unusual(workplace: Workplace, query: dict[str, str]) -> None:
    filled(workplace)
    odd = add(workplace, stripes())
    assert asked(workplace, odd, **query)["unusual"] is None


def test_other_slices_of_the_patient_make_nothing_usual(workplace: Workplace) -> None:
    filled(workplace)
    add(workplace, stripes())
    (again,) = workplace.store(mr_slice("odd", 2, pixels=stripes()))
    workplace.work()
    workplace.indexer._checks._likeness._pictured = ("", 0)
    workplace.indexer._check()
    assert asked(workplace, again, samePatient="include")["unusual"] is not None


def test_what_is_hidden_makes_nothing_usual_and_no_figures_are_told(tmp_path: Path) -> None:
    reader = Reader()
    workplace = Workplace(tmp_path, gatekeeper=reader)
    for number in range(4):
        twin = add(workplace, stripes(), f"twin{number}")
    filled(workplace)
    odd = add(workplace, stripes())
    assert asked(workplace, odd)["unusual"] is None
    reader.hidden = {workplace.orthanc.above(name)[1] for name in workplace.orthanc.files} - {
        workplace.orthanc.above(name)[1] for name in [odd, *filled_of(workplace)]
    }
    assert workplace.orthanc.above(twin)[1] in reader.hidden
    found = asked(workplace, odd)
    assert found["unusual"]["message"].startswith("Nothing that you may see looks much like this slice")
    assert (found["calibration"]["patients"], found["calibration"]["slices"]) == (None, None)
    workplace.close()


def filled_of(workplace: Workplace) -> list[str]:
    """Return the instances that `filled` stored."""
    patients = {
        workplace.orthanc.above(name)[2]: workplace.orthanc._tags[workplace.orthanc.above(name)[1]]["PatientID"]
        for name in workplace.orthanc.files
    }
    return [name for name in workplace.orthanc.files if patients[workplace.orthanc.above(name)[2]].startswith("P")]


# ---- real pictures ----


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.is_dir():
        pytest.skip(f"{path} is not there")
    return path


def slice_of(patient: str) -> CataloguedSlice:
    return CataloguedSlice(1, "i", 1, 1, "1.2", series(patient))


def seen(file: Path) -> NDArray[np.uint8]:
    """Return the sketch of the frame in the middle."""
    instance = read(file.read_bytes(), Limits(("MR", "CT", "OT", "US"), 2**24, 2000))
    return sketch(prepare(instance.frame(1 + instance.number_of_frames // 2), 128))


@pytest.fixture(scope="module")
def brains() -> Any:
    """Return what every tenth slice of a public collection of brains looks like from afar."""
    from sources.slice_files import slice_of as opened  # noqa: PLC0415

    folder = shared("brain15")
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[::10]
    sketches = np.stack([sketch(prepare(opened(folder / row["file"]), 128)) for row in rows])
    found = gallery(MODEL, [slice_of(row["pseudo_case"]) for row in rows], sketches)
    assert found is not None
    return found


def nearest(brains: Any, file: Path) -> float:
    return float((brains.pictures @ scaled(seen(file))).max())


def test_a_fruit_among_brains_is_unusual(brains: Any) -> None:
    files = sorted((shared("dicom") / "series" / "ge_fruit_out_of_domain").rglob("*.dcm"))
    assert files
    assert all(nearest(brains, file) < brains.usual_from for file in files)


@pytest.mark.parametrize(
    "name",
    [
        "pydicom/MR_small.dcm",
        "pydicom/examples_palette.dcm",
        "pydicom/image_dfl.dcm",
        "siemens_mosaic/epi_pe_ap-00001.dcm",
    ],
)
def test_what_is_no_brain_is_unusual_among_brains(brains: Any, name: str) -> None:
    """A body part, an ultrasound picture, a drawing, and many brains in one picture."""
    assert nearest(brains, shared("dicom") / "odd" / name) < brains.usual_from


@pytest.mark.parametrize("name", ["siemens_sag_mprage_ped", "uih_t1_sag"])
def test_brains_of_other_scanners_are_not_unusual_among_brains(brains: Any, name: str) -> None:
    files = sorted((shared("dicom") / "series" / name).rglob("*.dcm"))
    assert np.mean([nearest(brains, file) >= brains.usual_from for file in files]) > 0.8
