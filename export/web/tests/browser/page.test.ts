/** The page as people meet it, served by `keras-affect demo --web`. */

import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { FIXTURES, launch, type Opened, openPage, servePage } from "./support.ts";

const FACE = join(FIXTURES, "face.png");
const EMOTIONS = "neutral happiness surprise sadness anger disgust fear contempt".split(" ");

let address: string;
let server: ChildProcess;
let browser: Browser;
let opened: Opened | undefined;

beforeAll(async () => {
  ({ address, server } = await servePage());
}, 60_000);
afterAll(async () => {
  await browser?.close();
  server?.kill();
});
afterEach(async () => {
  await opened?.page.context().close();
  opened = undefined;
});

async function open(options?: BrowserContextOptions): Promise<Page> {
  opened = await openPage(browser, address, options);
  return opened.page;
}

async function openReady(options?: BrowserContextOptions): Promise<Page> {
  const page = await open(options);
  await status(page, /^Ready\.$/);
  return page;
}

async function status(page: Page, text: RegExp): Promise<void> {
  await page.getByRole("status").filter({ hasText: text }).waitFor({ timeout: 30_000 });
}

/** All that the page says of a face. */
async function shown(page: Page) {
  const text = (id: string) => page.locator(`#${id}`).textContent();
  const point = page.locator("#circle .point");
  return {
    emotion: await text("emotion"),
    figures: await text("figures"),
    bars: await page.locator("#bars .value").allTextContents(),
    isPointShown: (await point.getAttribute("visibility")) === "visible",
    point: [await point.getAttribute("cx"), await point.getAttribute("cy")].join(),
    trail: await page.locator("#circle .trail").count(),
  };
}

async function expectNothingShown(page: Page): Promise<void> {
  const now = await shown(page);
  expect(now.bars).toEqual(EMOTIONS.map(() => "–"));
  expect(now.figures).toBe("–");
  expect(now.isPointShown).toBe(false);
  expect(now.trail).toBe(0);
  expect(EMOTIONS).not.toContain(now.emotion);
}

/** Load the page once more, with the camera's tracks kept where a test sees them. */
async function reloadWatched(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const media = navigator.mediaDevices;
    const ask = media.getUserMedia.bind(media);
    const tracks: MediaStreamTrack[] = [];
    Object.assign(window, { tracks });
    media.getUserMedia = async (wanted) => {
      const stream = await ask(wanted);
      tracks.push(...stream.getTracks());
      return stream;
    };
  });
  await page.reload();
}

/** "live" or "ended", for each of the camera's tracks that the page ever got. */
function trackStates(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    (window as unknown as { tracks: MediaStreamTrack[] }).tracks.map((one) => one.readyState),
  );
}

/** LiteRT's own notes come as errors of the console; what is left would be the page's. */
function ownErrors(errors: readonly string[]): string[] {
  return errors.filter((text) => !/^(INFO|WARNING):/.test(text));
}

