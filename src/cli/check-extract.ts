import type { Connection } from '../client/connection.ts';
import { cancelJob } from '../client/jobs.ts';
import type { Accepted } from '../client/upload.ts';
import { CodedError } from '../errors.ts';

/** An old daemon takes an archive for a plain file. Its job is cancelled, and the error says so. */
export async function checkExtract(connection: Connection, { id, jobText }: Accepted): Promise<void> {
  if (/"extract":\s*"tar"/.test(jobText)) return;
  const end = await cancelJob(connection, id).then(
    () => `${id} was cancelled`,
    () => `${id} may deliver the archive itself`,
  );
  throw new CodedError(
    'bad_request',
    `The daemon does not unpack archives, as it is older than this program; ${end}; install the same version`,
  );
}
