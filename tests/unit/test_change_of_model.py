"""Another model is installed and chosen: the one before answers until the other has embedded everything."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dicom_files import mr_slice, picture
from parts import CLASSES, SIZE, Workplace, tiny_embedder, tiny_session, units

from cbmir.embedding import Embedder
from cbmir.errors import ModelError
from cbmir.ingest import change as change_module
from cbmir.ingest import filling as filling_module
from cbmir.ingest.spaces import open_spaces
from cbmir.web import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

OLD, NEW, THIRD = "tiny-0123456789ab", "other-999999999999", "third-333333333333"


def other_session(outputs: Sequence[str], /, *, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """See slices in eight numbers that mean something else."""
    (vectors,) = tiny_session(outputs, image=image[:, :, ::-1])
    return [units(vectors[:, :8])]


def other_embedder(model: str = NEW, session: Callable[..., Any] = other_session) -> Embedder:
    return Embedder(model, model.partition("-")[0], SIZE, 8, CLASSES, {}, session, None, None)


INSTALLED = {"tiny": tiny_embedder(), "other": other_embedder(), "third": other_embedder(THIRD)}


class Site:
    """A data directory and an Orthanc, with the plugin started again and again with other settings."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._orthanc: Any = None
        self.now: Workplace = self.start("tiny")

    def start(self, model: str, **installed: Embedder) -> Workplace:
        """Stop, and start with this model chosen and these installed (all that there are, if none are named)."""
        if self._orthanc is not None:
            self.now.close()
        models = installed or INSTALLED
        for name, embedder in models.items():
            card = {"name": name, "sha256": embedder.model_id.partition("-")[2]}
            (self._directory / "models" / name).mkdir(parents=True, exist_ok=True)
            (self._directory / "models" / name / "card.json").write_text(json.dumps(card))
        self.now = Workplace(
            self._directory,
            installed=models,
            orthanc=self._orthanc,
            model=model,
            model_directory=str(self._directory / "models"),
        )
        self._orthanc = self.now.orthanc
        self.now.indexer.restore()
        return self.now


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.now.close()


@pytest.fixture
def stored(site: Site) -> list[str]:
    """Forty indexed slices of as many patients."""
    stored = site.now.store(*(mr_slice(f"P{number}", number, pixels=picture(number)) for number in range(40)))
    site.now.work()
    return stored


def answer(workplace: Workplace, name: str, **query: str) -> dict[str, Any]:
    response = workplace.get(f"similar/{name}", **query)
    assert response.status == 200, response.body
    found: dict[str, Any] = json.loads(response.body)
    return found


