/** A clip frame by frame, its state handed on: LiteRT.js in Chromium beside LiteRT in Python. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { type PreviewServer, preview } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import type {} from "./harness.ts";
import { FIXTURES, launch, REPOSITORY } from "./support.ts";

type Clip = Record<string, number[][]>;

const FRAMES = 64;
const SIZE = 48 * 48;
const python = JSON.parse(readFileSync(join(FIXTURES, "stream.json"), "utf-8")) as Record<
  string,
  Clip
>;
/**
 * Runtimes, files, and how far any output or state may be off at any frame. It is not to the bit,
 * as integers are: the LSTM computes in float32. So does an int8 file's first convolution, and
 * where products are rounded before they are summed, as by plain SIMD, a number of it that lies
 * between two steps of int8 now and then becomes the other one.
 */
const CASES = [
  ["litert/", "stream_float32.tflite", 1e-5],
  ["litert/", "stream_int8.tflite", 1e-5],
  ["litert/litert_wasm_compat_internal.js", "stream_float32.tflite", 1e-5],
  ["litert/litert_wasm_compat_internal.js", "stream_int8.tflite", 0.03],
] as const;

let server: PreviewServer;
let browser: Browser;

async function open(runtime: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${server.resolvedUrls?.local[0]}harness.html`);
  await page.waitForFunction(() => window.harness !== undefined);
  await page.evaluate((path) => window.harness.loadRuntime(path), runtime);
  return page;
}

/** All outputs of a file at each frame, in the page. */
function outputs(page: Page, file: string, frames: number[][], forgets = false): Promise<Clip> {
  const content = readFileSync(join(FIXTURES, file), "base64");
  return page.evaluate(
    async ([base64, rows, isReset]) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const model = await window.harness.StreamingModel.load(bytes);
      const found: Record<string, number[][]> = {};
      for (const row of rows) {
        if (isReset) model.reset();
        for (const [name, values] of Object.entries(await model.step(Uint8Array.from(row)))) {
          found[name] ??= [];
          found[name].push(values);
        }
      }
      model.delete();
      return found;
    },
    [content, frames, forgets] as const,
  );
}

function frames(): number[][] {
  const bytes = readFileSync(join(FIXTURES, "stream_frames.bin"));
  expect(bytes.length).toBe(FRAMES * SIZE);
  return Array.from({ length: FRAMES }, (_, i) => [...bytes.subarray(i * SIZE, (i + 1) * SIZE)]);
}

/** The largest distance of two clips' outputs at any frame. */
function distance(one: Clip, other: Clip): number {
  let largest = 0;
  for (const [name, rows] of Object.entries(one)) {
    rows.forEach((row, frame) => {
      row.forEach((value, i) => {
        largest = Math.max(largest, Math.abs(value - (other[name]?.[frame]?.[i] ?? Number.NaN)));
      });
    });
  }
  return largest;
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

test.each(CASES)("%s, %s on 64 frames is within %f of Python", async (runtime, file, tolerance) => {
  const page = await open(runtime);
  const expected = python[file] as Clip;
  const given = frames();
  const found = await outputs(page, file, given);
  expect(Object.keys(found).sort()).toEqual([
    "cell_state",
    "emotion",
    "hidden_state",
    "valence_arousal",
  ]);
  for (const [name, rows] of Object.entries(expected)) {
    expect(found[name]).toHaveLength(FRAMES);
    // A model that answers always the same would agree with itself anywhere.
    expect(new Set(rows.map(String)).size).toBeGreaterThan(FRAMES / 2);
  }
  expect(distance(expected, found)).toBeLessThan(tolerance);
  // Negative controls: a state that is forgotten, and two frames that changed places.
  expect(distance(expected, await outputs(page, file, given, true))).toBeGreaterThan(5 * tolerance);
  const swapped = [given[63] as number[], ...given.slice(1, 63), given[0] as number[]];
  expect(distance(expected, await outputs(page, file, swapped))).toBeGreaterThan(5 * tolerance);
  await page.close();
});
