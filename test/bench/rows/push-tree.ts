import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Bench,
  INCUS_PUSH,
  least,
  OURS_PUSH,
  type Row,
  settle,
  startUploadd,
  withDirectory,
  withServer,
} from '../bench.ts';
import { timeProgram } from '../command.ts';
import type { IncusSandbox } from '../incus-sandbox.ts';

const SIZE_BYTES = 4096;
const DIRECTORIES = 100;
const OURS = `${OURS_PUSH} -r --wait`;
const INCUS_PUSH_R = `${INCUS_PUSH} -r`;
const ROOT = '/root/trees';

export const pushTree: Row = {
  number: '9',
  name: 'tree',
  title: 'push -r --wait of 10,000 files of 4 KiB into a container',
  needs: ['incus'],
  async run(bench, samples) {
    const incus = await bench.incus();
    const files = bench.quick ? 200 : 10_000;
    await withDirectory(bench, async (dir) => {
      const source = join(dir, 'tree');
      for (let at = 0; at < DIRECTORIES; at += 1) await mkdir(join(source, `d${at}`), { recursive: true });
      for (let at = 0; at < files; at += 1) {
        await writeFile(join(source, `d${at % DIRECTORIES}`, `f${at}`), Buffer.alloc(SIZE_BYTES, at));
      }
      for (let run = 0; run < bench.runs(5); run += 1) {
        const work = `push -r of ${files} × 4 KiB until they are in the container`;
        samples.add(work, 'files/s', OURS, files / (await pushOurs(bench, incus, source, files)));
        const place = await makePlace(incus);
        await settle(bench, 2 * files * SIZE_BYTES);
        const seconds = await timeProgram(
          'incus',
          ['file', 'push', '-r', '-q', source, `c1${place}/`],
          incus,
        );
        await check(incus, place, files);
        samples.add(work, 'files/s', INCUS_PUSH_R, files / seconds);
        samples.compare(work, 'files/s', OURS, INCUS_PUSH_R, least(4));
      }
      await incus.sh('c1', `rm -rf ${ROOT}`);
    });
  },
};

/** A directory of its own for each run, all removed at the end, as in the row of single small files. */
let places = 0;

async function makePlace(incus: IncusSandbox): Promise<string> {
  places += 1;
  await incus.sh('c1', `mkdir -p ${ROOT}/${places}`);
  return `${ROOT}/${places}`;
}

/** Seconds from the start of the client to its end, when all is delivered. */
function pushOurs(bench: Bench, incus: IncusSandbox, source: string, files: number): Promise<number> {
  return withServer(bench, startUploadd(`unix:${incus.socketPath}`), async (server) => {
    const push = (words: readonly string[]): Promise<number> =>
      timeProgram('bin/incus-upload', ['--url', server.address, 'push', '--wait', '-q', ...words]);
    await push(['package.json', 'c1:/root/in/warm-up']);
    const place = await makePlace(incus);
    await settle(bench, 2 * files * SIZE_BYTES);
    const seconds = await push(['-r', source, `c1:${place}/`]);
    await check(incus, place, files);
    return seconds;
  });
}

async function check(incus: IncusSandbox, place: string, files: number): Promise<void> {
  const line = `cd ${place}/tree && cat d*/f* | wc -c && ls -A ${place} | wc -l && ls d* | grep -c f`;
  const [bytes, entries, arrived] = (await incus.sh('c1', line)).trim().split(/\s+/).map(Number);
  if (bytes !== files * SIZE_BYTES || entries !== 1 || arrived !== files) {
    throw new Error(`${arrived} files with ${bytes} bytes arrived, expected ${files} of ${SIZE_BYTES}`);
  }
}
