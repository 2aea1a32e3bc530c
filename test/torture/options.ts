/** The options of `npm run torture -- …`. */
import { parseArgs } from 'node:util';
import type { TargetKind } from './arena.ts';

export type Options = {
  readonly minutes: number;
  readonly seed: string;
  readonly targets: readonly TargetKind[];
  readonly killsPerMinute: number;
  /** For each daemon. */
  readonly clients: number;
  /** Where the summary goes as JSON. */
  readonly json: string | undefined;
  /** The launcher to run instead of this checkout's. */
  readonly program: string | undefined;
  readonly keep: boolean;
};

const TARGETS: readonly TargetKind[] = ['dir', 'fake', 'incus'];

export const USAGE = `npm run torture -- [OPTION...]
  --minutes N           how long clients and faults go on (default 2)
  --seed S              what is drawn at random (default: the time)
  --targets LIST        of dir, fake and incus (default: all three, incus where it is installed)
  --kills-per-minute K  ends of each daemon (default 10)
  --clients N           clients of each daemon (default 12)
  --json FILE           writes the summary there as well
  --program FILE        launcher of the daemon to try (default: a copy of bin/incus-uploadd and dist/)
  --keep                keeps the state though all is well
`;

/** Throws an error whose message is for the user. */
export function parseOptions(argv: readonly string[], nowMs: number): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      minutes: { type: 'string', default: '2' },
      seed: { type: 'string', default: String(nowMs) },
      targets: { type: 'string', default: TARGETS.join(',') },
      'kills-per-minute': { type: 'string', default: '10' },
      clients: { type: 'string', default: '12' },
      json: { type: 'string' },
      program: { type: 'string' },
      keep: { type: 'boolean', default: false },
    },
  });
  return {
    minutes: readNumber('minutes', values.minutes, 0.1, 10_000),
    seed: values.seed,
    targets: values.targets.split(',').map(readTarget),
    killsPerMinute: readNumber('kills-per-minute', values['kills-per-minute'], 0.01, 600),
    clients: readNumber('clients', values.clients, 1, 1000),
    json: values.json,
    program: values.program,
    keep: values.keep,
  };
}

function readNumber(name: string, text: string, least: number, most: number): number {
  const number = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw new Error(`--${name}: expected a number from ${least} to ${most}, got ${JSON.stringify(text)}`);
}

function readTarget(text: string): TargetKind {
  const target = TARGETS.find((kind) => kind === text);
  if (target === undefined)
    throw new Error(`--targets: expected ${TARGETS.join(', ')}, got ${JSON.stringify(text)}`);
  return target;
}
