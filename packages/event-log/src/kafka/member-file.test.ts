import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MemberFile } from './member-file.ts';

test('the member before is known from its own file only', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'memplane-member-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'member');
  const file = new MemberFile(path);
  assert.equal(file.read(), undefined, 'there is none');
  file.write('a-much-longer-name-than-the-next');
  file.write('two');
  assert.equal(new MemberFile(path).read(), 'two');

  copyFileSync(path, join(dir, 'copy'));
  assert.equal(new MemberFile(join(dir, 'copy')).read(), undefined, 'a copy');

  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replace(/\n.{8}/, '\n00000000'));
  assert.equal(file.read(), undefined, 'from before another boot');
  for (const broken of ['', 'two', 'two\n', text.slice(0, -2)]) {
    writeFileSync(path, broken);
    assert.equal(file.read(), undefined, JSON.stringify(broken));
  }
  new MemberFile(join(dir, 'missing', 'member')).write('nobody');
});
