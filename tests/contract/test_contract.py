"""What the plugin answers, what openapi.json promises, and what the viewer is tested with: all three must agree."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from dicom_files import mr_slice, picture, uid
from jsonschema import Draft202012Validator, ValidationError
from orthanc_double import OrthancDouble
from parts import Workplace, tiny_embedder
from reports import structured_report
from storing import Storing

import cbmir
from cbmir import web
from cbmir.answering import query as query_module
from cbmir.cases import SLICES_SHOWN, Group, SamePatient
from cbmir.records import FACTS, IndexHealth, Label, Quality
from cbmir.watching.nightly import DRIFT, SCANNERS
from cbmir.watching.survey import MOST_DRAWN
from cbmir.web import Request, Response

REPOSITORY = Path(__file__).parents[2]
OPENAPI: dict[str, Any] = json.loads((REPOSITORY / "plugin" / "cbmir" / "openapi.json").read_text(encoding="utf-8"))
EXAMPLE: dict[str, Any] = json.loads((REPOSITORY / "tests" / "contract" / "similar.json").read_text(encoding="utf-8"))
VOLUME_EXAMPLE: dict[str, Any] = json.loads(
    (REPOSITORY / "tests" / "contract" / "volume.json").read_text(encoding="utf-8")
)
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, methods in OPENAPI["paths"].items()
    for method, operation in methods.items()
}
NOBODY = "00000000-00000000-00000000-00000000-00000000"


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference within openapi.json."""
    while "$ref" in node:
        found: Any = OPENAPI
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def validate(document: Any, schema: dict[str, Any]) -> None:
    whole = {"components": OPENAPI["components"], "allOf": [schema]}
    Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(document)


def schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def strictly_parsed(body: bytes) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(body, parse_constant=refuse)


def check(operation_id: str, response: Response, status: int) -> Any:
    """Assert that a response is one that openapi.json promises; return its document."""
    assert response.status == status, response.body
    _, _, operation = OPERATIONS[operation_id]
    promised = resolved(operation["responses"][str(status)])
    document = strictly_parsed(response.body)
    validate(document, promised["content"][response.content_type]["schema"])
    for name in promised.get("headers", {}):
        if name != "Retry-After" or document.get("error", {}).get("code") == "unavailable":
            assert response.headers[name]
    return document


@pytest.fixture
def stored(workplace: Workplace) -> list[str]:
    """Return slices of patients of whom much, little and nothing is known."""
    much = dict.fromkeys(FACTS, "X") | {"Modality": "MR", "StudyDate": "20240131", "PatientAge": "050Y"}
    much |= {"PatientSex": "O", "MagneticFieldStrength": "3"}
    much.pop("SequenceName")
    little = mr_slice("", 2, PatientName="", PatientAge="", PatientSex="", StudyDate="", SeriesDescription="")
    frames = mr_slice("P3", 3, pixels=np.stack([picture(number) for number in range(3)]))
    stored = workplace.store(mr_slice("P1", 1, **much), little, frames, mr_slice("P4", 4), mr_slice("P4", 5))
    study = workplace.orthanc.above(stored[0])[1]
    workplace.orthanc.say(study, [{"label": "glioma", "provenance": "histology"}, {"label": "other"}])
    workplace.work()
    assert workplace.catalogue.labels([study])[study] == [Label("glioma", "histology"), Label("other", "")]
    return stored


def post(workplace: Workplace, path: str, document: Any, content_type: str = "application/json") -> Response:
    return workplace.api(Request("POST", path, {}, {"content-type": content_type}, json.dumps(document).encode()))


# ---- the example that the viewer is tested with ----


@pytest.mark.parametrize("example", [EXAMPLE, VOLUME_EXAMPLE])
def test_the_example_is_an_answer_as_promised(example: dict[str, Any]) -> None:
    validate(example, schema("Similar"))


