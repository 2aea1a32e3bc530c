/** A server under measurement: a process that says on standard error where it listens. */
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startProgram } from './command.ts';

const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 60_000;

export type ServerMemory = { readonly peakMib: number; readonly anonymousMib: number };

export class Server {
  readonly address: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
  }

  /**
   * Starts `program` with its standard error in a file of `dir`, so that reading its log costs this process nothing,
   * and resolves once `findAddress` finds an address there.
   */
  static async start(
    dir: string,
    program: string,
    args: readonly string[],
    findAddress: (log: string) => string | undefined,
  ): Promise<Server> {
    const logPath = join(dir, 'stderr.log');
    // Emptied, since a server that ran here before wrote an address too.
    const log = openSync(logPath, 'w');
    const child = startProgram(program, args, ['ignore', 'ignore', log]);
    closeSync(log);
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    const deadlineMs = performance.now() + START_DEADLINE_MS;
    for (;;) {
      const address = findAddress(readFileSync(logPath, 'utf8'));
      if (address !== undefined) return new Server(child, address);
      if (child.exitCode !== null || child.signalCode !== null || performance.now() > deadlineMs) {
        child.kill('SIGKILL');
        throw new Error(`${program} did not get ready: ${readFileSync(logPath, 'utf8').slice(-2000)}`);
      }
      await Promise.race([delay(10), failed]);
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Peak of the resident memory since the start (VmHWM), and what of it is no file right now (RssAnon). */
  memory(): ServerMemory {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const mib = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024;
    return { peakMib: mib('VmHWM'), anonymousMib: mib('RssAnon') };
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.kill('SIGTERM');
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_DEADLINE_MS);
    await ended;
    clearTimeout(killer);
  }
}
