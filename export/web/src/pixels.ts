/**
 * Pixels in plain arrays: gray, squares that reach over the border, and reduction.
 *
 * Canvas would do each of these otherwise in every browser. Here they do what Pillow does for
 * `keras_affect.runtime`, so that the page shows a model the pixels it was trained and scored on.
 */

/** Gray or colour in [0, 255], row by row. */
export interface Pixels {
  readonly data: Float32Array | Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

/** The integer square that `crops.square` of keras_affect cuts around a middle. */
export interface Square {
  readonly left: number;
  readonly top: number;
  readonly side: number;
}

/** Where a square of a side around (x, y) begins, in whole pixels. */
export function squareAround(x: number, y: number, side: number): Square {
  const whole = Math.max(1, Math.round(side));
  return { left: Math.round(x - whole / 2), top: Math.round(y - whole / 2), side: whole };
}

/** A square cut from RGBA as RGB; where it reaches over the border, the border is repeated. */
export function cut(image: Pixels, square: Square): Pixels {
  const { side } = square;
  const data = new Uint8Array(side * side * 3);
  const columns = Int32Array.from({ length: side }, (_, i) =>
    Math.min(image.width - 1, Math.max(0, square.left + i)),
  );
  let to = 0;
  for (let row = 0; row < side; row++) {
    const y = Math.min(image.height - 1, Math.max(0, square.top + row));
    for (const x of columns) {
      const from = (y * image.width + x) * image.channels;
      data[to++] = image.data[from] as number;
      data[to++] = image.data[from + 1] as number;
      data[to++] = image.data[from + 2] as number;
    }
  }
  return { data, width: side, height: side, channels: 3 };
}

/** ITU-R 601's luma of RGB or RGBA, in the fixed-point form of Pillow's mode "L". */
export function gray(image: Pixels): Pixels {
  const count = image.width * image.height;
  const data = new Uint8Array(count);
  for (let i = 0, from = 0; i < count; i++, from += image.channels) {
    const [red, green, blue] = [image.data[from], image.data[from + 1], image.data[from + 2]];
    data[i] =
      ((red as number) * 19595 + (green as number) * 38470 + (blue as number) * 7471 + 0x8000) >>
      16;
  }
  return { data, width: image.width, height: image.height, channels: 1 };
}

/**
 * Another size, by a triangle filter that widens with the reduction, so that nothing aliases.
 * Rounded to whole numbers after each direction, as Pillow's `resize` with BILINEAR is.
 */
export function resized(image: Pixels, width: number, height: number): Pixels {
  return along(along(image, width, true), height, false);
}

/** The weights of a triangle filter for one place in the result: the first source, and from it. */
function triangle(place: number, length: number, target: number): [number, number[]] {
  const scale = length / target;
  const support = Math.max(scale, 1);
  const middle = (place + 0.5) * scale;
  const first = Math.max(0, Math.trunc(middle - support + 0.5));
  const last = Math.min(length, Math.trunc(middle + support + 0.5));
  const weights: number[] = [];
  for (let source = first; source < last; source++) {
    weights.push(Math.max(0, 1 - Math.abs((source + 0.5 - middle) / support)));
  }
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return [first, weights.map((weight) => weight / sum)];
}

function along(image: Pixels, target: number, isWidth: boolean): Pixels {
  const { channels } = image;
  const length = isWidth ? image.width : image.height;
  if (length === target) return image;
  const width = isWidth ? target : image.width;
  const height = isWidth ? image.height : target;
  const data = new Uint8Array(width * height * channels);
  // From one source of a sum to the next, and from one sum to the next along the other side.
  const step = isWidth ? channels : image.width * channels;
  const others = isWidth ? image.height : image.width;
  const otherFrom = isWidth ? image.width * channels : channels;
  const otherTo = isWidth ? width * channels : channels;
  const stepTo = isWidth ? channels : width * channels;
  for (let place = 0; place < target; place++) {
    const [first, weights] = triangle(place, length, target);
    for (let other = 0; other < others; other++) {
      for (let channel = 0; channel < channels; channel++) {
        let from = first * step + other * otherFrom + channel;
        let sum = 0;
        for (const weight of weights) {
          sum += weight * (image.data[from] as number);
          from += step;
        }
        data[place * stepTo + other * otherTo + channel] = Math.round(sum);
      }
    }
  }
  return { data, width, height, channels };
}
