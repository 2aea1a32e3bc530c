/** The archive that a plan's files make, with parents left out as `tar` given single files leaves them. */
import { paddedBytes, TAR_END_BYTES, tarHeadBytes, writeTarHead } from '../../src/client/tar-writer.ts';
import type { Content } from './content.ts';
import type { UploadPlan } from './upload-plan.ts';

export function archiveBytes(files: readonly UploadPlan[]): number {
  return files.reduce(
    (sum, file) => sum + tarHeadBytes(entryOf(file)) + paddedBytes(file.sizeBytes),
    TAR_END_BYTES,
  );
}

export function* archivePieces(files: readonly UploadPlan[], content: Content): Generator<Buffer> {
  for (const file of files) {
    const entry = entryOf(file);
    const head = Buffer.alloc(tarHeadBytes(entry));
    writeTarHead(entry, head, 0);
    yield head;
    yield* content.pieces(file.content, file.sizeBytes);
    const padding = paddedBytes(file.sizeBytes) - file.sizeBytes;
    if (padding > 0) yield Buffer.alloc(padding);
  }
  yield Buffer.alloc(TAR_END_BYTES);
}

function entryOf({ finalPath, place, mode, sizeBytes }: UploadPlan) {
  const name = finalPath.slice(place.directory.length + 1);
  return { name, kind: 'file', mode, sizeBytes, mtimeMs: 0, target: '' } as const;
}
