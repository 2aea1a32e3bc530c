import { MIB, type Row, settle } from '../bench.ts';
import { runCommand } from '../command.ts';

/** Ways to make one file durable, in C without any receiving: what no receiver on this disk can beat. */
const WAYS: readonly (readonly [string, ...string[]])[] = [
  ['page cache alone', 'cache'],
  ['one fdatasync at the end', 'sync'],
  ['sync_file_range each 8 MiB', 'range', String(8 * MIB)],
  ['fdatasync each 32 MiB', 'periodic', String(32 * MIB)],
  ['fdatasync each 64 MiB', 'periodic', String(64 * MIB)],
  ['O_DIRECT, 8 MiB, 2 at once', 'direct', String(8 * MIB), '2'],
];

export const disk: Row = {
  number: 'D',
  name: 'disk',
  title: 'what this disk allows',
  needs: ['load'],
  async run(bench, samples) {
    const bytes = (bench.quick ? 16 : 1024) * MIB;
    const work = `write ${bytes / MIB} MiB in C`;
    for (let run = 0; run < bench.runs(5); run += 1) {
      for (const [name, ...words] of WAYS) {
        await settle(bench, bytes * 1.25);
        const result: unknown = JSON.parse(
          await runCommand(bench.tools.disk ?? 'disk', [bench.dir, String(bytes), ...words]),
        );
        const seconds =
          typeof result === 'object' && result !== null && 'total_s' in result
            ? Number(result.total_s)
            : Number.NaN;
        samples.add(work, 'MiB/s', name, bytes / MIB / seconds);
      }
    }
  },
};
