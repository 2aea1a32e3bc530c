import type {
  ConfiguredInstance,
  Delivery,
  InstanceName,
  Outcome,
  TreeDelivery,
} from '../../src/delivery/target.ts';
import { readTree } from '../../src/delivery/tree-reader.ts';
import { CodedError, ERRORS, type ErrorCode } from '../../src/errors.ts';
import type { Deliverer } from '../../src/queue/attempt.ts';

/** What the target does with the next deliveries. */
export type Behaviour = 'deliver' | 'hold' | 'away' | { readonly fail: ErrorCode };

/** A target that keeps files in memory and does as it is told. */
export class MemoryTarget implements Deliverer {
  /** By `instance:path`. */
  readonly files = new Map<string, Buffer>();
  readonly deliveries: Delivery[] = [];
  /** What it says there is; deliveries go anywhere. */
  known: ConfiguredInstance[] = [];
  #behaviour: Behaviour = 'deliver';
  #held: (() => void)[] = [];

  /** Changes what happens to deliveries from now on; those on hold go on under the new rule. */
  behave(behaviour: Behaviour): void {
    this.#behaviour = behaviour;
    const held = this.#held;
    this.#held = [];
    for (const wake of held) wake();
  }

  async deliver(delivery: Delivery): Promise<Outcome> {
    this.deliveries.push(delivery);
    while (this.#behaviour === 'hold') {
      if (delivery.signal.aborted) return transient('connection_lost');
      await new Promise<void>((resolve) => {
        this.#held.push(resolve);
        delivery.signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    const behaviour = this.#behaviour;
    if (behaviour === 'away') return { ...transient('target_unreachable'), scope: 'target' };
    if (typeof behaviour === 'object') {
      const error = errorOf(behaviour.fail);
      return error.retryable ? transient(behaviour.fail) : { kind: 'permanent', error, temporaryLeft: false };
    }
    let bytes: Buffer;
    try {
      bytes = await readAll(delivery);
    } catch {
      return transient('connection_lost');
    }
    const path = delivery.path.endsWith('/') ? delivery.path + delivery.sourceName : delivery.path;
    this.files.set(`${delivery.instance}:${path}`, bytes);
    delivery.onProgress(bytes.length);
    return { kind: 'delivered', path };
  }

  /** Keeps the files of an archive by their paths. */
  async unpack(delivery: TreeDelivery): Promise<Outcome> {
    const { instance, payload, path } = delivery;
    for await (const items of readTree(payload, await payload.committed)) {
      for (const { entry, content } of items) {
        if (entry.kind === 'directory') continue;
        const file = `${path.replace(/\/$/, '')}/${entry.name}`;
        this.files.set(`${instance}:${file}`, content ?? Buffer.alloc(0));
        delivery.onFile(file, true);
      }
    }
    return { kind: 'delivered', path };
  }

  removeTemporary(): Promise<boolean> {
    return Promise.resolve(true);
  }

  async instances(project: string | undefined): Promise<InstanceName[]> {
    const found = await this.configuredInstances(project);
    return found.map(({ project: of, instance }) => ({ project: of, instance }));
  }

  async configuredInstances(project: string | undefined): Promise<ConfiguredInstance[]> {
    if (this.#behaviour === 'away') throw new CodedError('target_unreachable', 'Incus is away');
    return this.known.filter((one) => project === undefined || one.project === project);
  }

  probe(): Promise<{ reachable: true } | { reachable: false; reason: string }> {
    return Promise.resolve(
      this.#behaviour === 'away' ? { reachable: false, reason: 'Incus is away' } : { reachable: true },
    );
  }
}

async function readAll({ payload }: Delivery): Promise<Buffer> {
  if (payload.inline !== undefined) return Buffer.from(payload.inline);
  const size = await payload.committed;
  const bytes = Buffer.alloc(size);
  for (let offset = 0; offset < size; ) {
    const read = await payload.read(bytes.subarray(offset), offset);
    if (read === 0) throw new Error(`The payload ends at ${offset} of ${size} bytes`);
    offset += read;
  }
  return bytes;
}

function errorOf(code: ErrorCode): { code: ErrorCode; message: string; retryable: boolean } {
  return { code, message: ERRORS[code].sentence, retryable: ERRORS[code].retryable };
}

function transient(code: ErrorCode): Outcome & { kind: 'transient' } {
  return { kind: 'transient', error: errorOf(code), scope: 'job', slow: false, temporaryLeft: false };
}
