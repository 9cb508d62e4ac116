/**
 * Every stable error code of the plane: its HTTP status and whether repeating the very same call
 * may succeed later (`transient`) or can't (`permanent`). Codes are never renamed or reused.
 */
export const ERROR_CODES = {
  // malformed requests
  invalid_json: { status: 400, title: 'The body is not valid JSON', kind: 'permanent' },
  invalid_encoding: { status: 400, title: 'The request is not valid UTF-8', kind: 'permanent' },
  invalid_request: { status: 400, title: 'A field has a wrong value', kind: 'permanent' },
  invalid_event: { status: 400, title: 'An event has a wrong field', kind: 'permanent' },
  invalid_filter: { status: 400, title: 'The filter is not valid', kind: 'permanent' },
  invalid_token: { status: 400, title: 'The token is not one of this plane', kind: 'permanent' },
  invalid_cursor: { status: 400, title: 'The cursor is not valid here', kind: 'permanent' },
  invalid_as_of: {
    status: 400,
    title: 'This point in time can not be used here',
    kind: 'permanent',
  },
  forbidden_key: { status: 400, title: 'An object key is not allowed', kind: 'permanent' },
  too_deep: { status: 400, title: 'The body is nested too deeply', kind: 'permanent' },
  wrong_dimensions: { status: 400, title: 'The vector has wrong dimensions', kind: 'permanent' },
  wrong_model: { status: 400, title: 'The vector is of another model', kind: 'permanent' },
  hlc_too_far_ahead: { status: 400, title: 'A stamp is too far in the future', kind: 'permanent' },
  zone_not_strong: { status: 400, title: 'The entity is not in a strong zone', kind: 'permanent' },
  bad_opid: { status: 400, title: 'The operation id can not be used', kind: 'permanent' },
  unauthorized: { status: 401, title: 'A valid token is required', kind: 'permanent' },
  forbidden: { status: 403, title: 'The caller may not do this', kind: 'permanent' },
  stored_quota_exceeded: {
    status: 403,
    title: 'The tenant may not store more',
    kind: 'permanent',
  },
  not_found: { status: 404, title: 'There is no such thing', kind: 'permanent' },
  method_not_allowed: { status: 405, title: 'The method is not allowed', kind: 'permanent' },
  id_reused: { status: 409, title: 'The id was used for other content', kind: 'permanent' },
  ambiguous_id: { status: 409, title: 'Several events have this id', kind: 'permanent' },
  token_of_another_log: { status: 409, title: 'The token is of another log', kind: 'permanent' },
  sequence_conflict: { status: 409, title: 'The entity is at another sequence', kind: 'permanent' },
  stale_fencing_token: { status: 409, title: 'The fencing token is stale', kind: 'permanent' },
  fencing_token_required: { status: 409, title: 'The entity is guarded', kind: 'permanent' },
  legal_hold: { status: 409, title: 'A legal hold is on the entity', kind: 'permanent' },
  lease_held: { status: 409, title: 'The lease is held by another', kind: 'transient' },
  counter_overflow: { status: 409, title: 'The counter would overflow', kind: 'permanent' },
  wrong_type: { status: 409, title: 'The name holds another type', kind: 'permanent' },
  model_change_running: { status: 409, title: 'A model change is running', kind: 'transient' },
  replica_set_changing: {
    status: 409,
    title: 'The last change of the replica set is not settled',
    kind: 'transient',
  },
  history_expired: {
    status: 410,
    title: 'The history no longer goes back that far',
    kind: 'permanent',
  },
  erased: { status: 410, title: 'It was erased', kind: 'permanent' },
  body_too_large: { status: 413, title: 'The request is too large', kind: 'permanent' },
  event_too_large: { status: 413, title: 'An event is too large', kind: 'permanent' },
  strong_batch_too_large: {
    status: 413,
    title: 'Too much for one strong append',
    kind: 'permanent',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The media type is not supported',
    kind: 'permanent',
  },
  headers_too_large: { status: 431, title: 'Path or headers are too large', kind: 'permanent' },
  overloaded: { status: 429, title: 'The plane has too much to do', kind: 'transient' },
  quota_exceeded: { status: 429, title: 'The tenant has used up its share', kind: 'transient' },
  opid_memory_full: {
    status: 429,
    title: 'No more operation ids can be remembered now',
    kind: 'transient',
  },
  views_behind: { status: 429, title: 'The views are too far behind', kind: 'transient' },
  index_behind: { status: 429, title: 'The index is too far behind', kind: 'transient' },
  archive_behind: { status: 429, title: 'The archive is too far behind', kind: 'transient' },
  internal: { status: 500, title: 'Something went wrong in the plane', kind: 'transient' },
  not_implemented: { status: 501, title: 'Not available in this plane', kind: 'permanent' },
  not_yet_visible: { status: 503, title: 'Not visible yet', kind: 'transient' },
  storage_full: { status: 503, title: 'The disk is full', kind: 'transient' },
  storage_unavailable: { status: 503, title: 'The storage can not be written', kind: 'transient' },
  storage_damaged: { status: 503, title: 'A stored record is damaged', kind: 'permanent' },
  dependency_unavailable: { status: 503, title: 'Another part does not answer', kind: 'transient' },
  shutting_down: { status: 503, title: 'The service is ending', kind: 'transient' },
  owner_moving: { status: 503, title: 'The shard is changing its owner', kind: 'transient' },
  erasing: { status: 503, title: 'The entity is being erased', kind: 'transient' },
  sealing_unavailable: {
    status: 503,
    title: 'There is no key to seal with',
    kind: 'permanent',
  },
  zone_changing: { status: 503, title: 'The zone of the entity is changing', kind: 'transient' },
  no_quorum: { status: 503, title: 'No majority can be reached', kind: 'transient' },
  deadline_exceeded: { status: 504, title: 'It took too long', kind: 'transient' },
} as const satisfies Record<
  string,
  { status: number; title: string; kind: 'permanent' | 'transient' }
>;

/** A stable code of {@link ERROR_CODES}. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** What an error may tell beside its code. Only JSON values: it is written into the problem. */
export interface ErrorDetails {
  /** The place of the fault in the request, e.g. `body[3].memory.embedding.values`. */
  readonly field?: string;
  /** How long to wait before a repetition, in milliseconds; becomes `Retry-After`. */
  readonly retryAfterMs?: number;
  /** Further members of the problem, e.g. `currentSequence`. */
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** The one error class of the plane: coded, transient or permanent, with its cause kept. */
export class MemplaneError extends Error {
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly extra: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, detail: string, details: ErrorDetails = {}) {
    super(detail, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'MemplaneError';
    this.code = code;
    this.field = details.field;
    this.retryAfterMs = details.retryAfterMs;
    this.extra = details.extra ?? {};
  }

  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  get transient(): boolean {
    return ERROR_CODES[this.code].kind === 'transient';
  }
}
