import { isJsonObject, type Json, LIMITS, MemplaneError } from '@memplane/contracts';
import { FILTER_LIMITS, type Filter, type FilterPath } from './ast.ts';

const RANGES = { $gt: 'gt', $gte: 'gte', $lt: 'lt', $lte: 'lte' } as const;

/**
 * Checks a filter and turns it into its tree.
 * @param field how problems name the filter, e.g. `body.filter`
 * @throws MemplaneError `invalid_filter` with the exact place
 */
export function parseFilter(json: unknown, options: { readonly field: string }): Filter {
  return new Parser().document(json as Json, options.field, 0);
}

class Parser {
  #nodes = 0;

  document(json: Json, field: string, depth: number): Filter {
    this.#count(field);
    if (depth > FILTER_LIMITS.filter_depth_max) {
      throw invalid(field, `is nested more than ${FILTER_LIMITS.filter_depth_max} levels deep`);
    }
    if (!isJsonObject(json)) throw invalid(field, 'must be an object');
    const clauses: Filter[] = [];
    for (const key of Object.keys(json)) {
      clauses.push(this.#clause(key, json[key] as Json, `${field}.${key}`, depth));
    }
    return conjunction(clauses);
  }

  #clause(key: string, value: Json, field: string, depth: number): Filter {
    if (key === '$and' || key === '$or') {
      if (!Array.isArray(value) || value.length === 0) {
        throw invalid(field, 'must be a non-empty array of filters');
      }
      const of = value.map((item, i) => this.document(item, `${field}[${i}]`, depth + 1));
      return { op: key === '$and' ? 'and' : 'or', of };
    }
    if (key === '$not') return { op: 'not', of: this.document(value, field, depth + 1) };
    if (key.startsWith('$')) throw invalid(field, `${shown(key)} is not an operator here`);
    const path = parsePath(key, field);
    if (isJsonObject(value) && Object.keys(value).some((name) => name.startsWith('$'))) {
      return this.#operators(path, value, field, depth);
    }
    this.#count(field);
    return { op: 'eq', path, value };
  }

  #operators(
    path: FilterPath,
    operators: { readonly [key: string]: Json },
    field: string,
    depth: number,
  ): Filter {
    const clauses = Object.keys(operators).map((name) =>
      this.#operator(path, name, operators[name] as Json, `${field}.${name}`, depth),
    );
    return conjunction(clauses);
  }

  #operator(path: FilterPath, name: string, value: Json, field: string, depth: number): Filter {
    this.#count(field);
    switch (name) {
      case '$eq':
        return { op: 'eq', path, value };
      case '$ne':
        return { op: 'not', of: { op: 'eq', path, value } };
      case '$gt':
      case '$gte':
      case '$lt':
      case '$lte':
        return { op: RANGES[name], path, value };
      case '$in':
        return { op: 'in', path, values: inValues(value, field) };
      case '$exists':
        if (typeof value !== 'boolean') throw invalid(field, 'must be true or false');
        return value ? { op: 'exists', path } : { op: 'not', of: { op: 'exists', path } };
      case '$not':
        if (!isJsonObject(value) || Object.keys(value).length === 0) {
          throw invalid(field, 'must be an object of operators');
        }
        if (depth >= FILTER_LIMITS.filter_depth_max) {
          throw invalid(field, `is nested more than ${FILTER_LIMITS.filter_depth_max} levels deep`);
        }
        return { op: 'not', of: this.#operators(path, value, field, depth + 1) };
      default:
        throw invalid(field, `${shown(name)} is not an operator`);
    }
  }

  #count(field: string): void {
    this.#nodes++;
    if (this.#nodes > LIMITS.filter_nodes_max) {
      throw invalid(field, `the filter has more than ${LIMITS.filter_nodes_max} conditions`);
    }
  }
}

function conjunction(clauses: readonly Filter[]): Filter {
  const [only] = clauses;
  return clauses.length === 1 && only !== undefined ? only : { op: 'and', of: clauses };
}

function inValues(value: Json, field: string): readonly Json[] {
  if (!Array.isArray(value)) throw invalid(field, 'must be an array');
  if (value.length > FILTER_LIMITS.filter_in_values_max) {
    throw invalid(field, `has more than ${FILTER_LIMITS.filter_in_values_max} values`);
  }
  return value;
}

function parsePath(key: string, field: string): FilterPath {
  if (key.length > FILTER_LIMITS.filter_path_chars_max) {
    throw invalid(
      field,
      `the path has more than ${FILTER_LIMITS.filter_path_chars_max} characters`,
    );
  }
  if (key.includes('\u0000')) throw invalid(field, 'a path can not hold a zero character');
  const path = key.split('.');
  if (path.length > FILTER_LIMITS.filter_path_segments_max) {
    throw invalid(
      field,
      `the path has more than ${FILTER_LIMITS.filter_path_segments_max} segments`,
    );
  }
  return path;
}

function shown(name: string): string {
  return JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name);
}

function invalid(field: string, message: string): MemplaneError {
  const place = field.length > 300 ? `${field.slice(0, 300)}…` : field;
  return new MemplaneError('invalid_filter', `${place}: ${message}`, { field: place });
}
