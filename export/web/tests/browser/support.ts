/** Debian's Chromium, the page as `keras-affect demo --web` serves it, and what Python wrote. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

export const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "..");
export const FIXTURES = join(REPOSITORY, "build", "edge", "browser");
const PYTHON = process.env.KERAS_AFFECT_PYTHON ?? join(REPOSITORY, ".venv", "bin", "python");
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** (score, x, y, width, height), as tests/edge/short_range_faces.py gives it. */
export type FoundFace = [number, number, number, number, number];

export interface Reference {
  readonly faces: Record<"face" | "nobody" | "two", FoundFace[]>;
  readonly crops: Record<"face" | "nobody" | "two", number[][]>;
  /** By file, then by output: a row of raw numbers an image. */
  readonly outputs: Record<string, Record<string, number[][]>>;
}

export function reference(): Reference {
  return JSON.parse(readFileSync(join(FIXTURES, "reference.json"), "utf-8")) as Reference;
}

/** Start Chromium; with a film, its camera plays it, and a reader allows or refuses it. */
export function launch(film?: string, answer: "allowed" | "refused" = "allowed"): Promise<Browser> {
  const camera = [
    answer === "allowed" ? "--use-fake-ui-for-media-stream" : "--deny-permission-prompts",
    "--use-fake-device-for-media-stream",
    `--use-file-for-fake-video-capture=${join(FIXTURES, film ?? "")}`,
  ];
  if (!existsSync(CHROMIUM))
    throw new Error(`${CHROMIUM} is not there: tools/edge_packages.sh installs it`);
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...(film === undefined ? [] : camera),
    ],
  });
}

/** Run `keras-affect demo --web` on a free port. */
export async function servePage(): Promise<{ address: string; server: ChildProcess }> {
  const server = spawn(PYTHON, ["-m", "keras_affect", "demo", "--web", "--port", "0"], {
    cwd: REPOSITORY,
    env: { ...process.env, PYTHONPATH: REPOSITORY },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const address = await new Promise<string>((resolve, reject) => {
    server.stdout?.once("data", (line: Buffer) => resolve(String(line).split(" ")[0] as string));
    server.once("exit", (code) => reject(new Error(`the server ended with exit code ${code}`)));
  });
  return { address, server };
}

/** A new page, with all that it asked of anybody and all errors that it met. */
export interface Opened {
  readonly page: Page;
  readonly requests: string[];
  readonly errors: string[];
}

export async function openPage(
  browser: Browser,
  address: string,
  options: BrowserContextOptions = {},
): Promise<Opened> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const requests: string[] = [];
  const errors: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  await page.goto(address);
  return { page, requests, errors };
}
