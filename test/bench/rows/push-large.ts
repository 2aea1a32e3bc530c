import { join } from 'node:path';
import {
  type Bench,
  INCUS_PUSH,
  MIB,
  most,
  OURS_PUSH,
  type Row,
  settle,
  startUploadd,
  withDirectory,
  withServer,
} from '../bench.ts';
import { runCommand, timeProgram } from '../command.ts';
import type { IncusSandbox } from '../incus-sandbox.ts';
import { readProcessorTime, workedSince } from '../processor.ts';
import type { Samples } from '../samples.ts';

const PUSHED = '/root/in/file';

export const pushLarge: Row = {
  number: '4',
  name: 'push',
  title: 'push --wait of one 1 GiB file into a container',
  needs: ['incus'],
  async run(bench, samples) {
    const incus = await bench.incus();
    const mib = bench.quick ? 16 : 1024;
    await withDirectory(bench, async (dir) => {
      const source = join(dir, 'file');
      await runCommand('dd', ['if=/dev/urandom', `of=${source}`, 'bs=1M', `count=${mib}`]);
      await incus.sh('c1', 'mkdir -p /root/in');
      const digest = (await runCommand('sha256sum', [source])).split(' ')[0] ?? '';
      for (let run = 0; run < bench.runs(7); run += 1) {
        const push: Push = { source, bytes: mib * MIB, digest: run === 0 ? digest : undefined };
        const work = `push ${mib === 1024 ? '1 GiB' : `${mib} MiB`} until it is in the container`;
        await pushOurs(bench, incus, samples, work, push);
        await pushByIncus(bench, incus, samples, work, push);
        samples.compare(work, 's', OURS_PUSH, INCUS_PUSH, most(1));
      }
      await incus.sh('c1', 'rm -rf /root/in');
    });
  },
};

/** `digest` is given when what arrived is to be read again in full. */
type Push = { readonly source: string; readonly bytes: number; readonly digest: string | undefined };

async function pushOurs(bench: Bench, incus: IncusSandbox, samples: Samples, work: string, push: Push) {
  await withServer(bench, startUploadd(`unix:${incus.socketPath}`), async (server) => {
    const upload = (source: string, path: string): Promise<number> =>
      timeProgram('bin/incus-upload', [
        '--url',
        server.address,
        'push',
        '--wait',
        '-q',
        source,
        `c1:${path}`,
      ]);
    // A daemon that runs for days is warm.
    await upload('package.json', '/root/in/warm-up');
    await upload(push.source, PUSHED);
    await makeReady(bench, incus, push);
    const before = readProcessorTime();
    samples.add(work, 's', OURS_PUSH, await upload(push.source, PUSHED));
    samples.addProcessor(work, OURS_PUSH, workedSince(before));
    await check(incus, push);
  });
}

async function pushByIncus(bench: Bench, incus: IncusSandbox, samples: Samples, work: string, push: Push) {
  await makeReady(bench, incus, push);
  const before = readProcessorTime();
  const seconds = await timeProgram('incus', ['file', 'push', '-q', push.source, `c1${PUSHED}`], incus);
  samples.addProcessor(work, INCUS_PUSH, workedSince(before));
  samples.add(work, 's', INCUS_PUSH, seconds);
  await check(incus, push);
}

async function makeReady(bench: Bench, incus: IncusSandbox, { source, bytes }: Push): Promise<void> {
  await incus.sh('c1', `rm -f ${PUSHED}`);
  // Ours writes the file twice, into the spool and into the container.
  await settle(bench, bytes * 2.25);
  await runCommand('sh', ['-c', 'cat "$1" > /dev/null', 'sh', source]);
}

async function check(incus: IncusSandbox, { bytes, digest }: Push): Promise<void> {
  const size = Number(await incus.sh('c1', `stat -c %s ${PUSHED}`));
  if (size !== bytes) throw new Error(`${size} bytes arrived in the container, expected ${bytes}`);
  if (digest === undefined) return;
  const arrived = (await incus.sh('c1', `sha256sum ${PUSHED}`)).split(' ')[0];
  if (arrived !== digest)
    throw new Error(`What arrived in the container has SHA-256 ${arrived}, expected ${digest}`);
}
