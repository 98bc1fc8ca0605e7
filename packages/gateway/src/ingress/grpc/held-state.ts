import { AutoglmError, toAutoglmError, type TierServerMessage, type TierState } from '@open-autoglm/protocol';
import { isNestedTooDeeply, nestingMax } from '../../common/nesting.ts';
import { refuseTwoLengths } from '../answer-length.ts';
import { applyJsonPatch } from '../json-patch.ts';
import { checkWellFormed } from '../validate.ts';

type Body = Readonly<Record<string, unknown>>;
type Refusal = Extract<TierServerMessage, { readonly resend: unknown } | { readonly problem: unknown }>;

/** Of one patch. */
const operationsMax = 10_000;

/** What a client streams: the whole once, and then what changes. */
export class HeldState {
  readonly #bytesMax: number;
  /** JSON of the document: a patch that fails must leave nothing behind. */
  #text: string | undefined;
  #version = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The body as of this state, or what the client is to be told instead. What was held before is held on then. */
  take({ version, document, patch }: TierState): { readonly body: Body } | Refusal {
    if (version <= this.#version)
      return refuse(
        version,
        new AutoglmError('invalid_value', `The version is ${version}, and ${this.#version} was there already.`, { param: 'state.version' }),
      );
    if (patch && (this.#text === undefined || version !== this.#version + 1)) {
      const reason = this.#text === undefined ? 'there is no state yet' : `the patch is on version ${version - 1}`;
      return { resend: { haveVersion: this.#version, reason } };
    }
    try {
      const value = patch
        ? applyJsonPatch(JSON.parse(this.#text as string), parse(patch, this.#bytesMax), { operationsMax, copiedMax: this.#bytesMax })
        : parse(document, this.#bytesMax);
      const body = check(value);
      const text = JSON.stringify(body);
      if (isNestedTooDeeply(text)) throw nestedTooDeeply();
      if (Buffer.byteLength(text) > this.#bytesMax) throw tooLarge(this.#bytesMax);
      this.#text = text;
      this.#version = version;
      return { body };
    } catch (error) {
      // No JSON is nested too deeply to be read, but to be walked.
      return refuse(version, error instanceof RangeError ? nestedTooDeeply() : toAutoglmError(error));
    }
  }
}

function refuse(stateVersion: number, { code, message, param, retryable }: AutoglmError): Refusal {
  return { problem: { stateVersion, code, message, ...(param !== undefined && { param }), retryable } };
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function parse(bytes: Uint8Array | undefined, bytesMax: number): unknown {
  if (!bytes) throw new AutoglmError('missing_parameter', 'The state holds neither document nor patch.', { param: 'state' });
  if (bytes.length > bytesMax) throw tooLarge(bytesMax);
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (error) {
    throw new AutoglmError('invalid_json', `The state is not valid JSON in UTF-8: ${(error as Error).message}`);
  }
}

function check(value: unknown): Body {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new AutoglmError('invalid_json', 'The state must be a JSON object, as the body of a chat.');
  checkWellFormed(value);
  const { n } = value as { n?: unknown };
  if (n !== undefined && n !== null && n !== 1)
    throw new AutoglmError('invalid_value', "Invalid value for 'n': a decision is one choice.", { param: 'n' });
  refuseTwoLengths(value);
  return value as Body;
}

function tooLarge(bytesMax: number): AutoglmError {
  return new AutoglmError(
    'payload_too_large',
    `The state is larger than the ${bytesMax} bytes that this server takes (grpc.state_bytes_max).`,
  );
}

function nestedTooDeeply(): AutoglmError {
  return new AutoglmError('invalid_value', `The state is nested more than ${nestingMax} deep.`);
}
