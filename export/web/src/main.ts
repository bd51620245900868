/** The page: what its buttons do, and how a picture becomes what is shown. */

import { Announcements } from "./announcements.ts";
import { AffectModel, FaceDetector, loadRuntime } from "./litert.ts";
import { fetched, LoadError, type ModelEntry, modelContent, modelEntries } from "./models.ts";
import { type Read, read } from "./reader.ts";
import { Session } from "./session.ts";
import { Smoothing } from "./smoothing.ts";
import { closeCamera, frameOf, openCamera, readPicture, SourceError } from "./sources.ts";
import { Stage } from "./stage.ts";
import { Bars, Circle, clearCrop, element, indexOfLargest, showCrop } from "./views.ts";

const cameraButton = element<HTMLButtonElement>("camera");
const chooseButton = element<HTMLButtonElement>("choose");
const fileInput = element<HTMLInputElement>("file");
const modelSelect = element<HTMLSelectElement>("model");
const downloadButton = element<HTMLButtonElement>("download");
const frame = element("frame");
const facesGroup = element("faces");
const cropCanvas = element<HTMLCanvasElement>("crop");
const stage = new Stage(element<HTMLCanvasElement>("view"), element("invitation"));
const bars = new Bars(element("bars"));
const circle = new Circle(element<SVGSVGElement>("circle"), element("figures"));
const session = new Session();
const sessionStart = performance.now();
const announcements = new Announcements((text) => {
  element("announcer").textContent = text;
});

/** A face's answers jump from frame to frame more than faces do. */
const SMOOTHING_SECONDS = 0.25;
const steadyEmotion = new Smoothing(SMOOTHING_SECONDS);
const steadyValenceArousal = new Smoothing(SMOOTHING_SECONDS);
/** Where a reader asked for less motion, what is shown changes this often at most. */
const CALM_SECONDS = 0.5;
const lessMotion = matchMedia("(prefers-reduced-motion: reduce)");

let entries: readonly ModelEntry[] = [];
let entry: ModelEntry | undefined;
let model: AffectModel | undefined;
let detector: FaceDetector | undefined;
let video: HTMLVideoElement | undefined;
let picture: ImageData | undefined;
/** Counts the reader's deeds: what an earlier one started must not show itself after a later one. */
let turn = 0;
/** The same for models: the last chosen one reads, not the last to arrive. */
let modelTurn = 0;
/** Which of the picture's faces the reader chose; undefined for the largest. */
let chosenFace: number | undefined;
let shownAt = Number.NEGATIVE_INFINITY;
let lastFrameAt: number | undefined;
let rate = 0;

const seconds = () => (performance.now() - sessionStart) / 1000;

function setStatus(text: string): void {
  const status = element("status");
  if (status.textContent !== text) status.textContent = text;
}

function setProblem(error: unknown): void {
  const problem = element("problem");
  problem.hidden = error === undefined;
  const isKnown = error instanceof SourceError || error instanceof LoadError;
  const text = error instanceof Error ? error.message : String(error);
  problem.textContent = error === undefined ? "" : isKnown ? text : `Something failed: ${text}`;
}

/** Until something was read, and again when there is no face: no figure stands on the page. */
function showNothing(headline: string): void {
  element("reading").dataset.state = "empty";
  element("emotion").textContent = headline;
  bars.clear();
  circle.clear();
  clearCrop(cropCanvas);
  steadyEmotion.reset();
  steadyValenceArousal.reset();
}

function showReading(result: Read, source: "camera" | "picture"): void {
  const { face } = result;
  element("face-time").textContent = `${result.faceMilliseconds.toFixed(1)} ms`;
  if (face === undefined || model === undefined || entry === undefined) {
    showNothing("no face");
    const hint =
      source === "camera"
        ? "Look at the camera, and come closer."
        : "Small faces, and those that look aside, are often missed.";
    setStatus(`No face found. ${hint}`);
    announcements.offer("No face found.", seconds());
    return;
  }
  const { outputs, box, input } = face;
  const at = seconds();
  const { classes } = entry;
  const kept = session.add({
    seconds: at,
    source,
    model: `${entry.model} ${entry.name}`,
    face: box,
    probabilities: new Map(classes.map((name, i) => [name, outputs.probabilities[i] ?? 0])),
    valence: outputs.valence,
    arousal: outputs.arousal,
  });
  element("kept").textContent = `${session.size.toLocaleString("en")}${kept ? "" : " (full)"}`;
  downloadButton.disabled = false;
  const emotion = steadyEmotion.next(outputs.probabilities, at);
  const top = classes[indexOfLargest(emotion)] ?? "";
  announcements.offer(`Looks like ${top}.`, at);
  const count = result.faces.length;
  const which = source === "camera" ? "the largest is read." : "choose which is read.";
  setStatus(count === 1 ? "One face." : `${count} faces; ${which}`);
  const hasPoint = outputs.valence !== undefined && outputs.arousal !== undefined;
  const point = hasPoint
    ? steadyValenceArousal.next([outputs.valence as number, outputs.arousal as number], at)
    : undefined;
  if (source === "camera" && lessMotion.matches && at - shownAt < CALM_SECONDS) return;
  shownAt = at;
  element("reading").dataset.state = "read";
  element("emotion").textContent = top;
  element("model-time").textContent = `${result.modelMilliseconds.toFixed(1)} ms`;
  bars.show(emotion);
  showCrop(cropCanvas, input, model.width, model.height, model.channels);
  if (point === undefined) circle.clear("this model gives none");
  else circle.show(point[0] as number, point[1] as number);
}

