import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_affect import emotions
from keras_affect.datasets import ferplus
from keras_affect.datasets.votes import COLUMNS
from keras_affect.evaluation import scores


def votes_of(*rows):
    """Votes from dicts of name and count."""
    return np.array([[row.get(name, 0) for name in COLUMNS] for row in rows], np.float32)


def probabilities_of(*rows):
    """Probabilities from dicts; what is left of 1 goes to contempt."""
    table = np.array([[row.get(name, 0.0) for name in emotions.NAMES] for row in rows])
    table[:, 7] += 1 - table.sum(axis=1)
    return table


@pytest.fixture(scope="module")
def crowd():
    """400 images with votes, probabilities that go with them roughly, and points."""
    generator = np.random.default_rng(0)
    inclination = generator.dirichlet(np.full(10, 0.15), 400)
    votes = np.array([generator.multinomial(10, p) for p in inclination], np.float32)
    wide = generator.dirichlet(np.ones(8), 400) * 0.5 + inclination[:, :8] + 0.02
    probabilities = wide / wide.sum(axis=1, keepdims=True)
    points = np.tanh(probabilities @ emotions.CIRCUMPLEX + generator.normal(0, 0.2, (400, 2)))
    return probabilities, votes, points


def slow_scores(probabilities, votes, points):
    """Every figure once more, image by image, in plain Python."""
    seen, right = 0, 0
    by_emotion = [[0] * 8 for _ in range(8)]
    raw_sum = clean_sum = raw_floor = clean_floor = 0.0
    sure, pairs = [], []
    for p, v, point in zip(probabilities.tolist(), votes.tolist(), points.tolist(), strict=True):
        clean = [0 if count <= 1 else count for count in v]
        top = max(clean)
        if top <= sum(clean) / 2 or clean.index(top) >= 8:
            continue
        label, said = clean.index(top), p.index(max(p))
        seen += 1
        right += label == said
        by_emotion[label][said] += 1
        raw = [count / sum(v[:8]) for count in v[:8]]
        shares = [count / sum(clean[:8]) for count in clean[:8]]
        raw_sum -= sum(s * math.log(q) for s, q in zip(raw, p, strict=True))
        clean_sum -= sum(s * math.log(q) for s, q in zip(shares, p, strict=True))
        raw_floor -= sum(s * math.log(s) for s in raw if s)
        clean_floor -= sum(s * math.log(s) for s in shares if s)
        sure.append((max(p), shares[said]))
        target = [
            sum(s * float(emotions.CIRCUMPLEX[i][axis]) for i, s in enumerate(shares))
            for axis in (0, 1)
        ]
        pairs.append((target, point))
    sure.sort()
    gaps = 0.0
    start = 0
    for part in range(15):
        size = seen // 15 + (part < seen % 15)
        bin_ = sure[start : start + size]
        gaps += abs(sum(c for c, _ in bin_) - sum(s for _, s in bin_))
        start += size
    assert start == seen
    recalls = [row[i] / sum(row) if sum(row) else None for i, row in enumerate(by_emotion)]
    present = [r for r in recalls if r is not None]
    result = {
        "images": seen,
        "accuracy": right / seen,
        "balanced_accuracy": sum(present) / len(present),
        "recall": recalls,
        "confusion": by_emotion,
        "cross_entropy": {"raw_votes": raw_sum / seen, "outlier_free_votes": clean_sum / seen},
        "cross_entropy_floor": {
            "raw_votes": raw_floor / seen,
            "outlier_free_votes": clean_floor / seen,
        },
        "calibration_error": gaps / seen,
    }
    for axis, name in enumerate(("valence", "arousal")):
        t = [target[axis] for target, _ in pairs]
        p = [point[axis] for _, point in pairs]
        mt, mp = sum(t) / seen, sum(p) / seen
        cov = sum((a - mt) * (b - mp) for a, b in zip(t, p, strict=True)) / seen
        vt, vp = sum((a - mt) ** 2 for a in t) / seen, sum((b - mp) ** 2 for b in p) / seen
        squares = [(a - b) ** 2 for a, b in zip(t, p, strict=True)]
        result[name] = {
            "concordance": 2 * cov / (vt + vp + (mt - mp) ** 2),
            "rmse": math.sqrt(sum(squares) / seen),
        }
    return result


def test_every_figure_against_plain_loops(crowd):
    found, expected = scores(*crowd), slow_scores(*crowd)
    assert 200 < found["images"] < 400
    assert 0.5 < found["accuracy"] < 0.99
    found["recall"] = list(found["recall"].values())
    for name, value in expected.items():
        if name == "confusion" or name == "images":
            assert found[name] == value
        elif name == "recall":
            assert found[name] == pytest.approx(value)
        else:
            # The votes' rules give float32 shares.
            assert found[name] == pytest.approx(value, rel=1e-6), name


