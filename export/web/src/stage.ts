/** The picture with its faces marked, on one canvas: the frame that was read, not a later one. */

import type { FaceBox } from "./crop.ts";

export class Stage {
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly invitation: HTMLElement,
  ) {}

  /** A camera's picture is mirrored, as people know themselves. */
  show(
    image: ImageData,
    faces: readonly FaceBox[],
    chosen: FaceBox | undefined,
    isMirrored: boolean,
  ): void {
    this.invitation.hidden = true;
    this.canvas.hidden = false;
    if (this.canvas.width !== image.width || this.canvas.height !== image.height) {
      this.canvas.width = image.width;
      this.canvas.height = image.height;
    }
    const context = this.canvas.getContext("2d");
    if (context === null) return;
    context.putImageData(image, 0, 0);
    const thin = Math.max(2, image.width / 220);
    for (const face of faces) {
      const { x, y, width, height } = face;
      const isChosen = face === chosen;
      // Two strokes, dark under bright, are seen on any picture.
      const strokes = [
        ["rgb(0 0 0 / 55%)", 2 * thin],
        [isChosen ? "#ffffff" : "rgb(255 255 255 / 60%)", thin],
      ] as const;
      for (const [style, lineWidth] of strokes) {
        context.strokeStyle = style;
        context.lineWidth = lineWidth;
        context.setLineDash(isChosen ? [] : [3 * thin, 3 * thin]);
        context.beginPath();
        context.roundRect(x - width / 2, y - height / 2, width, height, width / 12);
        context.stroke();
      }
    }
    this.canvas.style.transform = isMirrored ? "scaleX(-1)" : "";
    const what = isMirrored ? "Camera picture" : "Picture";
    const count = faces.length === 1 ? "one face" : `${faces.length || "no"} faces`;
    this.canvas.setAttribute("aria-label", `${what} with ${count} marked`);
  }

  clear(): void {
    this.canvas.hidden = true;
    this.canvas.setAttribute("aria-label", "No picture yet");
    this.invitation.hidden = false;
  }
}
