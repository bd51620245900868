import numpy as np
import pytest
from PIL import Image, ImageColor

pytest.importorskip("matplotlib")

from keras_affect import emotions, visualize
from tests.evaluation.test_occlusion import face, one_eyed

TRAIN, VALID = visualize._TRAIN, visualize._VALID
LOG = """epoch,learning_rate,emotion_accuracy,loss,emotion_loss,val_emotion_accuracy,val_loss
1,0.01,0.4,2.0,1.0,0.5,1.5
2,0.02,0.5,1.5,0.8,0.6,1.2
3,0.01,0.6,1.0,0.6,0.7,1.0
"""


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def amount(path, color):
    """How many pixels have nearly that colour."""
    wanted = np.array(ImageColor.getrgb(color))
    return int((np.abs(pixels(path).astype(int) - wanted).max(axis=-1) <= 8).sum())


@pytest.fixture
def answers():
    """Neutral, happiness and sadness, 20 images each: half of the sad ones are read as neutral."""
    votes = np.zeros((60, 10))
    probabilities = np.full((60, 8), 0.02)
    for row in range(60):
        label = (0, 1, 3)[row // 20]
        votes[row, label] = 10
        said = 0 if label == 3 and row % 2 else label
        probabilities[row, said] = 0.86 - 0.005 * row
        probabilities[row, 7] += 1 - probabilities[row].sum()
    points = np.random.default_rng(0).uniform(-0.7, 0.7, (60, 2))
    return probabilities, votes, points


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(LOG)
    return path


NAMES = ("curves", "confusion", "reliability", "circumplex")


def draw(name, path, answers, log, **arguments):
    probabilities, votes, points = answers
    given = {
        "curves": (log,),
        "confusion": (probabilities, votes),
        "reliability": (probabilities, votes),
        "circumplex": (points, points * 0.9, votes.argmax(axis=1)),
    }[name]
    getattr(visualize, name)(*given, path=path, **arguments)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_picture_each_time_and_no_state(name, answers, log, tmp_path):
    from matplotlib import pyplot

    style = dict(pyplot.rcParams)
    path = tmp_path / "picture.png"
    draw(name, path, answers, log)
    first = path.read_bytes()
    draw(name, path, answers, log, overwrite=True)
    assert path.read_bytes() == first
    assert pixels(path).std() > 5
    assert pyplot.get_fignums() == []
    assert dict(pyplot.rcParams) == style


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_exists_is_kept_unless_told(name, answers, log, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"picture\.png: exists already"):
        draw(name, path, answers, log)
    assert path.read_bytes() == b"mine"


def test_curves_draw_what_the_log_has(log, tmp_path):
    path = tmp_path / "curves.png"
    visualize.curves(log, path)
    both = pixels(path)
    assert amount(path, TRAIN) > 300
    assert amount(path, VALID) > 300
    log.write_text("epoch,loss\n0,2\n1,1\n")
    visualize.curves(log, path, overwrite=True)
    assert amount(path, TRAIN) > 100
    assert amount(path, VALID) == 0
    # One panel, where there were loss, accuracy and learning rate.
    assert pixels(path).shape[1] * 3 == pytest.approx(both.shape[1], rel=0.01)


def test_curves_take_the_emotions_accuracy_and_the_whole_loss():
    columns = dict.fromkeys(LOG.splitlines()[0].split(","))
    assert visualize._of_panel(columns, ("loss",)) == ["loss", "val_loss"]
    accuracy = visualize._of_panel(columns, ("accuracy",))
    assert accuracy == ["emotion_accuracy", "val_emotion_accuracy"]
    assert visualize._of_panel(columns, ("learning_rate",)) == ["learning_rate"]
    assert visualize._of_panel(columns, ("concordance_correlation", "concordance")) == []


@pytest.mark.parametrize("metric", ["concordance_correlation", "concordance"])
def test_curves_show_the_concordance(metric, tmp_path):
    """By the metric's own name, as `model.fit` logs it, and by that in `training`'s logs."""
    log, path, without = tmp_path / "log.csv", tmp_path / "curves.png", tmp_path / "without.png"
    log.write_text("epoch,loss\n0,2\n1,1\n")
    visualize.curves(log, without)
    log.write_text(f"epoch,loss,valence_arousal_{metric}\n0,2,0.1\n1,1,0.4\n")
    visualize.curves(log, path)
    assert pixels(path).shape[1] == pytest.approx(2 * pixels(without).shape[1], rel=0.01)


def test_gaps_in_a_log(log, tmp_path):
    log.write_text("epoch,loss,val_loss\n0,2,\n1,nan,1.5\n2,1,1.2\n3,0.9,\n")
    columns = visualize._read_log(log)
    np.testing.assert_array_equal(columns["val_loss"], [np.nan, 1.5, 1.2, np.nan])
    np.testing.assert_array_equal(columns["loss"], [2, np.nan, 1, 0.9])
    visualize.curves(log, tmp_path / "curves.png")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"log\.csv: expected a row of names with epoch and loss"),
        ("epoch,loss\n", "and an epoch more"),
        ("step,loss\n1,2\n", "names with epoch and loss"),
        ("epoch,loss\n1,2\n2\n", r"log\.csv, row 3: expected 2 numbers, found 2"),
        ("epoch,loss\n1,two\n", r"row 2: expected 2 numbers, found 1, two"),
        ("epoch,loss\n1,2,3\n", "row 2: expected 2 numbers"),
        ("epoch,loss\n\n", "row 2: expected 2 numbers, found nothing"),
        ("epoch,loss\n,2\n", "row 2: expected an epoch"),
    ],
)
def test_damaged_logs_are_named(log, tmp_path, text, match):
    log.write_text(text)
    with pytest.raises(ValueError, match=match):
        visualize.curves(log, tmp_path / "curves.png")
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv"}


