"""The archive as the library sees it: Orthanc, through the module that is handed in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cbmir.errors import NotFound, Unavailable
from cbmir.records import ORTHANC_LABEL, Label, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

LABELS_METADATA = 3872
"""Number of the user-defined Orthanc metadata that holds a study's or series' labels as JSON."""

MOST_LABELS = 100
LABEL_LENGTH = 64

PAGE = 100
"""Series listed in one request, so that neither the answer nor the time that Python's lock is held grows large."""

MOST_STEPS_BACK = 100
"""Pages that are read once more in one listing of the archive."""

IDS_LISTED = 10_000
"""Ids listed in one request, likewise; each request is a search of Orthanc's database from the beginning."""

DOCUMENTS = r"SR\DOC\OT"
"""Modalities of structured reports and of encapsulated documents, which some systems call "other"."""

ABSENT = "Orthanc has no such resource"
_MISSING = frozenset({7, 17})
"""Orthanc's error codes for an inexistent item and an unknown resource."""


@dataclass(frozen=True, slots=True)
class Document:
    """An instance that may be a report, and when its series last changed: overwritten, it has the same id."""

    orthanc_id: str
    changed: str


@dataclass(frozen=True, slots=True)
class Volume:
    """A series or study, the study that it is of, and how many instances it has."""

    level: Literal["series", "study"]
    orthanc_id: str
    study: str
    instances: int


@dataclass(frozen=True, slots=True)
class Study:
    """A study: PatientName and PatientID as far as known, and the Orthanc ids of its series."""

    patient: dict[str, str]
    series: frozenset[str]


