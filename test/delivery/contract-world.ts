/** Where the contract of targets is tried: a target with one instance, and what its tests share. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { after, before, beforeEach } from 'node:test';
import type { Delivery, Outcome, Target } from '../../src/delivery/target.ts';
import { createDelivery, TEMPORARY_PREFIX } from './delivery-builder.ts';

export type ContractWorld = {
  readonly target: Target;
  readonly project: string;
  readonly instance: string;
  /** This machine's path of a path in the instance. */
  host(path: string): string;
  /** Mode, owner and group as the instance sees them. */
  look(path: string): Promise<{ mode: number; uid: number; gid: number }>;
  /** Whether files can be given away and setuid bits are kept. */
  readonly keepsOwner: boolean;
  readonly keepsSpecialBits: boolean;
  close(): Promise<void>;
};

/** What a test of the contract works with; `world` and `home` are there while a test runs. */
export type ContractScene = {
  readonly world: ContractWorld;
  /** A directory of its own for each test, existing. */
  readonly home: string;
  host(path: string): string;
  look(path: string): ReturnType<ContractWorld['look']>;
  read(path: string): Buffer;
  deliver(changes: Partial<Delivery>): Promise<Outcome>;
};

/** Opens a world before the tests of the suite that is being described, and closes it after them. */
export function createScene(open: () => Promise<ContractWorld>): ContractScene {
  let world: ContractWorld;
  let round = 0;
  let home = '';

  before(async () => {
    world = await open();
  });
  beforeEach(() => {
    round += 1;
    home = `/opt/round ${process.pid} ${round}`;
    fs.mkdirSync(world.host(home), { recursive: true });
  });
  after(async () => {
    const left = world === undefined ? [] : temporariesBelow(world.host('/opt'));
    await world?.close();
    assert.deepEqual(left, []);
  });

  return {
    get world() {
      return world;
    },
    get home() {
      return home;
    },
    host: (path) => world.host(path),
    look: (path) => world.look(path),
    read: (path) => fs.readFileSync(world.host(path)),
    deliver: (changes) =>
      world.target.deliver(createDelivery({ project: world.project, instance: world.instance, ...changes })),
  };
}

export function assertFailed(outcome: Outcome, kind: 'transient' | 'permanent', code: string): void {
  if (outcome.kind === 'delivered') assert.fail('it was delivered');
  assert.equal(outcome.kind, kind, JSON.stringify(outcome));
  assert.equal(outcome.error.code, code, JSON.stringify(outcome));
  assert.equal(outcome.temporaryLeft, false, JSON.stringify(outcome));
  assert.equal(outcome.error.retryable, kind === 'transient');
}

/** Temporary files of tests below a directory of this machine. */
export function temporariesBelow(directory: string): string[] {
  if (!fs.existsSync(directory)) return [];
  const entries = fs.readdirSync(directory, { withFileTypes: true, recursive: true });
  return entries
    .filter(({ name }) => name.startsWith(TEMPORARY_PREFIX))
    .map(({ parentPath, name }) => `${parentPath}/${name}`);
}