def test_by_hand():
    votes = votes_of(
        {"happiness": 8, "neutral": 2},  # happiness
        {"sadness": 6, "anger": 3, "fear": 1},  # sadness; fear's single vote is a slip
        {"sadness": 10},
        {"neutral": 5, "anger": 5},  # no majority
    )
    probabilities = probabilities_of(
        {"happiness": 0.7, "neutral": 0.3},
        {"anger": 0.5, "sadness": 0.25, "fear": 0.25},
        {"sadness": 0.9, "neutral": 0.1},
        {"neutral": 1.0},
    )
    found = scores(probabilities, votes)
    assert found["images"] == 3
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["recall"]["happiness"] == 1
    assert found["recall"]["sadness"] == 0.5
    assert found["recall"]["neutral"] is None
    assert found["support"] == {
        "neutral": 0, "happiness": 1, "surprise": 0, "sadness": 2,
        "anger": 0, "disgust": 0, "fear": 0, "contempt": 0,
    }  # fmt: skip
    assert found["confusion"][3] == [0, 0, 0, 1, 1, 0, 0, 0]
    first = -(0.8 * math.log(0.7) + 0.2 * math.log(0.3))
    third = -math.log(0.9)
    raw = -(0.6 * math.log(0.25) + 0.3 * math.log(0.5) + 0.1 * math.log(0.25))
    clean = -(6 / 9 * math.log(0.25) + 3 / 9 * math.log(0.5))
    assert found["cross_entropy"] == pytest.approx(
        {
            "raw_votes": (first + raw + third) / 3,
            "outlier_free_votes": (first + clean + third) / 3,
        }
    )
    # Three bins of one image: happiness at 0.7 has 0.8, anger at 0.5 has 3/9, sadness 0.9 has 1.
    assert found["calibration_error"] == pytest.approx((0.1 + (0.5 - 1 / 3) + 0.1) / 3)
    assert found["valence"] is None
    assert found["arousal"] is None
    assert found["duplicates"] is None
    assert found["without_duplicates"] is None


# Newcombe 1998, Statistics in Medicine 17, table I, method 3, and the ends by hand.
@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_interval_against_published_values(right, total, low, high):
    votes = votes_of({"happiness": 10}).repeat(total, axis=0)
    said = [{"happiness": 1.0}] * right + [{"anger": 1.0}] * (total - right)
    interval = scores(probabilities_of(*said), votes)["accuracy_interval"]
    assert interval == pytest.approx([low, high], abs=5e-5)


def test_a_model_that_says_the_votes(crowd):
    votes = crowd[1]
    votes = votes[ferplus.majority(votes) >= 0]
    found = scores(ferplus.outlier_free(votes), votes, ferplus.valence_arousal(votes))
    assert found["accuracy"] == found["balanced_accuracy"] == 1
    assert found["cross_entropy"]["outlier_free_votes"] == pytest.approx(
        found["cross_entropy_floor"]["outlier_free_votes"]
    )
    assert found["calibration_error"] == pytest.approx(0, abs=1e-7)
    for axis in ("valence", "arousal"):
        assert found[axis] == pytest.approx({"concordance": 1, "rmse": 0}, abs=1e-7)


def test_without_duplicates_is_the_score_of_the_rest(crowd):
    probabilities, votes, points = crowd
    duplicate = np.random.default_rng(1).random(len(votes)) < 0.2
    found = scores(probabilities, votes, points, duplicate)
    rest = scores(probabilities[~duplicate], votes[~duplicate], points[~duplicate])
    assert found["duplicates"] == int((duplicate & (ferplus.majority(votes) >= 0)).sum())
    assert found["without_duplicates"] == {
        name: value for name, value in rest.items() if "duplicates" not in name
    }
    assert found["accuracy"] == scores(probabilities, votes)["accuracy"]
    assert found["without_duplicates"]["accuracy"] != found["accuracy"]
    everything = scores(probabilities, votes, points, np.ones(len(votes), bool))
    assert everything["duplicates"] == everything["images"]
    assert everything["without_duplicates"] is None


def test_json_can_hold_it(crowd):
    probabilities, votes, points = crowd
    found = scores(probabilities, votes, points, np.zeros(len(votes), bool))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_probability_of_0_costs_what_keras_lets_it_cost():
    found = scores(probabilities_of({"anger": 1.0}), votes_of({"happiness": 10}))
    assert found["cross_entropy"]["raw_votes"] == pytest.approx(-math.log(1e-7))


def test_the_first_among_equals_is_predicted():
    half = probabilities_of({"neutral": 0.5, "happiness": 0.5})
    assert scores(half, votes_of({"neutral": 10}))["accuracy"] == 1
    assert scores(half, votes_of({"happiness": 10}))["accuracy"] == 0


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_order_of_images_does_not_matter(random):
    # Probabilities of an int8 file: many images share one and the same.
    generator = np.random.default_rng(random.randrange(2**32))
    steps = generator.multinomial(8, np.full(8, 1 / 8), 60)
    votes = generator.multinomial(10, np.full(10, 1 / 10), 60)
    votes[:, 0] += 11
    points = generator.uniform(-1, 1, (60, 2))
    order = generator.permutation(60)
    found, again = (scores(steps[o] / 8, votes[o], points[o]) for o in (np.arange(60), order))
    for name in ("accuracy", "calibration_error", "cross_entropy", "valence", "confusion"):
        assert again[name] == (
            found[name] if name == "confusion" else pytest.approx(found[name], abs=1e-12)
        )


