/** From the face detector's box to the square that a model reads. */

import { cut, gray, type Pixels, resized, type Square, squareAround } from "./pixels.ts";

/** A face: its box's middle and size in pixels of the picture, and the detector's score. */
export interface FaceBox {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly score: number;
}

/**
 * The models learned from FER+'s pictures, so a crop is what such a picture is around its face.
 *
 * Measured with this detector on 1,000 pictures of FER+ train whose border was repeated around them:
 * in the 968 with one face found, the picture is 1.18 times as wide as the box (0.97 to 1.52 between
 * the 10th and 90th percentile) and its middle 0.09 of the box's height above the box's (0.17 above
 * to 0.02 below), with no shift to a side. On the two public-domain photographs of the tests, the
 * crop that `keras_affect.runtime.faces` makes of OpenCV's box is 1.04 and 1.19 times as wide, and
 * 0.14 above in both: within that spread. `tests/edge/measure_crop.py` prints all of it.
 */
export const CROP_SCALE = 1.18;
export const CROP_RISE = 0.09;

/** The square around a face that the training pictures had. */
export function cropSquare(face: FaceBox): Square {
  return squareAround(face.x, face.y - CROP_RISE * face.height, CROP_SCALE * face.width);
}

/** A model's input: (side, side, channels) bytes, gray or RGB, of a square of RGBA pixels. */
export function modelInput(
  image: Pixels,
  square: Square,
  width: number,
  height: number,
  channels: number,
): Uint8Array<ArrayBuffer> {
  const small = resized(cut(image, square), width, height);
  return (channels === 1 ? gray(small) : small).data as Uint8Array<ArrayBuffer>;
}

/** The largest face, which the page reads first. */
export function largest(faces: readonly FaceBox[]): FaceBox | undefined {
  return faces.reduce<FaceBox | undefined>(
    (best, face) => (best === undefined || face.width > best.width ? face : best),
    undefined,
  );
}