/** Whether it reads from now on: not where another was chosen meanwhile. */
async function loadModel(chosen: ModelEntry): Promise<boolean> {
  const mine = ++modelTurn;
  let loaded: AffectModel;
  try {
    loaded = await AffectModel.load(await modelContent(chosen));
  } catch (error) {
    if (mine !== modelTurn) return false;
    // The one before it reads on.
    if (entry !== undefined) modelSelect.selectedIndex = entries.indexOf(entry);
    throw error;
  }
  if (mine !== modelTurn) {
    loaded.delete();
    return false;
  }
  model?.delete();
  model = loaded;
  entry = chosen;
  bars.setClasses(chosen.classes);
  const share = (100 * chosen.accuracy).toFixed(1);
  element("about").textContent =
    `${Math.round(chosen.size / 1000)} kB. Right for ${share} % of ${chosen.images.toLocaleString("en")} ` +
    "pictures of FER+ valid, whose emotion people had named by majority.";
  showNothing("–");
  return true;
}

async function load(): Promise<void> {
  const runtime = loadRuntime("litert/").catch((error: unknown) => {
    throw new LoadError(`LiteRT can't run in this browser: ${String(error)}`);
  });
  entries = await modelEntries();
  modelSelect.replaceChildren(
    ...entries.map((one, i) => new Option(`${one.model} ${one.name}, ${kindOf(one)}`, String(i))),
  );
  // As in Python: the newest "ferplus", whatever else ships.
  const isUsual = (one: ModelEntry) =>
    one.model === "LightweightCNN" && /^ferplus_v\d+$/.test(one.name);
  const usual = entries.map(isUsual).lastIndexOf(true);
  modelSelect.selectedIndex = usual;
  await runtime;
  const first = entries[usual];
  if (first === undefined) throw new LoadError("This page was built without a model.");
  await loadModel(first);
  detector = await FaceDetector.load(
    await fetched("face_detector/face_detection_short_range.tflite"),
  );
  modelSelect.disabled = entries.length < 2;
  setStatus("Ready.");
}

function kindOf(one: ModelEntry): string {
  return /_(int8|int4|float16|float32|dynamic_range)\.tflite$/.exec(one.file)?.[1] ?? "tflite";
}

/** Read the chosen picture once more, as after another face or model was chosen. */
async function readAgain(): Promise<void> {
  if (picture === undefined || detector === undefined || model === undefined) return;
  const mine = turn;
  const chosen = chosenFace;
  const result = await read(picture, detector, model, chosen);
  if (mine !== turn || chosen !== chosenFace) return;
  stage.show(picture, result.faces, result.face?.box, false);
  steadyEmotion.reset();
  steadyValenceArousal.reset();
  circle.clear();
  showReading(result, "picture");
  showFaceChoice(result, chosen ?? 0);
  const what = element("emotion").textContent ?? "";
  announcements.now(result.face ? `Looks like ${what}.` : "No face found.", seconds());
}

function showFaceChoice(result: Read, chosen: number): void {
  facesGroup.hidden = result.faces.length < 2;
  if (facesGroup.hidden) {
    facesGroup.replaceChildren();
    return;
  }
  if (facesGroup.childElementCount !== result.faces.length) {
    facesGroup.replaceChildren(
      ...result.faces.map((_, i) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `Face ${i + 1}`;
        button.addEventListener("click", () => {
          chosenFace = i;
          void guarded(readAgain);
        });
        return button;
      }),
    );
  }
  [...facesGroup.children].forEach((button, i) => {
    button.setAttribute("aria-pressed", String(i === chosen));
  });
}