def status(workplace: Workplace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(workplace.get("status").body)
    return found


def found_from(workplace: Workplace, name: str) -> list[str]:
    return [case["slices"][0]["orthancId"] for case in answer(workplace, name, k="100")["cases"]]


def delete(workplace: Workplace, name: str) -> None:
    workplace.orthanc.delete(name)
    workplace.inbox.put("deleted", name)


def test_the_old_model_answers_the_same_until_the_new_one_has_embedded_everything(
    site: Site, stored: list[str]
) -> None:
    before = answer(site.now, stored[0])
    changing = site.start("other")
    while changing.spaces.incoming is not None:
        assert answer(changing, stored[0]) == before
        assert set(changing.spaces.answering.index.search(units(np.ones(16)), 99)[0]) == set(
            changing.catalogue.live_labels(OLD)
        )
        changing.turn()
    assert len(changing.catalogue.live_labels(NEW)) == 40
    after = answer(changing, stored[0])
    assert after["model"] == {"id": NEW, "name": "other"}
    assert [case["similarity"] for case in after["cases"]] != [case["similarity"] for case in before["cases"]]
    assert len(found_from(changing, stored[0])) == 39


@pytest.mark.usefixtures("stored")
def test_the_status_tells_how_far_the_change_is(site: Site) -> None:
    assert status(site.now)["modelChange"] is None
    changing = site.start("other")
    assert status(changing)["modelChange"] == {"to": NEW, "slices": 0, "of": 40, "refused": 0}
    changing.turn()
    changing.turn()
    told = status(changing)
    assert told["model"]["id"] == OLD
    assert 0 < told["modelChange"]["slices"] < 40
    assert told["indexed"] == 40
    changing.work()
    assert status(changing)["modelChange"] is None
    assert status(changing)["model"]["id"] == NEW


@pytest.mark.usefixtures("stored")
def test_old_vectors_go_after_the_switch_but_not_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    changing = site.start("other")
    changing.work()
    assert len(changing.catalogue.live_labels(OLD)) == 40
    monkeypatch.setattr(changing.indexer._change, "_leftovers_at", 0.0)
    monkeypatch.setattr(change_module, "LEFTOVERS_AT_A_TIME", 7)
    changing.work()
    assert len(changing.catalogue.live_labels(OLD)) == 0
    assert len(changing.catalogue.live_labels(NEW)) == 40
    assert changing.catalogue.counts()["indexed"] == 40


def test_what_arrives_during_the_change_is_found_before_and_after_it(site: Site, stored: list[str]) -> None:
    changing = site.start("other")
    changing.turn()
    (late,) = changing.store(mr_slice("late", 99, pixels=picture(99)))
    changing.turn()
    assert status(changing)["model"]["id"] == OLD
    assert late in found_from(changing, stored[0])
    assert answer(changing, late)["query"]["indexed"]
    changing.work()
    assert status(changing)["model"]["id"] == NEW
    assert late in found_from(changing, stored[0])
    assert len(changing.catalogue.live_labels(NEW)) == 41


def test_what_is_deleted_during_the_change_is_found_no_more(site: Site, stored: list[str]) -> None:
    changing = site.start("other")
    changing.turn()
    delete(changing, stored[-1])
    delete(changing, stored[1])
    changing.turn()
    assert not {stored[-1], stored[1]} & set(found_from(changing, stored[0]))
    changing.work()
    assert status(changing)["model"]["id"] == NEW
    assert set(found_from(changing, stored[0])) == set(stored) - {stored[0], stored[1], stored[-1]}


def test_what_is_overwritten_during_the_change_is_embedded_anew_by_both(site: Site, stored: list[str]) -> None:
    changing = site.start("other")
    changing.turn()
    vectors = {model: changing.catalogue.slice_vector(stored[-1], 1, model) for model in (OLD, NEW)}
    changing.store(mr_slice("P39", 39, pixels=picture(7, kind=3)))
    changing.turn()
    changing.work()
    for model, before in vectors.items():
        after = changing.catalogue.slice_vector(stored[-1], 1, model)
        assert before is not None
        assert after is not None
        assert not np.allclose(before[1], after[1])


def test_a_restart_in_the_middle_goes_on_where_it_was(site: Site, stored: list[str]) -> None:
    changing = site.start("other")
    for _ in range(2):
        changing.turn()
    done = set(changing.catalogue.live_labels(NEW).tolist())
    assert 0 < len(done) < 40
    again = site.start("other")
    assert status(again)["model"]["id"] == OLD
    again.turn()
    assert done < set(again.catalogue.live_labels(NEW).tolist())
    again.work()
    assert status(again)["model"]["id"] == NEW
    assert len(found_from(again, stored[0])) == 39


def test_after_the_switch_a_restart_stays_with_the_new_model(site: Site, stored: list[str]) -> None:
    changing = site.start("other")
    changing.work()
    before = answer(changing, stored[0])
    again = site.start("other")
    assert again.log == []
    assert answer(again, stored[0]) == before
    again.work()
    assert len(again.catalogue.live_labels(OLD)) == 0


def test_changing_back_in_the_middle_needs_no_network(site: Site, stored: list[str]) -> None:
    before = answer(site.now, stored[0])
    site.start("other").turn()
    back = site.start("tiny")
    back.orthanc.calls.clear()
    assert answer(back, stored[0]) == before
    back.inbox.reconcile()
    back.work()
    assert status(back)["modelChange"] is None
    assert len(back.catalogue.live_labels(NEW)) == 0
    assert not [call for call in back.orthanc.calls if call.startswith("file of")]


@pytest.mark.usefixtures("stored")
def test_a_third_model_may_be_chosen_in_the_middle(site: Site) -> None:
    site.start("other").turn()
    third = site.start("third")
    assert status(third)["model"]["id"] == OLD
    third.work()
    assert status(third)["model"]["id"] == THIRD
    third.inbox.reconcile()
    again = site.start("third")
    again.work()
    assert {model for model in (OLD, NEW, THIRD) if len(again.catalogue.live_labels(model))} == {THIRD}


def test_indexing_everything_again_during_the_change_has_both_models_see_it_again(
    site: Site, stored: list[str]
) -> None:
    changing = site.start("other")
    changing.turn()
    before = {model: set(changing.catalogue.live_labels(model).tolist()) for model in (OLD, NEW)}
    body = json.dumps({"states": ["indexed"]}).encode()
    posted = changing.api(Request("POST", "reindex", {}, {"content-type": "application/json"}, body))
    assert json.loads(posted.body) == {"queued": 40}
    while changing.spaces.incoming is not None:
        assert len(found_from(changing, stored[0])) == 39
        changing.turn()
    for model, labels in before.items():
        now = set(changing.catalogue.live_labels(model).tolist())
        assert len(now) == 40
        assert not now & labels


def test_a_file_that_cannot_be_fetched_for_a_while_is_waited_for(
    site: Site, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(filling_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    changing = site.start("other")
    changing.orthanc.failing[stored[5]] = 2
    changing.work()
    assert status(changing)["model"]["id"] == OLD
    for seconds in filling_module.RETRY_AFTER_SECONDS:
        assert changing.spaces.incoming is not None
        now[0] += seconds + 0.1
        changing.work()
    assert status(changing)["model"]["id"] == NEW
    assert stored[5] in found_from(changing, stored[0])
    assert changing.catalogue.counts()["failed"] == 0


# ---- one of the models is missing ----


def test_without_the_old_network_its_vectors_still_answer(site: Site, stored: list[str]) -> None:
    before = answer(site.now, stored[0])["cases"]
    changing = site.start("other", other=other_embedder())
    assert answer(changing, stored[0])["cases"] == before
    assert status(changing)["model"]["id"] == OLD
    # asking by a region, for a heat map or by what is not indexed takes the network
    for response in (
        changing.get(f"similar/{stored[0]}", roi="1,1,9,9"),
        changing.get(f"heatmap/{stored[0]}", against=stored[1]),
        changing.get(f"similar/{changing.orthanc.store(mr_slice('unseen', 77))}"),
    ):
        assert response.status == 503
        assert f"is being changed from {OLD} to {NEW}" in str(json.loads(response.body))
    assert changing.get("model").status == 200


def test_without_the_old_network_what_arrives_is_found_after_the_change(site: Site, stored: list[str]) -> None:
    changing = site.start("other", other=other_embedder())
    (late,) = changing.store(mr_slice("late", 99, pixels=picture(99)))
    changing.turn()
    assert changing.state_of(late) == "indexed"
    assert late not in found_from(changing, stored[0])
    changing.work()
    assert status(changing)["model"]["id"] == NEW
    assert late in found_from(changing, stored[0])


def test_what_came_without_the_old_network_is_embedded_by_it_when_it_is_back(site: Site, stored: list[str]) -> None:
    changing = site.start("other", other=other_embedder())
    (late,) = changing.store(mr_slice("late", 99, pixels=picture(99)))
    changing.turn()
    back = site.start("tiny")
    back.inbox.reconcile()
    back.work()
    assert late in found_from(back, stored[0])
    assert len(back.catalogue.live_labels(OLD)) == 41


@pytest.mark.parametrize("begun", [False, True])
def test_a_new_model_that_cannot_be_used_leaves_the_old_one_at_work(
    site: Site, stored: list[str], *, begun: bool
) -> None:
    if begun:
        site.start("other").turn()
    done = len(site.now.catalogue.live_labels(NEW))
    changing = site.start("other", tiny=tiny_embedder())
    (late,) = changing.store(mr_slice("late", 99, pixels=picture(99)))
    changing.work()
    assert late in found_from(changing, stored[0])
    assert changing.spaces.trouble is not None
    assert "the model 'other' cannot be used, so 'tiny' goes on answering" in changing.spaces.trouble
    # repaired, it need not begin anew
    assert len(changing.catalogue.live_labels(NEW)) == done


@pytest.mark.usefixtures("stored")
def test_without_any_model_the_plugin_cannot_start(site: Site) -> None:
    with pytest.raises(ModelError, match="no usable model"):
        site.start("other", third=other_embedder(THIRD))


def test_a_new_model_that_refuses_most_slices_never_takes_over(site: Site, stored: list[str]) -> None:
    def broken(_outputs: Sequence[str], /, *, image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [np.full((len(image), 8), np.nan, np.float32)]

    changing = site.start("other", tiny=tiny_embedder(), other=other_embedder(session=broken))
    changing.work()
    assert status(changing)["model"]["id"] == OLD
    assert status(changing)["modelChange"]["refused"] == 40
    assert changing.indexer._change.trouble == f"{NEW} cannot take 40 instances, so {OLD} goes on answering"
    assert changing.catalogue.counts()["indexed"] == 40
    assert len(found_from(changing, stored[0])) == 39


def test_what_the_new_model_cannot_take_is_told_after_the_switch(site: Site, stored: list[str]) -> None:
    changing = site.start("other")
    changing.orthanc.files[stored[3]] = b"no DICOM"
    changing.work()
    assert status(changing)["model"]["id"] == NEW
    assert changing.state_of(stored[3]) == "failed"
    assert stored[3] not in found_from(changing, stored[0])
    assert changing.catalogue.counts() == {"pending": 0, "indexed": 39, "skipped": 0, "failed": 1}


def test_an_empty_archive_changes_at_once(site: Site) -> None:
    changing = site.start("other")
    assert status(changing)["model"]["id"] == NEW
    assert changing.spaces.incoming is None


@pytest.mark.usefixtures("stored")
def test_the_old_model_is_found_by_its_id_whatever_its_folder_is_called_now(site: Site) -> None:
    site.start("other", other=other_embedder(), archived=tiny_embedder())
    card = site.now.directory / "models" / "archived" / "card.json"
    card.write_text(json.dumps({"name": "tiny", "sha256": OLD.partition("-")[2]}))
    spaces = open_spaces(site.now.catalogue, site.now.reader, site.now.settings, site.now.load)
    assert spaces.answering.model == OLD
    assert spaces.answering.folder == str(card.parent)
    assert spaces.answering.pipeline is not None
