import { expect, test } from "vitest";
import { field, MOST_READINGS, type Reading, Session } from "../../src/session.ts";

const reading: Reading = {
  seconds: 1.23456,
  source: "camera",
  model: "LightweightCNN ferplus_v1",
  face: { x: 100, y: 50, width: 40, height: 20, score: 0.9 },
  probabilities: new Map([
    ["neutral", 0.75],
    ["happiness", 0.25],
  ]),
  valence: -0.5,
  arousal: 0.12345,
};

test("a row a reading under a header", () => {
  const session = new Session();
  session.add(reading);
  session.add({ ...reading, seconds: 2 });
  expect(session.size).toBe(2);
  expect(session.csv().split("\r\n")).toEqual([
    "seconds,source,model,left,top,width,height,neutral,happiness,valence,arousal",
    "1.235,camera,LightweightCNN ferplus_v1,80.0,40.0,40.0,20.0,0.7500,0.2500,-0.5000,0.1235",
    "2.000,camera,LightweightCNN ferplus_v1,80.0,40.0,40.0,20.0,0.7500,0.2500,-0.5000,0.1235",
    "",
  ]);
});

test("models with other classes, or without valence, leave cells empty", () => {
  const session = new Session();
  session.add(reading);
  const other = new Map([["joy, or not", 1]]);
  session.add({ ...reading, probabilities: other, valence: undefined, arousal: undefined });
  const [header, first, second] = session.csv().split("\r\n");
  expect(header).toContain('neutral,happiness,"joy, or not",valence,arousal');
  expect(first).toMatch(/,0\.7500,0\.2500,,-0\.5000,0\.1235$/);
  expect(second).toMatch(/,,,1\.0000,,$/);
});

test("cells are quoted by RFC 4180", () => {
  expect([field("plain"), field('a "b", c'), field("two\nlines")]).toEqual([
    "plain",
    '"a ""b"", c"',
    '"two\nlines"',
  ]);
});

test("a full session takes no more, and says so", () => {
  const session = new Session();
  for (let i = 0; i < MOST_READINGS; i++) session.add(reading);
  expect(session.add(reading)).toBe(false);
  expect(session.size).toBe(MOST_READINGS);
});
