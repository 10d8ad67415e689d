/** The part of WebAssembly used here; Node's types leave it to the DOM's. */
declare const WebAssembly: {
  readonly Memory: new (size: { readonly initial: number }) => { readonly buffer: ArrayBuffer };
};

const WASM_PAGE = 65_536;

/** Bytes of a page of memory, on every architecture that is supported. */
export const PAGE_SIZE = 4096;

/** Page-aligned memory that never moves, as O_DIRECT needs it: WebAssembly's is, ArrayBuffers are not. Rounded up to 64 KiB. */
export function alignedBuffer(bytes: number): Buffer {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / WASM_PAGE) });
  return Buffer.from(memory.buffer);
}
