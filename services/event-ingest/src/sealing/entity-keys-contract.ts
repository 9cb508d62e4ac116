import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { MasterKeys } from '../domain/sealing/master-keys.ts';
import type { StrongUnderTest } from '../drivers/strong-contract.ts';
import { EntityKeys } from './entity-keys.ts';

const TENANT = 'default';
const line = (name: string) => `${name}:${randomBytes(32).toString('base64')}`;
const newEntity = () => `user/${randomUUID()}`;

/** What keys of entities must do on every driver of the strong store, with one instance or several. */
export function describeEntityKeysContract(
  name: string,
  create: () => Promise<StrongUnderTest>,
): void {
  const check = (what: string, work: (made: StrongUnderTest) => Promise<void>) => {
    it(what, async () => {
      const made = await create();
      try {
        await work(made);
      } finally {
        await made.dispose();
      }
    });
  };
  describe(`keys of entities: ${name}`, () => {
    check('of many that seal first, all have the one key, which all unwrap', async (made) => {
      const { store, another = store } = made;
      const master = MasterKeys.parse(line('k1'));
      const entity = newEntity();
      const instances = [store, another].map((one) => keysOn(one, master));
      const asked = Array.from({ length: 8 }, (_, i) => instances[i % 2]?.keyOf(TENANT, entity));
      const ids = (await Promise.all(asked)).map((key) => key?.id ?? '');
      assert.equal(new Set(ids).size, 1);
      const [id = ''] = ids;
      const secrets = instances.map((keys) => keys.secretOf(TENANT, entity, id));
      const [first, second] = await Promise.all(secrets);
      assert.ok(first !== undefined && second !== undefined && first.equals(second));
      for (const keys of instances) assert.equal(await keys.idOf(TENANT, entity), id);
    });

    check('a key is gone once it is removed, and its entity gets another one', async (made) => {
      const { store, another = store } = made;
      const master = MasterKeys.parse(line('k1'));
      const [entity, neighbour] = [newEntity(), newEntity()];
      const [keys, others] = [keysOn(store, master), keysOn(another, master)];
      const [{ id }, { id: kept }] = await Promise.all([
        keys.keyOf(TENANT, entity),
        keys.keyOf(TENANT, neighbour),
      ]);
      assert.notEqual(await others.secretOf(TENANT, entity, id), undefined);
      await keys.remove(TENANT, entity, kept);
      assert.equal(await others.idOf(TENANT, entity), id, 'only the key that is named');
      await keys.remove(TENANT, entity, id);
      await keys.remove(TENANT, entity, id);
      assert.equal(await others.secretOf(TENANT, entity, id), undefined);
      assert.equal(await others.idOf(TENANT, entity), undefined);
      others.forgetAll();
      const { id: next } = await others.keyOf(TENANT, entity);
      await keys.remove(TENANT, entity, id);
      assert.notEqual(next, id);
      assert.equal((await keys.keyOf(TENANT, entity)).id, next);
      assert.equal(await keys.secretOf(TENANT, entity, id), undefined);
      assert.notEqual(await others.secretOf(TENANT, neighbour, kept), undefined);
    });

    check('a new master key opens what the old one wrapped, and alone does not', async (made) => {
      const [old, next] = [line('old'), line('new')];
      const entity = newEntity();
      const keysBy = (text: string) => keysOn(made.store, MasterKeys.parse(text));
      const { id } = await keysBy(old).keyOf(TENANT, entity);
      const rotated = keysBy(`${next}\n${old}`);
      assert.equal((await rotated.keyOf(TENANT, entity)).id, id);
      assert.notEqual(await rotated.secretOf(TENANT, entity, id), undefined);
      const alone = keysBy(next).secretOf(TENANT, entity, id);
      await assert.rejects(alone, { code: 'storage_damaged' });
    });
  });
}

function keysOn(store: StrongUnderTest['store'], master: MasterKeys): EntityKeys {
  return new EntityKeys({ store, master, keys_cached_max: 2 });
}
