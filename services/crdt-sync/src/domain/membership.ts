import { MemplaneError } from '@memplane/contracts';
import type { MembershipRecord, MembershipStore } from './membership-store.ts';

export interface MembershipOptions {
  readonly store: MembershipStore;
  /** What the store has from before. */
  readonly before: MembershipRecord | undefined;
  readonly now: () => number;
  /** Ids that may be forgotten; those beyond are not taken from others. */
  readonly forgottenMax: number;
}

/** This start's epoch and the ids that are forgotten: kept here, and united with what others have. */
export class Membership {
  readonly startEpoch: number;
  /** Called with ids that were not forgotten before. */
  onForgotten: (ids: readonly string[]) => void = () => {};
  readonly #store: MembershipStore;
  readonly #forgottenMax: number;
  readonly #forgotten: Set<string>;
  readonly #renamed: MembershipRecord['renamed'];
  #unsaved = false;
  #saving: Promise<void> = Promise.resolve();

  private constructor({ store, before, now, forgottenMax }: MembershipOptions) {
    this.#store = store;
    this.#forgottenMax = forgottenMax;
    this.#forgotten = new Set(before?.forgotten);
    this.#renamed = before?.renamed;
    // Others take a lower epoch for a replay: the clock may have been set back.
    this.startEpoch = Math.max(now(), (before?.startEpoch ?? 0) + 1);
  }

  /** Durably begins a start. @throws MemplaneError what the store throws */
  static async begin(options: MembershipOptions): Promise<Membership> {
    const membership = new Membership(options);
    await membership.#write();
    return membership;
  }

  get forgotten(): ReadonlySet<string> {
    return this.#forgotten;
  }

  isForgotten(id: string): boolean {
    return this.#forgotten.has(id);
  }

  /** Whether ids that others told are not durable yet. */
  get unsaved(): boolean {
    return this.#unsaved;
  }

  /**
   * Forgets an id once that is durable.
   * @throws MemplaneError `overloaded` where too many are forgotten, and what the store throws
   */
  async forget(id: string): Promise<void> {
    if (this.#forgotten.has(id)) return;
    if (this.#forgotten.size >= this.#forgottenMax) {
      throw new MemplaneError(
        'overloaded',
        `${this.#forgottenMax} replicas are forgotten already.`,
      );
    }
    await this.#write(id);
    this.merge([id]);
  }

  /** Takes in what another replica has forgotten; {@link save} makes it durable. */
  merge(ids: Iterable<string>): void {
    const added: string[] = [];
    for (const id of ids) {
      if (this.#forgotten.has(id) || this.#forgotten.size >= this.#forgottenMax) continue;
      this.#forgotten.add(id);
      added.push(id);
    }
    if (added.length === 0) return;
    this.#unsaved = true;
    this.onForgotten(added);
  }

  /** @throws MemplaneError what the store throws; then it stays unsaved */
  async save(): Promise<void> {
    if (!this.#unsaved) return;
    this.#unsaved = false;
    try {
      await this.#write();
    } catch (error) {
      this.#unsaved = true;
      throw error;
    }
  }

  /** One after the other, so that no older list overwrites a newer one. */
  #write(...more: readonly string[]): Promise<void> {
    const written = this.#saving.then(() =>
      this.#store.saveMembership({
        startEpoch: this.startEpoch,
        forgotten: [...new Set([...this.#forgotten, ...more])],
        ...(this.#renamed ? { renamed: this.#renamed } : {}),
      }),
    );
    this.#saving = written.catch(() => {});
    return written;
  }
}
