/** GET /v1/batches/ID: the jobs of one upload with several destinations, and how many are in which state. */
import type { ServerResponse } from 'node:http';
import { CodedError } from '../errors.ts';
import { decodeBatchId, encodeBatchId } from '../protocol/batch-id.ts';
import { JOB_STATES } from '../protocol/job.ts';
import { encodeJob } from '../protocol/job-wire.ts';
import type { JobRecord } from '../spool/job-record.ts';
import type { AppContext } from './app-context.ts';
import type { Caller } from './caller.ts';
import { sendJson } from './respond.ts';

export function getBatch(context: AppContext, caller: Caller, id: string, res: ServerResponse): void {
  const { queue } = context;
  const records = findBatch(context, caller, parseBatchId(id));
  const jobs = records.map((record) => encodeJob(queue.view(record)));
  const counts = Object.fromEntries(JOB_STATES.map((state) => [state, 0]));
  for (const { state } of jobs) counts[state] = (counts[state] ?? 0) + 1;
  sendJson(res, 200, { batch: id, counts, jobs });
}

/** The jobs of a batch that the caller may see; `not_found` when there is none. */
export function findBatch({ spool }: AppContext, caller: Caller, batch: number): JobRecord[] {
  const records = spool.readBatch(batch).filter((record) => caller.covers(record));
  if (records.length === 0) throw new CodedError('not_found', `There is no batch ${encodeBatchId(batch)}`);
  return records;
}

/** The number of a batch's id; `not_found` when the text is none. */
export function parseBatchId(id: string): number {
  const batch = decodeBatchId(id);
  if (batch === undefined)
    throw new CodedError('not_found', `There is no batch ${JSON.stringify(id.slice(0, 40))}`);
  return batch;
}