class Archive:
    """Where instances come from. Only reads: storing from inside Orthanc can deadlock it.

    Every method may raise Unavailable; those that name a resource, NotFound.
    """

    def __init__(self, orthanc: Any) -> None:
        """Take the module `orthanc`, or a double of it."""
        self._orthanc = orthanc
        self._labels_there: bool | None = None
        self._names: frozenset[str] | None = None

    def instances(self) -> Iterator[list[str]]:
        """Yield the Orthanc ids of all instances, a series at a time, those that changed longest ago first."""
        for _, instances in sorted(self._series().values(), key=lambda one: one[0]):
            yield instances

    def _series(self) -> dict[str, tuple[str, list[str]]]:
        """Return when each series changed last, and its instances, by its Orthanc id.

        Orthanc counts off each page anew: where a series has gone meanwhile, those behind it have moved up. So a page
        begins with the last series of the one before, or is read once more from further in front. Where that does not
        help, as their order itself changes, one page follows the other in the end.
        """
        found: dict[str, tuple[str, list[str]]] = {}
        since, last, steps_back = 0, None, MOST_STEPS_BACK
        while True:
            page = {one["ID"]: one for one in self._get(f"/series?expand&since={since}&limit={PAGE}")}
            if since and last not in page and steps_back:
                since, steps_back = max(0, since - PAGE), steps_back - 1
                continue
            found |= {name: (str(one["LastUpdate"]), one["Instances"]) for name, one in page.items()}
            if not page or page.keys() == {last}:
                return found
            *_, last = page
            since += len(page) - bool(steps_back)

    def instance(self, orthanc_id: str) -> tuple[str, int]:
        """Return the Orthanc id of an instance's series, and the size of its file in bytes."""
        found = self._get(f"/instances/{orthanc_id}")
        return str(found["ParentSeries"]), int(found["FileSize"])

    def gone(self, orthanc_ids: Iterable[str]) -> Iterator[str]:
        """Yield those of these instances that there are no more; not those of which Orthanc cannot tell.

        Asked together: a call that fails, as for each that is gone, leaves some hundred bytes behind in Orthanc's
        Python plugin.
        """
        wanted = list(orthanc_ids)
        for start in range(0, len(wanted), PAGE):
            page = wanted[start : start + PAGE]
            try:
                there = {one["ID"] for one in self._bulk("Instance", page)}
            except Unavailable:
                continue
            yield from (one for one in page if one not in there)

    def dicom(self, orthanc_id: str) -> bytes:
        """Return an instance's file."""
        try:
            return bytes(self._orthanc.GetDicomForInstance(orthanc_id))
        except self._orthanc.OrthancException as error:
            raise Unavailable(f"the file of instance {orthanc_id} cannot be fetched") from error

    def parents(self, series: str) -> tuple[str, str]:
        """Return the Orthanc ids of a series' study and patient."""
        study = str(self._get(f"/series/{series}")["ParentStudy"])
        return study, str(self._get(f"/studies/{study}")["ParentPatient"])

    def labels(self, level: str, orthanc_id: str) -> list[Label]:
        """Return what is said of a study ("studies"), series ("series") or instance ("instances").

        What Orthanc itself calls labels, from its version 1.12.0 on, comes last; of instances it is not asked for.
        """
        own = self._own_labels(level, orthanc_id) if level != "instances" else []
        return [*self._said(level, orthanc_id), *own]

    def own_labels(self) -> set[tuple[str, str]]:
        """Return every study and series with what Orthanc itself calls its labels, as (Orthanc id, label)."""
        if not self._has_own_labels():
            return set()
        found = set()
        for label in self._get("/tools/labels"):
            for level in ("Study", "Series"):
                named = one_line(str(label), LABEL_LENGTH)
                found |= {(orthanc_id, named) for orthanc_id in self._bearers(level, str(label))}
        return found

    def _bearers(self, level: str, label: str) -> Iterator[str]:
        """Yield the studies ("Study") or series ("Series") that bear a label of Orthanc's own."""
        wanted = {"Level": level, "Expand": False, "Query": {}, "Labels": [label], "Limit": IDS_LISTED}
        since = 0
        while page := self._post("/tools/find", wanted | {"Since": since}):
            yield from map(str, page)
            since += len(page)

    def _said(self, level: str, orthanc_id: str) -> list[Label]:
        try:
            # not simply asked for: a call that fails leaves some hundred bytes behind in Orthanc's Python plugin
            listed = json.loads(self._orthanc.RestApiGet(f"/{level}/{orthanc_id}/metadata"))
            if self._metadata_names().isdisjoint(listed):
                return []
            said = json.loads(self._orthanc.RestApiGet(f"/{level}/{orthanc_id}/metadata/{LABELS_METADATA}"))
            labels = [Label(_words(one["label"]), _words(one.get("provenance"))) for one in said[:MOST_LABELS]]
            return [label for label in labels if label.label]
        except (self._orthanc.OrthancException, ValueError, RecursionError, TypeError, KeyError, AttributeError):
            # nobody has said anything, or not in our form
            return []

    def _metadata_names(self) -> frozenset[str]:
        """Return what the metadata of the labels may be listed as: its number, or a name that Orthanc was told."""
        if self._names is None:
            names = json.loads(self._orthanc.GetConfiguration()).get("UserMetadata", {})
            told = (name for name, number in names.items() if number == LABELS_METADATA)
            self._names = frozenset({str(LABELS_METADATA), *told})
        return self._names

    def _own_labels(self, level: str, orthanc_id: str) -> list[Label]:
        if not self._has_own_labels():
            return []
        try:
            own = json.loads(self._orthanc.RestApiGet(f"/{level}/{orthanc_id}/labels"))
            return [Label(one_line(str(label), LABEL_LENGTH), ORTHANC_LABEL) for label in own[:MOST_LABELS]]
        except (self._orthanc.OrthancException, ValueError, TypeError):
            return []

    def _has_own_labels(self) -> bool:
        """Return whether this Orthanc keeps labels. Asked once: another version means another start."""
        if self._labels_there is None:
            try:
                self._labels_there = bool(self._get("/system").get("HasLabels", False))
            except Unavailable:
                return False
        return self._labels_there

    def studies(self, orthanc_ids: Iterable[str]) -> dict[str, Study]:
        """Return what these studies are now; those that there are no more are missing. Asked together, as `gone`."""
        found = self._bulk("Study", list(orthanc_ids))
        return {str(one["ID"]): Study(_named(one["PatientMainDicomTags"]), frozenset(one["Series"])) for one in found}

    def study_instance_uid(self, study: str) -> str:
        """Return the StudyInstanceUID of a study."""
        return str(self._get(f"/studies/{study}")["MainDicomTags"]["StudyInstanceUID"])

    def documents(self, study_instance_uids: Iterable[str]) -> dict[str, list[Document]]:
        """Return what may be reports of these studies, by the study's Orthanc id, the newest first.

        Asked once for all of them, and answered from Orthanc's database alone.
        """
        studies = "\\".join(study_instance_uids)
        if not studies:
            return {}
        query = {"StudyInstanceUID": studies, "Modality": DOCUMENTS}
        series = self._post("/tools/find", {"Level": "Series", "Expand": True, "Query": query})
        found: dict[str, list[Document]] = {}
        for one in sorted(series, key=lambda one: str(one["LastUpdate"]), reverse=True):
            documents = [Document(instance, str(one["LastUpdate"])) for instance in one["Instances"]]
            found.setdefault(str(one["ParentStudy"]), []).extend(documents)
        return found

    def _bulk(self, level: str, orthanc_ids: Sequence[str]) -> Any:
        """Return what Orthanc tells of each of these studies or instances that is there."""
        body = {"Resources": orthanc_ids, "Level": level, "Metadata": False}
        return self._post("/tools/bulk-content", body) if orthanc_ids else []

    def _post(self, uri: str, body: dict[str, Any]) -> Any:
        try:
            return json.loads(self._orthanc.RestApiPost(uri, json.dumps(body).encode()))
        except self._orthanc.OrthancException as error:
            raise Unavailable("Orthanc did not answer") from error

    def lookup(self, sop_instance_uid: str) -> str | None:
        """Return the Orthanc id of an instance, or None."""
        try:
            return self._orthanc.LookupInstance(sop_instance_uid) or None
        except self._orthanc.OrthancException:
            return None

    def lookup_volume(self, uid: str) -> str | None:
        """Return the Orthanc id of the series or study with this UID, or None."""
        for find in (self._orthanc.LookupSeries, self._orthanc.LookupStudy):
            try:
                if found := find(uid):
                    return str(found)
            except self._orthanc.OrthancException:
                continue
        return None

    def find(self, level: str, uid: str) -> str | None:
        """Return the Orthanc id of the study, series or instance with a UID; None for none, or for several."""
        orthanc = self._orthanc
        lookups = {"studies": orthanc.LookupStudy, "series": orthanc.LookupSeries, "instances": orthanc.LookupInstance}
        try:
            return lookups[level](uid) or None
        except orthanc.OrthancException:
            return None

    def study_of(self, level: str, orthanc_id: str) -> str | None:
        """Return the Orthanc id of the study that a study, series or instance belongs to; None if it is gone."""
        try:
            if level == "instances":
                level, orthanc_id = "series", self.instance(orthanc_id)[0]
            return self.parents(orthanc_id)[0] if level == "series" else orthanc_id
        except NotFound:
            return None

    def volume(self, orthanc_id: str) -> Volume | None:
        """Return the series or study of this id, or None where there is none."""
        try:
            found = self._get(f"/series/{orthanc_id}")
            return Volume("series", orthanc_id, str(found["ParentStudy"]), len(found["Instances"]))
        except NotFound:
            pass
        try:
            # Orthanc answers the statistics of a patient here, too
            self._get(f"/studies/{orthanc_id}")
            counted = self._get(f"/studies/{orthanc_id}/statistics")
        except NotFound:
            return None
        return Volume("study", orthanc_id, orthanc_id, int(counted["CountInstances"]))

    def is_above_instance(self, orthanc_id: str) -> bool:
        """Return whether the id is that of a series, study or patient."""
        for level in ("series", "studies", "patients"):
            try:
                self._get(f"/{level}/{orthanc_id}")
            except NotFound:
                continue
            return True
        return False

    def metric(self, name: str, value: float) -> None:
        """Publish a number through the archive's Prometheus endpoint."""
        self._orthanc.SetMetricsValue(name, float(value), self._orthanc.MetricsType.DEFAULT)

    def _get(self, uri: str) -> Any:
        try:
            return json.loads(self._orthanc.RestApiGet(uri))
        except self._orthanc.OrthancException as error:
            if error.args and error.args[0] in _MISSING:
                raise NotFound(ABSENT) from None
            raise Unavailable("Orthanc did not answer") from error


def _named(tags: Mapping[str, Any]) -> dict[str, str]:
    """Return what tags say of who a patient is."""
    return {keyword: str(tags[keyword]) for keyword in ("PatientName", "PatientID") if tags.get(keyword)}


def _words(value: object) -> str:
    """Return what the catalogue can hold of a text that anybody may have written."""
    return one_line(value, LABEL_LENGTH) if isinstance(value, str) else ""
