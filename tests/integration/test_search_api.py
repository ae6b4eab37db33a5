"""Queries to a real Orthanc: what is found, grouped, filtered, hidden and refused."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from catalogue_file import CatalogueFile
from dicom_files import CANARY, mr_file, picture, uid
from orthanc_process import REPOSITORY, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx
    from orthanc_process import OrthancProcess

PATIENTS: dict[str, dict[str, Any]] = {
    "ann": {"PatientSex": "F", "PatientAge": "045Y", "StudyDate": "20200115", "Manufacturer": "SIEMENS"},
    "bob": {"PatientSex": "M", "PatientAge": "060Y", "StudyDate": "20210630", "Manufacturer": "GE MEDICAL SYSTEMS"},
    "cleo": {"PatientSex": "F", "PatientAge": "072Y", "StudyDate": "20221231", "Manufacturer": "Philips"},
    "dan": {"PatientSex": "M", "PatientAge": "006M", "StudyDate": "20240131", "Manufacturer": "SIEMENS"},
}
"""Patients beside the one asked about, with what filters can tell them apart by."""

MORE: dict[str, dict[str, Any]] = {
    "ann": {"SeriesDescription": "AX FLAIR 3mm", "BodyPartExamined": "HEAD", "MagneticFieldStrength": "3"},
    "bob": {"SeriesDescription": "ax t2 flair", "BodyPartExamined": "BRAIN", "ProtocolName": "tumour"},
    "cleo": {"SeriesDescription": "T1 100%", "StudyDescription": "MRI head", "ContrastBolusAgent": "Gd"},
    "dan": {"SeriesDescription": "T1_COR", "SequenceName": "*se2d1", "ManufacturerModelName": "Avanto"},
}


@pytest.fixture(scope="module")
def orthanc(make_shared_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    """An Orthanc with one slice of each of the patients, and four of `query` in two studies."""
    orthanc = make_shared_orthanc({"QueryExpansion": 0}).start()
    for number, (patient, tags) in enumerate(PATIENTS.items()):
        orthanc.upload(mr_file(patient, pixels=picture(number, kind=number), **tags, **MORE[patient]))
    for study in (1, 2):
        for slice_number in (1, 2):
            pixels = picture(10 * study + slice_number, kind=0)
            orthanc.upload(mr_file("query", study=study, number=slice_number, pixels=pixels))
    orthanc.wait_until_indexed(8)
    return orthanc


@pytest.fixture(scope="module")
def query() -> str:
    """The SOPInstanceUID of the slice that is asked about."""
    return uid("query", 1, 1, 1)


def patients(answer: dict[str, Any]) -> list[str]:
    return [case["patient"]["PatientID"] for case in answer["cases"]]


# ---- the form of answers ----


@pytest.fixture(scope="module")
def validate() -> Callable[[Any, str], None]:
    file = REPOSITORY / "plugin" / "cbmir" / "openapi.json"
    if not file.is_file():
        pytest.skip("there is no openapi.json")
    document = json.loads(file.read_text())

    def check(answer: Any, *schemas: str) -> None:
        wanted = [{"$ref": f"#/components/schemas/{schema}"} for schema in schemas]
        jsonschema.Draft202012Validator({**document, "anyOf": wanted}).validate(answer)

    return check


@pytest.mark.parametrize(
    "parameters",
    [{}, {"group": "study"}, {"group": "none"}, {"samePatient": "only"}, {"samePatient": "include"}, {"k": 1}],
)
def test_every_kind_of_answer_fulfils_its_schema(
    orthanc: OrthancProcess, query: str, parameters: dict[str, Any], validate: Callable[[Any, str], None]
) -> None:
    answer = orthanc.similar(query, **parameters)
    assert answer["cases"]
    validate(answer, "Similar")


def test_an_empty_answer_fulfils_its_schema(
    orthanc: OrthancProcess, query: str, validate: Callable[[Any, str], None]
) -> None:
    validate(orthanc.similar(query, Modality="CT"), "Similar")


def test_the_status_and_the_errors_fulfil_their_schemas(
    orthanc: OrthancProcess, query: str, validate: Callable[[Any, str], None]
) -> None:
    validate(orthanc.status(), "RunningStatus")
    validate(orthanc.http.get(f"/cbmir/similar/{query}?k=0").json(), "Error")
    validate(orthanc.http.get("/cbmir/similar/1.2.3").json(), "Error")


def test_the_schema_is_served(orthanc: OrthancProcess, validate: Callable[[Any, str], None]) -> None:
    assert validate
    assert orthanc.http.get("/cbmir/openapi.json").json()["openapi"].startswith("3.")


def test_no_cache_may_keep_an_answer(orthanc: OrthancProcess, query: str) -> None:
    headers = orthanc.http.get(f"/cbmir/similar/{query}").headers
    assert headers["Content-Type"].startswith("application/json")
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers


# ---- ranking and grouping ----


def test_cases_of_other_patients_come_by_falling_similarity(orthanc: OrthancProcess, query: str) -> None:
    answer = orthanc.similar(query)
    assert sorted(patients(answer)) == sorted(PATIENTS)
    assert answer["cases"][0]["patient"]["PatientID"] == "ann", "the picture of the same kind is the nearest"
    similarities = [case["similarity"] for case in answer["cases"]]
    assert similarities == sorted(similarities, reverse=True)
    assert [case["rank"] for case in answer["cases"]] == [1, 2, 3, 4]
    assert answer["query"]["indexed"]
    assert answer["message"] is None


def test_the_similarity_told_is_that_of_the_heat_map_whatever_the_order(
    make_orthanc: Callable[..., OrthancProcess],
) -> None:
    orthanc = make_orthanc({"QueryExpansion": 3}).start()
    for number in range(6):
        query = orthanc.upload(mr_file(f"P{number}", pixels=picture(number, kind=number % 2)))
    orthanc.wait_until_indexed(6)
    answer = orthanc.similar(query)
    assert len(answer["cases"]) == 5
    for case in answer["cases"]:
        against = case["slices"][0]["orthancId"]
        heat = orthanc.http.get(f"/cbmir/heatmap/{query}", params={"against": against}).json()
        assert case["similarity"] == pytest.approx(heat["similarity"], abs=2e-4)
        assert np.sum(heat["query"]["cells"]) == pytest.approx(case["similarity"], abs=2e-3)


def test_an_instance_is_named_by_orthanc_id_or_by_uid(orthanc: OrthancProcess, query: str) -> None:
    by_uid = orthanc.similar(query)
    assert orthanc.similar(by_uid["query"]["orthancId"]) == by_uid


@pytest.mark.parametrize(
    ("group", "cases", "slices"), [("patient", 1, [4]), ("study", 2, [2, 2]), ("none", 4, [1, 1, 1, 1])]
)
def test_hits_are_grouped_as_asked(orthanc: OrthancProcess, group: str, cases: int, slices: list[int]) -> None:
    answer = orthanc.similar(uid("ann", 1, 1, 1), group=group)
    own = [case for case in answer["cases"] if case["patient"]["PatientID"] == "query"]
    assert len(own) == cases
    assert [len(case["slices"]) for case in own] == slices
    for case in own:
        similarities = [one["similarity"] for one in case["slices"]]
        assert similarities == sorted(similarities, reverse=True)
        assert case["similarity"] == similarities[0]


def test_k_limits_the_number_of_cases(orthanc: OrthancProcess, query: str) -> None:
    everything = orthanc.similar(query)
    assert orthanc.similar(query, k=2)["cases"] == everything["cases"][:2]


@pytest.mark.parametrize(
    ("same_patient", "studies"),
    [
        ("exclude", set()),
        ("only", {uid("query", 2)}),
        ("include", {uid("query", 2)}),
    ],
)
def test_the_patients_own_studies_are_shown_as_asked_but_never_the_one_on_the_screen(
    orthanc: OrthancProcess, query: str, same_patient: str, studies: set[str]
) -> None:
    answer = orthanc.similar(query, samePatient=same_patient, group="study")
    own = {case["StudyInstanceUID"] for case in answer["cases"] if case["patient"]["PatientID"] == "query"}
    assert own == studies
    assert (len(answer["cases"]) == len(own)) == (same_patient == "only")


def test_patients_without_an_id_are_told_apart_by_their_studies(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc().start()
    nameless = [orthanc.upload(mr_file("", study=study)) for study in (1, 2)]
    orthanc.wait_until_indexed(2)
    (case,) = orthanc.similar(nameless[0])["cases"]
    assert case["StudyInstanceUID"] == uid("", 2)


# ---- filters ----


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"Modality": "MR"}, "ann bob cleo dan"),
        ({"Modality": "CT"}, ""),
        ({"PatientSex": "F"}, "ann cleo"),
        ({"PatientSex": "f"}, "ann cleo"),
        ({"PatientAge": "040Y-060Y"}, "ann bob"),
        ({"PatientAge": "-018Y"}, "dan"),
        ({"PatientAge": "072Y"}, "cleo"),
        ({"StudyDate": "20200101-"}, "ann bob cleo dan"),
        ({"StudyDate": "20210101-20221231"}, "bob cleo"),
        ({"StudyDate": "20240131"}, "dan"),
        ({"SeriesDescription": "*FLAIR*"}, "ann bob"),
        ({"SeriesDescription": "T1?COR"}, "dan"),
        ({"SeriesDescription": "T1_*"}, "dan"),
        ({"SeriesDescription": "*100%"}, "cleo"),
        ({"SeriesDescription": "*"}, "ann bob cleo dan"),
        ({"StudyDescription": "MRI head"}, "cleo"),
        ({"BodyPartExamined": "HEAD"}, "ann"),
        ({"ProtocolName": "tumour"}, "bob"),
        ({"SequenceName": "*se2d1"}, "dan"),
        ({"ContrastBolusAgent": "Gd"}, "cleo"),
        ({"Manufacturer": "SIEMENS"}, "ann dan"),
        ({"ManufacturerModelName": "Ava*"}, "dan"),
        ({"MagneticFieldStrength": "3"}, "ann"),
        ({"StudyInstanceUID": uid("bob", 1)}, "bob"),
        ({"SeriesInstanceUID": f"{uid('bob', 1, 1)},{uid('dan', 1, 1)}"}, "bob dan"),
        ({"PatientSex": "M", "Manufacturer": "SIEMENS"}, "dan"),
        ({"SeriesDescription": "' OR 1=1 --"}, ""),
    ],
    ids=str,
)
def test_filters_match_as_in_qido_rs(
    orthanc: OrthancProcess, query: str, parameters: dict[str, str], expected: str
) -> None:
    answer = orthanc.similar(query, **parameters)
    assert sorted(patients(answer)) == expected.split()
    if not expected:
        assert answer["message"] == "No similar case fulfils these filters."


def test_a_similarity_below_the_least_is_no_case(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc({"MinSimilarity": 1.0}).start()
    orthanc.upload(mr_file("A", pixels=picture(1, kind=1)))
    other = orthanc.upload(mr_file("B", pixels=picture(2, kind=2)))
    orthanc.wait_until_indexed(2)
    answer = orthanc.similar(other)
    assert answer["cases"] == []
    assert answer["message"] == "No similar case: no other patient's slice reaches the similarity of 1."


# ---- labels ----


def test_labels_appear_filter_and_go(orthanc: OrthancProcess, query: str) -> None:
    study = orthanc.http.post("/tools/lookup", content=uid("cleo", 1)).json()[0]["ID"]
    series = orthanc.http.post("/tools/lookup", content=uid("dan", 1, 1)).json()[0]["ID"]
    said = [{"label": "meningioma", "provenance": "histology"}]
    for uri in (f"/studies/{study}", f"/series/{series}"):
        response = orthanc.http.put(f"{uri}/metadata/3872", content=json.dumps(said))
        assert response.status_code == 200
    found = wait_for(
        lambda: (cases := orthanc.similar(query, label="meningioma")["cases"])[1:] and cases, "both labels are known"
    )
    assert sorted(case["patient"]["PatientID"] for case in found) == ["cleo", "dan"]
    assert all(case["labels"] == said for case in found)
    assert orthanc.similar(query, label="glioma")["cases"] == []
    for uri in (f"/studies/{study}", f"/series/{series}"):
        assert orthanc.http.delete(f"{uri}/metadata/3872").status_code == 200
    wait_for(lambda: not orthanc.similar(query, label="*gioma")["cases"], "the labels are gone")


@pytest.mark.parametrize("content", ["no JSON", "{}", "[1]", '[{"provenance": "report"}]', "", "[[]]"])
def test_metadata_that_is_no_list_of_labels_is_passed_over(orthanc: OrthancProcess, query: str, content: str) -> None:
    study = orthanc.http.post("/tools/lookup", content=uid("ann", 1)).json()[0]["ID"]
    errors = orthanc.errors()
    orthanc.http.put(f"/studies/{study}/metadata/3872", content=content)
    orthanc.settle()
    assert all(case["labels"] == [] for case in orthanc.similar(query)["cases"])
    orthanc.http.delete(f"/studies/{study}/metadata/3872")
    assert orthanc.errors() == errors
    assert orthanc.status()["state"] == "running"


# ---- a slice that is not indexed ----


def test_a_slice_that_still_waits_is_embedded_for_the_query(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc().start()
    pixels = picture(5)
    known = orthanc.upload(mr_file("A", pixels=pixels))
    orthanc.wait_until_indexed(1)
    assert orthanc.stop() == 0
    (go_on,) = orthanc.hold("embedded:1")
    orthanc.start()
    waiting = orthanc.upload(mr_file("B", pixels=pixels))
    status = wait_for(lambda: (found := orthanc.status())["indexLagSeconds"] > 0 and found, "the lag is told")
    assert status["queued"] == 1
    answer = orthanc.similar(waiting)
    assert not answer["query"]["indexed"]
    assert [case["slices"][0]["orthancId"] for case in answer["cases"]] == [known]
    assert answer["cases"][0]["similarity"] == pytest.approx(1, abs=1e-3)
    assert CatalogueFile(orthanc.data).vectors().keys() == {(known, 1)}
    go_on.touch()
    orthanc.wait_until_indexed(2)
    wait_for(lambda: orthanc.status()["indexLagSeconds"] == 0, "the lag is gone")
    indexed = orthanc.similar(waiting)
    assert indexed.pop("query") == answer.pop("query") | {"indexed": True}
    assert indexed == answer


# ---- without names ----


def test_anonymize_hides_who_the_patients_are(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc({"Anonymize": True}).start()
    first = orthanc.upload(mr_file("secret-1", PatientBirthDate="19700707"))
    orthanc.upload(mr_file("secret-2", PatientBirthDate="19700707"))
    orthanc.wait_until_indexed(2)
    text = orthanc.http.get(f"/cbmir/similar/{first}").text
    assert len(json.loads(text)["cases"]) == 1
    for hidden in (CANARY, "secret", "20240131", "050Y", "PatientName", "PatientID", "19700707"):
        assert hidden not in text


def test_no_name_stands_in_the_plugins_files(orthanc: OrthancProcess, query: str) -> None:
    assert CANARY in json.dumps(orthanc.similar(query))
    for file in orthanc.data.iterdir():
        assert CANARY.encode() not in file.read_bytes()
    for file in (*orthanc.data.glob("catalogue*"), *orthanc.data.glob("index*.bin")):
        assert file.stat().st_mode & 0o077 == 0


# ---- what is refused ----


def refused(response: httpx.Response, status: int, code: str) -> str:
    """Assert that an error has the one form; return its message."""
    assert response.status_code == status
    error = response.json()["error"]
    assert (error["status"], error["code"]) == (status, code)
    return str(error["message"])


def test_the_id_of_a_patient_is_refused(orthanc: OrthancProcess, query: str) -> None:
    instance = orthanc.similar(query)["query"]["orthancId"]
    parent = orthanc.http.get(f"/instances/{instance}/patient").json()["ID"]
    message = refused(orthanc.http.get(f"/cbmir/similar/{parent}"), 400, "bad_request")
    assert "name one of its instances" in message


@pytest.mark.parametrize(
    "unknown", ["1.2.3", "00000000-00000000-00000000-00000000-00000000", f"{uid('query', 1, 1, 1)}?frame=2"]
)
def test_what_does_not_exist_is_not_found(orthanc: OrthancProcess, unknown: str) -> None:
    refused(orthanc.http.get(f"/cbmir/similar/{unknown}"), 404, "not_found")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("k=0", "from 1 to 100"),
        ("k=-1", "from 1 to 100"),
        ("k=101", "from 1 to 100"),
        ("k=ten", "from 1 to 100"),
        ("k=5&k=1000000000", "from 1 to 100"),
        ("frame=0", "frame must be"),
        ("group=hospital", "patient, study, none"),
        ("samePatient=perhaps", "exclude, only, include"),
        ("StudyDate=yesterday", "20240101-"),
        ("PatientAge=old", "040Y-060Y"),
        ("PatientName=x", "unknown parameter"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_is_allowed(
    orthanc: OrthancProcess, query: str, parameters: str, said: str
) -> None:
    assert said in refused(orthanc.http.get(f"/cbmir/similar/{query}?{parameters}"), 400, "bad_request")


def raw(orthanc: OrthancProcess, path: str, method: str = "GET") -> tuple[int, str]:
    """Return the status and body for a path that is sent as it stands."""
    with socket.create_connection(("127.0.0.1", orthanc.http_port), timeout=30) as connection:
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        with connection.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode(errors="replace")


@pytest.mark.parametrize("name", ["%00", "a%2Fb", "%252e%252e", "..;", "..;/status", "%5c", "'%20OR%201=1", "a" * 8000])
def test_a_weird_name_is_refused_and_not_repeated(orthanc: OrthancProcess, name: str) -> None:
    status, body = raw(orthanc, f"/cbmir/similar/{name}")
    assert status in {400, 404, 414}
    assert name not in body


def test_bytes_that_are_no_text_never_reach_the_plugin(orthanc: OrthancProcess) -> None:
    """Orthanc's Python plugin refuses them itself, with 500, and logs no traceback."""
    status, body = raw(orthanc, "/cbmir/similar/%ff")
    assert status in {400, 404, 500}
    assert "cbmir" not in body.replace("/cbmir/similar/", "")


