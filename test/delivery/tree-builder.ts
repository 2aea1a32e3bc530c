/** Archives for tests, and deliveries of them. */
import { createInlineSource } from '../../src/delivery/payload-source.ts';
import type { TreeDelivery } from '../../src/delivery/target.ts';
import { createDelivery } from './delivery-builder.ts';

const BLOCK = 512;

export type ArchiveEntry = {
  /** One that ends in `/` is a directory. */
  readonly name: string;
  readonly content?: Buffer | string;
  readonly mode?: number;
  /** Of a symbolic link. */
  readonly link?: string;
  /** Of a hard link. */
  readonly hardLink?: string;
  /** The letter of its kind, if it is none of those. */
  readonly type?: string;
};

/** A tar archive with pax headers for long names, as GNU tar writes it. */
export function createArchive(entries: readonly ArchiveEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(encodeEntry), Buffer.alloc(2 * BLOCK)]);
}

function encodeEntry(entry: ArchiveEntry): Buffer[] {
  const { name, mode, link, hardLink } = entry;
  const content = Buffer.from(entry.content ?? '');
  const isDirectory = name.endsWith('/');
  const type =
    entry.type ?? (link !== undefined ? '2' : hardLink !== undefined ? '1' : isDirectory ? '5' : '0');
  const target = link ?? hardLink ?? '';
  const records = [
    ...(Buffer.byteLength(name) > 100 ? [paxRecord('path', name)] : []),
    ...(Buffer.byteLength(target) > 100 ? [paxRecord('linkpath', target)] : []),
  ].join('');
  const usual = isDirectory ? 0o755 : 0o644;
  const head = header({ name, type, target, mode: mode ?? usual, size: content.length });
  const pax = Buffer.from(records);
  const before =
    records === ''
      ? []
      : [header({ name: 'pax', type: 'x', target: '', mode: 0o644, size: pax.length }), pad(pax)];
  return [...before, head, pad(content)];
}

function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest) + 1;
  while (String(length).length + Buffer.byteLength(rest) !== length) length += 1;
  return `${length}${rest}`;
}

function header(about: { name: string; type: string; target: string; mode: number; size: number }): Buffer {
  const block = Buffer.alloc(BLOCK);
  Buffer.from(about.name).copy(block, 0, 0, 100);
  block.write(`${about.mode.toString(8).padStart(7, '0')}\0`, 100);
  block.write(`${about.size.toString(8).padStart(11, '0')} `, 124);
  block.write(about.type, 156);
  Buffer.from(about.target).copy(block, 157, 0, 100);
  block.write('ustar\u000000', 257);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function pad(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}

/** The delivery of an archive into `c1:/opt/tree` with every member replaceable. */
export function createTreeDelivery(archive: Buffer, changes: Partial<TreeDelivery> = {}): TreeDelivery {
  const { sourceName: _s, mode: _m, ...delivery } = createDelivery({ path: '/opt/tree' });
  return {
    ...delivery,
    payload: createInlineSource(archive),
    isOvertaken: () => false,
    onFile: () => {},
    ...changes,
  };
}
