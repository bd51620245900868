"""The demonstration's report page: one HTML file that names the pictures beside it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

from keras_affect import emotions
from keras_affect.export.metadata import LIMITS_OF_FERPLUS

__all__ = ["LIMIT_OF_DRAWINGS", "NAME", "PICTURES", "write_page"]

#: The page's file name.
NAME = "index.html"

#: What a model that was trained on drawings cannot know; it goes into the exported file too.
LIMIT_OF_DRAWINGS = (
    "Trained on drawings that keras_affect made. It knows drawings and has never seen a person: "
    "it is a demonstration, of no use on photographs."
)

#: What the page shows, and the file names it looks for.
PICTURES: Mapping[str, str] = {
    "faces": "faces.png",
    "curves": "curves.png",
    "circumplex": "circumplex.png",
    "photograph": "photograph.png",
}

_TEMPLATE = Path(__file__).with_name("page.html")

# What the page says of each source of faces.
_WORDS = {
    "drawings": {
        "kind": "drawings",
        "held_out": "held-out drawings",
        "faces": (
            "These faces are <strong>drawings</strong>, made by "
            "<code>keras_affect.datasets.synthetic</code>: parameters for head, hair, light and "
            "pose, and for each emotion the facial action units that the Facial Action Coding "
            "System lists for it. Valence and arousal are the intensity drawn times the "
            "emotion's point on the circumplex: a definition, nobody's rating. They make a whole "
            "training run possible in minutes and with no download. A model trained on drawings "
            "knows drawings."
        ),
        "next": (
            "# the trained weights on a photograph of yours\n"
            "keras-affect predict PHOTO.jpg\n\n"
            "# this demo on real faces\n"
            "keras-affect demo --data PATH/TO/FERPLUS\n\n"
            "# the whole training\n"
            "keras-affect train --data PATH/TO/FERPLUS --out runs/first"
        ),
    },
    "ferplus": {
        "kind": "FER+ faces",
        "held_out": "faces of FER+ valid (those whose majority the official rule keeps)",
        "faces": (
            "These faces are those of FER+: 48x48 gray pictures found on the web, each with ten "
            "people's votes. Valence and arousal come from the votes through the circumplex "
            "table; nobody rated them. The pictures may be used for research and "
            "<strong>not passed on</strong>: keep this folder to yourself."
        ),
        "next": (
            "# the trained weights on a photograph of yours\n"
            "keras-affect predict PHOTO.jpg\n\n"
            "# the whole training, for better scores\n"
            "keras-affect train --data PATH/TO/FERPLUS --out runs/first"
        ),
    },
}


def write_page(facts: Mapping[str, Any], folder: Path) -> None:
    """Write ``index.html`` into the folder that holds the pictures.

    Args:
        facts: As in `demo.run.Demo`.
        folder: Where to write.
    """
    faces, training, exported = facts["faces"], facts["training"], facts["export"]
    words = _WORDS[faces["source"]]
    child = facts["without_tensorflow"]
    minutes = facts["seconds"] / 60
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        {f"picture_{key}": name for key, name in PICTURES.items()},
        lead=(
            f"It trained a small network on {faces['train']:,} {words['kind']}, scored it on "
            f"{faces['held_out']:,} others, exported it to 8-bit integers, ran that file without "
            "TensorFlow, and read a real photograph with the trained weights that ship in the "
            "package."
        ),
        made=html.escape(
            f"{facts['made_by']}, in {minutes:.1f} minutes; Python "
            f"{facts['versions']['python']}, Keras {facts['versions']['keras']}."
        ),
        faces=f"<p>{words['faces']}</p>",
        faces_alt=(
            f"Sixteen {words['kind']}, two of each emotion, each with the emotion that the model "
            "gave it, its probability, and whether that is right."
        ),
        faces_caption=(
            "The first two held-out faces of each emotion, not chosen by how well they were "
            f"read; in the order {', '.join(emotions.NAMES)}. Below each stand the model's answer "
            "and its probability."
        ),
        training=(
            f"<code>{html.escape(training['model'])}(weights=None, width={training['width']:g})"
            f"</code>, {training['parameters']:,} parameters, plain <code>model.fit</code>: "
            f"{training['epochs']} epochs in {training['seconds']:.0f} seconds."
        ),
        exported=(
            f'<a href="{html.escape(exported["path"])}">{html.escape(exported["path"])}</a> has '
            f"{exported['size']:,} bytes and takes and gives bytes. A second process ran it with "
            "NumPy and LiteRT; it had loaded neither TensorFlow nor Keras by its end, which was "
            f"checked. One face took {child['milliseconds']:.2f} ms there."
        ),
        scores_caption=f"Eight emotions, on {faces['held_out']:,} {words['held_out']}",
        scores_rows=_score_rows(facts["scores"]),
        agreement=(
            f"Both give the same emotion for {child['same_emotion']:.1%} of the faces. Their "
            f"probabilities differ by at most {child['largest_difference']['emotion']:.2f}, "
            f"valence and arousal by at most {child['largest_difference']['valence_arousal']:.2f}."
        ),
        circumplex_alt=(
            "Two plots of valence against arousal, targets on the left and predictions on the "
            "right: one point a held-out face, coloured by emotion, and a large one at each "
            "emotion's mean."
        ),
        circumplex_caption=(
            "Valence (left unpleasant, right pleasant) and arousal (below calm, above excited) of "
            "the held-out faces: targets and the Keras model's predictions. The CCC above is "
            "Lin's concordance correlation: 1 where prediction equals target, 0 where they don't "
            "move together."
        ),
        photograph=_photograph(facts["photograph"]),
        limits=_limits(faces["source"]),
        next=words["next"],
    )
    (folder / NAME).write_text(text, encoding="utf-8")


def _limits(source: str) -> str:
    limits = [f"The weights that ship: {limit}" for limit in LIMITS_OF_FERPLUS]
    if source == "drawings":
        limits.insert(0, f"The model trained here: {LIMIT_OF_DRAWINGS}")
    return "\n".join(f"<li>{html.escape(limit)}</li>" for limit in limits)


def _row(heading: str, cells: Iterable[str]) -> str:
    numbers = "".join(f'<td class="number">{html.escape(cell)}</td>' for cell in cells)
    return f'<tr><th scope="row">{html.escape(heading)}</th>{numbers}</tr>'


def _score_rows(scores: Mapping[str, Mapping[str, float]]) -> str:
    both = (scores["keras"], scores["int8"])
    return "\n".join(
        [
            _row("Accuracy", (f"{of['accuracy']:.1%}" for of in both)),
            _row("CCC of valence", (f"{of['ccc_valence']:.3f}" for of in both)),
            _row("CCC of arousal", (f"{of['ccc_arousal']:.3f}" for of in both)),
        ]
    )


def _photograph(found: Mapping[str, Any]) -> str:
    if not found["faces"]:
        said, table = "no face was found", ""
    else:
        face = found["faces"][0]
        said = f"a box, labelled {face['emotion']} {face['probability']:.0%}"
        ranked = sorted(face["probabilities"].items(), key=lambda item: -item[1])
        rows = "\n".join(_row(name, (f"{share:.1%}",)) for name, share in ranked)
        table = (
            '<div class="table"><table><caption>What the trained model reads in this face: '
            f"valence {face['valence']:+.2f}, arousal {face['arousal']:+.2f}, each in [-1, 1]"
            '</caption><thead><tr><th scope="col">Emotion</th>'
            '<th scope="col" class="number">Probability</th></tr></thead>'
            f"<tbody>\n{rows}\n</tbody></table></div>"
        )
    note = f"<p>{html.escape(found['note'])}</p>" if found["note"] else ""
    return (
        note + "<p>Read by the trained weights that ship in the package "
        f"({html.escape(found['weights'])}), not by the model above.</p>"
        f'<figure class="portrait"><img src="{PICTURES["photograph"]}" alt="Portrait of Grace '
        f'Hopper in naval uniform before a flag; {html.escape(said)}.">'
        "<figcaption>Rear Admiral Grace Hopper. Photograph of the United States Navy, public "
        "domain, as matplotlib ships it.</figcaption></figure>" + table
    )
