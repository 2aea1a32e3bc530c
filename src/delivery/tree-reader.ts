/**
 * Reads an archive out of the payload of a delivery: its entries in order, small files with their content. It judges
 * them once more, as when the archive was accepted: what is unpacked is only what is safe. Keeps a piece at a time and the
 * names of the tree. Contents are parts of buffers that are never used again, so they stay valid.
 */
import { CodedError } from '../errors.ts';
import { TarParser } from '../protocol/tar-parser.ts';
import { Tree, type TreeEntry } from '../protocol/tree.ts';
import { DeliveryError, payloadError, permanent } from './failure.ts';
import type { PayloadSource } from './payload-source.ts';

/** Files up to this size come with their content. */
export const SMALL_FILE_BYTES = 128 * 1024;

const PIECE_BYTES = 1024 * 1024;
const NOTHING = Buffer.alloc(0);

export type FileEntry = Extract<TreeEntry, { kind: 'file' }>;

export type TreeItem = {
  readonly entry: TreeEntry;
  /** Of a small file; all others are read by `sliceOf`. */
  readonly content: Buffer | undefined;
};

/** The entries that come with each piece of the archive. Rejects with a `DeliveryError`. */
export async function* readTree(
  payload: PayloadSource,
  sizeBytes: number,
): AsyncGenerator<readonly TreeItem[]> {
  const tree = new Tree();
  let found: TreeEntry[] = [];
  const parser = new TarParser((entry) => found.push(tree.add(entry)));
  let window = NOTHING;
  let windowAt = 0;
  /** A small file whose content is not whole yet. */
  let waiting: FileEntry | undefined;
  for (;;) {
    if (waiting === undefined) parser.skip(Math.min(parser.skippableBytes, sizeBytes - parser.offset));
    if (parser.offset >= sizeBytes) break;
    const kept: Buffer = waiting === undefined ? NOTHING : window.subarray(waiting.offset - windowAt);
    const buffer = Buffer.allocUnsafeSlow(kept.length + Math.min(PIECE_BYTES, sizeBytes - parser.offset));
    kept.copy(buffer);
    const bytes = await readSome(payload, buffer.subarray(kept.length), parser.offset);
    windowAt = parser.offset - kept.length;
    window = buffer.subarray(0, kept.length + bytes);
    found = waiting === undefined ? [] : [waiting];
    waiting = undefined;
    judge(() => parser.push(window.subarray(kept.length)));
    const items: TreeItem[] = [];
    for (const entry of found) {
      if (entry.kind !== 'file' || entry.sizeBytes > SMALL_FILE_BYTES) {
        items.push({ entry, content: undefined });
        continue;
      }
      const from = entry.offset - windowAt;
      const to = from + entry.sizeBytes;
      // Only the last one can be cut, since nothing stands behind its content yet.
      if (entry.sizeBytes > 0 && to > window.length) waiting = entry;
      else if (entry.sizeBytes === 0) items.push({ entry, content: NOTHING });
      // A hard link to what is past already.
      else if (from < 0) items.push({ entry, content: await readWhole(payload, entry) });
      else items.push({ entry, content: window.subarray(from, to) });
    }
    if (items.length > 0) yield items;
  }
  judge(() => parser.end());
}

/** The content of one file as a payload of its own. */
export function sliceOf(payload: PayloadSource, { offset, sizeBytes }: FileEntry): PayloadSource {
  return {
    inline: undefined,
    expectedBytes: sizeBytes,
    read: (buffer, at) => {
      const left = sizeBytes - at;
      if (left <= 0) return Promise.resolve(0);
      return readSome(payload, left < buffer.length ? buffer.subarray(0, left) : buffer, offset + at);
    },
    committed: Promise.resolve(sizeBytes),
  };
}

async function readWhole(payload: PayloadSource, { offset, sizeBytes }: FileEntry): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(sizeBytes);
  for (let at = 0; at < sizeBytes; ) at += await readSome(payload, buffer.subarray(at), offset + at);
  return buffer;
}

/** At least a byte. */
async function readSome(payload: PayloadSource, buffer: Buffer, offset: number): Promise<number> {
  const { inline } = payload;
  if (inline !== undefined && offset < inline.length) return inline.copy(buffer, 0, offset);
  let bytes: number;
  try {
    bytes = inline === undefined ? await payload.read(buffer, offset) : 0;
  } catch (error) {
    throw payloadError(error);
  }
  if (bytes > 0) return bytes;
  throw new DeliveryError(permanent('payload_lost'), `The stored archive ends at ${offset} bytes`);
}

/** It was whole and safe when it was accepted. */
function judge(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    const code = error.code === 'unsafe_archive' ? error.code : 'payload_lost';
    throw new DeliveryError(permanent(code), error.message, error);
  }
}
