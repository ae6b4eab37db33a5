"""What Orthanc itself calls labels, from its version 1.12.0 on: in answers and filters as long as it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from dicom_files import mr_file, uid
from orthanc_process import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from orthanc_process import OrthancProcess

GLIOMA = {"label": "Glioma", "provenance": "Orthanc label"}


@pytest.fixture(scope="module")
def orthanc(make_shared_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    """Return a running Orthanc that knows labels, with one slice each of two patients."""
    orthanc = make_shared_orthanc({"MinSimilarity": -1}).start()
    if not orthanc.http.get("/system").json().get("HasLabels"):
        pytest.skip("this Orthanc is older than 1.12.0, which was the first with labels of its own")
    for patient in ("P1", "P2"):
        orthanc.upload(mr_file(patient, 1, 1))
    orthanc.wait_until_indexed(2)
    return orthanc


def found(orthanc: OrthancProcess, uid_: str) -> dict[str, Any]:
    (one,) = orthanc.http.post("/tools/lookup", content=uid_).json()
    return dict(one)


@pytest.mark.parametrize("uids", [("P1", 1), ("P1", 1, 1)], ids=["study", "series"])
def test_a_label_of_orthanc_is_shown_while_it_is_there(orthanc: OrthancProcess, uids: tuple[Any, ...]) -> None:
    path = f"{found(orthanc, uid(*uids))['Path']}/labels/Glioma"
    query = found(orthanc, uid("P2", 1, 1, 1))["ID"]

    def labels() -> list[list[dict[str, str]]]:
        return [case["labels"] for case in orthanc.similar(query)["cases"]]

    assert orthanc.http.put(path).status_code == 200
    wait_for(lambda: labels() == [[GLIOMA]], "the answer shows the label")
    assert orthanc.similar(query, label="glioma")["cases"]
    assert not orthanc.similar(query, label="meningioma")["cases"]
    assert orthanc.http.delete(path).status_code == 200
    wait_for(lambda: labels() == [[]], "the answer shows no label")