def test_logs_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv: no such log"):
        visualize.curves(tmp_path / "none.csv", tmp_path / "curves.png")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ValueError, match=r"binary\.csv: not a csv"):
        visualize.curves(binary, tmp_path / "curves.png")


def test_confusion_darkens_where_the_model_answers(answers, tmp_path):
    probabilities, votes, _ = answers
    right, wrong = tmp_path / "right.png", tmp_path / "wrong.png"
    visualize.confusion(np.eye(8)[votes.argmax(axis=1)], votes, right)
    visualize.confusion(probabilities, votes, wrong)
    darkest = "#08306b"  # the end of matplotlib's Blues: 100 % of a row
    bar = amount(right, darkest)
    # Three full rows against two: sadness is split.
    assert amount(wrong, darkest) < 0.75 * bar


def test_confusion_percentages():
    assert [visualize._percent(share) for share in (0.001, 0.0049, 0.005, 0.5, 1.0)] == [
        "<1%", "<1%", "0%", "50%", "100%",
    ]  # fmt: skip


def test_circumplex_colours_the_emotions_that_are_there(answers, tmp_path):
    _, votes, points = answers
    path = tmp_path / "circumplex.png"
    label = votes.argmax(axis=1)
    visualize.circumplex(points, points, label, path)
    for name in ("happiness", "sadness"):
        assert amount(path, emotions.COLORS[name]) > 100
    for name in ("anger", "contempt", "fear", "disgust"):
        assert amount(path, emotions.COLORS[name]) == 0
    # An image without a majority, or without a target, is left out.
    left_out = label.copy()
    left_out[label == 3] = -1
    target = np.where((label == 1)[:, None], np.nan, points)
    visualize.circumplex(points, target, left_out, path, overwrite=True)
    for name in ("happiness", "sadness"):
        assert amount(path, emotions.COLORS[name]) == 0


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"predicted": np.zeros((5, 2))}, r"`predicted`\. Expected shape \(4, 2\)"),
        ({"predicted": np.full((4, 2), np.nan)}, "`predicted`.*NaN"),
        ({"target": np.zeros((4, 3))}, r"`target`\. Expected shape \(4, 2\)"),
        ({"target": np.full((4, 2), np.nan)}, "`target`.*4 images, none such"),
        ({"majority": np.full(4, -1)}, "none such"),
        ({"majority": np.full(4, 8)}, r"`majority`\. Expected \(images,\) places"),
        ({"majority": np.zeros((4, 1))}, r"`majority`.*Received: shape \(4, 1\)"),
    ],
)
def test_circumplex_refuses(changes, match, tmp_path):
    given = {
        "predicted": np.zeros((4, 2)),
        "target": np.zeros((4, 2)),
        "majority": np.zeros(4, int),
    } | changes
    with pytest.raises(ValueError, match=match):
        visualize.circumplex(**given, path=tmp_path / "circumplex.png")
    assert not list(tmp_path.iterdir())


def test_reliability_shows_gaps(answers, tmp_path):
    probabilities, votes, _ = answers
    path = tmp_path / "reliability.png"
    visualize.reliability(probabilities, votes, path)
    assert amount(path, TRAIN) > 500
    with pytest.raises(ValueError, match="argument `bins`"):
        visualize.reliability(probabilities, votes, path, bins=0, overwrite=True)


def test_answered_shows_a_curve(answers, tmp_path):
    probabilities, votes, _ = answers
    path = tmp_path / "answered.png"
    visualize.answered(probabilities, votes, path)
    assert amount(path, TRAIN) > 200
    with pytest.raises(FileExistsError):
        visualize.answered(probabilities, votes, path)


def test_bad_probabilities_leave_no_file(answers, tmp_path):
    _, votes, _ = answers
    for draw in (visualize.confusion, visualize.reliability, visualize.answered):
        with pytest.raises(ValueError, match="argument `probabilities`"):
            draw(np.full((60, 8), np.nan), votes, tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())


def test_saliency_colours_where_the_answer_comes_from(tmp_path):
    model = one_eyed(slice(4, 8), slice(8, 12))
    path = tmp_path / "saliency.png"
    visualize.saliency(model, face(), path, side=4, stride=2)
    drawn = pixels(path).astype(int)
    right = drawn[:, drawn.shape[1] // 2 :]
    # Orange where covering takes probability away; the picture itself is gray.
    orange = right[..., 0] - right[..., 2] > 90
    assert orange.sum() > 200
    assert not (
        drawn[:, : drawn.shape[1] // 2].max(axis=-1) - drawn[:, : drawn.shape[1] // 2].min(axis=-1)
        > 20
    ).any()
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        visualize.saliency(model, face(), path)
    visualize.saliency(model, face(), path, side=4, stride=2, overwrite=True)
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="`class_name`"):
        visualize.saliency(model, face(), tmp_path / "other.png", "glad")
    assert not (tmp_path / "other.png").exists()


def test_saliency_of_a_model_that_looks_at_nothing(tmp_path):
    model = one_eyed(slice(4, 8), slice(8, 12))
    visualize.saliency(model, np.full((24, 16), 90, np.uint8), tmp_path / "none.png")
    assert pixels(tmp_path / "none.png").size
