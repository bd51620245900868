import { defineConfig } from "vitest/config";

// `vite build` writes the page to where `keras-affect demo --web` and the wheel take it from;
// `vite build --mode harness` what the browser tests load.
export default defineConfig(({ mode }) => ({
  base: "./",
  build: {
    outDir: mode === "harness" ? "../../build/web_harness" : "../../keras_affect/demo/web_files",
    emptyOutDir: true,
    target: "es2022",
    rollupOptions: { input: mode === "harness" ? "harness.html" : "index.html" },
    // Vite would put small files into the script as data: URLs, which the page's policy forbids.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: {
    // Two suites, by `vitest --project`: one in a moment, one with Chromium.
    projects: [
      { test: { name: "unit", include: ["tests/unit/*.test.ts"] } },
      {
        test: {
          name: "browser",
          include: ["tests/browser/*.test.ts"],
          testTimeout: 120_000,
          // Chromium and its films share two cores: one file at a time.
          fileParallelism: false,
        },
      },
    ],
  },
}));
