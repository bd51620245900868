/** Readings of a video, steadied: an exponential mean whose weights follow the time that passed. */
export class Smoothing {
  private values: Float64Array | undefined;
  private at = 0;

  /** A jump fades to 1/e of itself within this many seconds, at any frame rate. */
  constructor(readonly seconds: number) {
    if (!(seconds > 0)) throw new RangeError(`Expected seconds above 0. Received: ${seconds}`);
  }

  /** The steadied values after a reading at a time in seconds; the first stays as it is. */
  next(reading: ArrayLike<number>, at: number): Float64Array {
    if (this.values === undefined || this.values.length !== reading.length || at < this.at) {
      this.values = Float64Array.from(reading);
    } else {
      const share = 1 - Math.exp(-(at - this.at) / this.seconds);
      this.values = this.values.map((old, i) => old + share * ((reading[i] as number) - old));
    }
    this.at = at;
    return this.values;
  }

  /** Forget what was read, as when the face is gone. */
  reset(): void {
    this.values = undefined;
  }
}
