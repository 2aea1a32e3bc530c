/**
 * What a kind of target does for `unpackTree`. Directories and files go by their names in the tree, `''` being the
 * directory that is unpacked into. Nothing here is atomic by itself but `rename`; what is made in a staging directory is
 * seen by nobody. Every method rejects with an error that `explain` turns into one for people.
 */
import type { FileEntry } from './tree-reader.ts';

/** Where files are made before they get their names; a directory of the tree and a name in it. */
export type Staging = { readonly directory: string; readonly name: string };

export type FoundType = 'missing' | 'file' | 'link' | 'directory' | 'other';

export type TreeWriter = {
  /** How many files are made at the same time. */
  readonly atOnce: number;
  /** Finds the directory that is unpacked into, made if it may be. Called once, before all else. */
  open(): Promise<void>;
  /** The path of a name in the tree, as people know it. */
  pathOf(name: string): string;
  /** Makes a directory, closed to others' writing; `merged` when there is one, or a link to one, already. */
  makeDirectory(name: string, mode: number): Promise<'made' | 'merged'>;
  /** Gives a directory its owner and mode. */
  finishDirectory(name: string, mode: number): Promise<void>;
  /** What is at a name; links are not followed. */
  look(name: string): Promise<FoundType>;
  /** Fails when the name is taken. */
  makeStaging(staging: Staging): Promise<void>;
  /** Removes it with whatever was made in it. */
  removeStaging(staging: Staging): Promise<void>;
  /** Makes a file complete with owner and mode; `content` is given for small ones. `moved` is told of bytes as they are there. */
  makeFile(
    staging: Staging,
    temporary: string,
    entry: FileEntry,
    content: Buffer | undefined,
    moved: (bytes: number) => void,
  ): Promise<void>;
  makeLink(staging: Staging, temporary: string, target: string): Promise<void>;
  /** Puts what was made into place, over a file or link that is there. */
  rename(staging: Staging, temporary: string, name: string): Promise<void>;
  removeTemporary(staging: Staging, temporary: string): Promise<void>;
  /** All files are in their places, their directories still open to be written. */
  settle(): Promise<void>;
  /** The system's name of an error, such as `EXDEV`. */
  codeOf(error: unknown): string | undefined;
  /** The error as a `DeliveryError` that names the entry; what is not about an entry as it is. */
  explain(error: unknown, name: string): unknown;
  /** The attempt has ended: what is still under way ends as soon as it can. */
  end(): void;
};
