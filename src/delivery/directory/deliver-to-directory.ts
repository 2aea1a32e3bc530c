/**
 * One delivery into a directory that stands for an instance: temporary file in the destination's directory, data,
 * size, owner, mode, sync, rename, sync of the directory.
 *
 * Promises what `target.ts` says of a delivery, and that nothing outside the instance's directory is ever touched. A
 * delivered file survives a crash of the machine. Only root can give files away: as an ordinary user the owner stays
 * who runs this. Leaves, when this process dies in the middle, a temporary file of mode 0600, announced before.
 */
import { constants } from 'node:fs';
import { type FileHandle, rename, unlink } from 'node:fs/promises';
import { messageOf, systemCode } from '../../errors.ts';
import { Deadline, DeadlineError, StoppedError } from '../deadline.ts';
import {
  DeliveryError,
  failedOutcome,
  ownVerdict,
  payloadError,
  permanent,
  refusal,
  transient,
  type Verdict,
  verdictOfSystemCode,
} from '../failure.ts';
import type { Delivery, Outcome } from '../target.ts';
import { HandleKeeper } from './handle-keeper.ts';
import { byteNames, createMaker, entryOf, findPlace, type Place } from './rooted-path.ts';
import { writePayload } from './write-payload.ts';

const CREATE_NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
export const isRoot = () => process.geteuid?.() === 0;

/** `openRoot` opens the instance's directory. Never rejects. */
export async function deliverToDirectory(
  openRoot: (keeper: HandleKeeper) => Promise<FileHandle>,
  delivery: Delivery,
): Promise<Outcome> {
  const deadline = new Deadline(delivery.timeoutMs, delivery.signal);
  const last = new Deadline(delivery.timeoutMs);
  const keeper = new HandleKeeper();
  // It is looked at after the data; given up before that, it must not end the process as an unhandled rejection.
  delivery.payload.committed.catch(() => {});
  let temporary: Buffer | undefined;
  let path = delivery.path;
  let renaming = false;
  try {
    const root = await deadline.run('open instance', () => openRoot(keeper));
    const found = await deadline.run('look up', () => locate(root, keeper, delivery));
    path = found.path;
    const { place } = found;
    await deadline.wait('note the temporary file', () => announce(place, delivery));
    const entry = entryOf(place.directory, delivery.temporaryName);
    const file = await deadline.run('create', () => {
      temporary = entry;
      return keeper.open(entry, CREATE_NEW, 0o600).catch((error: unknown) => {
        // Not made here: a foreign file of this name stays.
        temporary = undefined;
        throw isExisting(error)
          ? new DeliveryError(transient('instance_unavailable', 'job'), 'The temporary name is taken', error)
          : error;
      });
    });
    await fill(file, keeper, delivery, deadline);
    delivery.onRename?.();
    if (deadline.over) throw new StoppedError();
    deadline.end();
    // From here on a stop comes too late: the file is there, or will be in a moment, and has to count as delivered.
    await last.run('rename', () => {
      renaming = true;
      return rename(entry, entryOf(place.directory, place.name));
    });
    temporary = undefined;
    await last.run('sync', () => place.directory.sync());
    return { kind: 'delivered', path };
  } catch (error) {
    // A rename under way when the time ran out may still happen; the file would then be whole.
    const left = temporary !== undefined && (!(await remove(temporary, error)) || renaming);
    return failedOutcome(classifySystem(error), describe(error, delivery, path), left);
  } finally {
    deadline.end();
    last.end();
    keeper.end();
  }
}

async function locate(root: FileHandle, keeper: HandleKeeper, delivery: Delivery) {
  const { path, sourceName, createDirs, uid, gid } = delivery;
  const make = createDirs ? createMaker(keeper, isRoot() ? { uid, gid } : undefined) : undefined;
  const rooted = { handle: root, keeper, make };
  if (!path.endsWith('/')) {
    const found = await findPlace(rooted, byteNames(path));
    if (found.type !== 'directory') return { path, place: checked(found.place, found.type, path) };
    await keeper.close(found.place.directory);
  }
  if (sourceName === '') {
    throw refusal(
      'destination_is_directory',
      `The destination ${path} is a directory and the file has no name`,
    );
  }
  const inside = path.endsWith('/') ? path + sourceName : `${path}/${sourceName}`;
  const found = await findPlace(rooted, byteNames(inside));
  return { path: inside, place: checked(found.place, found.type, inside) };
}

function checked(place: Place, type: string, path: string): Place {
  if (type === 'directory')
    throw refusal('destination_is_directory', `The destination ${path} is a directory`);
  if (type === 'other') {
    throw refusal('permission_denied', `The destination ${path} is a device, a pipe or a socket, not a file`);
  }
  return place;
}

async function announce({ names }: Place, { temporaryName, onTemporary }: Delivery): Promise<void> {
  const bytes = Buffer.from(['', ...names, ''].join('/'), 'latin1');
  const directory = bytes.toString('utf8');
  if (!Buffer.from(directory, 'utf8').equals(bytes)) {
    throw refusal('permission_denied', 'The destination is a link to a name that is not UTF-8');
  }
  try {
    await onTemporary(directory + temporaryName);
  } catch (error) {
    throw new DeliveryError(transient('internal', 'job'), 'Cannot note the temporary file', error);
  }
}

async function fill(
  file: FileHandle,
  keeper: HandleKeeper,
  delivery: Delivery,
  deadline: Deadline,
): Promise<void> {
  const { payload, uid, gid, mode } = delivery;
  const written = await writePayload(file, payload, deadline, delivery.onProgress);
  const size = await deadline.wait('commit', () =>
    payload.committed.catch((error: unknown) => {
      throw payloadError(error);
    }),
  );
  if (size !== written) {
    throw new DeliveryError(
      permanent('payload_lost'),
      `The stored file has ${written} bytes, expected ${size}`,
    );
  }
  await deadline.run('finish', async () => {
    if (isRoot()) await file.chown(uid, gid);
    await file.chmod(mode);
    await file.sync();
    const { size: kept } = await file.stat();
    if (kept !== size) {
      const message = `The instance kept ${kept} bytes of ${size}`;
      throw new DeliveryError(transient('instance_disk_full', 'job', true), message);
    }
    await keeper.close(file);
  });
}

function isExisting(error: unknown): boolean {
  return systemCode(error) === 'EEXIST';
}

/** True when the temporary file is gone. After a missed deadline the file system is not asked again. */
async function remove(entry: Buffer, error: unknown): Promise<boolean> {
  if (error instanceof DeadlineError) return false;
  try {
    await unlink(entry);
    return true;
  } catch (failure) {
    return systemCode(failure) === 'ENOENT';
  }
}

/** What a failure of a delivery into a directory means. */
export function classifySystem(error: unknown): Verdict {
  const own = ownVerdict(error);
  if (own !== undefined) return own;
  if (error instanceof DeadlineError) return transient('timed_out', 'instance');
  const code = systemCode(error);
  return code === undefined ? transient('internal', 'job') : verdictOfSystemCode(code);
}

export function describe(error: unknown, { instance }: { instance: string }, path: string): string {
  const words = /^[A-Z][A-Z0-9]+: ([^,]+), /.exec(messageOf(error))?.[1];
  return words === undefined ? messageOf(error) : `Cannot write ${instance}:${path}: ${words}`;
}
