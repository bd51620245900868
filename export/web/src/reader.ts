/** One picture to one reading: find the faces, cut one, run the model, and time both. */

import { cropSquare, type FaceBox, largest, modelInput } from "./crop.ts";
import type { AffectModel, FaceDetector, Outputs } from "./litert.ts";

export interface Read {
  readonly faces: readonly FaceBox[];
  /** The face that was read, the largest unless another was asked for; none if there is none. */
  readonly face?: { readonly box: FaceBox; readonly input: Uint8Array; readonly outputs: Outputs };
  readonly faceMilliseconds: number;
  readonly modelMilliseconds: number;
}

export async function read(
  image: ImageData,
  detector: FaceDetector,
  model: AffectModel,
  chosen?: number,
): Promise<Read> {
  const pixels = { data: image.data, width: image.width, height: image.height, channels: 4 };
  const started = performance.now();
  const faces = await detector.find(pixels);
  const found = performance.now();
  const box = chosen === undefined ? largest(faces) : faces[chosen];
  if (box === undefined) {
    return { faces, faceMilliseconds: found - started, modelMilliseconds: 0 };
  }
  const square = cropSquare(box);
  const input = modelInput(pixels, square, model.width, model.height, model.channels);
  const cropped = performance.now();
  const outputs = await model.run(input);
  return {
    faces,
    face: { box, input, outputs },
    faceMilliseconds: cropped - started,
    modelMilliseconds: performance.now() - cropped,
  };
}
