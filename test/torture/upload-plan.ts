/** What the next upload of a run is: drawn from the seed, with destinations that collide on purpose. */
import type { ErrorCode } from '../../src/errors.ts';
import { archiveBytes } from './archive.ts';
import type { Place } from './place.ts';
import type { Random } from './random.ts';

/** How the client behaves. */
export type Manner =
  | 'plain'
  | 'slow'
  /** Goes away in the middle of the body. */
  | 'vanish'
  /** Goes away when the body is sent, without a look at the answer. */
  | 'deaf'
  /** Sends nothing more, and waits. */
  | 'stall';

export type UploadPlan = {
  /** Unique in the run. */
  readonly number: number;
  /** The number of the upload that was sent: also the gid of its files, so that a file or a job tells where it is from. */
  readonly owner: number;
  /** Its other destinations. */
  readonly also: readonly UploadPlan[];
  /** What is to be unpacked, in plans of their own; undefined when it is no archive. */
  readonly files: readonly UploadPlan[] | undefined;
  /** Whether it is a file of an archive. */
  readonly inArchive: boolean;
  /** The number that its bytes are drawn from. */
  readonly content: number;
  readonly place: Place;
  readonly instance: string;
  /** As sent in X-File-Path. */
  readonly path: string;
  readonly hostPath: string | undefined;
  /** The file that it must become. */
  readonly finalPath: string;
  /** Whether others may write the same file. */
  readonly shared: boolean;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly createDirs: boolean;
  readonly key: string | undefined;
  readonly digest: 'none' | 'right' | 'wrong';
  readonly chunked: boolean;
  readonly expectContinue: boolean;
  readonly manner: Manner;
  /** What the job has to end with, when its destination is no good. */
  readonly mustFailWith: ErrorCode | undefined;
  /** An upload that the daemon must not accept: never complete, or not what its digest says, or too large. */
  readonly mustBeRefused: boolean;
  /** Is cancelled right after it was accepted. */
  readonly cancel: boolean;
};

const KIB = 1024;
const MIB = 1024 * KIB;
const BORDER = 64 * KIB;

export const MAX_UPLOAD_BYTES = 65 * MIB;
/** Files that several uploads write, in every place. */
const SHARED_FILES = 6;
const SHARED_IN_DIRECTORY = 4;
const MOST_OTHERS = 3;
const MOST_IN_ARCHIVE = 30;

export class Planner {
  readonly #random: Random;
  readonly #places: readonly Place[];
  #last = 0;

  constructor(random: Random, places: readonly Place[]) {
    this.#random = random;
    this.#places = places;
  }

  /** Numbers follow one another, those of the other destinations too. */
  next(): UploadPlan {
    const plan = this.#draw();
    if (plan.mustFailWith !== undefined) return plan;
    const { keepsOwner, manyFiles } = plan.place;
    if (keepsOwner && manyFiles && plan.sizeBytes <= MAX_UPLOAD_BYTES && this.#random.chance(0.03))
      return this.#drawArchive(plan);
    if (!this.#random.chance(0.06)) return plan;
    const also: UploadPlan[] = [];
    const taken = new Set([`${plan.instance}:${plan.finalPath}`]);
    for (let left = this.#random.int(1, MOST_OTHERS); left > 0; left -= 1) {
      const other = this.#drawOther(plan);
      const name = `${other.instance}:${other.finalPath}`;
      if (taken.has(name)) continue;
      taken.add(name);
      this.#last += 1;
      also.push(other);
    }
    return { ...plan, also };
  }

  #drawArchive(plan: UploadPlan): UploadPlan {
    const random = this.#random;
    const { directory } = plan.place;
    const files = new Map<string, UploadPlan>();
    for (let left = random.int(0, MOST_IN_ARCHIVE); left > 0; left -= 1) {
      this.#last += 1;
      const number = this.#last;
      const [name, shared] = random.weighted<[string, boolean]>([
        [3, [`f${random.int(0, SHARED_FILES - 1)}`, true]],
        [2, [`in/h${random.int(0, SHARED_IN_DIRECTORY - 1)}`, true]],
        [5, [`t/${number % 40}/${number}`, false]],
      ]);
      const path = `${directory}/${name}`;
      const sizeBytes = random.chance(0.1) ? random.logInt(1, MIB) : random.logInt(1, 40 * KIB);
      const mode = random.pick([0o644, 0o600, 0o755]);
      const file = { number, content: number, path, finalPath: path, shared, sizeBytes, mode };
      files.set(path, {
        ...plan,
        ...file,
        hostPath: undefined,
        files: undefined,
        inArchive: true,
        cancel: false,
      });
    }
    const list = [...files.values()];
    return {
      ...plan,
      files: list,
      path: random.pick([directory, `${directory}/`]),
      hostPath: undefined,
      finalPath: directory,
      shared: true,
      sizeBytes: archiveBytes(list),
    };
  }

  #drawOther(plan: UploadPlan): UploadPlan {
    const fitting = this.#places.filter(
      ({ project, maxFileBytes }) => project === plan.place.project && maxFileBytes >= plan.sizeBytes,
    );
    const place = this.#random.pick(fitting);
    const { directory, instance, manyFiles } = place;
    const number = this.#last + 1;
    const shared = !manyFiles || this.#random.chance(0.4);
    const name = shared ? `f${this.#random.int(0, SHARED_FILES - 1)}` : `u/${number % 40}/${number}`;
    const path = `${directory}/${name}`;
    return { ...plan, number, place, instance, path, finalPath: path, shared, cancel: false };
  }

  #draw(): UploadPlan {
    const random = this.#random;
    this.#last += 1;
    const number = this.#last;
    const place = random.pick(this.#places);
    const tooLarge = place.manyFiles && random.chance(0.002);
    const sizeBytes = tooLarge ? MAX_UPLOAD_BYTES + random.int(1, 4 * MIB) : sizeOf(random, place);
    const manner = mannerOf(random, sizeBytes);
    const digest = random.weighted([
      [75, 'none'],
      [22, 'right'],
      [3, 'wrong'],
    ] as const);
    const destination = random.chance(0.015)
      ? impossible(random, place, number)
      : drawn(random, place, number);
    return {
      number,
      owner: number,
      also: [],
      files: undefined,
      inArchive: false,
      content: number,
      place,
      instance: place.instance,
      sizeBytes,
      mode: random.pick([0o644, 0o600, 0o755]),
      uid: random.pick([0, 0, 1000]),
      createDirs: true,
      key: random.chance(0.5) ? `key-${number}` : undefined,
      digest: tooLarge ? 'none' : digest,
      chunked: !tooLarge && random.chance(0.2),
      expectContinue: tooLarge || random.chance(0.05),
      manner: tooLarge ? 'plain' : manner,
      mustFailWith: undefined,
      mustBeRefused: tooLarge || digest === 'wrong' || manner === 'vanish' || manner === 'stall',
      cancel: random.chance(0.01),
      ...destination,
    };
  }

  /** Every file that several uploads write. */
  sharedFiles(): { readonly place: Place; readonly path: string }[] {
    return this.#places.flatMap((place) => [
      ...count(SHARED_FILES).map((i) => ({ place, path: `${place.directory}/f${i}` })),
      ...count(SHARED_IN_DIRECTORY).map((i) => ({ place, path: `${place.directory}/in/h${i}` })),
    ]);
  }
}

