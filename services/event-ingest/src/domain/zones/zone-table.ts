export type Zone = 'strong' | 'eventual';

/** One rule of a table: the first whose pattern matches an entity says its zone. */
export interface ZoneRule {
  /** `kind/id`; `*` stands for any characters of one of the two. */
  readonly match: string;
  readonly consistency: Zone;
  /** Whether payloads are sealed with a key of the entity. */
  readonly sealed?: true;
}

interface CompiledRule {
  readonly rule: ZoneRule;
  readonly kind: RegExp;
  readonly id: RegExp;
  readonly isAnyId: boolean;
}

/** Kinds that are looked up quickly; agents make up few of them. */
const KINDS_MAX = 4_096;

/** Says which entities are strong. What no rule matches is eventual. */
export class ZoneTable {
  readonly rules: readonly ZoneRule[];
  /** Whether any entity can be strong. */
  readonly hasStrong: boolean;
  /** Whether any entity can be sealed. */
  readonly hasSealed: boolean;
  readonly #compiled: readonly CompiledRule[];
  /** By kind: its one zone, or the rules that its ids have to be held against. */
  readonly #kinds = new Map<string, Zone | readonly CompiledRule[]>();

  constructor(rules: readonly ZoneRule[]) {
    this.rules = rules;
    this.hasStrong = rules.some(({ consistency }) => consistency === 'strong');
    this.hasSealed = rules.some(({ sealed }) => sealed === true);
    this.#compiled = rules.map((rule) => {
      const [kind = '', id = ''] = rule.match.split('/');
      return { rule, kind: patternOf(kind), id: patternOf(id), isAnyId: /^\*+$/.test(id) };
    });
  }

  zoneOf(entity: string): Zone {
    if (!this.hasStrong) return 'eventual';
    const slash = entity.indexOf('/');
    const kind = entity.slice(0, slash);
    const known = this.#kinds.get(kind) ?? this.#learn(kind);
    if (typeof known === 'string') return known;
    const id = entity.slice(slash + 1);
    return known.find((one) => one.id.test(id))?.rule.consistency ?? 'eventual';
  }

  isSealed(entity: string): boolean {
    return this.hasSealed && this.ruleOf(entity)?.sealed === true;
  }

  /** The rule that decides; undefined: none does. */
  ruleOf(entity: string): ZoneRule | undefined {
    const [kind = '', id = ''] = entity.split('/');
    return this.#compiled.find((one) => one.kind.test(kind) && one.id.test(id))?.rule;
  }

  #learn(kind: string): Zone | readonly CompiledRule[] {
    const rules = this.#compiled.filter((one) => one.kind.test(kind));
    const [first] = rules;
    const known = first === undefined ? 'eventual' : first.isAnyId ? first.rule.consistency : rules;
    if (this.#kinds.size >= KINDS_MAX) this.#kinds.clear();
    this.#kinds.set(kind, known);
    return known;
  }
}

function patternOf(segment: string): RegExp {
  const parts = segment.split(/\*+/).map((part) => part.replaceAll(/[.~@-]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}
