/** Requests with tokens that a daemon's state directory really holds. */
import { type Scope, UNLIMITED } from '../../src/protocol/scope.ts';
import { addToken } from '../../src/spool/token-directory.ts';
import { createToken, hashToken } from '../../src/spool/token-record.ts';
import { eventually, type Harness } from './harness.ts';
import { type Answer, request, upload } from './request.ts';

export async function giveToken(
  { stateDir }: Harness,
  name: string,
  scope: Partial<Scope> = {},
  expiresAt: number | null = null,
): Promise<string> {
  const text = createToken();
  const sha256 = hashToken(text).toString('hex');
  await addToken(stateDir, { name, sha256, scope: { ...UNLIMITED, ...scope }, createdAt: 0, expiresAt });
  return text;
}

export const bearer = (text: string): Record<string, string> => ({ Authorization: `Bearer ${text}` });

export function ask({ port }: Harness, token: string, method: string, path: string): Promise<Answer> {
  return request(port, method, path, { headers: bearer(token) });
}

export function send(
  { port }: Harness,
  token: string,
  instance: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return upload(port, instance, path, 'content', {
    ...bearer(token),
    Accept: 'application/json',
    ...headers,
  });
}

/** Nothing is under way, and nothing is left of what was. */
export async function untilClean(daemon: Harness): Promise<void> {
  daemon.target.behave('deliver');
  await eventually('nothing is under way', () => daemon.context.spool.live.size === 0);
  await eventually('no upload is under way', () => daemon.context.stats.uploadsUnderWay === 0);
  await eventually('nothing is left', () => daemon.payloadFiles().length === 0);
}
