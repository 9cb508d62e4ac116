import { encode } from 'cborg';
import { type CounterKind, type CounterState, sortedEntries } from './counter.ts';
import * as form from './forms.ts';
import { type Claim, OP_ID_UNITS_MAX, sortedClaims } from './op-claims.ts';

/** One without contested ids: as counters were before there were any, so that their digests stay. */
const COUNTER = 1;
const COUNTER_WITH_CONTESTED = 20;
/** With claims: what replicas send each other. */
const COUNTER_WITH_CLAIMS = 21;

/** Of one counter in a delta or state. */
export const CLAIMS_MAX = 1_048_576;

/** All that is in a counter's digest: not the claims. */
export function encodeCounter(state: CounterState): Uint8Array {
  const { contested } = state;
  if (contested === undefined)
    return encode([form.CRDT_FORMAT_VERSION, COUNTER, ...members(state)]);
  const head = [form.CRDT_FORMAT_VERSION, COUNTER_WITH_CONTESTED];
  return encode([...head, ...members(state), contestedForm(contested)]);
}

/** All of it. */
export function encodeClaimedCounter(state: CounterState): Uint8Array {
  const { claims, contested = new Map() } = state;
  if (claims === undefined || claims.size === 0) return encodeCounter(state);
  const head = [form.CRDT_FORMAT_VERSION, COUNTER_WITH_CLAIMS];
  return encode([...head, ...members(state), contestedForm(contested), claimsForm(claims)]);
}

/** @throws MemplaneError `storage_damaged` for what {@link encodeCounter} did not write. */
export function decodeCounter(bytes: Uint8Array): CounterState {
  return counterOf(form.openOneOf(bytes, [COUNTER, COUNTER_WITH_CONTESTED]).members);
}

/** @throws MemplaneError `storage_damaged` for what {@link encodeClaimedCounter} did not write. */
export function decodeClaimedCounter(bytes: Uint8Array): CounterState {
  const types = [COUNTER, COUNTER_WITH_CONTESTED, COUNTER_WITH_CLAIMS];
  return counterOf(form.openOneOf(bytes, types).members);
}

function members(state: CounterState): unknown[] {
  const entries = sortedEntries(state).map(([incarnation, entry]) => [
    form.incarnationBytes(incarnation),
    entry.seq,
    form.netForm(entry.net),
    entry.resetSeq,
    form.netForm(entry.resetNet),
  ]);
  const kind = state.kind === undefined ? 0 : state.kind === 'g' ? 1 : 2;
  return [kind, entries, form.partsForm(state.parts)];
}

function counterOf([kind, entries, parts, contested, claims]: readonly unknown[]): CounterState {
  const kinds: readonly (CounterKind | undefined)[] = [undefined, 'g', 'pn'];
  return {
    kind: kinds[form.int(kind)],
    entries: new Map(
      form.list(entries).map((entry) => {
        const [incarnation, seq, net, resetSeq, resetNet] = form.list(entry);
        return [
          form.incarnationText(incarnation),
          {
            seq: form.int(seq),
            net: form.netOf(net),
            resetSeq: form.int(resetSeq),
            resetNet: form.netOf(resetNet),
          },
        ];
      }),
    ),
    parts: form.partsOf(parts),
    contested: contested === undefined ? undefined : contestedOfForm(contested),
    claims: claims === undefined ? undefined : claimsOfForm(claims),
  };
}

/** In the order of the ids' bytes, as Redis too can sort them. */
function contestedForm(contested: ReadonlyMap<string, readonly Claim[]>): unknown[] {
  return [...contested]
    .sort((a, b) => Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0])))
    .map(([opId, claims]) => [opId, claims.map(claimForm)]);
}

function contestedOfForm(value: unknown): CounterState['contested'] {
  const contested = new Map<string, readonly Claim[]>();
  for (const entry of form.list(value)) {
    const [opId, claims] = form.list(entry);
    contested.set(opIdOf(opId), form.list(claims).map(claimOf));
  }
  if (contested.size > CLAIMS_MAX) throw form.damaged('too many operation ids');
  return contested.size > 0 ? contested : undefined;
}

function claimsForm(claims: ReadonlyMap<string, Claim>): unknown[] {
  return sortedClaims(claims).map(([opId, claim]) => [opId, claimForm(claim)]);
}

function claimsOfForm(value: unknown): Map<string, Claim> {
  const claims = new Map<string, Claim>();
  for (const entry of form.list(value)) {
    const [opId, claim] = form.list(entry);
    claims.set(opIdOf(opId), claimOf(claim));
  }
  if (claims.size > CLAIMS_MAX) throw form.damaged('too many operation ids');
  return claims;
}

function claimForm({ by, hlc, incarnation, seq, commit }: Claim): unknown[] {
  return [by, hlc, form.incarnationBytes(incarnation), seq, commit];
}

function claimOf(value: unknown): Claim {
  const [by, hlc, incarnation, seq, commit] = form.list(value);
  return {
    by: form.int(by),
    hlc: stamp(hlc),
    incarnation: form.incarnationText(incarnation),
    seq: form.natural(seq),
    commit: form.natural(commit),
  };
}

function opIdOf(value: unknown): string {
  const opId = form.text(value);
  if (opId === '' || opId.length > OP_ID_UNITS_MAX) throw form.damaged('an operation id');
  return opId;
}

function stamp(value: unknown): bigint {
  const hlc = form.big(value);
  if (hlc < 0n || hlc >= 2n ** 64n) throw form.damaged('a stamp');
  return hlc;
}
