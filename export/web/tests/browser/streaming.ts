/** A `.tflite` of `keras_affect.export.to_litert_streaming`, frame by frame, as an app runs it. */

import { type CompiledModel, loadAndCompile, Tensor } from "@litertjs/core";

export class StreamingModel {
  private states = new Map<string, Float32Array<ArrayBuffer>>();

  private constructor(private readonly compiled: CompiledModel) {
    this.reset();
  }

  static async load(content: Uint8Array): Promise<StreamingModel> {
    return new StreamingModel(await loadAndCompile(content, { accelerator: "wasm" }));
  }

  /** Forget what came before: the next frame is a clip's first. */
  reset(): void {
    const given = new Set(this.compiled.getOutputDetails().map((output) => output.name));
    for (const { name, shape } of this.compiled.getInputDetails()) {
      if (given.has(name)) {
        const length = [...shape].reduce((product, side) => product * side, 1);
        this.states.set(name, new Float32Array(length));
      }
    }
  }

  /** Read the next frame's bytes; all outputs by name, the new states among them. */
  async step(pixels: Uint8Array<ArrayBuffer>): Promise<Record<string, number[]>> {
    const inputs: Record<string, Tensor> = {};
    for (const { name, shape, dtype } of this.compiled.getInputDetails()) {
      const data =
        this.states.get(name) ?? (dtype === "float32" ? Float32Array.from(pixels) : pixels);
      inputs[name] = Tensor.fromTypedArray(data, [...shape]);
    }
    const found: Record<string, number[]> = {};
    try {
      for (const [name, output] of Object.entries(await this.compiled.run(inputs))) {
        const values = output.toTypedArray().slice() as Float32Array<ArrayBuffer>;
        output.delete();
        if (this.states.has(name)) this.states.set(name, values);
        found[name] = [...values];
      }
    } finally {
      for (const input of Object.values(inputs)) input.delete();
    }
    return found;
  }

  delete(): void {
    this.compiled.delete();
  }
}
