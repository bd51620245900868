import { expect, test } from "vitest";
import {
  anchors,
  decoded,
  letterboxed,
  merged,
  overlap,
  SIDE,
} from "../../src/short_range_faces.ts";

const box = (x: number, width: number, score: number) => ({ x, y: 50, width, height: 50, score });

test("896 anchors: two a cell of 16x16, then six a cell of 8x8", () => {
  const points = anchors();
  expect(points).toHaveLength(2 * 896);
  expect([...points.subarray(0, 6)]).toEqual([0, 0, 0, 0, 1, 0].map((cell) => (cell + 0.5) / 16));
  expect([...points.subarray(2 * 512, 2 * 512 + 2)]).toEqual([1 / 16, 1 / 16]);
  expect([...points.slice(-2)]).toEqual([15 / 16, 15 / 16]);
});

test("a wide picture stands in the middle, black above and below", () => {
  const white = {
    data: new Uint8Array(4 * 200 * 100).fill(255),
    width: 200,
    height: 100,
    channels: 4,
  };
  const input = letterboxed(white);
  const row = (y: number) => new Set(input.slice(y * SIDE * 3, (y + 1) * SIDE * 3));
  expect([row(31), row(32), row(95), row(96)].map((set) => [...set])).toEqual([
    [-1],
    [1],
    [1],
    [-1],
  ]);
});

test("a candidate becomes a box in the picture's own pixels", () => {
  const coordinates = new Float32Array(896 * 16);
  const scores = new Float32Array(896).fill(-10);
  scores[0] = 3;
  // From the first anchor, at 1/32 of the square: to its middle, a quarter of it wide.
  coordinates.set([60, 60, 32, 32]);
  const [face, ...others] = decoded(coordinates, scores, 200, 100);
  expect(others).toEqual([]);
  expect(face?.x).toBeCloseTo(100);
  expect(face?.y).toBeCloseTo(50);
  expect(face?.width).toBeCloseTo(50);
  expect(face?.score).toBeCloseTo(1 / (1 + Math.exp(-3)));
  scores[0] = -0.01;
  expect(decoded(coordinates, scores, 200, 100)).toEqual([]);
});

test("overlapping boxes become their mean by score; others stay", () => {
  const faces = merged([box(54, 50, 0.6), box(50, 50, 0.9), box(200, 40, 0.7)]);
  expect(faces.map((face) => face.score)).toEqual([0.9, 0.7]);
  expect(faces[0]?.x).toBeCloseTo((54 * 0.6 + 50 * 0.9) / 1.5);
  expect(faces[1]).toMatchObject({ x: 200, width: 40 });
});

test("an empty box ends the merging too", () => {
  expect(merged([box(50, 0, 0.9)])).toHaveLength(1);
});

test("overlap is intersection over union", () => {
  expect(overlap(box(50, 50, 1), box(50, 50, 1))).toBeCloseTo(1);
  expect(overlap(box(50, 50, 1), box(75, 50, 1))).toBeCloseTo(1 / 3);
  expect(overlap(box(50, 50, 1), box(200, 50, 1))).toBe(0);
});
