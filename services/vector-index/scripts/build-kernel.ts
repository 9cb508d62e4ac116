/**
 * Compiles assembly/kernel.ts and writes it as src/drivers/kernel-wasm.ts, which is committed: so
 * neither a run nor a test needs the compiler, and a test checks that the two agree.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compileKernel } from './compile-kernel.ts';

const target = fileURLToPath(new URL('../src/drivers/kernel-wasm.ts', import.meta.url));
const wasm = await compileKernel();
const lines = (wasm.toString('base64').match(/.{1,90}/g) ?? []).map((line) => `  '${line}'`);
const source = `// Made by scripts/build-kernel.ts from assembly/kernel.ts; do not edit.
export const KERNEL_WASM_BASE64 = [
${lines.join(',\n')},
].join('');
`;
if (readFileSync(target, { encoding: 'utf8', flag: 'a+' }) !== source)
  writeFileSync(target, source);
