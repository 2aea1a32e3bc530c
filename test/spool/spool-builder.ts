/** Makes spools for tests: in a temporary directory, with a clock that can be set. */
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { keyOfPath } from '../../src/protocol/path-key.ts';
import type { JobRecord } from '../../src/spool/job-record.ts';
import { type Draft, Spool, type SpoolOptions } from '../../src/spool/spool.ts';
import { releaseAfter } from '../support/release-after.ts';

export async function makeDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'incus-upload-spool-'));
  releaseAfter(t, () => rm(directory, { recursive: true, force: true }));
  return directory;
}

export function spoolOptions(stateDir: string, overrides: Partial<SpoolOptions> = {}): SpoolOptions {
  return {
    stateDir,
    minFreeSpaceBytes: 0,
    maxAttempts: 3,
    lingerMs: 60_000,
    bootId: 'boot-1',
    nowMs: Date.now,
    onBroken: (error) => {
      throw error;
    },
    ...overrides,
  };
}

export type TestSpool = {
  stateDir: string;
  spool: Spool;
  /** Ends the run in order and starts the next. */
  reopen(overrides?: Partial<SpoolOptions>): Promise<Spool>;
  /** Starts the next run from what is in the state directory now, as after kill -9: the old run goes on elsewhere. */
  crash(overrides?: Partial<SpoolOptions>): Promise<Spool>;
};

/** A spool that is closed after the test. */
export async function openSpool(
  t: TestContext,
  overrides: Partial<SpoolOptions> = {},
  stateDir?: string,
): Promise<TestSpool> {
  const directory = stateDir ?? (await makeDirectory(t));
  const options = (more: Partial<SpoolOptions> = {}): SpoolOptions =>
    spoolOptions(made.stateDir, { ...overrides, ...more });
  const made: TestSpool = {
    stateDir: directory,
    spool: await Spool.open(spoolOptions(directory, overrides)),
    reopen: async (more) => {
      await made.spool.close();
      made.spool = await Spool.open(options(more));
      return made.spool;
    },
    crash: async (more) => {
      const before = made.spool;
      const copy = join(await makeDirectory(t), 'state');
      await cp(made.stateDir, copy, { recursive: true });
      await before.close();
      made.stateDir = copy;
      made.spool = await Spool.open(options(more));
      return made.spool;
    },
  };
  releaseAfter(t, () => made.spool.close().catch(() => undefined));
  return made;
}

export function draft(overrides: Partial<Draft> = {}): Draft {
  return {
    instance: 'c1',
    project: 'default',
    path: '/srv/file',
    sourceName: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    createDirs: true,
    sha256: null,
    submittedBy: null,
    idempotencyKey: null,
    ...overrides,
  };
}

/** Accepts a payload by way of a file, however small. */
export async function acceptFile(spool: Spool, about: Draft, bytes: Buffer): Promise<JobRecord> {
  const upload = await spool.openUpload();
  upload.writer.write(bytes, () => undefined);
  await upload.writer.finish();
  const record = await spool.acceptFile(about, upload);
  await upload.writer.close();
  return record;
}

/** Records that a job was delivered. */
export async function deliver(spool: Spool, record: JobRecord): Promise<JobRecord> {
  const path = record.path.endsWith('/') ? record.path + record.sourceName : record.path;
  const nowMs = spool.nowMs();
  const next: JobRecord = {
    ...record,
    state: 'delivered',
    deliveredPath: path,
    finishedAt: nowMs,
    updatedAt: nowMs,
  };
  await spool.record(record, next, { deliveredKey: keyOfPath(record, path) });
  return next;
}

/** Records that a job failed, was cancelled or is to be tried again. */
export async function settle(
  spool: Spool,
  record: JobRecord,
  state: 'failed' | 'cancelled' | 'deferred',
): Promise<JobRecord> {
  const nowMs = spool.nowMs();
  const next: JobRecord =
    state === 'deferred'
      ? { ...record, state, nextAttemptAt: nowMs + 1000, updatedAt: nowMs }
      : { ...record, state, finishedAt: nowMs, updatedAt: nowMs };
  await spool.record(record, next);
  return next;
}

/** The whole payload of a job. */
export async function readPayload(spool: Spool, record: JobRecord): Promise<Buffer> {
  const payload = await spool.payloads.open(record);
  try {
    const buffer = Buffer.alloc(record.size);
    let length = 0;
    while (length < record.size) {
      const bytes = await payload.read(buffer.subarray(length), length);
      if (bytes === 0) break;
      length += bytes;
    }
    return buffer.subarray(0, length);
  } finally {
    await payload.close();
  }
}

export async function payloadFiles(stateDir: string): Promise<string[]> {
  return (await readdir(join(stateDir, 'payloads'))).sort();
}

/** Bytes that can be told from any others: the path, over and over. */
export function payloadOf(path: string, size: number): Buffer {
  return Buffer.alloc(size, `${path}\n`);
}
