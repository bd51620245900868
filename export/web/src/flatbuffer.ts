/**
 * Scale and zero point of a `.tflite`'s tensors, which LiteRT.js does not tell.
 *
 * Reads the few tables on the way there; field numbers are those of TensorFlow Lite's schema.fbs.
 */

export interface Quantization {
  readonly scale: number;
  readonly zeroPoint: number;
}

const MODEL_SUBGRAPHS = 2;
const MODEL_SIGNATURES = 7;
const SUBGRAPH_TENSORS = 0;
const TENSOR_QUANTIZATION = 4;
const QUANTIZATION_SCALE = 2;
const QUANTIZATION_ZERO_POINT = 3;
const SIGNATURE_OUTPUTS = 1;
const TENSORMAP_NAME = 0;
const TENSORMAP_INDEX = 1;

/** Quantization of each output of the first signature, by its name; float outputs are left out. */
export function outputQuantization(content: Uint8Array): Map<string, Quantization> {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  if (content.byteLength < 8 || view.getUint32(4, true) !== 0x334c4654) {
    throw new Error("not a .tflite");
  }
  /** Where a table's field lies, or undefined if it has its default. */
  const fieldAt = (table: number, number: number): number | undefined => {
    const entries = table - view.getInt32(table, true);
    const slot = 4 + 2 * number;
    const offset = slot < view.getUint16(entries, true) ? view.getUint16(entries + slot, true) : 0;
    return offset === 0 ? undefined : table + offset;
  };
  const follow = (at: number) => at + view.getUint32(at, true);
  /** A vector's length and where its first element lies. */
  const vector = (table: number, number: number): [number, number] => {
    const at = fieldAt(table, number);
    if (at === undefined) return [0, 0];
    const start = follow(at);
    return [view.getUint32(start, true), start + 4];
  };
  const root = follow(0);
  const found = new Map<string, Quantization>();
  const [subgraphs, firstSubgraph] = vector(root, MODEL_SUBGRAPHS);
  const [signatures, firstSignature] = vector(root, MODEL_SIGNATURES);
  if (subgraphs === 0 || signatures === 0) return found;
  const [, tensors] = vector(follow(firstSubgraph), SUBGRAPH_TENSORS);
  const [outputs, firstOutput] = vector(follow(firstSignature), SIGNATURE_OUTPUTS);
  for (let i = 0; i < outputs; i++) {
    const map = follow(firstOutput + 4 * i);
    const nameAt = fieldAt(map, TENSORMAP_NAME);
    const indexAt = fieldAt(map, TENSORMAP_INDEX);
    if (nameAt === undefined) continue;
    const start = follow(nameAt);
    const name = new TextDecoder().decode(
      content.subarray(start + 4, start + 4 + view.getUint32(start, true)),
    );
    const index = indexAt === undefined ? 0 : view.getUint32(indexAt, true);
    const quantizationAt = fieldAt(follow(tensors + 4 * index), TENSOR_QUANTIZATION);
    if (quantizationAt === undefined) continue;
    const [scales, scale] = vector(follow(quantizationAt), QUANTIZATION_SCALE);
    const [zeroPoints, zeroPoint] = vector(follow(quantizationAt), QUANTIZATION_ZERO_POINT);
    if (scales !== 1) continue;
    found.set(name, {
      scale: view.getFloat32(scale, true),
      zeroPoint: zeroPoints === 1 ? Number(view.getBigInt64(zeroPoint, true)) : 0,
    });
  }
  return found;
}
