/**
 * Accepts jobs as fast as it can until it is killed, small and large ones, and ends some of them. After each promise it
 * prints one line: `a` or `f` with the sequence when a job was accepted, `d` when it was delivered, `x` when cancelled.
 * A payload repeats its path, so that whoever reads it can tell whether it is whole.
 */

import { randomInt } from 'node:crypto';
import { writeSync } from 'node:fs';
import type { JobRecord } from '../../src/spool/job-record.ts';
import { Spool } from '../../src/spool/spool.ts';
import { deliver, draft, payloadOf, settle, spoolOptions } from './spool-builder.ts';

const [stateDir = '', round = '0'] = process.argv.slice(2);
const spool = await Spool.open(spoolOptions(stateDir, { lingerMs: 50 }));

async function acceptOne(path: string, size: number): Promise<JobRecord> {
  const bytes = payloadOf(path, size);
  if (size <= 64 * 1024 && randomInt(4) > 0) return spool.acceptInline(draft({ path }), bytes);
  const upload = await spool.openUpload();
  for (let i = 0; i < size; i += 50_000) upload.writer.write(bytes.subarray(i, i + 50_000), () => undefined);
  if (randomInt(10) === 0) {
    await upload.writer.abort();
    return acceptOne(path, size);
  }
  await upload.writer.finish();
  const record = await spool.acceptFile(draft({ path }), upload);
  await upload.writer.close();
  return record;
}

async function sender(name: number): Promise<void> {
  for (let count = 0; ; count += 1) {
    const size = randomInt(8) === 0 ? randomInt(400_000) : randomInt(3000);
    const record = await acceptOne(`/r${round}/s${name}/${count}`, size);
    writeSync(1, `a ${record.sequence}\n`);
    if (randomInt(3) === 0) {
      const delivered = randomInt(2) === 0;
      await (delivered ? deliver(spool, record) : settle(spool, record, 'cancelled'));
      writeSync(1, `${delivered ? 'd' : 'x'} ${record.sequence}\n`);
    }
  }
}

await Promise.all(Array.from({ length: 12 }, (_, name) => sender(name)));