@pytest.mark.parametrize("path", ["/cbmir", "/cbmir/", "/cbmir/nothing", "/cbmir/status/more"])
def test_other_paths_lead_nowhere_or_to_the_page(orthanc: OrthancProcess, path: str) -> None:
    status, body = raw(orthanc, path)
    assert status in {200, 301, 302, 307, 404}
    assert (status != 200) or "<!doctype html>" in body.lower()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST"])
@pytest.mark.parametrize("path", ["status", "similar/1.2.3"])
def test_other_methods_are_refused(orthanc: OrthancProcess, method: str, path: str) -> None:
    before = CatalogueFile(orthanc.data).arrivals()
    response = orthanc.http.request(method, f"/cbmir/{path}")
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert CatalogueFile(orthanc.data).arrivals() == before


@pytest.mark.parametrize("method", ["DELETE", "PUT", "POST", "HEAD"])
def test_a_method_smuggled_into_a_get_changes_nothing(orthanc: OrthancProcess, method: str) -> None:
    before = CatalogueFile(orthanc.data).arrivals()
    for path in ("status", "reindex"):
        smuggled = orthanc.http.get(f"/cbmir/{path}", params={"_method": method})
        assert smuggled.status_code in {400, 404, 405}
        overridden = orthanc.http.get(f"/cbmir/{path}", headers={"X-HTTP-Method-Override": method})
        assert overridden.status_code in {200, 400, 404, 405}
    assert CatalogueFile(orthanc.data).arrivals() == before


