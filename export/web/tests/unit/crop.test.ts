import { expect, test } from "vitest";
import { CROP_RISE, CROP_SCALE, cropSquare, largest, modelInput } from "../../src/crop.ts";

const face = { x: 100, y: 80, width: 50, height: 50, score: 0.9 };

test("a crop stands around its face as the training pictures did", () => {
  const { left, top, side } = cropSquare(face);
  expect(side).toBe(Math.round(50 * CROP_SCALE));
  expect(Math.abs(left + side / 2 - 100)).toBeLessThanOrEqual(0.5);
  expect(Math.abs(top + side / 2 - (80 - CROP_RISE * 50))).toBeLessThanOrEqual(0.5);
  expect(top + side / 2).toBeLessThan(80);
});

test("a crop goes with its face's place and size", () => {
  const far = cropSquare({ ...face, x: 130, y: 70 });
  const near = cropSquare(face);
  expect([far.left - near.left, far.top - near.top]).toEqual([30, -10]);
  expect(cropSquare({ ...face, width: 100, height: 100 }).side).toBe(2 * near.side);
});

test("the largest face is the one that is read first", () => {
  const small = { ...face, width: 20 };
  const big = { ...face, width: 90 };
  expect(largest([small, big, face])).toBe(big);
  expect(largest([])).toBeUndefined();
});

test("a model's input is gray or RGB of its size", () => {
  const red = { data: new Uint8Array(64).fill(0), width: 4, height: 4, channels: 4 };
  for (let i = 0; i < 16; i++) red.data.set([255, 0, 0, 255], 4 * i);
  const square = { left: 0, top: 0, side: 4 };
  // ITU-R 601: 0.299 of red.
  expect([...modelInput(red, square, 2, 2, 1)]).toEqual([76, 76, 76, 76]);
  expect([...modelInput(red, square, 1, 1, 3)]).toEqual([255, 0, 0]);
});
