import { AWAY, type Bench, least, type Row, sendLoad, settle, startUploadd, withServer } from '../bench.ts';
import type { Samples } from '../samples.ts';
import type { Server } from '../server.ts';

const SIZE_BYTES = 1024;
/** Jobs on a page of the listing; the queue that starts empty is given as many, so that the pages are alike. */
const PAGE = 100;

const LONG = 'long queue';
const EMPTY = 'empty queue';

export const longQueue: Row = {
  number: '8',
  name: 'queue',
  title: '100,000 queued jobs against a queue that starts empty',
  needs: ['load'],
  async run(bench, samples) {
    const jobs = bench.quick ? 400 : 100_000;
    const start = startUploadd(AWAY, ['--max-queued-jobs', '10000000']);
    await withServer(bench, start, async (long) => {
      await fill(bench, long, jobs);
      for (let run = 0; run < bench.runs(5); run += 1) {
        await withServer(bench, start, async (empty) => {
          await fill(bench, empty, PAGE);
          const both: [string, Server][] = [
            [LONG, long],
            [EMPTY, empty],
          ];
          for (const [name, server] of both) await list(bench, samples, name, server);
          // Twice the same, since the first of a server's life is slower.
          await fill(bench, empty, bench.quick ? 16 : 3000);
          for (const [name, server] of both) await accept(bench, samples, name, server);
        });
      }
    });
  },
};

let number = 0;

function fill(bench: Bench, server: Server, requests: number): Promise<unknown> {
  number += requests;
  return sendLoad(bench, server, {
    connections: 16,
    requests,
    sizeBytes: SIZE_BYTES,
    first: number - requests,
  });
}

async function list(bench: Bench, samples: Samples, name: string, server: Server): Promise<void> {
  const requests = bench.quick ? 20 : 1000;
  const load = { connections: 4, sizeBytes: 0, get: `/v1/jobs?limit=${PAGE}` };
  await sendLoad(bench, server, { ...load, requests: Math.ceil(requests / 4) });
  const { per_second } = await sendLoad(bench, server, { ...load, requests });
  addBoth(samples, `GET /v1/jobs?limit=${PAGE}`, name, per_second);
}

async function accept(bench: Bench, samples: Samples, name: string, server: Server): Promise<void> {
  await settle(bench, 128 << 20);
  const requests = bench.quick ? 64 : 20_000;
  number += requests;
  const load = { connections: 16, requests, sizeBytes: SIZE_BYTES, first: number - requests };
  const { per_second } = await sendLoad(bench, server, load);
  addBoth(samples, 'accept 1 KiB, 16 connections', name, per_second);
}

function addBoth(samples: Samples, work: string, name: string, perSecond: number): void {
  samples.add(work, 'requests/s', name, perSecond);
  if (name === EMPTY) samples.compare(work, 'requests/s', LONG, EMPTY, least(0.8));
}
