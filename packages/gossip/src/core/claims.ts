import {
  type Accusation,
  type AliveClaim,
  type MemberState,
  overlaps,
  sameContent,
} from '../member.ts';
import type { DropReason } from '../metrics.ts';
import { type Core, drop, emit } from './core.ts';
import { isLive, type MemberRecord, memberOf } from './member-table.ts';
import { announce, passOn } from './news.ts';
import type { OwnRecord } from './own-record.ts';
import { Suspicion, suspicionBounds } from './suspicion.ts';

const RANK = { alive: 0, suspect: 1, dead: 2, left: 3 } as const;

/** About so many members probe a suspect out of turn: enough that a dead one is soon confirmed. */
const SUSPECT_ASKERS = 10;

/**
 * What is believed when (SWIM, §4.2): of two claims about a member the one with the higher
 * incarnation counts, and within one incarnation left beats dead beats suspect beats alive. Each
 * claim that changes something is passed on, and only the member itself raises its incarnation.
 */
export class Claims {
  readonly #core: Core;
  readonly #own: OwnRecord;

  constructor(core: Core, own: OwnRecord) {
    this.#core = core;
    this.#own = own;
  }

  alive(claim: AliveClaim): void {
    const { table } = this.#core;
    const known = table.get(claim.id);
    const refusal = this.#refusal(claim, known);
    if (refusal !== undefined) drop(this.#core, refusal);
    else if (claim.id === table.self.id) this.#own.alive(claim);
    else if (known === undefined) this.#join(claim);
    else if (claim.incarnation > known.incarnation) this.#renew(known, claim);
  }

  accused(claim: Accusation): void {
    const { table } = this.#core;
    const known = table.get(claim.id);
    if (known === table.self) this.#own.accused(claim);
    else if (known !== undefined) this.#accusedOther(known, claim);
  }

  /** Takes in the list of a push-pull. The dead there are only suspects here, to be heard first. */
  merge(states: readonly MemberState[]): void {
    for (const state of states) {
      const { id, incarnation, accuser } = state;
      if (state.status === 'alive' || state.status === 'suspect') this.alive(state);
      if (state.status === 'alive' || accuser === '') continue;
      const status = state.status === 'left' ? 'left' : 'suspect';
      this.accused({ status, id, incarnation, accuser });
    }
  }

  /** A probe of this member went unanswered. */
  accuse(id: string, incarnation: number): void {
    const accuser = this.#core.table.self.id;
    this.accused({ status: 'suspect', id, incarnation, accuser });
  }

  #refusal(claim: AliveClaim, known: MemberRecord | undefined): DropReason | undefined {
    const { self } = this.#core.table;
    if (known === self) return undefined;
    if (this.#core.isForgotten(claim.id)) return 'forgotten';
    if (!overlaps(claim.protocol, self.protocol)) return 'incompatible';
    // A live member that moves is more likely two members with one id; who comes again under
    // another address has to wait until it is found dead.
    const moved = known !== undefined && claim.address !== known.address;
    return moved && isLive(known) ? 'conflict' : undefined;
  }

  #accusedOther(known: MemberRecord, claim: Accusation): void {
    if (claim.incarnation < known.incarnation) return;
    const newer = claim.incarnation > known.incarnation;
    if (claim.status === 'suspect') {
      // Nobody gossips to one that has left: it would not hear the refutation.
      if (!isLive(known) || this.#own.leaving) return;
      if (known.status === 'alive' || newer) this.#suspect(known, claim);
      else if (known.suspicion?.confirm(claim.accuser)) passOn(this.#core, claim);
    } else if (newer || RANK[claim.status] > RANK[known.status]) {
      this.#bury(known, claim);
    }
  }

  #join(claim: AliveClaim): void {
    const { metrics, settings, table, timers } = this.#core;
    if (table.size >= settings.membersMax) {
      if (!table.reapOldest()) {
        drop(this.#core, 'members_full');
        return;
      }
      metrics.reaped += 1;
    }
    const { id, address, incarnation, meta, protocol } = claim;
    const changedMs = timers.now();
    const status = 'alive';
    const fields = { id, address, incarnation, meta, protocol, status, changedMs } as const;
    const record: MemberRecord = { ...fields, accuser: '', suspicion: undefined };
    table.add(record);
    announce(this.#core, record);
    emit(this.#core, { type: 'joined', member: memberOf(record) });
  }

  #renew(known: MemberRecord, claim: AliveClaim): void {
    const was = known.status;
    const changed = !sameContent(known, claim);
    known.suspicion?.cancel();
    known.suspicion = undefined;
    known.incarnation = claim.incarnation;
    known.address = claim.address;
    known.meta = claim.meta;
    known.protocol = claim.protocol;
    known.accuser = '';
    if (was !== 'alive') known.changedMs = this.#core.timers.now();
    known.status = 'alive';
    announce(this.#core, known);
    if (was === 'suspect' || was === 'dead') this.#core.hasten();
    const member = memberOf(known);
    if (was === 'left') emit(this.#core, { type: 'joined', member });
    else if (was !== 'alive') emit(this.#core, { type: 'alive-again', member, was });
    if (changed && was !== 'left') emit(this.#core, { type: 'updated', member });
  }

  #suspect(known: MemberRecord, claim: Accusation): void {
    const { metrics, settings, table, timers } = this.#core;
    const wasAlive = known.status === 'alive';
    known.suspicion?.cancel();
    known.incarnation = claim.incarnation;
    known.accuser = claim.accuser;
    known.status = 'suspect';
    if (wasAlive) known.changedMs = timers.now();
    known.suspicion = new Suspicion({
      timers,
      bounds: suspicionBounds(settings, table.liveCount),
      accuser: claim.accuser,
      // Its own probe has just told.
      asked: claim.accuser === table.self.id || !this.#isAsker(),
      stallMs: settings.stallMs,
      graceMs: settings.probeTimeoutMs,
      expired: () => {
        metrics.deathsDeclared += 1;
        const { id, incarnation } = known;
        this.accused({ status: 'dead', id, incarnation, accuser: table.self.id });
      },
    });
    passOn(this.#core, claim);
    if (!wasAlive) return;
    metrics.suspicionsRaised += 1;
    emit(this.#core, { type: 'suspected', member: memberOf(known), accuser: claim.accuser });
  }

  /** Whether this member is one of those who try for themselves whether a suspect answers. */
  #isAsker(): boolean {
    const { random, table } = this.#core;
    return random.next() * table.liveCount < SUSPECT_ASKERS;
  }

  #bury(known: MemberRecord, claim: Accusation): void {
    const wasLive = isLive(known);
    const was = known.status;
    known.suspicion?.cancel();
    known.suspicion = undefined;
    known.incarnation = claim.incarnation;
    known.accuser = claim.accuser;
    known.status = claim.status;
    if (wasLive) known.changedMs = this.#core.timers.now();
    passOn(this.#core, claim);
    const member = memberOf(known);
    if (claim.status === 'left' && was !== 'left') emit(this.#core, { type: 'left', member });
    if (claim.status === 'dead' && wasLive) {
      emit(this.#core, { type: 'failed', member, accuser: claim.accuser });
    }
  }
}