def test_the_example_has_every_field_that_a_real_answer_has(workplace: Workplace, stored: list[str]) -> None:
    answer = check("similar", workplace.get(f"similar/{stored[3]}", samePatient="include"), 200)
    assert EXAMPLE.keys() == answer.keys()
    assert EXAMPLE["query"].keys() - set(FACTS) == answer["query"].keys() - set(FACTS)
    for case in answer["cases"]:
        assert EXAMPLE["cases"][0].keys() - set(FACTS) == case.keys() - set(FACTS)
        assert EXAMPLE["cases"][0]["slices"][0].keys() == case["slices"][0].keys()


@pytest.mark.parametrize("level", [0, 1], ids=["series", "study"])
def test_the_example_of_a_volume_has_every_field_that_a_real_answer_has(
    workplace: Workplace, stored: list[str], level: int
) -> None:
    asked = workplace.orthanc.above(stored[3])[level]
    answer = check("similar", workplace.get(f"similar/{asked}"), 200)
    assert VOLUME_EXAMPLE.keys() == answer.keys()
    example, real = VOLUME_EXAMPLE["volume"], answer["volume"]
    assert example.keys() == real.keys()
    assert example["series"][0].keys() == real["series"][0].keys()
    assert example["series"][0]["slices"][0].keys() == real["series"][0]["slices"][0].keys()
    for case in answer["cases"]:
        assert VOLUME_EXAMPLE["cases"][0].keys() - set(FACTS) == case.keys() - set(FACTS)
        (example, real) = VOLUME_EXAMPLE["cases"][0]["match"][0], case["match"][0]
        assert example.keys() == real.keys()
        assert example["slices"][0].keys() == real["slices"][0].keys()
        assert len(real["slices"]) == len(answer["volume"]["series"][0]["slices"])


@pytest.mark.parametrize(
    "change",
    [
        {"cases": None},
        {"extra": 1},
        {"group": "all"},
        {"query": {}},
        {"cases": [{}]},
        {"cases": [EXAMPLE["cases"][0] | {"similarity": 1.5}]},
        {"cases": [EXAMPLE["cases"][0] | {"slices": []}]},
        {"cases": [EXAMPLE["cases"][0] | {"patient": {"PatientBirthDate": "19700101"}}]},
        {"query": EXAMPLE["query"] | {"orthancId": "../x"}},
        {"query": EXAMPLE["query"] | {"frame": 0}},
    ],
)
def test_the_promise_is_strict(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validate(EXAMPLE | change, schema("Similar"))


# ---- real answers ----


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"k": "1"},
        {"group": "study"},
        {"group": "none", "k": "100"},
        {"samePatient": "only"},
        {"samePatient": "include"},
        {"Modality": "CT"},
        {"roi": "0,0,10,10"},
        {"class": "predicted"},
    ],
)
def test_every_kind_of_query_is_answered_as_promised(
    workplace: Workplace, stored: list[str], parameters: dict[str, str]
) -> None:
    for name in stored:
        answer = check("similar", workplace.get(f"similar/{name}", **parameters), 200)
        if not parameters.keys() & {"roi", "class"}:
            for above in workplace.orthanc.above(name)[:2]:
                check("similar", workplace.get(f"similar/{above}", **parameters), 200)
        assert (answer["message"] is None) == bool(answer["cases"])
        assert [case["rank"] for case in answer["cases"]] == list(range(1, len(answer["cases"]) + 1))


def test_anonymous_answers_are_as_promised(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path, anonymize=True)
    stored = workplace.store(mr_slice("P1"), mr_slice("P2", 2))
    workplace.work()
    answer = check("similar", workplace.get(f"similar/{stored[0]}"), 200)
    assert "patient" not in answer["query"]
    assert all("patient" not in case for case in answer["cases"])
    answer = check("similar", workplace.get(f"similar/{workplace.orthanc.above(stored[0])[0]}"), 200)
    assert "patient" not in answer["query"]
    assert all("patient" not in case for case in answer["cases"])
    workplace.close()


def test_a_model_that_tells_no_classes_apart_answers_as_promised(tmp_path: Path) -> None:
    embedder = tiny_embedder()
    object.__setattr__(embedder, "classifier", None)
    workplace = Workplace(tmp_path, embedder=embedder)
    (name,) = workplace.store(mr_slice())
    workplace.work()
    assert check("similar", workplace.get(f"similar/{name}"), 200)["prediction"] is None
    check("similar", workplace.get(f"similar/{name}", **{"class": "predicted"}), 400)
    workplace.close()