def test_a_head_request_changes_nothing(orthanc: OrthancProcess) -> None:
    status, body = raw(orthanc, "/cbmir/status", "HEAD")
    assert status in {200, 404, 405}
    assert body == ""


def test_too_many_queries_at_once_are_put_off(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc({"MaxParallelQueries": 1}).start()
    many = [orthanc.upload(mr_file("A", number=number)) for number in range(2)]
    orthanc.wait_until_indexed(2)
    with ThreadPoolExecutor(12) as clients:
        responses = list(clients.map(lambda number: orthanc.http.get(f"/cbmir/similar/{many[number % 2]}"), range(120)))
    put_off = [response for response in responses if response.status_code != 200]
    assert len(put_off) < len(responses)
    for response in put_off:
        refused(response, 503, "unavailable")
        assert int(response.headers["Retry-After"]) > 0


def test_a_failure_inside_is_answered_once_and_not_described(
    make_orthanc: Callable[..., OrthancProcess], tmp_path: Path
) -> None:
    """A message that quotes a DICOM value would name the patient in the answer and in the log."""
    script = tmp_path / "broken.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(REPOSITORY / 'plugin')!r})\n"
        "import cbmir.api\n"
        f"def broken(*_):\n    raise ZeroDivisionError({CANARY!r})\n"
        "cbmir.api.similar = broken\nimport main\n"
    )
    orthanc = make_orthanc(PythonScript=str(script)).start()
    response = orthanc.http.get("/cbmir/similar/1.2.3")
    assert CANARY not in refused(response, 500, "internal")
    assert "a request failed (ZeroDivisionError)" in orthanc.log_text()
    assert orthanc.status()["state"] == "running"


