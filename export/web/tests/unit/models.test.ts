import { afterEach, expect, test, vi } from "vitest";
import { LoadError, type ModelEntry, modelContent } from "../../src/models.ts";

afterEach(() => vi.unstubAllGlobals());

test("over plain http the page says what to open instead", async () => {
  vi.stubGlobal("fetch", async () => new Response(new Uint8Array(4)));
  vi.stubGlobal("crypto", {});
  const reading = modelContent({ file: "a.tflite" } as ModelEntry);
  await expect(reading).rejects.toThrow(LoadError);
  await expect(reading).rejects.toThrow(/over https or on this very device \(127\.0\.0\.1\)/);
});
