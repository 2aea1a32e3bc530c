import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AWAY,
  type Bench,
  COPY,
  GO,
  GO_FSYNC,
  least,
  MIB,
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
  withDirectory,
  withServer,
} from '../bench.ts';
import { runCommand, timeProgram } from '../command.ts';
import { readProcessorTime, workedSince } from '../processor.ts';
import type { Samples } from '../samples.ts';
import type { Server } from '../server.ts';
import type { Bound } from '../statistics.ts';

type Work = {
  readonly text: string;
  readonly files: number;
  readonly sizeBytes: number;
  readonly memoryMib: number;
};

export const acceptLarge: Row = {
  number: '2',
  name: 'large',
  title: 'accept one 1 GiB file',
  needs: ['load'],
  run: (bench, samples) =>
    accept(bench, samples, {
      text: bench.quick ? 'accept 16 MiB' : 'accept 1 GiB',
      files: 1,
      sizeBytes: (bench.quick ? 16 : 1024) * MIB,
      memoryMib: 120,
    }),
};

export const acceptManyLarge: Row = {
  number: '3',
  name: 'parallel',
  title: '64 uploads of 32 MiB at once',
  needs: ['load'],
  run: (bench, samples) =>
    accept(bench, samples, {
      text: bench.quick ? 'accept 64 × 256 KiB at once' : 'accept 64 × 32 MiB at once',
      files: 64,
      sizeBytes: bench.quick ? MIB / 4 : 32 * MIB,
      memoryMib: 250,
    }),
};

async function accept(bench: Bench, samples: Samples, work: Work): Promise<void> {
  const bytes = work.files * work.sizeBytes;
  for (let run = 0; run < bench.runs(7); run += 1) {
    for (const [name, start, target] of contenders(bench)) {
      await withServer(bench, start, async (server) => {
        await warmUp(bench, server);
        await settle(bench, bytes * 1.25);
        const before = readProcessorTime();
        const result = await sendLoad(bench, server, {
          connections: work.files,
          requests: work.files,
          sizeBytes: work.sizeBytes,
          first: 1000,
        });
        samples.addProcessor(work.text, name, workedSince(before));
        samples.add(work.text, 'MiB/s', name, result.mib_per_second);
        if (name !== OURS) samples.compare(work.text, 'MiB/s', OURS, name, target);
        if (name !== NULL) addMemory(samples, work, name, server.memory());
      });
    }
    samples.add(work.text, 'MiB/s', COPY, await copy(bench, work));
    samples.compare(work.text, 'MiB/s', OURS, COPY);
    samples.add(work.text, 'MiB/s', DISK, await writeDirectly(bench, bytes));
    samples.compare(work.text, 'MiB/s', OURS, DISK);
  }
}

const DISK = 'the disk alone (O_DIRECT in C, fdatasync)';

/** A server that runs for days is warm: all that can be takes small files and a large one before it is measured. */
async function warmUp(bench: Bench, server: Server): Promise<void> {
  await sendLoad(bench, server, { connections: 4, requests: 64, sizeBytes: 64 << 10 });
  const sizeBytes = bench.quick ? MIB : 256 * MIB;
  await sendLoad(bench, server, { connections: 1, requests: 1, sizeBytes, first: 900 });
}

/** MiB/s of writing alone, nothing received: what nobody can beat who has it on the disk in the end. */
async function writeDirectly(bench: Bench, bytes: number): Promise<number> {
  await settle(bench);
  const words = [bench.dir, String(bytes), 'direct', String(MIB), '8'];
  const result: unknown = JSON.parse(await runCommand(bench.tools.disk ?? 'disk', words));
  return (result as { mib_per_s: number }).mib_per_s;
}

function contenders(bench: Bench): [string, Start, Bound | null][] {
  const all: [string, Start, Bound | null][] = [[OURS, startUploadd(AWAY), null]];
  if (bench.tools.baseline !== undefined) {
    all.push([GO, startBaseline(bench), least(1)], [GO_FSYNC, startBaseline(bench, ['-fsync']), null]);
  }
  all.push([NULL, startNullReceiver(bench), most(0.5)]);
  return all;
}

function addMemory(
  samples: Samples,
  work: Work,
  name: string,
  memory: { peakMib: number; anonymousMib: number },
): void {
  const target: Bound | null = name === OURS ? most(work.memoryMib) : null;
  samples.add(`${work.text}: peak memory`, 'MiB', name, memory.peakMib, target);
  samples.add(`${work.text}: anonymous memory after it`, 'MiB', name, memory.anonymousMib);
}

/** MiB/s of `cp` of files that are in the page cache, one after the other, and `sync -f`: what the disk allows. */
function copy(bench: Bench, work: Work): Promise<number> {
  return withDirectory(bench, async (dir) => {
    const bytes = work.files * work.sizeBytes;
    const source = join(dir, 'source');
    const sources = Array.from({ length: work.files }, (_, index) => `${source}${index}`);
    await runCommand('dd', [
      'if=/dev/urandom',
      `of=${sources[0]}`,
      'bs=1M',
      `count=${Math.ceil(work.sizeBytes / MIB)}`,
    ]);
    for (const path of sources.slice(1)) await copyFile(sources[0] ?? '', path);
    await settle(bench, bytes * 1.25);
    await runCommand('mkdir', [join(dir, 'to')]);
    const seconds = await timeProgram('sh', ['-c', `cp ${source}* ${dir}/to/ && sync -f ${dir}/to`]);
    await rm(join(dir, 'to'), { recursive: true });
    return bytes / MIB / seconds;
  });
}