# ---- reindexing ----


@pytest.mark.parametrize(
    ("content", "content_type", "said"),
    [
        ("{}", "text/plain", "Content-Type: application/json"),
        ("{}", "application/x-www-form-urlencoded", "Content-Type: application/json"),
        ("{}", "", "Content-Type: application/json"),
        ("no JSON", "application/json", "JSON object"),
        ("[]", "application/json", "JSON object"),
        ('{"states": ["pending"]}', "application/json", "states must be"),
        ('{"states": []}', "application/json", "states must be"),
        ('{"states": "failed"}', "application/json", "states must be"),
    ],
)
def test_reindexing_needs_json_and_known_states(
    orthanc: OrthancProcess, content: str, content_type: str, said: str
) -> None:
    response = orthanc.http.post("/cbmir/reindex", content=content, headers={"Content-Type": content_type})
    assert said in refused(response, 400, "bad_request")


def test_reindexing_everything_gives_the_same_vectors(orthanc: OrthancProcess, query: str) -> None:
    before, answer = CatalogueFile(orthanc.data).vectors(), orthanc.similar(query)
    response = orthanc.http.post("/cbmir/reindex", json={"states": ["indexed"]})
    assert (response.status_code, response.json()) == (202, {"queued": len(before)})
    assert orthanc.similar(query) == answer, "the earlier vectors answer until the new ones are there"
    orthanc.wait_until_indexed()
    assert CatalogueFile(orthanc.data).vectors() == before
    assert orthanc.similar(query) == answer


