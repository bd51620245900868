/** LiteRT.js in Chromium gives what LiteRT gives in Python, to the bit; so do the steps before. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { type PreviewServer, preview } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type {} from "./harness.ts";
import { FIXTURES, launch, REPOSITORY, reference } from "./support.ts";

const IMAGES = 64;
const SIZE = 48 * 48;
const python = reference();
const files = Object.keys(python.outputs);
/** Relaxed SIMD, which Chromium takes by itself, and plain SIMD, which other browsers do. */
const RUNTIMES = ["litert/", "litert/litert_wasm_compat_internal.js"];

let server: PreviewServer;
let browser: Browser;

async function open(runtime: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${server.resolvedUrls?.local[0]}harness.html`);
  await page.waitForFunction(() => window.harness !== undefined);
  await page.evaluate((path) => window.harness.loadRuntime(path), runtime);
  return page;
}

/** The raw outputs of a shipped file on images, in the page. */
function outputs(page: Page, file: string, images: number[][]) {
  return page.evaluate(
    async ([name, rows]) => {
      const { AffectModel, modelContent, modelEntries } = window.harness;
      const entry = (await modelEntries()).find((one) => one.file === name);
      if (entry === undefined) throw new Error(`${name} is not in models.json`);
      const model = await AffectModel.load(await modelContent(entry));
      const found: Record<string, number[][]> = {};
      for (const row of rows) {
        const { raw } = await model.run(Uint8Array.from(row));
        for (const [key, values] of raw) {
          found[key] ??= [];
          found[key].push([...values]);
        }
      }
      return found;
    },
    [file, images] as const,
  );
}

function images(): number[][] {
  const bytes = readFileSync(join(FIXTURES, "images.bin"));
  expect(bytes.length).toBe(IMAGES * SIZE);
  return Array.from({ length: IMAGES }, (_, i) => [...bytes.subarray(i * SIZE, (i + 1) * SIZE)]);
}

/** A picture's RGBA in the page, without the page's own reduction of large ones. */
async function pixels(page: Page, name: string): Promise<void> {
  const url = `data:image/png;base64,${readFileSync(join(FIXTURES, `${name}.png`), "base64")}`;
  await page.evaluate(async (source) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("no canvas");
    context.drawImage(image, 0, 0);
    const { data, width, height } = context.getImageData(0, 0, image.width, image.height);
    (window as unknown as { picture: unknown }).picture = { data, width, height, channels: 4 };
  }, url);
}

beforeAll(async () => {
  const outDir = join(REPOSITORY, "build", "web_harness");
  server = await preview({ build: { outDir }, preview: { port: 0 }, mode: "harness" });
  browser = await launch();
}, 60_000);
afterAll(async () => {
  await browser?.close();
  await server?.close();
});

describe.each(RUNTIMES)("%s", (runtime) => {
  test.each(files)("%s on 64 images is what Python gives, to the bit", async (file) => {
    const page = await open(runtime);
    const expected = python.outputs[file] as Record<string, number[][]>;
    expect(Object.keys(expected)).toContain("valence_arousal");
    const given = images();
    const found = await outputs(page, file, given);
    expect(found).toEqual(expected);
    for (const rows of Object.values(found)) {
      expect(rows).toHaveLength(IMAGES);
      // A model that answers always the same would agree with itself anywhere.
      expect(new Set(rows.map(String)).size).toBeGreaterThan(IMAGES / 2);
    }
    // Negative controls: another order, and images of which one pixel in three is off by a few.
    const shifted = await outputs(page, file, [...given.slice(1), given[0] as number[]]);
    expect(shifted).not.toEqual(expected);
    const touched = given.map((row) => row.map((value, i) => (i % 3 ? value : value ^ 8)));
    expect(await outputs(page, file, touched)).not.toEqual(expected);
    await page.close();
  });

  test.each(["face", "two", "nobody"] as const)("faces in %s.png are Python's", async (name) => {
    const page = await open(runtime);
    await pixels(page, name);
    const found = await page.evaluate(async () => {
      const { FaceDetector, cropSquare, fetched, modelInput } = window.harness;
      const content = await fetched("face_detector/face_detection_short_range.tflite");
      const detector = await FaceDetector.load(content);
      const { picture } = window as unknown as { picture: Parameters<typeof modelInput>[0] };
      const faces = await detector.find(picture);
      const crops = faces.map((face) => [...modelInput(picture, cropSquare(face), 48, 48, 1)]);
      return { faces, crops };
    });
    const expected = python.faces[name];
    expect(found.faces).toHaveLength(expected.length);
    expect(expected).toHaveLength({ face: 1, two: 2, nobody: 0 }[name]);
    expected.forEach(([score, x, y, width, height], i) => {
      const face = found.faces[i];
      // Pillow and the page round the reduced picture's pixels by one now and then.
      expect(face?.score).toBeCloseTo(score, 1);
      for (const [is, should] of [
        [face?.x, x],
        [face?.y, y],
        [face?.width, width],
        [face?.height, height],
      ]) {
        expect(Math.abs((is as number) - (should as number))).toBeLessThan(0.02 * width);
      }
    });
    found.crops.forEach((crop, i) => {
      const should = python.crops[name][i] as number[];
      const off = crop.map((value, at) => Math.abs(value - (should[at] as number)));
      // Same square to a pixel: its rounded side may differ by one where the box hardly does.
      expect(off.reduce((sum, one) => sum + one, 0) / off.length).toBeLessThan(4);
      expect(new Set(crop).size).toBeGreaterThan(32);
    });
    await page.close();
  });
});
