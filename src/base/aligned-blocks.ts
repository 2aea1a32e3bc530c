/**
 * Blocks of memory that begin on a page, as direct I/O needs them (open(2), O_DIRECT), used again instead of allocated
 * anew. Node has no aligned allocation, but the memory of WebAssembly is whole pages of 64 KiB. What is not needed any
 * more goes back in arenas of some blocks.
 */
export const BLOCK_BYTES = 512 * 1024;

const WASM_PAGE_BYTES = 64 * 1024;
const ARENA_BLOCKS = 8;
/** Free blocks that are kept for the next burst. */
const KEPT_BLOCKS = 64;

/** @types/node does not know it. */
declare const WebAssembly: {
  Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

/** Free blocks by arena, the oldest arena first: the youngest ones run empty when less is needed. */
const arenas = new Map<ArrayBufferLike, Buffer[]>();
let freeBlocks = 0;
let takenBlocks = 0;

/** Blocks that are somebody's now. */
export function countTakenBlocks(): number {
  return takenBlocks;
}

/** A block with whatever is in it. */
export function takeBlock(): Buffer {
  takenBlocks += 1;
  for (const free of arenas.values()) {
    const block = free.pop();
    if (block === undefined) continue;
    freeBlocks -= 1;
    return block;
  }
  const arena = allocate(ARENA_BLOCKS * BLOCK_BYTES);
  const blocks = Array.from({ length: ARENA_BLOCKS }, (_, index) =>
    Buffer.from(arena, index * BLOCK_BYTES, BLOCK_BYTES),
  );
  const first = blocks.pop() as Buffer;
  arenas.set(arena, blocks);
  freeBlocks += blocks.length;
  return first;
}

/** Only for a block that nobody writes to or reads from any more; once. */
export function giveBlock(block: Buffer): void {
  const free = arenas.get(block.buffer);
  if (free === undefined) throw new Error('Cannot give back what is no block, or was given back before');
  takenBlocks -= 1;
  free.push(block);
  freeBlocks += 1;
  if (free.length < ARENA_BLOCKS || freeBlocks - ARENA_BLOCKS < KEPT_BLOCKS) return;
  arenas.delete(block.buffer);
  freeBlocks -= ARENA_BLOCKS;
}

/** Where address space is limited too far, ordinary memory has to do: direct I/O may refuse that. */
function allocate(bytes: number): ArrayBuffer {
  const pages = bytes / WASM_PAGE_BYTES;
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer;
  } catch {
    return new ArrayBuffer(bytes);
  }
}
