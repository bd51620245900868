/**
 * Faces by MediaPipe's short-range model, run by LiteRT.js like the other models.
 *
 * Not by `@mediapipe/tasks-vision`: that package posts metrics of its use to its maker once a
 * minute and has no switch for it, and on this page nothing leaves the device. What is written out
 * here instead is the arithmetic around the model: anchors, boxes, and one box for overlapping ones
 * (Bazarevsky et al. 2019, BlazeFace, https://arxiv.org/abs/1907.05047, and MediaPipe's graph
 * `face_detection_short_range`). `tests/edge` compares it with the same in Python.
 */

import type { FaceBox } from "./crop.ts";
import { type Pixels, resized } from "./pixels.ts";

/** The model reads this many pixels a side, in [-1, 1]. */
export const SIDE = 128;
const COORDINATES = 16;
const LEAST_SCORE = 0.5;
const LEAST_OVERLAP = 0.3;
/** [cells a side, anchors a cell] of the model's two grids: 896 anchors. */
const GRIDS = [
  [16, 2],
  [8, 6],
] as const;

/** (x, y) of each anchor in [0, 1], one after the other. */
export function anchors(): Float64Array {
  const points: number[] = [];
  for (const [cells, each] of GRIDS) {
    for (let row = 0; row < cells; row++) {
      for (let column = 0; column < cells; column++) {
        for (let i = 0; i < each; i++) points.push((column + 0.5) / cells, (row + 0.5) / cells);
      }
    }
  }
  return Float64Array.from(points);
}

/** A picture made small in the middle of the model's square, black beside it, in [-1, 1]. */
export function letterboxed(rgb: Pixels): Float32Array<ArrayBuffer> {
  const scale = SIDE / Math.max(rgb.width, rgb.height);
  const width = Math.max(1, Math.round(rgb.width * scale));
  const height = Math.max(1, Math.round(rgb.height * scale));
  const small = resized(rgb, width, height);
  const left = Math.floor((SIDE - width) / 2);
  const top = Math.floor((SIDE - height) / 2);
  const input = new Float32Array(SIDE * SIDE * 3).fill(-1);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const from = (row * width + column) * rgb.channels;
      const to = ((top + row) * SIDE + left + column) * 3;
      for (let channel = 0; channel < 3; channel++) {
        input[to + channel] = (small.data[from + channel] as number) / 127.5 - 1;
      }
    }
  }
  return input;
}

/** The faces in a picture of this size, by the model's raw coordinates and scores. */
export function decoded(
  coordinates: Float32Array,
  scores: Float32Array,
  width: number,
  height: number,
): FaceBox[] {
  const points = anchors();
  const longer = Math.max(width, height);
  const candidates: FaceBox[] = [];
  scores.forEach((raw, i) => {
    const score = 1 / (1 + Math.exp(-Math.max(-100, Math.min(100, raw))));
    if (score < LEAST_SCORE) return;
    const at = i * COORDINATES;
    const x = (coordinates[at] as number) / SIDE + (points[2 * i] as number);
    const y = (coordinates[at + 1] as number) / SIDE + (points[2 * i + 1] as number);
    candidates.push({
      x: x * longer - (longer - width) / 2,
      y: y * longer - (longer - height) / 2,
      width: ((coordinates[at + 2] as number) / SIDE) * longer,
      height: ((coordinates[at + 3] as number) / SIDE) * longer,
      score,
    });
  });
  return merged(candidates).sort((one, other) => other.width - one.width);
}

/** Overlapping candidates become their mean, weighted by score. */
export function merged(candidates: readonly FaceBox[]): FaceBox[] {
  let left = [...candidates].sort((one, other) => other.score - one.score);
  const faces: FaceBox[] = [];
  for (let best = left[0]; best !== undefined; best = left[0]) {
    const chosen = best;
    const group = left.filter((other) => overlap(chosen, other) > LEAST_OVERLAP);
    const total = group.reduce((sum, one) => sum + one.score, 0);
    const mean = (key: "x" | "y" | "width" | "height") =>
      group.reduce((sum, one) => sum + one[key] * one.score, 0) / total;
    faces.push({
      x: mean("x"),
      y: mean("y"),
      width: mean("width"),
      height: mean("height"),
      score: chosen.score,
    });
    // The best is in its own group unless its box is empty, and must go either way.
    left = left.filter((other) => other !== chosen && !group.includes(other));
  }
  return faces;
}

/** The intersection of two boxes over their union, in [0, 1]. */
export function overlap(one: FaceBox, other: FaceBox): number {
  const along = (a: number, aSide: number, b: number, bSide: number) =>
    Math.max(0, Math.min(a + aSide / 2, b + bSide / 2) - Math.max(a - aSide / 2, b - bSide / 2));
  const common =
    along(one.x, one.width, other.x, other.width) * along(one.y, one.height, other.y, other.height);
  const union = one.width * one.height + other.width * other.height - common;
  return union > 0 ? common / union : 0;
}
