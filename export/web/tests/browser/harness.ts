/** Puts the page's own modules within a test's reach. It is built apart and ships nowhere. */

import { cropSquare, modelInput } from "../../src/crop.ts";
import { AffectModel, FaceDetector, loadRuntime } from "../../src/litert.ts";
import { fetched, modelContent, modelEntries } from "../../src/models.ts";
import { StreamingModel } from "./streaming.ts";

export const harness = {
  AffectModel,
  FaceDetector,
  StreamingModel,
  cropSquare,
  fetched,
  loadRuntime,
  modelContent,
  modelEntries,
  modelInput,
};

declare global {
  interface Window {
    harness: typeof harness;
  }
}
window.harness = harness;
