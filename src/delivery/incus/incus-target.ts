/**
 * Incus as a target: files go into its instances over SFTP.
 *
 * Owns the sessions and the event connection. Leaves after a crash what `deliver.ts` says; its connections die with
 * the process.
 */

import { CodedError } from '../../errors.ts';
import { Deadline } from '../deadline.ts';
import { failedOutcome } from '../failure.ts';
import type {
  ConfiguredInstance,
  Delivery,
  InstanceName,
  Outcome,
  Reachability,
  Target,
  TargetEvent,
  TreeDelivery,
} from '../target.ts';
import { classify, explain } from './classify.ts';
import { getFromIncus, openSftpSession } from './connection.ts';
import { deliverOverSftp } from './deliver.ts';
import { describeEndpoint, type IncusEndpoint } from './endpoint.ts';
import { watchLifecycle } from './lifecycle-events.ts';
import { listConfiguredInstances, listInstances } from './list-instances.ts';
import { removeOverSftp } from './remove-temporary.ts';
import { type Lease, SessionPool } from './session-pool.ts';
import { unpackOverSftp } from './unpack.ts';

const REMOVE_TIMEOUT_MS = 15_000;
/** After a lost connection: whether Incus itself is gone shows in milliseconds. */
const AFTERMATH_PROBE_MS = 2000;

export class IncusTarget implements Target {
  readonly description: string;
  readonly #endpoint: IncusEndpoint;
  readonly #sessions: SessionPool;
  readonly #watches = new Set<() => void>();
  #aftermath: Promise<Reachability> | undefined;

  constructor(endpoint: IncusEndpoint) {
    this.#endpoint = endpoint;
    this.description = `incus (${describeEndpoint(endpoint)})`;
    this.#sessions = new SessionPool((project, instance, timeoutMs) =>
      openSftpSession(endpoint, project, instance, timeoutMs),
    );
  }

  async deliver(delivery: Delivery): Promise<Outcome> {
    const { project, instance, timeoutMs, payload } = delivery;
    const sharing = payload.inline === undefined ? 'alone' : 'shared';
    const lease = () => this.#sessions.lease(project, instance, timeoutMs, sharing);
    return this.#blame(await deliverOverSftp(lease, delivery, (error) => this.#explain(error)));
  }

  async unpack(delivery: TreeDelivery): Promise<Outcome> {
    const { project, instance, timeoutMs } = delivery;
    const lease = () => this.#sessions.lease(project, instance, timeoutMs, 'alone');
    return this.#blame(await unpackOverSftp(lease, delivery, (error) => this.#explain(error)));
  }

  async removeTemporary(project: string, instance: string, path: string): Promise<boolean> {
    const deadline = new Deadline(REMOVE_TIMEOUT_MS);
    let lease: Lease | undefined;
    try {
      lease = await this.#sessions.lease(project, instance, REMOVE_TIMEOUT_MS, 'shared');
      const { session } = lease;
      return await deadline.run('remove', () => removeOverSftp(session, path));
    } catch (error) {
      lease?.release(true);
      // What is not there any more holds no temporary file.
      const { code } = classify(error);
      return code === 'instance_not_found' || code === 'project_not_found';
    } finally {
      deadline.end();
      lease?.release(false);
    }
  }

  async probe(timeoutMs: number): Promise<Reachability> {
    try {
      const server = await getFromIncus(this.#endpoint, '/1.0', timeoutMs);
      // Whom it does not trust, Incus answers this alone.
      if (!isUntrusted(server)) return { reachable: true };
      return { reachable: false, reason: `${this.description} does not trust the client certificate` };
    } catch (error) {
      return { reachable: false, reason: this.#explain(error) };
    }
  }

  instances(project: string | undefined): Promise<readonly InstanceName[]> {
    return this.#list(() => listInstances(this.#endpoint, project));
  }

  configuredInstances(project: string | undefined): Promise<readonly ConfiguredInstance[]> {
    return this.#list(() => listConfiguredInstances(this.#endpoint, project));
  }

  watch(listener: (event: TargetEvent) => void): () => void {
    const stop = watchLifecycle(this.#endpoint, listener);
    this.#watches.add(stop);
    return () => {
      this.#watches.delete(stop);
      stop();
    };
  }

  async close(): Promise<void> {
    for (const stop of this.#watches) stop();
    this.#watches.clear();
    this.#sessions.close();
  }

  /**
   * A connection is lost when an instance stops, and when Incus itself does: then no job's attempt shall be spent. One
   * question answers it for all deliveries that failed together.
   */
  async #blame(outcome: Outcome): Promise<Outcome> {
    if (outcome.kind !== 'transient') return outcome;
    if (outcome.error.code !== 'connection_lost' && outcome.error.code !== 'timed_out') return outcome;
    this.#aftermath ??= this.probe(AFTERMATH_PROBE_MS).finally(() => {
      this.#aftermath = undefined;
    });
    const reachability = await this.#aftermath;
    if (reachability.reachable) return outcome;
    const away = { code: 'target_unreachable', kind: 'transient', scope: 'target', slow: false } as const;
    return failedOutcome(away, reachability.reason, outcome.temporaryLeft);
  }

  /** Incus tells the same whoever asks: a list that does not come says that, and what keeps it. */
  async #list<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (cause) {
      const { code } = classify(cause);
      throw new CodedError(
        code === 'project_not_found' || code === 'permission_denied' ? code : 'target_unreachable',
        `Incus does not tell its instances: ${this.#explain(cause)}`,
        { cause },
      );
    }
  }

  #explain(error: unknown): string {
    return explain(error, this.#endpoint.kind === 'unix' ? this.#endpoint.socketPath : undefined);
  }
}

function isUntrusted(server: unknown): boolean {
  return typeof server === 'object' && server !== null && 'auth' in server && server.auth === 'untrusted';
}