function count(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

function sizeOf(random: Random, place: Place): number {
  // Where owners are not kept a file is known by its bytes alone, so it needs enough of them.
  const least = place.keepsOwner ? 1 : 16;
  const drawnBytes = random.weighted([
    [place.keepsOwner ? 40 : 0, () => 0],
    [620, () => random.logInt(least, BORDER)],
    [140, () => BORDER + random.pick([-1, 0, 1, random.int(-300, 300)])],
    [170, () => random.logInt(BORDER, MIB)],
    [28, () => random.logInt(MIB, 8 * MIB)],
    [2, () => random.logInt(8 * MIB, 64 * MIB)],
  ])();
  return drawnBytes <= place.maxFileBytes ? drawnBytes : random.int(least, place.maxFileBytes);
}

function mannerOf(random: Random, sizeBytes: number): Manner {
  const manner = random.weighted<Manner>([
    [85, 'plain'],
    [6, 'slow'],
    [5, 'vanish'],
    [3, 'deaf'],
    [0.4, 'stall'],
  ]);
  return sizeBytes === 0 && manner !== 'deaf' ? 'plain' : manner;
}

type Destination = Pick<UploadPlan, 'path' | 'hostPath' | 'finalPath' | 'shared'> &
  Partial<Pick<UploadPlan, 'instance' | 'createDirs' | 'mustFailWith'>>;

function drawn(random: Random, { directory, manyFiles }: Place, number: number): Destination {
  const unique = manyFiles && random.chance(0.4);
  if (unique) {
    const path = `${directory}/u/${number % 40}/${number}`;
    return random.chance(0.3)
      ? {
          path: `${directory}/u/${number % 40}/`,
          hostPath: `/home/${number}`,
          finalPath: path,
          shared: false,
        }
      : { path, hostPath: undefined, finalPath: path, shared: false };
  }
  if (random.chance(0.6)) {
    const path = `${directory}/f${random.int(0, SHARED_FILES - 1)}`;
    return { path, hostPath: random.chance(0.5) ? '/home/name' : undefined, finalPath: path, shared: true };
  }
  const name = `h${random.int(0, SHARED_IN_DIRECTORY - 1)}`;
  const finalPath = `${directory}/in/${name}`;
  const path = random.pick([`${directory}/in/`, `${directory}/in`, finalPath]);
  return { path, hostPath: `/home/user/${name}`, finalPath, shared: true };
}

/** Destinations that no delivery can reach. */
function impossible(random: Random, { directory }: Place, number: number): Destination {
  const finalPath = `${directory}/nowhere/${number}`;
  const common = { hostPath: undefined, finalPath, shared: false };
  return random.pick<Destination>([
    { ...common, path: finalPath, instance: 'no-such-one', mustFailWith: 'instance_not_found' },
    { ...common, path: `${directory}/in`, mustFailWith: 'destination_is_directory' },
    { ...common, path: finalPath, createDirs: false, mustFailWith: 'parent_missing' },
  ]);
}
