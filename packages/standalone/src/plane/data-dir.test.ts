import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataDirOf } from './data-dir.ts';

const noHome = () => {
  throw new Error('uv_os_homedir returned ENOENT');
};

test('a user without a home needs none where the folder is named', () => {
  assert.equal(dataDirOf({ MEMPLANE_DATA_DIR: '/data' }, 'linux', noHome), '/data');
  assert.equal(dataDirOf({ XDG_DATA_HOME: '/xdg' }, 'linux', noHome), '/xdg/memplane');
  assert.throws(() => dataDirOf({ MEMPLANE_DATA_DIR: '~/plane' }, 'linux', noHome), /homedir/);
});

test('without a folder it is the data home of the platform', () => {
  const home = () => '/home/ada';
  assert.equal(dataDirOf({}, 'linux', home), '/home/ada/.local/share/memplane');
  assert.equal(dataDirOf({}, 'darwin', home), '/home/ada/Library/Application Support/memplane');
  assert.equal(dataDirOf({ MEMPLANE_DATA_DIR: '~/plane' }, 'linux', home), '/home/ada/plane');
});
