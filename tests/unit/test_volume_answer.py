from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_files import mr_slice, picture, uid
from parts import Workplace

from cbmir.volumes import question

if TYPE_CHECKING:
    from pathlib import Path

SLICES = 4


@pytest.fixture
def stored(workplace: Workplace) -> list[str]:
    """Return four slices of a series of P0, beside which P1 has the like and P2 has not."""
    files = [
        mr_slice(f"P{patient}", patient, number=place, pixels=picture(10 * patient + place, kind=kind * 10 + place))
        for patient, kind in ((0, 0), (1, 0), (2, 1))
        for place in range(SLICES)
    ]
    names = workplace.store(*files)
    workplace.work()
    return names[:SLICES]


def asked(workplace: Workplace, identifier: str, status: int = 200, **query: str) -> Any:
    response = workplace.get(f"similar/{identifier}", **query)
    assert response.status == status, response.body
    return json.loads(response.body)


def test_a_series_is_asked_about_by_its_orthanc_id_or_its_uid(workplace: Workplace, stored: list[str]) -> None:
    series, study, _ = workplace.orthanc.above(stored[0])
    by_id, by_uid = (asked(workplace, name) for name in (series, uid("P0", 0, 1)))
    assert by_id == by_uid
    assert by_id["volume"]["level"] == "series"
    assert [case["patient"]["PatientID"] for case in by_id["cases"]] == ["P1", "P2"]
    assert asked(workplace, study)["volume"]["level"] == asked(workplace, uid("P0", 0))["volume"]["level"] == "study"


def test_each_slice_of_the_query_has_its_match(workplace: Workplace, stored: list[str]) -> None:
    answer = asked(workplace, workplace.orthanc.above(stored[0])[0])
    (series,) = answer["volume"]["series"]
    assert {one["orthancId"] for one in series["slices"]} == set(stored)
    assert (series["sequence"], series["plane"]) == ("T1C", "axial")
    assert sum(one["weight"] for one in series["slices"]) == pytest.approx(1, abs=1e-3)
    (match,) = answer["cases"][0]["match"]
    assert len(match["slices"]) == SLICES
    assert len({one["orthancId"] for one in match["slices"]}) == SLICES
    assert match["agreement"] == 1
    assert answer["cases"][0]["similarity"] == match["similarity"]
    assert answer["query"]["orthancId"] in stored


def test_a_slice_is_answered_as_before(workplace: Workplace, stored: list[str]) -> None:
    answer = asked(workplace, stored[0])
    assert "volume" not in answer
    assert all("match" not in case for case in answer["cases"])


def test_what_is_not_indexed_is_said_and_the_rest_compared(workplace: Workplace, stored: list[str]) -> None:
    workplace.store(mr_slice("P0", 0, number=9))
    volume = asked(workplace, workplace.orthanc.above(stored[0])[0])["volume"]
    assert (volume["instances"], volume["indexed"]) == (SLICES + 1, SLICES)
    assert volume["message"] == "1 of 5 instances is not indexed (yet)."


def test_thinning_and_localizers_are_told(
    workplace: Workplace, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.store(mr_slice("P0", 0, 2, SeriesDescription="localizer"))
    workplace.work()
    monkeypatch.setattr(question, "MOST_SLICES", 2)
    volume = asked(workplace, workplace.orthanc.above(stored[0])[1])["volume"]
    assert volume["message"] == "Localizers are left out. Of 4 slices, 2 evenly chosen ones are compared."


def test_nothing_indexed_is_nothing_found(workplace: Workplace, stored: list[str]) -> None:
    assert stored
    new = workplace.orthanc.store(mr_slice("P9", 9))
    for above in workplace.orthanc.above(new)[:2]:
        error = asked(workplace, above, 404)["error"]
        assert error["code"] == "not_indexed"
        assert "none of the 1 instances" in error["message"]


@pytest.mark.parametrize(
    "query", [{"frame": "2"}, {"roi": "1,1,5,5"}, {"class": "predicted"}, {"more": "1.2"}, {"less": "1.2"}]
)
def test_what_only_a_slice_can_answer_is_refused(
    workplace: Workplace, stored: list[str], query: dict[str, str]
) -> None:
    error = asked(workplace, workplace.orthanc.above(stored[0])[0], 400, **query)["error"]
    assert "name one of the instances" in error["message"]


def test_a_multi_frame_instance_is_one_instance_of_many_slices(workplace: Workplace, stored: list[str]) -> None:
    assert stored
    frames = np.stack([picture(place, kind=place) for place in range(3)])
    (name,) = workplace.store(mr_slice("P7", 7, pixels=frames))
    workplace.work()
    volume = asked(workplace, workplace.orthanc.above(name)[0])["volume"]
    assert (volume["instances"], volume["indexed"], volume["message"]) == (1, 1, None)
    assert [one["frame"] for one in volume["series"][0]["slices"]] == [1, 2, 3]


def test_a_series_whose_slices_lie_in_several_planes_has_none(workplace: Workplace) -> None:
    axial = mr_slice("P0", 0, number=1)
    coronal = mr_slice("P0", 0, number=2, ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    again = mr_slice("P0", 0, number=3)
    (name, *_) = workplace.store(axial, coronal, again)
    workplace.work()
    (series,) = asked(workplace, workplace.orthanc.above(name)[0])["volume"]["series"]
    assert series["plane"] is None


def test_what_is_said_of_the_nearest_patients_is_told_too(workplace: Workplace, stored: list[str]) -> None:
    answer = asked(workplace, workplace.orthanc.above(stored[0])[0])
    assert answer["statistics"]["patients"] == 2
    assert answer["calibration"]["known"] is False
    assert answer["cases"][0]["percentile"] is None


def test_a_slice_that_goes_meanwhile_is_no_failure(
    workplace: Workplace, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workplace.catalogue, "slices", lambda _labels: {})
    error = asked(workplace, workplace.orthanc.above(stored[0])[0], 503)["error"]
    assert error["code"] == "unavailable"


def test_the_audit_tells_which_studies_were_shown(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path)
    lines: list[Any] = []
    workplace.services.audit._write = lines.append  # type: ignore[method-assign]
    one, _ = workplace.store(mr_slice("P1", 1), mr_slice("P2", 2))
    workplace.work()
    asked(workplace, workplace.orthanc.above(one)[0])
    assert lines[-1]["queryStudyInstanceUID"] == uid("P1", 1)
    assert lines[-1]["StudyInstanceUIDs"] == [uid("P2", 2)]
    workplace.close()
