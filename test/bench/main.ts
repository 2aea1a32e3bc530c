/** `npm run bench`: runs the rows asked for, prints the table, writes it as JSON. */
import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bench, Row } from './bench.ts';
import { InterruptedError, interruptPrograms, throwIfInterrupted } from './command.ts';
import { type IncusSandbox, incusProblem, openIncusSandbox } from './incus-sandbox.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { type Outcome, report } from './report.ts';
import { acceptLarge, acceptManyLarge } from './rows/accept-large.ts';
import { acceptSmall } from './rows/accept-small.ts';
import { clientStart } from './rows/client-start.ts';
import { deliverSmall } from './rows/deliver-small.ts';
import { disk } from './rows/disk.ts';
import { longQueue } from './rows/long-queue.ts';
import { pushLarge } from './rows/push-large.ts';
import { pushTree } from './rows/push-tree.ts';
import { response } from './rows/response.ts';
import { Samples } from './samples.ts';
import { buildTools } from './tools.ts';

const ROWS: readonly Row[] = [
  acceptSmall,
  acceptLarge,
  acceptManyLarge,
  pushLarge,
  deliverSmall,
  clientStart,
  response,
  longQueue,
  disk,
  pushTree,
];

/**
 * It runs before the others: on an ext4 without a journal the making of a file looks at every inode that was freed in the
 * minutes before (recently_deleted), and the other rows free thousands.
 */
const FIRST = deliverSmall;

const TMPFS_MAGIC = 0x01021994;
const USAGE_STATUS = 64;
const INTERRUPTED_STATUS = 130;

async function main(args: readonly string[]): Promise<number> {
  let options: ReturnType<typeof parseOptions>;
  let rows: readonly Row[];
  try {
    options = parseOptions(args);
    rows = chooseRows(options.only);
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return USAGE_STATUS;
  }
  if (options.help) {
    console.log(USAGE);
    return 0;
  }
  if (options.list) {
    for (const { number, name, title } of rows) console.log(`${number}  ${name.padEnd(10)}${title}`);
    return 0;
  }
  const startedAt = new Date();
  const dir = await mkdtemp(join(options.dir ?? (await diskDirectory()), 'iu-bench-'));
  const outcomes: Outcome[] = [];
  let bench: Bench | undefined;
  let interrupted = false;
  let sandbox: Promise<IncusSandbox> | undefined;
  try {
    // A container's root passes here on its way to its own files.
    await chmod(dir, 0o711);
    const tools = await buildTools(dir);
    const incus = (): Promise<IncusSandbox> => {
      sandbox ??= openIncusSandbox(join(dir, 'incus'));
      return sandbox;
    };
    bench = createBench(dir, options, tools, incus);
    const order = rows.toSorted((a, b) => Number(b === FIRST) - Number(a === FIRST));
    for (const row of order) outcomes.push(await runRow(bench, row));
  } catch (error) {
    if (!(error instanceof InterruptedError) || bench === undefined || outcomes.length === 0) throw error;
    // What was measured in full is still shown.
    interrupted = true;
  } finally {
    await (await sandbox?.catch(() => undefined))?.stop();
    await rm(dir, { recursive: true, force: true });
  }
  const place = ({ name }: Outcome): number => rows.findIndex((row) => row.name === name);
  outcomes.sort((a, b) => place(a) - place(b));
  await report({ outcomes, options, args, startedAt, notes: bench.tools.notes });
  if (interrupted) return INTERRUPTED_STATUS;
  return outcomes.some(({ error }) => error !== null) ? 1 : 0;
}

function chooseRows(only: readonly string[]): readonly Row[] {
  const unknown = only.find((word) => !ROWS.some(({ number, name }) => number === word || name === word));
  if (unknown !== undefined) {
    throw new Error(`No row ${unknown}; there are ${ROWS.map(({ name }) => name).join(', ')}`);
  }
  return only.length === 0
    ? ROWS
    : ROWS.filter(({ number, name }) => only.includes(number) || only.includes(name));
}

/** Durable means nothing on a file system that lives in memory. */
async function diskDirectory(): Promise<string> {
  return (await statfs(tmpdir())).type === TMPFS_MAGIC ? '/var/tmp' : tmpdir();
}

function createBench(
  dir: string,
  { quick, runs }: Options,
  tools: Bench['tools'],
  incus: Bench['incus'],
): Bench {
  return {
    tools,
    dir,
    quick,
    runs: (usual) => runs ?? (quick ? 1 : usual),
    incus,
    incusOrUndefined: async () => (incusProblem() === undefined ? incus() : undefined),
  };
}

/** What a row lacks here, or undefined. */
function findLack(bench: Bench, row: Row): string | undefined {
  if (row.needs.includes('load') && bench.tools.load === undefined) return 'no C compiler';
  return row.needs.includes('incus') ? incusProblem() : undefined;
}

async function runRow(bench: Bench, row: Row): Promise<Outcome> {
  const { number, name, title } = row;
  const samples = new Samples(number);
  const startMs = performance.now();
  const lack = findLack(bench, row);
  let error: string | null = null;
  if (lack !== undefined) {
    samples.note(`Left out: ${lack}.`);
    if (process.env.CI === 'true') error = `With CI=true it must run, but: ${lack}`;
  } else {
    console.error(`${number}  ${title} …`);
    try {
      await row.run(bench, samples);
    } catch (thrown) {
      throwIfInterrupted();
      error = thrown instanceof Error ? thrown.message : String(thrown);
    }
    console.error(`${number}  took ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  }
  if (error !== null) console.error(`${number}  ${error}`);
  return { row: number, name, title, notes: samples.notes, error, lines: samples.lines(!bench.quick) };
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    console.error(`bench: ${signal}: ending what runs and removing what was made …`);
    interruptPrograms();
  });
}
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = error instanceof InterruptedError ? INTERRUPTED_STATUS : 1;
}
