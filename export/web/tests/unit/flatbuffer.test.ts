import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { outputQuantization } from "../../src/flatbuffer.ts";

const weights = join(import.meta.dirname, "..", "..", "..", "..", "keras_affect", "weights");
const files = readdirSync(weights).filter((name) => name.endsWith("_int8.tflite"));

test("models ship", () => expect(files).toContain("lightweight_cnn_ferplus_v1_int8.tflite"));

test.each(files)("%s: probabilities in steps of 1/256, valence and arousal of 1/128", (file) => {
  // What LiteRT's converter gives softmax and tanh, whatever they were calibrated on.
  expect(Object.fromEntries(outputQuantization(readFileSync(join(weights, file))))).toEqual({
    emotion: { scale: 1 / 256, zeroPoint: 0 },
    valence_arousal: { scale: 1 / 128, zeroPoint: 128 },
  });
});

test("what is no .tflite is refused", () => {
  expect(() => outputQuantization(new Uint8Array(64))).toThrow("not a .tflite");
  expect(() => outputQuantization(new Uint8Array(3))).toThrow("not a .tflite");
});