@pytest.mark.parametrize("constant", [0.1, -0.63])
def test_concordance_of_one_and_the_same_number_is_0(constant):
    votes = votes_of({"sadness": 10}).repeat(7, axis=0)
    target = ferplus.valence_arousal(votes)
    found = scores(probabilities_of({"sadness": 1.0}).repeat(7, axis=0), votes, target)
    assert found["valence"] == {"concordance": 0.0, "rmse": 0.0}
    found = scores(
        probabilities_of({"sadness": 1.0}).repeat(7, axis=0), votes, np.full((7, 2), constant)
    )
    assert found["valence"]["concordance"] == 0


def test_rounded_probabilities_of_int8_are_taken_and_normalised(crowd):
    probabilities, votes, _ = crowd
    steps = np.rint(probabilities * 256).clip(0, 255) / 256
    assert np.abs(steps.sum(axis=1) - 1).max() > 0.003
    assert scores(steps, votes) == scores(steps / steps.sum(axis=1, keepdims=True), votes)


class TestRefused:
    def argument(self, name, match, **changes):
        given = {"probabilities": np.full((3, 8), 1 / 8), "votes": np.full((3, 10), 0)}
        given["votes"][:, 1] = 10
        given |= changes
        with pytest.raises(ValueError, match=rf"argument `{name}`\. Expected .*{match}"):
            scores(**given)

    @pytest.mark.parametrize("shape", [(0, 8), (3, 7), (8,), (3, 8, 1)])
    def test_shapes_of_probabilities(self, shape):
        self.argument(
            "probabilities", r"shape \(images, 8\), with one image or more\. Received: shape",
            probabilities=np.full(shape, 1 / 8),
        )  # fmt: skip

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_not_finite(self, bad):
        probabilities = np.full((3, 8), 1 / 8)
        probabilities[1:, 2] = bad
        self.argument(
            "probabilities", "2 rows with NaN or infinity, the first of them row 1",
            probabilities=probabilities,
        )  # fmt: skip

    @pytest.mark.parametrize("row", [np.full(8, 1.0), np.full(8, 0.12), [1.2, -0.2, *[0] * 6]])
    def test_no_probabilities(self, row):
        probabilities = np.full((3, 8), 1 / 8)
        probabilities[2] = row
        self.argument(
            "probabilities", r"not logits.*1 other rows, the first of them row 2",
            probabilities=probabilities,
        )  # fmt: skip

    def test_votes(self):
        self.argument("votes", r"shape \(3, 10\)", votes=np.ones((4, 10)))
        self.argument("votes", r"shape \(3, 10\)", votes=np.ones((3, 8)))
        self.argument("votes", "NaN", votes=np.full((3, 10), np.nan))
        self.argument("votes", "counts of 0 or more", votes=np.full((3, 10), -1))

    def test_no_majority_anywhere(self):
        self.argument(
            "votes", "more than half of its votes. Received: 3 images", votes=np.ones((3, 10))
        )

    def test_points(self):
        self.argument("valence_arousal", r"shape \(3, 2\)", valence_arousal=np.zeros((3, 1)))
        self.argument("valence_arousal", "row 0", valence_arousal=np.full((3, 2), np.nan))

    @pytest.mark.parametrize("duplicate", [np.zeros(2, bool), np.zeros(3), [0, 1, 0]])
    def test_duplicate(self, duplicate):
        self.argument("duplicate", "3 booleans", duplicate=duplicate)


@pytest.fixture(scope="module")
def valid(ferplus_root):
    return ferplus.read(ferplus_root, "valid")


def test_floors_and_counts_of_the_valid_split(valid):
    """Cross-entropies are means over the 3,199 images of the official rule, and no others."""
    found = scores(np.full((len(valid), 8), 1 / 8), valid.votes)
    assert found["images"] == 3199
    assert found["support"] == {
        "neutral": 1182, "happiness": 865, "surprise": 415, "sadness": 351,
        "anger": 287, "disgust": 24, "fear": 62, "contempt": 13,
    }  # fmt: skip
    floor = found["cross_entropy_floor"]
    assert floor["raw_votes"] == pytest.approx(0.420, abs=5e-4)
    assert floor["outlier_free_votes"] == pytest.approx(0.220, abs=5e-4)
    for of in ("raw_votes", "outlier_free_votes"):
        assert found["cross_entropy"][of] == pytest.approx(math.log(8))
    assert found["accuracy"] == pytest.approx(1182 / 3199)
    assert found["balanced_accuracy"] == pytest.approx(1 / 8)
