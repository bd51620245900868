import { beforeAll, expect, test, vi } from "vitest";

let cameraProblem: (error: unknown) => string;

beforeAll(async () => {
  // The module keeps a canvas; what is tested here needs none.
  vi.stubGlobal("document", { createElement: () => ({ getContext: () => null }) });
  ({ cameraProblem } = await import("../../src/sources.ts"));
});

test.each([
  ["NotAllowedError", /refused.*Allow it/],
  ["NotFoundError", /No camera was found/],
  ["OverconstrainedError", /No camera was found/],
  ["NotReadableError", /another program/],
  ["SomethingElse", /could not be started \(SomethingElse\)/],
])("%s is told in words", (name, words) => {
  expect(cameraProblem(Object.assign(new Error("x"), { name }))).toMatch(words);
});
