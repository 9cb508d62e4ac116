import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { exportJWK, type FlattenedJWSInput } from 'jose';
import { KEYS_COOLDOWN_MS, KEYS_FRESH_MS, KEYS_STALE_MS, RemoteKeys } from './remote-keys.ts';

const JWK = await exportJWK(generateKeyPairSync('ed25519').publicKey);

/** An issuer that may be down, and the time. */
class World {
  nowMs = 1_000_000;
  asked = 0;
  isDown = false;
  kids = ['one'];
  readonly #keys = new RemoteKeys({
    url: 'https://id.example.com/keys',
    monotonicMs: () => this.nowMs,
    onFailure: () => {},
    fetchText: async () => {
      this.asked++;
      if (this.isDown) throw new Error('down');
      return JSON.stringify({ keys: this.kids.map((kid) => ({ ...JWK, kid, alg: 'EdDSA' })) });
    },
  });

  async find(kid: string): Promise<boolean> {
    try {
      await this.#keys.find({ alg: 'EdDSA', kid }, {} as FlattenedJWSInput);
      return true;
    } catch {
      return false;
    }
  }

  pass(ms: number): void {
    this.nowMs += ms;
  }
}

test('false ids make an issuer be asked no more than the pause allows', async () => {
  const world = new World();
  assert.equal(await world.find('one'), true);
  for (let i = 0; i < 300; i++) {
    assert.equal(await world.find(`false-${i}`), false);
    world.pass(KEYS_COOLDOWN_MS / 100);
  }
  assert.ok(world.asked <= 5, `${world.asked} times`);
  const many = await Promise.all(Array.from({ length: 50 }, (_, i) => world.find(`f${i}`)));
  assert.ok(many.every((found) => !found));
  assert.ok(world.asked <= 5, `${world.asked} times`);
});

test('a new key is found by its id, a withdrawn one is forgotten', async () => {
  const world = new World();
  assert.equal(await world.find('one'), true);
  world.kids = ['two'];
  world.pass(KEYS_COOLDOWN_MS);
  assert.equal(await world.find('two'), true);
  assert.equal(await world.find('one'), false);
});

test('known keys go on while the issuer is down, for a day', async () => {
  const world = new World();
  assert.equal(await world.find('one'), true);
  world.isDown = true;
  const steps = Math.floor(KEYS_STALE_MS / KEYS_FRESH_MS);
  for (let i = 0; i < steps; i++) {
    world.pass(KEYS_FRESH_MS);
    assert.equal(await world.find('one'), true, `after ${i + 1} times ${KEYS_FRESH_MS} ms`);
  }
  assert.ok(world.asked > steps / 2);
  world.pass(KEYS_FRESH_MS);
  assert.equal(await world.find('one'), false);
  world.isDown = false;
  world.pass(KEYS_COOLDOWN_MS);
  assert.equal(await world.find('one'), true);
});

test('fresh keys are asked for in the background', async () => {
  const world = new World();
  await world.find('one');
  world.pass(KEYS_FRESH_MS + 1);
  assert.equal(await world.find('one'), true);
  await new Promise(setImmediate);
  assert.equal(world.asked, 2);
});
