import {
  AWAY,
  type Bench,
  GO,
  GO_FSYNC,
  least,
  most,
  NULL,
  OURS,
  type Row,
  type Start,
  sendLoad,
  settle,
  startBaseline,
  startNullReceiver,
  startUploadd,
  withServer,
} from '../bench.ts';
import type { Samples } from '../samples.ts';
import type { Bound } from '../statistics.ts';

const SIZE_BYTES = 1024;
const WARM_UP_REQUESTS = 3000;

type Part = { connections: number; requests: number; go: Bound | null; goFsync: Bound | null };

const PARTS: readonly Part[] = [
  { connections: 1, requests: 6000, go: null, goFsync: least(1) },
  { connections: 16, requests: 30_000, go: least(1.2), goFsync: least(2) },
  { connections: 64, requests: 30_000, go: least(3), goFsync: null },
];

/** Ours is durable before each answer; its target is away, so that it accepts and delivers nothing. */
export const acceptSmall: Row = {
  number: '1',
  name: 'small',
  title: 'accept 1 KiB files on 1, 16 and 64 connections',
  needs: ['load'],
  async run(bench, samples) {
    for (let run = 0; run < bench.runs(5); run += 1) {
      for (const part of PARTS) await runPart(bench, samples, part);
    }
  },
};

async function runPart(bench: Bench, samples: Samples, part: Part): Promise<void> {
  const work = `accept 1 KiB, ${part.connections} ${part.connections === 1 ? 'connection' : 'connections'}`;
  const unit = 'requests/s';
  const contenders: [string, Start, Bound | null][] = [
    [OURS, startUploadd(AWAY, ['--max-queued-jobs', '1000000']), null],
    [NULL, startNullReceiver(bench), most(0.5)],
  ];
  if (bench.tools.baseline !== undefined) {
    contenders.splice(
      1,
      0,
      [GO, startBaseline(bench), part.go],
      [GO_FSYNC, startBaseline(bench, ['-fsync']), part.goFsync],
    );
  }
  for (const [name, start, target] of contenders) {
    await settle(bench, 128 << 20);
    await withServer(bench, start, async (server) => {
      const requests = bench.quick ? part.connections * 4 : part.requests;
      const warmUp = bench.quick ? 50 : WARM_UP_REQUESTS;
      const load = { connections: part.connections, sizeBytes: SIZE_BYTES };
      await sendLoad(bench, server, { ...load, connections: 16, requests: warmUp });
      const result = await sendLoad(bench, server, { ...load, requests, first: warmUp });
      samples.add(work, unit, name, result.per_second);
    });
    if (name !== OURS) samples.compare(work, unit, OURS, name, target);
  }
}
