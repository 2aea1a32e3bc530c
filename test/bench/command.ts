/**
 * Programs that this bench starts. Each gets a process group of its own, so that Ctrl-C reaches only the bench, which
 * then ends them in order.
 */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const checkout = fileURLToPath(new URL('../..', import.meta.url));

/** Undefined takes a variable out of the environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

export type CommandOptions = {
  readonly env?: Environment;
  readonly cwd?: string;
  /** Part of cleaning up: runs, and runs on, although the bench was interrupted. */
  readonly cleansUp?: boolean;
};

const underWay = new Set<ChildProcess>();
let interruptions = 0;

export class InterruptedError extends Error {
  constructor() {
    super('interrupted');
  }
}

export function throwIfInterrupted(): void {
  if (interruptions > 0) throw new InterruptedError();
}

/** Ends every program that is under way, the second time without asking; none that measures starts afterwards. */
export function interruptPrograms(): void {
  interruptions += 1;
  for (const { pid } of underWay) {
    if (pid !== undefined) killGroup(pid, interruptions === 1 ? 'SIGTERM' : 'SIGKILL');
  }
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It ended by itself.
  }
}

/** Starts a program in the checkout, unless told otherwise. */
export function startProgram(
  program: string,
  args: readonly string[],
  stdio: NonNullable<SpawnOptions['stdio']>,
  { env = {}, cwd = checkout, cleansUp = false }: CommandOptions = {},
): ChildProcess {
  if (!cleansUp) throwIfInterrupted();
  const child = spawn(program, args, { cwd, stdio, detached: true, env: { ...process.env, ...env } });
  if (!cleansUp) {
    underWay.add(child);
    child.once('exit', () => underWay.delete(child));
  }
  return child;
}

/** Runs a program and resolves to its standard output; rejects with what it said when it exits other than 0. */
export async function runCommand(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const child = startProgram(program, args, ['ignore', 'pipe', 'pipe'], options);
  const output: Buffer[] = [];
  const complaints: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => complaints.push(chunk));
  const status = await new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(signal ?? String(code)));
  });
  if (status !== '0') {
    if (options.cleansUp !== true) throwIfInterrupted();
    const said = Buffer.concat([...complaints, ...output])
      .toString()
      .trim();
    throw new Error(`${program} ${args.slice(0, 3).join(' ')} … ended with ${status}: ${said.slice(-2000)}`);
  }
  return Buffer.concat(output).toString();
}

/** Seconds from the start of a program to its end, as one who waits for it sees them. */
export async function timeProgram(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<number> {
  const start = process.hrtime.bigint();
  let end = start;
  const child = startProgram(program, args, ['ignore', 'ignore', 'pipe'], options);
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  child.once('exit', () => {
    end = process.hrtime.bigint();
  });
  const status = await new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(signal ?? String(code)));
  });
  if (status !== '0') {
    throwIfInterrupted();
    throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${said.trim().slice(-2000)}`);
  }
  return Number(end - start) / 1e9;
}

/** Whether a program is there and answers these arguments with exit status 0; its first line of output, or undefined. */
export function firstLineOf(program: string, args: readonly string[]): string | undefined {
  const { status, stdout, error } = spawnSync(program, args, { encoding: 'utf8' });
  return error === undefined && status === 0 ? stdout.split('\n')[0] : undefined;
}