# ---- empty, restarted, measured ----


def test_an_empty_archive_has_no_similar_case(make_orthanc: Callable[..., OrthancProcess]) -> None:
    orthanc = make_orthanc().start()
    refused(orthanc.http.get("/cbmir/similar/1.2.3"), 404, "not_found")
    only = orthanc.upload(mr_file("A"))
    orthanc.wait_until_indexed(1)
    answer = orthanc.similar(only)
    assert answer["cases"] == []
    assert answer["message"] == "No similar case: no other patient's slices are indexed yet."


def test_the_numbers_of_the_status_are_in_orthancs_metrics(orthanc: OrthancProcess) -> None:
    expected = {f"cbmir_instances_{state}": orthanc.status()[state] for state in ("indexed", "skipped", "failed")}
    expected |= {"cbmir_instances_pending": 0, "cbmir_slices": orthanc.status()["slices"], "cbmir_lag_seconds": 0}
    wait_for(lambda: expected.items() <= metrics(orthanc).items(), "the metrics are published")


def metrics(orthanc: OrthancProcess) -> dict[str, float]:
    lines = orthanc.http.get("/tools/metrics-prometheus").text.splitlines()
    return {name: float(value) for name, value, *_ in (line.split() for line in lines if line.startswith("cbmir_"))}


