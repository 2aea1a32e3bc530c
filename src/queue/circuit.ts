/**
 * Whether Incus answers. When it does not, the queue pauses and no attempt is spent; this asks again and again, and the
 * moment Incus answers the queue goes on. Starts closed (deliveries flow) and learns from them.
 */
export type Probe = () => Promise<
  { readonly reachable: true } | { readonly reachable: false; readonly reason: string }
>;

export class Circuit {
  readonly #probe: Probe;
  readonly #intervalMs: number;
  readonly #onOpen: (reason: string) => void;
  readonly #onClose: () => void;
  #reason: string | undefined;
  #sinceMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #probing = false;
  #stopped = false;
  readonly #nowMs: () => number;

  constructor(options: {
    probe: Probe;
    /** Pause between two probes while Incus is away. */
    intervalMs: number;
    nowMs: () => number;
    onOpen: (reason: string) => void;
    onClose: () => void;
  }) {
    this.#probe = options.probe;
    this.#intervalMs = options.intervalMs;
    this.#nowMs = options.nowMs;
    this.#onOpen = options.onOpen;
    this.#onClose = options.onClose;
  }

  /** Why nothing is delivered, or undefined while deliveries flow. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Since when nothing is delivered, in milliseconds since 1970; undefined while deliveries flow. */
  get openSinceMs(): number | undefined {
    return this.#reason === undefined ? undefined : this.#sinceMs;
  }

  /** Incus was seen to be away. */
  open(reason: string): void {
    if (this.#stopped) return;
    const wasOpen = this.#reason !== undefined;
    this.#reason = reason;
    if (wasOpen) return;
    this.#sinceMs = this.#nowMs();
    this.#onOpen(reason);
    this.#askLater();
  }

  /** Asks at once, because something says that Incus may be back, or at start-up whether it is there. */
  async ask(): Promise<void> {
    if (this.#probing || this.#stopped) return;
    this.#probing = true;
    const answer = await this.#probe();
    this.#probing = false;
    if (this.#stopped) return;
    if (!answer.reachable) {
      if (this.#reason === undefined) this.open(answer.reason);
      else {
        this.#reason = answer.reason;
        this.#askLater();
      }
    } else if (this.#reason !== undefined) {
      this.#reason = undefined;
      clearTimeout(this.#timer);
      this.#onClose();
    }
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #askLater(): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => void this.ask(), this.#intervalMs);
  }
}
