/** A directory in an instance that uploads of a run go to, and how this machine sees it. */
export type Place = {
  readonly project: string;
  readonly instance: string;
  /** Inside the instance, without a final `/`. */
  readonly directory: string;
  /** The same directory on this machine. */
  readonly hostDirectory: string;
  /** What this machine adds to an owner's ids inside the instance. */
  readonly idOffset: number;
  /** Whether owners of files are really set, so that a file's gid tells the upload it came from. */
  readonly keepsOwner: boolean;
  /** The largest file that may go there; a small disk keeps all that go to its few paths. */
  readonly maxFileBytes: number;
  /** Whether every upload may have a path of its own there. */
  readonly manyFiles: boolean;
};

/** This machine's path of a path that lies below the place. */
export function hostPath(place: Place, path: string): string {
  return place.hostDirectory + path.slice(place.directory.length);
}
