/** Pictures to read: the camera's frames, and picture files. */

/** Why there is no picture, in words for a reader. */
export class SourceError extends Error {}

/** The longer side in pixels that is searched and cut from, as in `keras_affect.runtime.faces`. */
const LONGEST = 1280;

/** Ask for the camera, and play it in a video element that is not shown. */
export async function openCamera(): Promise<HTMLVideoElement> {
  if (navigator.mediaDevices === undefined) {
    throw new SourceError(
      "This browser gives a page the camera only over https or from this very device " +
        "(127.0.0.1). Choose a picture instead.",
    );
  }
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 } },
    });
  } catch (error) {
    throw new SourceError(cameraProblem(error));
  }
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = stream;
  try {
    await video.play();
  } catch (error) {
    closeCamera(video); // or its light stays on until the page is closed
    throw new SourceError(cameraProblem(error));
  }
  return video;
}

export function closeCamera(video: HTMLVideoElement): void {
  if (video.srcObject instanceof MediaStream) {
    for (const track of video.srcObject.getTracks()) track.stop();
  }
  video.srcObject = null;
}

/** What `getUserMedia` refused, and what a reader can do about it. */
export function cameraProblem(error: unknown): string {
  const name = error instanceof Error ? error.name : "";
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return (
        "The camera was refused. Allow it for this page in the browser's settings (beside the " +
        "address) and start it again, or choose a picture."
      );
    case "NotFoundError":
    case "OverconstrainedError":
      return "No camera was found on this device. Choose a picture instead.";
    case "NotReadableError":
    case "AbortError":
      return "The camera can't be used: another program may hold it. Close that, and start again.";
    default:
      return `The camera could not be started (${name || String(error)}). Choose a picture instead.`;
  }
}

/** A picture file's pixels, upright, transparent parts on white. */
export async function readPicture(file: Blob & { readonly name?: string }): Promise<ImageData> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new SourceError(`${file.name ?? "The file"} is no picture that this browser can read.`);
  }
  const pixels = frameOf(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
  return pixels;
}

const canvas = document.createElement("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });

/** A frame's RGBA pixels, reduced if its longer side is above 1280. */
export function frameOf(source: CanvasImageSource, width: number, height: number): ImageData {
  if (context === null)
    throw new SourceError("This browser gives the page no canvas to read from.");
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
