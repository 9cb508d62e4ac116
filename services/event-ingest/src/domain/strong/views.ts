import type { EntityName, Located } from './program.ts';

/** What the views know of entities; they are the authority on what was applied. */
export interface EntityViews {
  /**
   * The sequence once the view has all that a token says; 0: no events.
   * @throws MemplaneError `not_yet_visible`, `dependency_unavailable`, …
   */
  sequence(of: EntityName, token?: string): Promise<number>;
  /** @throws MemplaneError as `sequence` */
  find(of: EntityName, id: string): Promise<Located | undefined>;
}
