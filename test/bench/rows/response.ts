import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AWAY,
  type Bench,
  MIB,
  most,
  OURS,
  type Row,
  sendLoad,
  settle,
  startUploadd,
  withDirectory,
} from '../bench.ts';
import { readCounts } from '../daemon-state.ts';
import type { IncusSandbox } from '../incus-sandbox.ts';
import type { Samples } from '../samples.ts';
import type { Server } from '../server.ts';
import { median } from '../statistics.ts';

const DELIVERIES = 8;
const LIMIT_MS = 15;

/** How long a sender waits for the 202 once its last byte went, while large files are delivered. */
export const response: Row = {
  number: '7',
  name: 'response',
  title: 'last byte of a 64 MiB body to the 202, while 8 deliveries are under way',
  needs: ['load'],
  async run(bench, samples) {
    const incus = await bench.incusOrUndefined();
    if (incus === undefined) samples.note('No Incus: deliveries into containers are left out.');
    for (let run = 0; run < bench.runs(3); run += 1) {
      await measure(bench, samples, 'into directories', async (dir) => {
        await mkdir(join(dir, 'instances'));
        for (let number = 1; number <= DELIVERIES; number += 1) {
          await mkdir(join(dir, 'instances', `i${number}`));
        }
        return { target: `dir:${join(dir, 'instances')}`, instances: ['i%d'] };
      });
      if (incus === undefined) continue;
      await measure(bench, samples, 'into containers', async () => {
        await clean(incus);
        return { target: `unix:${incus.socketPath}`, instances: ['c1', 'c2'] };
      });
      await clean(incus);
    }
  },
};

async function clean(incus: IncusSandbox): Promise<void> {
  for (const instance of ['c1', 'c2']) await incus.sh(instance, 'rm -rf /root/in');
}

/** A %d in the name of an instance becomes the number of the file, from 1 on. */
type Place = { readonly target: string; readonly instances: readonly string[] };

async function measure(
  bench: Bench,
  samples: Samples,
  where: string,
  prepare: (dir: string) => Promise<Place>,
): Promise<void> {
  const fileBytes = (bench.quick ? 4 : 512) * MIB;
  const bodyBytes = (bench.quick ? 1 : 64) * MIB;
  await withDirectory(bench, async (dir) => {
    const { target, instances } = await prepare(dir);
    // The files wait for a target that is away, so that all of them are there when their deliveries begin.
    await running(await startUploadd(AWAY)(dir), async (server) => {
      for (const instance of instances) {
        const requests = DELIVERIES / instances.length;
        await sendLoad(bench, server, { connections: 2, requests, sizeBytes: fileBytes, first: 1, instance });
      }
    });
    await settle(bench, DELIVERIES * fileBytes);
    await running(await startUploadd(target)(dir), async (server) => {
      const load = { connections: 1, requests: 1, sizeBytes: bodyBytes, instance: 'elsewhere' };
      const waitsMs: number[] = [];
      let busy = (await readCounts(server)).delivering >= DELIVERIES;
      const mostUploads = bench.quick ? 2 : 25;
      while (waitsMs.length < mostUploads && (busy || bench.quick)) {
        const { answer_ms } = await sendLoad(bench, server, { ...load, first: 1000 + waitsMs.length });
        busy = (await readCounts(server)).delivering >= DELIVERIES;
        if (busy || bench.quick) waitsMs.push(answer_ms.p50);
      }
      if (waitsMs.length === 0) throw new Error('The deliveries were over before an upload was answered');
      const work = `${bodyBytes / MIB} MiB sent to 202, ${DELIVERIES} deliveries ${where}`;
      samples.add(work, 'ms', `${OURS}, p50`, median(waitsMs), most(LIMIT_MS));
      samples.add(work, 'ms', `${OURS}, slowest`, Math.max(...waitsMs));
      samples.add(work, 'uploads', `${OURS}, meanwhile`, waitsMs.length);
    });
  });
}

async function running(server: Server, use: (server: Server) => Promise<void>): Promise<void> {
  try {
    await use(server);
  } finally {
    await server.stop();
  }
}
