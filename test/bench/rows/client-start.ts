import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AWAY, INCUS_PUSH, most, OURS_PUSH, type Row, startUploadd, withServer } from '../bench.ts';
import { timeProgram } from '../command.ts';
import type { IncusSandbox } from '../incus-sandbox.ts';
import type { Samples } from '../samples.ts';

const NODE = 'node -e 0';
const WARM_UPS = 3;

/** Whole processes, found and started as a shell does it. */
export const clientStart: Row = {
  number: '6',
  name: 'cli',
  title: 'push -q of a 1 KiB file: the whole process',
  needs: [],
  async run(bench, samples) {
    const incus = await bench.incusOrUndefined();
    if (incus === undefined) samples.note('No Incus: `incus file push` is left out.');
    await withServer(bench, startUploadd(AWAY), async (server) => {
      const source = join(bench.dir, 'kib');
      await writeFile(source, Buffer.alloc(1024, 'a'));
      const ways = waysOf(server.address, source, incus);
      for (let run = bench.quick ? 0 : -WARM_UPS; run < bench.runs(31); run += 1) {
        for (const way of ways) {
          const seconds = await timeProgram(
            way.program,
            way.args,
            way.env === undefined ? {} : { env: way.env },
          );
          if (run >= 0) addTo(samples, way.name, seconds * 1000);
        }
      }
    });
    if (incus !== undefined) await incus.sh('c1', 'rm -f /root/kib');
  },
};

const PUSH_WORK = 'push -q of 1 KiB, whole process';
const VERSION = 'incus-upload --version';
const VERSION_WORK = '--version, whole process';

type Way = { name: string; program: string; args: string[]; env?: IncusSandbox['env'] };

function waysOf(url: string, source: string, incus: IncusSandbox | undefined): Way[] {
  const client = 'bin/incus-upload';
  const ways: Way[] = [
    { name: OURS_PUSH, program: client, args: ['--url', url, 'push', '-q', source, 'c1:/root/kib'] },
    { name: VERSION, program: client, args: ['--version'] },
    { name: NODE, program: 'node', args: ['-e', '0'] },
  ];
  if (incus !== undefined) {
    const args = ['file', 'push', '-q', source, 'c1/root/kib'];
    ways.push({ name: INCUS_PUSH, program: 'incus', args, env: incus.env });
  }
  return ways;
}

function addTo(samples: Samples, name: string, ms: number): void {
  const unit = 'ms';
  if (name !== VERSION) samples.add(PUSH_WORK, unit, name, ms);
  if (name === INCUS_PUSH) samples.compare(PUSH_WORK, unit, OURS_PUSH, INCUS_PUSH);
  if (name === VERSION || name === NODE) samples.add(VERSION_WORK, unit, name, ms);
  if (name !== NODE) return;
  samples.compare(PUSH_WORK, unit, OURS_PUSH, NODE, most(1.6));
  samples.compare(VERSION_WORK, unit, VERSION, NODE, most(1.25));
}
