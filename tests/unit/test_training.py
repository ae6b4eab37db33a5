import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("torchvision")
pytest.importorskip("pytorch_metric_learning")

from torchvision.models import googlenet  # noqa: E402

import evaluate  # noqa: E402
import export  # noqa: E402
import quantize  # noqa: E402
import train  # noqa: E402
from cbmir.embedding import load  # noqa: E402
from cbmir.network import GREY_MEAN, GREY_SPREAD, Architecture  # noqa: E402
from evaluation import systems  # noqa: E402
from evaluation.options import SHIPPED  # noqa: E402
from model_folder import calibration, eight_bit, files  # noqa: E402
from model_folder.files import ExportError  # noqa: E402
from sources import archive  # noqa: E402
from sources.csv_table import TableError  # noqa: E402
from sources.tables import Columns, Row, read  # noqa: E402
from training import checkpoints, initial_weights  # noqa: E402
from training.augmentation import Strength, augment  # noqa: E402
from training.initial_weights import start_from  # noqa: E402
from training.optimisation import learning_rate, optimiser, set_rate  # noqa: E402
from training.recipe import RecipeError, parse, stages  # noqa: E402
from training.sampling import batches  # noqa: E402
from training.trainer import build  # noqa: E402

RECIPES = sorted((Path(__file__).parents[2] / "scripts" / "training" / "recipes").glob("*.toml"))

TINY = """
[schedule]
stages = [[32, 1], [48, 2]]
batch = 6
warm_up = 1
"""
SIDE = 48

