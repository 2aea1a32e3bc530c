import { CodedError } from '../errors.ts';
import { headerOf } from './answer.ts';
import type { Connection } from './connection.ts';

/** What the daemon says of itself; see GET /v1/info. Members may be added by newer daemons. */
export type DaemonInfo = Readonly<Record<string, unknown>>;

export async function getInfo(connection: Connection, signal?: AbortSignal): Promise<DaemonInfo> {
  return (await fetchInfo(connection, signal)).info;
}

/** The same with the daemon's time, as its Date header has it. */
export async function fetchInfo(
  connection: Connection,
  signal?: AbortSignal,
): Promise<{ info: DaemonInfo; date: string | undefined }> {
  const answer = await connection.request({ method: 'GET', path: '/v1/info', signal });
  const text = await answer.body.text();
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json === 'object' && json !== null)
      return { info: json as DaemonInfo, date: headerOf(answer.headers, 'date') };
  } catch {
    // Falls through to the same message: no JSON, or none of ours.
  }
  throw new CodedError('internal', 'The daemon does not describe itself; check --url');
}
