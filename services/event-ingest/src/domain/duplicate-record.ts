/** Where an event stands since its first append. */
export interface FirstAppend {
  readonly partition: number;
  readonly offset: number;
  readonly hlc: bigint;
  /** See `CONTENT_KEY_CHARS`. */
  readonly contentKey: string;
}

/**
 * A bounded record of recent ids. It is no authority (the views are): what it has forgotten is
 * appended a second time, and the views count it as a duplicate. Instances may share one.
 */
export interface DuplicateRecord {
  /**
   * The first appends of these identities; undefined where none is on record. A record in memory
   * answers at once, a remote one by a promise.
   * @param idKeys 16 bytes each, one a character (latin1)
   */
  find(
    idKeys: readonly string[],
  ): readonly (FirstAppend | undefined)[] | Promise<readonly (FirstAppend | undefined)[]>;
  /** Takes up what the log has acknowledged; never before. */
  remember(idKey: string, first: FirstAppend & { readonly digest: string }): void;
  /**
   * Resolves when all instances find what was remembered so far, or when that was given up; never
   * rejects. Undefined when nothing need be waited for.
   */
  shared(): Promise<void> | undefined;
  /** How many identities are on record. */
  readonly size: number;
}