# ---- by a series or study ----


@pytest.fixture(scope="module")
def volumes(make_shared_orthanc: Callable[..., OrthancProcess]) -> OrthancProcess:
    """An Orthanc with series of three slices: of `query` two of them in one study, `near` with the like, and `far`."""
    orthanc = make_shared_orthanc({}).start()
    number = 0
    for patient, kinds in (("query", (0, 10)), ("near", (10, 0)), ("far", (20,))):
        for series, kind in enumerate(kinds, start=1):
            for place in range(3):
                number += 1
                pixels = picture(number, kind=kind + place)
                description = "T1 TRA +C" if kind == 0 else "T2 TRA"
                orthanc.upload(mr_file(patient, 1, series, place, pixels=pixels, SeriesDescription=description))
    orthanc.wait_until_indexed(number)
    return orthanc


@pytest.mark.parametrize("level", ["series", "studies"])
def test_a_series_or_study_finds_its_like_slice_by_slice(
    volumes: OrthancProcess, level: str, validate: Callable[[Any, str], None]
) -> None:
    parts = (1, 1) if level == "series" else (1,)
    found = volumes.http.post("/tools/lookup", content=str(uid("query", *parts))).json()
    by_uid, by_id = (volumes.similar(name) for name in (uid("query", *parts), found[0]["ID"]))
    validate(by_uid, "Similar")
    assert by_uid == by_id
    assert patients(by_uid) == ["near", "far"]
    volume = by_uid["volume"]
    assert (volume["instances"], volume["indexed"]) == ((3, 3) if level == "series" else (6, 6))
    for match in by_uid["cases"][0]["match"]:
        asked = volume["series"][match["query"]]
        assert match["sequence"] == asked["sequence"]
        assert match["plane"] == asked["plane"] == "axial"
        assert len(match["slices"]) == len(asked["slices"]) == 3
        series = 2 if match["sequence"] == "T1C" else 1
        where = {uid("query", 1, 3 - series, place): uid("near", 1, series, place) for place in range(3)}
        pairs = zip(asked["slices"], match["slices"], strict=True)
        assert all(where[one["SOPInstanceUID"]] == other["SOPInstanceUID"] for one, other in pairs)


def test_a_series_that_is_not_indexed_says_why_nothing_is_found(volumes: OrthancProcess) -> None:
    volumes.upload(mr_file("ct", Modality="CT"))
    response = volumes.http.get(f"/cbmir/similar/{uid('ct', 1, 1)}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_indexed"
    assert "none of the 1 instances of this series is indexed" in response.json()["error"]["message"]
