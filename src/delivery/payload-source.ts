/** Bytes of a payload in a row, whose memory is used again after `release`. None at the payload's end. */
export type Piece = { readonly data: Buffer; release(): void };

/**
 * The bytes of one delivery, handed in by whoever keeps them. A source may still be growing (an upload that is
 * delivered while it arrives), so its size and its right to be made visible come as promises.
 */
export type PayloadSource = {
  /** All bytes, when they are few and already in memory; `read` is not called then. */
  readonly inline: Buffer | undefined;
  /** How many there will be, as far as that is known. */
  readonly expectedBytes?: number | undefined;
  /** Waits like `read`; resolves to bytes from `offset` on if they are in memory, to be released once. */
  lend?(offset: number): Promise<Piece | undefined>;
  /**
   * Fills `buffer` from byte `offset` on and resolves to the bytes read: fewer than asked only at the end of what is
   * there now, 0 only at the end of the file. Waits while the source is still growing. Rejects when the source broke.
   */
  read(buffer: Buffer, offset: number): Promise<number>;
  /**
   * Resolves to the full size in bytes once payload and job are on stable storage; only then may the file become
   * visible under its final name. Rejects when the upload was given up.
   */
  readonly committed: Promise<number>;
};

export function createInlineSource(bytes: Buffer): PayloadSource {
  return {
    inline: bytes,
    read: (buffer, offset) => Promise.resolve(bytes.copy(buffer, 0, offset)),
    committed: Promise.resolve(bytes.length),
  };
}
