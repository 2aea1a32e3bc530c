/** What must be left on disk when a daemon has ended in order and nothing is unfinished. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { encodeJobId } from '../../src/protocol/job-id.ts';
import { Ballast } from '../../src/spool/ballast.ts';
import { decodeJobRecord, type JobRecord } from '../../src/spool/job-record.ts';
import { Journal } from '../../src/spool/journal.ts';
import { parsePayloadName } from '../../src/spool/recovery.ts';
import type { Breaches } from './breaches.ts';

const EXIT_USAGE = 64;

/** Temporary files of deliveries below some directories. */
export function findTemporaries(roots: readonly string[]): string[] {
  return roots.flatMap((root) =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.name.startsWith('.incus-upload.'))
      .map((entry) => join(entry.parentPath, entry.name)),
  );
}

/** Payloads and tables of the journal: only failed jobs may still have something. */
export async function checkState(stateDir: string, breaches: Breaches): Promise<void> {
  const journal = await Journal.open(join(stateDir, 'journal'), {
    ballast: new Ballast(stateDir),
    onBroken: (error) => breaches.add(`the journal cannot be read: ${error.message}`),
  });
  try {
    const failed = new Map<number, JobRecord>();
    for (const { key, value } of journal.jobs.getRange({ start: 0 })) {
      const record = decodeJobRecord(key, value);
      if (record.state === 'failed') failed.set(key, record);
    }
    const files = new Set([...failed.values()].map(({ payloadFile }) => payloadFile));
    for (const name of readdirSync(join(stateDir, 'payloads'))) {
      const number = parsePayloadName(name);
      if (number === undefined || !files.has(number))
        breaches.add(`the spool keeps ${name}, which no job needs`);
      else files.delete(number);
    }
    files.delete(0);
    for (const file of files) breaches.add(`the payload ${file} of a failed job is gone`);
    for (const sequence of journal.payloads.getKeys({ start: 0 })) {
      if (!failed.has(sequence) || failed.get(sequence)?.batch !== null)
        breaches.add(`the journal keeps the payload of ${encodeJobId(sequence)}, which no job needs`);
    }
    for (const [batch, sequence] of journal.batches.getKeys({})) {
      if (sequence !== 0 && !failed.has(sequence))
        breaches.add(`the batch ${batch} keeps its payload for ${encodeJobId(sequence)}, which needs none`);
      const members = [...journal.batches.getKeys({ start: [batch, 1], end: [batch + 1, 0] })];
      if (sequence === 0 && members.length === 0)
        breaches.add(`the journal keeps the payload of batch ${batch}, which no job needs`);
    }
    for (const [sequence, name] of journal.temporaries.getKeys({})) {
      breaches.add(`the journal still lists the temporary file ${name} of ${encodeJobId(sequence)}`);
    }
    const listed = [
      ...Array.from(journal.live.getKeys({ start: 0 }), (sequence) => ['live', sequence] as const),
      ...Array.from(journal.linger.getKeys({}), (key) => ['linger', key] as const),
    ];
    for (const [table, key] of listed)
      breaches.add(`the journal's table ${table} still holds ${String(key)}`);
  } finally {
    await journal.close();
  }
}

/** `incus-uploadd fsck` has nothing to say; false when this daemon has no such command. */
export function runFsck(launcher: string, stateDir: string, breaches: Breaches): boolean {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [launcher, 'fsck', '--state-dir', stateDir],
    {
      encoding: 'utf8',
    },
  );
  if (status === EXIT_USAGE) return false;
  if (status !== 0)
    breaches.add(`fsck ended with ${status}: ${stdout.slice(0, 1000)} ${stderr.slice(0, 1000)}`);
  return true;
}
