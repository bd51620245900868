/** What the page shows of a reading: bars, the circle of valence and arousal, the face's pixels. */

import { colorOf, EMOTIONS } from "./emotions.ts";

/** An element of the page by its id. */
export function element<T extends Element = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no element "${id}"`);
  return found as unknown as T;
}

/** A bar a class. */
export class Bars {
  private rows: { readonly item: HTMLElement; readonly fill: HTMLElement; readonly value: Text }[] =
    [];

  constructor(private readonly list: HTMLElement) {}

  setClasses(names: readonly string[]): void {
    this.rows = names.map((name) => {
      const item = document.createElement("li");
      const label = document.createElement("span");
      label.textContent = name;
      const track = document.createElement("span");
      track.className = "track";
      track.setAttribute("aria-hidden", "true");
      const fill = document.createElement("div");
      fill.className = "fill";
      fill.style.setProperty("--color", colorOf(name));
      track.append(fill);
      const shown = document.createElement("span");
      shown.className = "value";
      const value = document.createTextNode("");
      shown.append(value);
      item.append(label, track, shown);
      return { item, fill, value };
    });
    this.list.replaceChildren(...this.rows.map((row) => row.item));
    this.clear();
  }

  show(probabilities: ArrayLike<number>): void {
    const top = indexOfLargest(probabilities);
    this.rows.forEach(({ item, fill, value }, i) => {
      const share = probabilities[i] ?? 0;
      fill.style.setProperty("--share", share.toFixed(4));
      value.data = `${Math.round(share * 100)} %`;
      item.classList.toggle("top", i === top);
    });
  }

  clear(): void {
    for (const { item, fill, value } of this.rows) {
      fill.style.setProperty("--share", "0");
      value.data = "–";
      item.classList.remove("top");
    }
  }
}

export function indexOfLargest(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) {
    if ((values[i] as number) > (values[best] as number)) best = i;
  }
  return best;
}

const RADIUS = 100;
/** Points of the trail, each fainter than the next. */
const TRAIL = 40;
/** Labels that would lie on others stand to the left of their dot. */
const LEFT = new Set(["fear", "happiness"]);

/** The circle: valence to the right, arousal upwards. */
export class Circle {
  private readonly trail: SVGGElement;
  private readonly point: SVGCircleElement;
  private readonly past: [number, number][] = [];

  constructor(
    private readonly svg: SVGSVGElement,
    private readonly figures: HTMLElement,
  ) {
    const rim = part("circle", { r: RADIUS, class: "rim" });
    const across = part("line", { x1: -RADIUS, x2: RADIUS, class: "axis" });
    const upright = part("line", { y1: -RADIUS, y2: RADIUS, class: "axis" });
    const axes = part("g", { class: "axes" });
    axes.append(
      label("excited", 0, -RADIUS - 8, "middle"),
      label("calm", 0, RADIUS + 16, "middle"),
      turned("unpleasant", -RADIUS - 10),
      turned("pleasant", RADIUS + 16),
    );
    const words = part("g", {});
    for (const { name, valence, arousal } of EMOTIONS) {
      const [x, y] = [valence * RADIUS, -arousal * RADIUS];
      const dot = part("circle", { cx: x, cy: y, r: 3.5, stroke: "var(--muted)" });
      dot.style.fill = colorOf(name);
      const isLeft = LEFT.has(name);
      words.append(dot, label(name, x + (isLeft ? -7 : 7), y + 3, isLeft ? "end" : "start"));
    }
    this.trail = part("g", {});
    this.point = part("circle", { r: 8, class: "point", visibility: "hidden" });
    this.svg.replaceChildren(rim, across, upright, axes, words, this.trail, this.point);
  }

  show(valence: number, arousal: number): void {
    const [x, y] = [valence * RADIUS, -arousal * RADIUS];
    this.past.push([x, y]);
    if (this.past.length > TRAIL) this.past.shift();
    const lines = this.past.slice(1).map(([toX, toY], i) => {
      const [fromX, fromY] = this.past[i] as [number, number];
      const opacity = (i + 1) / this.past.length;
      const ends = { x1: fromX, y1: fromY, x2: toX, y2: toY };
      return part("line", { ...ends, class: "trail", opacity: opacity.toFixed(2) });
    });
    this.trail.replaceChildren(...lines);
    this.point.setAttribute("cx", x.toFixed(2));
    this.point.setAttribute("cy", y.toFixed(2));
    this.point.setAttribute("visibility", "visible");
    const text = `valence ${signed(valence)}, arousal ${signed(arousal)}`;
    this.svg.setAttribute(
      "aria-label",
      `Circle of valence and arousal, each from -1 to 1: ${text}`,
    );
    this.figures.textContent = text;
  }

  clear(what = "No face"): void {
    this.past.length = 0;
    this.trail.replaceChildren();
    this.point.setAttribute("visibility", "hidden");
    this.svg.setAttribute("aria-label", `Circle of valence and arousal: ${what}`);
    this.figures.textContent = "–";
  }
}

export function signed(value: number): string {
  const text = Math.abs(value).toFixed(2);
  return Number(text) === 0 ? text : `${value < 0 ? "−" : "+"}${text}`;
}

function part<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Record<string, string | number>,
): SVGElementTagNameMap[K] {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

function label(text: string, x: number, y: number, anchor: string): SVGTextElement {
  const made = part("text", { x, y, "text-anchor": anchor });
  made.textContent = text;
  return made;
}

function turned(text: string, x: number): SVGTextElement {
  const made = label(text, x, 0, "middle");
  made.setAttribute("transform", `rotate(-90 ${x} 0)`);
  return made;
}

/** The very bytes that a model read, enlarged by the page's style. */
export function showCrop(
  canvas: HTMLCanvasElement,
  input: Uint8Array,
  width: number,
  height: number,
  channels: number,
): void {
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let channel = 0; channel < 3; channel++) {
      const from = channels === 1 ? i : i * channels + channel;
      pixels.data[4 * i + channel] = input[from] as number;
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
  canvas.setAttribute("aria-label", `The face as the model reads it, ${width} by ${height} pixels`);
}

export function clearCrop(canvas: HTMLCanvasElement): void {
  canvas.getContext("2d")?.clearRect(0, 0, canvas.width, canvas.height);
  canvas.setAttribute("aria-label", "No face");
}
