/** What the sender of an upload is told once it is accepted. */
import { encodeBatchId } from '../protocol/batch-id.ts';
import { encodeJobId } from '../protocol/job-id.ts';
import { encodeJob } from '../protocol/job-wire.ts';
import type { JobRecord } from '../spool/job-record.ts';
import type { AppContext } from './app-context.ts';

type AcceptedAnswer = { readonly text: string; readonly headers: Record<string, string> };

/** `record`: the job, or the first one of a batch. */
export function answerOf({ queue, spool }: AppContext, record: JobRecord, json: boolean): AcceptedAnswer {
  if (record.batch === null) {
    const id = encodeJobId(record.sequence);
    const headers = { Location: `/v1/jobs/${id}`, 'X-Job-Id': id };
    if (json) return { text: `${JSON.stringify(encodeJob(queue.view(record)))}\n`, headers };
    return { text: `Queued for ${record.instance} as job ${id}\n`, headers };
  }
  const batch = encodeBatchId(record.batch);
  const headers = { Location: `/v1/batches/${batch}`, 'X-Batch-Id': batch };
  const jobs = spool.readBatch(record.batch);
  if (json) {
    const encoded = jobs.map((job) => encodeJob(queue.view(job)));
    return { text: `${JSON.stringify({ batch, jobs: encoded })}\n`, headers };
  }
  const many = jobs.length === 1 ? jobs[0]?.instance : `${jobs.length} destinations`;
  return { text: `Queued for ${many} as batch ${batch}\n`, headers };
}
