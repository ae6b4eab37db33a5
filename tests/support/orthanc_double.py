"""A double of the `orthanc` module that holds instances in memory, and raises on whatever it does not know."""

from __future__ import annotations

import hashlib
import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from dicom_files import to_bytes
from pydicom import dcmread

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

INEXISTENT_ITEM = 7
UNKNOWN_RESOURCE = 17
DATABASE_ERROR = 11


class OrthancException(Exception):
    """What every call of Orthanc raises, with its number first."""


class OrthancDouble:
    """Answers like Orthanc for the few calls that the plugin makes; any other is an error of the test.

    Attributes
    ----------
    files
        Orthanc id → file.
    failing
        URI or Orthanc id → how many more calls for it fail.
    calls
        Every URI asked for.
    own_labels
        What this Orthanc calls labels, by Orthanc id; None for one before version 1.12.0.
    configuration
        What Orthanc was configured with.
    failures
        How many calls raised an exception, each of which costs a real Orthanc memory for ever.
    metrics, logged
        What the plugin published and said.

    """

    OrthancException = OrthancException
    MetricsType = SimpleNamespace(DEFAULT=0)
    ChangeType = SimpleNamespace(DELETED=1, ORTHANC_STARTED=2, ORTHANC_STOPPED=3, UPDATED_METADATA=4, NEW_INSTANCE=5)
    ResourceType = SimpleNamespace(PATIENT=0, STUDY=1, SERIES=2, INSTANCE=3)

    def __init__(self) -> None:
        """Make an empty archive."""
        self.files: dict[str, bytes] = {}
        self.failing: dict[str, int] = {}
        self.metadata: dict[str, str] = {}
        self.own_labels: dict[str, list[str]] | None = None
        self.configuration: dict[str, Any] = {}
        self.failures = 0
        self.calls: list[str] = []
        self.metrics: dict[str, float] = {}
        self._above: dict[str, tuple[str, str, str]] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._uids: dict[str, str] = {}
        self._modalities: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        """Refuse what is not stubbed; what Python itself looks for in a module may be missing."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise AssertionError(f"the test stubs no orthanc.{name}")

    # ---- what the tests do ----

    def store(self, dataset: Dataset | bytes) -> str:
        """Keep a file; return its Orthanc id."""
        file = dataset if isinstance(dataset, bytes) else to_bytes(dataset)
        found = dcmread(io.BytesIO(file), force=True, stop_before_pixels=True)
        uids = [str(found.get(f"{level}InstanceUID", "")) for level in ("Study", "Series", "SOP")]
        patient = str(found.get("PatientID", ""))
        keys = [patient, *uids]
        patient_id, study, series, instance = (orthanc_id(*keys[: length + 1]) for length in range(4))
        self.files[instance] = file
        self._above[instance] = series, study, patient_id
        self._tags[study] = {"PatientName": str(found.get("PatientName", "")), "PatientID": patient}
        self._uids[study] = uids[0]
        self._modalities[series] = str(found.get("Modality", ""))
        return instance

    def delete(self, orthanc_id: str) -> None:
        """Remove a file."""
        del self.files[orthanc_id]

    def above(self, orthanc_id: str) -> tuple[str, str, str]:
        """Return series, study and patient of an instance."""
        return self._above[orthanc_id]

    def say(self, orthanc_id: str, labels: Any) -> None:
        """Attach labels to a study or series as the plugin reads them."""
        self.metadata[orthanc_id] = labels if isinstance(labels, str) else json.dumps(labels)

    # ---- what the plugin calls ----

    def RestApiGet(self, uri: str) -> bytes:  # noqa: N802
        self.calls.append(uri)
        self._perhaps_fail(uri)
        parts = urlsplit(uri)
        level, _, rest = parts.path.strip("/").partition("/")
        name, _, inner = rest.partition("/")
        if uri == "/system":
            return json.dumps({"HasLabels": self.own_labels is not None}).encode()
        if uri == "/tools/labels" or inner == "labels":
            return json.dumps(self._labels(name if inner else None)).encode()
        if inner.startswith("metadata"):
            listed = json.dumps(["LastUpdate", *([self._labels_name()] if name in self.metadata else [])])
            return (listed if inner == "metadata" else self._known(self.metadata, name)).encode()
        if inner == "statistics":
            # of any id, whatever level the URI names
            below = [one for one, above in self._above.items() if one in self.files and name in (one, *above)]
            self._known(dict.fromkeys([name] if below else []), name)
            return json.dumps({} if name in self.files else {"CountInstances": len(below)}).encode()
        if level == "series" and not name:
            page = {key: int(values[0]) for key, values in parse_qs(parts.query).items()}
            return json.dumps(self._series()[page["since"] : page["since"] + page["limit"]]).encode()
        return json.dumps(self._resource(level, name)).encode()

    def GetConfiguration(self) -> str:  # noqa: N802
        return json.dumps(self.configuration)

    def _labels(self, name: str | None) -> list[str]:
        """Return the labels of a study or series, or all that there are."""
        labels = self.own_labels or {}
        return self._known(labels, name) if name else sorted({label for some in labels.values() for label in some})

    def _bulk(self, Resources: list[str], Level: str, Metadata: bool) -> list[Any]:  # noqa: N803, FBT001
        """Return what is known of studies or instances, as far as they are there."""
        assert not Metadata
        if Level == "Instance":
            return [{"ID": one} for one in Resources if one in self.files]
        assert Level == "Study"
        there = {self._above[one][1] for one in self.files}
        return [{"ID": one, **self._resource("studies", one)} for one in Resources if one in there]

    def RestApiPost(self, uri: str, body: bytes) -> bytes:  # noqa: N802
        self.calls.append(uri)
        self._perhaps_fail(uri)
        if uri not in {"/tools/find", "/tools/bulk-content"}:
            raise AssertionError(f"the test stubs no POST {uri}")
        wanted = json.loads(body)
        if uri == "/tools/bulk-content":
            return json.dumps(self._bulk(**wanted)).encode()
        if "Labels" in wanted:
            place = ["Series", "Study"].index(wanted["Level"])
            bearers = {above[place] for one, above in self._above.items() if one in self.files}
            (label,) = wanted["Labels"]
            found = [one for one in sorted(bearers) if label in (self.own_labels or {}).get(one, [])]
            return json.dumps(found[wanted["Since"] :][: wanted["Limit"]]).encode()
        assert (wanted["Level"], wanted["Expand"]) == ("Series", True)
        values = {keyword: set(value.split("\\")) for keyword, value in wanted["Query"].items()}
        assert values.keys() == {"StudyInstanceUID", "Modality"}
        found = [
            one
            for one in self._series()
            if self._uids[one["ParentStudy"]] in values["StudyInstanceUID"]
            and self._modalities[one["ID"]] in values["Modality"]
        ]
        return json.dumps(found).encode()

    def GetDicomForInstance(self, orthanc_id: str) -> bytes:  # noqa: N802
        self.calls.append(f"file of {orthanc_id}")
        self._perhaps_fail(orthanc_id)
        return self._known(self.files, orthanc_id)

    def LookupInstance(self, sop_instance_uid: str) -> str | None:  # noqa: N802
        for orthanc_id, file in self.files.items():
            if dcmread(io.BytesIO(file), force=True, stop_before_pixels=True).get("SOPInstanceUID") == sop_instance_uid:
                return orthanc_id
        return None

    def LookupSeries(self, series_instance_uid: str) -> str | None:  # noqa: N802
        return self._lookup("SeriesInstanceUID", series_instance_uid, 0)

    def LookupStudy(self, study_instance_uid: str) -> str | None:  # noqa: N802
        return self._lookup("StudyInstanceUID", study_instance_uid, 1)

    def _lookup(self, keyword: str, uid: str, level: int) -> str | None:
        for orthanc_id, file in self.files.items():
            if dcmread(io.BytesIO(file), force=True, stop_before_pixels=True).get(keyword) == uid:
                return self._above[orthanc_id][level]
        return None

    def SetMetricsValue(self, name: str, value: float, kind: int) -> None:  # noqa: N802
        assert kind == self.MetricsType.DEFAULT
        self.metrics[name] = value

    def _labels_name(self) -> str:
        """Return what metadata 3872 is listed as: its number, or the name that it is configured with."""
        return next(
            (name for name, number in self.configuration.get("UserMetadata", {}).items() if number == 3872), "3872"
        )

    def _perhaps_fail(self, what: str) -> None:
        if self.failing.get(what, 0) > 0:
            self.failing[what] -= 1
            self.failures += 1
            raise OrthancException(DATABASE_ERROR, "Error with the database engine")

    def _known(self, found: dict[str, Any], name: str) -> Any:
        if name not in found:
            self.failures += 1
            raise OrthancException(UNKNOWN_RESOURCE, "Unknown resource")
        return found[name]

    def _series(self) -> list[dict[str, Any]]:
        """Return all series by their ids, as some versions of Orthanc do; time is the number of the last arrival."""
        found: dict[str, dict[str, Any]] = {}
        for arrival, instance in enumerate(self.files):
            series, study, _ = self._above[instance]
            one = found.setdefault(series, {"ID": series, "ParentStudy": study, "Instances": []})
            one["Instances"].append(instance)
            one["LastUpdate"] = f"20240101T{arrival:06d}"
        return [found[series] for series in sorted(found)]

    def _resource(self, level: str, name: str) -> dict[str, Any]:
        if level == "instances":
            size = len(self._known(self.files, name))
            return {"ParentSeries": self._above[name][0], "FileSize": size}
        above = [self._above[instance] for instance in self.files]
        if level == "series":
            studies = {series: study for series, study, _ in above}
            inside = [instance for instance in self.files if self._above[instance][0] == name]
            return {"ParentStudy": self._known(studies, name), "Instances": inside}
        if level == "studies":
            patients = {study: patient for _, study, patient in above}
            return {
                "ParentPatient": self._known(patients, name),
                "Series": sorted({series for series, study, _ in above if study == name}),
                "PatientMainDicomTags": self._tags[name],
                "MainDicomTags": {"StudyInstanceUID": self._uids[name]},
            }
        if level == "patients":
            return {"ID": self._known({patient: patient for _, _, patient in above}, name)}
        raise AssertionError(f"the test stubs no {level}/{name}")


def orthanc_id(*keys: str) -> str:
    """Return the id that Orthanc gives what has these DICOM identifiers: five groups of their SHA-1."""
    digest = hashlib.sha1("|".join(keys).encode(), usedforsecurity=False).hexdigest()
    return "-".join(digest[start : start + 8] for start in range(0, 40, 8))
