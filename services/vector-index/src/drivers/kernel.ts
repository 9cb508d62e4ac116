import { KERNEL_WASM_BASE64 } from './kernel-wasm.ts';

/** The functions of assembly/kernel.ts. Every argument that names a place is a byte address. */
export interface KernelFunctions {
  hamming(
    bits: number,
    rows: number,
    query: number,
    bitmap: number,
    rowOf: number,
    out: number,
    histogram: number,
  ): void;
  collect(distances: number, rows: number, limit: number, base: number, out: number): number;
  collectSet(bitmap: number, rowOf: number, rows: number, base: number, out: number): number;
  dots(
    codes: number,
    scales: number,
    stride: number,
    query: number,
    indices: number,
    base: number,
    count: number,
    out: number,
  ): void;
}

const PAGE_BYTES = 65_536;
const ALIGNMENT = 64;

let compiled: WebAssembly.Module | undefined;

/** The kernel with a memory of its own, from which places are taken and never given back. */
export class Kernel {
  readonly run: KernelFunctions;
  readonly #memory: WebAssembly.Memory;
  #top = ALIGNMENT;
  #bytes: Uint8Array<ArrayBuffer>;

  constructor() {
    compiled ??= new WebAssembly.Module(Buffer.from(KERNEL_WASM_BASE64, 'base64'));
    this.#memory = new WebAssembly.Memory({ initial: 1, maximum: PAGE_BYTES });
    const instance = new WebAssembly.Instance(compiled, {
      env: {
        memory: this.#memory,
        abort: () => {
          throw new Error('the kernel was aborted');
        },
      },
    });
    this.run = instance.exports as unknown as KernelFunctions;
    this.#bytes = new Uint8Array(this.#memory.buffer);
  }

  /** Takes zeroed bytes, aligned to 64. @throws RangeError when 4 GiB are in use. */
  take(bytes: number): number {
    const at = this.#top;
    const top = at + Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    if (top > this.#bytes.length) {
      this.#memory.grow(Math.ceil((top - this.#bytes.length) / PAGE_BYTES));
      this.#bytes = new Uint8Array(this.#memory.buffer);
    }
    this.#top = top;
    return at;
  }

  /** The whole memory. Valid until the next {@link take}. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  get bytesHeld(): number {
    return this.#bytes.length;
  }
}
