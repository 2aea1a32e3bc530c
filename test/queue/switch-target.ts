import type {
  Delivery,
  FailureScope,
  Outcome,
  Reachability,
  TreeDelivery,
} from '../../src/delivery/target.ts';
import { ERRORS, type ErrorCode } from '../../src/errors.ts';
import type { Deliverer } from '../../src/queue/attempt.ts';

export type Failure = {
  readonly fail: ErrorCode;
  readonly scope?: FailureScope;
  readonly slow?: boolean;
  /** The instance stopped answering, so the temporary file stays. */
  readonly temporaryLeft?: boolean;
};

/** What deliveries meet: nothing special, a pause before the rename, an Incus that is away, or a failure. */
export type Behaviour = 'deliver' | 'hold' | 'away' | Failure;

/**
 * A target that keeps files in memory and does as it is told, for each instance. Like a real one it makes a temporary
 * file first and removes it, unless it is told that it cannot.
 */
export class SwitchTarget implements Deliverer {
  /** By `instance:path`. */
  readonly files = new Map<string, Buffer>();
  /** `instance:path` of temporary files that are there. */
  readonly temporaries = new Set<string>();
  /** What became visible, oldest first: `instance:path=first bytes`. */
  readonly log: string[] = [];
  /** Whatever was asked of it, oldest first. */
  readonly calls: string[] = [];
  /** Deliveries under way, and the most there ever were. */
  readonly running = new Map<string, number>();
  readonly mostRunning = new Map<string, number>();
  /** Whether temporary files can be removed. */
  removes = true;
  reachability: Reachability = { reachable: true };
  readonly #behaviours = new Map<string, Behaviour>();
  #changed: (() => void)[] = [];

  /** Changes what deliveries to an instance meet from now on, also those on hold. `*` is every other instance. */
  behave(instance: string, behaviour: Behaviour): void {
    this.#behaviours.set(instance, behaviour);
    const changed = this.#changed;
    this.#changed = [];
    for (const wake of changed) wake();
  }

  async deliver(delivery: Delivery): Promise<Outcome> {
    const { instance } = delivery;
    this.calls.push(`deliver ${instance}:${delivery.path}`);
    for (const name of [instance, 'all']) this.#count(name, 1);
    try {
      return await this.#deliver(delivery);
    } finally {
      for (const name of [instance, 'all']) this.#count(name, -1);
    }
  }

  /** An archive becomes one file under its own path, and is said to hold the names that its payload lists. */
  async unpack(delivery: TreeDelivery): Promise<Outcome> {
    const names = (await readAll(delivery)).toString().split(' ');
    const outcome = await this.deliver({ ...delivery, sourceName: '', mode: 0 });
    if (outcome.kind !== 'delivered') return outcome;
    for (const name of names) {
      const path = delivery.path + name;
      const placed = !delivery.isOvertaken(path);
      if (placed) this.log.push(`${delivery.instance}:${path}`);
      delivery.onFile(path, placed);
    }
    return outcome;
  }

  removeTemporary(_project: string, instance: string, path: string): Promise<boolean> {
    this.calls.push(`remove ${instance}:${path}`);
    if (this.removes) this.temporaries.delete(`${instance}:${path}`);
    return Promise.resolve(this.removes);
  }

  probe(): Promise<Reachability> {
    this.calls.push('probe');
    return Promise.resolve(this.reachability);
  }

  async #deliver(delivery: Delivery): Promise<Outcome> {
    const { instance, payload, temporaryName } = delivery;
    if (this.#behaviourFor(instance) === 'away') return failed('target_unreachable', { scope: 'target' });
    const path = delivery.path.endsWith('/') ? delivery.path + delivery.sourceName : delivery.path;
    const temporary = `${path.slice(0, path.lastIndexOf('/') + 1)}${temporaryName}`;
    await delivery.onTemporary(temporary);
    this.temporaries.add(`${instance}:${temporary}`);
    const end = (failure: Failure): Outcome => {
      if (failure.temporaryLeft !== true) this.temporaries.delete(`${instance}:${temporary}`);
      return failed(failure.fail, failure);
    };
    let bytes: Buffer;
    try {
      bytes = await readAll(delivery);
      while (this.#behaviourFor(instance) === 'hold' && !delivery.signal.aborted)
        await this.#change(delivery);
      if (delivery.signal.aborted) return end({ fail: 'cancelled' });
      await payload.committed;
    } catch {
      return end({ fail: 'connection_lost' });
    }
    const behaviour = this.#behaviourFor(instance);
    if (behaviour === 'away') return end({ fail: 'target_unreachable', scope: 'target' });
    if (typeof behaviour === 'object') return end(behaviour);
    this.temporaries.delete(`${instance}:${temporary}`);
    this.files.set(`${instance}:${path}`, bytes);
    this.log.push(`${instance}:${path}=${bytes.subarray(0, 8).toString()}`);
    return { kind: 'delivered', path };
  }

  #behaviourFor(instance: string): Behaviour {
    return this.#behaviours.get(instance) ?? this.#behaviours.get('*') ?? 'deliver';
  }

  #change({ signal }: Delivery): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#changed.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  #count(name: string, change: number): void {
    const running = (this.running.get(name) ?? 0) + change;
    this.running.set(name, running);
    this.mostRunning.set(name, Math.max(running, this.mostRunning.get(name) ?? 0));
  }
}

async function readAll({ payload, onProgress }: Pick<Delivery, 'payload' | 'onProgress'>): Promise<Buffer> {
  if (payload.inline !== undefined) return Buffer.from(payload.inline);
  const pieces: Buffer[] = [];
  for (let offset = 0; ; ) {
    const piece = Buffer.alloc(64 * 1024);
    const bytes = await payload.read(piece, offset);
    if (bytes === 0) return Buffer.concat(pieces);
    pieces.push(piece.subarray(0, bytes));
    offset += bytes;
    onProgress(offset);
  }
}

export function failed(code: ErrorCode, about: Omit<Failure, 'fail'> = {}): Outcome {
  const { retryable, sentence } = ERRORS[code];
  const { scope = 'job', slow = false, temporaryLeft = false } = about;
  const isTransient = retryable || code === 'cancelled';
  const error = { code, message: sentence, retryable: isTransient };
  return isTransient
    ? { kind: 'transient', error, scope, slow, temporaryLeft }
    : { kind: 'permanent', error, temporaryLeft };
}
