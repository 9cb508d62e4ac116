import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

/** The kernel as WebAssembly, compiled now. @throws Error with the compiler's words. */
export async function compileKernel(): Promise<Buffer> {
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    [
      'kernel.ts',
      '--baseDir',
      fileURLToPath(new URL('../assembly', import.meta.url)),
      ...['--runtime', 'stub', '--optimizeLevel', '3', '--shrinkLevel', '0', '--enable', 'simd'],
      ...['--importMemory', '--initialMemory', '1', '--maximumMemory', '65536', '--noAssert'],
      ...['--outFile', 'kernel.wasm'],
    ],
    {
      writeFile: (name, contents) => {
        if (name === 'kernel.wasm') binary = contents as Uint8Array;
      },
    },
  );
  if (error || binary === undefined)
    throw new Error(`kernel: ${stderr.toString()}`, { cause: error });
  return Buffer.from(binary);
}
