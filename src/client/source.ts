/** What an upload sends. A source is used for one upload, and closed by whoever opened it. */
export type Source = {
  /** For messages: the path as the user gave it, or `standard input`. */
  readonly name: string;
  /** Bytes, or undefined when only the end of the stream tells. */
  readonly sizeBytes: number | undefined;
  /** Whether `body` can be called (again): false once bytes are gone that cannot be read a second time. */
  readonly rewindable: boolean;
  /** Permission bits, where there is one file that has them. */
  readonly mode?: number;
  /** Set when the bytes are an archive that is to be unpacked. */
  readonly extract?: 'tar';
  /** How many files the archive holds, where that is known. */
  readonly files?: number;
  /** The name that the daemon is told, where it is not the base name of `name`. */
  readonly sentName?: string;
  /**
   * The bytes from the beginning: in one piece when they are few. A piece of an iteration is valid only until the next
   * one is asked for. Rejects with `source_unreadable`, also when a file changed while it was read; the last bytes are
   * held back until that is known, so that a torn file is never complete on the other side.
   */
  body(): Promise<Buffer | AsyncIterable<Buffer>>;
  close(): Promise<void>;
};
