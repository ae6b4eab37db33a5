"""What must hold once the plugin is at rest: archive, catalogue and index tell the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalogue_file import CatalogueFile
from orthanc_process import wait_for

if TYPE_CHECKING:
    from orthanc_process import OrthancProcess

MOST_FOUND = 100


def assert_agreement(orthanc: OrthancProcess) -> None:
    """Assert that the plugin knows exactly what Orthanc has, without an orphan, and finds all of it."""
    catalogue = CatalogueFile(orthanc.data)
    archive = orthanc.instances()
    wait_for(lambda: catalogue.states().keys() == archive, "the catalogue lists what Orthanc has")
    orthanc.wait_until_indexed(len(archive))
    assert catalogue.states().keys() == archive
    assert catalogue.orphans() == []
    vectors = catalogue.vectors()
    wait_for(lambda: orthanc.status()["slices"] == len(vectors), "the index holds as many slices as the catalogue")
    if len(vectors) <= MOST_FOUND:
        # the index follows the catalogue by a moment
        wait_for(lambda: _found(orthanc) == set(catalogue.vectors()), "every slice can be found")


def _found(orthanc: OrthancProcess) -> set[tuple[str, int]]:
    """Return all slices that are found from one slice of each study (a study is never found from itself)."""
    found = set()
    catalogue = CatalogueFile(orthanc.data)
    for instance in catalogue.one_of_each_study():
        answer = orthanc.similar(instance, group="none", samePatient="include", k=MOST_FOUND)
        found |= {(one["orthancId"], one["frame"]) for case in answer["cases"] for one in case["slices"]}
    if len(catalogue.one_of_each_study()) == 1:
        # nothing else is there to ask from
        found |= set(catalogue.vectors())
    return found
