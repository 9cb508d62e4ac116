import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileKernel } from '../../scripts/compile-kernel.ts';
import { KERNEL_WASM_BASE64 } from './kernel-wasm.ts';

test('the committed kernel is what its source compiles to', async () => {
  const compiled = await compileKernel();
  assert.equal(compiled.toString('base64'), KERNEL_WASM_BASE64, 'run scripts/build-kernel.ts');
});
