import { CodedError, messageOf } from '../errors.ts';
import { baseName } from '../protocol/names.ts';
import { gunzip, unzstd } from './decompress.ts';
import type { Source } from './source.ts';
import { isTarBlock } from './tar-writer.ts';

/** As much as is needed to tell what it is. */
const HEAD_BYTES = 512;

type Format = 'tar' | 'gzip' | 'zstd';

/** Compressions that are known, but not undone here, with the programs that do. */
const OTHERS: readonly (readonly [magic: string, program: string])[] = [
  ['fd377a585a00', 'xz'],
  ['425a68', 'bzip2'],
  ['04224d18', 'lz4'],
  ['4c5a4950', 'lzip'],
];

/**
 * The archive in a source, to be unpacked at the other end: a tar archive, plain or compressed by gzip or zstd, which
 * its first bytes tell. It is sent plain. What is no archive, or a damaged one, is `source_unreadable`.
 */
export async function openArchiveSource(source: Source): Promise<Source> {
  const sentName = source.sizeBytes === undefined ? '' : baseName(source.name);
  const common = { name: source.name, sentName, extract: 'tar' as const, close: () => source.close() };
  if (source.sizeBytes !== undefined) {
    const { head } = await peek(await source.body());
    const format = formatOf(source.name, head);
    if (format === 'tar') return { ...source, ...common, rewindable: true };
    const body = async (): Promise<AsyncIterable<Buffer>> =>
      plain(source.name, format, piecesOf(await source.body()));
    return { ...common, sizeBytes: undefined, rewindable: true, body };
  }
  return {
    ...common,
    sizeBytes: undefined,
    get rewindable() {
      return source.rewindable;
    },
    body: async () => {
      const { head, all } = await peek(await source.body());
      return plain(source.name, formatOf(source.name, head), all());
    },
  };
}

async function* piecesOf(body: Buffer | AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  if (Buffer.isBuffer(body)) yield body;
  else yield* body;
}

/** The first bytes of a body, and the body with them. */
async function peek(
  body: Buffer | AsyncIterable<Buffer>,
): Promise<{ head: Buffer; all(): AsyncGenerator<Buffer> }> {
  const iterator = piecesOf(body)[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (head.length < HEAD_BYTES) {
    const { value, done } = await iterator.next();
    if (done === true) break;
    head = Buffer.concat([head, value]);
  }
  async function* all(): AsyncGenerator<Buffer> {
    yield head;
    yield* iterator;
  }
  return { head, all };
}

function formatOf(name: string, head: Buffer): Format {
  if (head.length >= 2 && head.readUInt16BE() === 0x1f8b) return 'gzip';
  if (head.length >= 4) {
    const magic = head.readUInt32LE();
    // RFC 8878 sections 3.1.1 and 3.1.2: a frame of data, or one to be skipped.
    if (magic === 0xfd2fb528 || (magic & 0xfffffff0) >>> 0 === 0x184d2a50) return 'zstd';
  }
  if (isTarBlock(head)) return 'tar';
  const program = OTHERS.find(([magic]) => head.toString('hex').startsWith(magic))?.[1];
  throw new CodedError(
    'source_unreadable',
    program === undefined
      ? `${name} is no tar archive, neither plain nor compressed by gzip or zstd; push it without --extract`
      : `${name} is compressed by ${program}, which is not known here: ${program} -dc FILE | incus-upload push --extract - DESTINATION`,
  );
}

/** The archive without its compression, once it is seen to be one. */
async function* plain(name: string, format: Format, pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  if (format === 'tar') return yield* pieces;
  try {
    const { head, all } = await peek(format === 'gzip' ? gunzip(pieces) : unzstd(pieces));
    if (!isTarBlock(head)) {
      throw new CodedError(
        'source_unreadable',
        `${name} is compressed by ${format}, but holds no tar archive; push it without --extract`,
      );
    }
    yield* all();
  } catch (error) {
    if (error instanceof CodedError) throw error;
    throw new CodedError(
      'source_unreadable',
      `Cannot read ${name}: its ${format} data is damaged or cut off (${messageOf(error)}); make the archive anew`,
      { cause: error },
    );
  }
}
