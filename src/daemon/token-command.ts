/** `incus-uploadd token`: who may use the daemon over TCP. Works on the state directory, whether a daemon runs or not. */
import { formatSize } from '../base/size.ts';
import { CodedError, messageOf, systemCode } from '../errors.ts';
import { addToken, isTokenName, listTokens, revokeToken } from '../spool/token-directory.ts';
import { createToken, hashToken, type TokenRecord } from '../spool/token-record.ts';
import { becomeOwnerOf } from './state-owner.ts';
import { parseExpiry, parseScope, type ScopeFlags } from './token-scope.ts';

export type TokenCommand = {
  readonly stateDir: string;
  readonly nowMs: number;
  /** Standard output: what scripts read. */
  readonly write: (text: string) => void;
  /** Standard error: what people are told besides. */
  readonly note: (text: string) => void;
};

/** Makes a token and writes it, alone and for the only time, to standard output. */
export async function runTokenAdd(
  command: TokenCommand,
  name: string,
  flags: ScopeFlags & { readonly expires?: string },
): Promise<void> {
  if (!isTokenName(name)) {
    throw new CodedError(
      'usage',
      `Not a name for a token: ${JSON.stringify(name)}; expected up to 64 letters, digits, dots, dashes and underscores`,
    );
  }
  const scope = parseScope(flags);
  const expiresAt = parseExpiry(flags.expires, command.nowMs);
  const token = createToken();
  const record = {
    name,
    sha256: hashToken(token).toString('hex'),
    scope,
    createdAt: command.nowMs,
    expiresAt,
  };
  await inStateDirectory(command.stateDir, () => addToken(command.stateDir, record));
  command.note(`Token ${name} allows ${describeScope(record)}. It is shown only now:\n`);
  command.write(`${token}\n`);
}

/** A line for each token, or one JSON array; the tokens themselves are not known any more. */
export async function runTokenList(command: TokenCommand, json: boolean): Promise<void> {
  const { stateDir, nowMs, write, note } = command;
  const records = await inStateDirectory(stateDir, () =>
    listTokens(stateDir, (problem) => note(`incus-uploadd: ${problem}\n`)),
  );
  if (json) write(`${JSON.stringify(records.map((record) => encodeToken(record, nowMs)))}\n`);
  else for (const record of records) write(formatToken(record, nowMs));
}

export async function runTokenRevoke({ stateDir, note }: TokenCommand, name: string): Promise<void> {
  if (!isTokenName(name)) throw new CodedError('not_found', `There is no token ${JSON.stringify(name)}`);
  await inStateDirectory(stateDir, () => revokeToken(stateDir, name));
  note(`Token ${name} is not valid any more.\n`);
}

/**
 * As root becomes the owner of the state directory first: the daemon can read what is written, and a link that somebody
 * put there is not followed with the rights of root.
 */
async function inStateDirectory<T>(stateDir: string, work: () => Promise<T>): Promise<T> {
  try {
    becomeOwnerOf(stateDir);
    return await work();
  } catch (error) {
    if (error instanceof CodedError) throw error;
    const isDenied = systemCode(error) === 'EACCES' || systemCode(error) === 'EPERM';
    throw new CodedError(
      isDenied ? 'forbidden' : 'internal',
      `Cannot use the tokens in ${stateDir}: ${messageOf(error)}${isDenied ? '; run this as root or as the user of the daemon' : ''}`,
      { cause: error },
    );
  }
}

/** Names as in the HTTP interface: snake_case, unknown values null. */
function encodeToken({ name, scope, createdAt, expiresAt }: TokenRecord, nowMs: number): object {
  return {
    name,
    projects: scope.projects,
    instances: scope.instances,
    paths: scope.paths,
    max_upload_size: scope.maxUploadSizeBytes,
    read_only: scope.readOnly,
    created_at: new Date(createdAt).toISOString(),
    expires_at: expiresAt === null ? null : new Date(expiresAt).toISOString(),
    expired: expiresAt !== null && expiresAt <= nowMs,
  };
}

function formatToken(record: TokenRecord, nowMs: number): string {
  const { name, expiresAt } = record;
  const until =
    expiresAt === null
      ? ''
      : `, ${expiresAt <= nowMs ? 'expired' : 'until'} ${new Date(expiresAt).toISOString()}`;
  return `${name}: ${describeScope(record)}${until}\n`;
}

function describeScope({ scope }: TokenRecord): string {
  const { projects, instances, paths, maxUploadSizeBytes, readOnly } = scope;
  const parts = [
    readOnly ? 'reading' : 'everything',
    ...(projects.length > 0 ? [`in project ${projects.join(' or ')}`] : []),
    ...(instances.length > 0 ? [`for instance ${instances.join(' or ')}`] : []),
    ...(paths.length > 0 ? [`at path ${paths.join(' or ')}`] : []),
    ...(maxUploadSizeBytes === null ? [] : [`up to ${formatSize(maxUploadSizeBytes)}`]),
  ];
  return parts.join(' ').replaceAll(/\p{Cc}/gu, '?');
}
