import { expect, test } from "vitest";
import { Smoothing } from "../../src/smoothing.ts";

test("the first reading is shown as it is", () => {
  expect([...new Smoothing(0.5).next([0.2, 0.8], 3)]).toEqual([0.2, 0.8]);
});

test("a jump fades to 1/e within the time constant, at any frame rate", () => {
  for (const frames of [1, 10, 60]) {
    const smoothing = new Smoothing(0.5);
    smoothing.next([1], 0);
    let last = 1;
    for (let i = 1; i <= frames; i++) last = smoothing.next([0], (0.5 * i) / frames)[0] as number;
    expect(last).toBeCloseTo(Math.exp(-1), 10);
  }
});

test("probabilities keep their sum", () => {
  const smoothing = new Smoothing(0.3);
  smoothing.next([0.1, 0.9], 0);
  const [one, other] = smoothing.next([0.7, 0.3], 0.1);
  expect((one as number) + (other as number)).toBeCloseTo(1);
});

test("after a reset, and with other classes, it begins anew", () => {
  const smoothing = new Smoothing(0.3);
  smoothing.next([1], 0);
  smoothing.reset();
  expect([...smoothing.next([0], 0.01)]).toEqual([0]);
  expect([...smoothing.next([0.5, 0.5], 0.02)]).toEqual([0.5, 0.5]);
});

test("a time constant of 0 is refused", () => {
  expect(() => new Smoothing(0)).toThrow("Received: 0");
});
