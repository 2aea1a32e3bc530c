/** Value of the journal's `live` table: what start-up must know of an unfinished job without reading its record. */

export type LiveEntry = {
  /** Milliseconds since 1970 before which no attempt is made; 0 for none. */
  readonly notBeforeMs: number;
  /** Number of the payload's file, 0 when the payload is in the journal. */
  readonly payloadFile: number;
  readonly lane: string;
};

export function encodeLive(entry: LiveEntry): Buffer {
  const bytes = Buffer.allocUnsafe(16 + Buffer.byteLength(entry.lane));
  bytes.writeDoubleLE(entry.notBeforeMs, 0);
  bytes.writeDoubleLE(entry.payloadFile, 8);
  bytes.write(entry.lane, 16);
  return bytes;
}

export function decodeLive(bytes: Buffer): LiveEntry {
  return {
    notBeforeMs: bytes.readDoubleLE(0),
    payloadFile: bytes.readDoubleLE(8),
    lane: bytes.toString('utf8', 16),
  };
}