describe("pictures", () => {
  beforeAll(async () => {
    browser = await launch();
  }, 60_000);
  afterAll(() => browser.close());

  test("a chosen picture is read, and nothing is asked of any other host", async () => {
    const page = await openReady();
    await expectNothingShown(page);
    await page.setInputFiles("#file", FACE);
    await status(page, /^One face\.$/);
    const now = await shown(page);
    expect(now.emotion).toBe("neutral");
    expect(await page.locator("#bars li").allTextContents()).toEqual(
      EMOTIONS.map((name, i) => name + now.bars[i]),
    );
    const sum = now.bars.reduce((total, text) => total + Number.parseInt(text, 10), 0);
    expect(Math.abs(sum - 100)).toBeLessThanOrEqual(4);
    expect(now.figures).toMatch(/^valence [−+]?\d\.\d\d, arousal [−+]?\d\.\d\d$/);
    expect(now.isPointShown).toBe(true);
    expect(
      opened?.requests.filter((url) => !url.startsWith(address) && !/^(blob|data):/.test(url)),
    ).toEqual([]);
    expect(opened?.requests.length).toBeGreaterThan(5);
    expect(ownErrors(opened?.errors ?? [])).toEqual([]);
  });

  test("the browser would refuse a request to another host", async () => {
    const page = await openReady();
    const outcome = await page.evaluate(() =>
      fetch("http://127.0.0.2:9/", { mode: "no-cors" }).catch((error: Error) => error.message),
    );
    expect(outcome).toMatch(/Failed to fetch|violates/);
    expect(opened?.errors.join()).toMatch(/Content Security Policy/);
  });

  test("a dropped picture is read", async () => {
    const page = await openReady();
    const base64 = readFileSync(FACE, "base64");
    const data = await page.evaluateHandle((text) => {
      const transfer = new DataTransfer();
      const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
      transfer.items.add(new File([bytes], "face.png", { type: "image/png" }));
      return transfer;
    }, base64);
    await page.dispatchEvent("#frame", "drop", { dataTransfer: data });
    await status(page, /^One face\.$/);
    expect((await shown(page)).emotion).toBe("neutral");
  });

  test("a picture without a face: none is found, nothing is shown", async () => {
    const page = await openReady();
    await page.setInputFiles("#file", FACE);
    await status(page, /^One face\.$/);
    await page.setInputFiles("#file", join(FIXTURES, "nobody.png"));
    await status(page, /^No face found\./);
    await expectNothingShown(page);
  });

  test("of two faces either can be read", async () => {
    const page = await openReady();
    await page.setInputFiles("#file", join(FIXTURES, "two.png"));
    await status(page, /^2 faces; choose which is read\.$/);
    const first = await shown(page);
    await page.getByRole("button", { name: "Face 2" }).click();
    await expect
      .poll(() => page.getByRole("button", { name: "Face 2" }).getAttribute("aria-pressed"))
      .toBe("true");
    const second = await shown(page);
    expect(second.bars).not.toEqual(first.bars);
    // Another model reads the face that was chosen.
    await page.selectOption("#model", { index: 0 });
    await expect
      .poll(async () => {
        const { bars } = await shown(page);
        return !bars.includes("–") && bars.join() !== second.bars.join();
      })
      .toBe(true);
    const button = page.getByRole("button", { name: "Face 2" });
    expect(await button.getAttribute("aria-pressed")).toBe("true");
  });

  test("of two models the last chosen reads, and not the last to arrive", async () => {
    const page = await openReady();
    await page.setInputFiles("#file", FACE);
    await status(page, /^One face\.$/);
    const options = await page.locator("#model option").allTextContents();
    const before = await page.locator("#model").inputValue();
    const [slow, quick] = options.map((_, i) => String(i)).filter((value) => value !== before);
    let isHeld = true;
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    await page.route(`${address}models/*.tflite`, async (route) => {
      const isFirst = isHeld;
      isHeld = false;
      if (isFirst) await held;
      await route.continue();
    });
    const about = page.locator("#about");
    const first = await about.textContent();
    await page.selectOption("#model", slow as string);
    await page.selectOption("#model", quick as string);
    await expect.poll(() => about.textContent()).not.toBe(first);
    const second = await about.textContent();
    release();
    await page.waitForTimeout(1000);
    expect(await about.textContent()).toBe(second);
    expect(await page.locator("#model").inputValue()).toBe(quick);
    // Once as the picture came, and once by the model that was chosen last.
    expect(await page.locator("#kept").textContent()).toBe("2");
  });

  test("where a chosen model cannot be had, the one before reads on and is shown", async () => {
    const page = await openReady();
    const before = await page.locator("#model").inputValue();
    const about = await page.locator("#about").textContent();
    await page.route(`${address}models/*.tflite`, (route) => route.fulfill({ status: 404 }));
    await page.selectOption("#model", before === "0" ? "1" : "0");
    await page.getByRole("alert").filter({ hasText: "HTTP 404" }).waitFor();
    expect(await page.locator("#model").inputValue()).toBe(before);
    expect(await page.locator("#about").textContent()).toBe(about);
  });

  test("the session comes as a csv file", async () => {
    const page = await openReady();
    expect(await page.locator("#download").isDisabled()).toBe(true);
    await page.setInputFiles("#file", FACE);
    await status(page, /^One face\.$/);
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
    expect(download.suggestedFilename()).toBe("keras_affect_session.csv");
    const lines = readFileSync(await download.path(), "utf-8")
      .trimEnd()
      .split("\r\n");
    expect(lines).toHaveLength(2);
    const [header, row] = lines.map((line) => line.split(",")) as [string[], string[]];
    expect(header).toEqual(
      ["seconds", "source", "model", "left", "top", "width", "height", ...EMOTIONS].concat(
        "valence",
        "arousal",
      ),
    );
    expect(row[1]).toBe("picture");
    const neutral = Number(row[header.indexOf("neutral")]);
    expect(`${Math.round(100 * neutral)} %`).toBe((await shown(page)).bars[0]);
  });

  test("what is no picture is said", async () => {
    const page = await openReady();
    await page.setInputFiles("#file", join(FIXTURES, "reference.json"));
    await page
      .getByRole("alert")
      .filter({ hasText: "reference.json is no picture that this browser can read." })
      .waitFor();
    await expectNothingShown(page);
  });

  test.each([
    ["models/*.tflite", /models\/.+\.tflite is not there \(HTTP 404\)/],
    ["face_detector/*", /face_detector\/.+ is not there \(HTTP 404\)/],
    ["models/models.json", /models\/models\.json is not there \(HTTP 404\)/],
    ["litert/*.js", /LiteRT can't run in this browser/],
  ])("%s is missing: the page says so", async (pattern, message) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.route(`${address}${pattern}`, (route) => route.fulfill({ status: 404 }));
    await page.goto(address);
    await page.getByRole("alert").filter({ hasText: message }).waitFor({ timeout: 30_000 });
    await context.close();
  });

  test("a damaged model is refused", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.route(`${address}models/*.tflite`, async (route) => {
      const body = await (await route.fetch()).body();
      body[body.length >> 1] = (body[body.length >> 1] as number) ^ 1;
      await route.fulfill({ body });
    });
    await page.goto(address);
    await page.getByRole("alert").filter({ hasText: "is damaged" }).waitFor({ timeout: 30_000 });
    await context.close();
  });

  test("no camera on this device: the page says so", async () => {
    const page = await openReady();
    await page.click("#camera");
    await page
      .getByRole("alert")
      .filter({ hasText: /^No camera was found/ })
      .waitFor();
    expect(await page.locator("#camera").textContent()).toBe("Start camera");
    await expectNothingShown(page);
  });

  test("the keyboard alone reaches and starts everything", async () => {
    const page = await openReady();
    // Asked for early: Chromium hands a chooser over only once it was told to, which takes a moment.
    const asked = page.waitForEvent("filechooser", { timeout: 60_000 });
    /** The next focused element's text, after it was seen to be marked as focused. */
    const tab = async () => {
      await page.keyboard.press("Tab");
      const [text, outline] = await page.evaluate(() => {
        const active = document.activeElement as HTMLElement;
        const words = active.textContent?.trim().replace(/\s+/g, " ") ?? "";
        return [words, getComputedStyle(active).outlineStyle] as const;
      });
      expect(outline, text).not.toBe("none");
      return text;
    };
    expect(await tab()).toBe("Skip to the camera and the pictures");
    await page.keyboard.press("Enter");
    expect(await tab()).toBe("Start camera");
    await page.keyboard.press("Space");
    await page
      .getByRole("alert")
      .filter({ hasText: /^No camera was found/ })
      .waitFor();
    expect(await tab()).toBe("Choose a picture");
    await page.keyboard.press("Enter");
    await (await asked).setFiles(join(FIXTURES, "two.png"));
    await status(page, /^2 faces/);
    expect(await tab()).toBe("Face 1");
    expect(await tab()).toBe("Face 2");
    await page.keyboard.press("Space");
    await page.locator("#faces [aria-pressed=true]", { hasText: "Face 2" }).waitFor();
    // The switch between the models that ship, which starts at the newest "ferplus".
    expect(await tab()).toMatch(/^LightweightCNN ferplus_v1, int8.*LightweightCNN ferplus_tiny_v1/);
    expect(await page.locator("#model option:checked").textContent()).toMatch(
      /^LightweightCNN ferplus_v[2-9]/,
    );
    expect(await tab()).toBe("Download session (csv)");
    await Promise.all([page.waitForEvent("download"), page.keyboard.press("Space")]);
    expect(await tab()).toBe("What this page is made of");
  });

  test.each([320, 360, 768])("at a width of %i pixels nothing scrolls sideways", async (width) => {
    const page = await openReady({ viewport: { width, height: 740 } });
    await page.setInputFiles("#file", join(FIXTURES, "two.png"));
    await status(page, /^2 faces/);
    const sizes = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    expect(sizes[0]).toBeLessThanOrEqual(sizes[1] as number);
    const outside = await page.evaluate(() =>
      [...document.querySelectorAll("button, select, .card, canvas, svg")]
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5)
        .map((one) => one.id || one.className),
    );
    expect(outside).toEqual([]);
  });

  test.each(["light", "dark"] as const)(
    "text stands out from what is behind it, %s",
    async (scheme) => {
      const page = await openReady({ colorScheme: scheme });
      await page.setInputFiles("#file", FACE);
      await status(page, /^One face\.$/);
      const ratios = await page.evaluate(() => {
        const channels = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number);
        const light = (color: string) => {
          const [red, green, blue] = channels(color)
            .slice(0, 3)
            .map((value) => value / 255)
            .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
          return 0.2126 * (red ?? 0) + 0.7152 * (green ?? 0) + 0.0722 * (blue ?? 0);
        };
        const behind = (element: Element | null): string => {
          if (element === null) return "rgb(255, 255, 255)";
          const color = getComputedStyle(element).backgroundColor;
          return channels(color)[3] === 0 ? behind(element.parentElement) : color;
        };
        const texts = [
          ...document.querySelectorAll("h1, h2, p, li, dt, dd, button, label, a, strong"),
        ];
        return texts
          .filter((one) => one.getClientRects().length > 0 && !one.classList.contains("skip"))
          .map((one) => {
            const [a, b] = [light(getComputedStyle(one).color), light(behind(one))];
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            return { text: one.textContent?.trim().slice(0, 40), ratio };
          });
      });
      expect(ratios.length).toBeGreaterThan(20);
      // 4.5 to 1: level AA of the Web Content Accessibility Guidelines.
      expect(ratios.filter(({ ratio }) => ratio < 4.5)).toEqual([]);
    },
  );
});

