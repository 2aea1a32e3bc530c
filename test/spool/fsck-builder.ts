/** Damages spools for the tests of fsck, and checks what it says and does. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { encodeJobId } from '../../src/protocol/job-id.ts';
import { checkSpool } from '../../src/spool/fsck.ts';
import type { Finding } from '../../src/spool/fsck-finding.ts';
import type { JobRecord } from '../../src/spool/job-record.ts';
import { Spool } from '../../src/spool/spool.ts';
import { acceptFile, deliver, draft, openSpool, settle, spoolOptions } from './spool-builder.ts';

export const bytes = Buffer.from('payload');
const sha256 = createHash('sha256').update(bytes).digest('hex');

export type Jobs = Record<
  'inline' | 'file' | 'deferred' | 'failed' | 'lingering' | 'gone' | 'cancelled',
  JobRecord
>;

/** A spool with a job of every kind. */
export async function fill(spool: Spool): Promise<Jobs> {
  const keyed = (idempotencyKey: string) => draft({ path: `/${idempotencyKey}`, idempotencyKey, sha256 });
  const inline = await spool.acceptInline(keyed('inline'), bytes);
  const file = await acceptFile(spool, keyed('file'), bytes);
  const deferred = await settle(spool, await spool.acceptInline(keyed('deferred'), bytes), 'deferred');
  const failed = await settle(spool, await acceptFile(spool, keyed('failed'), bytes), 'failed');
  const gone = await deliver(spool, await acceptFile(spool, keyed('gone'), bytes));
  await spool.payloads.sweep(true);
  const lingering = await deliver(spool, await acceptFile(spool, keyed('lingering'), bytes));
  const cancelled = await settle(spool, await spool.acceptInline(keyed('cancelled'), bytes), 'cancelled');
  return { inline, file, deferred, failed, lingering, gone, cancelled };
}

export async function check(stateDir: string, repair: boolean): Promise<Finding[]> {
  const findings: Finding[] = [];
  const summary = await checkSpool({
    stateDir,
    repair,
    nowMs: Date.now(),
    onFinding: (finding, repaired) => {
      assert.equal(repaired, repair);
      findings.push(finding);
    },
  });
  assert.equal(summary.findings, findings.length);
  assert.equal(summary.repaired, repair ? findings.length : 0);
  return findings;
}

export function lostAndFound(stateDir: string): string[] {
  const directory = join(stateDir, 'lost+found');
  return existsSync(directory) ? readdirSync(directory).sort() : [];
}

/**
 * Damages a spool that has a job of every kind; what is found must be as expected, only be told without repair, and be
 * gone after it. Returns the state directory and the spool, opened again.
 */
export async function damage(
  t: TestContext,
  harm: (spool: Spool, jobs: Jobs, stateDir: string) => Promise<unknown> | undefined,
  expected: (jobs: Jobs) => [string, JobRecord | null][],
): Promise<{ stateDir: string; spool: Spool; jobs: Jobs }> {
  const made = await openSpool(t);
  const { stateDir } = made;
  const jobs = await fill(made.spool);
  await harm(made.spool, jobs, stateDir);
  await made.spool.close();

  const wanted = expected(jobs).map(([kind, record]) => [kind, record && encodeJobId(record.sequence)]);
  const told = (findings: Finding[]) => findings.map(({ kind, job }) => [kind, job]);
  assert.deepEqual(told(await check(stateDir, false)), wanted);
  assert.deepEqual(lostAndFound(stateDir), []);
  assert.deepEqual(told(await check(stateDir, true)), wanted);
  assert.deepEqual(told(await check(stateDir, false)), []);
  made.spool = await Spool.open(spoolOptions(stateDir));
  return { stateDir, spool: made.spool, jobs };
}
