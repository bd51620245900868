/**
 * Fill public/ with what the page loads and nobody here wrote, and with the models that ship:
 *
 *   litert/           LiteRT.js's WebAssembly, from its package
 *   face_detector/    MediaPipe's short-range model, from tools/fetch_face_detector.py
 *   models/           the .tflite files of keras_affect/weights, and models.json of its catalog
 *   licences/         the licence of each
 *
 * Run by `npm run build`. All of public/ is made here, so it is emptied first.
 */

import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = join(dirname(fileURLToPath(import.meta.url)), "..");
const repository = join(here, "..", "..");
const weights = join(repository, "keras_affect", "weights");
const detector = join(repository, "build", "face_detector");
const target = join(here, "public");

const copy = (from, ...to) => {
  const path = join(target, ...to);
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(from, path);
};
const json = (path) => JSON.parse(readFileSync(path, "utf-8"));

rmSync(target, { recursive: true, force: true });

// One thread: with more, a browser asks for headers that few static hosts can send.
for (const name of ["litert_wasm_internal", "litert_wasm_compat_internal"]) {
  for (const kind of ["js", "wasm"]) {
    const file = `${name}.${kind}`;
    copy(join(here, "node_modules", "@litertjs", "core", "wasm", file), "litert", file);
  }
}

const faces = "face_detection_short_range.tflite";
try {
  copy(join(detector, faces), "face_detector", faces);
  copy(join(detector, "LICENSE"), "licences", "mediapipe.txt");
} catch (error) {
  console.error(`${error.message}\nmake web fetches the face detector before it builds.`);
  process.exit(2);
}

const shipped = json(join(weights, "catalog.json")).filter((entry) => entry.kind === "litert");
mkdirSync(join(target, "models"), { recursive: true });
for (const entry of shipped) copy(join(weights, entry.file), "models", entry.file);
const models = shipped.map(
  ({ model, name, file, size, sha256, config, scores, data, licence }) => ({
    model,
    name,
    file,
    size,
    sha256,
    classes: config.classes,
    accuracy: scores.accuracy,
    images: scores.images,
    data,
    licence,
  }),
);
writeFileSync(join(target, "models", "models.json"), `${JSON.stringify(models, null, 2)}\n`);

copy(join(repository, "LICENSE"), "licences", "apache-2.0.txt");
const versions = ["@litertjs/core", "@litertjs/wasm-utils"].map((name) => {
  const { version, license } = json(join(here, "node_modules", name, "package.json"));
  return `${name} ${version}, ${license} (apache-2.0.txt): https://www.npmjs.com/package/${name}`;
});
writeFileSync(
  join(target, "licences", "index.txt"),
  `What this page is made of, and the licence of each:

keras_affect, with its models, Apache-2.0 (apache-2.0.txt)
${versions.join("\n")}
  WebAssembly in litert/, script in assets/. Copyright Google LLC.
MediaPipe 0.10.21, Apache-2.0 (mediapipe.txt): https://pypi.org/project/mediapipe/0.10.21/
  face_detector/${faces}. Copyright The MediaPipe Authors.
`,
);
