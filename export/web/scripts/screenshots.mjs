/**
 * Draw the README's pictures of the page, which `keras-affect demo --web` must be serving:
 *
 *   node scripts/screenshots.mjs http://127.0.0.1:8000/ PICTURE FOLDER
 *
 * Only photographs in the public domain: those in the README are of NASA (scikit-image's astronaut).
 */

import { join } from "node:path";
import { chromium } from "playwright-core";

const [address, picture, folder] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu"],
});
const shots = [
  ["web_light.png", { viewport: { width: 1180, height: 1010 }, colorScheme: "light" }],
  ["web_dark_phone.png", { viewport: { width: 390, height: 1010 }, colorScheme: "dark" }],
];
for (const [name, options] of shots) {
  const page = await browser.newPage(options);
  await page.goto(address);
  await page.getByRole("status").filter({ hasText: "Ready." }).waitFor();
  await page.setInputFiles("#file", picture);
  await page.getByRole("status").filter({ hasText: "One face." }).waitFor();
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(folder, name) });
}
await browser.close();
