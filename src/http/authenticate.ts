/** From a request to its caller: by token (RFC 6750), by client certificate, or by where it was sent to. */
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { CodedError } from '../errors.ts';
import { UNLIMITED } from '../protocol/scope.ts';
import type { TokenKeeper } from '../spool/token-keeper.ts';
import { InvalidTokenError, MissingTokenError } from './auth-error.ts';
import { ANYBODY, Caller } from './caller.ts';

/** Whether a listener lets in whoever shows nothing. */
export type Access = 'open' | 'closed';

/** Throws `unauthorized`. What is shown is judged also where nothing is needed. */
export function authenticate(req: IncomingMessage, access: Access, tokens: TokenKeeper): Caller {
  const { authorization } = req.headers;
  if (authorization !== undefined) {
    demandOneAuthorization(req);
    return callerOfToken(authorization, tokens);
  }
  const caller = callerOfCertificate(req);
  if (caller !== undefined) return caller;
  if (access === 'open') return ANYBODY;
  throw new MissingTokenError(certificateProblem(req));
}

function callerOfToken(authorization: string, tokens: TokenKeeper): Caller {
  const text = /^Bearer +([A-Za-z0-9._~+/-]+=*) *$/i.exec(authorization)?.[1];
  if (text === undefined) throw new InvalidTokenError('Authorization: expected Bearer and a token');
  const token = tokens.find(text);
  if (token === undefined) throw new InvalidTokenError();
  return new Caller(`token:${token.name}`, token.scope, token.isStillValid);
}

/** Node would take the first of several and leave out the others, somebody in between perhaps the last. */
function demandOneAuthorization({ rawHeaders }: IncomingMessage): void {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]?.toLowerCase() === 'authorization') count += 1;
  if (count > 1) throw new CodedError('bad_request', 'Authorization is given twice');
}

/** A certificate that the client CA signed. It may do everything: who is limited gets a token. */
function callerOfCertificate({ socket }: IncomingMessage): Caller | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const { subject, fingerprint256 } = socket.getPeerCertificate();
  if (fingerprint256 === undefined) return undefined;
  const name: unknown = subject?.CN;
  return new Caller(`cert:${typeof name === 'string' && name !== '' ? name : fingerprint256}`, UNLIMITED);
}

function certificateProblem({ socket }: IncomingMessage): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorizationError) return undefined;
  if (socket.getPeerCertificate().fingerprint256 === undefined) return undefined;
  return `The client certificate is not accepted: ${socket.authorizationError}; show another one, or a token`;
}
