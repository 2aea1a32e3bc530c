/** Prints the result so that it can be pasted into a Markdown document, and writes it as JSON. */
import { writeFile } from 'node:fs/promises';
import { describeMachine } from './machine.ts';
import type { Options } from './options.ts';
import type { Line } from './samples.ts';
import { formatTable, formatTargets } from './table.ts';

/** What became of one row. */
export type Outcome = {
  readonly row: string;
  readonly name: string;
  readonly title: string;
  readonly notes: readonly string[];
  readonly error: string | null;
  readonly lines: readonly Line[];
};

export type Result = {
  readonly outcomes: readonly Outcome[];
  readonly options: Options;
  readonly args: readonly string[];
  readonly startedAt: Date;
  /** About the bench as a whole. */
  readonly notes: readonly string[];
};

export async function report({ outcomes, options, args, startedAt, notes }: Result): Promise<void> {
  const machine = describeMachine();
  const command = describeCommand(args);
  const how = options.quick ? 'small and few, times not judged' : 'contenders by turns, run by run';
  console.log(`${machine.text}; \`${command}\` (${how}), ${startedAt.toISOString().slice(0, 10)}.\n`);
  const all = outcomes.flatMap(({ lines }) => lines);
  console.log(`${formatTargets(all)}\n\nAll that was measured:\n\n${formatTable(all)}`);
  const remarks = outcomes.flatMap(({ row, notes: ofRow, error }) =>
    [...ofRow, ...(error === null ? [] : [`failed: ${error}`])].map((text) => `Row ${row}: ${text}`),
  );
  for (const remark of [...notes, ...remarks]) console.log(`\n${remark}`);
  const result = {
    machine,
    command,
    started_at: startedAt.toISOString(),
    judged: !options.quick,
    notes,
    rows: outcomes,
  };
  await writeFile(options.jsonPath, `${JSON.stringify(result, null, 2)}\n`);
  console.error(`\nWritten to ${options.jsonPath}`);
}

/** The command as others would give it: where the files went on this machine is left out. */
export function describeCommand(args: readonly string[]): string {
  const places = new Set(['--json', '--dir']);
  const told = args.filter(
    (word, index) => !places.has(word.replace(/=.*/s, '')) && !places.has(args[index - 1] ?? ''),
  );
  return ['npm run bench', ...(told.length === 0 ? [] : ['--', ...told])].join(' ');
}
