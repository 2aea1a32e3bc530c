import { cpus, release, totalmem } from 'node:os';
import { firstLineOf } from './command.ts';

export type Machine = {
  readonly cores: number;
  readonly processor: string;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  readonly go: string | null;
  readonly incus: string | null;
  readonly text: string;
};

/** The class of this machine, as far as it matters for the figures. */
export function describeMachine(): Machine {
  const all = cpus();
  const machine = {
    cores: all.length,
    processor: all[0]?.model.trim() ?? 'unknown',
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    go: firstLineOf('go', ['version'])?.split(' ')[2] ?? null,
    incus: firstLineOf('incus', ['--version']) ?? null,
  };
  const { cores, processor, memoryGib, kernel, node, go, incus } = machine;
  const text = `${cores} cores (${processor}), ${memoryGib} GiB, Linux ${kernel}, Node ${node}, ${go ?? 'no go'}, Incus ${incus ?? 'none'}`;
  return { ...machine, text };
}
