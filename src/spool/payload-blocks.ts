/**
 * The bytes of a large payload on their way to the disk, copied into aligned blocks so that they can be written past
 * the page cache (O_DIRECT). A delivery under way at the same time reads out of the same blocks, which then stay for a
 * while after they are written. Owns its blocks until they are free; nothing of it survives a crash.
 */
import { BLOCK_BYTES, giveBlock, takeBlock } from '../base/aligned-blocks.ts';
import { isWholePages, PAGE_BYTES } from '../base/direct-io.ts';

/** Of all payloads together. Each may have as many as it needs to fill one while another is written. */
const MOST_BLOCKS = 192;
const OWN_BLOCKS = 2;
/** And as many as there are to spare, up to this many; more when a delivery reads them, which is a bit behind. */
const MOST_OF_ONE = 8;
const MOST_WHEN_READ = 40;

let usedBlocks = 0;

type Block = {
  readonly buffer: Buffer;
  readonly start: number;
  bytes: number;
  /** How many deliveries read it. */
  readers: number;
  /** It leaves once nobody reads it. */
  left: boolean;
};

/** Bytes that are written together. */
export type Batch = { readonly buffers: Buffer[]; readonly bytes: number; readonly direct: boolean };

/** Bytes lent to a reader until `release`, which is called once. */
export type LentBytes = { readonly data: Buffer; release(): void };

export class PayloadBlocks {
  /** By their place in the payload. All but the last are full. */
  readonly #blocks: Block[] = [];
  /** Chunks that came after all blocks were full. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #putBytes = 0;
  #writtenBytes = 0;
  #isRead = false;
  #dropped = false;

  private constructor() {
    usedBlocks += OWN_BLOCKS;
  }

  /** Undefined when others have all of the memory there is for this. */
  static reserve(): PayloadBlocks | undefined {
    return usedBlocks + OWN_BLOCKS > MOST_BLOCKS ? undefined : new PayloadBlocks();
  }

  /** Whether the next chunk would have to wait for a block. */
  get isFull(): boolean {
    return this.#heldBytes > 0 || (this.#room() === undefined && !this.#mayTake() && !this.#mayReuse());
  }

  /** Up to where the bytes are in full blocks. */
  get readyBytes(): number {
    return this.#putBytes - (this.#putBytes % BLOCK_BYTES);
  }

  /** Takes a chunk; it is copied, or kept as it is when there is no block for it. */
  put(chunk: Buffer): void {
    if (this.#heldBytes === 0) {
      const rest = this.#copy(chunk);
      if (rest === undefined) return;
      chunk = rest;
    }
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
  }

  /** What can be written now: full blocks, or `toTheEnd` what is left: first its whole pages, then the rest. */
  batch(toTheEnd: boolean): Batch | undefined {
    const ready = this.#blocks.filter(
      ({ start, bytes }) => start >= this.#writtenBytes && bytes === BLOCK_BYTES,
    );
    if (ready.length > 0) {
      const buffers = ready.map(({ buffer }) => buffer);
      return { buffers, bytes: buffers.length * BLOCK_BYTES, direct: true };
    }
    const last = toTheEnd ? this.#blocks.at(-1) : undefined;
    if (last === undefined) return undefined;
    const from = this.#writtenBytes - last.start;
    const bytes = last.bytes - from;
    const pages = bytes - (bytes % PAGE_BYTES);
    if (bytes <= 0) return undefined;
    return pages > 0 && isWholePages(from)
      ? { buffers: [last.buffer.subarray(from, from + pages)], bytes: pages, direct: true }
      : { buffers: [last.buffer.subarray(from, last.bytes)], bytes, direct: false };
  }

  /** The next bytes are in the file. */
  wrote(bytes: number): void {
    this.#writtenBytes += bytes;
    if (!this.#isRead) this.#giveWritten();
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const chunk of held) this.put(chunk);
  }

  /** From now on blocks stay for a reader after they are written. */
  keepForReader(): void {
    this.#isRead = true;
  }

  /** The bytes from `offset` to the end of their block, if it is full and still here. */
  lend(offset: number): LentBytes | undefined {
    const block = this.#blocks.find(({ start, bytes }) => start <= offset && offset < start + bytes);
    if (block === undefined || block.bytes < BLOCK_BYTES) return undefined;
    block.readers += 1;
    return {
      data: block.buffer.subarray(offset - block.start, block.bytes),
      release: () => {
        block.readers -= 1;
        if (block.readers > 0) return;
        // It was read to its end, so that nobody will ask for it again.
        if (block.left) giveBlock(block.buffer);
        else if (this.#isWritten(block)) this.#remove(block);
      },
    };
  }

  /** Gives all up. No write may be under way any more; readers keep what they have until they release it. */
  drop(): void {
    if (this.#dropped) return;
    this.#dropped = true;
    for (const block of [...this.#blocks]) this.#remove(block);
    this.#held = [];
    this.#heldBytes = 0;
    usedBlocks -= OWN_BLOCKS;
  }

  /** Copies into blocks what they have room for; returns the rest. */
  #copy(chunk: Buffer): Buffer | undefined {
    for (let from = 0; ; ) {
      const block = this.#room() ?? this.#add();
      if (block === undefined) return chunk.subarray(from);
      const copied = chunk.copy(block.buffer, block.bytes, from);
      block.bytes += copied;
      this.#putBytes += copied;
      from += copied;
      if (from === chunk.length) return undefined;
    }
  }

  #room(): Block | undefined {
    const last = this.#blocks.at(-1);
    return last !== undefined && last.bytes < BLOCK_BYTES ? last : undefined;
  }

  #add(): Block | undefined {
    if (!this.#mayTake() && !this.#reuse()) return undefined;
    if (this.#blocks.length >= OWN_BLOCKS) usedBlocks += 1;
    const block: Block = { buffer: takeBlock(), start: this.#putBytes, bytes: 0, readers: 0, left: false };
    this.#blocks.push(block);
    return block;
  }

  #mayTake(): boolean {
    const has = this.#blocks.length;
    if (has < OWN_BLOCKS) return true;
    return usedBlocks < MOST_BLOCKS && has < (this.#isRead ? MOST_WHEN_READ : MOST_OF_ONE);
  }

  #mayReuse(): boolean {
    return this.#blocks.some((block) => this.#isWritten(block));
  }

  /**
   * The reader is too far behind: it has to read what is in the file already from there. What it has borrowed it keeps;
   * the sender does not wait for it.
   */
  #reuse(): boolean {
    const written = this.#blocks.filter((block) => this.#isWritten(block));
    const block = written.find(({ readers }) => readers === 0) ?? written[0];
    if (block !== undefined) this.#remove(block);
    return block !== undefined;
  }

  #isWritten({ start, bytes }: Block): boolean {
    return bytes === BLOCK_BYTES && start + bytes <= this.#writtenBytes;
  }

  #giveWritten(): void {
    for (const block of this.#blocks.filter((one) => one.readers === 0 && this.#isWritten(one))) {
      this.#remove(block);
    }
  }

  #remove(block: Block): void {
    this.#blocks.splice(this.#blocks.indexOf(block), 1);
    if (this.#blocks.length >= OWN_BLOCKS) usedBlocks -= 1;
    block.left = true;
    if (block.readers === 0) giveBlock(block.buffer);
  }
}
