/**
 * Text for a screen reader, sparingly: what holds for a while and is new, and not more often than
 * every few seconds. A camera's readings change thirty times a second; nobody could listen to that.
 */
export class Announcements {
  private said = "";
  private pending = "";
  private pendingSince = 0;
  private saidAt = Number.NEGATIVE_INFINITY;

  /** Seconds that a text must hold, and seconds between two texts. */
  constructor(
    private readonly say: (text: string) => void,
    private readonly holds = 1,
    private readonly apart = 4,
  ) {}

  /** What would be said at a time in seconds. */
  offer(text: string, at: number): void {
    if (text !== this.pending) {
      this.pending = text;
      this.pendingSince = at;
    }
    const isSteady = at - this.pendingSince >= this.holds;
    if (text !== this.said && isSteady && at - this.saidAt >= this.apart) this.now(text, at);
  }

  /** Say it at once, as after a reader's own deed. */
  now(text: string, at: number): void {
    this.said = this.pending = text;
    this.saidAt = this.pendingSince = at;
    this.say(text);
  }
}