def test_the_other_routes_answer_as_promised(workplace: Workplace, stored: list[str]) -> None:
    check("heatmap", workplace.get(f"heatmap/{stored[0]}", against=stored[1], roi="1,1,9,9"), 200)
    workplace.store(structured_report("P1", 1), structured_report("P4", 4, content=[]))
    lines = [
        check("report", workplace.get(f"report/{workplace.orthanc.above(name)[1]}"), 200)["lines"] for name in stored
    ]
    assert [bool(some) for some in lines] == [True, False, False, False, False]
    assert check("openapi", workplace.get("openapi.json"), 200) == OPENAPI
    check("reindex", post(workplace, "reindex", {"states": ["failed"]}), 202)
    given = {"query": stored[0], "hit": stored[1], "verdict": "different", "hitFrame": 1}
    validate(given, schema("FeedbackGiven"))
    check("giveFeedback", post(workplace, "feedback", given), 201)
    assert len(check("feedback", workplace.get("feedback"), 200)["feedback"]) == 1
    check("giveFeedback", post(workplace, "feedback", given | {"verdict": None}), 200)
    validate(given | {"verdict": None}, schema("FeedbackGiven"))
    check("model", workplace.get("model"), 200)
    workplace.catalogue.add_quality(Quality("2026-01-31", 5, 2, 2, 2, 0.5, 0.4, 0.3, 0.2), workplace.embedder.model_id)
    kept = {
        DRIFT: {"distance": 0.1, "threshold": 0.2, "patients": 9, "referencePatients": 9, "newScannerShare": 0.5},
        SCANNERS: {"share": 0.5, "chance": 0.4, "scanners": 2, "patients": 12, "sample": 20},
    }
    for kind, figures in kept.items():
        workplace.catalogue.keep_day(kind, workplace.embedder.model_id, "2026-01-31", {"slices": 5, **figures})
    told = check("quality", workplace.get("quality"), 200)
    assert [len(told[kind]) for kind in ("quality", "drift", "scanners")] == [1, 1, 1]


def test_the_map_is_as_promised_before_and_after_it_is_drawn(workplace: Workplace, stored: list[str]) -> None:
    assert check("map", workplace.get("map"), 200)["points"] == []
    workplace.idle()
    points = check("map", workplace.get("map"), 200)["points"]
    assert {point["orthancId"] for point in points} == set(stored)
    assert OPENAPI["components"]["schemas"]["Map"]["properties"]["points"]["maxItems"] == MOST_DRAWN


def test_labels_given_are_as_promised(tmp_path: Path) -> None:
    orthanc = OrthancDouble()
    storing = Storing(orthanc)
    workplace = Workplace(tmp_path, orthanc=orthanc, delivery=storing.delivery)
    workplace.store(mr_slice("P1"))
    workplace.work()
    one = {"StudyInstanceUID": uid("P1", 1), "label": "glioma", "provenance": "histology"}
    given = {"labels": [one, {**one, "StudyInstanceUID": "1.2.3"}]}
    validate(given, schema("LabelsGiven"))
    told = check("giveLabels", post(workplace, "labels", given), 200)
    assert (told["added"], told["failed"]) == (1, 1)
    table = {"csv": f"StudyInstanceUID,label\n{uid('P1', 1)},cyst\n", "dryRun": True}
    validate(table, schema("LabelsGiven"))
    check("giveLabels", post(workplace, "labels", table), 200)
    check("giveLabels", post(workplace, "labels", {}), 400)
    check("giveLabels", post(workplace, "labels", {"labels": [{**one, "StudyInstanceUID": "1.2.3"}]}), 404)
    storing.status = 403
    check("giveLabels", post(workplace, "labels", table | {"dryRun": False}), 403)
    storing.close()
    check("giveLabels", post(workplace, "labels", table), 503)
    workplace.close()


