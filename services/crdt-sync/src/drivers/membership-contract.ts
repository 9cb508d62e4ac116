import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { MembershipStore } from '../domain/membership-store.ts';

/** A place for one replica's record, which can be opened again. */
export interface MembershipHarness {
  /** Closes what was opened before. */
  open(): Promise<MembershipStore>;
  /** Puts bytes in the place of the record. */
  damage(record: Buffer): Promise<void>;
  cleanUp(): Promise<void>;
}

/** What every driver of {@link MembershipStore} must do. */
export function membershipContract(newHarness: () => Promise<MembershipHarness>): void {
  const check = (what: string, work: (harness: MembershipHarness) => Promise<void>) =>
    it(what, async () => {
      const harness = await newHarness();
      try {
        await work(harness);
      } finally {
        await harness.cleanUp();
      }
    });

  check('has nothing before the first start, then what was saved last', async (harness) => {
    const first = await harness.open();
    assert.equal(await first.loadMembership(), undefined);
    await first.saveMembership({ startEpoch: 5, forgotten: [] });
    const forgotten = ['a', 'ü', 'x'.repeat(128)];
    const renamed = { from: 'a', to: 'a-1' };
    const last = { startEpoch: Number.MAX_SAFE_INTEGER, forgotten, renamed };
    await first.saveMembership(last);
    const again = await harness.open();
    assert.deepEqual(await again.loadMembership(), last);
  });

  check('says when the record is damaged, and takes another one', async (harness) => {
    const store = await harness.open();
    const sealed = (body: string) => Buffer.concat([Buffer.from([1, 0]), Buffer.from(body)]);
    const wrong = [sealed('{'), sealed('{"startEpoch":-1,"forgotten":[]}'), Buffer.from([9, 0])];
    for (const record of wrong) {
      await harness.damage(record);
      await assert.rejects(store.loadMembership(), { code: 'storage_damaged' });
    }
    // A key id in front of the body is passed over.
    await harness.damage(Buffer.from('\x01\x03key{"startEpoch":7,"forgotten":["z"]}', 'latin1'));
    assert.deepEqual(await store.loadMembership(), { startEpoch: 7, forgotten: ['z'] });
    await store.saveMembership({ startEpoch: 8, forgotten: [] });
    assert.deepEqual(await store.loadMembership(), { startEpoch: 8, forgotten: [] });
  });
}
