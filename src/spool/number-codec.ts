/** Numbers as values of the journal: doubles of 8 bytes each, one after the other. */
export function encodeNumbers(...values: readonly number[]): Buffer {
  return encodeNumberList(values);
}

/** The same of many, which are too many to be arguments. */
export function encodeNumberList(values: ArrayLike<number>): Buffer {
  const bytes = Buffer.allocUnsafe(8 * values.length);
  for (let i = 0; i < values.length; i += 1) bytes.writeDoubleLE(values[i] as number, 8 * i);
  return bytes;
}

/** The number at a position of such a value. */
export function decodeNumber(bytes: Buffer, index = 0): number {
  return bytes.readDoubleLE(8 * index);
}
