import { checkClock, checkInfo } from '../client/check-daemon.ts';
import { checkConfig, checkSocket, checkTokenFile } from '../client/check-files.ts';
import type { ChosenDaemon } from '../client/chosen-daemon.ts';
import { readClientConfig } from '../client/client-config.ts';
import { hasClientConfig } from '../client/config-path.ts';
import { addressOf, openConnection } from '../client/connection.ts';
import { badSentence, type Finding, fine } from '../client/finding.ts';
import { fetchInfo } from '../client/info.ts';
import { CodedError } from '../errors.ts';
import { advise } from './advice.ts';
import { wantsColor } from './color.ts';
import { chooseDaemon, type GlobalFlags } from './context.ts';
import { watchInterruption } from './interruption.ts';
import { createOutput, printable } from './output.ts';
import type { Paint } from './printer.ts';
import { readVersion } from './version.ts';

/** A daemon that takes longer to describe itself is one to be looked at. */
const ANSWER_MS = 10_000;

/** Behind a problem of one of these there is nothing to be seen. */
const GATES: ReadonlySet<Finding['check']> = new Set(['config', 'socket', 'daemon'] as const);

/** `doctor`: one line for each thing that was looked at. Resolves to 1 when one of them is a problem. */
export async function runDoctor(flags: GlobalFlags): Promise<number> {
  const output = createOutput(flags);
  const { createPaint } = await import('./printer.ts');
  const paint = createPaint(wantsColor(flags.color, process.stdout, process.env));
  const { signal, stop } = watchInterruption();
  let problems = 0;
  let last: Finding | undefined;
  try {
    for await (const finding of examine(flags, signal)) {
      last = finding;
      if (finding.status === 'problem') problems += 1;
      if (flags.json) output.out(JSON.stringify(finding));
      else if (!flags.quiet || finding.status !== 'ok') output.out(describe(finding, paint));
    }
  } finally {
    stop();
  }
  const isCutShort = last !== undefined && GATES.has(last.check) && last.status === 'problem';
  if (isCutShort && !flags.json && !flags.quiet)
    output.err('the rest cannot be looked at before that is mended');
  return problems === 0 ? 0 : 1;
}

/** Ends at the first thing that leaves nothing behind it to be looked at. */
async function* examine(flags: GlobalFlags, signal: AbortSignal): AsyncGenerator<Finding> {
  const { env } = process;
  let chosen: ChosenDaemon;
  try {
    chosen = await chooseDaemon(flags, env);
    // Told also where another daemon is named, since a later command may need it.
    if (hasClientConfig(env)) readClientConfig(env);
  } catch (error) {
    yield fromError('config', error);
    return;
  }
  const connection = openConnection(chosen);
  const { address } = chosen;
  try {
    yield checkConfig(env, `${addressOf(connection)} is used (${chosen.origin})`);
    const tokenFile = flags.tokenFile ?? chosen.tokenFile ?? (env.INCUS_UPLOAD_TOKEN_FILE || undefined);
    if (tokenFile !== undefined) yield checkTokenFile(tokenFile);
    if (address.kind === 'unix') {
      const socket = checkSocket(address.socketPath);
      yield socket;
      if (socket.status === 'problem') return;
    }
    const limit = AbortSignal.any([signal, timeLimit()]);
    const askedAtMs = Date.now();
    const { info, date } = await fetchInfo(connection, limit);
    const nowMs = (askedAtMs + Date.now()) / 2;
    yield fine('daemon', `it answers at ${addressOf(connection)}`);
    yield* checkClock(date, nowMs);
    yield* checkInfo(info, readVersion());
  } catch (error) {
    if (signal.aborted) throw error;
    yield fromError('daemon', error);
  } finally {
    connection.close();
  }
}

function timeLimit(): AbortSignal {
  const controller = new AbortController();
  const why = `The daemon gave no answer within ${ANSWER_MS / 1000} s; see its log (journalctl -u incus-uploadd)`;
  setTimeout(() => controller.abort(new CodedError('daemon_unreachable', why)), ANSWER_MS).unref();
  return controller.signal;
}

function fromError(check: 'config' | 'daemon', error: unknown): Finding {
  if (!(error instanceof CodedError)) throw error;
  return badSentence(check, advise(error.code, error.message));
}

function describe({ check, status, message, advice }: Finding, paint: Paint): string {
  const word = status.padEnd('problem'.length);
  const drawn =
    status === 'ok'
      ? paint.good(word)
      : status === 'problem'
        ? paint.bad(word)
        : paint.state('deferred', word);
  return `${drawn}  ${check.padEnd('version'.length)}  ${printable(advice === null ? message : `${message}; ${advice}`)}`;
}