ABOUT = """
licence = "none"
summary = "A toy."
intendedUse = "Tests."
limits = ["knows noise"]
[[data]]
name = "noise"
licence = "CC0"
attribution = "nobody"
url = "https://example.org"
use = "training"
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "group", "bbox_cx", "bbox_cy", "bbox_w", "bbox_h"])
        for number in range(18):
            Image.fromarray(random.integers(0, 255, (40, 50), np.uint8)).save(folder / f"{number}.png")
            writer.writerow([f"{number}.png", "abc"[number % 3], number // 3, 0.5, 0.5, 0.2, 0.3])
    return str(folder / "index.csv")


def run(table: str, folder: Path, *more: str) -> dict[str, object]:
    recipe = folder / "tiny.toml"
    folder.mkdir(exist_ok=True)
    recipe.write_text(TINY)
    wishes = ["--recipe", str(recipe), "--data", f"{table}:group=0,1,2,3", "--hold-out", f"{table}:group=4,5"]
    train.train(train.arguments([*wishes, "--out", str(folder), "--cache", str(folder / "cache"), *more]))
    return torch.load(folder / "checkpoint.pt", weights_only=True)


@pytest.mark.filterwarnings("default")  # the exporter warns of its own deprecated parts
def test_a_training_taken_up_again_ends_as_if_it_had_never_stopped(table: str, tmp_path: Path) -> None:
    whole = run(table, tmp_path / "whole")
    run(table, tmp_path / "halves", "--stop-after", "1")
    halves = run(table, tmp_path / "halves", "--resume")
    assert whole["epoch"] == halves["epoch"] == 3
    for kind in ("network", "averaged"):
        for name, weight in whole[kind].items():
            assert torch.equal(weight, halves[kind][name]), name
    assert (tmp_path / "whole" / "curves.png").stat().st_size > 0
    history = json.loads((tmp_path / "whole" / "history.json").read_text())
    assert len(history) == 3
    assert {"class", "metric", "lesion", "mAP", "P@10"} <= history[-1].keys()
    about = tmp_path / "about.toml"
    about.write_text(ABOUT)
    # what was trained can be exported: the same files serve both
    wishes = ["--checkpoint", str(tmp_path / "whole" / "checkpoint.pt"), "--about", str(about)]
    more = ["--calibrate", f"{table}:group=4,5", "--int8", table]
    export.export(export.arguments([*wishes, "--out", str(tmp_path / "toy"), *more]))
    card = json.loads((tmp_path / "toy" / "card.json").read_text())
    assert card["name"] == "toy"
    assert card["labels"] == ["a", "b", "c"]
    assert card["recipe"]["epochsDone"] == 3
    assert "# Model card: toy" in (tmp_path / "toy" / "MODEL_CARD.md").read_text()
    assert_eight_bits_can_be_added_later(tmp_path / "toy", table)


def assert_eight_bits_can_be_added_later(folder: Path, table: str) -> None:
    before = load(folder, precision="fp32")
    square = np.random.default_rng(0).random((1, 1, before.size, before.size), np.float32)
    quantize.quantize(quantize.arguments([str(folder), "--pictures", table, "--check", table]))
    again = load(folder, precision="fp32")
    assert again.model_id == before.model_id, "weights that 16 bits hold are written as they were"
    np.testing.assert_array_equal(again.embed(square), before.embed(square))
    # nobody can compare pictures of one group
    quantize.quantize(quantize.arguments([str(folder), "--pictures", table, "--check", f"{table}:group=0"]))
    assert "int8" not in json.loads((folder / "card.json").read_text())
    assert not (folder / "model-int8.onnx").exists()


@pytest.mark.parametrize("lost", [0.0, 1.0])
def test_an_eight_bit_network_that_finds_worse_is_left_out(
    lost: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model-int8.onnx").write_bytes(b"eight bits")
    monkeypatch.setattr(eight_bit, "write", lambda *_: None)
    found = {"pictures": 1, "mAP": 0.9 - lost, "exactMAP": 0.9, "leastCosine": 0.99, "meanCosine": 0.999}
    monkeypatch.setattr(eight_bit, "compare", lambda *_: found)
    described = eight_bit.add(tmp_path, 8, [], [])
    assert (described is None) == (lost > 0)
    assert (tmp_path / "model-int8.onnx").exists() == (lost == 0)


def test_an_eight_bit_network_that_no_pictures_can_judge_is_left_out(
    table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # of few patients held out no two may share a class: then a candidate was not made at all, after all its training
    shutil.copy(SHIPPED / "model.onnx", tmp_path)
    monkeypatch.setattr(eight_bit, "write", lambda exact, into, _: shutil.copy(exact, into))
    alone = read(f"{table}:group=0", Columns())
    assert eight_bit.add(tmp_path, 128, alone, alone) is None
    assert not (tmp_path / "model-int8.onnx").exists()


def test_a_checkpoint_of_other_classes_is_refused(table: str, tmp_path: Path) -> None:
    run(table, tmp_path, "--stop-after", "1")
    with pytest.raises(ValueError, match="other classes"):
        run(table, tmp_path, "--classes", "a,b", "--resume")


def test_batches_hold_every_class_alike_and_every_group_in_turn() -> None:
    rows = [Row(Path(f"{n}"), "common", "one") for n in range(90)]
    rows += [Row(Path(f"r{n}"), "rare", f"g{n % 2}") for n in range(10)]
    chosen = list(batches(rows, 10, np.random.default_rng(0)))
    assert len(chosen) == 10
    for batch in chosen:
        assert sum(rows[index].label == "rare" for index in batch) == 5
        groups = [rows[index].group for index in batch if rows[index].label == "rare"]
        assert abs(groups.count("g0") - groups.count("g1")) <= 1


def test_an_epoch_shows_all_of_a_common_class_before_it_repeats() -> None:
    rows = [Row(Path(f"{n}"), "ab"[n % 2], "one") for n in range(40)]
    shown = np.concatenate(list(batches(rows, 8, np.random.default_rng(0))))
    assert sorted(shown) == list(range(40))


def test_batches_depend_on_the_seed_alone() -> None:
    rows = [Row(Path(f"{n}"), "abc"[n % 3], f"{n % 7}") for n in range(50)]
    first, again, other = (np.array(list(batches(rows, 8, np.random.default_rng(seed)))) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


NOTHING = Strength(**dict.fromkeys(Strength.__dataclass_fields__, 0.0))


def test_augmentation_of_no_strength_changes_nothing_and_masks_the_box() -> None:
    images = torch.rand(2, 1, 32, 32).clamp(0.01, 1)
    boxes = torch.tensor([[0.25, 0.75, 0.5, 0.5], [-1.0, -1.0, 0.0, 0.0]])
    changed, masks = augment(images, boxes, 16, NOTHING, torch.Generator().manual_seed(0))
    assert torch.allclose(changed, images, atol=1e-5)
    assert masks.tolist() == [[[0, 0], [1, 0]], [[0, 0], [0, 0]]]


def test_the_lesion_mask_is_mirrored_with_its_picture() -> None:
    images = torch.zeros(1, 1, 64, 64)
    images[..., :16, :16] = 1
    mirror = Strength(**{**dict.fromkeys(Strength.__dataclass_fields__, 0.0), "flip": 1.0})
    changed, masks = augment(images, torch.tensor([[0.125, 0.125, 0.25, 0.25]]), 16, mirror, torch.Generator())
    assert changed[0, 0, :16, 48:].mean() > 0.99
    assert masks[0, 0].tolist() == [0, 0, 0, 1]


def test_the_lesion_mask_follows_a_strong_change() -> None:
    images = torch.zeros(8, 1, 64, 64)
    images[..., 16:48, 8:32] = 1
    boxes = torch.tensor([[20 / 64, 0.5, 24 / 64, 0.5]]).repeat(8, 1)
    strong = Strength(gamma=0, contrast=0, bias_field=0, noise=0, cutout=0)
    changed, masks = augment(images, boxes, 4, strong, torch.Generator().manual_seed(1))
    cells = torch.nn.functional.avg_pool2d(changed, 4)[:, 0]
    assert (cells - masks).abs().mean() < 0.03
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_a_picture_stays_within_its_greys() -> None:
    images = torch.rand(16, 1, 32, 32)
    changed, _ = augment(images, torch.full((16, 4), -1.0), 16, Strength(), torch.Generator().manual_seed(0))
    assert changed.isfinite().all()
    assert changed.min() >= 0
    assert changed.max() <= 1


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_can_be_read(path: Path) -> None:
    assert parse(path.read_text()).schedule.epochs > 0


def test_the_stages_of_a_schedule_follow_one_another() -> None:
    schedule = parse(TINY).schedule
    assert [schedule.side(epoch) for epoch in range(4)] == [32, 48, 48, 48]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[optimizer]\n", "unknown section 'optimizer'"),
        ("[network]\nname = 'vgg'", "unknown network 'vgg'"),
        ("[loss]\nmagic = 1", "unknown key 'magic'"),
        ("[schedule]\nstages = []", "stages"),
        ("[schedule]\nstages = [[96, 0]]", "stages"),
        ("[network]\nside = 128\n[schedule]\nstages = [[96, 2]]", "takes 128 pixels, its last stage has 96"),
        ("no toml", "no TOML"),
    ],
)
def test_a_recipe_with_a_mistake_says_which(text: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        parse(text)


def test_a_checkpoint_of_an_unknown_recipe_is_refused_in_one_sentence(tmp_path: Path) -> None:
    recipe = {"network": {"name": "googlenet-gem"}, "schedule": {"magic": 1}}
    torch.save({"recipe": recipe, "labels": ["a", "b"], "averaged": {}}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"checkpoint\.pt is no checkpoint of scripts/train\.py: unknown key 'magic'"):
        checkpoints.together([tmp_path / "checkpoint.pt"], threads=1)


def test_stages_of_the_command_line_take_the_place_of_the_recipe_s(table: str, tmp_path: Path) -> None:
    state = run(table, tmp_path, "--stages", "32:1")
    assert state["epoch"] == 1
    assert state["recipe"]["schedule"]["stages"] == ((32, 1),)
    with pytest.raises(RecipeError, match="96:12,128:8"):
        stages("much")


def test_a_network_is_measured_and_exported_at_the_size_that_its_training_ended_with(
    table: str, tmp_path: Path
) -> None:
    # 24 epochs at 96 pixels, resumed with other stages, were once measured at the 128 of the recipe
    state = run(table, tmp_path, "--stages", "48:1,32:1")
    assert systems.checkpoints([tmp_path / "checkpoint.pt"], 1).side == 32
    assert export.network_of(state).architecture.side == 32
    assert parse("[schedule]\nstages = [[96, 2], [160, 1]]").network.side == 160


def test_the_temperature_makes_the_truth_likeliest() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(20000, 3))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = np.array([random.choice(3, p=row) for row in chances])
    # logits three times too sure need to be divided by three
    assert calibration.temperature((3 * logits).astype(np.float32), targets) == pytest.approx(3, rel=0.05)


def test_the_classifier_of_2017_trains_and_is_not_exported(table: str, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(
        '[network]\nname = "qayyum2017"\ndim = 8\n[schedule]\nstages = [[64, 1]]\nbatch = 6'
    )
    wishes = ["--recipe", str(tmp_path / "small.toml"), "--data", table, "--cache", str(tmp_path / "cache")]
    train.train(train.arguments([*wishes, "--out", str(tmp_path)]))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["averaged"]["first.weight"].shape[0] == 8
    with pytest.raises(ExportError, match="never exported"):
        export.network_of(state)
    # but measured, as its authors did: by Euclidean distance between features of any length, and by predicted class
    asked = ["--gallery", f"{table}:group=0,1,2,3", "--queries", f"{table}:group=4,5", "--class-predicted"]
    found, figures = evaluate.measure(evaluate.arguments([*asked, "--checkpoint", str(tmp_path / "checkpoint.pt")]))
    assert not np.allclose(np.linalg.norm(found.gallery.vectors, axis=1), 1, atol=0.01)
    assert figures["protocol"].startswith("Euclidean distance")
    assert figures["index_recall"] is None
    assert figures["classification"]["n_queries"] == 6


def test_a_checkpoint_is_measured_as_what_is_exported_from_it(table: str, tmp_path: Path) -> None:
    state = run(table, tmp_path, "--stop-after", "1")
    system = systems.checkpoints([tmp_path / "checkpoint.pt"], 1)
    images = np.random.default_rng(0).random((2, 1, SIDE, SIDE), np.float32)
    with torch.inference_mode():
        outputs = export.network_of(state).outputs(torch.from_numpy(images))
    assert np.allclose(system.embed(images), outputs.embedding.numpy(), atol=1e-6)
    assert system.nearest is not None
    guesses = system.nearest(system.embed(images)).tolist()
    assert guesses == [system.labels[index] for index in outputs.logits.argmax(1)]


def test_several_checkpoints_share_the_similarity_and_the_class(table: str, tmp_path: Path) -> None:
    files = []
    for seed in (1, 2):
        run(table, tmp_path / str(seed), "--stop-after", "1", "--seed", str(seed))
        files.append(tmp_path / str(seed) / "checkpoint.pt")
    both, alone = systems.checkpoints(files, 1), [systems.checkpoints([file], 1) for file in files]
    images = np.random.default_rng(0).random((3, 1, SIDE, SIDE), np.float32)
    parts = [one.embed(images) for one in alone]
    similarity = both.embed(images) @ both.embed(images).T
    assert np.allclose(similarity, np.mean([part @ part.T for part in parts], axis=0), atol=1e-5)
    # what each says about the class is averaged too
    networks = checkpoints.together(files, 1)
    told = [checkpoints.together([file], 1).probabilities(part) for file, part in zip(files, parts, strict=True)]
    assert np.allclose(networks.probabilities(networks.embed(images)), np.mean(told, axis=0), atol=1e-5)
    assert both.nearest is not None


def test_a_mirrored_embedding_is_that_of_the_mirror_image(table: str, tmp_path: Path) -> None:
    run(table, tmp_path, "--stop-after", "1")
    system = systems.checkpoints([tmp_path / "checkpoint.pt"], 1, mirrored=True)
    images = np.random.default_rng(0).random((2, 1, SIDE, SIDE), np.float32)
    assert np.allclose(system.embed(images), system.embed(np.ascontiguousarray(images[..., ::-1])), atol=1e-5)


def test_frozen_layers_stay_as_they_were(table: str, tmp_path: Path) -> None:
    (tmp_path / "frozen.toml").write_text(TINY.replace("[schedule]", "[schedule]\nfrozen = 3"))
    wishes = ["--recipe", str(tmp_path / "frozen.toml"), "--data", table, "--cache", str(tmp_path / "cache")]
    states = []
    for end in ("1", "2"):
        train.train(train.arguments([*wishes, "--out", str(tmp_path / end), "--stop-after", end]))
        states.append(torch.load(tmp_path / end / "checkpoint.pt", weights_only=True)["averaged"])
    same = {name for name in states[0] if torch.equal(states[0][name], states[1][name])}
    assert {name for name in states[0] if name.startswith(("trunk.conv1", "trunk.conv2"))} <= same
    assert not [name for name in same if name.startswith("trunk.inception5b") and name.endswith("conv.weight")]


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    torch.save({"something": 1}, tmp_path / "else.pt")
    with pytest.raises(ValueError, match=r"else\.pt is no checkpoint"):
        systems.checkpoints([tmp_path / "else.pt"], 1)


def test_what_to_learn_from_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    for wishes, hint in (
        ([], "what shall it learn from"),
        (["--data", "t.csv", "--labels", "l.csv"], "--orthanc URL is missing"),
        (["--orthanc", "http://x", "--hold-out-share", "1"], "from 0 to less than 1"),
    ):
        with pytest.raises(SystemExit):
            train.arguments(["--out", "run", *wishes])
        assert hint in capsys.readouterr().err


def test_the_same_patients_are_held_out_whoever_else_comes() -> None:
    first = [{"group": f"patient {n}", "label": "ab"[n % 2]} for n in range(40)]
    later = first + [{"group": f"newcomer {n}", "label": "ab"[n % 2]} for n in range(40)]
    early, late = archive.held_out(first, 0.3), archive.held_out(later, 0.3)
    assert 6 <= len(early) <= 18
    assert early == {group for group in late if group.startswith("patient")}


def test_nobody_is_held_out_of_a_class_that_would_be_left_without_anyone() -> None:
    common = [{"group": f"patient {n}", "label": "common"} for n in range(40)]
    (alone, *_) = sorted(archive.held_out(common, 0.3))
    assert alone not in archive.held_out([*common, {"group": alone, "label": "rare"}], 0.3)
    with pytest.raises(TableError, match="holds out none of 1 patients"):
        archive.held_out([{"group": alone, "label": "rare"}], 0.3)


def test_a_training_can_start_from_the_trunk_of_another(table: str, tmp_path: Path) -> None:
    first = run(table, tmp_path / "first", "--stop-after", "1")
    network = build(parse(TINY), ("x", "y"))
    head = network.embedding.weight.clone()
    start_from(network, str(tmp_path / "first" / "checkpoint.pt"))
    filled = network.trunk.state_dict()
    assert all(torch.equal(filled[name], first["averaged"][f"trunk.{name}"]) for name in filled)
    assert torch.equal(network.embedding.weight, head)


def test_a_colour_network_sees_a_grey_picture_as_ours_does(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    colour = googlenet(weights=None, init_weights=False, transform_input=True, aux_logits=False).eval()
    monkeypatch.setattr(initial_weights, "googlenet_of_torchvision", colour.state_dict)
    network = build(parse(TINY), ("x", "y")).eval()
    start_from(network, "imagenet")
    picture = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        # what torchvision's users do beforehand, then its own transform_input
        mean, spread = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        normal = (picture.repeat(1, 3, 1, 1) - mean.view(1, 3, 1, 1)) / spread.view(1, 3, 1, 1)
        theirs = colour.conv1(colour._transform_input(normal))
        ours = network.trunk.conv1((picture - GREY_MEAN) / GREY_SPREAD)
    # at the rim the zeros of the padding stand for another grey
    assert torch.allclose(theirs[..., 2:-2, 2:-2], ours[..., 2:-2, 2:-2], atol=1e-4)


LITE = """
[network]
name = "efficientnet-lite0-gem"
dim = 16
stride = 32
guided = false
[schedule]
stages = [[64, 1]]
batch = 6
trunk_pace = 0.5
"""


@pytest.mark.filterwarnings("default")  # as above
def test_a_small_trunk_is_trained_measured_and_exported_as_the_large_one_is(table: str, tmp_path: Path) -> None:
    (tmp_path / "lite.toml").write_text(LITE)
    wishes = ["--recipe", str(tmp_path / "lite.toml"), "--data", table, "--cache", str(tmp_path / "cache")]
    train.train(train.arguments([*wishes, "--out", str(tmp_path)]))
    network = export.network_of(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    assert network.architecture == Architecture(("a", "b", "c"), 16, 32, 64, guided=False, trunk="efficientnet-lite0")
    files.write_onnx(network, tmp_path / "model.onnx")
    files.write_cells(network, tmp_path / "cells.onnx")
    found = files.differences(network, tmp_path)
    assert found.keys() == {"embedding", "features", "logits", "cells"}


def test_a_trunk_moves_at_its_own_pace() -> None:
    network = build(parse(LITE), ("x", "y"))
    adam = optimiser(network, 0.05, trunk_pace=0.25)
    set_rate(adam, 0.8)
    rates = {id(weight): group["lr"] for group in adam.param_groups for weight in group["params"]}
    for name, weight in network.named_parameters():
        assert rates[id(weight)] == pytest.approx(0.2 if name.startswith("trunk.") else 0.8)


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    recipe = parse("[schedule]\nstages = [[96, 8], [224, 2]]\nlearning_rate = 1.0\nwarm_up = 2")
    rates = [learning_rate(recipe.schedule, epoch) for epoch in (0, 1, 2, 6, 8, 10)]
    assert rates[0] < rates[1] < rates[2] == 1
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(0)
