import { expect, test } from "vitest";
import { Announcements } from "../../src/announcements.ts";

function listened() {
  const said: string[] = [];
  return { said, announcements: new Announcements((text) => said.push(text), 1, 4) };
}

test("what flickers is not said", () => {
  const { said, announcements } = listened();
  for (let i = 0; i < 100; i++) announcements.offer(i % 2 ? "one" : "two", i / 30);
  expect(said).toEqual([]);
});

test("what holds is said once", () => {
  const { said, announcements } = listened();
  for (let i = 0; i < 300; i++) announcements.offer("steady", i / 30);
  expect(said).toEqual(["steady"]);
});

test("the next comes seconds later at the earliest", () => {
  const { said, announcements } = listened();
  const times: number[] = [];
  for (let i = 0; i < 300; i++) {
    const count = said.length;
    announcements.offer(i < 60 ? "first" : "second", i / 30);
    if (said.length > count) times.push(i / 30);
  }
  expect(said).toEqual(["first", "second"]);
  expect((times[1] as number) - (times[0] as number)).toBeGreaterThanOrEqual(4);
});

test("a reader's own deed is answered at once", () => {
  const { said, announcements } = listened();
  announcements.now("there", 0);
  announcements.now("again", 0.1);
  expect(said).toEqual(["there", "again"]);
});
