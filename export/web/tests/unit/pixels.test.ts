import { expect, test } from "vitest";
import { cut, gray, resized, squareAround } from "../../src/pixels.ts";

function ramp(width: number, height: number, channels: number) {
  const data = Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 37) % 256);
  return { data, width, height, channels };
}

test("a square has whole pixels and at least one", () => {
  expect(squareAround(10, 20, 5.4)).toEqual({ left: 8, top: 18, side: 5 });
  expect(squareAround(10, 20, 0.1).side).toBe(1);
});

test("over the border, the border is repeated", () => {
  const image = {
    data: Uint8Array.from([1, 1, 1, 9, 2, 2, 2, 9]),
    width: 2,
    height: 1,
    channels: 4,
  };
  const { data } = cut(image, { left: -1, top: -1, side: 3 });
  const row = [1, 1, 1, 1, 1, 1, 2, 2, 2];
  expect([...data]).toEqual([...row, ...row, ...row]);
});

test("inside, a cut keeps the pixels", () => {
  const image = ramp(6, 5, 4);
  const { data } = cut(image, { left: 2, top: 1, side: 3 });
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 3; column++) {
      const from = ((row + 1) * 6 + column + 2) * 4;
      const to = (row * 3 + column) * 3;
      expect([...data.subarray(to, to + 3)]).toEqual([...image.data.subarray(from, from + 3)]);
    }
  }
});

// Pillow 13.0.0: Image.fromarray(pixels, "L").resize(size, Image.Resampling.BILINEAR), for the
// 7x5 picture whose pixel i is (37 i) mod 256.
const PILLOW: Record<string, number[]> = {
  "3x2": [35, 114, 193, 41, 120, 199],
  "4x5": [19, 77, 145, 203, 22, 80, 148, 206, 25, 83, 151, 209, 28, 86, 154, 212, 31, 89, 157, 215],
  "7x3": [
    1, 38, 75, 112, 149, 186, 223, 6, 43, 80, 117, 154, 191, 228, 11, 48, 85, 122, 159, 196, 233,
  ],
  "9x8": [
    0, 25, 53, 82, 111, 140, 169, 197, 222, 1, 26, 54, 83, 112, 141, 170, 198, 223, 3, 28, 56, 85,
    114, 143, 172, 200, 225, 5, 30, 58, 87, 116, 145, 174, 202, 227, 7, 32, 60, 89, 118, 147, 176,
    204, 229, 9, 34, 62, 91, 120, 149, 178, 206, 231, 11, 36, 64, 93, 122, 151, 180, 208, 233, 12,
    37, 65, 94, 123, 152, 181, 209, 234,
  ],
};

test.each(Object.entries(PILLOW))("resized to %s as by Pillow", (size, expected) => {
  const [width, height] = size.split("x").map(Number) as [number, number];
  expect([...resized(ramp(7, 5, 1), width, height).data]).toEqual(expected);
});

test("channels are resized apart", () => {
  const colored = ramp(9, 6, 3);
  const small = resized(colored, 4, 3);
  for (let channel = 0; channel < 3; channel++) {
    const one = {
      data: colored.data.filter((_, i) => i % 3 === channel),
      width: 9,
      height: 6,
      channels: 1,
    };
    const found = small.data.filter((_: number, i: number) => i % 3 === channel);
    expect([...found]).toEqual([...resized(one, 4, 3).data]);
  }
});

test("gray is luma, and white stays white", () => {
  const pixels = [255, 255, 255, 0, 0, 0, 0, 255, 0, 0, 0, 255];
  const image = { data: Uint8Array.from(pixels), width: 4, height: 1, channels: 3 };
  expect([...gray(image).data]).toEqual([255, 0, 150, 29]);
});
