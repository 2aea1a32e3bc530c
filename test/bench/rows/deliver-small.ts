import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Bench,
  INCUS_PUSH,
  least,
  OURS,
  type Row,
  sendLoad,
  settle,
  startUploadd,
  withDirectory,
  withServer,
} from '../bench.ts';
import { timeProgram } from '../command.ts';
import { untilDelivered } from '../daemon-state.ts';
import type { IncusSandbox } from '../incus-sandbox.ts';
import { readProcessorTime, workedSince } from '../processor.ts';

const SIZE_BYTES = 4096;
/** A daemon that runs for days is warm; its first thousands of files go at half the speed, until V8 has compiled it. */
const warmUpFiles = (bench: Bench): number => (bench.quick ? 20 : 6000);
const INCUS_PUSH_R = `${INCUS_PUSH} -r`;
const CONNECTIONS = [16, 64];
const DIRECTORIES = '/root/bench';

export const deliverSmall: Row = {
  number: '5',
  name: 'many',
  title: '2,000 single uploads of 4 KiB for one container',
  needs: ['load', 'incus'],
  async run(bench, samples) {
    const incus = await bench.incus();
    const files = bench.quick ? 50 : 2000;
    await withDirectory(bench, async (dir) => {
      const source = join(dir, 'in');
      await mkdir(source);
      for (let file = 0; file < files; file += 1) {
        await writeFile(join(source, `f${file}`), Buffer.alloc(SIZE_BYTES, file));
      }
      for (let run = 0; run < bench.runs(5); run += 1) {
        for (const connections of bench.quick ? CONNECTIONS.slice(0, 1) : CONNECTIONS) {
          const work = `deliver ${files} × 4 KiB, ${connections} connections`;
          const { seconds: oursSeconds, worked } = await deliver(bench, incus, files, connections);
          samples.add(work, 'files/s', OURS, files / oursSeconds);
          samples.addProcessor(work, OURS, worked);
          const directory = await makeDirectory(incus);
          await settle(bench, 128 << 20);
          const words = ['file', 'push', '-r', '-q', source, `c1${directory}/`];
          const before = readProcessorTime();
          const seconds = await timeProgram('incus', words, incus);
          samples.addProcessor(work, INCUS_PUSH_R, workedSince(before));
          await check(incus, directory, files);
          samples.add(work, 'files/s', INCUS_PUSH_R, files / seconds);
          samples.compare(work, 'files/s', OURS, INCUS_PUSH_R, least(2.5));
        }
      }
      await incus.sh('c1', `rm -rf ${DIRECTORIES}`);
    });
  },
};

/**
 * A directory of its own for each run, all removed at the end: on an ext4 without a journal the making of a file looks at
 * every inode that was freed in the minutes before (recently_deleted), which costs more than all else.
 */
let directories = 0;

async function makeDirectory(incus: IncusSandbox): Promise<string> {
  directories += 1;
  const directory = `${DIRECTORIES}/${directories}`;
  await incus.sh('c1', `mkdir -p ${directory}`);
  return directory;
}

/** Seconds from the first request to the last file delivered, and what the processors did in that time. */
function deliver(bench: Bench, incus: IncusSandbox, files: number, connections: number) {
  return withServer(bench, startUploadd(`unix:${incus.socketPath}`), async (server) => {
    const load = { connections, sizeBytes: SIZE_BYTES };
    await sendLoad(bench, server, { ...load, requests: warmUpFiles(bench), instance: 'c2' });
    await untilDelivered(server, warmUpFiles(bench));
    const directory = await makeDirectory(incus);
    await settle(bench, 128 << 20);
    const before = readProcessorTime();
    const startMs = performance.now();
    await sendLoad(bench, server, { ...load, requests: files, directory: `${directory}/in` });
    await untilDelivered(server, warmUpFiles(bench) + files);
    const seconds = (performance.now() - startMs) / 1000;
    const worked = workedSince(before);
    await check(incus, directory, files);
    return { seconds, worked };
  });
}

async function check(incus: IncusSandbox, directory: string, files: number): Promise<void> {
  const [arrived, bytes] = (await incus.sh('c1', `cd ${directory}/in && ls -A | wc -l && cat f* | wc -c`))
    .trim()
    .split(/\s+/);
  if (Number(arrived) !== files || Number(bytes) !== files * SIZE_BYTES) {
    throw new Error(
      `${arrived} files with ${bytes} bytes arrived, expected ${files} with ${files * SIZE_BYTES}`,
    );
  }
}
