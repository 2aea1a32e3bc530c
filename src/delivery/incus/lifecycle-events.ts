/**
 * Incus's lifecycle events: tells when an instance became able to take files, and when Incus may have gone away or
 * answers again. Owns one WebSocket at a time, connects again by itself, never faster than `MIN_DELAY_MS`.
 */
import { Agent, WebSocket } from 'undici';
import { backOffDelayMs } from '../../base/back-off.ts';
import type { TargetEvent } from '../target.ts';
import { describeEndpoint, type IncusEndpoint, pinnedTlsOptions } from './endpoint.ts';

const BACK_OFF = { minDelayMs: 250, maxDelayMs: 5000 };
const CONNECT_TIMEOUT_MS = 10_000;

/** After the end of a connection, and after the first that could not be made, the listener may want to ask. */
const TOLD_FAILURES = 2;

/** After these an instance may take files that it did not take before. */
const WAKING_ACTIONS: ReadonlySet<string> = new Set([
  'instance-created',
  'instance-ready',
  'instance-renamed',
  'instance-restarted',
  'instance-restored',
  'instance-resumed',
  'instance-started',
  // Stopped containers take files too, and a snapshot or a stop that is done holds nothing up any more.
  'instance-stopped',
  'instance-shutdown',
  'instance-snapshot-created',
  'instance-updated',
]);

/** Calls `listener` until the function returned is called. */
export function watchLifecycle(endpoint: IncusEndpoint, listener: (event: TargetEvent) => void): () => void {
  const agent = new Agent({ connect: { ...connectOptions(endpoint), timeout: CONNECT_TIMEOUT_MS } });
  const url = `${origin(endpoint)}/1.0/events?type=lifecycle&all-projects=true`;
  let socket: WebSocket | undefined;
  let timer: NodeJS.Timeout | undefined;
  let failures = 0;
  let stopped = false;

  const connect = () => {
    socket = new WebSocket(url, { dispatcher: agent });
    let over = false;
    const again = () => {
      if (over || stopped) return;
      over = true;
      failures += 1;
      // While it ends Incus may still answer; it does not any more once it takes no new connection.
      if (failures <= TOLD_FAILURES) listener({ kind: 'target' });
      timer = setTimeout(connect, backOffDelayMs(failures, BACK_OFF, Math.random));
    };
    socket.addEventListener('open', () => {
      if (failures > 0) listener({ kind: 'target' });
      failures = 0;
    });
    socket.addEventListener('message', ({ data }) => {
      const event = typeof data === 'string' ? decodeLifecycleEvent(data) : undefined;
      if (event !== undefined) listener(event);
    });
    socket.addEventListener('error', again);
    socket.addEventListener('close', again);
  };
  connect();

  return () => {
    stopped = true;
    clearTimeout(timer);
    socket?.close();
    agent.destroy().catch(() => {});
  };
}

/** The event that an Incus lifecycle message stands for, or undefined when it wakes nothing. */
export function decodeLifecycleEvent(text: string): TargetEvent | undefined {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { metadata, project: outerProject } = record(message);
  const { action, name, project, source } = record(metadata);
  if (typeof action !== 'string' || !WAKING_ACTIONS.has(action)) return undefined;
  const instance = typeof name === 'string' && name !== '' ? name : instanceOfSource(source);
  if (instance === undefined) return undefined;
  const named = [project, outerProject].find((value) => typeof value === 'string' && value !== '');
  return { kind: 'instance', instance, project: typeof named === 'string' ? named : 'default' };
}

/** Older servers name the instance only in `source`: `/1.0/instances/NAME?project=…`. */
function instanceOfSource(source: unknown): string | undefined {
  return typeof source === 'string' ? /^\/1\.0\/instances\/([^/?]+)/.exec(source)?.[1] : undefined;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function origin(endpoint: IncusEndpoint): string {
  return endpoint.kind === 'unix' ? 'ws://incus' : describeEndpoint(endpoint).replace(/^https/, 'wss');
}

function connectOptions(endpoint: IncusEndpoint) {
  if (endpoint.kind === 'unix') return { socketPath: endpoint.socketPath };
  return pinnedTlsOptions(endpoint);
}
