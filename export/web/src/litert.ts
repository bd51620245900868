/** LiteRT.js, single-threaded: the emotion model and the face detector. */

import { type CompiledModel, loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";
import type { FaceBox } from "./crop.ts";
import { outputQuantization, type Quantization } from "./flatbuffer.ts";
import type { Pixels } from "./pixels.ts";
import { decoded, letterboxed, SIDE } from "./short_range_faces.ts";

/** Load the runtime once. It takes relaxed SIMD where the browser has it, plain SIMD elsewhere. */
export async function loadRuntime(path: string): Promise<void> {
  await loadLiteRt(path, { threads: false });
}

/** What a model says of one face. */
export interface Outputs {
  /** The tensors' own numbers, as they came. */
  readonly raw: ReadonlyMap<string, Uint8Array | Float32Array>;
  readonly probabilities: Float32Array;
  readonly valence: number | undefined;
  readonly arousal: number | undefined;
}

/** A `.tflite` of `keras_affect.export`. */
export class AffectModel {
  private constructor(
    private readonly compiled: CompiledModel,
    private readonly quantization: ReadonlyMap<string, Quantization>,
    readonly height: number,
    readonly width: number,
    readonly channels: number,
  ) {}

  static async load(content: Uint8Array): Promise<AffectModel> {
    const compiled = await loadAndCompile(content, { accelerator: "wasm" });
    const [input, ...others] = compiled.getInputDetails();
    const names = compiled.getOutputDetails().map((output) => output.name);
    if (input === undefined || others.length > 0 || input.shape.length !== 4) {
      throw new Error("expected a model with one input (1, height, width, channels)");
    }
    if (!names.includes("emotion")) {
      throw new Error(`expected an output "emotion"; the model gives ${names.join(", ")}`);
    }
    const [, height, width, channels] = [...input.shape] as [number, number, number, number];
    const quantization = outputQuantization(content);
    const model = new AffectModel(compiled, quantization, height, width, channels);
    // The first run is slow: memory is laid out then.
    await model.run(new Uint8Array(height * width * channels));
    return model;
  }

  /** Read (height, width, channels) bytes. */
  async run(pixels: Uint8Array<ArrayBuffer>): Promise<Outputs> {
    const input = this.compiled.getInputDetails()[0];
    const data = input?.dtype === "float32" ? Float32Array.from(pixels) : pixels;
    const raw = await ran(this.compiled, data, [1, this.height, this.width, this.channels]);
    const values = this.dequantized(raw, "valence_arousal");
    return {
      raw,
      probabilities: this.dequantized(raw, "emotion") ?? new Float32Array(),
      valence: values?.[0],
      arousal: values?.[1],
    };
  }

  delete(): void {
    this.compiled.delete();
  }

  private dequantized(
    raw: ReadonlyMap<string, Uint8Array | Float32Array>,
    name: string,
  ): Float32Array | undefined {
    const values = raw.get(name);
    const steps = this.quantization.get(name);
    if (values === undefined || values instanceof Float32Array) return values;
    if (steps === undefined) throw new Error(`output "${name}" has no scale`);
    return Float32Array.from(values, (value) => (value - steps.zeroPoint) * steps.scale);
  }
}

/** MediaPipe's short-range face detector; what is around the model is in short_range_faces.ts. */
export class FaceDetector {
  private constructor(private readonly compiled: CompiledModel) {}

  static async load(content: Uint8Array): Promise<FaceDetector> {
    const detector = new FaceDetector(await loadAndCompile(content, { accelerator: "wasm" }));
    await ran(detector.compiled, new Float32Array(SIDE * SIDE * 3), [1, SIDE, SIDE, 3]);
    return detector;
  }

  /** The faces in RGB or RGBA pixels, the largest first. */
  async find(image: Pixels): Promise<FaceBox[]> {
    const raw = await ran(this.compiled, letterboxed(image), [1, SIDE, SIDE, 3]);
    const outputs = [...raw.values()] as Float32Array[];
    const [one, other] = outputs;
    if (one === undefined || other === undefined) throw new Error("not the face detector");
    const [coordinates, scores] = one.length > other.length ? [one, other] : [other, one];
    return decoded(coordinates, scores, image.width, image.height);
  }
}

/** Run a model on one tensor. LiteRT.js frees nothing by itself. */
async function ran(
  compiled: CompiledModel,
  data: Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
  shape: number[],
): Promise<Map<string, Uint8Array | Float32Array>> {
  const input = Tensor.fromTypedArray(data, shape);
  try {
    const outputs = await compiled.run([input]);
    const details = compiled.getOutputDetails();
    const found = new Map<string, Uint8Array | Float32Array>();
    outputs.forEach((output, i) => {
      const values = output.toTypedArray();
      found.set(details[i]?.name ?? String(i), values.slice() as Uint8Array | Float32Array);
      output.delete();
    });
    return found;
  } finally {
    input.delete();
  }
}
