/** What was read since the page was opened, for the download. It stays in this page's memory. */

import type { FaceBox } from "./crop.ts";

export interface Reading {
  /** Seconds since the session began. */
  readonly seconds: number;
  readonly source: "camera" | "picture";
  readonly model: string;
  readonly face: FaceBox;
  /** By the model's classes, as the model gave them, not steadied. */
  readonly probabilities: ReadonlyMap<string, number>;
  readonly valence: number | undefined;
  readonly arousal: number | undefined;
}

/** Two hours of a camera at 30 frames a second. */
export const MOST_READINGS = 216_000;

export class Session {
  private readonly readings: Reading[] = [];

  /** Keep a reading; false once the session is full. */
  add(reading: Reading): boolean {
    if (this.readings.length >= MOST_READINGS) return false;
    this.readings.push(reading);
    return true;
  }

  get size(): number {
    return this.readings.length;
  }

  /** A row a reading, under a header; classes in the order in which they first came. */
  csv(): string {
    const names = [...new Set(this.readings.flatMap((one) => [...one.probabilities.keys()]))];
    const header = ["seconds", "source", "model", "left", "top", "width", "height", ...names];
    const rows = this.readings.map((one) => {
      const { x, y, width, height } = one.face;
      return [
        one.seconds.toFixed(3),
        one.source,
        one.model,
        ...[x - width / 2, y - height / 2, width, height].map((value) => value.toFixed(1)),
        ...names.map((name) => number(one.probabilities.get(name))),
        number(one.valence),
        number(one.arousal),
      ];
    });
    const lines = [[...header, "valence", "arousal"], ...rows];
    return `${lines.map((cells) => cells.map(field).join(",")).join("\r\n")}\r\n`;
  }
}

function number(value: number | undefined): string {
  return value === undefined ? "" : value.toFixed(4);
}

/** One cell by RFC 4180. */
export function field(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
