/** An upload whose body is arriving. */
export type ArrivingUpload = {
  /** By the steady clock of `performance.now()`: the machine's may be set. */
  readonly lastByteAtMs: number;
  readonly receivedBytes: number;
  /** Whether it is we who let the sender wait. */
  readonly paused: boolean;
  /** Ends the upload: no byte came for too long. */
  stall(): void;
  /** Ends the upload: others need its place. */
  giveWay(): void;
};

type Progress = { bytes: number; slowLooks: number };

const LOOK_AT_LEAST_EVERY_MS = 1000;
/** A body that grows by less between two looks is slow. */
const SLOW_BYTES = 1024;
/** So many slow uploads are let be; more of them, when every place is taken, are a flood. */
const TOLERATED_SLOW = 64;
/** Between two looks a body is slow as well that has been silent for so long, or of which hardly anything has come. */
const SILENT_MS = 1000;
/** One of which hardly anything has come gives way after so long. */
const UNBEGUN_MS = 50;

/** The uploads whose bodies are arriving. One timer looks for those that have stopped, however many there are. */
export class UploadRegistry {
  readonly #uploads = new Map<ArrivingUpload, Progress>();
  readonly #bodyTimeoutMs: () => number;
  /** When the next look is due. */
  #dueAtMs = 0;
  #timer: NodeJS.Timeout;

  constructor(options: { bodyTimeoutMs: () => number }) {
    this.#bodyTimeoutMs = options.bodyTimeoutMs;
    this.#timer = this.#schedule();
  }

  get size(): number {
    return this.#uploads.size;
  }

  add(upload: ArrivingUpload): void {
    this.#uploads.set(upload, { bytes: 0, slowLooks: 0 });
  }

  delete(upload: ArrivingUpload): boolean {
    return this.#uploads.delete(upload);
  }

  /**
   * Ends the upload that has been slow for longest, when so many are slow that this is no accident; false when none had
   * to give way. So senders that hold places without using them keep nobody else out, from the first moment on.
   */
  makeRoom(nowMs = performance.now()): boolean {
    let slow = 0;
    let slowest: ArrivingUpload | undefined;
    let mostLooks = 0;
    for (const [upload, { slowLooks }] of this.#uploads) {
      const silentMs = upload.paused ? 0 : nowMs - upload.lastByteAtMs;
      const isUnbegun = upload.receivedBytes < SLOW_BYTES && !upload.paused;
      if (slowLooks === 0 && !isUnbegun && silentMs <= SILENT_MS) continue;
      slow += 1;
      if (slowLooks === 0 && silentMs <= UNBEGUN_MS) continue;
      const isSlower = slowLooks === mostLooks ? isSilentLonger(upload, slowest) : slowLooks > mostLooks;
      if (!isSlower) continue;
      mostLooks = slowLooks;
      slowest = upload;
    }
    if (slow <= TOLERATED_SLOW || slowest === undefined) return false;
    slowest.giveWay();
    return true;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #look(): void {
    // A process that got no time itself could not see what was sent meanwhile.
    const latestMs = Math.min(performance.now(), this.#dueAtMs) - this.#bodyTimeoutMs();
    for (const [upload, progress] of this.#uploads) {
      if (upload.paused) continue;
      if (upload.lastByteAtMs < latestMs) upload.stall();
      const isSlow = upload.receivedBytes - progress.bytes < SLOW_BYTES;
      progress.slowLooks = isSlow ? progress.slowLooks + 1 : 0;
      progress.bytes = upload.receivedBytes;
    }
    this.#timer = this.#schedule();
  }

  /** The timeout may change while this runs, so each look sets the time of the next. */
  #schedule(): NodeJS.Timeout {
    const everyMs = Math.min(Math.max(this.#bodyTimeoutMs() / 8, 50), LOOK_AT_LEAST_EVERY_MS);
    this.#dueAtMs = performance.now() + everyMs;
    return setTimeout(() => this.#look(), everyMs).unref();
  }
}

function isSilentLonger(upload: ArrivingUpload, than: ArrivingUpload | undefined): boolean {
  return than === undefined || upload.lastByteAtMs < than.lastByteAtMs;
}