describe("a camera that shows a face", () => {
  beforeAll(async () => {
    browser = await launch("face.mjpeg");
  }, 60_000);
  afterAll(() => browser.close());

  test("one face is found, and what is shown of it moves", async () => {
    const page = await openReady();
    await page.click("#camera");
    await status(page, /^One face\.$/);
    const seen = [];
    for (let i = 0; i < 8; i++) {
      await page.waitForTimeout(400);
      seen.push(await shown(page));
    }
    expect(seen.every((one) => EMOTIONS.includes(one.emotion ?? ""))).toBe(true);
    expect(seen.every((one) => one.isPointShown)).toBe(true);
    expect(new Set(seen.map((one) => one.point)).size).toBeGreaterThan(4);
    expect(new Set(seen.map((one) => one.bars.join())).size).toBeGreaterThan(2);
    expect(seen.at(-1)?.trail).toBeGreaterThan(5);
    expect(await page.locator("#face-time").textContent()).toMatch(/^\d+\.\d ms$/);
    expect(await page.locator("#model-time").textContent()).toMatch(/^\d+\.\d ms$/);
    expect(Number(await page.locator("#kept").textContent())).toBeGreaterThan(8);
    // A screen reader hears of it, but not each of its thirty changes a second.
    expect(await page.locator("#announcer").textContent()).toMatch(/^Looks like \w+\.$/);
    expect(opened?.requests.every((url) => url.startsWith(address))).toBe(true);
    expect(ownErrors(opened?.errors ?? [])).toEqual([]);
  });

  test("stopping lets the camera go and leaves nothing", async () => {
    const page = await openReady();
    await reloadWatched(page);
    await status(page, /^Ready\.$/);
    await page.click("#camera");
    await status(page, /^One face\.$/);
    expect(await trackStates(page)).toEqual(["live"]);
    // What changes with each frame is not read out; the announcer says what counts.
    expect(await page.locator("#status").getAttribute("aria-live")).toBe("off");
    await page.click("#camera");
    await status(page, /^The camera is off\.$/);
    expect(await trackStates(page)).toEqual(["ended"]);
    expect(await page.locator("#status").getAttribute("aria-live")).toBeNull();
    await page.waitForTimeout(300);
    await expectNothingShown(page);
    expect(await page.locator("#view").isHidden()).toBe(true);
  });

  test("without a model the camera is not turned on", async () => {
    const page = await openReady();
    await page.route(`${address}models/*.tflite`, (route) => route.fulfill({ status: 404 }));
    await reloadWatched(page);
    const alert = page.getByRole("alert").filter({ hasText: "HTTP 404" });
    await alert.waitFor();
    await page.click("#camera");
    await alert.waitFor();
    await page.waitForTimeout(300);
    expect(await trackStates(page)).toEqual([]);
    expect(await page.locator("#camera").textContent()).toBe("Start camera");
  });

  test("with less motion wanted, figures change twice a second at most", async () => {
    const page = await openReady({ reducedMotion: "reduce" });
    await page.click("#camera");
    await status(page, /^One face\.$/);
    const changes = await page.evaluate(
      () =>
        new Promise<number>((resolve) => {
          const times = new Set<number>();
          const watch = new MutationObserver(() => times.add(Math.round(performance.now() / 50)));
          watch.observe(document.querySelector("#circle .point") as Element, { attributes: true });
          setTimeout(() => resolve(times.size), 3000);
        }),
    );
    expect(changes).toBeGreaterThan(1);
    expect(changes).toBeLessThanOrEqual(7);
    const fill = page.locator("#bars .fill").first();
    expect(await fill.evaluate((one) => getComputedStyle(one).transitionDuration)).toBe("0s");
  });
});

describe("a camera that shows no face", () => {
  beforeAll(async () => {
    browser = await launch("nobody.mjpeg");
  }, 60_000);
  afterAll(() => browser.close());

  test("none is found, nothing is shown", async () => {
    const page = await openReady();
    await page.click("#camera");
    await status(page, /^No face found\./);
    for (let i = 0; i < 5; i++) {
      await page.waitForTimeout(300);
      await expectNothingShown(page);
    }
    expect(await page.locator("#view").isVisible()).toBe(true);
    expect(await page.locator("#kept").textContent()).toBe("0");
  });
});

describe("a camera that is refused", () => {
  beforeAll(async () => {
    browser = await launch("face.mjpeg", "refused");
  }, 60_000);
  afterAll(() => browser.close());

  test("the page says so, and what to do, and pictures still work", async () => {
    const page = await openReady();
    await page.click("#camera");
    const alert = page.getByRole("alert");
    await alert.filter({ hasText: /^The camera was refused\. Allow it/ }).waitFor();
    await expectNothingShown(page);
    await page.setInputFiles("#file", FACE);
    await status(page, /^One face\.$/);
    expect(await alert.isHidden()).toBe(true);
  });
});
