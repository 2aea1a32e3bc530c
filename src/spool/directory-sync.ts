import { close, fsync, open } from 'node:fs';
import { promisify } from 'node:util';

/**
 * Makes new and removed names of one directory durable (fsync(2): syncing a file does not sync its name). Callers that
 * come while a sync is under way share the next one.
 */
export class DirectorySync {
  readonly #fd: number;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  static async open(path: string): Promise<DirectorySync> {
    return new DirectorySync(await promisify(open)(path, 'r'));
  }

  /** Resolves once every name made or removed before the call is on stable storage. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    );
    return this.#next;
  }

  async close(): Promise<void> {
    await (this.#next ?? this.#running)?.catch(() => undefined);
    await promisify(close)(this.#fd);
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const running = promisify(fsync)(this.#fd).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}
