/**
 * The one registry of error codes. A code is stable: scripts and other programs branch on it, people read the
 * sentence. Every failure that leaves a process (HTTP answer, job record, command line) carries one of these.
 */

export type ErrorCode = keyof typeof ERRORS;

export type ErrorEntry = {
  /** HTTP status when the code is the answer to a request. */
  readonly http: number;
  /** Exit status of `incus-upload` when the code ends the command. */
  readonly exit: number;
  /** Whether the same thing may succeed later without anybody changing the request. */
  readonly retryable: boolean;
  /** What happened, and in one clause what to do next. */
  readonly sentence: string;
};

const entry = (http: number, exit: number, retryable: boolean, sentence: string): ErrorEntry => ({
  http,
  exit,
  retryable,
  sentence,
});

export const ERRORS = {
  // Outcomes of a delivery. A waiting client exits 1 for each of them.
  instance_not_found: entry(404, 1, false, 'There is no such instance; check its name and project.'),
  project_not_found: entry(404, 1, false, 'There is no such project; check its name.'),
  instance_unavailable: entry(503, 1, true, 'The instance cannot take files now; it is tried again.'),
  destination_is_directory: entry(
    409,
    1,
    false,
    'The destination is a directory; end the path with / to put the file into it.',
  ),
  parent_missing: entry(
    409,
    1,
    false,
    'A parent directory is missing or is not a directory; make it, or push with --create-dirs.',
  ),
  permission_denied: entry(403, 1, false, 'The instance does not allow writing there; choose another path.'),
  instance_disk_full: entry(507, 1, true, 'The disk of the instance is full; make room there.'),
  name_too_long: entry(400, 1, false, 'A name in the path is too long; shorten it.'),
  target_unreachable: entry(503, 1, true, 'Incus does not answer; the queue waits until it does.'),
  connection_lost: entry(502, 1, true, 'The connection to the instance was lost; it is tried again.'),
  timed_out: entry(504, 1, true, 'The instance made no progress in time; it is tried again.'),
  payload_lost: entry(
    500,
    1,
    false,
    'The stored file is missing or damaged; push it again and run incus-uploadd fsck.',
  ),
  superseded: entry(
    409,
    1,
    false,
    'A later file was already delivered to this path; push this one again if it is the one you want.',
  ),
  cancelled: entry(409, 1, false, 'The job was cancelled.'),

  // Answers to a request.
  bad_request: entry(400, 76, false, 'The request is not valid; correct it.'),
  digest_mismatch: entry(400, 76, false, 'The body does not match its digest; send the file again.'),
  unsafe_archive: entry(
    400,
    76,
    false,
    'The archive holds an entry that is not safe to unpack; make it again without that entry.',
  ),
  unauthorized: entry(401, 77, false, 'A valid token is needed; give one with --token-file.'),
  forbidden: entry(403, 77, false, 'The token does not allow this; ask for one that does.'),
  not_found: entry(404, 76, false, 'There is nothing of that name; check the id.'),
  no_instance_matches: entry(404, 76, false, 'No instance matches the pattern; see: incus-upload instances.'),
  method_not_allowed: entry(405, 76, false, 'The method is not allowed here; see the Allow header.'),
  stalled: entry(408, 74, true, 'The body stopped arriving; send it again.'),
  conflict: entry(409, 76, false, 'The state of the job does not allow this.'),
  key_reused: entry(422, 76, false, 'The Idempotency-Key was used for another destination; use a new key.'),
  length_required: entry(411, 76, false, 'The length of the body cannot be known; send Content-Length.'),
  too_large: entry(413, 76, false, 'The file is larger than the daemon accepts; see --max-upload-size.'),
  too_many_uploads: entry(429, 75, true, 'Too many uploads at once; try again in a moment.'),
  header_too_large: entry(431, 76, false, 'The request headers are too large; shorten them.'),
  internal: entry(500, 76, false, 'The daemon failed in a way it did not expect; see its log.'),
  queue_full: entry(503, 75, true, 'The queue is full; try again later.'),
  draining: entry(503, 75, true, 'The daemon is stopping; try again in a moment.'),
  not_ready: entry(503, 75, true, 'The daemon is not ready; try again in a moment.'),
  disk_low: entry(507, 75, true, 'The disk of the daemon is nearly full; make room there, then try again.'),

  // What only the command line meets.
  usage: entry(400, 64, false, 'The command line is not valid; see --help.'),
  source_unreadable: entry(400, 66, false, 'The source cannot be read; check its name and permissions.'),
  daemon_unreachable: entry(503, 69, true, 'The daemon cannot be reached; start it, or check --url.'),
  server_untrusted: entry(
    502,
    69,
    false,
    'The certificate of the daemon is not trusted; pin it with incus-upload remote add, or name its authority.',
  ),
  send_failed: entry(502, 74, true, 'The connection broke while sending; try again.'),
  socket_denied: entry(403, 77, false, 'The socket of the daemon is closed to you; join its group.'),
  config_invalid: entry(400, 78, false, 'The configuration is not valid; correct it.'),
  wait_timeout: entry(504, 124, true, 'The time to wait ran out; the job goes on.'),
  interrupted: entry(499, 130, true, 'Interrupted.'),
} as const satisfies Record<string, ErrorEntry>;

/** Whether a text is one of the registry's codes. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** An error that carries a code of the registry; `message` says what happened in this very case. */
export class CodedError extends Error {
  readonly code: ErrorCode;
  /** Seconds after which trying again makes sense, where known (Retry-After, RFC 9110 section 10.2.3). */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    code: ErrorCode,
    message?: string,
    options: { cause?: unknown; retryAfterSeconds?: number } = {},
  ) {
    super(
      message ?? ERRORS[code].sentence,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = 'CodedError';
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

/** `error.code` of a Node system error such as `ENOENT`, or undefined. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
