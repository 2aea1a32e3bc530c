/** The small C and Go programs of the bench, built where a compiler is. */
import { join } from 'node:path';
import { firstLineOf, runCommand } from './command.ts';

const here = import.meta.dirname;

export type Tools = {
  /** Load generator (load/load.c). */
  readonly load: string | undefined;
  /** Receiver that throws bodies away (load/null.c). */
  readonly nullReceiver: string | undefined;
  /** Disk probe (load/disk.c). */
  readonly disk: string | undefined;
  /** The Go receiver (baseline/main.go). */
  readonly baseline: string | undefined;
  readonly notes: readonly string[];
};

export async function buildTools(dir: string): Promise<Tools> {
  const notes: string[] = [];
  const compiler = ['cc', 'gcc', 'clang'].find((name) => firstLineOf(name, ['--version']) !== undefined);
  if (compiler === undefined) notes.push('No C compiler: rows that need the load generator are left out.');
  const compile = async (name: string): Promise<string | undefined> => {
    if (compiler === undefined) return undefined;
    const program = join(dir, name);
    await runCommand(compiler, ['-O2', '-pthread', '-o', program, join(here, 'load', `${name}.c`)]);
    return program;
  };
  let baseline: string | undefined;
  if (firstLineOf('go', ['version']) === undefined) {
    notes.push('No go (Debian: golang-go): the Go receiver is left out.');
  } else {
    baseline = join(dir, 'baseline');
    await runCommand('go', ['build', '-o', baseline, '.'], {
      cwd: join(here, 'baseline'),
      env: { GOFLAGS: '-mod=mod' },
    });
  }
  return {
    load: await compile('load'),
    nullReceiver: await compile('null'),
    disk: await compile('disk'),
    baseline,
    notes,
  };
}
