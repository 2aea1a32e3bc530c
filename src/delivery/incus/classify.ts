/**
 * The one table from what was seen on the way to an instance to what it means. Each row was seen on a real Incus or
 * read in its source; the first row that fits decides.
 */
import { systemCode } from '../../errors.ts';
import { DeadlineError } from '../deadline.ts';
import { ownVerdict, permanent, transient, type Verdict, verdictOfSystemCode } from '../failure.ts';
import { ConnectionError, IncusApiError, SftpStatusError } from './seen-errors.ts';
import { MalformedPacketError, SFTP_STATUS } from './sftp-packet.ts';

type ApiRow = { readonly status?: number; readonly text?: RegExp; readonly verdict: Verdict };

/** Also every error of the socket or of TLS before Incus said anything. */
const AWAY = transient('target_unreachable', 'target');
const UNAVAILABLE = transient('instance_unavailable', 'instance');
const LOST = transient('connection_lost', 'instance');

/** Answers of Incus's API: HTTP status and text. */
const API_ROWS: readonly ApiRow[] = [
  { status: 404, text: /project not found/i, verdict: permanent('project_not_found') },
  { status: 404, verdict: permanent('instance_not_found') },
  { status: 400, verdict: permanent('bad_request') },
  { status: 401, verdict: permanent('permission_denied') },
  { status: 403, verdict: permanent('permission_denied') },
  // "Shutting down", and "not yet started" while the daemon comes up.
  { status: 503, verdict: AWAY },
  // The helper of the instance just went away: "dial unix …/forkfile.sock: … reset by peer", "… no such file".
  { text: /forkfile\.sock.*(connection reset by peer|broken pipe)/, verdict: LOST },
  { text: /forkfile\.sock.*(no such file|connection refused)/, verdict: UNAVAILABLE },
  // A virtual machine, or one whose agent has not come up.
  { text: /instance is not running|agent (isn't|is not)/i, verdict: UNAVAILABLE },
  { text: /missing event connection with target cluster member/i, verdict: UNAVAILABLE },
  { verdict: UNAVAILABLE },
];

/** Ends of SFTP status texts, in Go's words, and the system's name for them. */
const SYSTEM_CODES: Readonly<Record<string, string>> = {
  'no such file or directory': 'ENOENT',
  'permission denied': 'EACCES',
  'operation not permitted': 'EPERM',
  'no space left on device': 'ENOSPC',
  'disk quota exceeded': 'EDQUOT',
  'is a directory': 'EISDIR',
  'file exists': 'EEXIST',
  'directory not empty': 'ENOTEMPTY',
  'not a directory': 'ENOTDIR',
  'read-only file system': 'EROFS',
  'file name too long': 'ENAMETOOLONG',
  'too many levels of symbolic links': 'ELOOP',
  'invalid argument': 'EINVAL',
  'file too large': 'EFBIG',
  'text file busy': 'ETXTBSY',
  'device or resource busy': 'EBUSY',
  'invalid cross-device link': 'EXDEV',
  'input/output error': 'EIO',
};

/** Status codes that say enough without a text. */
const STATUS_CODES: Readonly<Record<number, string>> = {
  [SFTP_STATUS.noSuchFile]: 'ENOENT',
  [SFTP_STATUS.permissionDenied]: 'EACCES',
};

/** The system's name for what an SFTP status tells: `ENOSPC`; undefined when it tells nothing. */
export function systemCodeOfStatus(error: SftpStatusError): string | undefined {
  const known = STATUS_CODES[error.status];
  if (known !== undefined) return known;
  // The text starts with a path, which may hold any words; what the system said comes last.
  const words = error.text.slice(error.text.lastIndexOf(': ') + 1).trim();
  return SYSTEM_CODES[words];
}

/** What a failure of any step of a delivery over Incus means. */
export function classify(error: unknown): Verdict {
  const own = ownVerdict(error);
  if (own !== undefined) return own;
  if (error instanceof IncusApiError) return classifyApi(error);
  if (error instanceof SftpStatusError) return classifyStatus(error);
  if (error instanceof ConnectionError) return error.phase === 'connect' ? AWAY : LOST;
  if (error instanceof DeadlineError)
    return transient('timed_out', error.step === 'connect' ? 'target' : 'instance');
  if (error instanceof MalformedPacketError) return LOST;
  return transient('internal', 'job');
}

function classifyApi(error: IncusApiError): Verdict {
  const row = API_ROWS.find(
    ({ status, text }) =>
      (status === undefined || status === error.status) && (text === undefined || text.test(error.message)),
  );
  return row?.verdict ?? UNAVAILABLE;
}

function classifyStatus(error: SftpStatusError): Verdict {
  if (error.status === SFTP_STATUS.connectionLost || error.status === SFTP_STATUS.noConnection) return LOST;
  const code = systemCodeOfStatus(error);
  // A rename that finds no file: the directory went away meanwhile, a reboot emptied /tmp; it is made again next time.
  if (code === 'ENOENT' && error.op !== 'open') return transient('instance_unavailable', 'job');
  return code === undefined ? transient('instance_unavailable', 'job') : verdictOfSystemCode(code);
}

/** The sentence for people: what was seen, and what to do where that is known. */
export function explain(error: unknown, socketPath: string | undefined): string {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof ConnectionError) || error.phase !== 'connect') return message;
  const code = systemCode(error.cause);
  if (socketPath === undefined) return `Cannot reach Incus: ${message}`;
  if (code === 'EACCES' || code === 'EPERM') {
    return `Cannot use the socket ${socketPath}: permission denied; join the group that owns it (incus-admin) or run as root`;
  }
  if (code === 'ENOENT')
    return `Cannot reach Incus: there is no socket ${socketPath}; is Incus installed and running?`;
  if (code === 'ECONNREFUSED') return `Cannot reach Incus: nobody listens on ${socketPath}; start Incus`;
  return `Cannot reach Incus on ${socketPath}: ${message}`;
}