async function openPicture(file: File): Promise<void> {
  stopCamera();
  const mine = ++turn;
  setStatus("Reading the picture …");
  try {
    const pixels = await readPicture(file);
    await ready;
    if (mine !== turn) return;
    picture = pixels;
    chosenFace = undefined;
    facesGroup.replaceChildren();
    await readAgain();
  } catch (error) {
    if (mine === turn) setStatus("");
    throw error;
  }
}

async function startCamera(): Promise<void> {
  const mine = ++turn;
  let opened: HTMLVideoElement;
  try {
    setStatus("Loading the models …");
    await ready; // before the camera is on, which it must not be for nothing
    if (mine !== turn) return;
    setStatus("Waiting for the camera …");
    opened = await openCamera();
  } catch (error) {
    if (mine === turn) setStatus("");
    throw error;
  }
  if (mine !== turn) {
    closeCamera(opened);
    return;
  }
  picture = undefined;
  facesGroup.hidden = true;
  video = opened;
  cameraButton.textContent = "Stop camera";
  // Else a reader of screens would hear each frame's; `announcements` says what counts.
  element("status").setAttribute("aria-live", "off");
  showNothing("–");
  const [track] = (opened.srcObject as MediaStream).getVideoTracks();
  track?.addEventListener("ended", () => {
    if (video !== opened) return;
    stopCamera();
    setProblem(
      new SourceError("The camera stopped: it was unplugged, or taken by another program."),
    );
  });
  lastFrameAt = undefined;
  nextFrame(opened);
}

function nextFrame(source: HTMLVideoElement): void {
  const go = () => void guarded(() => readFrame(source));
  // Once a frame of the camera, not of the screen, where the browser can say when.
  if ("requestVideoFrameCallback" in source) source.requestVideoFrameCallback(go);
  else requestAnimationFrame(go);
}

async function readFrame(source: HTMLVideoElement): Promise<void> {
  if (video !== source || detector === undefined || model === undefined) return;
  const image = frameOf(source, source.videoWidth, source.videoHeight);
  const result = await read(image, detector, model);
  if (video !== source) return;
  stage.show(image, result.faces, result.face?.box, true);
  showReading(result, "camera");
  const now = performance.now();
  if (lastFrameAt !== undefined) {
    const current = 1000 / Math.max(1, now - lastFrameAt);
    rate = rate === 0 ? current : rate + 0.1 * (current - rate);
    element("rate").textContent = rate.toFixed(0);
  }
  lastFrameAt = now;
  nextFrame(source);
}

function stopCamera(): void {
  if (video === undefined) return;
  turn++;
  closeCamera(video);
  video = undefined;
  rate = 0;
  cameraButton.textContent = "Start camera";
  element("status").removeAttribute("aria-live");
  element("rate").textContent = "–";
  stage.clear();
  showNothing("–");
  setStatus("The camera is off.");
}

/** Run what a reader asked for, and say on the page what went wrong. */
async function guarded(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    setProblem(error);
    if (!(error instanceof SourceError || error instanceof LoadError)) console.error(error);
  }
}

function asked(work: () => Promise<void>): void {
  setProblem(undefined);
  void guarded(work);
}

cameraButton.addEventListener("click", () => {
  if (video === undefined) asked(startCamera);
  else stopCamera();
});
chooseButton.addEventListener("click", () => fileInput.click());
fileInput.addEventListener("change", () => {
  const file = fileInput.files?.[0];
  if (file !== undefined) asked(() => openPicture(file));
  // So that choosing the same file again is a change.
  fileInput.value = "";
});
modelSelect.addEventListener("change", () => {
  const chosen = entries[modelSelect.selectedIndex];
  if (chosen !== undefined) {
    asked(async () => {
      if (await loadModel(chosen)) await readAgain();
    });
  }
});
downloadButton.addEventListener("click", () => {
  const link = document.createElement("a");
  const url = URL.createObjectURL(new Blob([session.csv()], { type: "text/csv" }));
  link.href = url;
  link.download = "keras_affect_session.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
});
// The whole page takes a drop: missing the frame would open the picture in place of the page.
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    frame.classList.add("is-dropping");
  });
}
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) frame.classList.remove("is-dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  frame.classList.remove("is-dropping");
  const file = event.dataTransfer?.files[0];
  if (file === undefined) asked(() => Promise.reject(new SourceError("That was no file.")));
  else asked(() => openPicture(file));
});

const ready = load();
ready.catch((error: unknown) => {
  setStatus("");
  setProblem(error);
});
