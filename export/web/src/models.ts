/** The models that this page was built with: `models/models.json`, made of the package's catalog. */

export interface ModelEntry {
  readonly model: string;
  readonly name: string;
  readonly file: string;
  readonly size: number;
  readonly sha256: string;
  readonly classes: readonly string[];
  readonly accuracy: number;
  readonly images: number;
  readonly data: string;
  readonly licence: string;
}

/** A file of this page that could not be had whole, in words for a reader. */
export class LoadError extends Error {}

/** A file of this page. */
export async function fetched(path: string): Promise<Uint8Array<ArrayBuffer>> {
  let response: Response;
  try {
    response = await fetch(path);
  } catch {
    throw new LoadError(`${path} can't be reached. Is the program that serves this page running?`);
  }
  if (!response.ok) throw new LoadError(`${path} is not there (HTTP ${response.status}).`);
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch {
    throw new LoadError(`${path} came in part only. Load the page again.`);
  }
}

export async function modelEntries(): Promise<readonly ModelEntry[]> {
  const text = new TextDecoder().decode(await fetched("models/models.json"));
  return JSON.parse(text) as ModelEntry[];
}

/** The bytes of a model, after their hash was compared with the catalog's. */
export async function modelContent(entry: ModelEntry): Promise<Uint8Array<ArrayBuffer>> {
  const path = `models/${entry.file}`;
  const content = await fetched(path);
  // Typed as always there; over plain http it is not.
  if ((crypto.subtle as SubtleCrypto | undefined) === undefined) {
    throw new LoadError(
      "This browser lets a page check its files only over https or on this very device " +
        "(127.0.0.1). Open the page so.",
    );
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  const found = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== entry.sha256) throw new LoadError(`${path} is damaged: its hash is another.`);
  return content;
}