def test_a_saved_search_is_as_promised(tmp_path: Path) -> None:
    orthanc = OrthancDouble()
    storing = Storing(orthanc)
    workplace = Workplace(tmp_path, orthanc=orthanc, delivery=storing.delivery)
    query, hit = workplace.store(mr_slice("P1"), mr_slice("P2", 2))
    workplace.work()
    given = {"query": {"instance": query, "roi": "1,1,9,9"}, "hits": [{"instance": hit, "frame": 1}]}
    validate(given, schema("SaveRequest"))
    check("save", post(workplace, "save", given), 201)
    check("save", post(workplace, "save", {}), 400)
    check("save", post(workplace, "save", {**given, "query": {"instance": NOBODY}}), 404)
    storing.status = 403
    check("save", post(workplace, "save", given), 403)
    storing.close()
    check("save", post(workplace, "save", given), 503)
    workplace.close()


def test_the_status_is_as_promised_in_every_state(workplace: Workplace, stored: list[str]) -> None:
    assert stored
    workplace.store(mr_slice("CT", 9, Modality="CT"))
    check("status", workplace.get("status"), 200)
    workplace.work()
    workplace.progress.health = IndexHealth(0.99, 5, "2026-01-31T10:00:00+00:00")
    assert check("status", workplace.get("status"), 200)["notIndexed"]
    workplace.progress.trouble = "indexing is interrupted (OSError); it is tried again"
    assert check("status", workplace.get("status"), 200)["state"] == "degraded"
    workplace.progress.beat -= 3600
    assert check("status", workplace.get("status"), 503)["worker"] == "stalled"
    workplace.state.services = None
    for state, status in (("starting", 200), ("stopped", 200), ("disabled", 503)):
        workplace.state.name = state
        assert check("status", workplace.get("status"), status)["state"] == state


