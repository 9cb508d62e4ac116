import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { figure, MIB, type Seeded, scaled, testSeed } from '@memplane/testkit';
import { CASES } from './resp-fuzz/cases.ts';
import { makeCuts, makeRequests } from './resp-fuzz/requests.ts';
import { Target } from './resp-fuzz/target.ts';
import { type Trial, tryOut } from './resp-fuzz/trial.ts';

/** The RESP port of a real process, under whatever bytes: `make soak` goes on for ten minutes. */
const SECONDS = scaled('resp_fuzz_seconds', { ci: 6, soak: 600 });
const WORKERS = 4;

let target: Target;
before(async () => {
  target = await Target.start();
});
after(async () => {
  await target[Symbol.asyncDispose]();
});

describe('bytes that once went wrong', () => {
  for (const { name, bytes, cuts = [] } of CASES) {
    it(name, async () => {
      assert.equal(
        await tryOut(target, { bytes: Buffer.from(bytes), cuts, isKnown: true }),
        undefined,
      );
    });
  }
});

it('any bytes get the answers that are theirs, and the others theirs', async () => {
  const random = testSeed('RESP fuzz');
  const endMs = performance.now() + SECONDS * 1_000;
  let trials = 0;
  const work = async (own: Seeded) => {
    while (performance.now() < endMs) {
      const bytes = makeRequests(own);
      const trial: Trial = { bytes, cuts: makeCuts(bytes.length, own), isKnown: own.chance(0.9) };
      const wrong = await tryOut(target, trial);
      assert.equal(wrong, undefined, `${wrong}\n${JSON.stringify(toCase(trial))}`);
      trials++;
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(random.fork(worker))));
  target.check();
  assert.ok(trials > SECONDS, `only ${trials} trials`);
  assert.ok(target.answers > SECONDS / 2, `the other client had ${target.answers} answers only`);
  figure('RESP fuzz', trials, 'connections');
  figure('longest answer to another client', Math.round(target.answerMsMax), 'ms');
  figure('memory grew by at most', Math.round(target.memoryGrowthMax / MIB), 'MiB');
});

/** As it is kept in `cases.ts`. */
function toCase({ bytes, cuts, isKnown }: Trial) {
  const latin1 = bytes.length > 2_000 ? `${bytes.length} bytes` : bytes.toString('latin1');
  return { latin1, cuts, isKnown };
}
