import { parseArgs } from 'node:util';

export type Options = {
  /** Names or numbers of rows; empty means all. */
  readonly only: readonly string[];
  /** Small and few: shows that the bench works, judges no time. */
  readonly quick: boolean;
  /** Runs of each contender; undefined leaves it to the row. */
  readonly runs: number | undefined;
  readonly jsonPath: string;
  /** Where the files go; undefined means the temporary directory, or /var/tmp where that one is memory. */
  readonly dir: string | undefined;
};

export const USAGE = `npm run bench -- [--only NAME[,NAME]] [--quick] [--runs N] [--json FILE] [--dir DIR] [--list]`;

/** Throws a plain Error that says what is wrong. */
export function parseOptions(
  args: readonly string[],
): Options & { readonly list: boolean; readonly help: boolean } {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', multiple: true },
      quick: { type: 'boolean', default: false },
      runs: { type: 'string' },
      json: { type: 'string', default: 'bench-results.json' },
      dir: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.runs !== undefined && !/^[1-9][0-9]{0,3}$/.test(values.runs)) {
    throw new Error(`Not a number of runs: ${values.runs}`);
  }
  return {
    only: (values.only ?? []).flatMap((names) => names.split(',')).filter((name) => name !== ''),
    quick: values.quick,
    runs: values.runs === undefined ? undefined : Number(values.runs),
    jsonPath: values.json,
    dir: values.dir,
    list: values.list,
    help: values.help,
  };
}