def test_errors_are_as_promised(workplace: Workplace, stored: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    other = workplace.orthanc.store(mr_slice("CT", 9, Modality="CT"))
    check("similar", workplace.get("similar/x"), 400)
    check("similar", workplace.get(f"similar/{stored[0]}", k="0"), 400)
    check("similar", workplace.get(f"similar/{NOBODY}"), 404)
    assert check("similar", workplace.get(f"similar/{other}"), 404)["error"]["code"] == "not_indexed"
    unindexed = workplace.orthanc.above(other)[0]
    assert check("similar", workplace.get(f"similar/{unindexed}"), 404)["error"]["code"] == "not_indexed"
    check("similar", workplace.get(f"similar/{workplace.orthanc.above(stored[0])[0]}", frame="2"), 400)
    check("heatmap", workplace.get(f"heatmap/{stored[0]}"), 400)
    check("heatmap", workplace.get(f"heatmap/{stored[0]}", against=NOBODY), 404)
    check("report", workplace.get("report/x"), 400)
    check("report", workplace.get(f"report/{NOBODY}"), 404)
    check("reindex", post(workplace, "reindex", {}, "text/plain"), 400)
    check("giveFeedback", post(workplace, "feedback", {}), 400)
    check("giveFeedback", post(workplace, "feedback", {"query": NOBODY, "hit": NOBODY, "verdict": "similar"}), 404)
    monkeypatch.setattr(workplace.catalogue, "slice_vector", None)
    check("similar", workplace.get(f"similar/{stored[0]}"), 500)
    workplace.state.services = None
    for operation_id, (path, method, _) in OPERATIONS.items():
        if operation_id not in {"status", "openapi"}:
            name = re.sub(r"{\w+}", stored[0], path.removeprefix("/cbmir/"))
            given = {"against": stored[1]} if operation_id == "heatmap" else {}
            request = Request(method.upper(), name, given, {"content-type": "application/json"}, b"{}")
            check(operation_id, workplace.api(request), 503)


def test_a_plugin_that_cannot_start_answers_as_promised() -> None:
    handler = web.disabled("no module named numpy")
    for operation_id, (path, method, _) in OPERATIONS.items():
        if operation_id != "openapi":
            check(operation_id, handler(Request(method.upper(), path.removeprefix("/cbmir/"))), 503)


# ---- routes and parameters ----


def routes(workplace: Workplace) -> set[str]:
    """Return the routes as the plugin itself lists them."""
    message = strictly_parsed(workplace.get("no-such-route").body)["error"]["message"]
    return set(re.findall(r"/cbmir/[\w.]+", message))


def test_every_route_is_described_and_every_description_is_a_route(workplace: Workplace) -> None:
    assert routes(workplace) == {path.partition("/{")[0] for path in OPENAPI["paths"]}


@pytest.mark.parametrize("path", OPENAPI["paths"])
def test_the_methods_of_a_route_are_those_described(workplace: Workplace, path: str) -> None:
    response = workplace.api(Request("PUT", re.sub(r"{\w+}", NOBODY, path.removeprefix("/cbmir/"))))
    for operation_id, (described, _, _) in OPERATIONS.items():
        if described == path:
            check(operation_id, response, 405)
    assert {method.strip().lower() for method in response.headers["Allow"].split(",")} == set(OPENAPI["paths"][path])


@pytest.mark.parametrize(
    ("operation_id", "known"), [("similar", query_module._SEARCHED), ("heatmap", query_module._COMPARED)]
)
def test_every_parameter_is_described_and_every_description_is_a_parameter(
    operation_id: str, known: tuple[str, ...]
) -> None:
    described = [one["name"] for one in OPERATIONS[operation_id][2]["parameters"] if one["in"] == "query"]
    assert sorted(described) == sorted(known)


def parameter(name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in OPERATIONS["similar"][2]["parameters"] if one["name"] == name)
    return found["schema"]  # type: ignore[no-any-return]


def test_the_ranges_and_choices_described_are_those_that_hold() -> None:
    defaults = query_module.parse_query("1.2", {}, 0).criteria
    assert parameter("k") == {
        "type": "integer",
        "minimum": 1,
        "maximum": query_module.MOST_CASES,
        "default": defaults.k,
    }
    assert (parameter("group")["enum"], parameter("group")["default"]) == (list(get_args(Group)), defaults.group)
    assert parameter("samePatient")["enum"] == list(get_args(SamePatient))
    assert parameter("class")["enum"] == list(get_args(query_module.Classes))
    assert parameter("frame")["maximum"] == query_module.MOST_FRAMES
    schemas = OPENAPI["components"]["schemas"]
    assert schemas["Case"]["properties"]["slices"]["maxItems"] == SLICES_SHOWN
    assert schemas["Feedback"]["properties"]["verdict"]["enum"] == list(query_module.VERDICTS)
    codes = {code for _, code in web._STATUS.values()} | {"internal", "disabled", "method_not_allowed"}
    assert set(schemas["Error"]["properties"]["error"]["properties"]["code"]["enum"]) == codes


@pytest.mark.parametrize("name", ["StudyDate", "PatientAge", "StudyInstanceUID", "SeriesDescription", "label", "roi"])
def test_the_examples_of_parameters_are_understood(name: str) -> None:
    for example in parameter(name)["examples"]:
        assert query_module.parse_query("1.2", {name: example}, 0)


def test_every_fact_can_be_shown() -> None:
    for name in ("Query", "Case"):
        properties = OPENAPI["components"]["schemas"][name]["properties"]
        assert set(FACTS) <= properties.keys() | OPENAPI["components"]["schemas"]["Patient"]["properties"].keys()


def test_the_description_is_of_this_version_and_whole() -> None:
    assert OPENAPI["openapi"].startswith("3.1.")
    assert OPENAPI["info"]["version"] == cbmir.__version__
    text = json.dumps(OPENAPI)
    for reference in set(re.findall(r'"\$ref": "([^"]+)"', text)):
        assert resolved({"$ref": reference})
    used = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert used == OPENAPI["components"]["schemas"].keys()
    for one in OPENAPI["components"]["schemas"].values():
        Draft202012Validator.check_schema(one)


def test_every_kind_of_answer_forbids_what_is_not_described() -> None:
    open_on_purpose = {"ModelCard", "FeedbackGiven", "LabelsGiven", "ReindexRequest", "SaveRequest"}
    for name, one in OPENAPI["components"]["schemas"].items():
        if one.get("type") == "object" and name not in open_on_purpose:
            assert one["additionalProperties"] is False, name
